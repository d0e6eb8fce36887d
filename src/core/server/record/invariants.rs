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
        if self.letters + self.streams.len() > CHECKED_MAX {
            return;
        }
        let mut by_sender: BTreeMap<&Name, usize> = BTreeMap::new();
        let mut waiting: BTreeMap<StreamKey, u32> = BTreeMap::new();
        for (reader, letters) in &self.mailboxes {
            assert!(!letters.is_empty(), "the mailbox of {reader} is empty");
            assert!(letters.iter().is_sorted_by_key(|letter| letter.number), "letters of {reader}");
            for letter in letters {
                *by_sender.entry(&letter.from).or_default() += 1;
                *waiting.entry(letter.key()).or_default() += 1;
                let to = self.streams.get(&letter.key()).map(|progress| &progress.standing.to);
                assert_eq!(to, Some(reader), "whose letters a stream holds");
            }
        }
        assert_eq!(self.letters, by_sender.values().sum::<usize>(), "letters in all");
        assert!(by_sender.into_iter().eq(self.by_sender.iter().map(|(name, n)| (name, *n))));
        let mut idle = BTreeSet::new();
        for (key, Progress { standing, next, waiting: count }) in &self.streams {
            assert_eq!(*count, waiting.get(key).copied().unwrap_or(0), "letters of a stream");
            assert!(standing.told <= standing.settled && standing.settled < *next, "{standing:?}");
            if *count == 0 {
                idle.insert((standing.told < standing.settled, key.clone()));
            }
        }
        assert_eq!(self.idle, idle, "streams of which nothing is stored");
    }
}
