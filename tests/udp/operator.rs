//! A server's screen, its counters, its input and its signals.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::UdpSocket;
use std::thread;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use serde_json::Value;

use crate::common::{Process, Scratch, command, free_port, json, registered};

/// A server with an input that has not ended, and its port. Unless it is quiet it listens.
fn server(arguments: &[&str]) -> (Process, u16) {
    let port = free_port();
    let mut server = Process::start(&[&["-s", &port.to_string()], arguments].concat());
    if !arguments.contains(&"--quiet") {
        server.find("listening", |line| line.contains("listening").then_some(()));
    }
    (server, port)
}

/// What stands in front of a line: a time.
fn without_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap_or_else(|| panic!("no time in {line:?}"));
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "00:00:00", "{line:?}");
    rest
}

#[test]
fn a_line_says_when_who_and_what() {
    let (mut server, port) = server(&[]);
    let alice = registered("alice", port);
    server.find("alice", |line| {
        line.contains("alice").then(|| {
            assert!(without_time(line).starts_with("alice has registered at 127.0.0.1:"));
        })
    });
    alice.kill();
    server.signal("TERM");
    let lines = server.ends_with(0);
    assert_eq!(without_time(lines.last().unwrap()), "stopped");
}

#[test]
fn counters_are_told_when_asked_for_by_word_or_by_signal() {
    for quiet in [false, true] {
        let (mut server, port) = server(if quiet { &["--quiet"] } else { &[] });
        server.say("stats");
        server.find("counters", |line| line.contains("clients: 0 here, 0 known").then_some(()));
        let mut alice = registered("alice", port);
        alice.say("send bob hi");
        alice.event("unsent");
        // Neither of this protocol nor of the original's.
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&[0xff; 20], ("127.0.0.1", port)).unwrap();
        // The stranger's datagram is read after it was sent, but nobody says when; and what alice
        // is refused, she may have asked for twice.
        loop {
            server.signal("USR1");
            server.find("counters", |line| line.contains("clients: 1 here, 1 known").then_some(()));
            let told = server
                .find("datagrams", |line| line.contains("datagrams: ").then(|| line.to_owned()));
            assert!(told.contains(" refused)"), "{told}");
            if told.contains("dropped (1 damaged, ") {
                break;
            }
        }
        server.signal("INT");
        let ended = server.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let events = ended.lines.iter().filter(|line| line.contains("alice"));
        assert_eq!(events.count(), usize::from(!quiet), "{ended:?}");
        assert_eq!(ended.errors.contains("listening on"), quiet, "{ended:?}");
    }
}

#[test]
fn programs_have_an_object_a_line() {
    let (mut server, port) = server(&["--json"]);
    let alice = registered("alice", port);
    let registered = server.event("registered");
    assert_eq!((&registered["name"], &registered["back"]), (&"alice".into(), &false.into()));
    alice.kill();
    server.say("nonsense");
    assert!(server.event("error")["text"].as_str().unwrap().contains("stats, help and quit"));
    server.say("stats");
    let stats = server.event("stats");
    assert_eq!((&stats["here"], &stats["dropped"]["damaged"]), (&1.into(), &0.into()));
    assert!(stats["datagrams_in"].as_u64().unwrap() >= 2, "{stats}");
    server.say("help");
    server.event("help");
    server.say("quit");
    let lines = server.ends_with(0);
    for line in &lines {
        assert!(matches!(json(line)["at"], Value::String(_)), "{line}");
    }
    assert_eq!(json(&lines[0])["event"], "listening");
    assert_eq!(json(lines.last().unwrap())["event"], "stopped");
}

#[test]
fn a_line_that_is_no_order_is_told_what_would_be_one() {
    let (mut server, _) = server(&[]);
    server.say("send bob hi");
    server.say("\u{1b}[2J");
    server.say("");
    server.say("help");
    server.find("help", |line| line.starts_with("stats").then_some(()));
    server.say("quit");
    let ended = server.ended();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.errors.lines().count(), 2, "{ended:?}");
    assert!(ended.errors.lines().all(|line| line.contains("stats, help and quit")), "{ended:?}");
    assert!(!ended.errors.contains('\u{1b}'), "{ended:?}");
}

/// A pipe in which there is no room.
#[cfg(unix)]
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4_096, 1] {
        while writer.write(&vec![b'\n'; size]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[cfg(unix)]
#[test]
fn a_server_whose_output_is_stuck_serves_on_and_writes_what_waits_when_it_can() {
    let (home, port) = (Scratch::new(), free_port());
    let (mut reader, writer) = full_pipe();
    let mut server = command(&["-s", &port.to_string()], &home);
    server.stdout(writer);
    let server = Process::of(server, home);
    let mut alice = registered("alice", port);
    registered("bob", port).kill();
    alice.say("send bob hello");
    alice.event("saved");
    let written = thread::spawn(move || {
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        written
    });
    server.signal("TERM");
    server.ends_with(0);
    let written = written.join().unwrap();
    let said: Vec<_> = written.lines().filter(|line| !line.is_empty()).map(without_time).collect();
    assert!(said[0].starts_with("listening"), "{said:?}");
    assert!(said[1].starts_with("alice has registered"), "{said:?}");
    assert_eq!(said.last(), Some(&"stopped"), "{said:?}");
}
