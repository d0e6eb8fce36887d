//! What must hold inside a server's record between two inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Progress, ServerRecord};
use crate::protocol::{Name, StreamKey};

/// So much at most is looked through for what must hold: with more that would take longer than what
/// is done.
pub(in crate::server) const CHECKED_MAX: usize = 2_000;

impl ServerRecord {
    /// Counts are those of what is there, and indexes agree with it.
    pub(in crate::server) fn check_invariants(&self) {
        self.membership.check_invariants();
        if self.messages + self.streams.len() > CHECKED_MAX {
            return;
        }
        let mut by_sender: BTreeMap<&Name, usize> = BTreeMap::new();
        let mut waiting: BTreeMap<StreamKey, u32> = BTreeMap::new();
        for (reader, messages) in &self.mailboxes {
            assert!(!messages.is_empty(), "the mailbox of {reader} is empty");
            assert!(
                messages.iter().is_sorted_by_key(|message| message.number),
                "messages of {reader}"
            );
            for message in messages {
                *by_sender.entry(&message.from).or_default() += 1;
                *waiting.entry(message.key()).or_default() += 1;
                let to = self.streams.get(&message.key()).map(|progress| &progress.standing.to);
                assert_eq!(to, Some(reader), "whose messages a stream holds");
            }
        }
        assert_eq!(self.messages, by_sender.values().sum::<usize>(), "messages in all");
        assert!(by_sender.into_iter().eq(self.by_sender.iter().map(|(name, n)| (name, *n))));
        let mut idle = BTreeSet::new();
        for (key, Progress { standing, next, waiting: count }) in &self.streams {
            assert_eq!(*count, waiting.get(key).copied().unwrap_or(0), "messages of a stream");
            assert!(standing.told <= standing.settled && standing.settled < *next, "{standing:?}");
            if *count == 0 {
                idle.insert((standing.told < standing.settled, key.clone()));
            }
        }
        assert_eq!(self.idle, idle, "streams of which nothing is stored");
    }
}
