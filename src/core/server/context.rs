//! What every part of the server may touch beside its own state, and nothing else.
//!
//! Here durable state changes, is told of, and is waited for. Knows no part.

use std::time::Duration;

use super::{Change, Counters, Event, ServerConfig, ServerRecord};
use crate::journal::{CommitTurn, Journal, Ticket};
use crate::machine::{Entropy, Identity, Output, Path, Socket, Transmit};
use crate::mutation::{Mutation, Mutations, is_made};
use crate::protocol::envelope::{self, Stamps};
use crate::protocol::{Name, Packet, PacketKind, StreamKey};
use crate::store::{DiskSpace, Record as _};
use crate::time::{Now, Time, WallTime, whole_ms};
use crate::timers::Timers;

/// What the server waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The end of a client's lease.
    Lease(Name),
    /// A client's answer to a question.
    Probe(Name),
    /// A client's acknowledgement of the table.
    Table(Name),
    /// A reader's acknowledgement of a stored message.
    Mail(Name),
    /// A sender's acknowledgement that it knows.
    Told(StreamKey),
    /// The next round in which everybody is told how the table has changed.
    Round,
    /// Messages that are too old.
    Expiry,
    /// Names that nobody comes back for.
    Names,
    /// Room in the store.
    DiskSpace,
}

#[derive(Debug)]
pub(super) struct Context<M> {
    mutations: M,
    config: ServerConfig,
    record: ServerRecord,
    journal: Journal<Event, Change>,
    /// What is waited for.
    pub(super) timers: Timers<Timer>,
    entropy: Entropy,
    /// What was counted.
    pub(super) counters: Counters,
    /// How much room the store has.
    room: DiskSpace,
    /// How long the lives before this one have run.
    uptime_before: Duration,
    /// When the last input came.
    input_at: Now,
    /// When what is being handled came: a request to store a message may have waited.
    now: Now,
    /// The stamp of what is being handled, if that has one: whoever sent it is answered with it.
    answers: Option<u64>,
}

/// When something came that waits, and the stamp that it carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    now: Now,
    stamp: Option<u64>,
}

impl<M: Mutations> Context<M> {
    pub(super) fn new(
        config: ServerConfig,
        record: ServerRecord,
        entropy: Entropy,
        mutations: M,
    ) -> Self {
        Self {
            mutations,
            config,
            journal: Journal::new(CommitTurn::First),
            timers: Timers::new(),
            entropy,
            counters: Counters::default(),
            room: DiskSpace::Plenty,
            uptime_before: record.last_uptime(),
            input_at: Now::default(),
            now: Now::default(),
            answers: None,
            record,
        }
    }

    /// An input is being handled from here on.
    pub(super) const fn begin(&mut self, now: Now) {
        (self.input_at, self.now) = (now, now);
    }

    /// Something that came earlier is being handled until [`Self::come_back`].
    pub(super) const fn go_back_to(&mut self, came: Came) {
        (self.now, self.answers) = (came.now, came.stamp);
    }

    pub(super) const fn come_back(&mut self) {
        self.now = self.input_at;
    }

    /// What is being handled carried this stamp.
    pub(super) const fn answer_to(&mut self, stamp: Option<u64>) {
        self.answers = stamp;
    }

    /// The stamp of what is being handled.
    pub(super) const fn stamp(&self) -> Option<u64> {
        self.answers
    }

    pub(super) const fn now(&self) -> Time {
        self.now.time
    }

    pub(super) const fn wall(&self) -> WallTime {
        self.now.wall
    }

    /// What is to be known of what is being handled when that is done later.
    pub(super) const fn came(&self) -> Came {
        Came { now: self.now, stamp: self.answers }
    }

    /// How long this server has run, all its lives together.
    pub(super) fn uptime(&self) -> Duration {
        // As a row keeps it.
        let uptime = self.uptime_before.saturating_add(self.now.time.since_start());
        Duration::from_millis(whole_ms(uptime))
    }

    /// How long ago a packet with this stamp was sent that is answered now.
    pub(super) fn round_trip(&self, stamps: Stamps) -> Option<Duration> {
        stamps.round_trip(whole_ms(self.input_at.time.since_start()))
    }

    pub(super) const fn config(&self) -> ServerConfig {
        self.config
    }

    /// The next random number.
    pub(super) fn draw(&mut self) -> u64 {
        self.entropy.draw()
    }

    #[inline(always)]
    pub(super) fn has(&self, mutation: Mutation) -> bool {
        is_made(&self.mutations, mutation)
    }

    /// Whether there is so little room that nothing new is taken.
    pub(super) fn is_low(&self) -> bool {
        self.room == DiskSpace::Low
    }

    /// So much room there is. Whether that is news.
    pub(super) fn set_room(&mut self, room: DiskSpace) -> bool {
        std::mem::replace(&mut self.room, room) != room
    }
}

/// Durable state.
impl<M: Mutations> Context<M> {
    pub(super) const fn record(&self) -> &ServerRecord {
        &self.record
    }

    /// Changes it, at once; what reveals that waits for the commit.
    pub(super) fn change(&mut self, change: Change) -> Ticket {
        self.record.apply(&change);
        self.journal.record(change)
    }

    pub(super) fn change_if_any(&mut self, change: Option<Change>) {
        if let Some(change) = change {
            self.change(change);
        }
    }

    /// The commit that makes everything durable so far.
    pub(super) fn commit(&self) -> Ticket {
        self.journal.commit()
    }

    pub(super) const fn is_durable(&self, commit: Ticket) -> bool {
        self.journal.is_durable(commit)
    }

    /// Asks for a commit, for its end tells how much room there is.
    pub(super) const fn ask_for_room(&mut self) {
        self.journal.ask();
    }

    /// So many more commits have ended.
    pub(super) fn committed(&mut self, commits: u64) {
        self.journal.committed(commits);
    }
}

/// What is said.
impl<M: Mutations> Context<M> {
    /// Sends a packet without a body once everything recorded so far is durable.
    pub(super) fn send(&mut self, to: Path, packet: &Packet, attempt: u32) {
        let stamps = self.stamps(packet.kind());
        self.transmit(transmit(to, packet, stamps, b"", attempt));
    }

    /// Sends a packet at once. Beside each call is said why it reveals nothing that a crash could
    /// take back.
    pub(super) fn send_now(&mut self, to: Path, packet: &Packet, attempt: u32) {
        let stamps = self.stamps(packet.kind());
        self.transmit_now(transmit(to, packet, stamps, b"", attempt));
    }

    /// Sends a packet that is late already after all that is to be sent at once, with the stamp of
    /// what it answers. To be said beside each call as well.
    pub(super) fn send_soon(&mut self, to: Path, packet: &Packet, echo_ms: Option<u64>) {
        let stamps = Stamps { sent_ms: None, echo_ms };
        self.journal.transmit_soon(transmit(to, packet, stamps, b"", 1));
    }

    /// Sends a datagram once everything recorded so far is durable.
    pub(super) fn transmit(&mut self, transmit: Transmit) {
        self.journal.transmit_durably(transmit);
    }

    /// Sends a datagram at once, as [`Self::send_now`] does.
    pub(super) fn transmit_now(&mut self, transmit: Transmit) {
        self.journal.transmit(transmit);
    }

    /// Tells the operator once everything recorded so far is durable.
    pub(super) fn report(&mut self, event: Event) {
        self.journal.event_durably(event);
    }

    /// Tells the operator what is so whatever becomes of what was recorded.
    pub(super) fn report_now(&mut self, event: Event) {
        self.journal.event(event);
    }

    /// What tells how long the way there and back takes.
    pub(super) fn stamps(&self, kind: PacketKind) -> Stamps {
        Stamps {
            sent_ms: kind.is_timed().then(|| whole_ms(self.input_at.time.since_start())),
            echo_ms: self.answers.filter(|_| kind.measures().is_some()),
        }
    }

    /// Whether so much waits for a commit that nothing more should be taken in.
    pub(super) fn is_full(&self) -> bool {
        self.journal.is_full()
    }

    /// Whether everything is said and durable.
    pub(super) fn is_idle(&self) -> bool {
        self.journal.is_idle()
    }

    /// Outputs that wait.
    pub(super) fn outputs(&self) -> usize {
        self.journal.len()
    }

    pub(super) fn poll_at_once(&mut self) -> Option<Transmit> {
        self.journal.poll_at_once()
    }

    /// What waits for no commit.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.journal.poll_transmit()
    }

    pub(super) fn poll(&mut self) -> Option<Output<Event, Change>> {
        self.journal.poll()
    }
}

/// A packet as a datagram.
pub(super) fn transmit(
    to: Path,
    packet: &Packet,
    stamps: Stamps,
    body: &[u8],
    attempt: u32,
) -> Transmit {
    let identity = Identity { kind: packet.kind(), message: packet.message(), attempt };
    let bytes = envelope::encode_stamped(packet, stamps, body);
    Transmit { socket: Socket::Main, source: to.local, to: to.remote, bytes, identity }
}

/// What must hold between two inputs.
impl<M: Mutations> Context<M> {
    /// The timers that it waits for itself.
    pub(super) fn check_invariants(&self) -> Vec<Timer> {
        assert!(self.now == self.input_at, "nothing that came earlier is being handled");
        assert!(self.answers.is_none(), "nothing is being answered");
        self.record.check_invariants();
        let keeps = self.config.keep.is_some() && self.record.messages() > 0;
        let waits_for_room = self.timers.is_set(&Timer::DiskSpace);
        assert!(!waits_for_room || self.is_low(), "room is waited for while there is enough");
        let expiry = keeps.then_some(Timer::Expiry);
        let others = expiry.into_iter().chain(waits_for_room.then_some(Timer::DiskSpace));
        others.chain([Timer::Names]).collect()
    }
}
