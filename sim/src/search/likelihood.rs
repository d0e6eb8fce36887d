//! From when on a run that fails is lost: how many of its neighbours fail as it does that are the
//! same up to some time, for each of many times.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::neighbours::{Centre, Neighbours};
use crate::faults::fate::whole_ms;
use crate::record::check::Violation;

/// Neighbours for each time.
pub const NEIGHBOURS: u64 = 25;

/// Times that are looked at, at most, beside the beginning.
const TIMES_MAX: u64 = 40;

/// A run is lost once so many of its neighbours fail, at any later time as well: nine in ten.
const LOST: u64 = NEIGHBOURS - NEIGHBOURS / 10;

/// How likely a run is to fail as it does, over the time from which on it is left to chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likelihood {
    /// How it fails.
    pub violation: Violation,
    /// The time between two points.
    pub step: Duration,
    /// How many of [`NEIGHBOURS`] fail so that are the same until 0, one step, two steps, ...
    pub failing: Vec<u64>,
}

impl Likelihood {
    /// Looks at a run; none if it breaks no promise. `done` is told of each run.
    #[must_use]
    pub fn of(centre: &Centre, jobs: NonZeroUsize, done: impl Fn() + Sync) -> Option<Self> {
        let violations = Centre::violations(&centre.plan, centre.bug);
        let violation = violations.into_iter().next()?;
        let step = step(violation.at);
        let points = u32::try_from(violation.at.as_millis() / step.as_millis()).unwrap_or(u32::MAX);
        let failing = (0..=points.saturating_add(1)).map(|point| {
            let (from, checker) = (step * point, Some(violation.checker));
            let neighbours = Neighbours { from, of: NEIGHBOURS, checker };
            centre.failing(neighbours, jobs, &done).len() as u64
        });
        let failing = failing.collect();
        Some(Self { violation, step, failing })
    }

    /// From when on it is as good as lost, whatever comes.
    #[must_use]
    pub fn lost_from(&self) -> Option<Duration> {
        let before = self.failing.iter().rposition(|count| *count < LOST);
        self.time(before.map_or(0, |before| before + 1))
    }

    /// From when on it fails at all.
    #[must_use]
    pub fn in_danger_from(&self) -> Option<Duration> {
        self.time(self.failing.iter().position(|count| *count > 0)?)
    }

    fn time(&self, point: usize) -> Option<Duration> {
        (point < self.failing.len()).then(|| self.step * u32::try_from(point).unwrap_or(u32::MAX))
    }
}

/// The shortest round step with which there are not too many points until then.
fn step(until: Duration) -> Duration {
    let steps_ms = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000];
    let fits = |step: &u64| whole_ms(until) / step < TIMES_MAX;
    Duration::from_millis(steps_ms.into_iter().find(fits).unwrap_or(600_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_lost_when_no_later_time_saves_it() {
        let violation = Violation { checker: "once", at: Duration::ZERO, what: String::new() };
        let of = |failing: &[u64]| Likelihood {
            violation: violation.clone(),
            step: Duration::from_millis(500),
            failing: failing.to_vec(),
        };
        let at = |ms| Some(Duration::from_millis(ms));
        let clear = of(&[0, 2, 24, 25]);
        assert_eq!((clear.in_danger_from(), clear.lost_from()), (at(500), at(1_000)));
        assert_eq!(of(&[0, 25, 3, 25]).lost_from(), at(1_500));
        assert_eq!(of(&[25, 25]).lost_from(), at(0));
        assert_eq!(of(&[0, 3]).lost_from(), None);
    }

    #[test]
    fn there_are_at_most_so_many_points() {
        let steps = [500, 12_183, 70_000].map(|ms| step(Duration::from_millis(ms)).as_millis());
        assert_eq!(steps, [50, 500, 2_000]);
    }
}
