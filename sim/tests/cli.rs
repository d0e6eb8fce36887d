//! The simulator's command as users and scripts meet it.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::path::Path;
use std::process::{Command, Output};

fn sim(words: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let words = words.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_sim")).args(words).current_dir(root).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_lossy_network_holds_and_says_so() {
    let output = sim("--drop-rate 0.3 --seed 1 --seeds 3");
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for expected in ["seed       1", "--drop-rate 0.3", "3 held", "asked: 30.00 %", "HELD"] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
}

#[test]
fn json_is_one_object_on_one_line() {
    let output = sim("--drop-rate 0.3 --seed 1 --seeds 2 --json");
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["seeds"], &json["passed"]), (&2.into(), &2.into()));
    assert_eq!(json["drop_rate"]["asked"], 0.3);
    assert!(json["messages"]["shown_once"].as_u64().unwrap() > 0);
    assert_eq!(json["messages"]["lost"], 0);
    assert!(json["trace_hash"].is_string());
}

#[test]
fn json_names_each_failure_and_what_is_kept_of_it() {
    let output = sim("--plant shows-copies --dup-rate 0.3 --seed 1 --seeds 2 --json");
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let failure = &json["failures"][0];
    assert_eq!((&failure["seed"], &failure["checker"]), (&"1".into(), &"shown once".into()));
    assert_eq!(failure["faults"], 1);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fixture = fixture.join(failure["fixture"].as_str().unwrap());
    assert!(fixture.exists() && fixture.with_extension("snap").exists());
    // The second is kept with all its faults, and fails from there as well.
    let whole = &json["failures"][1];
    assert!(whole["faults"].as_u64().unwrap() > 20, "{whole}");
    let file = whole["fixture"].as_str().unwrap();
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file).exists());
    assert_eq!(sim(&format!("check {file}")).status.code(), Some(0));
    for key in ["sent", "dropped", "duplicated", "delayed", "corrupted", "truncated"] {
        assert!(json["datagrams"][key].is_u64(), "datagrams.{key}");
    }
    for key in ["sent", "received", "saved", "unsent", "shown_once", "shown_twice", "lost"] {
        assert!(json["messages"][key].is_u64(), "messages.{key}");
    }
    for key in ["seeds", "passed", "failed", "inconclusive", "simulated_s", "wall_s"] {
        assert!(json[key].is_number(), "{key}");
    }
    assert!(json["drop_rate"]["measured"].is_number());
}

#[test]
fn where_nothing_arrives_nothing_is_proven() {
    let output = sim("--drop-rate 1 --messages 1 --duration 2s --seed 1 --seeds 1");
    let text = stdout(&output);
    // Healing delivers even that one; without any message nothing is put to the test.
    assert_eq!(output.status.code(), Some(0), "{text}");
    let output = sim("--drop-rate 0.1 --messages 0 --duration 2s --seed 1 --seeds 1");
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("INCONCLUSIVE"));
}

#[test]
fn wrong_use_and_bad_files_are_told_what_would_be_right() {
    assert_eq!(sim("--drop-rate 30").status.code(), Some(2));
    assert_eq!(sim("replay no/such/file.json").status.code(), Some(2));
    let output = sim("check Cargo.toml fixtures/scenarios/lost_ack_is_resent_and_shown_once.json");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("Cargo.toml:1:"), "{told}");
    assert_eq!(told.lines().count(), 1);
}

#[test]
fn a_scenario_is_replayed() {
    let output = sim("replay fixtures/scenarios/lost_ack_is_resent_and_shown_once.json");
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("bob     -> alice  ack alice#1  lost"));
}
