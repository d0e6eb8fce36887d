//! The full form: every bug under every profile, counted.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::faults::bugs::Bug;

use super::profiles::PROFILES;
use super::{FIRST_SEED, FalseAlarm, Smallest, Tried, false_alarm, smallest, try_seed};
use crate::faults::bugs::BUGS;
use crate::search::work;

/// One bug under one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// How many seeds there were.
    pub seeds: u64,
    /// In how many seeds the bug had its chance.
    pub active: u64,
    /// In how many it was caught.
    pub detected: u64,
    /// Seeds up to the first in which it was.
    pub first: Option<u64>,
    /// Processor time up to then.
    pub cpu: Duration,
    /// Who caught it, each with how often.
    pub checkers: Vec<(&'static str, u64)>,
    /// The first run that caught it, made small.
    pub smallest: Option<Smallest>,
}

/// Everything counted.
#[derive(Clone, Default)]
pub struct Full {
    /// Seeds in each cell.
    pub seeds: u64,
    /// A row of cells for each bug, in the order of bugs and profiles.
    pub rows: Vec<(Bug, Vec<Cell>)>,
    /// The correct build accused.
    pub false_alarms: Vec<FalseAlarm>,
    /// How often the correct build was run.
    pub sound_runs: usize,
}

impl Full {
    /// The schedules that were made small.
    #[must_use]
    pub fn shrunk(&self) -> Vec<Smallest> {
        let cells = self.rows.iter().flat_map(|(_, cells)| cells);
        cells.filter_map(|cell| cell.smallest).collect()
    }
}

/// Runs all of it; tells `done` of each profile that is done.
#[must_use]
pub fn run(jobs: NonZeroUsize, seeds: u64, done: impl Fn(&str)) -> Full {
    let mut full = Full { seeds, ..Full::default() };
    full.rows = BUGS.iter().map(|(bug, _)| (*bug, Vec::new())).collect();
    let series: Vec<u64> = (FIRST_SEED..FIRST_SEED + seeds).collect();
    for profile in PROFILES {
        let sound = work::each(jobs, &series, |seed| try_seed(profile, *seed, None));
        let alarms = series.iter().zip(&sound);
        full.false_alarms
            .extend(alarms.filter_map(|(seed, tried)| false_alarm(profile, *seed, tried)));
        full.sound_runs += sound.len();
        // Without a chance, a run with the bug is the run without it.
        let chances = |(bug, _): &(Bug, _)| {
            let of = series.iter().zip(&sound).filter(|(_, tried)| tried.had_chance(*bug));
            of.map(|(seed, _)| (*bug, *seed)).collect::<Vec<_>>()
        };
        let work: Vec<(Bug, u64)> = BUGS.iter().flat_map(chances).collect();
        let tried = work::each(jobs, &work, |(bug, seed)| try_seed(profile, *seed, Some(*bug)));
        for (bug, cells) in &mut full.rows {
            let own = work.iter().zip(&tried).filter(|((of, _), _)| of == bug);
            cells.push(cell(&own.map(|((_, seed), tried)| (*seed, tried)).collect(), &sound));
        }
        done(profile.name);
    }
    shrink(jobs, &mut full);
    full
}

/// Counts the seeds that caught a bug. `planted` has those in which it had its chance, `sound` the
/// runs of all seeds without it.
fn cell(planted: &BTreeMap<u64, &Tried>, sound: &[Tried]) -> Cell {
    let mut cell = Cell::default();
    for (seed, sound) in (FIRST_SEED..).zip(sound) {
        cell.seeds += 1;
        let tried = planted.get(&seed).copied();
        if cell.first.is_none() {
            cell.cpu += tried.unwrap_or(sound).cpu;
        }
        cell.active += u64::from(tried.is_some());
        let Some(violation) = tried.and_then(|tried| tried.violation.as_ref()) else { continue };
        cell.detected += 1;
        cell.first.get_or_insert(seed - FIRST_SEED + 1);
        match cell.checkers.iter_mut().find(|(checker, _)| *checker == violation.checker) {
            Some((_, count)) => *count += 1,
            None => cell.checkers.push((violation.checker, 1)),
        }
    }
    cell.checkers.sort_by_key(|(checker, count)| (u64::MAX - count, *checker));
    cell
}

/// Makes each bug's first run small, under the first and the last profile that
/// caught it.
fn shrink(jobs: NonZeroUsize, full: &mut Full) {
    let mut work = Vec::new();
    for (row, (bug, cells)) in full.rows.iter().enumerate() {
        let caught = cells.iter().enumerate().filter_map(|(column, cell)| {
            // Where nothing goes wrong, nothing can be left out.
            let is_faulty = PROFILES[column].options != PROFILES[0].options;
            let seed = FIRST_SEED + cell.first? - 1;
            is_faulty.then_some((row, column, *bug, seed))
        });
        let caught: Vec<_> = caught.collect();
        // The plainest profile and the one with most kinds of faults.
        work.extend(caught.first());
        work.extend(caught.last().filter(|_| caught.len() > 1));
    }
    let shrunk =
        work::each(jobs, &work, |(_, column, bug, seed)| smallest(&PROFILES[*column], *seed, *bug));
    for ((row, column, ..), smallest) in work.into_iter().zip(shrunk) {
        full.rows[row].1[column].smallest = smallest;
    }
}
