//! Whether a fix is one: how often the neighbours of a run that failed fail with the bug, and how
//! often without.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::neighbours::{Centre, Neighbours};
use crate::search::stats::{Share, at_most, wilson};

/// How often neighbours failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirmed {
    /// How often they did when the bug was there.
    pub was: Was,
    /// Neighbours that were run without it.
    pub seeds: u64,
    /// The numbers of those that fail still.
    pub failing: Vec<u64>,
}

/// How often neighbours failed when the bug was there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Was {
    /// So many of so many, run with the bug.
    Counted(u64, u64),
    /// Such a share, by whoever asks.
    Stated(f64),
}

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fails less often than before, and was not seen to fail at all.
    Fixed,
    /// It still fails.
    Fails,
    /// It failed so seldom before that none of so many need not mean anything.
    TooFew,
}

impl Was {
    /// The share.
    #[must_use]
    pub fn share(&self) -> Share {
        match *self {
            Self::Counted(count, of) => wilson(count, of),
            Self::Stated(share) => Share { share, low: share, high: share },
        }
    }
}

impl Confirmed {
    /// Runs so many neighbours without the bug, and as many with it unless it is stated how often
    /// those fail; none if that is not, and no bug is known. `done` is told of each run.
    #[must_use]
    pub fn of(
        centre: &Centre,
        stated: Option<f64>,
        seeds: u64,
        jobs: NonZeroUsize,
        done: impl Fn() + Sync,
    ) -> Option<Self> {
        let neighbours = Neighbours { from: Duration::ZERO, of: seeds, checker: None };
        let failing = |centre: &Centre| centre.failing(neighbours, jobs, &done);
        let was = match stated {
            Some(share) => Was::Stated(share),
            None => {
                centre.bug?;
                Was::Counted(failing(centre).len() as u64, seeds)
            }
        };
        let now = Centre { bug: None, ..centre.clone() };
        Some(Self { was, seeds, failing: failing(&now) })
    }

    /// How often they fail now at most, with 95 % confidence.
    #[must_use]
    pub fn at_most(&self) -> f64 {
        at_most(self.failing.len() as u64, self.seeds)
    }

    /// What that means.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.failing.is_empty() {
            Verdict::Fails
        } else if self.at_most() < self.was.share().low {
            Verdict::Fixed
        } else {
            Verdict::TooFew
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_of_many_says_something_only_if_it_failed_often_enough() {
        let verdict = |was, seeds, failing: u64| {
            Confirmed { was, seeds, failing: (0..failing).collect() }.verdict()
        };
        assert_eq!(verdict(Was::Stated(0.0136), 1_000, 0), Verdict::Fixed);
        assert_eq!(verdict(Was::Stated(0.0136), 100, 0), Verdict::TooFew);
        assert_eq!(verdict(Was::Counted(14, 1_000), 1_000, 0), Verdict::Fixed);
        assert_eq!(verdict(Was::Counted(3, 1_000), 1_000, 0), Verdict::TooFew);
        assert_eq!(verdict(Was::Counted(999, 1_000), 1_000, 1), Verdict::Fails);
    }
}
