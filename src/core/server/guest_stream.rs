//! The streams of guests, whose dialect has none: what they are called tells whose they are.

use std::ops::RangeInclusive;

use crate::original::hash;
use crate::protocol::{Name, StoreId, StreamId, StreamKey};

/// The bits of a guest's stream that tell it from one that was forgotten: a stream is forgotten so
/// rarely that the same ones are hardly ever drawn again, and the other bits are enough to know it
/// by.
pub(super) const GUEST_STREAM_DRAWN: u64 = u32::MAX as u64;

/// Whether a guest sent this stream: then nobody waits for a word of what became of it.
pub(super) fn is_stream(store: StoreId, key: &StreamKey, to: &Name) -> bool {
    streams(store, &key.from, to).contains(&key.stream)
}

/// What a guest's streams to a reader may be called.
pub(super) fn streams(store: StoreId, from: &Name, to: &Name) -> RangeInclusive<StreamId> {
    let first = hash(&(store.0, fold(from), fold(to))) & !GUEST_STREAM_DRAWN;
    StreamId(first)..=StreamId(first | GUEST_STREAM_DRAWN)
}

fn fold(name: &Name) -> String {
    name.as_str().to_ascii_lowercase()
}
