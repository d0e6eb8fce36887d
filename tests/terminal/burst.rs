//! More messages than anybody can read, while somebody types.

use std::collections::BTreeSet;

use crate::common::{client, registered, server, texts};
use crate::pty::{ENTER, Terminal};

/// How many messages come: two seconds' worth of a thousand a second.
const MESSAGES: usize = 2_000;

/// How many lines are typed and sent meanwhile.
const LINES: usize = 40;

/// rustyline's printer, used from the thread that also takes the lines, stands still here for ever.
#[test]
fn a_burst_loses_nothing_stops_nothing_and_leaves_the_line_alone() {
    let (_server, port) = server();
    let mut carol = registered("carol", port);
    let alice = Terminal::registered("alice", port);
    let mut bob = client("bob", port);
    alice.shows("bob is here");
    for number in 0..MESSAGES {
        bob.say(&format!("send alice number {number}."));
    }
    for line in 0..LINES {
        let text = format!("send carol line {line}.");
        for key in text.chars() {
            alice.press(&key.to_string());
        }
        alice.press(ENTER);
    }
    alice.press("and a half");
    for line in 0..LINES {
        assert_eq!(carol.event("message")["text"], format!("line {line}."));
    }
    alice.shows(&format!("number {}.", MESSAGES - 1));
    alice.prompts("› alice: and a half");

    let written = alice.written();
    let shown = written.lines().filter_map(|line| line.split_once("bob: number "));
    let shown: Vec<&str> = shown.map(|(_, rest)| rest.trim_end()).collect();
    let expected: Vec<String> = (0..MESSAGES).map(|number| format!("{number}.")).collect();
    let all: BTreeSet<&str> = shown.iter().copied().collect();
    assert_eq!((shown.len(), all.len()), (MESSAGES, MESSAGES));
    assert_eq!(shown, expected);

    bob.end_input();
    bob.ends_with(0);
    carol.end_input();
    assert_eq!(texts(&carol.ends_with(0)).len(), LINES);
}
