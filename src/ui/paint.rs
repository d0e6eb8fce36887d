//! Colours, marks and other ornaments of a terminal. Pure; what the terminal can do is passed in.

use anstyle::{AnsiColor, Style};
use udpchat_core::protocol::Name;

/// What names are written in. Neither red, which is for what went wrong, nor what a background may
/// be made of.
const NAME_COLORS: [AnsiColor; 10] = [
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Cyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightYellow,
    AnsiColor::BrightBlue,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightCyan,
];

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Colours and other styles.
    pub(super) color: bool,
    /// More characters than those of ASCII.
    pub(super) unicode: bool,
}

/// What becomes of a message, in a cell's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// On its way.
    Pending,
    /// Its recipient has seen it.
    Received,
    /// The server keeps it.
    Saved,
    /// It is not sent.
    Unsent,
}

impl Look {
    pub(super) fn mark(self, mark: Mark) -> String {
        let (character, style) = match (mark, self.unicode) {
            (Mark::Pending, true) => ("›", Style::new()),
            (Mark::Pending, false) => (">", Style::new()),
            (Mark::Received, true) => ("✓", AnsiColor::Green.on_default()),
            (Mark::Received, false) => ("+", AnsiColor::Green.on_default()),
            (Mark::Saved, true) => ("»", AnsiColor::Yellow.on_default()),
            (Mark::Saved, false) => ("=", AnsiColor::Yellow.on_default()),
            (Mark::Unsent, true) => ("✗", AnsiColor::Red.on_default()),
            (Mark::Unsent, false) => ("!", AnsiColor::Red.on_default()),
        };
        self.paint(style, character)
    }

    /// A name in its colour, the same in every run.
    pub(super) fn name(self, name: &Name) -> String {
        let color = NAME_COLORS[place(name) % NAME_COLORS.len()];
        self.paint(color.on_default().bold(), name.as_str())
    }

    /// What need not be noticed.
    pub(super) fn quiet(self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    /// What went wrong.
    pub(super) fn wrong(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default(), text)
    }

    /// The text with every mention of `me` as a word made conspicuous.
    pub(super) fn mentions(self, text: &str, me: &Name) -> String {
        if !self.color {
            return text.to_owned();
        }
        let lower = text.to_ascii_lowercase();
        let wanted = me.as_str().to_ascii_lowercase();
        let is_part = |char: char| char.is_alphanumeric() || char == '_' || char == '-';
        let mut painted = String::with_capacity(text.len());
        let mut done = 0;
        for (at, _) in lower.match_indices(&wanted) {
            let end = at + wanted.len();
            if !text[..at].ends_with(is_part) && !text[end..].starts_with(is_part) {
                painted.push_str(&text[done..at]);
                painted.push_str(&self.paint(Style::new().bold().invert(), &text[at..end]));
                done = end;
            }
        }
        painted + &text[done..]
    }

    fn paint(self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// A number that depends on nothing but the name, by FNV-1a; its case makes no difference.
fn place(name: &Name) -> usize {
    let start: u32 = 0x811c_9dc5;
    let hash = name.as_str().bytes().fold(start, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    // The low bits of FNV are the worse ones.
    usize::try_from(hash >> 8).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLORFUL: Look = Look { color: true, unicode: true };
    const PLAIN: Look = Look { color: false, unicode: false };

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_keeps_its_color_whatever_its_case() {
        let color = |text| COLORFUL.name(&name(text)).replace(text, "");
        assert_eq!(color("alice"), color("ALICE"));
        let colors: std::collections::BTreeSet<String> =
            ["alice", "bob", "carol", "dave", "erin", "frank"].map(color).into();
        assert!(colors.len() >= 4, "{colors:?}");
        assert_eq!(PLAIN.name(&name("alice")), "alice");
    }

    #[test]
    fn only_whole_words_are_mentions() {
        let me = name("bob");
        for (text, mentions) in [
            ("bob", 1),
            ("Bob, and bob: BOB!", 3),
            ("bobby kabob bob-2 bob_", 0),
            ("übob", 0),
            ("über bob", 1),
            ("", 0),
        ] {
            let painted = COLORFUL.mentions(text, &me);
            assert_eq!(painted.matches("\u{1b}[1m\u{1b}[7m").count(), mentions, "{painted:?}");
            assert_eq!(PLAIN.mentions(text, &me), text);
        }
    }

    #[test]
    fn a_mark_has_a_form_for_every_terminal() {
        let marks = [Mark::Pending, Mark::Received, Mark::Saved, Mark::Unsent];
        for (look, shown) in [(PLAIN, ">+=!"), (Look { color: false, unicode: true }, "›✓»✗")]
        {
            assert_eq!(marks.map(|mark| look.mark(mark)).concat(), shown);
        }
    }
}
