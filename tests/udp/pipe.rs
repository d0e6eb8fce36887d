//! A script's lines, more of them than may wait: it is made to wait, and each gets its word.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;
use udpchat_core::protocol::limits::MAILBOX_PER_SENDER;

use crate::common::{Process, Scratch, client_in, free_port, json, server, server_in, together};

/// More than a client lets wait, commands and messages together.
const LINES: usize = 10_000;

fn sends(lines: usize) -> String {
    (1..=lines).map(|number| format!("send bob {number}\n")).collect()
}

/// How many events of each kind there are, by what else they say of a reason.
fn kinds(lines: &[String]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        let event = json(line);
        let text = |key: &str| event[key].as_str().map(|text| format!(" {text}"));
        let kind = event["event"].as_str().expect("an event").to_owned();
        let why = text("reason").or_else(|| text("text")).unwrap_or_default();
        *kinds.entry(kind + &why).or_default() += 1;
    }
    kinds
}

#[test]
fn ten_thousand_lines_reach_who_is_here_in_order() {
    let (_server, port) = server();
    let [mut alice, mut bob] = together(["alice", "bob"], port);
    alice.feed(sends(LINES));
    for number in 1..=LINES {
        let message = bob.event("message");
        assert_eq!(message["text"], number.to_string());
    }
    let lines = alice.ends_with(0);
    assert_eq!(kinds(&lines)["received"], LINES);
}

#[test]
fn ten_thousand_lines_to_who_is_away_each_have_an_outcome() {
    let (_server, port) = server();
    let [mut alice, mut bob] = together(["alice", "bob"], port);
    bob.say("dereg bob");
    bob.event("offline");
    alice.table(&["alice"]);
    alice.feed(sends(LINES));
    let kinds = kinds(&alice.ends_with(1));
    let share = MAILBOX_PER_SENDER;
    assert_eq!((kinds["saved"], kinds["unsent share_full"]), (share, 4_096 - share));
    assert_eq!(kinds["error Not sent: 4096 messages are waiting already"], LINES - 4_096);
}

#[test]
fn ten_thousand_lines_without_a_server_each_have_an_answer() {
    let scratch = Scratch::new();
    let mut alice = client_in(&scratch.path("alice"), "alice", free_port());
    alice.feed(sends(LINES));
    let kinds = kinds(&alice.ends_with(1));
    assert_eq!(kinds["error Not sent to bob: left before it could be"], LINES);
}

#[test]
fn a_signal_does_not_wait_behind_the_lines_that_do() {
    let scratch = Scratch::new();
    let mut alice = client_in(&scratch.path("alice"), "alice", free_port());
    alice.feed(sends(2 * LINES));
    // By then it can be told to leave, and as much waits as may.
    alice.event("server_not_responding");
    alice.signal("TERM");
    let lines = alice.ends_with(1);
    assert_eq!(kinds(&lines)["left"], 1);
}

#[test]
fn what_a_client_has_not_sent_when_it_is_ended_goes_out_under_its_id_at_the_next_start() {
    let (scratch, port) = (Scratch::new(), free_port());
    let (here, there) = (scratch.path("alice"), scratch.path("server"));
    for end in ["TERM", "INT", ""] {
        let server = server_in(&there, port);
        let mut bob = client_in(&scratch.path("bob"), "bob", port);
        bob.event("registered");
        let mut alice = client_in(&here, "alice", port);
        alice.table(&["alice", "bob"]);
        server.kill();
        bob.signal("STOP");
        alice.say("send bob hello");
        let id = alice.event("sending")["id"].clone();
        if end.is_empty() {
            alice.end_input();
        } else {
            alice.signal(end);
        }
        let lines = alice.ends_with(1);
        let about = |kind: &str| {
            let events = lines.iter().map(|line| json(line));
            let mut found = events.filter(|event| event["event"] == kind && event["id"] == id);
            found.next().unwrap_or_default()
        };
        let unsent = about("unsent");
        assert_eq!(unsent["kept"], true, "{lines:#?}");
        let reason = if end.is_empty() { "server_not_responding" } else { "left" };
        assert_eq!(unsent["reason"], reason, "{lines:#?}");
        bob.signal("CONT");
        let server = server_in(&there, port);
        let mut alice = client_in(&here, "alice", port);
        bob.event_where("message", |event| event["id"] == id);
        // Whether bob is back in the table before alice decides is chance.
        alice.find("outcome", |line| {
            let event: Value = json(line);
            let is_shown = event["event"] == "received" || event["event"] == "read_later";
            (is_shown && event["id"] == id).then_some(())
        });
        alice.end_input();
        alice.ends_with(0);
        bob.kill();
        server.kill();
    }
}

#[test]
fn a_client_without_a_store_says_what_it_gives_up() {
    let (server, port) = server();
    let mut bob = crate::common::registered("bob", port);
    let options = ["-c", "alice", "127.0.0.1", &port.to_string(), "0", "--json", "--no-store"];
    let mut alice = crate::common::Process::start(&options);
    alice.table(&["alice", "bob"]);
    bob.table(&["alice", "bob"]);
    server.kill();
    bob.signal("STOP");
    alice.say("send bob hello");
    alice.event("sending");
    alice.signal("TERM");
    let unsent = alice.event("unsent");
    assert_eq!((&unsent["reason"], &unsent["kept"]), (&"left".into(), &false.into()));
    assert_eq!(alice.event("left")["complete"], false);
}

#[test]
fn a_terminal_that_is_gone_makes_a_client_leave_unless_it_was_told_to_stay() {
    // A mask in hexadecimal of which SIGHUP is the lowest bit; processes inherit it.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    if ignored.is_some_and(|mask| mask.trim().ends_with(|digit| "13579bdf".contains(digit))) {
        eprintln!("not tested: the tests themselves were told to stay, as by nohup");
        return;
    }
    let (_server, port) = server();
    let scratch = Scratch::new();
    let folder = scratch.path("alice");
    let mut alice = client_in(&folder, "alice", port);
    alice.event("registered");
    alice.signal("HUP");
    alice.event("offline");
    assert_eq!(alice.ended().code, Some(0), "nothing was left to be done");
    // As nohup does.
    let home = Scratch::new();
    let mut stays = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_udpchat");
    let line = format!("trap '' HUP; exec {program} -c bob 127.0.0.1 {port} 0 --json --no-store");
    stays.args(["-c", &line]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bob = Process::of(stays, home);
    bob.event("registered");
    bob.signal("HUP");
    bob.say("list");
    bob.event("table");
    bob.say("quit");
    bob.event("left");
}
