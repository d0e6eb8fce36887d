//! What becomes of a message is seen at its line, and who lines are for in the prompt.

use crate::common::{registered, server};
use crate::pty::{Terminal, alice_and_bob};

#[test]
fn a_line_is_marked_when_it_has_been_received() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("send bob hello");
    alice.shows("✓ alice: send bob hello");
    assert_eq!(bob.event("message")["text"], "hello");
    // Without a line of its own.
    assert!(!alice.text().contains("received by"), "{}", alice.text());
    alice.prompts("› alice: to <name>");
}

#[test]
fn a_line_that_is_not_the_last_any_more_is_accounted_for_in_words() {
    let (_server, alice, mut bob) = alice_and_bob();
    bob.signal("STOP");
    alice.enter("send bob one");
    alice.prompts("› alice: to <name>");
    alice.enter("send bob two");
    alice.prompts("› alice: to <name>");
    alice.enter("list");
    alice.shows("Online: alice, bob");
    bob.signal("CONT");
    bob.event_where("message", |message| message["text"] == "two");
    // Directly, or over the server if the machine was slow.
    alice.wait("words", |screen| {
        screen.contains("2 received by bob") || screen.contains("saved for bob")
    });
    assert!(alice.text().contains("› alice: send bob one"), "{}", alice.text());
}

#[test]
fn what_is_kept_is_said_once_and_marked_from_then_on() {
    let (_server, alice, mut bob) = alice_and_bob();
    bob.say("dereg bob");
    alice.shows("bob has left");
    alice.enter("to bob");
    alice.shows("who is away: the server keeps them");
    alice.enter("one");
    alice.shows("» alice › bob: one");
    alice.shows("» saved for bob until they are back");
    alice.enter("two");
    alice.shows("» alice › bob: two");
    bob.say("reg bob");
    alice.shows("bob is here");
    assert_eq!(alice.text().matches("saved for bob").count(), 1, "{}", alice.text());
}

#[test]
fn what_is_not_sent_says_why() {
    let (_server, alice, _bob) = alice_and_bob();
    alice.enter("send nobody hello?");
    alice.shows("✗ alice: send nobody hello?");
    alice.shows("✗ Message to nobody not sent: not known to the server; it is not sent again");
    alice.enter("quit");
    alice.ends_with(1);
}

#[test]
fn with_a_partner_lines_are_sent_and_a_mistyped_command_is_not() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("to bob");
    alice.shows("lines go to bob now");
    alice.prompts("› alice › bob: text, or /help");
    alice.enter("hello bob");
    assert_eq!(bob.event("message")["text"], "hello bob");
    alice.shows("✓ alice › bob: hello bob");
    alice.enter("/sned bob oops");
    alice.shows("unknown command \"sned\"");
    alice.enter("//slash");
    assert_eq!(bob.event("message")["text"], "/slash");
    alice.enter("/list");
    alice.shows("Online: alice, bob");
    alice.enter("/to");
    alice.prompts("› alice: to <name>");
    alice.enter("hello bob");
    alice.shows("unknown command \"hello\"");
    alice.enter("quit");
    alice.ends_with(0);
    bob.end_input();
    let lines = bob.ends_with(0);
    assert!(!lines.iter().any(|line| line.contains("oops")), "{lines:?}");
}

#[test]
fn a_reply_goes_to_whoever_wrote_last() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("reply hi");
    alice.shows("nobody has written yet");
    bob.say("send alice are you there?");
    alice.shows("bob: are you there?");
    alice.enter("reply yes");
    assert_eq!(bob.event("message")["text"], "yes");
}

#[test]
fn who_comes_and_goes_is_told_in_one_line() {
    let (_server, port) = server();
    let alice = Terminal::registered("alice", port);
    alice.shows("nobody else is here");
    let others = ["bob", "carol", "dave"].map(|name| registered(name, port));
    alice.wait("everyone", |screen| {
        others_told(screen, "here") == 3 || screen.contains("bob, carol, dave are here")
    });
    drop(others);
}

/// How many names stand in lines about who is here.
fn others_told(screen: &str, word: &str) -> usize {
    let lines = screen.lines().filter(|line| line.trim_end().ends_with(word));
    let lines = lines.filter(|line| !line.contains("nobody"));
    lines.map(|line| line.matches(',').count() + 1).sum()
}

#[test]
fn what_was_stored_says_when_it_was_sent() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("dereg alice");
    alice.shows("You are Offline. Bye.");
    bob.event_where("table", |table| table["offline"][0] == "alice");
    bob.say("send alice later");
    bob.event("saved");
    alice.enter("reg alice");
    alice.shows("Welcome back, alice.");
    alice.wait("the stored message", |screen| {
        screen.lines().any(|line| line.contains("bob (") && line.ends_with("): later"))
    });
}
