//! The simulator is tested too: every planted bug must be caught, and nothing else reported.
//!
//! The short form looks for each bug where it shows best, until it is found ([`short`]); the full
//! one tries all bugs under all profiles and counts ([`full`]). Both hold the correct build to the
//! same seeds, and run a canary: a run that must fail, reported by the whole program ([`canary`]).

pub mod canary;
pub mod full;
pub mod profiles;
pub mod short;
pub mod stats;
pub mod table;

use std::time::Duration;

use crate::faults::bugs::Bug;

use crate::engine::Engine;
use crate::faults::bugs::{self, Planted};
use crate::planning::plan::Plan;
use crate::record::check::{Violation, check};
use crate::record::log::{Log, What};
use crate::record::outcome::Outcome;
use crate::search::shrink::{Shrunk, shrink};
use crate::search::work;

use profiles::Profile;

/// The first seed of every series.
pub const FIRST_SEED: u64 = 1;

/// One seed under one profile, with at most one bug.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// Which bugs had their chance.
    pub chances: u64,
    /// Faults and mishaps that happened.
    pub faults: usize,
    /// Processor time.
    pub cpu: Duration,
}

impl Tried {
    /// Whether this bug would have had its chance.
    #[must_use]
    pub const fn had_chance(&self, bug: Bug) -> bool {
        self.chances & bugs::bit(bug) != 0
    }
}

/// A broken promise where none should be: the correct build was accused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FalseAlarm {
    /// Under which profile.
    pub profile: &'static str,
    /// Which seed.
    pub seed: u64,
    /// Which checker.
    pub checker: &'static str,
    /// What it said.
    pub what: String,
}

/// A schedule made small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smallest {
    /// Faults and mishaps left.
    pub faults: usize,
    /// How many there were.
    pub before: usize,
    /// Runs that it took.
    pub runs: u32,
}

fn plan_of(profile: &Profile, seed: u64) -> Plan {
    profile.setting().plan(seed)
}

/// Runs one seed under a profile, with this bug or none.
#[must_use]
pub fn try_seed(profile: &Profile, seed: u64, bug: Option<Bug>) -> Tried {
    let begun = work::Stopwatch::start();
    let plan = plan_of(profile, seed);
    let planted = Planted::new(bug);
    let outcome = Engine::default().run(&plan, &planted);
    let violation = check(&plan, &outcome).into_iter().next();
    let faults = happened(&outcome.log);
    Tried { violation, chances: planted.chances(), faults, cpu: begun.elapsed() }
}

/// Makes the run of a seed that caught a bug small.
#[must_use]
pub fn smallest(profile: &Profile, seed: u64, bug: Bug) -> Option<Smallest> {
    let run = |plan: &Plan| -> Outcome { Engine::default().run(plan, &Planted::new(Some(bug))) };
    let Shrunk { faults, faults_before, runs, .. } = shrink(&plan_of(profile, seed), &run)?;
    Some(Smallest { faults, before: faults_before, runs })
}

/// Faults of datagrams and mishaps of hosts.
fn happened(log: &Log) -> usize {
    let count = |what: &What| match what {
        What::Sent { faults, cut: false, .. } => faults.len(),
        What::Crashed | What::Paused { .. } | What::Disk(_) => 1,
        _ => 0,
    };
    log.entries.iter().map(|entry| count(&entry.what)).sum()
}

fn false_alarm(profile: &Profile, seed: u64, sound: &Tried) -> Option<FalseAlarm> {
    let Violation { checker, what, .. } = sound.violation.clone()?;
    Some(FalseAlarm { profile: profile.name, seed, checker, what })
}

/// The mean of these numbers of faults; 0 of none.
#[must_use]
pub fn mean_faults(sizes: &[Smallest]) -> f64 {
    let sum: usize = sizes.iter().map(|smallest| smallest.faults).sum();
    if sizes.is_empty() { 0.0 } else { sum as f64 / sizes.len() as f64 }
}
