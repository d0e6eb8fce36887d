//! The messages to one recipient, in order, each with the stage that it has reached.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::timing::{
    DIRECT_PATIENCE, DIRECT_PATIENCE_MAX, KNOCK, SAVED_SAID_AFTER, UNSENT_AFTER,
};
use crate::client::{DetourReason, UnsentReason};
use crate::protocol::{GroupTag, Nonce};
use crate::retransmission::{RoundTrip, Tries};
use crate::time::Time;

/// The messages to one recipient.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    pub(super) entries: BTreeMap<u64, Entry>,
    /// The address that lately did not acknowledge anything, if there is one.
    pub(super) unreachable: Option<Unreachable>,
    /// When anything was settled or saved last.
    progress: Time,
    /// When anything came from the recipient last, and how long the way there and back takes.
    heard: Time,
    trip: RoundTrip,
    /// Why the server did not take what it was asked for last, if nothing has been taken since.
    pub(super) refused: Option<UnsentReason>,
    /// The recipient has been in a table: only a server that lost its memory does not know it.
    pub(super) was_listed: bool,
    /// Whether its first message passes at its size is in doubt.
    pub(super) doubt: Option<Doubt>,
}

/// An address that did not acknowledge, and the reachability probe at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreachable {
    pub(super) addr: SocketAddr,
    pub(super) nonce: Nonce,
    probes: u32,
    next_probe: Time,
}

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) stage: Stage,
    typed_at: Time,
    /// What the user was told of it.
    pub(super) told: Reported,
    /// Whether it is a copy of a text to many, and of which.
    pub(super) group: Option<GroupTag>,
}

/// How far a message is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Behind others.
    Queued,
    /// Sent to the recipient, last to this address.
    Direct { to: SocketAddr, tries: Tries },
    /// Sent to the server.
    Server { tries: Tries },
    /// In the server's store, as is known since then.
    Saved { since: Time },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reported {
    Nothing,
    Unsent,
    Saved,
}

impl Unreachable {
    /// From now on: the first probe goes out later.
    pub(super) fn new(addr: SocketAddr, nonce: Nonce, now: Time) -> Self {
        Self { addr, nonce, probes: 0, next_probe: now + KNOCK }
    }

    /// How often it has been probed, this time included, if it is time.
    pub(super) fn probe(&mut self, now: Time) -> Option<u32> {
        if self.next_probe > now {
            return None;
        }
        self.next_probe = now + KNOCK;
        self.probes += 1;
        Some(self.probes)
    }
}

impl Entry {
    /// A message that has not been sent.
    pub(super) const fn new(typed_at: Time, group: Option<GroupTag>) -> Self {
        Self { stage: Stage::Queued, typed_at, told: Reported::Nothing, group }
    }

    /// A message that an earlier life said was saved. It does not go another way, for it would
    /// overtake what the server may have.
    pub(super) fn saved_before(group: Option<GroupTag>) -> Self {
        let stage = Stage::Server { tries: Tries::from(Time::ZERO) };
        Self { stage, typed_at: Time::ZERO, told: Reported::Saved, group }
    }

    pub(super) const fn is_with_server(&self) -> bool {
        matches!(self.stage, Stage::Server { .. } | Stage::Saved { .. })
    }

    pub(super) const fn is_saved(&self) -> bool {
        matches!(self.stage, Stage::Saved { .. })
    }

    /// Whether the server has been asked to keep it, and has not said anything.
    pub(super) const fn is_asked_for(&self) -> bool {
        matches!(self.stage, Stage::Server { tries } if tries.attempts() > 0)
    }

    /// Whether it was sent to the recipient, and nothing else.
    pub(super) const fn is_sent_directly(&self) -> bool {
        matches!(self.stage, Stage::Direct { tries, .. } if tries.attempts() > 0)
    }

    /// Since when the server keeps it, if the user does not know.
    pub(super) fn saved_untold(&self) -> Option<Time> {
        match self.stage {
            Stage::Saved { since } if self.told != Reported::Saved => Some(since),
            _ => None,
        }
    }

    /// Whether it has no outcome: nobody has it for sure, and the user was told nothing.
    fn is_untold(&self) -> bool {
        self.told == Reported::Nothing && !self.is_saved()
    }

    /// Why nothing is known of it, of a server that answers. `is_first`: nothing is before it.
    const fn why_unknown(&self, is_first: bool) -> UnsentReason {
        if is_first || self.is_sent_directly() || self.is_asked_for() {
            UnsentReason::NoAnswer
        } else {
            UnsentReason::BehindOthers
        }
    }
}

impl DetourReason {
    /// The reason of one message of a queue that failed: the others only go the same way.
    fn of(self, stage: Stage, heard: Time, now: Time) -> Self {
        match (self, stage) {
            (Self::NoAck, Stage::Direct { tries, .. }) if is_exhausted(tries, heard, now) => self,
            (Self::NoAck, _) => Self::Earlier,
            _ => self,
        }
    }
}

/// The doubt whether the first message of a queue passes at its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) seq: u64,
    pub(super) nonce: Nonce,
    /// How many hellos of its size were lost while the server answered.
    pub(super) lost: u32,
    /// How many pings were answered before the last of them was sent.
    pub(super) pongs: u64,
    pub(super) sent: u32,
    /// The next one is to be sent, and is so long, in bytes.
    pub(super) due: Option<usize>,
}

impl SendQueue {
    /// A queue that an earlier life has left: somebody whom a server did not know would have been
    /// refused in that.
    pub(super) fn restored(entries: BTreeMap<u64, Entry>) -> Self {
        let was_listed = !entries.is_empty();
        Self { entries, was_listed, ..Self::default() }
    }

    /// Something came from the recipient, perhaps an answer that took so long.
    pub(super) fn heard(&mut self, now: Time, round_trip: Option<Duration>) {
        self.heard = now;
        if let Some(took) = round_trip {
            self.trip.sample(took);
        }
    }

    /// Something was settled or saved.
    pub(super) const fn goes_on(&mut self, now: Time) {
        (self.progress, self.refused) = (now, None);
    }

    /// How long an acknowledgement is waited for before a message is sent again.
    pub(super) fn timeout(&self, servers_disk: RoundTrip) -> Duration {
        self.trip.timeout(servers_disk)
    }

    /// The address that the first message did not reach for which there is no more patience.
    pub(super) fn exhausted(&self, now: Time) -> Option<SocketAddr> {
        self.entries.values().find_map(|entry| match entry.stage {
            Stage::Direct { to, tries } if is_exhausted(tries, self.heard, now) => Some(to),
            _ => None,
        })
    }

    /// The first messages, so many, that the server is not known to keep.
    pub(super) fn active(&self, window: usize) -> impl Iterator<Item = (u64, &Entry)> {
        let unsaved = self.entries.iter().filter(|(_, entry)| !entry.is_saved());
        unsaved.map(|(seq, entry)| (*seq, entry)).take(window)
    }

    /// The place of the first message that the server is not known to keep.
    pub(super) fn first_unsaved(&self) -> Option<u64> {
        self.active(1).next().map(|(seq, _)| seq)
    }

    /// Puts the first messages, so many, on the direct way.
    pub(super) fn go_directly(&mut self, to: SocketAddr, now: Time, window: usize) {
        for entry in self.entries.values_mut().take(window) {
            if entry.stage == Stage::Queued {
                entry.stage = Stage::Direct { to, tries: Tries::from(now) };
            }
        }
    }

    /// Takes whatever is not with the server there. What goes there, with its reason.
    pub(super) fn go_over_server(
        &mut self,
        reason: Option<DetourReason>,
        now: Time,
    ) -> Vec<(u64, DetourReason)> {
        let mut detours = Vec::new();
        for (seq, entry) in self.entries.iter_mut().filter(|(_, entry)| !entry.is_with_server()) {
            let reason = reason.map(|reason| reason.of(entry.stage, self.heard, now));
            entry.stage = Stage::Server { tries: Tries::from(now) };
            detours.extend(reason.map(|reason| (*seq, reason)));
        }
        detours
    }

    /// The server is to hear at once of what it has not answered.
    pub(super) fn hurry(&mut self, now: Time) {
        for entry in self.entries.values_mut() {
            if let Stage::Server { tries } = &mut entry.stage {
                tries.hurry(now);
            }
        }
    }

    /// What is with the server is to be saved again, from `at` on.
    pub(super) fn save_again(&mut self, at: Time, what: impl Fn(&Entry) -> bool) {
        for entry in self.entries.values_mut().filter(|entry| what(entry)) {
            entry.stage = Stage::Server { tries: Tries::from(at) };
        }
    }

    /// Notes that the server keeps everything up to a message of what it was asked to.
    pub(super) fn saved(&mut self, upto: u64, now: Time) {
        let mut any = false;
        for (_, entry) in self.entries.range_mut(..=upto) {
            if entry.is_asked_for() {
                entry.stage = Stage::Saved { since: now };
                any = true;
            }
        }
        if any {
            self.goes_on(now);
        }
    }

    /// Notes that the user is told of each message that has no outcome for so long that it is not
    /// sent. Which, and why if the server answers.
    pub(super) fn overdue(&mut self, now: Time) -> Vec<(u64, UnsentReason)> {
        let mut overdue = Vec::new();
        let mut is_first = true;
        for (seq, entry) in &mut self.entries {
            let why = entry.why_unknown(is_first);
            is_first &= entry.is_saved();
            if entry.is_untold() && entry.typed_at.max(self.progress) + UNSENT_AFTER <= now {
                entry.told = Reported::Unsent;
                overdue.push((*seq, why));
            }
        }
        overdue
    }

    /// When something is to be done about it next. `can_send`: directly; `can_save`: to the server.
    pub(super) fn next_at(
        &self,
        now: Time,
        window: usize,
        (can_send, can_save): (bool, bool),
    ) -> Option<Time> {
        let transmissions = self.active(window).filter_map(|(_, entry)| match entry.stage {
            Stage::Direct { tries, .. } if can_send => {
                let patience = Some(patience(tries, self.heard)).filter(|end| *end > now);
                patience.into_iter().chain([tries.next_at()]).min()
            }
            Stage::Server { tries } if can_save => Some(tries.next_at()),
            _ => None,
        });
        let untold = self.entries.values().find(|entry| entry.is_untold());
        let unsent = untold.map(|entry| entry.typed_at.max(self.progress) + UNSENT_AFTER);
        let saved = self.entries.values().filter_map(Entry::saved_untold);
        let saved = saved.map(|since| since + SAVED_SAID_AFTER);
        let may_probe = can_send && !self.entries.is_empty();
        let probe = self.unreachable.filter(|_| may_probe).map(|it| it.next_probe);
        transmissions.chain(saved).chain(unsent).chain(probe).min()
    }
}

/// Until when a message that was sent directly may be without an acknowledgement, if anything was
/// heard of its recipient then.
fn patience(tries: Tries, heard: Time) -> Time {
    let first = tries.first_at();
    let silent = first.max(heard) + DIRECT_PATIENCE;
    silent.min(first + DIRECT_PATIENCE_MAX)
}

fn is_exhausted(tries: Tries, heard: Time, now: Time) -> bool {
    tries.attempts() > 0 && patience(tries, heard) <= now
}
