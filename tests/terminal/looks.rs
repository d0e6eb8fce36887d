//! Colours where they are wanted and nowhere else; and nothing that others write reaches the
//! terminal as anything but text.

use crate::common::{Process, registered, server};
use crate::pty::{Terminal, udpchat};

/// Alice's terminal after bob has written to her, in this environment and with these options.
fn after_a_message(port: u16, variables: &[(&str, &str)], options: &[&str]) -> (Terminal, Process) {
    let mut bob = registered("bob", port);
    let mut command = udpchat();
    command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0", "--no-history"]);
    command.args(options).envs(variables.iter().copied());
    let alice = Terminal::start(command);
    alice.shows("here: bob");
    bob.say("send alice hello Alice");
    alice.shows("hello Alice");
    (alice, bob)
}

fn is_colorful(terminal: &Terminal) -> bool {
    // Names are bold and colored.
    terminal.written().contains("\u{1b}[1m\u{1b}[3")
}

#[test]
fn colors_heed_the_environment_and_what_is_asked_for_comes_first() {
    for (variables, options, expected) in [
        (&[][..], &[][..], true),
        (&[("NO_COLOR", "1")], &[], false),
        (&[("CLICOLOR", "0")], &[], false),
        (&[("CLICOLOR_FORCE", "1")], &[], true),
        (&[("NO_COLOR", "1")], &["--color", "auto"], false),
        (&[("NO_COLOR", "1")], &["--color", "always"], true),
        (&[("CLICOLOR_FORCE", "1")], &["--color", "never"], false),
    ] {
        let (_server, port) = server();
        let (alice, _bob) = after_a_message(port, variables, options);
        assert_eq!(is_colorful(&alice), expected, "{variables:?} {options:?}");
        let inverse = alice.written().contains("\u{1b}[7mAlice");
        assert_eq!(inverse, expected, "the own name in a text");
    }
}

#[test]
fn marks_are_of_ascii_where_the_locale_is() {
    let (_server, port) = server();
    let (alice, _bob) = after_a_message(port, &[("LANG", "C")], &["--color", "never"]);
    alice.enter("reply hi");
    alice.shows("+ alice: reply hi");
    alice.prompts("> alice: to <name>");
    assert!(alice.written().is_ascii(), "{}", alice.written());
}

#[test]
fn a_pipe_has_neither_colors_nor_prompt() {
    let (_server, port) = server();
    for options in [&["--color", "always"][..], &["--color", "always", "--json"]] {
        let port = port.to_string();
        let mut arguments = vec!["-c", "alice", "127.0.0.1", &port, "0"];
        arguments.extend(options);
        let mut alice = Process::start(&arguments);
        alice.say("list");
        alice.end_input();
        let lines = alice.ends_with(0);
        assert!(!lines.iter().any(|line| line.contains(['\u{1b}', '›'])), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("alice")), "{lines:?}");
    }
}

#[test]
fn nothing_that_others_write_moves_the_cursor_or_hides() {
    let (_server, port) = server();
    let alice = Terminal::registered("alice", port);
    let mut bob = registered("bob", port);
    alice.press("half a li");
    bob.say(
        "send alice \u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}evil\u{200b}\u{ad}\t|\u{8}\u{7f}",
    );
    let shown = r"\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}evil\u{200b}\u{ad}\t|\u{8}\u{7f}";
    alice.wait("the escapes as text", |screen| screen.replace('\n', "").contains(shown));
    alice.prompts("› alice: half a li");
    assert!(!alice.written().contains("\u{1b}]0;"));
    assert!(!alice.written().contains("\u{1b}[2J"));
}
