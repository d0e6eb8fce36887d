//! What outlives a process that is killed: names, stored messages, and what was typed.

use crate::common::{
    Process, Scratch, client_in, free_port, registered, server, server_in, server_with,
};

#[test]
fn a_server_that_was_killed_has_names_and_stored_messages_again() {
    let scratch = Scratch::new();
    let (folder, port) = (scratch.path("server"), free_port());
    let server = server_in(&folder, port);
    let mut alice = registered("alice", port);
    registered("bob", port).kill();
    for text in ["one", "two", "three"] {
        alice.say(&format!("send bob {text}"));
    }
    for _ in 0..3 {
        alice.event("saved");
    }
    server.kill();
    // So that nobody but the server can have them.
    alice.kill();

    let server = server_in(&folder, port);
    let mut bob = registered("bob", port);
    for text in ["one", "two", "three"] {
        let message = bob.event("message");
        assert_eq!((&message["from"], &message["text"]), (&"alice".into(), &text.into()));
        assert!(message["stored_at"].is_string(), "{message}");
    }
    bob.end_input();
    bob.ends_with(0);
    // Commits end in order: with hers, what bob was shown is durable as well.
    registered("carol", port).kill();
    server.kill();

    // Handed over, they never come back.
    let _server = server_in(&folder, port);
    let mut bob = registered("bob", port);
    bob.end_input();
    assert!(!bob.ends_with(0).iter().any(|line| line.contains(r#""event":"message""#)));
}

#[test]
fn a_client_that_was_killed_sends_what_was_typed() {
    let scratch = Scratch::new();
    let (folder, data, port) = (scratch.path("alice"), scratch.path("server"), free_port());
    let server = server_in(&data, port);
    registered("bob", port).kill();
    let mut alice = client_in(&folder, "alice", port);
    alice.event("registered");
    server.kill();
    let typed: Vec<String> = ["one", "two"]
        .map(|text| {
            alice.say(&format!("send bob {text}"));
            alice.event("sending")["id"].as_str().unwrap().to_owned()
        })
        .into();
    alice.kill();

    let _server = server_in(&data, port);
    let mut alice = client_in(&folder, "alice", port);
    for id in &typed {
        assert_eq!(alice.event("saved")["id"], **id);
    }
    let mut bob = registered("bob", port);
    for (text, id) in ["one", "two"].into_iter().zip(&typed) {
        let message = bob.event("message");
        assert_eq!((&message["text"], &message["id"]), (&text.into(), &id.as_str().into()));
    }
}

#[test]
fn what_was_shown_before_a_kill_is_not_shown_again_unmarked() {
    let scratch = Scratch::new();
    let folder = scratch.path("bob");
    let (_server, port) = server();
    let mut bob = client_in(&folder, "bob", port);
    bob.event("registered");
    let mut alice = registered("alice", port);
    alice.say("send bob one");
    bob.event("message");
    alice.event("received");
    bob.kill();
    alice.say("send bob two");
    let mut bob = client_in(&folder, "bob", port);
    // The kill may have come before it was known on the disk that the first was on the screen.
    let unmarked = bob.event_where("message", |message| message["again"] != true);
    assert_eq!(unmarked["text"], "two");
}

#[test]
fn without_a_store_it_is_said_what_is_given_up_and_nothing_is_written() {
    let port = free_port();
    let server = server_with(port, &["--no-store"]).unwrap();
    let server_port = port.to_string();
    let arguments = ["-c", "alice", "127.0.0.1", &server_port, "0", "--json", "--no-store"];
    let mut alice = Process::start(&arguments);
    alice.event("registered");
    alice.end_input();
    for (node, says) in [(&alice, "unsent"), (&server, "stored messages")] {
        assert_eq!(std::fs::read_dir(node.home()).unwrap().count(), 0, "{says}");
    }
    server.signal("TERM");
    for (node, says) in [(alice, "unsent"), (server, "stored messages")] {
        let ended = node.ended();
        assert!(ended.errors.starts_with("udpchat: --no-store: "), "{ended:?}");
        assert!(ended.errors.contains(says), "{ended:?}");
        assert_eq!(ended.errors.matches('\n').count(), 1, "{ended:?}");
    }
}
