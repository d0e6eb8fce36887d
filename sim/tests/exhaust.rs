//! Every schedule of at most two faults over the smallest scenarios keeps every promise, and what a
//! planted bug breaks is found with the smallest schedule that shows it.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::num::NonZeroUsize;
use std::path::Path;

use sim::engine::Engine;
use sim::faults::bugs::{Planted, named};
use sim::planning::scenario::Scenario;
use sim::search::exhaust::{Choice, Explored, Scope, base, exhaust};
use sim::search::fixture::keep;
use sim::search::replay::replay;
use sim::search::shrink::shrink;

/// The scenarios with the fewest datagrams, from 7 on.
const SMALLEST: [&str; 10] = [
    "keep_alives_lost_stays_registered",
    "sign_in_packets_lost_registers_later",
    "sign_in_packets_twice_registers_once",
    "unknown_name_not_saved_lost_is_told_again",
    "deregister_never_arrives_lease_ends",
    "registered_forged_blindly_is_no_answer",
    "message_lost_four_times_is_received_directly",
    "group_made_and_the_answer_lost_is_made_once",
    "lost_ack_is_resent_and_shown_once",
    "message_and_ack_twice_shown_once",
];

fn scenario(name: &str) -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/scenarios");
    let text = std::fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
    Scenario::parse(&text).unwrap()
}

fn jobs() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn explore(name: &str, bug: Option<&str>, faults: u32, kills: bool) -> Explored {
    let scope = Scope { faults, kills, power_cuts: kills, keep_alives: false };
    exhaust(&base(&scenario(name)), bug.and_then(named), scope, jobs(), || {})
}

#[test]
fn no_two_faults_break_the_smallest_scenarios() {
    for name in SMALLEST {
        let Explored { schedules, choices, failing } = explore(name, None, 2, false);
        assert_eq!(failing, None, "{name}");
        assert_eq!(schedules[..2], [1, choices as u64], "{name}");
        // A fault that is met with a repetition leaves more to go wrong.
        assert!(schedules[2] > schedules[1] && schedules.len() == 3, "{name}: {schedules:?}");
    }
}

#[test]
fn no_kill_and_no_loss_of_power_breaks_the_smallest_scenarios() {
    // There a message waits for a name that nobody ever has: whoever was killed before the answer
    // cannot tell it from one that the server has forgotten, and keeps it.
    let waits = "unknown_name_not_saved_lost_is_told_again";
    for name in SMALLEST.into_iter().filter(|name| *name != waits) {
        let Explored { schedules, failing, .. } = explore(name, None, 1, true);
        assert_eq!(failing, None, "{name}");
        assert!(schedules[1] > explore(name, None, 0, false).choices as u64, "{name}");
    }
}

const TALK: &str = r#"{
  "about": "two messages, and nothing goes wrong",
  "seed": 1,
  "settles": true,
  "steps": [
    {"at": "0s", "start": "alice"},
    {"at": "0s", "start": "bob"},
    {"at": "1s", "as": "alice", "type": "send bob one"},
    {"at": "1s", "as": "alice", "type": "send bob two"}
  ],
  "until": "2s"
}
"#;

/// The smallest schedule that shows a bug, in words.
fn smallest(bug: &str, kills: bool) -> Vec<String> {
    let plan = base(&Scenario::parse(TALK).unwrap());
    let scope = Scope { faults: 2, kills, power_cuts: false, keep_alives: false };
    let failing = exhaust(&plan, named(bug), scope, jobs(), || {}).failing.expect(bug);
    let sound = exhaust(&plan, None, Scope { faults: 1, ..scope }, jobs(), || {});
    assert_eq!(sound.failing, None);
    // Written down as other failures are.
    let run = |plan: &_| Engine::default().run(plan, &Planted::new(named(bug)));
    let shrunk = shrink(&failing.plan, &run).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exhausted");
    let kept = keep(&shrunk, plan.seed, named(bug), &folder).unwrap();
    assert_eq!(kept.faults, failing.choices.len());
    assert_eq!(kept.violation.checker, failing.violation.checker);
    let again = Scenario::parse(&std::fs::read_to_string(&kept.path).unwrap()).unwrap();
    assert!(replay(&again).violations.contains(&kept.violation));
    failing.choices.iter().map(Choice::to_string).collect()
}

#[test]
fn a_bug_that_one_fault_shows_is_found_with_one() {
    assert_eq!(smallest("copy-not-acked", false), ["bob -> alice ack alice#2: lost"]);
    assert_eq!(smallest("highest-only", false), ["alice -> bob message alice#1: lost"]);
    assert_eq!(smallest("forgets-outbox", true), ["alice is killed at 1.001 s"]);
}

#[test]
fn a_bug_that_only_two_faults_show_is_found_with_two() {
    let schedule = ["alice -> server hello: lost", "server is killed at 0.051 s"];
    assert_eq!(smallest("clears-mailbox-early", true), schedule);
}

#[test]
fn a_schedule_is_the_same_with_any_number_of_threads() {
    let plan = base(&Scenario::parse(TALK).unwrap());
    let scope = Scope { faults: 1, kills: true, power_cuts: true, keep_alives: true };
    let explored = |jobs| {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        exhaust(&plan, named("highest-only"), scope, jobs, || {})
    };
    assert_eq!(explored(1), explored(3));
}
