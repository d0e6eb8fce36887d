//! A failed run becomes a small scenario that fails in the same way, and only because of the bug.

use std::time::Duration;

use sim::bugs::{Planted, named};
use sim::check::check;
use sim::log::Detail;
use sim::scenario::Scenario;
use sim::shrink::{Shrunk, freeze, shrink, to_scenario};
use sim::workload::{self, Profile, Size};
use sim::world;

const SIZE: Size = Size { clients: 3, messages: 20, duration: Duration::from_secs(10) };

#[test]
fn a_frozen_run_is_the_same_run() {
    for seed in 0..3 {
        let plan = workload::plan(seed, &SIZE, &Profile::ALL);
        let outcome = world::run(&plan);
        let frozen = world::run(&freeze(&plan, &outcome.log));
        assert_eq!(outcome.log.to_text(Detail::Everything), frozen.log.to_text(Detail::Everything));
    }
}

#[test]
fn planted_bugs_are_found_and_their_schedules_made_small() {
    for name in ["shows-copies", "clears-mailbox-early", "acks-before-commit"] {
        let run = |plan: &_| world::run_with(plan, &Planted::new(named(name)));
        let found =
            (0..50).find_map(|seed| shrink(&workload::plan(seed, &SIZE, &Profile::ALL), &run));
        let Shrunk { plan, violation, faults, faults_before, .. } = found.unwrap();
        assert!(faults <= 3, "{name}: {faults} of {faults_before} faults are left");
        let scenario = to_scenario(&plan, &run(&plan).log, name.to_owned());
        let again = Scenario::parse(&scenario.to_string()).unwrap().plan();
        let violations = check(&again, &run(&again));
        assert_eq!(
            violations.first().map(|found| found.checker),
            Some(violation.checker),
            "{name}"
        );
        assert_eq!(check(&again, &world::run(&again)), [], "{name}: it fails without the bug");
    }
}
