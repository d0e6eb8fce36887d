//! What a server keeps over a crash: names, mailboxes, and how far each stream has come.
//!
//! How it is written row by row is in [`super::rows`].

mod invariants;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(super) use invariants::CHECKED_MAX;

use super::membership::{Answered, Membership};
use crate::protocol::{GroupTag, MessageId, Name, StoreId, StreamId, StreamKey, Token};
use crate::store::Record;
use crate::time::WallTime;

/// The durable state of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRecord {
    /// This store's life.
    pub store: StoreId,
    /// Everyone who ever registered.
    pub accounts: BTreeMap<Name, Account>,
    /// What is kept for whom, by rising number. No mailbox is empty.
    mailboxes: BTreeMap<Name, VecDeque<StoredMessage>>,
    /// How far each stream has come that ever went over the server.
    streams: BTreeMap<StreamKey, Progress>,
    /// The streams of which nothing is stored; first those whose senders know all about them.
    idle: BTreeSet<(bool, StreamKey)>,
    /// How many messages are kept in all.
    messages: usize,
    /// How many of each sender.
    by_sender: BTreeMap<Name, usize>,
    /// How long this server had run, all its lives together, when that was written down last. The
    /// age of messages counts by this, so that no set clock makes them old.
    pub uptime: Duration,
    /// How long the server had run when a name's holder was known to be here last; from the start
    /// on if nothing is said.
    seen: BTreeMap<Name, Duration>,
    /// Who belongs to which group.
    pub membership: Membership,
}

/// A name and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whoever shows it is the holder; [`Account::GUEST`] if nobody has one to show.
    pub token: Token,
    /// The holder's last registration.
    pub registration: u64,
    /// The address of an original client, which will not register again by itself.
    pub original: Option<SocketAddr>,
}

/// A stored message. There may be a million of them: every byte counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place among all messages of the store. Numbers rise, so that a store appends.
    pub number: u64,
    /// The message.
    pub id: MessageId,
    /// Who sent it.
    pub from: Name,
    /// When it was stored.
    pub stored_at: WallTime,
    /// How long the server had run then, all its lives together, in milliseconds.
    pub stored_after_ms: u64,
    /// Whether it is a copy of a text to many, and of which.
    pub group: Option<Box<GroupTag>>,
    /// Its text, unread.
    pub body: Box<[u8]>,
}

impl StoredMessage {
    /// Its stream.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        StreamKey { from: self.from.clone(), stream: self.id.stream }
    }

    fn is_of(&self, key: &StreamKey) -> bool {
        self.id.stream == key.stream && self.from == key.from
    }
}

/// How far a stream has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How far, but for what is stored.
    pub standing: Standing,
    /// The place of the next message to store.
    pub next: u64,
    /// How many messages are stored.
    waiting: u32,
}

/// How far a stream has come, as far as its stored messages do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who reads.
    pub to: Name,
    /// The last message that was shown to its reader, or has expired.
    pub settled: u64,
    /// The last message of which the sender knows that.
    pub told: u64,
    /// What the sender does not know yet: what became of all in between, in turns.
    pub untold: Vec<Turn>,
}

/// Messages of one stream with the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The last of them.
    pub upto: u64,
    /// How it ended.
    pub end: End,
}

/// How the keeping of a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It was shown to its reader.
    Shown,
    /// It was kept for as long as the server keeps anything.
    Expired,
}

impl Standing {
    fn settle(&mut self, seq: u64, end: End) {
        if seq <= self.settled {
            return;
        }
        self.settled = seq;
        match self.untold.last_mut().filter(|last| last.end == end) {
            Some(last) => last.upto = seq,
            None => self.untold.push(Turn { upto: seq, end }),
        }
    }

    fn tell(&mut self, seq: u64) {
        self.told = self.told.max(seq);
        self.untold.retain(|turn| turn.upto > seq);
    }
}

/// One step of a [`ServerRecord`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A name has a (new) holder, or its holder has come back.
    Registered {
        /// The name, as its holder writes it.
        name: Name,
        /// Whose it is.
        account: Account,
    },
    /// A message is stored.
    Stored {
        /// For whom.
        to: Name,
        /// What. Its number is higher than that of any message before.
        message: StoredMessage,
    },
    /// Messages have been shown to their reader, or have expired.
    Settled {
        /// The stream.
        key: StreamKey,
        /// How far it has come now.
        standing: Standing,
        /// The numbers of the messages that are not needed any more.
        messages: Vec<u64>,
    },
    /// The sender knows what has become of messages.
    Told {
        /// The stream.
        key: StreamKey,
        /// How far it has come now.
        standing: Standing,
    },
    /// A stream that went over the server at some time is forgotten. Nothing of it is stored.
    Forgotten {
        /// The stream.
        key: StreamKey,
    },
    /// The server has run for so long, all its lives together.
    Ran {
        /// How long.
        uptime: Duration,
    },
    /// A group, perhaps a new one, has a member more.
    Joined {
        /// Which group.
        group: Name,
        /// Who.
        member: Name,
    },
    /// A group has a member less. Without any it is gone.
    Left {
        /// Which group.
        group: Name,
        /// Who.
        member: Name,
    },
    /// A group that is new counts for who has made it.
    Made {
        /// Which group.
        group: Name,
        /// Who.
        maker: Name,
    },
    /// A group counts for nobody: it is gone, or who made it is known no more.
    Unmade {
        /// Which group.
        group: Name,
    },
    /// A name's holder was here lately.
    Seen {
        /// Whose.
        name: Name,
        /// How long the server had run then, all its lives together.
        uptime: Duration,
    },
    /// A name is known no more. It is in no group, and nothing is kept for it.
    NameForgotten {
        /// Which.
        name: Name,
    },
    /// A client's request about groups is answered.
    GroupAnswered {
        /// Whose.
        name: Name,
        /// Which request, and how.
        answered: Answered,
    },
}

impl ServerRecord {
    /// A server that has never run.
    #[must_use]
    pub fn new(store: StoreId) -> Self {
        Self { store, ..Self::default() }
    }

    /// What is kept for a reader, in the order in which it came.
    #[must_use]
    pub fn mailbox(&self, reader: &Name) -> Option<&VecDeque<StoredMessage>> {
        self.mailboxes.get(reader)
    }

    /// All mailboxes that hold anything, sorted by reader.
    pub fn mailboxes(&self) -> impl Iterator<Item = (&Name, &VecDeque<StoredMessage>)> {
        self.mailboxes.iter()
    }

    /// How many messages are kept in all.
    #[must_use]
    pub const fn messages(&self) -> usize {
        self.messages
    }

    /// How many messages are kept for one reader.
    #[must_use]
    pub fn messages_for(&self, reader: &Name) -> usize {
        self.mailbox(reader).map_or(0, VecDeque::len)
    }

    /// How many messages of one sender are kept for one reader, if that may be as many as `least`;
    /// no mailbox is searched that is too small for that.
    #[must_use]
    pub fn messages_between(&self, sender: &Name, reader: &Name, least: usize) -> usize {
        let mailbox = self.mailbox(reader).filter(|messages| messages.len() >= least);
        mailbox.into_iter().flatten().filter(|message| message.from == *sender).count()
    }

    /// How many messages of one sender are kept.
    #[must_use]
    pub fn messages_of(&self, sender: &Name) -> usize {
        self.by_sender.get(sender).copied().unwrap_or(0)
    }

    /// How long this server has run, all its lives together, as far as anything tells.
    #[must_use]
    pub fn last_uptime(&self) -> Duration {
        let last = self.mailboxes.values().filter_map(|messages| messages.back());
        let last = last.map(|message| Duration::from_millis(message.stored_after_ms));
        last.fold(self.uptime, Duration::max)
    }

    /// How long the server had run when a name's holder was known to be here last.
    #[must_use]
    pub fn seen(&self, name: &Name) -> Duration {
        self.seen.get(name).copied().unwrap_or_default()
    }

    /// How far a stream has come that went over the server.
    #[must_use]
    pub fn stream(&self, key: &StreamKey) -> Option<&Progress> {
        self.streams.get(key)
    }

    /// The first stream of a sender whose id is one of these.
    #[must_use]
    pub fn stream_among(&self, from: &Name, ids: RangeInclusive<StreamId>) -> Option<&StreamKey> {
        let key = |stream: &StreamId| StreamKey { from: from.clone(), stream: *stream };
        let among = self.streams.range(key(ids.start())..=key(ids.end()));
        among.map(|(key, _)| key).next()
    }

    /// All streams that ever went over the server and are not forgotten, sorted by sender.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = (&StreamKey, &Progress)> {
        self.streams.iter()
    }

    /// A stream of which nothing is stored, best one whose sender knows it.
    #[must_use]
    pub fn idle_stream(&self) -> Option<&StreamKey> {
        self.idle.first().map(|(_, key)| key)
    }

    /// The first stream of a sender of which nothing is stored, and of which its sender does not
    /// know all.
    #[must_use]
    pub fn untold_idle_stream_of(&self, from: &Name) -> Option<&StreamKey> {
        let first = (true, StreamKey { from: from.clone(), stream: StreamId(0) });
        let (_, key) = self.idle.range(first..).next()?;
        (key.from == *from).then_some(key)
    }

    /// A number that is higher than that of any message.
    #[must_use]
    pub fn next_message(&self) -> u64 {
        let last = self.mailboxes.values().filter_map(|messages| messages.back());
        last.map(|message| message.number + 1).max().unwrap_or(0)
    }

    /// The step that ends the keeping of everything of a stream up to `seq`.
    #[must_use]
    pub fn settling(&self, key: &StreamKey, seq: u64, end: End) -> Option<Change> {
        let progress = self.streams.get(key)?;
        let mut standing = progress.standing.clone();
        standing.settle(seq, end);
        let messages = self.messages_up_to(key, progress, seq);
        Some(Change::Settled { key: key.clone(), standing, messages })
    }

    /// The step that takes the sender of a stream for knowing everything up to `seq`.
    #[must_use]
    pub fn telling(&self, key: &StreamKey, seq: u64) -> Option<Change> {
        let mut standing = self.streams.get(key)?.standing.clone();
        standing.tell(seq);
        Some(Change::Told { key: key.clone(), standing })
    }

    /// The numbers of a stream's messages up to a place. They are near the front, for readers are
    /// handed the front: this looks no further than it must.
    fn messages_up_to(&self, key: &StreamKey, progress: &Progress, seq: u64) -> Vec<u64> {
        let mailbox = self.mailboxes.get(&progress.standing.to);
        let own = mailbox.into_iter().flatten().filter(|message| message.is_of(key));
        let stored = own.take(progress.waiting as usize);
        stored.take_while(|message| message.id.seq <= seq).map(|message| message.number).collect()
    }
}

impl Record for ServerRecord {
    type Change = Change;

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Registered { name, account } => {
                // Out and in: the name is shown as it was registered last.
                self.accounts.remove(name);
                self.accounts.insert(name.clone(), *account);
            }
            Change::Stored { to, message } => self.keep(to, message.clone()),
            Change::Settled { key, standing, messages } => {
                self.remove(&standing.to, messages);
                self.set_standing(key.clone(), standing.clone(), messages.len());
            }
            Change::Told { key, standing } => self.set_standing(key.clone(), standing.clone(), 0),
            Change::Forgotten { key } => {
                self.unmark_idle(key);
                self.streams.remove(key);
            }
            Change::Ran { uptime } => self.uptime = *uptime,
            Change::Joined { group, member } => self.membership.join(group, member),
            Change::Left { group, member } => self.membership.leave(group, member),
            Change::Made { group, maker } => self.membership.made(group, maker),
            Change::Unmade { group } => self.membership.unmade(group),
            Change::Seen { name, uptime } => self.see(name, *uptime),
            Change::NameForgotten { name } => {
                self.accounts.remove(name);
                self.seen.remove(name);
                self.membership.forget(name);
            }
            Change::GroupAnswered { name, answered } => self.membership.answer(name, *answered),
        }
    }
}

impl ServerRecord {
    pub(super) fn see(&mut self, name: &Name, uptime: Duration) {
        self.seen.insert(name.clone(), uptime);
    }

    pub(super) fn keep(&mut self, to: &Name, message: StoredMessage) {
        let (key, seq) = (message.key(), message.id.seq);
        let progress = self.streams.entry(key.clone()).or_insert_with(|| {
            let (settled, untold) = (seq - 1, Vec::new());
            let standing = Standing { to: to.clone(), settled, told: settled, untold };
            Progress { standing, next: seq, waiting: 0 }
        });
        let was_idle = progress.waiting == 0;
        progress.next = seq + 1;
        progress.waiting += 1;
        if was_idle {
            self.unmark_idle(&key);
        }
        self.messages += 1;
        *self.by_sender.entry(message.from.clone()).or_default() += 1;
        let mailbox = self.mailboxes.entry(to.clone()).or_default();
        if mailbox.len() == mailbox.capacity() {
            // By a quarter: doubled, a third of the room would be for nothing.
            mailbox.reserve_exact((mailbox.len() / 4).max(2));
        }
        mailbox.push_back(message);
    }

    fn remove(&mut self, reader: &Name, numbers: &[u64]) {
        let Some(mailbox) = self.mailboxes.get_mut(reader) else { return };
        for number in numbers {
            if let Ok(at) = mailbox.binary_search_by_key(number, |message| message.number) {
                let message = mailbox.remove(at);
                self.messages -= 1;
                if let Some(message) = message {
                    forget_one(&mut self.by_sender, &message.from);
                }
            }
        }
        if mailbox.is_empty() {
            self.mailboxes.remove(reader);
        } else if mailbox.len() * 4 < mailbox.capacity() {
            mailbox.shrink_to(mailbox.len() * 2);
        }
    }

    /// A stream stands so now, and so many of its messages are gone.
    pub(super) fn set_standing(&mut self, key: StreamKey, standing: Standing, gone: usize) {
        let untold = standing.told < standing.settled;
        let progress = self.streams.entry(key.clone()).or_insert_with(|| Progress {
            next: standing.settled + 1,
            standing: standing.clone(),
            waiting: 0,
        });
        progress.standing = standing;
        progress.next = progress.next.max(progress.standing.settled + 1);
        progress.waiting -= u32::try_from(gone).unwrap_or(u32::MAX).min(progress.waiting);
        let is_idle = progress.waiting == 0;
        self.unmark_idle(&key);
        if is_idle {
            self.idle.insert((untold, key));
        }
    }

    fn unmark_idle(&mut self, key: &StreamKey) {
        for untold in [false, true] {
            self.idle.remove(&(untold, key.clone()));
        }
    }
}

/// Counts a sender's message out.
fn forget_one(by_sender: &mut BTreeMap<Name, usize>, sender: &Name) {
    if let Some(count) = by_sender.get_mut(sender) {
        *count -= 1;
        if *count == 0 {
            by_sender.remove(sender);
        }
    }
}
