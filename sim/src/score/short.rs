//! The short form: each bug where it shows best, until it is found.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use super::profiles::{CASES, Case};
use super::{FIRST_SEED, FalseAlarm, Smallest, Tried, false_alarm, smallest, try_seed};
use crate::search::work;

/// A run with at most so many faults is made small: that takes few runs.
const FEW_FAULTS: usize = 70;

/// What came of a case.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// Seeds that were run.
    pub seeds: u64,
    /// In how many of them the bug had its chance.
    pub active: u64,
    /// Who caught it, in the last of them.
    pub caught: Option<&'static str>,
    /// The run that caught it, made small, if that was cheap.
    pub smallest: Option<Smallest>,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bug was found.
    Caught,
    /// It had its chance, and nobody noticed.
    NotCaught,
    /// It never had its chance: that says nothing about the checkers.
    NeverActive,
}

impl Row {
    /// How it ended.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match (self.caught, self.active) {
            (Some(_), _) => Verdict::Caught,
            (None, 0) => Verdict::NeverActive,
            (None, _) => Verdict::NotCaught,
        }
    }
}

/// What came of all of them.
#[derive(Clone, Default)]
pub struct Short {
    /// A row for each case.
    pub rows: Vec<Row>,
    /// The correct build accused.
    pub false_alarms: Vec<FalseAlarm>,
    /// How often the correct build was run.
    pub sound_runs: usize,
}

/// Runs without a bug, which several cases share.
#[derive(Default)]
struct CorrectRuns(Mutex<BTreeMap<(&'static str, u64), Tried>>);

impl CorrectRuns {
    fn run(&self, case: &Case, seed: u64) -> Tried {
        let key = (case.profile.name, seed);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let tried = try_seed(&case.profile, seed, None);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, tried.clone());
            tried
        })
    }
}

/// Runs all cases; tells `done` of each, in whatever order they end.
#[must_use]
pub fn run(jobs: NonZeroUsize, done: impl Fn(&Row) + Sync) -> Short {
    run_cases(jobs, CASES, done)
}

/// Runs these cases, likewise.
#[must_use]
pub fn run_cases(jobs: NonZeroUsize, cases: &[Case], done: impl Fn(&Row) + Sync) -> Short {
    let correct = CorrectRuns::default();
    let rows = work::each(jobs, cases, |case| {
        let row = run_case(case, &correct);
        done(&row);
        row
    });
    let correct = correct.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let profiles: BTreeMap<_, _> =
        cases.iter().map(|case| (case.profile.name, case.profile)).collect();
    let alarm = |((name, seed), tried): (&(&'static str, u64), &Tried)| {
        false_alarm(profiles.get(name)?, *seed, tried)
    };
    Short {
        rows,
        false_alarms: correct.iter().filter_map(alarm).collect(),
        sound_runs: correct.len(),
    }
}

fn run_case(case: &Case, correct: &CorrectRuns) -> Row {
    let mut row = Row { case: *case, seeds: 0, active: 0, caught: None, smallest: None };
    for seed in FIRST_SEED..FIRST_SEED + case.budget {
        row.seeds += 1;
        if !correct.run(case, seed).had_chance(case.bug) {
            continue;
        }
        row.active += 1;
        let tried = try_seed(&case.profile, seed, Some(case.bug));
        let Some(violation) = tried.violation else { continue };
        row.caught = Some(violation.checker);
        if tried.faults <= FEW_FAULTS {
            row.smallest = smallest(&case.profile, seed, case.bug);
        }
        break;
    }
    row
}
