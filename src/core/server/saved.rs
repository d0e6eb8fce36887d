//! What is stored and is to be acknowledged once that is durable.

use std::collections::VecDeque;

use crate::journal::Ticket;
use crate::machine::Path;
use crate::protocol::MessageId;
use crate::protocol::limits::{SAVED_AT_ONCE, WAITING_OUTPUTS_MAX};

/// How far streams are stored, with the commit that makes it durable and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Saved(VecDeque<(Ticket, Path, MessageId, Option<u64>)>);

/// One datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) to: Path,
    pub(super) messages: Vec<MessageId>,
    /// The stamp of the first request that it answers: the one that waited longest (RFC 7323,
    /// section 4.2).
    pub(super) echo_ms: Option<u64>,
}

impl Saved {
    /// The commit is no earlier than any before. If too much waits already, nobody will hear of it:
    /// a sender repeats what is not acknowledged.
    pub(super) fn add(&mut self, commit: Ticket, to: Path, id: MessageId, stamp: Option<u64>) {
        if self.len() < WAITING_OUTPUTS_MAX {
            self.0.push_back((commit, to, id, stamp));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes out what is durable, datagram by datagram: whoever waits for several streams hears of
    /// them together, and of each once.
    pub(super) fn take(&mut self, is_durable: impl Fn(Ticket) -> bool) -> Vec<Due> {
        let durable = self.0.partition_point(|(commit, ..)| is_durable(*commit));
        let mut durable: Vec<(Path, MessageId, Option<u64>)> =
            self.0.drain(..durable).map(|(_, to, id, stamp)| (to, id, stamp)).collect();
        durable.sort_unstable();
        let mut datagrams: Vec<Due> = Vec::new();
        for (to, id, stamp) in durable {
            match datagrams.last_mut().filter(|due| due.to == to) {
                Some(due) if due.messages.last().is_some_and(|last| last.stream == id.stream) => {
                    due.messages.pop();
                    due.messages.push(id);
                    due.echo_ms = earlier(due.echo_ms, stamp);
                }
                Some(due) if due.messages.len() < SAVED_AT_ONCE => {
                    due.messages.push(id);
                    due.echo_ms = earlier(due.echo_ms, stamp);
                }
                _ => datagrams.push(Due { to, messages: vec![id], echo_ms: stamp }),
            }
        }
        datagrams
    }
}

impl Saved {
    /// Nothing waits that is durable, and no more than may.
    pub(super) fn check_invariants(&self, is_durable: impl Fn(Ticket) -> bool) {
        assert!(!self.0.iter().any(|(commit, ..)| is_durable(*commit)), "not acknowledged");
        assert!(self.0.iter().is_sorted_by_key(|(commit, ..)| *commit), "commits in their order");
        assert!(self.len() <= WAITING_OUTPUTS_MAX, "{} wait", self.len());
    }
}

fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{CommitTurn, Journal};
    use crate::protocol::StreamId;

    fn id(stream: u64, seq: u64) -> MessageId {
        MessageId { stream: StreamId(stream), seq }
    }

    fn addr(host: u8) -> Path {
        std::net::SocketAddr::from(([192, 0, 2, host], 9_000)).into()
    }

    fn due(host: u8, messages: Vec<MessageId>, echo_ms: u64) -> Due {
        Due { to: addr(host), messages, echo_ms: Some(echo_ms) }
    }

    /// The tickets of two commits, the first of which has ended.
    fn tickets() -> (Ticket, Ticket) {
        let mut journal: Journal<(), u32> = Journal::new(CommitTurn::First);
        let first = journal.record(1);
        let _ = journal.poll();
        (first, journal.record(2))
    }

    #[test]
    fn who_waits_for_several_streams_hears_of_them_together_and_of_each_once() {
        let (ended, other) = tickets();
        let mut saved = Saved::default();
        for (commit, host, id) in [
            (ended, 2, id(7, 1)),
            (ended, 1, id(8, 3)),
            (ended, 1, id(7, 1)),
            (ended, 1, id(7, 2)),
            (other, 1, id(7, 3)),
        ] {
            saved.add(commit, addr(host), id, Some(id.seq));
        }
        let datagrams = saved.take(|commit| commit == ended);
        assert_eq!(
            datagrams,
            [due(1, vec![id(7, 2), id(8, 3)], 1), due(2, vec![id(7, 1)], 1)],
            "whatever is durable, and nothing else"
        );
        assert_eq!(saved.len(), 1);
        assert_eq!(saved.take(|_| true), [due(1, vec![id(7, 3)], 3)]);
    }

    #[test]
    fn no_datagram_names_more_streams_than_fit() {
        let (ended, _) = tickets();
        let mut saved = Saved::default();
        let streams = 2 * SAVED_AT_ONCE + 1;
        (0..streams as u64).for_each(|stream| saved.add(ended, addr(1), id(stream, 1), None));
        let datagrams = saved.take(|_| true);
        let counts: Vec<usize> = datagrams.iter().map(|due| due.messages.len()).collect();
        assert_eq!(counts, [SAVED_AT_ONCE, SAVED_AT_ONCE, 1]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let (ended, _) = tickets();
        let mut saved = Saved::default();
        (0..=WAITING_OUTPUTS_MAX as u64)
            .for_each(|seq| saved.add(ended, addr(1), id(1, seq), None));
        assert_eq!(saved.len(), WAITING_OUTPUTS_MAX);
    }
}
