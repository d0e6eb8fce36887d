//! Holds back what a machine says until what it says is durable.

use std::collections::VecDeque;

use crate::machine::{Output, Transmit};
use crate::protocol::limits::WAITING_OUTPUTS_MAX;

/// A machine's queue of outputs, with a gate that commits open.
#[derive(Debug)]
pub(crate) struct Journal<E, C> {
    turn: CommitTurn,
    /// What waits for nothing goes first.
    at_once: VecDeque<Transmit>,
    /// What waits for nothing either, but there may be a lot of it.
    soon: VecDeque<Transmit>,
    /// What waits for no commit any more.
    released: VecDeque<Output<E, C>>,
    /// What waits for a commit, in the order of the commits.
    waiting: VecDeque<(Ticket, Output<E, C>)>,
    /// The changes of the next commit.
    next: Vec<C>,
    /// Whether they are worth a commit of their own.
    urgent: bool,
    /// The changes of the commit after the next: of them speaks what waits for the next.
    later: Vec<C>,
    /// Commits asked for, and ended.
    asked: u64,
    ended: u64,
}

/// When a commit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitTurn {
    /// One after the other, each once all is said that the one before it released: of that,
    /// something may be remembered then.
    Last,
    /// As soon as there is something to commit. The store commits together what comes meanwhile.
    First,
}

/// The commit that a change belongs to: the first has number 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl<E, C> Journal<E, C> {
    pub(crate) const fn new(turn: CommitTurn) -> Self {
        Self {
            turn,
            at_once: VecDeque::new(),
            soon: VecDeque::new(),
            released: VecDeque::new(),
            waiting: VecDeque::new(),
            next: Vec::new(),
            urgent: false,
            later: Vec::new(),
            asked: 0,
            ended: 0,
        }
    }

    /// Sends at once.
    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.at_once.push_back(transmit);
    }

    /// Sends before anything that is not to be sent at once.
    pub(crate) fn transmit_soon(&mut self, transmit: Transmit) {
        self.soon.push_back(transmit);
    }

    /// Asks the store to keep a change.
    pub(crate) fn record(&mut self, change: C) -> Ticket {
        self.next.push(change);
        self.urgent = true;
        self.commit()
    }

    /// Asks the store to keep a change of which the user was just told. It becomes durable only
    /// after that was said: a crash in between makes it be said again, and never not at all.
    pub(crate) fn record_once_told(&mut self, change: C) {
        debug_assert_eq!(self.turn, CommitTurn::Last, "else it might be durable before");
        let next = Ticket(self.asked + 1);
        if self.waiting.binary_search_by_key(&next, |(ticket, _)| *ticket).is_ok() {
            self.later.push(change);
        } else {
            self.record(change);
        }
    }

    /// Asks the store to keep a change with the next commit. Nothing waits for it.
    pub(crate) fn record_lazily(&mut self, change: C) {
        self.next.push(change);
    }

    /// What was recorded lazily is not to wait any longer.
    pub(crate) fn hurry(&mut self) {
        self.urgent |= !self.next.is_empty();
    }

    /// Asks for a commit, be it an empty one: its end tells how much room there is.
    pub(crate) const fn ask(&mut self) {
        self.urgent = true;
    }

    /// Sends once everything recorded so far is durable; if too much waits for that, never.
    pub(crate) fn transmit_durably(&mut self, transmit: Transmit) {
        if self.is_full() {
            return;
        }
        let ticket = if self.later.is_empty() { self.commit() } else { Ticket(self.asked + 2) };
        self.after(ticket, Output::Transmit(transmit));
    }

    /// Tells the user what is so whatever becomes of what was recorded.
    pub(crate) fn event(&mut self, event: E) {
        self.released.push_back(Output::Event(event));
    }

    /// Tells the user once everything recorded so far is durable.
    pub(crate) fn event_durably(&mut self, event: E) {
        self.after(self.commit(), Output::Event(event));
    }

    /// Whether so much waits for a commit that nothing more should be taken in.
    pub(crate) fn is_full(&self) -> bool {
        let under_way = usize::try_from(self.asked - self.ended).unwrap_or(usize::MAX);
        self.next.len().max(self.len()).max(under_way) >= WAITING_OUTPUTS_MAX
    }

    fn after(&mut self, ticket: Ticket, output: Output<E, C>) {
        if self.is_durable(ticket) {
            return self.released.push_back(output);
        }
        // Near the end: only what waits for the commit after the next comes behind it.
        let before = self.waiting.iter().rev().take_while(|(other, _)| *other > ticket).count();
        self.waiting.insert(self.waiting.len() - before, (ticket, output));
    }

    /// The commit that makes everything durable that was to be recorded so far, but for what is
    /// recorded only once something is told.
    pub(crate) fn commit(&self) -> Ticket {
        Ticket(self.asked + u64::from(self.urgent))
    }

    /// Whether a commit has ended.
    pub(crate) const fn is_durable(&self, ticket: Ticket) -> bool {
        ticket.0 <= self.ended
    }

    /// So many more of the commits that were asked for have ended.
    pub(crate) fn committed(&mut self, commits: u64) {
        self.ended = self.asked.min(self.ended + commits);
        while let Some((ticket, output)) = self.waiting.pop_front() {
            if !self.is_durable(ticket) {
                self.waiting.push_front((ticket, output));
                break;
            }
            self.released.push_back(output);
        }
    }

    /// How many outputs wait.
    pub(crate) fn len(&self) -> usize {
        self.at_once.len() + self.soon.len() + self.released.len() + self.waiting.len()
    }

    /// Whether everything has been said and is durable.
    pub(crate) fn is_idle(&self) -> bool {
        let durable = self.next.is_empty() && self.later.is_empty() && self.asked == self.ended;
        durable && self.len() == 0
    }

    pub(crate) fn poll_at_once(&mut self) -> Option<Transmit> {
        self.at_once.pop_front()
    }

    /// What waits for no commit.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.poll_at_once().or_else(|| self.soon.pop_front())
    }

    pub(crate) fn poll(&mut self) -> Option<Output<E, C>> {
        if let Some(transmit) = self.poll_transmit() {
            return Some(Output::Transmit(transmit));
        }
        if !self.is_commit_due() {
            return self.released.pop_front();
        }
        self.asked += 1;
        let later = std::mem::take(&mut self.later);
        self.urgent = !later.is_empty();
        Some(Output::Commit(std::mem::replace(&mut self.next, later)))
    }

    fn is_commit_due(&self) -> bool {
        let is_its_turn = match self.turn {
            CommitTurn::Last => self.asked == self.ended && self.released.is_empty(),
            CommitTurn::First => true,
        };
        self.urgent && is_its_turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Identity, Socket};
    use crate::protocol::PacketKind;

    type Outputs = Journal<&'static str, u32>;

    fn pong() -> Transmit {
        let identity = Identity { kind: PacketKind::Pong, message: None, attempt: 1 };
        let to = ([192, 0, 2, 1], 9_000).into();
        Transmit { socket: Socket::Main, source: None, to, bytes: Vec::new(), identity }
    }

    #[test]
    fn what_reveals_a_change_waits_for_its_commit() {
        let mut journal = Outputs::new(CommitTurn::Last);
        let ticket = journal.record(1);
        journal.event_durably("saved");
        journal.transmit(pong());
        assert_eq!(journal.poll(), Some(Output::Transmit(pong())));
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1])));
        assert_eq!(journal.poll(), None);
        assert!(!journal.is_durable(ticket));
        journal.committed(1);
        assert!(journal.is_durable(ticket));
        assert_eq!(journal.poll(), Some(Output::Event("saved")));
    }

    #[test]
    fn changes_made_during_a_commit_share_the_next() {
        let mut journal = Outputs::new(CommitTurn::Last);
        journal.record(1);
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1])));
        let (second, third) = (journal.record(2), journal.record(3));
        journal.event_durably("both");
        assert_eq!(journal.poll(), None);
        journal.committed(1);
        assert_eq!(journal.poll(), Some(Output::Commit(vec![2, 3])));
        assert!(!journal.is_durable(second));
        journal.committed(1);
        assert!(journal.is_durable(third));
        assert_eq!(journal.poll(), Some(Output::Event("both")));
    }

    #[test]
    fn commits_that_overlap_release_what_waits_for_each() {
        let mut journal = Outputs::new(CommitTurn::First);
        for (change, word) in [(1, "a"), (2, "b"), (3, "c")] {
            journal.record(change);
            journal.event_durably(word);
            assert_eq!(journal.poll(), Some(Output::Commit(vec![change])));
            assert_eq!(journal.poll(), None);
        }
        journal.committed(2);
        assert_eq!(journal.poll(), Some(Output::Event("a")));
        assert_eq!(journal.poll(), Some(Output::Event("b")));
        assert_eq!(journal.poll(), None);
        journal.record(4);
        assert_eq!(journal.poll(), Some(Output::Commit(vec![4])));
        assert!(!journal.is_idle());
        journal.committed(2);
        assert_eq!(journal.poll(), Some(Output::Event("c")));
        assert!(journal.is_idle());
    }

    #[test]
    fn what_is_remembered_once_told_is_not_durable_before() {
        let mut journal = Outputs::new(CommitTurn::Last);
        journal.record(1);
        journal.event_durably("told");
        journal.record_once_told(2);
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1])));
        assert!(!journal.is_idle());
        journal.committed(1);
        assert_eq!(journal.poll(), Some(Output::Event("told")));
        assert_eq!(journal.poll(), Some(Output::Commit(vec![2])));
    }

    #[test]
    fn a_datagram_waits_for_what_is_remembered_once_told() {
        let mut journal = Outputs::new(CommitTurn::Last);
        journal.record(1);
        journal.event_durably("told");
        journal.record_once_told(2);
        journal.transmit_durably(pong());
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1])));
        journal.committed(1);
        assert_eq!(journal.poll(), Some(Output::Event("told")));
        assert_eq!(journal.poll(), Some(Output::Commit(vec![2])));
        assert_eq!(journal.poll(), None);
        journal.committed(1);
        assert_eq!(journal.poll(), Some(Output::Transmit(pong())));
        assert!(journal.is_idle());
    }

    #[test]
    fn a_lazy_change_waits_for_another_commit_or_until_it_hurries() {
        let mut journal = Outputs::new(CommitTurn::Last);
        journal.record_lazily(1);
        journal.event_durably("at once");
        assert_eq!(journal.poll(), Some(Output::Event("at once")));
        assert_eq!(journal.poll(), None);
        assert!(!journal.is_idle());
        journal.record(2);
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1, 2])));
        journal.committed(1);
        journal.record_lazily(3);
        journal.hurry();
        assert_eq!(journal.poll(), Some(Output::Commit(vec![3])));
        journal.committed(1);
        journal.hurry();
        assert_eq!(journal.poll(), None);
        assert!(journal.is_idle());
    }

    #[test]
    fn while_the_disk_stands_still_datagrams_are_lost_and_events_are_not() {
        let mut journal = Outputs::new(CommitTurn::Last);
        journal.record(1);
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1])));
        for _ in 0..2 * WAITING_OUTPUTS_MAX {
            journal.transmit_durably(pong());
        }
        assert!(journal.is_full());
        assert_eq!(journal.len(), WAITING_OUTPUTS_MAX);
        journal.event_durably("told all the same");
        journal.committed(1);
        let outputs = std::iter::from_fn(|| journal.poll());
        assert_eq!(outputs.last(), Some(Output::Event("told all the same")));
        assert!(!journal.is_full());
    }

    #[test]
    fn nothing_waits_when_nothing_was_recorded() {
        let mut journal = Outputs::new(CommitTurn::Last);
        journal.event_durably("now");
        assert_eq!(journal.poll(), Some(Output::Event("now")));
    }
}
