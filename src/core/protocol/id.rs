//! Identifiers that travel in packets.

use std::fmt;

use super::Name;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Declares a 64-bit identifier that is written as 16 hexadecimal digits, in JSON as a string:
/// other languages' JSON numbers lose integers above 2^53.
macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(hex(self.0, &mut [0; HEX_DIGITS]))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(hex(self.0, &mut [0; HEX_DIGITS]))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                parse_hex(&text).map(Self).ok_or_else(|| de::Error::custom("not 16 hex digits"))
            }
        }
    )*};
}

identifiers! {
    /// One sender's messages to one recipient, in the order sent. Drawn by the sender.
    StreamId
    /// What a client shows to have its name back from wherever it calls. Drawn by the client.
    Token
    /// One registration as the server granted it. Drawn by the server.
    SessionId
    /// Proof that an address receives what is sent to it. Computed by the server.
    Cookie
    /// One life of a server's table; its versions count only within it.
    TableId
    /// One life of a server's store: another one has forgotten what it was told to keep.
    StoreId
    /// Ties an answer to its question.
    Nonce
    /// One text to many: all of its copies show it. Drawn by the sender.
    CastId
}

/// Digits of 64 bits.
const HEX_DIGITS: usize = 16;

/// As `{:016x}`, for which most of the time of a packet would be needed.
fn hex(number: u64, digits: &mut [u8; HEX_DIGITS]) -> &str {
    for (at, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * at)) as usize & 0xf];
    }
    std::str::from_utf8(digits).unwrap_or_default()
}

fn parse_hex(text: &str) -> Option<u64> {
    let hex = text.len() == HEX_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// A message's name for all its life: over retransmission, detour and store.
///
/// `seq` counts from 1 in the sender's order. See docs/protocol.md, "Streams".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    /// Whose messages to whom.
    pub stream: StreamId,
    /// Which of them.
    pub seq: u64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream, self.seq)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text.split_once('-').and_then(|(stream, seq)| {
            Some(Self { stream: StreamId(parse_hex(stream)?), seq: seq.parse().ok()? })
        });
        parsed.ok_or_else(|| de::Error::custom("not a stream and a place"))
    }
}

/// A stream and whose it is. Ids are drawn by senders, so that nobody's id can be taken for
/// another's only together with the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamKey {
    /// Who sends.
    pub from: Name,
    /// Which of its streams.
    pub stream: StreamId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_its_stream_and_its_place_in_json() {
        let id = MessageId { stream: StreamId(0xab), seq: 12 };
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""00000000000000ab-12""#);
        assert_eq!(serde_json::from_str::<MessageId>(&json).unwrap(), id);
        for bad in [r#""ab-12""#, r#""00000000000000ab-""#, r#""00000000000000ab12""#, "12"] {
            assert!(serde_json::from_str::<MessageId>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers_are_sixteen_hex_digits_in_json() {
        let json = serde_json::to_string(&Token(0xabc)).unwrap();
        assert_eq!(json, r#""0000000000000abc""#);
        for number in [0, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(Token(number).to_string(), format!("{number:016x}"));
        }
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), Token(0xabc));
        for bad in [r#""abc""#, r#""+000000000000abc""#, "12", r#""000000000000000g""#] {
            assert!(serde_json::from_str::<Token>(bad).is_err(), "{bad}");
        }
    }
}
