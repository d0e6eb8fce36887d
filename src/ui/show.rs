//! Makes other people's text safe to print. Knows characters only.

/// Invisible characters that count as letters or marks, and so as printable: they would let two
/// different texts or names look the same.
const INVISIBLE: [char; 7] =
    ['\u{34f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{3164}', '\u{ffa0}'];

/// The text with everything escaped that is not seen but does something: control characters and
/// with them terminal escapes and line ends, changes of the writing direction, zero-width and
/// other format characters, and what Unicode has not assigned. Ordinary text of any language
/// stays as it is, quotes and backslashes too.
///
/// Joined emoji fall apart into their parts, for what joins them has no width.
#[must_use]
pub fn show(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmless(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

fn is_harmless(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\u{2028}' | '\u{2029}' => false,
        _ if INVISIBLE.contains(&character) => false,
        _ if character.is_control() => false,
        _ => character.is_whitespace() || is_printable(character),
    }
}

/// By the standard library's tables. It escapes a combining mark only where a text begins with it.
fn is_printable(character: char) -> bool {
    let mut bytes = [b'a'; 5];
    let length = character.encode_utf8(&mut bytes[1..]).len();
    std::str::from_utf8(&bytes[..=length]).is_ok_and(|text| text.escape_debug().count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::RangeInclusive;

    /// What must never reach a terminal, written down independently of any table.
    const HARMFUL: [RangeInclusive<u32>; 19] = [
        0x00..=0x1f,       // C0
        0x7f..=0x9f,       // DEL, C1
        0xad..=0xad,       // soft hyphen
        0x34f..=0x34f,     // grapheme joiner
        0x600..=0x605,     // Arabic number signs
        0x61c..=0x61c,     // Arabic letter mark
        0x115f..=0x1160,   // Hangul fillers
        0x180e..=0x180e,   // Mongolian vowel separator
        0x200b..=0x200f,   // zero width space, joiners, direction marks
        0x2028..=0x202e,   // line and paragraph separator, embeddings, overrides
        0x2060..=0x206f,   // word joiner, isolates, invisible operators
        0x3164..=0x3164,   // Hangul filler
        0xfeff..=0xfeff,   // byte order mark
        0xffa0..=0xffa0,   // Hangul filler
        0xfff0..=0xfffb,   // interlinear annotation
        0xfffe..=0xffff,   // no characters
        0x1bca0..=0x1bca3, // shorthand format controls
        0x1d173..=0x1d17a, // musical format controls
        0xe0000..=0xe007f, // tags
    ];

    fn characters() -> impl Iterator<Item = char> {
        (0..=u32::from(char::MAX)).filter_map(char::from_u32)
    }

    #[test]
    fn nothing_harmful_is_printed() {
        for character in characters() {
            let shown = show(&character.to_string());
            let harmful = HARMFUL.iter().any(|range| range.contains(&u32::from(character)));
            assert_eq!(shown != character.to_string(), harmful || !is_harmless(character));
            for printed in shown.chars() {
                assert!(!printed.is_control(), "{character:?} gives {shown:?}");
                let number = u32::from(printed);
                assert!(!HARMFUL.iter().any(|range| range.contains(&number)), "{character:?}");
            }
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            r#"She said: "it's \n, 100 % <fine>" [really]"#,
            "Grüße, ça va, e\u{301}, Привет, שלום, مرحبا, नमस्ते, ไทย, 漢字\u{3000}かな, 한국어",
            "a\u{a0}b ½ € → ∞ 👍🏽 ❤\u{fe0f} 🇩🇪",
        ] {
            assert_eq!(show(text), text);
        }
    }

    #[test]
    fn escapes_can_be_read() {
        assert_eq!(show("a\tb\r\n\0"), r"a\tb\r\n\u{0}");
        assert_eq!(show("\u{1b}[31m\u{202e}x\u{9b}1m\u{7f}"), r"\u{1b}[31m\u{202e}x\u{9b}1m\u{7f}");
    }
}
