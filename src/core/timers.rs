//! One table of timers: what is due, and when something will be.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Time;

/// Deadlines by what they are for; each purpose has at most one.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_key: BTreeMap<K, Time>,
    by_time: BTreeSet<(Time, K)>,
}

impl<K: Ord + Clone> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, key: K, due: Time) {
        self.clear(&key);
        self.by_time.insert((due, key.clone()));
        self.by_key.insert(key, due);
    }

    pub(crate) fn clear(&mut self, key: &K) {
        if let Some(due) = self.by_key.remove(key) {
            self.by_time.remove(&(due, key.clone()));
        }
    }

    pub(crate) fn is_set(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// Takes out the earliest deadline that is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn deadlines_come_out_in_order_and_once() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        timers.set("b", at(2));
        timers.set("a", at(3));
        timers.set("a", at(1));
        timers.set("c", at(1));
        timers.clear(&"c");
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(at(0)), None);
        assert_eq!(timers.pop_due(at(9)), Some("a"));
        assert_eq!(timers.pop_due(at(9)), Some("b"));
        assert_eq!(timers.pop_due(at(9)), None);
    }
}
