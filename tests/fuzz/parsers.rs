//! Parsers: what they make of bytes can be written, and reads as the same.

use udpchat_core::client::ClientRecord;
use udpchat_core::protocol::limits::DATAGRAM_MAX;
use udpchat_core::protocol::{envelope, hello};
use udpchat_core::server::ServerRecord;
use udpchat_core::store::Rows;
use udpchat_core::{command, original};

/// A datagram, in each of the dialects.
pub(crate) fn datagram(bytes: &[u8]) {
    // Whatever its checksum: no fuzzer guesses it.
    let whole = Some(bytes).filter(|bytes| bytes.len() <= DATAGRAM_MAX);
    if let Some(Ok((packet, stamps, body))) = whole.map(envelope::open) {
        let written = envelope::encode_stamped(&packet, stamps, body);
        assert_eq!(envelope::decode_stamped(&written), Ok((packet, stamps, body)));
    }
    if let Some(nonce) = hello::decode(bytes) {
        assert_eq!(hello::decode(&hello::encode(nonce)), Some(nonce));
    }
    match original::decode(bytes) {
        Some(original::Word::Text(text)) => {
            if original::request(&text).is_none() {
                let written = original::text(&text);
                assert_eq!(original::decode(&written), Some(original::Word::Text(text)));
            }
        }
        Some(original::Word::Table(entries)) => {
            let own = "me".parse().expect("a name");
            assert!(original::decode(&original::table(&own, entries.iter())).is_some());
        }
        Some(original::Word::Ack) | None => {}
    }
}

/// A line that somebody types.
pub(crate) fn line(bytes: &[u8]) {
    let line = String::from_utf8_lossy(bytes);
    let _ = command::parse_at_prompt(&line);
    let _ = command::parse(&line);
}

/// A row of a store: the first byte says of which table, the second how long the key is.
pub(crate) fn row(bytes: &[u8]) {
    let &[table, key, ref rest @ ..] = bytes else { return };
    let (key, value) = rest.split_at(usize::from(key).min(rest.len()));
    take_row::<ServerRecord>(table, key, value);
    take_row::<ClientRecord>(table, key, value);
}

fn take_row<R: Rows>(table: u8, key: &[u8], value: &[u8]) {
    let table = R::TABLES[usize::from(table) % R::TABLES.len()];
    let told = R::tell_row(table, key, value).is_ok();
    let taken = R::default().take_row(table, key, value);
    // What a machine understands, people can be told.
    assert!(taken.is_err() || told, "{taken:?}");
    for format in 0..R::FORMAT {
        let _ = R::newer_rows(format, table, key, value);
    }
}
