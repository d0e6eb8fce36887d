//! Runs that are as a given one up to some time, and from then on left to chance once more.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::engine::Engine;
use crate::faults::bugs::{Bug, Planted};
use crate::faults::fate::{Rates, Reseed};
use crate::naming::random::hash;
use crate::planning::plan::Plan;
use crate::planning::scenario::Scenario;
use crate::planning::workload::SETTLE;
use crate::record::check::{Violation, check};
use crate::search::work;

/// A run whose neighbours are looked at.
#[derive(Clone, Debug)]
pub struct Centre {
    /// The run.
    pub plan: Plan,
    /// What is wrong with every program in it.
    pub bug: Option<Bug>,
    /// How likely which fault of a datagram is in its neighbours.
    pub rates: Rates,
}

/// Which neighbours are run, and what counts as failing.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours {
    /// They are as the run up to this time.
    pub from: Duration,
    /// So many of them.
    pub of: u64,
    /// The checker whose promise must be broken, if it is not any.
    pub checker: Option<&'static str>,
}

impl Centre {
    /// A seed's run: its neighbours have its own rates.
    #[must_use]
    pub const fn of_seed(plan: Plan, bug: Option<Bug>) -> Self {
        let rates = plan.faults.rates;
        Self { plan, bug, rates }
    }

    /// A scenario. Random faults of its neighbours end when it does, and if it must settle, it has
    /// the time for that behind them.
    #[must_use]
    pub fn of_scenario(scenario: &Scenario, rates: Rates) -> Self {
        let mut plan = scenario.plan();
        plan.faults.rates_until = plan.until;
        if plan.healed.is_some() {
            plan.healed = Some(plan.until);
            plan.until += SETTLE;
        }
        Self { plan, bug: scenario.bug, rates }
    }

    /// Its neighbour of this number from that time on.
    #[must_use]
    pub fn neighbour(&self, from: Duration, number: u64) -> Plan {
        let mut plan = self.plan.clone();
        let seed = hash(plan.seed, &["neighbour", &number.to_string()]);
        plan.faults.reseed = Some(Reseed { from, seed, rates: self.rates });
        plan
    }

    /// Every promise that a run with this bug or none breaks.
    #[must_use]
    pub fn violations(plan: &Plan, bug: Option<Bug>) -> Vec<Violation> {
        check(plan, &Engine::default().run(plan, &Planted::new(bug)))
    }

    /// The numbers of those neighbours that fail. `done` is told of each run.
    #[must_use]
    pub fn failing(
        &self,
        Neighbours { from, of, checker }: Neighbours,
        jobs: NonZeroUsize,
        done: &(dyn Fn() + Sync),
    ) -> Vec<u64> {
        let numbers: Vec<u64> = (0..of).collect();
        let fails = |number: &u64| {
            let violations = Self::violations(&self.neighbour(from, *number), self.bug);
            done();
            violations.iter().any(|it| checker.is_none_or(|checker| it.checker == checker))
        };
        let fails = work::each(jobs, &numbers, fails);
        let failing = |(number, fails): (u64, bool)| fails.then_some(number);
        numbers.into_iter().zip(fails).filter_map(failing).collect()
    }
}
