//! JSON as the original's Python reads and writes it.
//!
//! Python's strings may hold halves of surrogate pairs, which Rust's cannot: here U+DCFF is kept as
//! the private character U+10DCFF.

use serde_json::Value;

/// What is added to half a surrogate pair.
const PRIVATE: u32 = 0x10_0000;

/// What the original makes of a byte that is no UTF-8.
pub(crate) fn undecodable(byte: u8) -> char {
    char::from_u32(PRIVATE + 0xdc00 + u32::from(byte)).expect("plane 16 is all characters")
}

/// Whether the text holds what Python can neither print nor write to a file.
pub(crate) fn has_half_a_pair(text: &str) -> bool {
    text.chars().any(|c| half_of(c).is_some())
}

fn half_of(c: char) -> Option<u32> {
    let code = u32::from(c).checked_sub(PRIVATE)?;
    (0xd800..0xe000).contains(&code).then_some(code)
}

/// A string in quotes, as `json.dumps` writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => escape(c, &mut out),
        }
    }
    out.push('"');
    out
}

fn escape(c: char, out: &mut String) {
    if let Some(code) = half_of(c) {
        out.push_str(&format!("\\u{code:04x}"));
    } else {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
}

/// A whole datagram with a text.
pub(crate) fn datagram(text: &str) -> Vec<u8> {
    format!("{{\"message\": {}}}", quote(text)).into_bytes()
}

/// What `json.loads` returns; `None` where it raises.
pub(crate) fn loads(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(&with_whole_pairs(text)).ok()
}

/// Writes every half of a surrogate pair as the pair of its private character.
fn with_whole_pairs(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (unit(rest), unit(rest.get(6..).unwrap_or(""))) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(half @ 0xd800..=0xdfff), _) => {
                escape_pair(half, &mut out);
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out + rest
}

fn escape_pair(half: u32, out: &mut String) {
    let c = char::from_u32(PRIVATE + half).expect("plane 16 is all characters");
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

/// The number in an escape of the form `\u0123`.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[test]
fn strings_are_written_and_read_as_python_does() {
    let half = undecodable(0xff);
    for (text, json) in [
        ("grüße", r#""gr\u00fc\u00dfe""#.to_owned()),
        ("😀", r#""\ud83d\ude00""#.to_owned()),
        ("a\"\\\n\u{7f}\u{1b}", r#""a\"\\\n\u007f\u001b""#.to_owned()),
        (&format!("x{half}y"), r#""x\udcffy""#.to_owned()),
    ] {
        assert_eq!(quote(text), json);
        assert_eq!(loads(json.as_bytes()), Some(Value::String(text.to_owned())));
    }
    assert_eq!(loads(br#""\\ud800""#), Some(Value::String("\\ud800".to_owned())));
    assert_eq!(loads(br#"{"message": "cut"#), None);
    assert_eq!(loads(b"\xff"), None);
}
