//! Processes that die, come back or never were there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use udpchat_core::protocol::{Packet, StreamId, envelope};

use crate::common::{
    DEADLINE, Process, Scratch, client, command, free_port, json, now, registered, server,
    server_on, texts, together,
};

/// How soon a client that was killed has its name back: promised in docs/protocol.md.
const NAME_BACK: Duration = Duration::from_secs(5);

#[test]
fn a_client_that_was_killed_has_its_name_back_on_another_port() {
    let (_server, port) = server();
    let [alice, mut bob] = together(["alice", "bob"], port);
    alice.kill();
    let mut alice = client("alice", port);
    assert_eq!(alice.event_within(NAME_BACK, "registered", |_| true)["back"], true);
    alice.table(&["alice", "bob"]);
    bob.say("send alice are you there?");
    assert_eq!(alice.event("message")["text"], "are you there?");
    bob.event("received");
}

#[test]
fn a_client_that_was_killed_is_found_out_and_its_messages_are_kept() {
    let (_server, port) = server();
    let [mut alice, bob] = together(["alice", "bob"], port);
    bob.kill();
    alice.say("send bob one");
    assert_eq!(alice.event("via_server")["reason"], "no_ack");
    // Only when it is clear that bob will not be shown it soon.
    alice.table(&["alice"]);
    alice.event("saved");
    alice.say("send bob two");
    alice.event("saved");
    alice.end_input();
    alice.ends_with(0);
    let mut bob = client("bob", port);
    bob.event_where("message", |message| message["text"] == "two");
    bob.end_input();
    assert_eq!(texts(&bob.ends_with(0)), ["one", "two"]);
}

#[test]
fn clients_find_a_server_again_that_was_restarted() {
    let (server, port) = server();
    let [mut alice, mut bob] = together(["alice", "bob"], port);
    server.kill();
    let _server = loop {
        // The port is ours; only a search of another test for a free one may hold it a moment.
        if let Some(server) = server_on(port) {
            break server;
        }
    };
    let mut carol = client("carol", port);
    for person in [&mut alice, &mut bob, &mut carol] {
        person.table(&["alice", "bob", "carol"]);
    }
    alice.say("send bob still here?");
    assert_eq!(bob.event("message")["text"], "still here?");
    alice.event("received");
}

#[test]
fn a_client_without_a_server_gives_up() {
    let mut alice = client("alice", free_port());
    alice.say("send bob hello?");
    alice.event("server_not_responding");
    let lines = alice.ends_with(1);
    assert_eq!(lines.last().unwrap(), r#"{"event":"left","complete":false}"#);
}

#[test]
fn a_closed_output_is_a_quiet_end() {
    let (_server, port) = server();
    let mut bob = registered("bob", port);
    let arguments = ["-c", "alice", "127.0.0.1", &port.to_string(), "0", "--json"];
    let home = Scratch::new();
    let mut alice = command(&arguments, &home).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = alice.stdin.take().unwrap();
    let mut output = BufReader::new(alice.stdout.take().unwrap());
    while !output.by_ref().lines().next().unwrap().unwrap().contains("table") {}
    drop(output);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(alice.wait_with_output().unwrap()).unwrap());
    let end = now() + DEADLINE;
    let ended = loop {
        // More than once: a process that another test is just starting may hold the output open.
        // That the input is closed as well is how it ends.
        let _ = writeln!(input, "list");
        if let Ok(ended) = ended.recv_timeout(Duration::from_millis(100)) {
            break ended;
        }
        assert!(now() < end, "still there after {DEADLINE:?}");
    };
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(1), 0));

    // What it could not write it has not acknowledged.
    bob.say("send alice hello");
    let sending = bob.event("sending");
    let saved = bob.event("saved");
    assert_eq!(saved["id"], sending["id"]);
}

#[test]
fn any_datagram_is_survived() {
    let (server, port) = server();
    let own_port = free_port();
    let arguments =
        ["-c", "alice", "127.0.0.1", &port.to_string(), &own_port.to_string(), "--json"];
    let mut alice = Process::start(&arguments);
    alice.event("table");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nested = "[".repeat(2_000);
    let long = vec![b'U'; 60_000];
    for bytes in [
        b"".as_slice(),
        b"hello",
        b"\xff\xfe\xfd",
        b"{}",
        b"[]",
        br#"{"message": 5}"#,
        br#"{"message": null}"#,
        br#"{"message": {}}"#,
        br#"{"message": "[REQUEST:DEREG] nobody"}"#,
        br#"{"message": "[REQUEST:GETSAVE] nobody"}"#,
        br#"{"message": "[REQUEST:REG] ../precious"}"#,
        b"U\0\0\0\0\0\0",
        nested.as_bytes(),
        &long,
    ] {
        for to in [port, own_port] {
            socket.send_to(bytes, ("127.0.0.1", to)).unwrap();
        }
    }
    let mut bob = registered("bob", port);
    alice.event_where("table", |table| table["online"] == json(r#"["alice","bob"]"#));
    alice.say("send bob fine");
    assert_eq!(bob.event("message")["text"], "fine");
    drop(server);
}

#[test]
fn strangers_are_not_believed() {
    let (_server, port) = server();
    let mut bob = registered("bob", port);
    let own_port = free_port();
    let arguments =
        ["-c", "alice", "127.0.0.1", &port.to_string(), &own_port.to_string(), "--json"];
    let mut alice = Process::start(&arguments);
    alice.table(&["alice", "bob"]);

    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = stranger.local_addr().unwrap().port();
    let packet = Packet::Message {
        from: "bob".parse().unwrap(),
        to: "alice".parse().unwrap(),
        stream: StreamId(1),
        seq: 1,
        base: 1,
        group: None,
    };
    let row = |port| format!(r#"{{"IP": "127.0.0.1", "port": {port}, "status": true}}"#);
    let table = format!(r#"{{"message": {{"alice": {}, "bob": {}}}}}"#, row(own_port), row(here));
    for bytes in [
        envelope::encode(&packet, b"forged").as_slice(),
        br#"{"message": "bob: forged"}"#,
        table.as_bytes(),
    ] {
        stranger.send_to(bytes, ("127.0.0.1", own_port)).unwrap();
    }
    for request in ["DEREG] bob", "GETSAVE] bob", "SAVE] bob alice forged", "SAVE] x alice forged"]
    {
        let bytes = format!(r#"{{"message": "[REQUEST:{request}"}}"#);
        stranger.send_to(bytes.as_bytes(), ("127.0.0.1", port)).unwrap();
    }

    alice.say("send bob secret");
    assert_eq!(bob.event("message")["text"], "secret");
    bob.say("send alice true");
    assert_eq!(alice.event("message")["text"], "true");
    alice.say("list");
    alice.table(&["alice", "bob"]);
    alice.end_input();
    assert_eq!(texts(&alice.ends_with(0)), ["true"]);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 1_500]).is_err(), "a stranger was answered");
}
