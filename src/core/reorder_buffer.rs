//! Puts the messages of streams in order: keeps what came too early, and tells what came before,
//! which is how duplicates are suppressed (deduplication).
//!
//! The reader of messages and the server that stores them use the same rule
//! (docs/protocol.md, "Order"). How far a stream has come is its owner's to remember.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::protocol::limits::HELD_MAX;
use crate::protocol::{Name, StreamKey};
use crate::time::Time;

/// Streams with messages that wait for an earlier one. The one longest without news is dropped
/// first: its sender still has, and repeats, whatever was not acknowledged.
const WAITING_STREAMS_MAX: usize = 256;

/// A stream without news for so long is dropped: whoever still wanted its messages taken would have
/// repeated them several times, the longest pause being 4 s. They have come another way.
const NEWS_WITHIN: Duration = Duration::from_secs(15);

/// What came too early, by stream.
#[derive(Debug)]
pub(crate) struct ReorderBuffer<T> {
    held: BTreeMap<StreamKey, BTreeMap<u64, T>>,
    /// When each last had news, the oldest first.
    news: VecDeque<(Time, StreamKey)>,
}

/// What to do about a message that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival<T> {
    /// It was taken before: acknowledge it again.
    Old,
    /// An earlier one is missing: say nothing.
    Early,
    /// Take these, in this order.
    Ready(Vec<(u64, T)>),
}

impl<T> ReorderBuffer<T> {
    pub(crate) const fn new() -> Self {
        Self { held: BTreeMap::new(), news: VecDeque::new() }
    }

    /// A message has arrived now, and with it the word that everything before `base` is settled.
    /// `next` is the place of the stream's next message, if the stream is known.
    pub(crate) fn offer(
        &mut self,
        now: Time,
        next: Option<u64>,
        key: &StreamKey,
        seq: u64,
        base: u64,
        message: T,
    ) -> Arrival<T> {
        if next.is_some_and(|next| seq < next) {
            return Arrival::Old;
        }
        let mut next = next.unwrap_or(base).max(base);
        if seq - next >= HELD_MAX as u64 {
            return Arrival::Early;
        }
        if seq == next && !self.held.contains_key(key) {
            return Arrival::Ready(vec![(seq, message)]);
        }
        let mut held = self.take(key);
        held.insert(seq, message);
        held = held.split_off(&next);
        let mut ready = Vec::new();
        while let Some(message) = held.remove(&next) {
            ready.push((next, message));
            next += 1;
        }
        self.put(now, key, held);
        if ready.is_empty() { Arrival::Early } else { Arrival::Ready(ready) }
    }

    /// How many messages of how many streams wait.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.held.values().map(BTreeMap::len).sum(), self.held.len())
    }

    /// Lets go of everything of one sender, who still has, and repeats, what it still wants taken.
    pub(crate) fn forget_sender(&mut self, from: &Name) {
        self.held.retain(|key, _| key.from != *from);
        self.news.retain(|(_, key)| key.from != *from);
    }

    /// Lets go of streams that have had no news for long.
    pub(crate) fn expire(&mut self, now: Time) {
        while self.news.front().is_some_and(|(news, _)| *news + NEWS_WITHIN <= now) {
            if let Some((_, key)) = self.news.pop_front() {
                self.held.remove(&key);
            }
        }
    }

    /// Panics if something does not hold that must between two inputs. `next` is the place of a
    /// stream's next message, if the stream is known.
    pub(crate) fn check_invariants(&self, next: impl Fn(&StreamKey) -> Option<u64>) {
        assert!(self.held.len() <= WAITING_STREAMS_MAX, "{} streams are held", self.held.len());
        assert_eq!(self.news.len(), self.held.len(), "streams with news, and held");
        for (_, key) in &self.news {
            let held = self.held.get(key).expect("what has news is held");
            assert!((1..=HELD_MAX).contains(&held.len()), "{} held of one stream", held.len());
            let first = held.first_key_value().map(|(seq, _)| *seq);
            assert!(first > next(key), "{first:?} is not early");
        }
    }

    fn take(&mut self, key: &StreamKey) -> BTreeMap<u64, T> {
        let held = self.held.remove(key);
        if held.is_some() {
            self.news.retain(|(_, other)| other != key);
        }
        held.unwrap_or_default()
    }

    fn put(&mut self, now: Time, key: &StreamKey, held: BTreeMap<u64, T>) {
        if held.is_empty() {
            return;
        }
        self.held.insert(key.clone(), held);
        self.news.push_back((now, key.clone()));
        if self.news.len() > WAITING_STREAMS_MAX
            && let Some((_, first)) = self.news.pop_front()
        {
            self.held.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StreamId;

    fn key(stream: u64) -> StreamKey {
        StreamKey { from: "alice".parse().unwrap(), stream: StreamId(stream) }
    }

    fn offer(
        reorder_buffer: &mut ReorderBuffer<()>,
        next: Option<u64>,
        seq: u64,
        base: u64,
    ) -> Vec<u64> {
        match reorder_buffer.offer(Time::ZERO, next, &key(1), seq, base, ()) {
            Arrival::Ready(ready) => ready.into_iter().map(|(seq, ())| seq).collect(),
            Arrival::Early | Arrival::Old => Vec::new(),
        }
    }

    #[test]
    fn an_early_message_waits_for_the_missing_one() {
        let mut reorder_buffer = ReorderBuffer::new();
        assert_eq!(offer(&mut reorder_buffer, Some(1), 2, 1), [0_u64; 0]);
        assert_eq!(offer(&mut reorder_buffer, Some(1), 3, 1), [0_u64; 0]);
        assert_eq!(offer(&mut reorder_buffer, Some(1), 1, 1), [1, 2, 3]);
        assert!(reorder_buffer.held.is_empty() && reorder_buffer.news.is_empty());
    }

    #[test]
    fn a_stream_without_news_is_let_go() {
        let mut reorder_buffer = ReorderBuffer::new();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut early = |now, stream| {
            let arrival = reorder_buffer.offer(now, Some(1), &key(stream), 2, 1, ());
            assert_eq!(arrival, Arrival::Early);
            reorder_buffer.expire(now);
            reorder_buffer.len()
        };
        assert_eq!(early(at(0), 1), (1, 1));
        assert_eq!(early(at(1), 2), (2, 2));
        assert_eq!(early(at(14), 1), (2, 2));
        assert_eq!(early(at(16), 3), (2, 2), "the second is gone");
        assert_eq!(offer(&mut reorder_buffer, Some(1), 1, 1), [1, 2], "the first is not");
    }

    #[test]
    fn what_is_held_of_one_sender_can_be_let_go() {
        let mut reorder_buffer = ReorderBuffer::new();
        assert_eq!(offer(&mut reorder_buffer, Some(1), 2, 1), [0_u64; 0]);
        reorder_buffer.forget_sender(&"bob".parse().unwrap());
        assert_eq!(reorder_buffer.len(), (1, 1));
        reorder_buffer.forget_sender(&"alice".parse().unwrap());
        assert_eq!(reorder_buffer.len(), (0, 0));
        assert_eq!(offer(&mut reorder_buffer, Some(1), 1, 1), [1]);
    }

    /// What is held anew of a sender that was let go is dropped for its own age only.
    #[test]
    fn what_is_held_again_of_a_sender_that_was_let_go_is_not_dropped_early() {
        let mut reorder_buffer = ReorderBuffer::new();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        assert_eq!(reorder_buffer.offer(at(0), Some(1), &key(1), 2, 1, ()), Arrival::Early);
        reorder_buffer.forget_sender(&"alice".parse().unwrap());
        assert_eq!(reorder_buffer.offer(at(14), Some(1), &key(1), 2, 1, ()), Arrival::Early);
        reorder_buffer.expire(at(16));
        assert_eq!(reorder_buffer.len(), (1, 1));
        reorder_buffer.expire(at(29));
        assert_eq!(reorder_buffer.len(), (0, 0));
    }

    #[test]
    fn what_the_sender_has_settled_is_not_waited_for() {
        let mut reorder_buffer = ReorderBuffer::new();
        assert_eq!(offer(&mut reorder_buffer, Some(1), 3, 1), [0_u64; 0]);
        assert_eq!(offer(&mut reorder_buffer, Some(1), 4, 3), [3, 4]);
    }

    #[test]
    fn an_unknown_stream_begins_where_its_sender_says() {
        let mut reorder_buffer = ReorderBuffer::new();
        assert_eq!(offer(&mut reorder_buffer, None, 8, 7), [0_u64; 0]);
        assert_eq!(offer(&mut reorder_buffer, None, 7, 7), [7, 8]);
    }

    #[test]
    fn an_old_message_is_known_as_such_even_with_an_old_base() {
        let mut reorder_buffer: ReorderBuffer<()> = ReorderBuffer::new();
        assert_eq!(reorder_buffer.offer(Time::ZERO, Some(5), &key(1), 4, 2, ()), Arrival::Old);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut reorder_buffer = ReorderBuffer::new();
        let far = 1 + HELD_MAX as u64;
        assert_eq!(offer(&mut reorder_buffer, Some(1), far, 1), [0_u64; 0]);
        assert!(reorder_buffer.held.is_empty());
        for n in 0..2 * WAITING_STREAMS_MAX as u64 {
            assert_eq!(
                reorder_buffer.offer(Time::ZERO, Some(1), &key(n), 2, 1, ()),
                Arrival::Early
            );
        }
        assert_eq!(reorder_buffer.held.len(), WAITING_STREAMS_MAX);
        assert_eq!(reorder_buffer.news.len(), WAITING_STREAMS_MAX);
    }
}
