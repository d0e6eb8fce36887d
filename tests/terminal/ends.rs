//! What is done to a terminal client from outside: signals, flags, sizes, a terminal of which
//! nothing is known, a file in the place of the history.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;

use crate::common::{Process, Scratch, server, texts};
use crate::pty::{
    CTRL_C, CTRL_D, CTRL_L, CTRL_R, ENTER, Terminal, UP, alice_and_bob, make_nonblocking, surround,
    udpchat,
};

/// The signals that end a process which has not caught them, by name and number, without those
/// that ask it to end by itself, that are made of a crash, and KILL.
const ENDING: [(&str, i32); 9] = [
    ("QUIT", 3),
    ("TRAP", 5),
    ("ABRT", 6),
    ("ALRM", 14),
    ("XCPU", 24),
    ("VTALRM", 26),
    ("PROF", 27),
    ("IO", 29),
    ("SYS", 31),
];

#[test]
fn every_signal_that_ends_it_and_can_be_caught_restores_the_terminal() {
    let (_server, port) = server();
    for (name, number) in ENDING {
        // Without a dump of the memory in anybody's folder.
        let mut command = Command::new("sh");
        surround(&mut command);
        let udpchat = env!("CARGO_BIN_EXE_udpchat");
        command.args(["-c", "ulimit -c 0; exec \"$0\" \"$@\"", udpchat, "--no-history", "-c"]);
        command.args(["alice", "127.0.0.1", &port.to_string(), "0"]);
        let alice = Terminal::start(command);
        alice.shows("Welcome");
        alice.press("half a li");
        alice.prompts("› alice: half a li");
        assert!(alice.is_raw());
        alice.signal(name);
        let (status, screen) = alice.ends();
        let told = status.signal().or_else(|| status.code().map(|code| code - 128));
        assert_eq!(told, Some(number), "{name}: {status} {screen}");
    }
}

#[test]
fn a_signal_that_is_for_users_or_for_a_broken_pipe_ends_nobody() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press("send bob half");
    alice.prompts("› alice: send bob half");
    for signal in ["USR1", "USR2", "PIPE"] {
        alice.signal(signal);
    }
    alice.press(&format!(" a line{ENTER}"));
    assert_eq!(bob.event("message")["text"], "half a line");
    alice.press(CTRL_D);
    alice.ends_with(0);
}

#[test]
fn a_terminal_that_another_program_made_non_blocking_is_waited_for() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.set_nonblocking();
    // More than it takes while nobody looks.
    let text = "x".repeat(600);
    alice.while_stuck(|| {
        for number in 0..60 {
            bob.say(&format!("send alice {number} {text}"));
        }
        for _ in 0..60 {
            bob.event("received");
        }
    });
    alice.shows("59 xxx");
    // Half of a key, and the rest later.
    alice.press("send bob hix\u{1b}[");
    alice.press(&format!("D\u{1b}[3~{ENTER}"));
    assert_eq!(bob.event("message")["text"], "hi");
    // It is the other program's, and stays as it wants it.
    assert!(alice.is_nonblocking());
    alice.press(CTRL_D);
    alice.ends_with(0);

    let (_server, port) = server();
    let mut command = udpchat();
    command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0", "--no-history"]);
    let alice = Terminal::start_on(&Arc::new(Scratch::new()), command, make_nonblocking);
    alice.shows("Welcome");
    alice.enter("list");
    alice.shows("Online: alice");
    alice.press(CTRL_D);
    alice.ends_with(0);
}

#[test]
fn a_terminal_of_no_size_or_of_one_cell_is_survived() {
    let (_server, alice, mut bob) = alice_and_bob();
    for (rows, columns) in [(0, 0), (1, 1), (2, 3), (1, 0), (0, 1)] {
        alice.claim_size(rows, columns);
        bob.say("send alice wide 漢字 and\ttabs");
        bob.event("received");
        alice.press("send bob 漢字");
        alice.press(ENTER);
        assert_eq!(bob.event("message")["text"], "漢字");
    }
    alice.claim_size(24, 80);
    alice.press(CTRL_D);
    alice.ends_with(0);
}

#[test]
fn a_terminal_of_which_nothing_is_known_gets_no_escapes() {
    let (_server, port) = server();
    for term in [None, Some(""), Some("unknown")] {
        let mut command = udpchat();
        match term {
            None => command.env_remove("TERM"),
            Some(term) => command.env("TERM", term),
        };
        command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0"]);
        let alice = Terminal::start(command);
        alice.shows("Welcome");
        alice.enter("list");
        alice.shows("Online");
        alice.press_bytes(b"send alice caf\xe9\n");
        alice.shows("no text (UTF-8); nothing was done");
        alice.enter("quit");
        alice.shows("You are Offline. Bye.");
        assert!(!alice.written().contains('\u{1b}'), "{}", alice.written());
        alice.ends_with(0);
    }
}

/// Alice with a history in this home, registered.
fn with_history(home: &Arc<Scratch>, port: u16) -> Terminal {
    let mut command = udpchat();
    command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0", "--color", "never"]);
    let alice = Terminal::start_in(home, command);
    alice.shows("Welcome");
    alice.prompts("› alice:");
    alice
}

#[test]
fn what_cannot_be_a_history_is_complained_of_and_the_client_goes_on() {
    let (_server, port) = server();
    let make = |what: &str, path: &str| match what {
        "folder" => fs::create_dir(path).unwrap(),
        "fifo" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        "latin" => fs::write(path, b"#V2\nlist\ncaf\xe9\n").unwrap(),
        "huge" => fs::File::create(path).unwrap().set_len(1 << 34).unwrap(),
        "loop" => std::os::unix::fs::symlink(path, path).unwrap(),
        _ => unreachable!(),
    };
    for what in ["folder", "fifo", "latin", "huge", "loop"] {
        let home = Arc::new(Scratch::new());
        fs::create_dir_all(home.path("state/udpchat")).unwrap();
        make(what, &home.path("state/udpchat/history"));
        let alice = with_history(&home, port);
        alice.shows("lines are not remembered in");
        alice.enter("list");
        alice.shows("Online: alice");
        alice.press(CTRL_D);
        alice.ends_with(0);
    }
}

#[test]
fn without_a_home_nothing_is_remembered_and_nothing_is_wrong() {
    let (_server, port) = server();
    let home = Arc::new(Scratch::new());
    let mut command = udpchat();
    command.env_remove("HOME").env("XDG_STATE_HOME", "");
    command.args(["-c", "alice", "127.0.0.1", &port.to_string(), "0"]);
    let alice = Terminal::start_in(&home, command);
    alice.shows("Welcome");
    alice.enter("list");
    alice.shows("Online:");
    assert!(!alice.text().contains("remembered"), "{}", alice.text());
    alice.press(CTRL_D);
    alice.ends_with(0);
}

/// Longer than the editor can draw.
const TOO_LONG: usize = 70_000;

#[test]
fn lines_of_the_history_that_are_too_long_are_left_out() {
    let (_server, port) = server();
    let home = Arc::new(Scratch::new());
    fs::create_dir_all(home.path("state/udpchat")).unwrap();
    let file = home.path("state/udpchat/history");
    let long = "x".repeat(TOO_LONG);
    fs::write(&file, format!("#V2\nlist\n{long}\nhelp\n{long}y\n")).unwrap();
    let alice = with_history(&home, port);
    alice.press(UP);
    alice.prompts("› alice: help");
    alice.press(UP);
    alice.prompts("› alice: list");
    alice.press(CTRL_C);
    alice.shows("line cleared");
    alice.press(&format!("{CTRL_R}x"));
    alice.shows("(failed reverse-i-search)`x'");
    alice.press("\u{7}");
    alice.prompts("› alice:");
    alice.enter("history bob");
    alice.shows("no messages with bob");
    alice.press(CTRL_D);
    alice.ends_with(0);
    // Whoever starts next need not read them.
    assert_eq!(fs::read_to_string(file).unwrap(), "#V2\nlist\nhelp\nhistory bob\n");
}

/// Far more lines than are ever refused.
const PROBES: usize = 30;

/// Enters lines until bob has one: those that come in the pause after something that is refused
/// are refused with it.
fn probe(alice: &Terminal, bob: &mut Process) {
    for number in 0..PROBES {
        alice.enter(&format!("probe {number}"));
        let (id, deadline) = (format!("probe {number}"), std::time::Duration::from_secs(2));
        let Some(line) = bob.next_line(deadline) else { continue };
        if line.contains(&id) {
            return;
        }
    }
    panic!("nothing comes through any more:\n{}", alice.text());
}

#[test]
fn a_paste_that_is_too_long_is_refused_and_the_next_is_not() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("to bob");
    alice.prompts("› alice › bob:");
    for end in ["\u{1b}[201~", "\n\u{1b}[201~"] {
        alice.press(&format!("\u{1b}[200~{}{end}", "x".repeat(TOO_LONG)));
        alice.shows("the line takes 8192: nothing of it is there");
        alice.press(CTRL_L);
        alice.wait("an empty screen", |screen| !screen.contains("nothing of it"));
    }
    alice.press("\u{1b}[200~one\ntwo\u{1b}[201~\r");
    for text in ["one", "two"] {
        assert_eq!(bob.event("message")["text"], text);
    }
    alice.press(CTRL_D);
    alice.ends_with(0);
}

#[test]
fn a_line_that_is_typed_for_too_long_is_full_and_goes_on_being_a_line() {
    let (_server, alice, mut bob) = alice_and_bob();
    // As a terminal pastes that knows no brackets.
    alice.press(&"x".repeat(TOO_LONG));
    // Above the line, which fills the screen.
    alice.wait_until("full", |alice| alice.written().contains("the line is full"));
    alice.press("\u{1b}9\u{1b}9\u{1b}9y");
    alice.press(CTRL_C);
    alice.shows("line cleared");
    // So many at once, and what was cut out as often.
    alice.press("\u{1b}9\u{1b}9\u{1b}9\u{1b}9yab\u{15}\u{1b}9\u{1b}9\u{1b}9\u{1b}9\u{19}");
    alice.enter("send bob hello");
    assert_eq!(bob.event("message")["text"], "hello");
}

#[test]
fn a_paste_without_an_end_is_given_up_at_control_c_and_after_a_pause() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.press("\u{1b}[200~quit\nsend bob not meant\n");
    alice.press(CTRL_C);
    alice.shows("the paste is given up");
    alice.enter("send bob one");
    assert_eq!(bob.event("message")["text"], "one");
    alice.press("\u{1b}[200~to bob\nwhat is pasted\n");
    // A key after the pause shows what came; until then it is taken for a part of the paste.
    alice.wait_pressing("\u{1b}[C", |screen| screen.contains("what is pasted"));
    alice.press(CTRL_C);
    alice.shows("line cleared");
    alice.enter("send bob two");
    assert_eq!(bob.event("message")["text"], "two");
    alice.press(CTRL_D);
    alice.ends_with(0);
    bob.end_input();
    assert_eq!(texts(&bob.ends_with(0)), ["one", "two"]);
}

#[test]
fn of_a_line_or_a_paste_that_is_no_text_nothing_is_sent() {
    let (_server, alice, mut bob) = alice_and_bob();
    alice.enter("to bob");
    alice.prompts("› alice › bob:");
    alice.press_bytes(b"caf\xe9 is\xff closed\r");
    alice.shows("no text (UTF-8)");
    probe(&alice, &mut bob);
    // Too long to be read at once.
    let rest = "not meant\r/quit\rto nobody\r".repeat(100);
    let paste = [b"\x1b[200~one\rtw\xe9\r", rest.as_bytes(), b"\x1b[201~"].concat();
    alice.press_bytes(&paste);
    probe(&alice, &mut bob);
    alice.press(CTRL_D);
    alice.ends_with(0);
    bob.end_input();
    let sent = texts(&bob.ends_with(0));
    assert!(sent.iter().all(|text| text.starts_with("probe ")), "{sent:?}");
}

#[test]
fn a_start_that_fails_leaves_the_terminal_alone() {
    let mut command = udpchat();
    command.args(["-c", "alice", "no..host", "9000", "0"]);
    let alice = Terminal::start(command);
    assert!(alice.ends_with(1).contains("cannot find the host"));
}
