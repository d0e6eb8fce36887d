//! Every schedule of at most so many faults over a scenario: a statement with a bound, not a
//! sample.
//!
//! Depth first: the next fault is of a datagram that is sent behind the last one in the run that
//! the faults before it cause. So repetitions are met as well, and each set of faults once. All
//! sets of one size come before any larger one: the first that fails is a smallest one.

mod choice;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use udpchat_core::client::timing::GIVE_UP;

pub use choice::{Choice, DOWN, LATE, Position, SYNCS_MAX};

use crate::engine::Engine;
use crate::faults::bugs::{Bug, Planted};
use crate::planning::plan::{Act, Host, INTERRUPT, Plan};
use crate::planning::scenario::Scenario;
use crate::planning::workload::SETTLE;
use crate::record::check::{Violation, check};
use crate::record::outcome::Outcome;
use crate::search::work;

/// What follows something follows it so much later: the resolution of simulated time.
const MOMENT: Duration = Duration::from_millis(1);

/// What is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// So many faults at most.
    pub faults: u32,
    /// Whether programs are killed as well.
    pub kills: bool,
    /// Whether hosts lose their power as well.
    pub power_cuts: bool,
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

/// What is run. A scenario that must settle has the time for that behind its own end, for it may
/// meet a fault just before; it ends as soon as it has settled. Whoever has ended without being
/// told to, as a client that never reached the server, or a program whose disk failed, is started
/// again first.
#[must_use]
pub fn base(scenario: &Scenario) -> Plan {
    let mut plan = scenario.plan();
    let Some(healed) = plan.healed else { return plan };
    let again = healed + GIVE_UP + MOMENT;
    for host in &mut plan.hosts {
        if let Some(port) = runs_in_the_end(host) {
            host.then(again, Act::Start { port });
        }
    }
    plan.healed = Some(again);
    plan.until = plan.until.max(again) + SETTLE;
    plan
}

/// The port of the host's program, if the plan leaves it running.
fn runs_in_the_end(host: &Host) -> Option<u16> {
    host.actions.iter().fold(None, |port, action| match &action.act {
        Act::Start { port } => Some(*port),
        Act::Crash => None,
        Act::Type { line, .. } if ends(line) => None,
        _ => port,
    })
}

fn ends(line: &str) -> bool {
    matches!(line.trim(), "quit" | "stop" | "ctrl + c" | INTERRUPT)
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
    let first = search.choices(plan, None);
    let mut explored = Explored { schedules: vec![0], choices: first.len(), failing: None };
    explored.failing = search.judge(plan, &mut explored.schedules[0]);
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

    /// What can go wrong behind a position of the run.
    fn choices(&self, plan: &Plan, behind: Option<&Position>) -> Vec<(Position, Choice)> {
        let log = match self.scope.power_cuts {
            true => self.run(&choice::with_syncs(plan)).log,
            false => self.run(plan).log,
        };
        choice::choices(plan, &log, behind, self.scope)
    }

    /// Judges a schedule without its choices, which are not known here.
    fn judge(&self, plan: &Plan, held: &mut u64) -> Option<Failing> {
        (self.done)();
        let Some(violation) = check(plan, &self.run(plan)).into_iter().next() else {
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
        let mut failing = if more == 0 {
            self.judge(plan, held)
        } else {
            let next = self.choices(plan, Some(position));
            next.iter().find_map(|next| self.with(plan, next, more - 1, held))
        }?;
        failing.choices.insert(0, choice.clone());
        Some(failing)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TALK: &str = r#"{"about": "", "settles": true, "until": "2s", "steps": [
        {"at": "0s", "start": "alice"},
        {"at": "0s", "start": "bob"},
        {"at": "1s", "as": "alice", "type": "send bob one"}]}"#;

    #[test]
    fn each_set_of_faults_is_met_once_in_whatever_order_they_are_looked_for() {
        let plan = base(&Scenario::parse(TALK).expect("a scenario"));
        let scope = Scope { faults: 2, kills: true, power_cuts: true, keep_alives: false };
        let search = Search { bug: None, scope, done: &|| {} };
        let names = |pair: [&Choice; 2]| pair.map(|choice| format!("{choice:?}"));
        let mut met = BTreeSet::new();
        let first = search.choices(&plan, None);
        let cuts = first.iter().filter(|(_, it)| matches!(it, Choice::PowerCut { .. }));
        assert!(cuts.count() > 3, "{first:?}");
        for (position, one) in &first {
            for (_, other) in search.choices(&one.on(&plan), Some(position)) {
                assert!(met.insert(BTreeSet::from(names([one, &other]))), "{one}, {other}: twice");
            }
        }
        // Whoever looks everywhere for a second one, not behind the first alone, finds no more: but
        // for those whose earlier one leaves nothing for the later one to happen to.
        let met_by = |one: &Choice| search.choices(&one.on(&plan), None);
        for (_, one) in &first {
            for (_, other) in met_by(one).iter().filter(|(_, other)| !same_place(one, other)) {
                let is_met = met.contains(&BTreeSet::from(names([one, other])));
                let leaves_it = || met_by(other).iter().any(|(_, choice)| choice == one);
                assert!(is_met || !leaves_it(), "{one}, {other}: never");
            }
        }
    }

    /// A datagram meets one fault at most.
    fn same_place(one: &Choice, other: &Choice) -> bool {
        match (one, other) {
            (Choice::Datagram { key: a, .. }, Choice::Datagram { key: b, .. }) => a == b,
            _ => one == other,
        }
    }
}
