//! When everybody is told how the table has changed: at once after a quiet time, and together with
//! other changes while there are many.
//!
//! docs/protocol.md, "The table". What strangers cause has a bound in the long run, however often
//! they come and go. Knows neither table nor clients.

use std::time::Duration;

use super::bucket::Bucket;
use super::timing::{TABLE_CLIENTS_PER_SECOND, TABLE_ROUND, TABLE_ROUNDS_AT_ONCE};
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct Rounds(Bucket);

impl Rounds {
    /// When there may be another round; `None` if now.
    pub(super) fn next(&self, now: Time) -> Option<Time> {
        self.0.next(now, TABLE_ROUND * (TABLE_ROUNDS_AT_ONCE - 1))
    }

    /// A round to so many clients.
    pub(super) fn begun(&mut self, now: Time, clients: usize) {
        let clients = u32::try_from(clients).unwrap_or(u32::MAX);
        let all = Duration::from_secs(1).saturating_mul(clients) / TABLE_CLIENTS_PER_SECOND;
        self.0.pay(now, all.max(TABLE_ROUND));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    /// When rounds begin if the table changes each millisecond for so long.
    fn rounds(clients: usize, ms: u64) -> Vec<u64> {
        let mut rounds = Rounds::default();
        let begin = |ms: &u64| {
            let may = rounds.next(at(*ms)).is_none();
            if may {
                rounds.begun(at(*ms), clients);
            }
            may
        };
        (10_000..10_000 + ms).filter(begin).map(|ms| ms - 10_000).collect()
    }

    #[test]
    fn a_few_changes_are_told_at_once_and_many_in_rounds() {
        assert_eq!(rounds(3, 1_001), [0, 1, 2, 3, 250, 500, 750, 1_000]);
    }

    #[test]
    fn where_many_are_told_rounds_are_rarer() {
        assert_eq!(rounds(10_000, 10_000), [0, 9_250]);
    }
}
