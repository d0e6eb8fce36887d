//! Every schedule of at most so many faults over a scenario: a statement with a bound, not a
//! sample.
//!
//! Depth first: the next fault is of a datagram that is sent behind the last one in the run that
//! the faults before it cause. So repetitions are met as well, and each set of faults once. All
//! sets of one size come before any larger one: the first that fails is a smallest one.

mod choice;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use choice::{Choice, DOWN, LATE, Position};

use crate::engine::Engine;
use crate::faults::bugs::{Bug, Planted};
use crate::planning::plan::Plan;
use crate::planning::scenario::Scenario;
use crate::planning::workload::SETTLE;
use crate::record::check::{Violation, check};
use crate::record::outcome::Outcome;
use crate::search::work;

/// What is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// So many faults at most.
    pub faults: u32,
    /// Whether programs are killed as well.
    pub kills: bool,
    /// Whether keep-alives and their answers meet faults as well.
    pub keep_alives: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explored {
    /// Schedules that were run and held, by the number of their faults.
    pub schedules: Vec<u64>,
    /// Choices in the run without any.
    pub choices: usize,
    /// The first that fails; none larger was tried.
    pub failing: Option<Failing>,
}

/// A schedule that breaks a promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    /// The run.
    pub plan: Plan,
    /// What goes wrong in it.
    pub choices: Vec<Choice>,
    /// How it fails.
    pub violation: Violation,
}

impl Explored {
    /// All schedules that held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.schedules.iter().sum()
    }
}

/// What is run: of a scenario that must settle the end is put off, for it may meet a fault just
/// before. It ends as soon as it has settled.
#[must_use]
pub fn base(scenario: &Scenario) -> Plan {
    let mut plan = scenario.plan();
    if plan.healed.is_some() {
        plan.until += SETTLE;
    }
    plan
}

/// Runs every schedule. `done` is told of each.
#[must_use]
pub fn exhaust(
    plan: &Plan,
    bug: Option<Bug>,
    scope: Scope,
    jobs: NonZeroUsize,
    done: impl Fn() + Sync,
) -> Explored {
    let search = Search { bug, scope, done: &done };
    let outcome = search.run(plan);
    let first = choice::choices(plan, &outcome.log, None, scope);
    let mut explored = Explored { schedules: vec![0], choices: first.len(), failing: None };
    explored.failing = search.judge(plan, &outcome, &mut explored.schedules[0]);
    for faults in 1..=scope.faults {
        if explored.failing.is_some() {
            return explored;
        }
        let (held, failing) = search.all_of(plan, &first, faults, jobs);
        explored.schedules.push(held);
        explored.failing = failing;
    }
    explored
}

struct Search<'a> {
    bug: Option<Bug>,
    scope: Scope,
    done: &'a (dyn Fn() + Sync),
}

impl Search<'_> {
    fn run(&self, plan: &Plan) -> Outcome {
        Engine::default().run(plan, &Planted::new(self.bug))
    }

    /// Judges a schedule without its choices, which are not known here.
    fn judge(&self, plan: &Plan, outcome: &Outcome, held: &mut u64) -> Option<Failing> {
        (self.done)();
        let Some(violation) = check(plan, outcome).into_iter().next() else {
            *held += 1;
            return None;
        };
        Some(Failing { plan: plan.clone(), choices: Vec::new(), violation })
    }

    /// All schedules of exactly so many faults: how many held, and the first that does not.
    fn all_of(
        &self,
        plan: &Plan,
        first: &[(Position, Choice)],
        faults: u32,
        jobs: NonZeroUsize,
    ) -> (u64, Option<Failing>) {
        // What comes behind the first part that fails need not be run.
        let fails_at = AtomicUsize::new(usize::MAX);
        let parts: Vec<usize> = (0..first.len()).collect();
        let results = work::each(jobs, &parts, |part| {
            let mut held = 0;
            if fails_at.load(Ordering::Relaxed) < *part {
                return (held, None);
            }
            let failing = self.with(plan, &first[*part], faults - 1, &mut held);
            if failing.is_some() {
                fails_at.fetch_min(*part, Ordering::Relaxed);
            }
            (held, failing)
        });
        let end = results.iter().position(|(_, failing)| failing.is_some());
        let counted = end.map_or(results.len(), |end| end + 1);
        let held = results.iter().take(counted).map(|(held, _)| held).sum();
        (held, results.into_iter().find_map(|(_, failing)| failing))
    }

    /// All schedules that begin with this choice and have so many more.
    fn with(
        &self,
        plan: &Plan,
        (position, choice): &(Position, Choice),
        more: u32,
        held: &mut u64,
    ) -> Option<Failing> {
        let plan = &choice.on(plan);
        let outcome = self.run(plan);
        let mut failing = if more == 0 {
            self.judge(plan, &outcome, held)
        } else {
            let next = choice::choices(plan, &outcome.log, Some(position), self.scope);
            next.iter().find_map(|next| self.with(plan, next, more - 1, held))
        }?;
        failing.choices.insert(0, choice.clone());
        Some(failing)
    }
}
