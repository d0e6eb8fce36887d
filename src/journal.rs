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
    /// What waits for no commit any more.
    released: VecDeque<Output<E, C>>,
    next: Batch<E, C>,
    /// Whether its changes are worth a commit of their own.
    urgent: bool,
    /// For the commit after the next: of its changes speaks what waits for the next.
    later: Batch<E, C>,
    in_flight: Option<Vec<Output<E, C>>>,
    /// Commits asked for, and ended. A change made now is part of number `asked + 1`.
    asked: u64,
    ended: u64,
}

/// When a commit begins, if what the one before it released is not said yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitTurn {
    /// Once all is said, of which something may be remembered then.
    Last,
    /// Once as much waits for it as is still to be said. Then answers to what is said arrive while
    /// it is under way, for the one after it, and commits do not get smaller and smaller.
    Balanced,
}

/// A commit that has not begun.
#[derive(Debug)]
struct Batch<E, C> {
    changes: Vec<C>,
    /// What waits for it.
    outputs: Vec<Output<E, C>>,
}

impl<E, C> Batch<E, C> {
    const fn new() -> Self {
        Self { changes: Vec::new(), outputs: Vec::new() }
    }
}

/// The commit that a change belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl<E, C> Journal<E, C> {
    pub(crate) fn new(turn: CommitTurn) -> Self {
        Self {
            turn,
            at_once: VecDeque::new(),
            released: VecDeque::new(),
            next: Batch::new(),
            urgent: false,
            later: Batch::new(),
            in_flight: None,
            asked: 0,
            ended: 0,
        }
    }

    /// Sends at once.
    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.at_once.push_back(transmit);
    }

    /// Asks the store to keep a change.
    pub(crate) fn record(&mut self, change: C) -> Ticket {
        self.next.changes.push(change);
        self.urgent = true;
        Ticket(self.asked + 1)
    }

    /// Asks the store to keep a change of which the user was just told. It becomes durable only
    /// after that was said: a crash in between makes it be said again, and never not at all.
    pub(crate) fn record_once_told(&mut self, change: C) {
        debug_assert_eq!(self.turn, CommitTurn::Last, "else it might be durable before");
        if self.next.outputs.is_empty() {
            self.record(change);
        } else {
            self.later.changes.push(change);
        }
    }

    /// Asks the store to keep a change with the next commit. Nothing waits for it.
    pub(crate) fn record_lazily(&mut self, change: C) {
        self.next.changes.push(change);
    }

    /// What was recorded lazily is not to wait any longer.
    pub(crate) fn hurry(&mut self) {
        self.urgent |= !self.next.changes.is_empty();
    }

    /// Asks for a commit, be it an empty one: its end tells how much room there is.
    pub(crate) fn ask(&mut self) {
        self.urgent = true;
    }

    /// Sends once everything recorded so far is durable; if too much waits for that, never.
    pub(crate) fn transmit_durably(&mut self, transmit: Transmit) {
        if self.is_full() {
            return;
        }
        let transmit = Output::Transmit(transmit);
        if self.later.changes.is_empty() {
            self.durably(transmit);
        } else {
            self.later.outputs.push(transmit);
        }
    }

    /// Tells the user once everything recorded so far is durable.
    pub(crate) fn event_durably(&mut self, event: E) {
        self.durably(Output::Event(event));
    }

    /// Whether so much waits for a commit that nothing more should be taken in.
    pub(crate) fn is_full(&self) -> bool {
        self.next.changes.len().max(self.len()) >= WAITING_OUTPUTS_MAX
    }

    fn durably(&mut self, output: Output<E, C>) {
        if self.urgent {
            self.next.outputs.push(output);
        } else if let Some(waiting) = &mut self.in_flight {
            waiting.push(output);
        } else {
            self.released.push_back(output);
        }
    }

    /// Whether the commit of a change has ended.
    pub(crate) fn is_durable(&self, ticket: Ticket) -> bool {
        ticket.0 <= self.ended
    }

    /// The commit that was asked for has ended.
    pub(crate) fn committed(&mut self) {
        if let Some(waiting) = self.in_flight.take() {
            self.ended = self.asked;
            self.released.extend(waiting);
        }
    }

    /// How many outputs wait.
    pub(crate) fn len(&self) -> usize {
        let in_flight = self.in_flight.as_ref().map_or(0, Vec::len);
        let waiting = self.next.outputs.len() + self.later.outputs.len() + in_flight;
        self.at_once.len() + self.released.len() + waiting
    }

    /// Whether everything has been said and is durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.len() == 0
            && self.next.changes.is_empty()
            && self.later.changes.is_empty()
            && self.in_flight.is_none()
    }

    pub(crate) fn poll(&mut self) -> Option<Output<E, C>> {
        if let Some(transmit) = self.at_once.pop_front() {
            return Some(Output::Transmit(transmit));
        }
        if !self.is_commit_due() {
            return self.released.pop_front();
        }
        self.asked += 1;
        let later = std::mem::replace(&mut self.later, Batch::new());
        self.urgent = !later.changes.is_empty();
        let Batch { changes, outputs } = std::mem::replace(&mut self.next, later);
        self.in_flight = Some(outputs);
        Some(Output::Commit(changes))
    }

    fn is_commit_due(&self) -> bool {
        let is_its_turn = match self.turn {
            CommitTurn::Last => self.released.is_empty(),
            CommitTurn::Balanced => self.next.outputs.len() >= self.released.len(),
        };
        self.urgent && self.in_flight.is_none() && is_its_turn
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
        Transmit { socket: Socket::Main, to, bytes: Vec::new(), identity }
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
        journal.committed();
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
        journal.committed();
        assert_eq!(journal.poll(), Some(Output::Commit(vec![2, 3])));
        assert!(!journal.is_durable(second));
        journal.committed();
        assert!(journal.is_durable(third));
        assert_eq!(journal.poll(), Some(Output::Event("both")));
    }

    #[test]
    fn a_commit_begins_once_as_much_waits_for_it_as_is_to_be_said() {
        let mut journal = Outputs::new(CommitTurn::Balanced);
        journal.record(1);
        for word in ["a", "b", "c"] {
            journal.event_durably(word);
        }
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1])));
        journal.record(2);
        journal.event_durably("d");
        journal.committed();
        assert_eq!(journal.poll(), Some(Output::Event("a")));
        assert_eq!(journal.poll(), Some(Output::Event("b")));
        assert_eq!(journal.poll(), Some(Output::Commit(vec![2])));
        journal.transmit(pong());
        assert_eq!(journal.poll(), Some(Output::Transmit(pong())));
        assert_eq!(journal.poll(), Some(Output::Event("c")));
        assert_eq!(journal.poll(), None);
    }

    #[test]
    fn what_is_remembered_once_told_is_not_durable_before() {
        let mut journal = Outputs::new(CommitTurn::Last);
        journal.record(1);
        journal.event_durably("told");
        journal.record_once_told(2);
        assert_eq!(journal.poll(), Some(Output::Commit(vec![1])));
        assert!(!journal.is_idle());
        journal.committed();
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
        journal.committed();
        assert_eq!(journal.poll(), Some(Output::Event("told")));
        assert_eq!(journal.poll(), Some(Output::Commit(vec![2])));
        assert_eq!(journal.poll(), None);
        journal.committed();
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
        journal.committed();
        journal.record_lazily(3);
        journal.hurry();
        assert_eq!(journal.poll(), Some(Output::Commit(vec![3])));
        journal.committed();
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
        journal.committed();
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
