//! What somebody may do so often, and a few times at once after a quiet time: a leaky bucket of
//! time (GCRA). What is done costs the time in which it may not be done again; a little may be
//! owed.
//!
//! Knows nothing of what is done, or for whom.

use std::time::Duration;

use crate::time::Time;

/// Until when all that was done is paid for by the time that passes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket(Time);

impl Bucket {
    /// When it may be done again, if so much may be owed; `None` if now.
    pub(super) fn next(self, now: Time, owed_max: Duration) -> Option<Time> {
        let due = Time::from_start(self.0.since_start().saturating_sub(owed_max));
        Some(due).filter(|due| *due > now)
    }

    /// It is done.
    pub(super) fn pay(&mut self, now: Time, cost: Duration) {
        self.0 = self.0.max(now) + cost;
    }
}
