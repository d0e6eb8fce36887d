//! Many seeds, added up as they end: what they take of memory does not grow with their number.
//!
//! Sums do not depend on the order of the seeds, so parts of a sweep that ran elsewhere add up to
//! the same as the whole ([`Sweep::join`]).

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::naming::random::hash;
use crate::record::check::Violation;
use crate::search::chaos::{Counts, Setting, Trial, Verdict, run_seed};

/// Failures that a sweep keeps; what goes beyond is only counted. Nobody reads more, and a
/// build that fails in every seed must not fill the memory.
pub const FAILURES_KEPT: usize = 1_000;

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    /// Seeds in which every promise was kept.
    pub held: u64,
    /// Seeds in which one was broken.
    pub violated: u64,
    /// Seeds in which nothing was put to the test.
    pub inconclusive: u64,
    /// The violated ones with the lowest numbers, in order.
    pub failures: Vec<Failure>,
    /// What was counted in all of them.
    pub counts: Counts,
    /// The sum of all traces' hashes, each with its seed: sweeps with equal ones are equal runs.
    pub trace: u64,
}

/// A seed in which promises were broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// All that were.
    pub violations: Vec<Violation>,
}

impl Sweep {
    /// How many seeds.
    #[must_use]
    pub const fn seeds(&self) -> u64 {
        self.held + self.violated + self.inconclusive
    }

    /// How all of it ended.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match (self.violated, self.held) {
            (0, 0) => Verdict::Inconclusive,
            (0, _) => Verdict::Held,
            _ => Verdict::Violated,
        }
    }

    /// Adds a trial.
    pub fn add(&mut self, trial: Trial) {
        match trial.verdict {
            Verdict::Held => self.held += 1,
            Verdict::Violated => self.violated += 1,
            Verdict::Inconclusive => self.inconclusive += 1,
        }
        self.counts.add(&trial.counts);
        self.trace = self.trace.wrapping_add(hash(trial.seed, &[&trial.trace.to_string()]));
        if trial.verdict == Verdict::Violated {
            self.keep(Failure { seed: trial.seed, violations: trial.violations });
        }
    }

    /// Adds another part of the same sweep.
    pub fn join(&mut self, other: Self) {
        self.held += other.held;
        self.violated += other.violated;
        self.inconclusive += other.inconclusive;
        self.counts.add(&other.counts);
        self.trace = self.trace.wrapping_add(other.trace);
        other.failures.into_iter().for_each(|failure| self.keep(failure));
    }

    fn keep(&mut self, failure: Failure) {
        let place = self.failures.partition_point(|other| other.seed < failure.seed);
        self.failures.insert(place, failure);
        self.failures.truncate(FAILURES_KEPT);
    }
}

/// Which seeds are run here: all, or every n-th, so that n machines share a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which of them this is, from 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

impl Shard {
    /// All seeds.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The seed of this shard with this number among them.
    const fn seed(self, first: u64, number: u64) -> u64 {
        first.saturating_add(self.index).saturating_add(self.of.saturating_mul(number))
    }
}

/// Runs the shard's seeds from `first` on, on `jobs` threads, as long as `more` says so of the
/// next. Tells `done` of every trial, in whatever order they end.
pub fn run_seeds(
    (first, shard): (u64, Shard),
    jobs: NonZeroUsize,
    setting: &Setting,
    more: impl Fn(u64) -> bool + Sync,
    done: impl Fn(&Trial) + Sync,
) -> Sweep {
    let next = AtomicU64::new(0);
    let sweep = Mutex::new(Sweep::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| {
                loop {
                    let seed = shard.seed(first, next.fetch_add(1, Ordering::Relaxed));
                    if !more(seed) {
                        return;
                    }
                    let trial = run_seed(seed, setting);
                    done(&trial);
                    sweep.lock().unwrap_or_else(PoisonError::into_inner).add(trial);
                }
            });
        }
    });
    sweep.into_inner().unwrap_or_else(PoisonError::into_inner)
}
