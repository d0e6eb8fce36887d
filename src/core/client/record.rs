//! What a client keeps over a crash: who it is, what it still has to send, what it has shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::history::{History, HistoryEntry, SentState};
use crate::protocol::limits::STREAMS_MAX;
use crate::protocol::{CastId, GroupTag, MessageId, Name, StoreId, StreamId, StreamKey, Token};
use crate::store::Record;
use crate::time::WallTime;

/// The durable state of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRecord {
    /// Whose it is.
    pub name: Option<Name>,
    /// Shown to the server to have the name back.
    pub token: Token,
    /// The server that it registered with last.
    pub home: Option<Home>,
    /// How often this client has registered.
    pub registrations: u64,
    /// What was typed and is not settled, by recipient.
    pub outgoing: BTreeMap<Name, Outgoing>,
    /// What was shown.
    pub shown: ShownStreams,
    /// What is wanted of groups and not answered, by number.
    pub wishes: BTreeMap<u64, Wish>,
    /// The number of the next wish: higher than any before.
    pub next_wish: u64,
    /// What was written.
    pub history: History,
}

/// A server, by where it is and by its store's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Where it is.
    pub server: SocketAddr,
    /// Its store.
    pub store: StoreId,
}

impl Home {
    /// Whether that is another server: one that has moved has its store, and one that has lost its
    /// store is where it was.
    pub(super) fn is_another_than(self, other: Self) -> bool {
        self.server != other.server && self.store != other.store
    }
}

/// One stream of messages to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The stream.
    pub stream: StreamId,
    /// The place of the next message.
    pub next_seq: u64,
    /// The messages that are not settled, by place.
    pub unsettled: BTreeMap<u64, Unsettled>,
}

/// A message that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Its text.
    pub text: String,
    /// When it was typed.
    pub typed_at: WallTime,
    /// Whether it is a copy of a text to many, and of which.
    pub group: Option<GroupTag>,
    /// Whether the user was told that the server keeps it: then they are told when it is read.
    pub saved: bool,
}

/// How far each stream was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownStreams {
    streams: BTreeMap<StreamKey, Reading>,
    by_use: BTreeMap<u64, StreamKey>,
    /// When each stream of a sender was used last.
    uses: BTreeMap<Name, BTreeSet<u64>>,
    /// How many streams a sender has, and when the one longest unused was used last: the last one
    /// is the first to lose a stream.
    by_count: BTreeSet<(usize, Reverse<u64>, Name)>,
}

/// How far one stream was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    /// The place of the next message.
    next: u64,
    /// When it was used last, as a number that rises with every use of any stream.
    used: u64,
}

/// Something wanted of groups that must not be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Make a group.
    Create(Name),
    /// Be in a group.
    Join(Name),
    /// Be out of a group.
    Leave(Name),
    /// Send a text to the other members of a group.
    Say {
        /// Which group.
        group: Name,
        /// The text's id.
        cast: CastId,
        /// The text.
        text: String,
    },
}

/// One step of a [`ClientRecord`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The client is registered with a server, perhaps another one than before.
    Arrived {
        /// Which.
        home: Home,
    },
    /// A registration begins.
    Registering {
        /// Its number.
        registration: u64,
    },
    /// A message was typed.
    Typed {
        /// Its recipient.
        to: Name,
        /// The message.
        id: MessageId,
        /// Its text.
        text: String,
        /// When.
        typed_at: WallTime,
        /// Whether it is a copy of a text to many, and of which.
        group: Option<GroupTag>,
    },
    /// The user was told that the server keeps a message.
    Saved {
        /// Its recipient.
        to: Name,
        /// Its place.
        seq: u64,
    },
    /// A message needs no further care.
    Settled {
        /// Its recipient.
        to: Name,
        /// Its place.
        seq: u64,
    },
    /// Everything before `next` has been shown or is skipped.
    Shown {
        /// The stream.
        key: StreamKey,
        /// The place of the next message.
        next: u64,
        /// Higher than with any change of this kind before.
        used: u64,
    },
    /// A stream is forgotten.
    Forgotten {
        /// The stream.
        key: StreamKey,
    },
    /// Something is wanted of groups.
    Wished {
        /// Its number.
        number: u64,
        /// What.
        wish: Wish,
    },
    /// Numbers of wishes below this one have been used.
    WishesAbove {
        /// The number of the next wish.
        next: u64,
    },
    /// Messages to somebody go under new ids from now on, those that wait among them.
    NewStream {
        /// The recipient.
        to: Name,
        /// The new stream.
        stream: StreamId,
        /// The place of the next message, as before.
        next_seq: u64,
    },
    /// A wish needs no further care.
    WishEnded {
        /// Its number.
        number: u64,
    },
    /// A message was typed or has come.
    HistoryEntry {
        /// Higher than that of any line before.
        number: u64,
        /// The message.
        line: HistoryEntry,
    },
    /// Everything that came before a line has been shown.
    Displayed {
        /// The line's number.
        next: u64,
    },
    /// Something has become of a message that the user sent.
    Outcome {
        /// Its line.
        number: u64,
        /// What.
        state: SentState,
    },
    /// A line is not needed any more.
    LineDropped {
        /// Which.
        number: u64,
    },
}

impl ClientRecord {
    /// A client that has never run.
    #[must_use]
    pub fn new(name: Name, token: Token) -> Self {
        Self { name: Some(name), token, ..Self::default() }
    }
}

impl ShownStreams {
    /// The place of the stream's next message, if the stream is known.
    #[must_use]
    pub fn next(&self, key: &StreamKey) -> Option<u64> {
        self.streams.get(key).map(|reading| reading.next)
    }

    /// How many streams are known.
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// A number that is higher than that of any use.
    #[must_use]
    pub fn next_use(&self) -> u64 {
        self.by_use.last_key_value().map_or(0, |(used, _)| used + 1)
    }

    /// The stream to forget before this one can be remembered, if any: of the sender who has most,
    /// so that nobody makes a reader forget what others sent, the one longest unused.
    #[must_use]
    pub fn in_the_way_of(&self, key: &StreamKey) -> Option<&StreamKey> {
        let (_, Reverse(used), _) = self.by_count.last().filter(|_| self.is_full_for(key))?;
        self.by_use.get(used)
    }

    /// The same, whoever's it is.
    pub(super) fn longest_unused(&self, key: &StreamKey) -> Option<&StreamKey> {
        self.by_use.values().next().filter(|_| self.is_full_for(key))
    }

    fn is_full_for(&self, key: &StreamKey) -> bool {
        self.streams.len() >= STREAMS_MAX && !self.streams.contains_key(key)
    }

    pub(super) fn set(&mut self, key: StreamKey, next: u64, used: u64) {
        let before = self.streams.insert(key.clone(), Reading { next, used });
        if let Some(before) = before {
            self.by_use.remove(&before.used);
        }
        self.count(&key.from, before.map(|before| before.used), Some(used));
        self.by_use.insert(used, key);
    }

    fn forget(&mut self, key: &StreamKey) {
        if let Some(reading) = self.streams.remove(key) {
            self.by_use.remove(&reading.used);
            self.count(&key.from, Some(reading.used), None);
        }
    }

    /// A stream of a sender was used then, and is used now.
    fn count(&mut self, from: &Name, before: Option<u64>, now: Option<u64>) {
        let mut uses = self.uses.remove(from).unwrap_or_default();
        if let Some(rank) = rank(from, &uses) {
            self.by_count.remove(&rank);
        }
        before.iter().for_each(|used| {
            uses.remove(used);
        });
        uses.extend(now);
        if let Some(rank) = rank(from, &uses) {
            self.by_count.insert(rank);
            self.uses.insert(from.clone(), uses);
        }
    }
}

/// Where a sender with such uses of streams stands among those who lose one.
fn rank(from: &Name, uses: &BTreeSet<u64>) -> Option<(usize, Reverse<u64>, Name)> {
    Some((uses.len(), Reverse(*uses.first()?), from.clone()))
}

impl Record for ClientRecord {
    type Change = Change;

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Arrived { home } => self.home = Some(*home),
            Change::Registering { registration } => self.registrations = *registration,
            Change::Typed { to, id, text, typed_at, group } => {
                let outgoing = self.outgoing.entry(to.clone()).or_insert_with(|| Outgoing {
                    stream: id.stream,
                    next_seq: id.seq,
                    unsettled: BTreeMap::new(),
                });
                let (text, group) = (text.clone(), group.clone());
                let unsettled = Unsettled { text, typed_at: *typed_at, group, saved: false };
                outgoing.unsettled.insert(id.seq, unsettled);
                outgoing.next_seq = id.seq + 1;
            }
            Change::Saved { to, seq } => {
                let outgoing = self.outgoing.get_mut(to);
                if let Some(message) = outgoing.and_then(|it| it.unsettled.get_mut(seq)) {
                    message.saved = true;
                }
            }
            Change::Settled { to, seq } => {
                if let Some(outgoing) = self.outgoing.get_mut(to) {
                    outgoing.unsettled.remove(seq);
                }
            }
            Change::Shown { key, next, used } => self.shown.set(key.clone(), *next, *used),
            Change::Forgotten { key } => self.shown.forget(key),
            Change::Wished { number, wish } => {
                self.wishes.insert(*number, wish.clone());
                self.next_wish = number + 1;
            }
            Change::WishesAbove { next } => self.next_wish = *next,
            Change::NewStream { to, stream, next_seq } => {
                if let Some(outgoing) = self.outgoing.get_mut(to) {
                    (outgoing.stream, outgoing.next_seq) = (*stream, *next_seq);
                }
            }
            Change::WishEnded { number } => {
                self.wishes.remove(number);
            }
            Change::HistoryEntry { number, line } => self.history.add(*number, line.clone()),
            Change::Displayed { next } => self.history.set_displayed(*next),
            Change::Outcome { number, state } => self.history.set_state(*number, *state),
            Change::LineDropped { number } => self.history.remove(*number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_with_most_loses_the_stream_longest_unused_first() {
        let key = |from: &str, stream| StreamKey {
            from: from.parse().unwrap(),
            stream: StreamId(stream),
        };
        let mut shown = ShownStreams::default();
        let set = |shown: &mut ShownStreams, key: StreamKey, next| {
            if let Some(other) = shown.in_the_way_of(&key).cloned() {
                shown.forget(&other);
            }
            let used = shown.next_use();
            shown.set(key, next, used);
        };
        set(&mut shown, key("bob", 0), 2);
        for n in 0..STREAMS_MAX as u64 - 1 {
            set(&mut shown, key("alice", n), 2);
        }
        set(&mut shown, key("alice", 0), 3);
        set(&mut shown, key("alice", u64::MAX), 2);
        assert_eq!(shown.next(&key("alice", 0)), Some(3));
        assert_eq!(shown.next(&key("mallory", 0)), None);
        assert_eq!(shown.next(&key("alice", 1)), None);
        assert_eq!(shown.next(&key("bob", 0)), Some(2));
        assert_eq!(shown.uses.values().map(BTreeSet::len).sum::<usize>(), STREAMS_MAX);
        assert_eq!(shown.by_count.len(), 2);
        assert_eq!((shown.streams.len(), shown.by_use.len()), (STREAMS_MAX, STREAMS_MAX));
    }
}
