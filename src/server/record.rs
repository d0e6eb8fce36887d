//! What a server keeps over a crash: names, mailboxes, and how far each stream has come.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::membership::{Answered, Membership};
use crate::protocol::{GroupTag, MessageId, Name, StoreId, StreamKey, Token};
use crate::store::Record;
use crate::time::WallTime;

/// The durable state of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRecord {
    /// This store's life.
    pub store: StoreId,
    /// Everyone who ever registered.
    pub accounts: BTreeMap<Name, Account>,
    /// What is kept for whom, in the order in which it came.
    pub mailboxes: BTreeMap<Name, VecDeque<Letter>>,
    /// How far each stream has come that ever went over the server.
    pub streams: BTreeMap<StreamKey, Progress>,
    /// How many messages are kept in all.
    pub letters: usize,
    /// Who belongs to which group.
    pub membership: Membership,
}

/// A name and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whoever shows it is the holder.
    pub token: Token,
    /// The holder's last registration.
    pub registration: u64,
    /// The address of an original client, which will not register again by itself.
    pub original: Option<SocketAddr>,
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The message.
    pub id: MessageId,
    /// Who sent it.
    pub from: Name,
    /// When it was stored.
    pub stored_at: WallTime,
    /// Whether it is a copy of a text to many, and of which.
    pub group: Option<GroupTag>,
    /// Its text, unread.
    pub body: Vec<u8>,
}

impl Letter {
    /// Its stream.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        StreamKey { from: self.from.clone(), stream: self.id.stream }
    }
}

/// How far a stream has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Who reads.
    pub to: Name,
    /// The place of the next message to store.
    pub next: u64,
    /// The last message that was shown to its reader.
    pub shown: u64,
    /// The last message of which the sender knows that it was shown.
    pub told: u64,
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
        /// What.
        letter: Letter,
    },
    /// Everything of a stream up to `seq` has been shown to its reader.
    Shown {
        /// The stream.
        key: StreamKey,
        /// The last message shown.
        seq: u64,
    },
    /// The sender knows that everything up to `seq` has been shown.
    Told {
        /// The stream.
        key: StreamKey,
        /// The last message told.
        seq: u64,
    },
    /// A stream that went over the server at some time is forgotten.
    Forgotten {
        /// The stream.
        key: StreamKey,
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
            Change::Stored { to, letter } => {
                let progress = self.streams.entry(letter.key()).or_insert_with(|| Progress {
                    to: to.clone(),
                    next: letter.id.seq,
                    shown: letter.id.seq - 1,
                    told: letter.id.seq - 1,
                });
                progress.next = letter.id.seq + 1;
                self.letters += 1;
                self.mailboxes.entry(to.clone()).or_default().push_back(letter.clone());
            }
            Change::Shown { key, seq } => self.shown(key, *seq),
            Change::Told { key, seq } => {
                if let Some(progress) = self.streams.get_mut(key) {
                    progress.told = progress.told.max(*seq);
                }
            }
            Change::Forgotten { key } => {
                self.streams.remove(key);
            }
            Change::Joined { group, member } => self.membership.join(group, member),
            Change::Left { group, member } => self.membership.leave(group, member),
            Change::GroupAnswered { name, answered } => self.membership.answer(name, *answered),
        }
    }
}

impl ServerRecord {
    fn shown(&mut self, key: &StreamKey, seq: u64) {
        let Some(progress) = self.streams.get_mut(key) else { return };
        progress.shown = progress.shown.max(seq);
        if let Some(mailbox) = self.mailboxes.get_mut(&progress.to) {
            let before = mailbox.len();
            mailbox.retain(|letter| letter.id.seq > seq || letter.key() != *key);
            self.letters -= before - mailbox.len();
            if mailbox.is_empty() {
                self.mailboxes.remove(&progress.to);
            }
        }
    }
}
