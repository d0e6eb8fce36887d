//! A failed run becomes a small scenario that fails in the same way, and only because of the bug.

use std::path::Path;
use std::time::Duration;

use sim::engine::{self, Engine};
use sim::faults::bugs::{Planted, named};
use sim::planning::scenario::Scenario;
use sim::planning::workload::{self, Profile, Size};
use sim::record::log::Detail;
use sim::search::fixture::{keep, verdict};
use sim::search::replay::replay;
use sim::search::shrink::{freeze, shrink};

const SIZE: Size = Size { clients: 3, messages: 20, duration: Duration::from_secs(10) };

#[test]
fn a_frozen_run_is_the_same_run() {
    for seed in 0..3 {
        let plan = workload::plan(seed, &SIZE, &Profile::ALL);
        let outcome = engine::run(&plan);
        let frozen = engine::run(&freeze(&plan, &outcome.log));
        assert_eq!(outcome.log.to_text(Detail::Everything), frozen.log.to_text(Detail::Everything));
    }
}

#[test]
fn planted_bugs_are_found_and_their_schedules_made_small() {
    for name in ["shows-copies", "clears-mailbox-early", "forgets-hand-over"] {
        let run = |plan: &_| Engine::default().run(plan, &Planted::new(named(name)));
        let found =
            (0..50).find_map(|seed| shrink(&workload::plan(seed, &SIZE, &Profile::ALL), &run));
        let found = found.unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept");
        // Makes sure itself that no step can be left out.
        let kept = keep(&found, 1, named(name), &folder).unwrap();
        assert!(kept.faults <= 3, "{name}: {} of {} are left", kept.faults, found.faults_before);
        let text = std::fs::read_to_string(&kept.path).unwrap();
        let again = Scenario::parse(&text).unwrap();
        assert_eq!(again.bug, named(name));
        let violations = replay(&again).violations;
        assert!(violations.contains(&kept.violation), "{name}: {violations:?}");
        let snapshot = std::fs::read_to_string(kept.path.with_extension("snap")).unwrap();
        assert!(snapshot.ends_with(&verdict(&again.plan(), &violations)), "{snapshot}");
        let sound = Scenario { bug: None, ..again };
        assert_eq!(replay(&sound).violations, [], "{name}: it fails without the bug");
    }
}
