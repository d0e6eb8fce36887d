//! What the server knows of a client that is here. Nothing of it outlives a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Account;
use crate::machine::Path;
use crate::original::{Owed, Repeats};
use crate::protocol::{MessageId, Name, Nonce, SessionId, StreamId, StreamKey, Trip};
use crate::retransmission::{RoundTrips, Tries};
use crate::time::Time;

/// A client that is here.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    /// Where it is, and at which address of this machine it last asked.
    pub(super) path: Path,
    /// It has shown that it knows its session: now it may be sent more than it sends.
    pub(super) confirmed: bool,
    /// When it was last heard of.
    pub(super) heard: Time,
    /// The version of the table that it has; what follows was sent so often, up to `table_sent`.
    pub(super) table_at: u64,
    pub(super) table_sent: u64,
    pub(super) table_attempts: u32,
    /// When what is on its way of it was sent first.
    pub(super) table_first_at: Time,
    /// Full parts of the table seem not to pass.
    pub(super) narrow: bool,
    pub(super) probe: Option<Probe>,
    /// Stored messages on their way to it.
    pub(super) flight: BTreeMap<(Name, MessageId), Tries>,
    /// The streams of its own of which it is told now how far they were shown.
    pub(super) tells: BTreeMap<StreamId, Tell>,
    /// The round trip to it, and the same with its commits.
    trips: RoundTrips,
    /// What else there is to know if it speaks the original's dialect.
    pub(super) guest: Option<Guest>,
}

impl Session {
    pub(super) fn new(id: SessionId, path: Path, now: Time) -> Self {
        Self {
            id,
            path,
            confirmed: false,
            heard: now,
            table_at: 0,
            table_sent: 0,
            table_attempts: 0,
            table_first_at: Time::ZERO,
            narrow: false,
            probe: None,
            flight: BTreeMap::new(),
            tells: BTreeMap::new(),
            trips: RoundTrips::default(),
            guest: None,
        }
    }

    /// Its answer took so long.
    pub(super) fn measured(&mut self, trip: Trip, took: Duration) {
        self.trips.sample(trip, took);
    }

    /// How long its answer is waited for before it is sent the same again.
    pub(super) fn timeout(&self, trip: Trip) -> Duration {
        self.trips.timeout(trip)
    }

    /// The question that it has to answer.
    pub(super) fn probe_nonce(&self) -> Option<Nonce> {
        self.probe.as_ref().map(|probe| probe.nonce)
    }

    /// Whether it was sent this state of a table that nobody acknowledges.
    pub(super) const fn has_table(&self, version: u64) -> bool {
        self.table_sent == version && self.table_attempts > 0
    }

    /// Counts the copies of one state of a table that nobody acknowledges.
    pub(super) const fn next_table_copy(&mut self, version: u64) -> u32 {
        if self.table_sent != version {
            self.table_sent = version;
            self.table_attempts = 0;
        }
        self.table_attempts += 1;
        self.table_attempts
    }
}

/// A question that a client has to answer.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) nonce: Nonce,
    pub(super) asked: u32,
    pub(super) contender: Option<Contender>,
}

/// Who wants the name if its holder is silent.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) name: Name,
    pub(super) path: Path,
    pub(super) account: Account,
}

impl Probe {
    /// The first contender is served; a later registration of the same one replaces it.
    pub(super) fn is_open_to(&self, other: Option<&Contender>) -> bool {
        self.contender.as_ref().map(|own| own.account.token)
            == other.map(|other| other.account.token)
            || self.contender.is_none()
    }
}

/// The word on its way to a sender that a stream was shown up to a place, or expired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tell {
    pub(super) upto: u64,
    pub(super) tries: Tries,
}

/// What the server knows of a guest beyond its session.
#[derive(Debug, Default)]
pub(super) struct Guest {
    /// Whether it ever acknowledged anything on the second socket: it is there, and its address
    /// is its own.
    pub(super) hears_second: bool,
    /// What its next `ACK` on the second socket may be for.
    pub(super) owed: Owed,
    /// The message on its way to it: one, for an acknowledgement names none.
    pub(super) letter: Option<OnItsWay>,
    pub(super) repeats: Repeats,
    /// It has been handed messages since it last asked for them.
    pub(super) had_mail: bool,
    /// Its last message was not stored.
    pub(super) refused: bool,
}

#[derive(Clone, Debug)]
pub(super) struct OnItsWay {
    pub(super) key: StreamKey,
    pub(super) seq: u64,
    pub(super) attempts: u32,
    pub(super) next_at: Time,
    /// Whether it was sent where it is acknowledged.
    pub(super) on_second: bool,
}

impl Guest {
    /// Whether a message is on its way that it will acknowledge.
    pub(super) fn is_asked(&self) -> bool {
        self.letter.as_ref().is_some_and(|letter| letter.on_second)
    }
}
