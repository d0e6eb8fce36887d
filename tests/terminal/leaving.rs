//! Every way out leaves the terminal as it was, and others learn that the user has gone.

use std::cell::Cell;
use std::env;
use std::process::Command;

use anstream::ColorChoice;
use tokio::sync::mpsc;
use udpchat::ui::Mode;
use udpchat::ui::front::{self, Wishes};

use crate::common::{Process, server};
use crate::pty::{CTRL_C, CTRL_D, CTRL_Z, Terminal, alice_and_bob, surround};

/// Tells a copy of this program to panic.
const PANICS: &str = "UDPCHAT_TEST_PANICS";

/// Bob learns it before a lease could have expired: it was said.
fn is_gone(bob: &mut Process) {
    let table = bob.event_where("table", |table| table["online"].as_array().unwrap().len() == 1);
    assert_eq!(table["offline"][0], "alice");
}

#[test]
fn control_c_clears_the_line_and_then_leaves() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press("send bob not meant");
    alice.press(CTRL_C);
    alice.shows("line cleared; ^C on an empty line leaves");
    alice.prompts("› alice: to <name>");
    alice.enter("send bob meant");
    assert_eq!(bob.event("message")["text"], "meant");
    alice.shows("✓ alice: send bob meant");
    alice.prompts("› alice: to <name>");
    alice.press(CTRL_C);
    is_gone(&mut bob);
    assert!(alice.ends_with(0).contains("You are Offline. Bye."));
}

#[test]
fn there_are_several_words_for_leaving() {
    let (_server, port) = server();
    for keys in [CTRL_D, "quit\r", "ctrl + c\r", "/quit\r", "to bob\r/quit\r"] {
        let alice = Terminal::client("alice", port);
        alice.shows("Welcome");
        alice.prompts("› alice:");
        alice.press(keys);
        assert!(alice.ends_with(0).contains("You are Offline. Bye."), "{keys:?}");
    }
}

#[test]
fn control_d_in_a_line_does_not_leave() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press(&format!("send bob one{CTRL_D}{CTRL_D}\r"));
    assert_eq!(bob.event("message")["text"], "one");
}

#[test]
fn a_signal_while_a_line_is_typed_leaves_cleanly() {
    for signal in ["TERM", "HUP"] {
        let (_server, alice, mut bob) = alice_and_bob();
        alice.press("half a li");
        alice.prompts("› alice: half a li");
        assert!(alice.is_raw());
        alice.signal(signal);
        is_gone(&mut bob);
        let screen = alice.ends_with(0);
        assert!(screen.contains("half a li\n"), "{screen}");
    }
}

#[test]
fn the_second_signal_ends_it_at_once_and_restores_the_terminal_too() {
    let (server, port) = server();
    let alice = Terminal::registered("alice", port);
    // Nobody answers the farewell.
    server.kill();
    alice.press("half a li");
    alice.prompts("› alice: half a li");
    alice.signal("TERM");
    alice.signal("TERM");
    // Or the farewell was over first.
    let (status, screen) = alice.ends();
    assert!(status.code().is_some(), "{status} {screen}");
}

#[test]
fn control_z_stops_and_the_line_is_there_again_afterwards() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press("send bob half");
    alice.prompts("› alice: send bob half");
    alice.press(CTRL_Z);
    alice.wait_until("stopped", Terminal::is_stopped);
    assert!(!alice.is_raw());
    alice.signal("CONT");
    alice.wait_until("raw", Terminal::is_raw);
    alice.press(" and half\r");
    assert_eq!(bob.event("message")["text"], "half and half");
    alice.press(CTRL_D);
    alice.ends_with(0);
}

#[test]
fn what_has_no_outcome_is_waited_for_and_control_c_leaves_at_once() {
    let (server, port) = server();
    let alice = Terminal::registered("alice", port);
    server.kill();
    alice.enter("send bob hello?");
    alice.enter("list");
    alice.shows("Online: alice");
    alice.enter("quit");
    alice.shows("waiting for the outcome of 1 sent; ^C leaves at once");
    assert!(!alice.is_raw());
    // No editor any more: it is a signal now.
    alice.signal("INT");
    alice.shows("Message to bob not sent: you left before its outcome was known");
    alice.ends_with(1);
}

/// Not a test by itself: the part of the next one that panics.
#[test]
fn panics_if_told_to() {
    if env::var_os(PANICS).is_none() {
        return;
    }
    let wishes = Wishes {
        name: "alice".parse().unwrap(),
        mode: Mode::Editor,
        color: ColorChoice::Never,
        history: false,
        partner: None,
    };
    let (front, input) = front::open(wishes).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, mut commands) = mpsc::channel(1);
        let understood = Cell::new(true);
        tokio::select! {
            biased;
            _ = front.obey(input, &sender, &understood) => {}
            command = commands.recv() => panic!("told to, by {command:?}"),
        }
    });
}

#[test]
fn a_panic_restores_the_terminal() {
    let mut command = Command::new(env::current_exe().unwrap());
    surround(&mut command);
    command.args(["--exact", "leaving::panics_if_told_to", "--nocapture"]).env(PANICS, "1");
    let alice = Terminal::start(command);
    alice.shows("› alice:");
    assert!(alice.is_raw());
    alice.enter("list");
    let (status, screen) = alice.ends();
    assert!(!status.success(), "{screen}");
    assert!(screen.contains("told to, by Some(List)"), "{screen}");
}
