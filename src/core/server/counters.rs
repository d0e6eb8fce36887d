//! What a server counts for its operator: since it was started, and what is the case now.
//!
//! Plain numbers. Nothing decides by them.

use super::Server;
use crate::mutation::Mutations;

/// Counted since the server was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that arrived, whatever became of them.
    pub datagrams_in: u64,
    /// Datagrams that were sent.
    pub datagrams_out: u64,
    /// Of those, lost at once, for the socket had no room: its owner counts them, no machine.
    pub datagrams_lost: u64,
    /// Messages that were stored.
    pub stored: u64,
    /// Commits, whatever was in them: the more that happens, the more share one.
    pub commits: u64,
    /// Stored messages that were shown to their readers.
    pub handed_over: u64,
    /// Stored messages that nobody came for in time.
    pub expired: u64,
    /// Repetitions of what was done already: answered, and done once.
    pub duplicates: u64,
    /// Datagrams that were not obeyed.
    pub dropped: Dropped,
}

/// Datagrams that were not obeyed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Damaged on the way, or not of this protocol.
    pub damaged: u64,
    /// Of a session that is not, or from another address: answered with `unknown`.
    pub unknown: u64,
    /// A registration whose cookie is stale or forged.
    pub cookie: u64,
    /// A name in use, one name too many, or a message that cannot be stored: answered with no.
    pub refused: u64,
    /// Nothing that a server takes, or of the original's dialect when that is shut out.
    pub unwanted: u64,
    /// More than can be dealt with at a time; its sender repeats it.
    pub busy: u64,
}

/// What an operator wants to know at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Clients that are here.
    pub here: usize,
    /// Names that were ever registered.
    pub known: usize,
    /// Messages in the store.
    pub messages: usize,
    /// What was counted.
    pub counters: Counters,
}

impl<M: Mutations> Server<M> {
    /// What it has counted, and what is the case now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            here: self.presence.count(),
            known: self.cx.record().accounts.len(),
            messages: self.cx.record().messages(),
            counters: self.cx.counters,
        }
    }
}
