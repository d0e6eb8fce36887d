//! A scenario run again with the bug that it names, held to the promises, and where in its log each
//! broken one shows.

use crate::engine::Engine;
use crate::faults::bugs::Planted;
use crate::planning::plan::Plan;
use crate::planning::scenario::Scenario;
use crate::record::check::{Violation, check};
use crate::record::outcome::Outcome;

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What was to be done.
    pub plan: Plan,
    /// What happened.
    pub outcome: Outcome,
    /// Every promise that was broken.
    pub violations: Vec<Violation>,
}

/// Runs it and judges it.
#[must_use]
pub fn replay(scenario: &Scenario) -> Replay {
    let plan = scenario.plan();
    let outcome = Engine::default().run(&plan, &Planted::new(scenario.bug));
    let violations = check(&plan, &outcome);
    Replay { plan, outcome, violations }
}

impl Replay {
    /// The entry of the log at which the violation shows, by its index; none if nothing has
    /// happened by then. Of several at that time it is the first with which the checker reports
    /// it: checkers say when, and here each is asked about less and less of the log.
    #[must_use]
    pub fn place(&self, violation: &Violation) -> Option<usize> {
        let entries = &self.outcome.log.entries;
        let first = entries.partition_point(|entry| entry.at < violation.at);
        let end = entries.partition_point(|entry| entry.at <= violation.at);
        let mut shorter = self.outcome.clone();
        let mut shows = |last: &usize| {
            shorter.log.entries = entries[..=*last].to_vec();
            check(&self.plan, &shorter).contains(violation)
        };
        (first..end).find(|index| shows(index)).or_else(|| end.checked_sub(1))
    }
}
