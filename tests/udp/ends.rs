//! The program's ends: outputs that are not there or take nothing, inputs that are no text, flags
//! and signals of other programs.

use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ioctl_fionread;

use crate::common::{
    DEADLINE, Ended, Process, Scratch, command, free_port, json, now, registered, server,
    server_on, texts,
};

/// udpchat as a shell starts it, with such redirections.
fn redirected(redirections: &str, arguments: &[&str], home: &Scratch) -> Command {
    let plain = command(&[], home);
    let mut command = Command::new("sh");
    for (key, value) in plain.get_envs() {
        command.env(key, value.expect("a variable that is set"));
    }
    command.arg("-c").arg(format!("exec \"$0\" \"$@\" {redirections}"));
    command.arg(plain.get_program());
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(redirections: &str, arguments: &str) -> Ended {
    let home = Scratch::new();
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let mut process = Process::of(redirected(redirections, &arguments, &home), home);
    process.end_input();
    process.ended()
}

fn fails(redirections: &str, arguments: &str, says: &str) {
    let ended = run(redirections, arguments);
    assert_eq!(ended.code, Some(1), "{arguments} {redirections}: {ended:?}");
    let complaints = ended.errors.lines().filter(|line| !line.contains("--no-store"));
    let complaints: Vec<_> = complaints.collect();
    assert_eq!(complaints.len(), 1, "{arguments} {redirections}: {ended:?}");
    assert!(complaints[0].starts_with("udpchat: "), "{arguments} {redirections}: {ended:?}");
    assert!(complaints[0].contains(says), "{arguments} {redirections}: {ended:?}");
}

/// A server's store, without a server.
fn store(home: &Scratch) -> String {
    let (folder, port) = (home.path("store"), free_port());
    crate::common::server_in(&folder, port).kill();
    folder
}

#[test]
fn without_an_output_nothing_is_begun_and_that_is_said() {
    let home = Scratch::new();
    let folder = store(&home);
    let (_server, port) = server();
    for arguments in [
        "-h",
        "--help",
        "--version",
        "man",
        "completions bash",
        "demo",
        &format!("-s {}", free_port()),
        &format!("-c alice 127.0.0.1 {port} 0"),
        &format!("-c alice 127.0.0.1 {port} 0 --json"),
        &format!("store check {folder}"),
        &format!("store compact {folder}"),
    ] {
        fails(">&-", arguments, "standard output is closed");
        // The standard library takes this one for an output, too.
        fails("1</dev/null", arguments, "for reading only");
    }
    // The server has never heard of her: nobody could think that she reads.
    let mut bob = registered("bob", port);
    bob.say("send alice hello");
    assert_eq!(bob.event("unsent")["reason"], "unknown_name");
}

#[test]
fn an_output_that_takes_nothing_is_a_failure() {
    let home = Scratch::new();
    let folder = store(&home);
    let (_server, port) = server();
    for arguments in [
        "-h",
        "--help",
        "--version",
        "man store",
        "completions zsh",
        &format!("-c alice 127.0.0.1 {port} 0"),
        &format!("-c alice 127.0.0.1 {port} 0 --json"),
        &format!("store check {folder}"),
        &format!("store stats {folder}"),
        &format!("store export {folder}"),
    ] {
        fails(">/dev/full", arguments, "cannot write to standard output: No space left");
    }
}

#[test]
fn what_is_thrown_away_on_purpose_was_printed() {
    let (_server, port) = server();
    // For both ways, as Python's DEVNULL has it, and as the standard library opens it by itself.
    for redirections in [">/dev/null", "1<>/dev/null", "1<>/dev/null 2>&1"] {
        for arguments in ["--version", &format!("-c alice 127.0.0.1 {port} 0")] {
            let ended = run(redirections, arguments);
            assert_eq!(ended.code, Some(0), "{arguments} {redirections}: {ended:?}");
        }
    }
}

#[test]
fn a_reader_who_has_enough_is_no_failure_of_an_answer() {
    let mut command = Command::new("sh");
    command.arg("-c").arg(r#"{ "$0" completions bash; echo $? >&2; } | :"#);
    command.arg(env!("CARGO_BIN_EXE_udpchat"));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "0\n");
}

#[test]
fn without_an_input_a_client_ends_and_a_server_does_not() {
    let (_server, port) = server();
    for redirections in ["<&-", "</dev/null", "2>&-"] {
        let ended = run(redirections, &format!("-c alice 127.0.0.1 {port} 0 --json"));
        assert_eq!(ended.code, Some(0), "{redirections}: {ended:?}");
    }
    let ended = run("<.", &format!("-c alice 127.0.0.1 {port} 0 --json"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.lines.iter().any(|line| line.contains("cannot read standard input")));
    for redirections in ["<&-", "<.", "2>&-"] {
        let (home, port) = (Scratch::new(), free_port());
        let mut server =
            Process::of(redirected(redirections, &["-s", &port.to_string()], &home), home);
        server.find("listening", |line| line.contains("listening").then_some(()));
        registered("alice", port).end_input();
        server.signal("TERM");
        assert_eq!(server.ended().code, Some(0), "{redirections}");
    }
}

fn set_nonblocking(fd: &impl std::os::fd::AsFd) {
    let flags = fcntl_getfl(fd).unwrap();
    fcntl_setfl(fd, flags | OFlags::NONBLOCK).unwrap();
}

/// Asks so often for something that it cannot be written before it is read.
const QUESTIONS: usize = 500;

/// How long nothing comes from who finds no room.
const QUIET: Duration = Duration::from_millis(300);

/// Gives all lines that a process writes which is asked `QUESTIONS` times through pipes that do
/// not block, and is read only when there was no room for its answers.
fn asked(arguments: &[&str], question: &str, last: &str) -> (Option<i32>, Vec<String>) {
    let home = Scratch::new();
    let (input, mut asks): (PipeReader, PipeWriter) = pipe().unwrap();
    let (mut answers, output) = pipe().unwrap();
    let mut command = command(arguments, &home);
    set_nonblocking(&input);
    set_nonblocking(&output);
    let mut process = command.stdin(input).stdout(output).spawn().unwrap();
    drop(command);
    let text = format!("{question}\n").repeat(QUESTIONS) + last;
    thread::spawn(move || {
        // It may have ended before it has read all. Then the input ends.
        let _ = asks.write_all(text.as_bytes());
    });
    // There is no more room when nothing has come for a while, or the process has ended.
    let (end, mut waiting, mut since) = (now() + DEADLINE, 0, now());
    while waiting == 0 || since.elapsed() < QUIET && process.try_wait().unwrap().is_none() {
        assert!(now() < end, "it writes nothing");
        let more = ioctl_fionread(&answers).unwrap();
        if std::mem::replace(&mut waiting, more) != more {
            since = now();
        }
        thread::yield_now();
    }
    let mut written = String::new();
    answers.read_to_string(&mut written).unwrap();
    let code = process.wait().unwrap().code();
    (code, written.lines().map(str::to_owned).collect())
}

#[test]
fn pipes_that_another_program_made_non_blocking_are_waited_for() {
    let (_server, port) = server();
    let arguments = ["-c", "alice", "127.0.0.1", &port.to_string(), "0", "--json"];
    let (code, lines) = asked(&arguments, "help", "");
    let helped = lines.iter().filter(|line| json(line)["event"] == "help").count();
    assert_eq!((code, helped), (Some(0), QUESTIONS));

    let port = free_port().to_string();
    let (code, lines) = asked(&["-s", &port, "--json", "--no-store"], "stats", "quit\n");
    let told = lines.iter().filter(|line| json(line)["event"] == "stats").count();
    assert_eq!((code, told), (Some(0), QUESTIONS));
}

#[test]
fn a_line_that_is_no_text_is_refused_and_sent_to_nobody() {
    let (_server, port) = server();
    let mut bob = registered("bob", port);
    let says = "no text (UTF-8); nothing was done";
    for options in [&["--json"][..], &[]] {
        let port = port.to_string();
        let arguments = [&["-c", "alice", "127.0.0.1", &port, "0"], options].concat();
        let mut alice = Process::start(&arguments);
        alice.say_bytes(b"send bob caf\xe9\nsend bob tea\nsend bob \xe2\x82");
        alice.end_input();
        let ended = alice.ended();
        assert_eq!((ended.code, ended.errors.as_str()), (Some(1), ""), "{ended:?}");
        let refused = ended.lines.iter().filter(|line| line.contains(says)).count();
        assert_eq!(refused, 2, "{ended:?}");
    }
    bob.event_where("message", |message| message["text"] == "tea");
    bob.event_where("message", |message| message["text"] == "tea");
    bob.end_input();
    assert_eq!(texts(&bob.ends_with(0)), ["tea", "tea"]);

    let port = free_port();
    let mut server = server_with_input(port);
    server.say_bytes(b"quit\xff\nstats\n");
    server.find("the answer", |line| line.contains("clients:").then_some(()));
    server.say("quit");
    let ended = server.ended();
    assert_eq!(ended.code, Some(0));
    assert!(ended.errors.contains(says) && ended.errors.lines().count() == 1, "{ended:?}");
}

fn server_with_input(port: u16) -> Process {
    let mut server = Process::start(&["-s", &port.to_string()]);
    server.find("listening", |line| line.contains("listening").then_some(()));
    server
}

#[test]
fn arguments_that_are_no_text_are_wrong_usage() {
    for arguments in [
        [&b"-c"[..], b"al\xffice", b"127.0.0.1", b"9000", b"0"],
        [b"-c", b"alice", b"local\xffhost", b"9000", b"0"],
        [b"-s", b"9000\xff", b"--json", b"--no-store", b"--original=on"],
        [b"store\xff", b"check", b"a", b"b", b"c"],
    ] {
        let home = Scratch::new();
        let mut command = command(&[], &home);
        command.args(arguments.map(OsStr::from_bytes));
        let ended = Process::of(command, home).ended();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors.starts_with("udpchat: "), "{ended:?}");
        assert_eq!(ended.errors.lines().count(), 1, "{ended:?}");
    }
}

#[test]
fn signals_for_users_end_nobody() {
    let port = free_port();
    let Some(server) = server_on(port) else { return };
    let mut bob = registered("bob", port);
    let mut alice = registered("alice", port);
    for signal in ["USR1", "USR2"] {
        alice.signal(signal);
        server.signal(signal);
        alice.say("send bob hello");
        assert_eq!(bob.event("message")["text"], "hello");
    }
    alice.end_input();
    alice.ends_with(0);
    server.signal("TERM");
    assert_eq!(server.ended().code, Some(0));
}
