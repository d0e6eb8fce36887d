//! What is being typed survives what arrives, and the editor's keys do what they do elsewhere.

use std::path::Path;
use std::sync::Arc;

use crate::common::{Scratch, registered, server, texts};
use crate::pty::{CTRL_L, CTRL_R, ENTER, LEFT, TAB, Terminal, UP, alice_and_bob, udpchat};

#[test]
fn a_half_typed_line_and_its_cursor_survive_messages() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press("send bob wide 漢字 half");
    alice.prompts("› alice: send bob wide 漢字 half");
    let column = alice.cursor_column();
    for text in ["one", "two", "漢字"] {
        bob.say(&format!("send alice {text}"));
        alice.shows(&format!("bob: {text}"));
    }
    alice.prompts("› alice: send bob wide 漢字 half");
    assert_eq!(alice.cursor_column(), column);

    alice.press(&LEFT.repeat(4));
    bob.say("send alice three");
    alice.shows("bob: three");
    alice.press("other ");
    alice.prompts("› alice: send bob wide 漢字 other half");
    alice.press(ENTER);
    assert_eq!(bob.event("message")["text"], "wide 漢字 other half");
}

#[test]
fn a_line_of_several_rows_survives_messages_and_resizing() {
    let (_server, alice, mut bob) = alice_and_bob();
    let text: String = (0..60).map(|number| format!("{number:02}-")).collect();
    let joined = |screen: &str| screen.replace('\n', "");
    alice.press(&format!("send bob {text}"));
    alice.wait("the whole text", |screen| joined(screen).contains(&text));
    bob.say("send alice before");
    alice.shows("bob: before");
    alice.wait("the whole text", |screen| joined(screen).ends_with(&text));

    alice.resize(24, 50);
    bob.say("send alice narrow");
    alice.shows("bob: narrow");
    alice.wait("the whole text", |screen| joined(screen).ends_with(&text));
    alice.resize(30, 120);
    bob.say("send alice broad");
    alice.shows("bob: broad");
    alice.wait("the whole text", |screen| joined(screen).ends_with(&text));
    alice.press(ENTER);
    assert_eq!(bob.event("message")["text"], *text);
}

#[test]
fn tab_completes_commands_and_then_names() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press(&format!("se{TAB}b{TAB}"));
    alice.prompts("› alice: send bob <text>");
    alice.enter("hi");
    assert_eq!(bob.event("message")["text"], "hi");
    // No command begins like that, and no name.
    alice.press(&format!("zz{TAB}{TAB} z{TAB}"));
    alice.prompts("› alice: zz z");
}

#[test]
fn hints_say_what_can_be_typed() {
    let (_server, alice, _bob) = alice_and_bob();
    alice.prompts("› alice: to <name> to talk, help for more");
    alice.press("send ");
    alice.prompts("› alice: send <name> <text>");
    alice.press("bob hi");
    alice.prompts("› alice: send bob hi");
}

#[test]
fn keys_that_come_before_the_prompt_are_not_lost() {
    let (_server, alice, mut bob) = alice_and_bob();
    let lines: String = (0..20).map(|number| format!("send bob {number}\r")).collect();
    alice.press(&lines);
    for number in 0..20 {
        assert_eq!(bob.event("message")["text"], number.to_string());
    }
}

#[test]
fn each_pasted_line_is_a_line() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("to bob");
    alice.prompts("› alice › bob:");
    alice.press("\u{1b}[200~one\r\ntwo\n\nthree\u{1b}[201~");
    alice.prompts("three");
    alice.press(ENTER);
    for text in ["one", "two", "three"] {
        assert_eq!(bob.event("message")["text"], text);
    }
    alice.shows("✓ 3 received by bob");
    // Nothing happens to a paste before Enter.
    alice.press("\u{1b}[200~/quit\n\u{1b}[201~");
    bob.say("send alice still there?");
    alice.shows("bob: still there?");
}

#[test]
fn control_characters_that_are_pasted_do_no_harm() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("to bob");
    alice.prompts("› alice › bob:");
    alice.press("\u{1b}[200~a\u{7}b\u{9b}2Jc\u{1b}[201~");
    alice.prompts("› alice › bob: ab2Jc");
    alice.press(ENTER);
    assert_eq!(bob.event("message")["text"], "a\u{7}b\u{9b}2Jc");
}

#[test]
fn what_was_typed_comes_back_in_the_next_run_if_it_may() {
    let (_server, port) = server();
    let home = Arc::new(Scratch::new());
    let start = |more: &[&str]| {
        let mut command = udpchat();
        command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0", "--color", "never"]);
        command.args(more);
        let alice = Terminal::start_in(&home, command);
        alice.shows("Welcome");
        alice
    };
    let alice = start(&["--no-history"]);
    alice.enter("list");
    alice.shows("Online: alice");
    alice.enter("quit");
    alice.ends_with(0);
    assert!(!Path::new(&home.path("state")).exists());

    let alice = start(&[]);
    alice.enter("list");
    alice.enter("help");
    alice.shows("send a message");
    alice.press(UP);
    alice.prompts("› alice: help");
    alice.enter("");
    alice.enter("quit");
    alice.ends_with(0);

    let alice = start(&[]);
    alice.press(&UP.repeat(2));
    alice.prompts("› alice: help");
    alice.press(&format!("{CTRL_R}li"));
    alice.shows("(reverse-i-search)`li': list");
    alice.press(ENTER);
    alice.shows("Online: alice");
    alice.enter("quit");
    alice.ends_with(0);
}

#[test]
fn a_history_that_cannot_be_kept_is_complained_of_once() {
    let (_server, port) = server();
    let mut command = udpchat();
    command.env("XDG_STATE_HOME", "/dev/null");
    command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0"]);
    let alice = Terminal::start(command);
    alice.shows("lines are not remembered in /dev/null/udpchat/history");
    alice.enter("list");
    alice.shows("Online: alice");
    assert_eq!(alice.text().matches("not remembered").count(), 1);
}

#[test]
fn messages_wait_for_the_end_of_a_search_and_the_node_goes_on() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("list");
    alice.shows("Online: alice, bob");
    alice.press(&format!("{CTRL_R}li"));
    alice.shows("(reverse-i-search)`li': list");
    for number in 0..20 {
        bob.say(&format!("send alice {number}"));
    }
    for _ in 0..20 {
        bob.event("received");
    }
    alice.press("\u{7}");
    alice.shows("bob: 19");
}

#[test]
fn a_cleared_screen_keeps_the_line() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press(&format!("send bob half{CTRL_L}"));
    alice.wait("nothing but the line", |screen| screen == "› alice: send bob half");
    bob.say("send alice hi");
    alice.shows("bob: hi");
    alice.prompts("› alice: send bob half");
}

#[test]
fn a_terminal_that_can_only_print_gets_no_escapes() {
    let (_server, port) = server();
    let mut bob = registered("bob", port);
    let mut command = udpchat();
    command.env("TERM", "dumb");
    command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0"]);
    let alice = Terminal::start(command);
    alice.shows(">>> [Client table updated.]");
    alice.enter("send bob hi");
    assert_eq!(bob.event("message")["text"], "hi");
    alice.shows(">>> [Message received by bob]");
    alice.enter("quit");
    alice.shows("You are Offline. Bye.");
    assert!(!alice.written().contains('\u{1b}'), "{}", alice.written());
    alice.ends_with(0);
    bob.end_input();
    assert_eq!(texts(&bob.ends_with(0)), ["hi"]);
}
