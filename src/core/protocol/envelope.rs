//! The envelope of our packets: the seam between machines and transport.
//!
//! ```text
//! 0      1               5              7                 7 + n
//! | 'U'  | CRC-32 (BE)   | n (u16, BE)  | header, n bytes | body ...
//! ```
//!
//! The checksum (the one of zlib and Ethernet) covers everything behind it. The header is
//! `{"v":1,"packet":{"<kind>":{...}}}`, perhaps with [`Stamps`]; the body is the text of a message,
//! else empty. A first byte `{` is the original's dialect; others are free for sealed datagrams to
//! come.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{DATAGRAM_MAX, SEQ_MAX, TEXT_MAX};
use super::{MessageId, Packet};

/// The first byte of our datagrams.
pub const MARK: u8 = b'U';

/// The version of the protocol in the header.
pub const VERSION: u32 = 1;

const CHECKSUM_AT: usize = 1;
const LENGTH_AT: usize = 5;
const HEADER_AT: usize = 7;

/// Room for most headers. What is longer is moved once while it is written.
const HEADER_USUAL: usize = 192;

/// What measures round trips, as the time stamps of TCP do (RFC 7323, section 3): an answer echoes
/// when the datagram was sent that it answers, so that each repetition has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When it was sent, in milliseconds of its sender's own clock, which nobody else can read.
    pub sent_ms: Option<u64>,
    /// The stamp of what it answers.
    pub echo_ms: Option<u64>,
}

impl Stamps {
    fn are_in_range(self) -> bool {
        [self.sent_ms, self.echo_ms].into_iter().flatten().all(|stamp| stamp < SEQ_MAX)
    }

    /// How long the way there and back took, if this comes back at `now_ms` of the own clock. None
    /// from somebody who echoes what was never sent.
    #[must_use]
    pub fn round_trip(self, now_ms: u64) -> Option<Duration> {
        now_ms.checked_sub(self.echo_ms?).map(Duration::from_millis)
    }
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<u64>,
    packet: &'a Packet,
}

#[derive(Deserialize)]
struct HeaderIn {
    v: u32,
    #[serde(default)]
    sent: Option<u64>,
    #[serde(default)]
    echo: Option<u64>,
    packet: Packet,
}

/// Why a datagram is not one of ours; it counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Larger than any of ours.
    #[error("longer than {DATAGRAM_MAX} bytes")]
    TooLong,
    /// Too short, or the first byte is another's.
    #[error("not an envelope")]
    NoEnvelope,
    /// Damaged on the way.
    #[error("checksum does not match")]
    Checksum,
    /// Of another version, of an unknown kind, or not well formed.
    #[error("header is not understood")]
    Header,
    /// A body on a packet that has none, or longer than a text may be.
    #[error("body does not belong")]
    Body,
}

/// Puts a packet and its body into an envelope, without stamps.
#[must_use]
pub fn encode(packet: &Packet, body: &[u8]) -> Vec<u8> {
    encode_stamped(packet, Stamps::default(), body)
}

/// Puts a packet and its body into an envelope.
#[must_use]
pub fn encode_stamped(packet: &Packet, stamps: Stamps, body: &[u8]) -> Vec<u8> {
    let Stamps { sent_ms: sent, echo_ms: echo } = stamps;
    let mut bytes = Vec::with_capacity(HEADER_AT + HEADER_USUAL + body.len());
    bytes.push(MARK);
    bytes.resize(HEADER_AT, 0);
    serde_json::to_writer(&mut bytes, &HeaderOut { v: VERSION, sent, echo, packet })
        .expect("a packet holds nothing that JSON cannot express");
    let length = u16::try_from(bytes.len() - HEADER_AT).expect("headers are bounded by the limits");
    bytes[LENGTH_AT..HEADER_AT].copy_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    let checksum = crc32fast::hash(&bytes[LENGTH_AT..]);
    bytes[CHECKSUM_AT..LENGTH_AT].copy_from_slice(&checksum.to_be_bytes());
    debug_assert!(bytes.len() <= DATAGRAM_MAX, "{packet:?} makes {} bytes", bytes.len());
    bytes
}

/// Takes a packet and its body out of an envelope.
///
/// # Errors
///
/// [`Malformed`] for everything that [`encode`] did not make, or that was damaged since.
pub fn decode(bytes: &[u8]) -> Result<(Packet, &[u8]), Malformed> {
    decode_stamped(bytes).map(|(packet, _, body)| (packet, body))
}

/// Takes a packet, its stamps and its body out of an envelope.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_stamped(bytes: &[u8]) -> Result<(Packet, Stamps, &[u8]), Malformed> {
    let &[mark, c0, c1, c2, c3, ..] = bytes else { return Err(Malformed::NoEnvelope) };
    if bytes.len() > DATAGRAM_MAX {
        return Err(Malformed::TooLong);
    }
    if mark != MARK {
        return Err(Malformed::NoEnvelope);
    }
    if crc32fast::hash(&bytes[LENGTH_AT..]) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err(Malformed::Checksum);
    }
    open(bytes)
}

/// Reads what is in an envelope without asking whether it is damaged: for simulators, which want
/// to know what comes of it.
///
/// # Errors
///
/// It cannot be read.
pub fn open(bytes: &[u8]) -> Result<(Packet, Stamps, &[u8]), Malformed> {
    let &[_, _, _, _, _, l0, l1, ..] = bytes else { return Err(Malformed::NoEnvelope) };
    let header_end = HEADER_AT + usize::from(u16::from_be_bytes([l0, l1]));
    let header = bytes.get(HEADER_AT..header_end).ok_or(Malformed::Header)?;
    let body = &bytes[header_end..];
    let header: HeaderIn = serde_json::from_slice(header).map_err(|_| Malformed::Header)?;
    let stamps = Stamps { sent_ms: header.sent, echo_ms: header.echo };
    if header.v != VERSION || !stamps.are_in_range() || !in_range(&header.packet) {
        return Err(Malformed::Header);
    }
    let carries_text = matches!(
        header.packet,
        Packet::Message { .. } | Packet::Save { .. } | Packet::Deliver { .. }
    );
    if body.len() > if carries_text { TEXT_MAX } else { 0 } {
        return Err(Malformed::Body);
    }
    Ok((header.packet, stamps, body))
}

/// Whether numbers that count are such: everybody may count on and add one without a thought.
fn in_range(packet: &Packet) -> bool {
    match packet {
        Packet::Saved { messages, .. } => {
            return messages.iter().all(|message| (1..SEQ_MAX).contains(&message.seq));
        }
        Packet::Register { registration: number, .. }
        | Packet::Registered { registration: number, .. }
        | Packet::Wait { registration: number, .. }
        | Packet::Refused { registration: number, .. }
        | Packet::TableAck { version: number, .. }
        | Packet::GroupAsk { request: number, .. }
        | Packet::GroupAnswer { request: number, .. } => return *number < SEQ_MAX,
        Packet::Behind { registration, known, request, .. } => {
            return *registration <= *known && [*known, *request].iter().all(|it| *it < SEQ_MAX);
        }
        Packet::Table { from, to, latest, .. } => {
            return from <= to && to <= latest && *latest < SEQ_MAX;
        }
        Packet::Deliver { stored_at, .. } if stored_at.unix_ms() >= SEQ_MAX => return false,
        _ => {}
    }
    let Some(MessageId { seq, .. }) = packet.message() else { return true };
    let first = match *packet {
        Packet::Message { base, .. } | Packet::Save { base, .. } | Packet::Deliver { base, .. } => {
            base
        }
        _ => seq,
    };
    1 <= first && first <= seq && seq < SEQ_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::{NAMES_PER_ANSWER, SAVED_AT_ONCE, TABLE_ENTRIES_BYTES_MAX};
    use crate::protocol::{
        CastId, GroupAnswer, GroupTag, NAME_MAX, PacketKind, SessionId, StoreId, StreamId,
        TableEntry, TableId,
    };
    use crate::time::WallTime;

    fn ack() -> Packet {
        Packet::Ack { stream: StreamId(7), seq: 3 }
    }

    #[test]
    fn a_packet_comes_out_as_it_went_in() {
        let packet = Packet::Message {
            from: "Alice".parse().unwrap(),
            to: "bob".parse().unwrap(),
            stream: StreamId(u64::MAX),
            seq: 1,
            base: 1,
            group: None,
        };
        let bytes = encode(&packet, "hüllo".as_bytes());
        assert_eq!(decode(&bytes), Ok((packet, "hüllo".as_bytes())));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = encode(&ack(), b"");
        let header = br#"{"v":1,"packet":{"ack":{"stream":"0000000000000007","seq":3}}}"#;
        assert_eq!(bytes[0], b'U');
        assert_eq!(bytes[5..7], [0, u8::try_from(header.len()).unwrap()]);
        assert_eq!(&bytes[7..], header);
    }

    #[test]
    fn stamps_come_out_as_they_went_in() {
        let stamps = Stamps { sent_ms: Some(7), echo_ms: Some(3) };
        let bytes = encode_stamped(&ack(), stamps, b"");
        let header =
            br#"{"v":1,"sent":7,"echo":3,"packet":{"ack":{"stream":"0000000000000007","seq":3}}}"#;
        assert_eq!(&bytes[7..], header);
        assert_eq!(decode_stamped(&bytes), Ok((ack(), stamps, &b""[..])));
        assert_eq!(stamps.round_trip(5), Some(Duration::from_millis(2)));
        assert_eq!(stamps.round_trip(2), None, "of what was never sent");
        let beyond = Stamps { sent_ms: Some(SEQ_MAX), ..stamps };
        assert_eq!(decode(&encode_stamped(&ack(), beyond, b"")), Err(Malformed::Header));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(&ack(), b"");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode(&damaged).is_err(), "byte {at}, bit {bit}");
            }
            assert!(decode(&bytes[..at]).is_err(), "cut to {at}");
        }
    }

    /// Any header and body, with the checksum that belongs to them.
    fn sealed(header: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![MARK, 0, 0, 0, 0];
        bytes.extend_from_slice(&u16::try_from(header.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(body);
        let checksum = crc32fast::hash(&bytes[LENGTH_AT..]);
        bytes[CHECKSUM_AT..LENGTH_AT].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// Each kind of packet that counts anything, its ids left out. Every number in it counts.
    const COUNTING: &str = r#"
        register {"name":"a","token":ID,"registration":1,"nonce":ID,"cookie":ID}
        registered {"registration":1,"nonce":ID,"session":ID,"store":ID,"back":true}
        wait {"registration":1,"nonce":ID}
        refused {"registration":1,"nonce":ID,"reason":"name_in_use"}
        behind {"registration":1,"nonce":ID,"known":1,"request":1}
        table {"session":ID,"table":ID,"from":1,"to":1,"latest":1,"entries":[]}
        table_ack {"session":ID,"table":ID,"version":1}
        message {"from":"a","to":"b","stream":ID,"seq":1,"base":1}
        ack {"stream":ID,"seq":1}
        save {"session":ID,"to":"b","stream":ID,"seq":1,"base":1,"unreachable":false}
        not_saved {"stream":ID,"seq":1,"reason":"mailbox_full"}
        deliver {"session":ID,"from":"a","stream":ID,"seq":1,"base":1,"stored_at":1}
        shown {"session":ID,"from":"a","stream":ID,"seq":1}
        handed_over {"stream":ID,"seq":1}
        expired {"stream":ID,"seq":1}
        handed_over_ack {"session":ID,"stream":ID,"seq":1}
        group_ask {"session":ID,"request":1,"ask":{"create":"g"}}
        group_answer {"session":ID,"request":1,"answer":"done"}"#;

    #[test]
    fn a_number_that_counts_is_bounded_wherever_it_stands() {
        let header = |kind: &str, fields: &str| {
            let fields = fields.replace("ID", r#""0000000000000001""#);
            format!(r#"{{"v":1,"packet":{{"{kind}":{fields}}}}}"#)
        };
        for (kind, fields) in COUNTING.trim().lines().map(|it| it.trim().split_once(' ').unwrap()) {
            assert!(decode(&sealed(&header(kind, fields), b"")).is_ok(), "{kind}");
            for (at, _) in fields.match_indices(":1") {
                let (before, after) = (&fields[..at], &fields[at + 2..]);
                for number in [SEQ_MAX, u64::MAX] {
                    let fields = format!("{before}:{number}{after}");
                    let decoded = decode(&sealed(&header(kind, &fields), b"")).map(|_| ());
                    assert_eq!(decoded, Err(Malformed::Header), "{kind} {fields}");
                }
            }
        }
    }

    #[test]
    fn other_versions_kinds_and_misplaced_bodies_are_refused() {
        let ping = r#"{"v":1,"packet":{"ping":{"session":"0000000000000001"}}}"#;
        assert!(decode(&sealed(ping, b"")).is_ok());
        assert_eq!(decode(&sealed(ping, b"x")), Err(Malformed::Body));
        assert_eq!(decode(&sealed(&ping.replace(":1,", ":2,"), b"")), Err(Malformed::Header));
        assert_eq!(decode(&sealed(&ping.replace("ping", "pong!"), b"")), Err(Malformed::Header));
        assert_eq!(decode(&sealed(&"[".repeat(1_000), b"")), Err(Malformed::Header));
    }

    #[test]
    fn a_place_out_of_range_is_refused_wherever_it_stands() {
        let is_good = |seqs: &[u64]| {
            let id = |seq: &u64| MessageId { stream: StreamId(1), seq: *seq };
            let messages = seqs.iter().map(id).collect();
            decode(&encode(&Packet::Saved { store: StoreId(1), messages }, b"")).is_ok()
        };
        assert!(is_good(&[1]) && is_good(&[1, SEQ_MAX - 1]) && is_good(&[]));
        assert!(!is_good(&[0]) && !is_good(&[1, SEQ_MAX]) && !is_good(&[1, 0]));
    }

    #[test]
    fn the_largest_packets_fit_a_datagram() {
        let is_both = |kind: &PacketKind| kind.is_timed() && kind.measures().is_some();
        assert!(!PacketKind::ALL.iter().any(is_both), "no packet has two stamps");
        let longest = Stamps { sent_ms: Some(SEQ_MAX - 1), echo_ms: None };
        let encode = |packet: &Packet, body: &[u8]| encode_stamped(packet, longest, body);
        let name: crate::protocol::Name = "n".repeat(NAME_MAX).parse().unwrap();
        let (stream, seq, base) = (StreamId(1), SEQ_MAX - 1, SEQ_MAX - 1);
        let text = vec![b'x'; TEXT_MAX];
        let stored_at = WallTime::from_unix_ms(SEQ_MAX - 1);
        let group = Some(GroupTag { cast: CastId(1), name: Some(name.clone()) });
        for packet in [
            Packet::Message {
                from: name.clone(),
                to: name.clone(),
                stream,
                seq,
                base,
                group: group.clone(),
            },
            Packet::Deliver {
                session: SessionId(1),
                from: name.clone(),
                stream,
                seq,
                base,
                stored_at,
                group: group.clone(),
            },
            Packet::Save {
                session: SessionId(1),
                to: name.clone(),
                stream,
                seq,
                base,
                unreachable: false,
                group,
            },
        ] {
            assert!(encode(&packet, &text).len() <= DATAGRAM_MAX);
        }
        let id = MessageId { stream, seq };
        let saved = Packet::Saved { store: StoreId(1), messages: vec![id; SAVED_AT_ONCE] };
        assert!(encode(&saved, b"").len() <= DATAGRAM_MAX);
        let (session, request) = (SessionId(1), SEQ_MAX - 1);
        let names = vec![name.clone(); NAMES_PER_ANSWER];
        let answer = GroupAnswer::Names { names, more: false };
        let answer = Packet::GroupAnswer { session, request, answer };
        assert!(encode(&answer, b"").len() <= DATAGRAM_MAX);
        let addr = Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap());
        let entry = TableEntry { name, addr, original: true };
        let length = serde_json::to_vec(&entry).unwrap().len() + 1;
        let entries = vec![entry; TABLE_ENTRIES_BYTES_MAX / length];
        let (from, to, latest) = (SEQ_MAX - 1, SEQ_MAX - 1, SEQ_MAX - 1);
        let part = Packet::Table { session, table: TableId(1), from, to, latest, entries };
        assert!(encode(&part, b"").len() <= DATAGRAM_MAX);
    }
}
