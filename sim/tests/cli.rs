//! The simulator's command as users and scripts meet it.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::path::{Path, PathBuf};
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
    for expected in ["seeds 1 to 3", "--drop-rate 0.3", "30.00 %", "HELD  3 seeds: "] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
}

#[test]
fn an_adversary_is_drawn_like_any_fault() {
    // One that is held off: what is not is made small and kept.
    let words = "--drop-rate 0 --adversary off-path,insider --seed 4 --seeds 1";
    let text = stdout(&sim(&format!("{words} --log")));
    assert!(text.contains("--adversary off-path,insider"), "{text}");
    assert!(text.lines().any(|line| line.contains("mallory ->")), "{text}");
    assert!(!stdout(&sim("--drop-rate 0 --seed 4 --seeds 1 --log")).contains("mallory"));
    let wrong = sim("--adversary of-path");
    assert_eq!(wrong.status.code(), Some(2));
    let told = String::from_utf8(wrong.stderr).unwrap();
    assert!(told.contains("[possible values: off-path, on-path, insider, server]"), "{told}");
}

/// The rows that these lines take on a terminal of 80 columns.
fn rows<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    lines.map(|line| line.chars().count().div_ceil(sim::report::COLUMNS).max(1)).sum()
}

#[test]
fn a_run_that_holds_ends_on_one_screen_with_the_verdict_and_how_to_go_on() {
    // No options at all have the longest table.
    for words in ["--drop-rate 0.3 --seed 1 --seeds 3", "--seed 1 --seeds 20"] {
        let text = stdout(&sim(words));
        let report: Vec<&str> =
            text.lines().skip_while(|line| !line.contains(" measured")).collect();
        // And the prompt below it: a terminal of 24 lines.
        assert!(rows(report.iter().copied()) <= 23, "{text}");
        let at = report.iter().position(|line| line.starts_with("HELD  ")).unwrap();
        for expected in ["messages shown once", " 0 lost", " 0 twice"] {
            assert!(report[at].contains(expected), "{text}");
        }
        assert!(rows(report[at..].iter().copied()) <= 8, "{text}");
        assert!(!text.contains("nobody is shown a message twice"), "{text}");
        let words_only = report.iter().filter(|line| !line.contains("cargo run"));
        assert!(words_only.clone().all(|line| line.chars().count() <= 80), "{text}");
    }
    let text = stdout(&sim("--drop-rate 0.3 --seed 1 --seeds 1 --verbose"));
    assert!(text.contains("nobody is shown a message twice"), "{text}");
    assert!(text.rfind("HELD  ") > text.find("nobody is shown"), "{text}");
}

/// The commands that a failure prints behind this word, without `cargo run --bin sim --`.
fn printed(text: &str, word: &str) -> Vec<String> {
    let command = |line: &str| {
        let (_, command) = line.strip_prefix(&format!("  {word}"))?.split_once("sim -- ")?;
        Some(command.to_owned())
    };
    text.lines().filter_map(command).collect()
}

#[test]
fn the_command_that_a_planted_bug_prints_fails_and_marks_the_line() {
    let text = stdout(&sim("--plant shows-copies --dup-rate 0.3 --seed 4 --seeds 1"));
    let last = text.lines().rev().find(|line| !line.starts_with("  ")).unwrap();
    assert!(last.starts_with("VIOLATED  1 of 1 seed: "), "{text}");
    let command = printed(&text, "replay").remove(0);
    let output = sim(&command);
    assert_eq!(output.status.code(), Some(1), "{command}");
    let log = stdout(&output);
    let lines: Vec<&str> = log.lines().collect();
    let mark = lines.iter().position(|line| line.starts_with("VIOLATED  shown once: ")).unwrap();
    assert!(lines[mark - 1].contains("* SHOWS "), "{log}");
    assert!(log.contains("nobody is shown a message twice"), "{log}");
    // The same run without the bug.
    let sound = sim(&format!("{command} --plant none"));
    assert_eq!(sound.status.code(), Some(0));
    assert!(stdout(&sound).contains("\nHELD  this run kept "));
    // The other way to have it again.
    assert_eq!(sim(&printed(&text, "repeat")[0]).status.code(), Some(1));
}

#[test]
fn two_bugs_at_one_seed_are_two_files() {
    let file = |bug| {
        let text = stdout(&sim(&format!("--plant {bug} --drop-rate 0.3 --seed 1 --seeds 1")));
        let command = printed(&text, "replay").remove(0);
        command.strip_prefix("replay ").unwrap().to_owned()
    };
    // Both break "truth".
    let (a, b) = (file("highest-only"), file("acks-held"));
    assert!(a.contains("highest-only_") && a.contains("_seed_1."), "{a}");
    assert!(b.contains("acks-held_") && b.contains("_seed_1."), "{b}");
    for file in [a, b] {
        assert_eq!(sim(&format!("replay {file}")).status.code(), Some(1), "{file}");
    }
}

#[test]
fn a_file_that_cannot_be_run_is_told_in_one_line() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
    std::fs::create_dir_all(&folder).unwrap();
    let good = include_str!("../../fixtures/scenarios/lost_ack_is_resent_and_shown_once.json");
    let with = |key: &str| good.replacen('{', &format!("{{\n  {key},"), 1);
    let cases = [
        ("damaged.json", Some(good[..good.len() / 2].to_owned()), ":"),
        ("version.json", Some(with("\"version\": 2")), ":2:14: this is version 2 of the form"),
        ("bug.json", Some(with("\"bug\": \"x\"")), ":2:12: no bug is called \"x\""),
        ("old.json", Some(good.to_owned()), ": names no `bug`"),
        ("seed.snap", Some("---\n".to_owned()), ": is a snapshot"),
        ("long.json", Some(" ".repeat((16 << 20) + 1)), ": is longer than 16777216 bytes"),
        ("missing.json", None, ": there is no such file"),
        ("", None, ": is a folder"),
    ];
    for (name, text, expected) in cases {
        let path = folder.join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let output = sim(&format!("replay {}", path.display()));
        let told = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{name}: {told}");
        let after_name = told.strip_prefix(&path.display().to_string()).unwrap();
        assert!(after_name.starts_with(expected), "{name}: {told}");
        assert!(output.stdout.is_empty(), "{name}");
    }
    // Whoever says which bug can run it.
    let old = folder.join("old.json");
    let output = sim(&format!("replay {} --plant shows-copies", old.display()));
    assert_eq!(output.status.code(), Some(1), "a lost ack, so a copy");
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

const LOST_ACK: &str = "fixtures/scenarios/lost_ack_is_resent_and_shown_once.json";

#[test]
fn all_schedules_of_a_scenario_end_in_a_certificate_or_in_the_one_that_fails() {
    let output = sim(&format!("exhaust {LOST_ACK} --faults 1"));
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    let certified = " schedules, at most 1 of drop, twice, late: none fails.\n";
    assert!(text.starts_with("HELD  ") && text.contains(certified), "{text}");
    for line in ["  scope     ", "  held      1 without faults, ", "  scenario  ", "  sim       "] {
        assert!(text.contains(line), "{text}");
    }
    let into = env!("CARGO_TARGET_TMPDIR");
    let twice = "fixtures/scenarios/message_and_ack_twice_shown_once.json";
    let planted = format!("exhaust {twice} --faults 2 --plant copy-not-acked --into {into}");
    let output = sim(&format!("{planted} --json"));
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let failure = &json["failure"];
    assert_eq!((&json["bug"], &json["faults"]), (&"copy-not-acked".into(), &2.into()));
    assert_eq!(failure["checker"], "nothing lost");
    let fixture = failure["fixture"].as_str().unwrap();
    assert_eq!(sim(&format!("replay {fixture}")).status.code(), Some(1), "{fixture}");
    assert!(stdout(&sim(&planted)).contains(&format!("sim -- replay {fixture}")));
}

const SMALL: &str = "--dup-rate 0.3 --clients 2 --messages 6 --duration 2s";

#[test]
fn a_seed_has_critical_rates_and_a_time_from_which_on_it_is_lost() {
    let output = sim(&format!("critical 1 --plant shows-copies {SMALL} --json"));
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let [scale, holds] = ["scale", "holds"].map(|key| json[key].as_f64().unwrap());
    assert!(holds < scale && scale <= 1.0 && scale - holds < 0.001, "{json}");
    let (rates, own) = (&json["rates"], 0.3);
    let smallest = rates["smallest"]["duplicate"].as_f64().unwrap();
    assert!((smallest - scale * own).abs() < 1e-9, "{json}");
    let output = sim(&format!("likelihood 1 --plant shows-copies {SMALL} --json"));
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let failing = json["failing"].as_array().unwrap();
    // The last point is behind the failure: nothing can help any more.
    assert_eq!(failing.last().unwrap(), &json["of"], "{json}");
    assert!(json["lost_s"].as_f64().unwrap() <= json["told_s"].as_f64().unwrap() + 0.1, "{json}");
    for word in ["critical", "likelihood"] {
        let output = sim(&format!("{word} 1 {SMALL}"));
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("1 breaks no promise: "), "{word}");
    }
}

#[test]
fn a_fix_is_confirmed_by_the_neighbours_of_what_failed() {
    let confirm = |words: &str| sim(&format!("confirm {LOST_ACK} {words}"));
    let output = confirm("--plant shows-copies --drop-rate 0.3 --seeds 40");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let now = ", now 0 of 40: at most 7.22 % (95 %).";
    assert!(text.starts_with("CONFIRMED  was ") && text.contains(now), "{text}");
    let few = confirm("--was 0.01 --seeds 40");
    assert_eq!(few.status.code(), Some(3));
    let text = stdout(&few);
    assert!(text.starts_with("INCONCLUSIVE  was 1.00 %, now 0 of 40"), "{text}");
    assert!(text.contains("--seeds 300 says something"), "{text}");
}

#[test]
fn statements_that_cannot_be_made_are_told_in_one_line() {
    let told = [
        ("exhaust no/such.json --faults 1".to_owned(), "no/such.json: there is no such file"),
        (format!("confirm {LOST_ACK}"), "names no bug to compare with; say how often"),
        (format!("confirm {LOST_ACK} --was 0.1 --crash-rate 2"), "--crash-rate is for seeds: "),
        (format!("likelihood {LOST_ACK} --mtu 300"), "--mtu is for seeds: "),
        ("likelihood no/such.json".to_owned(), "no/such.json: there is no such file"),
    ];
    for (words, expected) in told {
        let output = sim(&words);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{words}: {told}");
        assert!(told.contains(expected), "{words}: {told}");
    }
    for words in [&format!("exhaust {LOST_ACK}"), "exhaust x --faults 99", "critical bob"] {
        assert_eq!(sim(words).status.code(), Some(2), "{words}");
    }
}

/// What `tests/plants.rs` does not find in the shipped program is here.
#[test]
fn the_simulator_can_make_machines_wrong() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_sim")).unwrap();
    let trace = udpchat_core::mutation::TRACE.as_bytes();
    assert!(program.windows(trace.len()).any(|bytes| bytes == trace));
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn processes_that_share_a_sweep_say_together_what_one_says_alone() {
    let words = "--drop-rate 0.3 --clients 3 --messages 5 --seed 10 --seeds 7";
    let folder = folder("shards");
    let mut files = Vec::new();
    for part in 1..=3 {
        let output = sim(&format!("{words} --shard {part}/3"));
        assert_eq!(output.status.code(), Some(0));
        let file = folder.join(format!("{part}.json"));
        std::fs::write(&file, output.stdout).unwrap();
        files.push(file.display().to_string());
    }
    let json =
        |output: &Output| -> serde_json::Value { serde_json::from_slice(&output.stdout).unwrap() };
    let mut alone = json(&sim(&format!("{words} --json")));
    // How long it took is nobody's who shared it.
    alone.as_object_mut().unwrap().remove("wall_s");
    assert_eq!(json(&sim(&format!("merge --json {}", files.join(" ")))), alone);
    let text = stdout(&sim(&format!("merge {}", files.join(" "))));
    let whole = stdout(&sim(words));
    assert_eq!(text.lines().last(), whole.lines().last());
    assert!(text.contains("HELD  7 seeds: "), "{text}");
    for (parts, told) in [
        (format!("{} {}", files[0], files[2]), "part 2 of 3 is missing"),
        ("Cargo.toml".to_owned(), "Cargo.toml: is no part of a sweep"),
    ] {
        let output = sim(&format!("merge {parts}"));
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(told), "{error}");
    }
    for wrong in ["--shard 0/3", "--shard 4/3", "--shard x"] {
        let output = sim(&format!("{wrong} --seed 1 --seeds 3"));
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}
