//! The test of the simulator is tested: it finds what is planted, accuses nobody else, and says so.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use sim::faults::bugs::{Bug, Tampering};
use sim::planning::scenario::Scenario;
use sim::score::canary;
use sim::score::profiles::{CASES, Case, PROFILES};
use sim::score::short::{Short, Verdict, run_cases};
use sim::score::table::{Score, Scored};
use sim::score::{FIRST_SEED, try_seed};
use sim::search::fixture::keep_whole;
use sim::search::replay::replay;
use udpchat_core::mutation::Mutation;

fn case(bug: Bug) -> Case {
    *CASES.iter().find(|case| case.bug == bug).unwrap()
}

fn run(cases: &[Case]) -> Short {
    run_cases(NonZeroUsize::MIN, cases, |_| {})
}

fn score(short: Short, canary: canary::Heard) -> Score {
    Score { result: Scored::Short(short), canary, wall: Duration::ZERO }
}

#[test]
fn a_planted_bug_is_caught_and_the_correct_build_is_not_accused() {
    let short = run(&[
        case(Bug::Tampering(Tampering::ShowsCopies)),
        case(Bug::Machine(Mutation::AcksBeforeCommit)),
    ]);
    let checkers: Vec<_> = short.rows.iter().map(|row| row.caught).collect();
    assert_eq!(checkers, [Some("shown once"), Some("truth")]);
    assert_eq!(short.false_alarms, []);
    assert!(short.sound_runs >= 2);
    // Of those that are made small, because that is cheap.
    let smallest: Vec<_> = short.rows.iter().filter_map(|row| row.smallest).collect();
    assert!(!smallest.is_empty() && smallest.iter().all(|smallest| smallest.faults <= 3));
    let score = score(short, Ok(()));
    assert!(score.passed());
    // It fits on a terminal, and its end says what it came to and how to go on.
    let text = score.to_text();
    let mut words = text.lines().filter(|line| !line.contains("cargo run"));
    assert!(words.all(|line| line.chars().count() <= 80), "{text}");
    let verdict = "PASSED  2 of 2 planted bugs caught, 0 false alarms";
    assert_eq!(text.lines().rev().nth(2), Some(verdict), "{text}");
    assert!(text.contains("  look     cargo run --bin sim -- --dup-rate 0.3 --plant shows-copies"));
}

#[test]
fn every_planted_bug_is_kept_in_a_file_that_shows_it_and_where() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept_bugs");
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let paths = sim::search::work::each(jobs, CASES, |case| {
        let setting = case.profile.setting();
        let caught = |seed| try_seed(&case.profile, seed, Some(case.bug)).violation.is_some();
        let seed = (FIRST_SEED..FIRST_SEED + case.budget).find(|seed| caught(*seed)).unwrap();
        let plan = setting.plan(seed);
        let path = keep_whole(&plan, Some(case.bug), &folder).unwrap().path;
        let scenario = Scenario::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let replay = replay(&scenario);
        assert!(!replay.violations.is_empty(), "{}", path.display());
        for violation in &replay.violations {
            let entry = &replay.outcome.log.entries[replay.place(violation).unwrap()];
            assert!(entry.at <= violation.at, "{violation:?} is not at {entry:?}");
        }
        path
    });
    let different: std::collections::BTreeSet<_> = paths.iter().collect();
    assert_eq!(different.len(), CASES.len(), "files overwrite each other");
}

#[test]
fn what_had_no_chance_is_told_apart_from_what_was_missed() {
    let none = PROFILES[0];
    // Without crashes nothing is forgotten; without loss nobody needs a second acknowledgement.
    let never =
        Case { profile: none, budget: 2, ..case(Bug::Machine(Mutation::ClockStepExpiresMail)) };
    // Its chance comes with every message, its damage only with a crash.
    let missed =
        Case { profile: none, budget: 1, ..case(Bug::Tampering(Tampering::ForgetsOutbox)) };
    let short = run(&[never, missed]);
    let verdicts: Vec<_> = short.rows.iter().map(sim::score::short::Row::verdict).collect();
    assert!(verdicts == [Verdict::NeverActive, Verdict::NotCaught]);
    let score = score(short, Ok(()));
    assert!(!score.passed());
    let text = score.to_text();
    assert!(text.contains("2: 0 caught, 1 not caught, 1 never activated"), "{text}");
}

#[test]
fn json_is_one_object_on_one_line_with_the_promised_keys() {
    let text = score(run(&[case(Bug::Tampering(Tampering::ShowsCopies))]), Ok(())).to_json();
    assert_eq!(text.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for key in [
        "bugs",
        "canary",
        "caught",
        "false_alarms",
        "form",
        "mean_faults",
        "never_activated",
        "not_caught",
        "passed",
        "profiles",
        "seeds",
        "sound_runs",
        "wall_s",
    ] {
        assert!(json.get(key).is_some(), "{key} is missing in {text}");
    }
    assert_eq!((&json["passed"], &json["caught"]), (&true.into(), &1.into()));
    let bug = &json["bugs"][0];
    assert_eq!((&bug["bug"], &bug["checker"]), (&"shows-copies".into(), &"shown once".into()));
}

#[test]
fn the_canary_is_heard_and_its_silence_fails_the_score() {
    assert_eq!(canary::run(Path::new(env!("CARGO_BIN_EXE_sim"))), Ok(()));
    assert!(canary::run(Path::new("no/such/program")).is_err());
    let silent = score(Short::default(), Err("nothing was said".to_owned()));
    assert!(!silent.passed());
    assert!(silent.to_text().contains("NOT REPORTED: nothing was said"));
}
