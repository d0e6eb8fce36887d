//! What every part of a client may touch beside its own state: nothing of any other part.

use std::time::Duration;

use super::timing::{BACKOFF_MAX, LAZY_COMMIT, ROOM_AGAIN};
use super::{Change, ClientConfig, ClientRecord, Event, Problem, Timer};
use crate::journal::{CommitTurn, Journal};
use crate::machine::{Entropy, Output, Transmit};
use crate::mutation::{Mutation, Mutations, is_made};
use crate::retransmission::pause;
use crate::store::{Committed, DiskSpace, Record as _};
use crate::time::{Now, Time, whole_ms};
use crate::timers::Timers;

/// The environment of a client's parts.
#[derive(Debug)]
pub(super) struct Context<M> {
    mutations: M,
    config: ClientConfig,
    record: ClientRecord,
    journal: Journal<Event, Change>,
    entropy: Entropy,
    /// What is waited for.
    pub(super) timers: Timers<Timer>,
    /// When the input came that is being handled.
    now: Now,
    /// How much room the store has.
    room: DiskSpace,
    /// Something that the user wanted has failed for good.
    has_failed: bool,
}

impl<M: Mutations> Context<M> {
    pub(super) fn new(
        config: ClientConfig,
        record: ClientRecord,
        entropy: Entropy,
        mutations: M,
    ) -> Self {
        let mut timers = Timers::new();
        timers.set(Timer::Start, Time::ZERO);
        Self {
            mutations,
            config,
            record,
            journal: Journal::new(CommitTurn::Last),
            entropy,
            timers,
            now: Now::default(),
            room: DiskSpace::Plenty,
            has_failed: false,
        }
    }

    /// Whether a bug is planted.
    #[inline(always)]
    pub(super) fn has(&self, mutation: Mutation) -> bool {
        is_made(&self.mutations, mutation)
    }

    pub(super) const fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The durable state; [`Self::change`] and its like change it.
    pub(super) const fn record(&self) -> &ClientRecord {
        &self.record
    }

    /// A random number, any of 2^64.
    pub(super) fn draw(&mut self) -> u64 {
        self.entropy.draw()
    }

    pub(super) const fn now(&self) -> Now {
        self.now
    }

    /// The time for time-outs.
    pub(super) const fn time(&self) -> Time {
        self.now.time
    }

    pub(super) const fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    pub(super) const fn room(&self) -> DiskSpace {
        self.room
    }

    /// Changes the durable state.
    pub(super) fn change(&mut self, change: Change) {
        self.record.apply(&change);
        self.journal.record(change);
    }

    /// Changes the durable state after the user was told so. A crash in between makes it be told
    /// again, and never not at all.
    pub(super) fn change_once_told(&mut self, change: Change) {
        self.record.apply(&change);
        self.journal.record_once_told(change);
    }

    /// Changes the durable state with the next commit, or after [`LAZY_COMMIT`].
    pub(super) fn change_lazily(&mut self, change: Change) {
        self.record.apply(&change);
        self.journal.record_lazily(change);
        if !self.timers.is_set(&Timer::Lazy) {
            self.timers.set(Timer::Lazy, self.now.time + LAZY_COMMIT);
        }
    }

    /// Makes what is told from now on wait for a commit that is still to be filled.
    pub(super) const fn ask_for_commit(&mut self) {
        self.journal.ask();
    }

    /// What was recorded lazily is not to wait any longer.
    pub(super) fn hurry_commit(&mut self) {
        self.journal.hurry();
    }

    /// Tells the user once everything changed so far is durable.
    pub(super) fn tell(&mut self, event: Event) {
        self.journal.event_durably(event);
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.tell(Event::Error(problem));
    }

    /// Something that cannot even begin.
    pub(super) fn fail(&mut self, problem: Problem) {
        self.note_failure();
        self.problem(problem);
    }

    /// Something that the user wanted has failed for good.
    pub(super) const fn note_failure(&mut self) {
        self.has_failed = true;
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Sends a datagram once everything changed so far is durable.
    pub(super) fn transmit(&mut self, transmit: Transmit) {
        self.journal.transmit_durably(transmit);
    }

    /// A pause that doubles up to [`BACKOFF_MAX`], all but the first with up to a quarter of
    /// jitter, so that many clients of a server that was away do not come back in step.
    pub(super) fn backoff(&mut self, timeout: Duration, elapsed: Duration) -> Duration {
        let longest = BACKOFF_MAX.max(timeout);
        let unbounded = elapsed + timeout > longest && self.has(Mutation::BackoffUnbounded);
        let longest = if unbounded { Duration::MAX } else { longest };
        let pause = pause(timeout, elapsed, longest);
        if pause <= timeout {
            return pause;
        }
        let jitter_ms = self.draw() % (whole_ms(pause) / 4).max(1);
        pause.saturating_sub(Duration::from_millis(jitter_ms)).max(timeout)
    }

    /// Commits have ended.
    pub(super) fn committed(&mut self, Committed { commits, room }: Committed) {
        self.room = room;
        match room {
            DiskSpace::Low => self.timers.set(Timer::DiskSpace, self.now.time + ROOM_AGAIN),
            DiskSpace::Plenty => self.timers.clear(&Timer::DiskSpace),
        }
        self.journal.committed(commits);
    }

    /// Whether so much waits for a commit that nothing more should be taken in.
    pub(super) fn is_full(&self) -> bool {
        self.journal.is_full()
    }

    /// How many outputs wait.
    pub(super) fn outputs(&self) -> usize {
        self.journal.len()
    }

    /// Whether everything has been said and is durable.
    pub(super) fn is_idle(&self) -> bool {
        self.journal.is_idle()
    }

    pub(super) fn poll_at_once(&mut self) -> Option<Transmit> {
        self.journal.poll_at_once()
    }

    pub(super) fn poll(&mut self) -> Option<Output<Event, Change>> {
        self.journal.poll()
    }
}
