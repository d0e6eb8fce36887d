//! What is stored and is to be acknowledged once that is durable.

use std::collections::VecDeque;

use crate::journal::Ticket;
use crate::machine::Path;
use crate::protocol::MessageId;
use crate::protocol::limits::{SAVED_AT_ONCE, WAITING_OUTPUTS_MAX};

/// How far streams are stored, with the commit that makes it durable and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Saved(VecDeque<(Ticket, Path, MessageId)>);

impl Saved {
    /// The commit is no earlier than any before. If too much waits already, nobody will hear of it:
    /// a sender repeats what is not acknowledged.
    pub(super) fn add(&mut self, commit: Ticket, to: Path, id: MessageId) {
        if self.len() < WAITING_OUTPUTS_MAX {
            self.0.push_back((commit, to, id));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes out what is durable, datagram by datagram: whoever waits for several streams hears of
    /// them together, and of each once.
    pub(super) fn take(
        &mut self,
        is_durable: impl Fn(Ticket) -> bool,
    ) -> Vec<(Path, Vec<MessageId>)> {
        let durable = self.0.partition_point(|(commit, _, _)| is_durable(*commit));
        let mut durable: Vec<(Path, MessageId)> =
            self.0.drain(..durable).map(|(_, to, id)| (to, id)).collect();
        durable.sort_unstable();
        let mut datagrams: Vec<(Path, Vec<MessageId>)> = Vec::new();
        for (path, id) in durable {
            match datagrams.last_mut().filter(|(to, _)| *to == path) {
                Some((_, messages)) if messages.last().is_some_and(|l| l.stream == id.stream) => {
                    messages.pop();
                    messages.push(id);
                }
                Some((_, messages)) if messages.len() < SAVED_AT_ONCE => messages.push(id),
                _ => datagrams.push((path, vec![id])),
            }
        }
        datagrams
    }
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
            saved.add(commit, addr(host), id);
        }
        let datagrams = saved.take(|commit| commit == ended);
        assert_eq!(
            datagrams,
            [(addr(1), vec![id(7, 2), id(8, 3)]), (addr(2), vec![id(7, 1)])],
            "whatever is durable, and nothing else"
        );
        assert_eq!(saved.len(), 1);
        assert_eq!(saved.take(|_| true), [(addr(1), vec![id(7, 3)])]);
    }

    #[test]
    fn no_datagram_names_more_streams_than_fit() {
        let (ended, _) = tickets();
        let mut saved = Saved::default();
        let streams = 2 * SAVED_AT_ONCE + 1;
        (0..streams as u64).for_each(|stream| saved.add(ended, addr(1), id(stream, 1)));
        let datagrams = saved.take(|_| true);
        let counts: Vec<usize> = datagrams.iter().map(|(_, messages)| messages.len()).collect();
        assert_eq!(counts, [SAVED_AT_ONCE, SAVED_AT_ONCE, 1]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let (ended, _) = tickets();
        let mut saved = Saved::default();
        (0..=WAITING_OUTPUTS_MAX as u64).for_each(|seq| saved.add(ended, addr(1), id(1, seq)));
        assert_eq!(saved.len(), WAITING_OUTPUTS_MAX);
    }
}
