//! The original program's dialect: one JSON object a datagram, one key that matters.
//!
//! Knows bytes only; what follows from them is decided at the machines' edges, in
//! `server::original` and `client::original`. docs/original.md describes the dialect.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use siphasher::sip::SipHasher24;

use crate::protocol::limits::ORIGINAL_DATAGRAM_MAX;
use crate::protocol::{Name, TableEntry};

/// What the first byte of this dialect is.
pub const MARK: u8 = b'{';

/// A message that its receiver acknowledges and, if it is a client and the sender is not its
/// server, does not show.
pub const UNSEEN: &str = "[REQUEST:SAVE] v2?";

/// A datagram's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// "I got whatever you sent last."
    Ack,
    /// Who is where.
    Table(Vec<TableEntry>),
    /// A request to a server, or a text to a client.
    Text(String),
}

/// What a client asks of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Register or sign in.
    Register(&'a str),
    /// Hand over what is stored.
    Fetch(&'a str),
    /// Go offline.
    Deregister(&'a str),
    /// Keep a text.
    Save {
        /// Who says that it is from them.
        from: &'a str,
        /// For whom.
        to: &'a str,
        /// What.
        text: &'a str,
    },
}

/// A row of the table on the wire.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(rename = "IP")]
    ip: String,
    port: u16,
    status: bool,
}

/// Reads a datagram; `None` if it is none of this dialect, or has no meaning.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Word> {
    if bytes.first() != Some(&MARK) {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let Value::Object(mut object) = serde_json::from_str(&mend_surrogates(&text)).ok()? else {
        return None;
    };
    match object.remove("message")? {
        Value::String(text) if text == "ACK" => Some(Word::Ack),
        Value::String(text) => Some(Word::Text(text)),
        // Whoever has a name that ours cannot have, or no address, cannot be spoken to.
        Value::Object(rows) => {
            Some(Word::Table(rows.into_iter().filter_map(table_entry).collect()))
        }
        _ => None,
    }
}

fn table_entry((name, row): (String, Value)) -> Option<TableEntry> {
    let name: Name = name.parse().ok()?;
    let row: Row = serde_json::from_value(row).ok()?;
    let ip: Ipv4Addr = row.ip.parse().ok()?;
    let addr = row.status.then(|| SocketAddr::from((ip, row.port)));
    Some(TableEntry { name, addr, original: true })
}

/// Python writes halves of surrogate pairs that JSON forbids; they become U+FFFD.
fn mend_surrogates(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut mended = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(_), _) => {
                mended.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            (None, _) => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        mended.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

/// The code unit of a `\uD800` to `\uDFFF` at the beginning of `escape`.
fn surrogate(escape: &str) -> Option<u32> {
    let hex = escape.strip_prefix("\\u")?.get(..4)?;
    let unit = u32::from_str_radix(hex, 16).ok()?;
    (0xd800..0xe000).contains(&unit).then_some(unit)
}

/// Reads a request; `None` for any other text, and for one with too few or too many words.
#[must_use]
pub fn request(text: &str) -> Option<Request<'_>> {
    let (tag, rest) = text.split_once(' ')?;
    let alone = || (!rest.contains(' ')).then_some(rest);
    match tag {
        "[REQUEST:REG]" => alone().map(Request::Register),
        "[REQUEST:GETSAVE]" => alone().map(Request::Fetch),
        "[REQUEST:DEREG]" => alone().map(Request::Deregister),
        "[REQUEST:SAVE]" => {
            let (from, rest) = rest.split_once(' ')?;
            let (to, text) = rest.split_once(' ')?;
            Some(Request::Save { from, to, text })
        }
        _ => None,
    }
}

/// The acknowledgement.
#[must_use]
pub fn ack() -> Vec<u8> {
    text("ACK")
}

/// A request or a text, escaped as Python's `json.dumps` does.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    let mut json = String::with_capacity(text.len() + 16);
    json.push_str("{\"message\": ");
    push_string(&mut json, text);
    json.push('}');
    json.into_bytes()
}

fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            ' '..='~' => json.push(char),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(json, "\\u{unit:04x}");
                }
            }
        }
    }
    json.push('"');
}

/// The table for an original client: its own entry first, then those who are here, then the
/// others, as many as it can receive.
#[must_use]
pub fn table<'a>(own: &Name, entries: impl Iterator<Item = &'a TableEntry>) -> Vec<u8> {
    let mut entries: Vec<&TableEntry> = entries.collect();
    entries.sort_by_key(|entry| (entry.name != *own, entry.addr.is_none()));
    let mut json = String::from("{\"message\": {");
    let mut seen = BTreeMap::new();
    for entry in entries {
        let row = row(entry);
        let comma = if seen.is_empty() { "" } else { ", " };
        if json.len() + comma.len() + row.len() + 2 > ORIGINAL_DATAGRAM_MAX {
            break;
        }
        if seen.insert(&entry.name, ()).is_none() {
            json.push_str(comma);
            json.push_str(&row);
        }
    }
    json.push_str("}}");
    json.into_bytes()
}

/// Only IPv4 can be written; whoever is elsewhere is reached over the server, as if offline.
fn row(entry: &TableEntry) -> String {
    let name = &entry.name;
    match entry.addr {
        Some(SocketAddr::V4(addr)) => {
            let (ip, port) = (addr.ip(), addr.port());
            format!("\"{name}\": {{\"IP\": \"{ip}\", \"port\": {port}, \"status\": true}}")
        }
        _ => format!("\"{name}\": {{\"IP\": \"0.0.0.0\", \"port\": 0, \"status\": false}}"),
    }
}

/// A text that an original client may print raw: one line, no controls.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// A number for anything, the same over restarts: unkeyed on purpose, for nothing in this dialect
/// is secret anyway.
pub(crate) fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = SipHasher24::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Tells a retransmission from a new message of the same text, by its distance from the copy
/// before: the original's routine sends again after 0.50 to 0.51 s, at most three times.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    /// The hash of the copy before: its bytes would be as many as a stranger likes.
    last: Option<u64>,
    at: crate::time::Time,
    copies: u32,
}

impl Repeats {
    /// The retransmission interval less what a network's jitter takes off it.
    const EARLIEST: std::time::Duration = std::time::Duration::from_millis(350);
    /// And with what it adds.
    const LATEST: std::time::Duration = std::time::Duration::from_millis(700);
    /// Transmissions of one message.
    const COPIES_MAX: u32 = 4;

    /// Whether these bytes are the last ones again.
    pub(crate) fn note_repeat(&mut self, now: crate::time::Time, bytes: &[u8]) -> bool {
        let spacing = now - self.at;
        let heard = Some(hash(bytes));
        let repeat = self.last == heard
            && (Self::EARLIEST..=Self::LATEST).contains(&spacing)
            && self.copies < Self::COPIES_MAX;
        self.copies = if repeat { self.copies + 1 } else { 1 };
        self.last = heard;
        self.at = now;
        repeat
    }
}

/// Counts what has not been acknowledged yet at one address: a late `ACK` of one thing must not
/// pass for that of the next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owed {
    count: u32,
    sent_at: crate::time::Time,
}

impl Owed {
    /// How long an `ACK` may be late. Longer ones are taken for lost.
    pub(crate) const LINGER: std::time::Duration = std::time::Duration::from_millis(1_500);

    /// Something is sent that will be acknowledged.
    pub(crate) const fn sent(&mut self, now: crate::time::Time) {
        self.count += 1;
        self.sent_at = now;
    }

    /// The same once something more was sent.
    pub(crate) const fn after_one_more(mut self, now: crate::time::Time) -> Self {
        self.sent(now);
        self
    }

    /// An `ACK` has come.
    pub(crate) const fn acked(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// When something else may be sent: the next `ACK` will be for that.
    pub(crate) fn quiet_at(&self) -> crate::time::Time {
        if self.count == 0 { crate::time::Time::ZERO } else { self.sent_at + Self::LINGER }
    }

    /// Something else is sent now; what is missing is taken for lost.
    pub(crate) const fn start(&mut self) {
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;
    use std::time::Duration;

    fn entry(name: &str, port: u16, online: bool) -> TableEntry {
        let addr = online.then(|| SocketAddr::from(([127, 0, 0, 1], port)));
        TableEntry { name: name.parse().unwrap(), addr, original: true }
    }

    #[test]
    fn datagrams_are_the_originals_byte_for_byte() {
        assert_eq!(ack(), br#"{"message": "ACK"}"#);
        assert_eq!(text("[REQUEST:REG] alice"), br#"{"message": "[REQUEST:REG] alice"}"#);
        let umlaut = "bob: hi alice, grüße";
        assert_eq!(text(umlaut), br#"{"message": "bob: hi alice, gr\u00fc\u00dfe"}"#);
        assert_eq!(text("\u{1f600}"), br#"{"message": "\ud83d\ude00"}"#);
        let alice = entry("alice", 55_929, true);
        let table = table(&alice.name, [&alice].into_iter());
        let expected =
            br#"{"message": {"alice": {"IP": "127.0.0.1", "port": 55929, "status": true}}}"#;
        assert_eq!(table, expected);
    }

    #[test]
    fn datagrams_are_understood() {
        assert_eq!(decode(&ack()), Some(Word::Ack));
        assert_eq!(decode(br#"{"message":"hi","x":1}"#), Some(Word::Text("hi".to_owned())));
        let (alice, bob) = (entry("alice", 1, true), entry("bob", 2, false));
        let bytes = table(&bob.name, [&alice, &bob].into_iter());
        assert_eq!(decode(&bytes), Some(Word::Table(vec![alice, bob])));
    }

    #[test]
    fn what_kills_the_original_means_nothing() {
        let brackets = format!("{{\"message\": {}", "[".repeat(3_000));
        for bytes in ["", "x", "{}", "[1]", "{\"message\": 5}", "{\"message\": null}", &brackets] {
            assert_eq!(decode(bytes.as_bytes()), None, "{bytes}");
        }
        assert_eq!(decode(&[b'{', 0xff, 0xfe]), None);
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        let word = |json: &[u8]| match decode(json) {
            Some(Word::Text(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(word(br#"{"message": "a\udcffb"}"#), "a\u{fffd}b");
        assert_eq!(word(br#"{"message": "\ud83d\ude00\ud83d"}"#), "\u{1f600}\u{fffd}");
        assert_eq!(word(br#"{"message": "\\udcff"}"#), "\\udcff");
    }

    #[test]
    fn requests_have_their_words() {
        assert_eq!(request("[REQUEST:REG] alice"), Some(Request::Register("alice")));
        assert_eq!(request("[REQUEST:REG] mary jane"), None);
        let save = Request::Save { from: "a", to: "b", text: "x  y" };
        assert_eq!(request("[REQUEST:SAVE] a b x  y"), Some(save));
        assert_eq!(request("[REQUEST:SAVE] a b"), None);
        assert_eq!(request(UNSEEN), None);
        assert_eq!(request("[request:reg] a"), None);
    }

    #[test]
    fn a_table_never_exceeds_what_the_original_receives() {
        let own = entry("zoe", 7, false);
        let others: Vec<_> = (0..200).map(|n| entry(&format!("client{n}"), n, n > 100)).collect();
        let bytes = table(&own.name, others.iter().chain([&own]));
        assert!(bytes.len() <= ORIGINAL_DATAGRAM_MAX);
        let Some(Word::Table(rows)) = decode(&bytes) else { panic!("no table") };
        assert!(rows.contains(&own) && rows.len() > 50);
        assert!(rows.iter().all(|row| row == &own || row.addr.is_some()));
    }

    #[test]
    fn copies_half_a_second_apart_are_repeats_and_others_are_not() {
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let mut repeats = Repeats::default();
        let heard: Vec<bool> = [0, 500, 1_005, 1_510, 2_010, 2_012]
            .into_iter()
            .map(|ms| repeats.note_repeat(at(ms), b"x"))
            .collect();
        assert_eq!(heard, [false, true, true, true, false, false]);
    }
}
