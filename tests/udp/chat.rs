//! What two people at a server can do, and what they are told when they do it wrong.

use std::time::Duration;

use crate::common::{Process, client, is_free, json, registered, server, texts, together};

/// How soon others learn that somebody has left, if it was said: a lease takes longer to expire.
const SAID_SO: Duration = Duration::from_secs(5);

#[test]
fn a_message_goes_straight_to_its_recipient() {
    let (_server, port) = server();
    let [mut alice, mut bob] = together(["alice", "bob"], port);
    alice.say("send bob  hello, \"bob\"  ");
    let sending = alice.event("sending");
    let message = bob.event("message");
    assert_eq!(message["id"], sending["id"]);
    assert_eq!(message["from"], "alice");
    assert_eq!(message["text"], " hello, \"bob\"  ");
    assert_eq!(message.get("stored_at"), None);
    let received = alice.event("received");
    assert_eq!((&received["id"], &received["to"]), (&sending["id"], &sending["to"]));

    alice.say("list");
    alice.table(&["alice", "bob"]);
    alice.say("quit");
    let table = bob.table(&["bob"]);
    assert_eq!(table["offline"], json(r#"["alice"]"#));
    assert_eq!(alice.ends_with(0).last().unwrap(), r#"{"event":"left","complete":true}"#);
}

#[test]
fn who_is_away_gets_messages_later() {
    let (_server, port) = server();
    let [mut alice, mut bob] = together(["alice", "bob"], port);
    bob.say("dereg bob");
    bob.event("offline");
    alice.table(&["alice"]);
    for text in ["one", "two"] {
        alice.say(&format!("send bob {text}"));
        let sending = alice.event("sending");
        alice.event_where("saved", |saved| saved["id"] == sending["id"]);
    }
    bob.say("reg bob");
    assert_eq!(bob.event("registered")["back"], true);
    for text in ["one", "two"] {
        let message = bob.event("message");
        assert_eq!(message["text"], text);
        let stored_at = message["stored_at"].as_str().unwrap();
        assert!(stored_at.ends_with('Z') && stored_at.len() == 20, "{stored_at}");
    }
    alice.table(&["alice", "bob"]);
    alice.say("send bob three");
    assert_eq!(bob.event("message")["text"], "three");
    bob.end_input();
    assert_eq!(texts(&bob.ends_with(0)), ["one", "two", "three"]);
}

#[test]
fn a_pipe_reads_the_originals_lines() {
    let (_server, port) = server();
    let plain = |name| Process::start(&["-c", name, "localhost", &port.to_string(), "0"]);
    let mut alice = plain("alice");
    alice.line("[Welcome, you are now registered.]");
    alice.line("[Client table updated.]");
    let mut bob = plain("bob");
    bob.line("[Welcome, you are now registered.]");
    bob.line("[Client table updated.]");
    alice.line("[Client table updated.]");
    alice.say("list");
    alice.line("[Online: alice, bob; offline: nobody]");
    alice.say("send bob hi\u{1b}[2J");
    bob.line(r">>> alice: hi\u{1b}[2J");
    alice.line("[Message received by bob]");

    bob.say("dereg bob");
    bob.line("[You are Offline. Bye.]");
    bob.say("send alice hi");
    bob.line("[Can't send message, you are offline.]");
    alice.line("[Client table updated.]");
    alice.say("send bob later");
    alice.line("[Client bob is offline, message sent to server.]");
    alice.line("[Messages received by the server and saved]");
    bob.say("reg bob");
    bob.line("[Welcome back, bob.]");
    bob.line("[You have messages]");
    bob.find("the stored message", |line| {
        (line.starts_with(">>> alice: <20") && line.ends_with("> later")).then_some(())
    });
    alice.say("ctrl + c");
    alice.ends_with(0);
}

#[test]
fn every_wrong_line_has_an_answer() {
    let (_server, port) = server();
    let mut alice = registered("alice", port);
    for (line, says) in [
        ("sned bob hi", "unknown command"),
        ("send", "usage: send"),
        ("send bob", "usage: send"),
        ("send bob   ", "usage: send"),
        ("send ../bob hi", "is not a name"),
        ("reg", "usage: reg"),
        ("reg bob", "Cannot register bob"),
        ("reg alice", "already registered"),
        ("dereg", "usage: dereg"),
        ("dereg bob", "Cannot deregister bob"),
        (&format!("send bob {}", "x".repeat(701)), "at most 700"),
        (&"x".repeat(100_000), "100000 bytes"),
    ] {
        alice.say(line);
        let error = alice.event("error");
        assert!(error["text"].as_str().unwrap().contains(says), "{line:.40}: {error}");
    }
    alice.say("");
    alice.say("help");
    assert!(alice.event("help")["text"].as_str().unwrap().contains("send <name> <text>"));

    alice.say("dereg alice");
    alice.event("offline");
    for (line, says) in [("dereg alice", "already offline"), ("send bob hi", "you are offline")] {
        alice.say(line);
        let error = alice.event("error");
        assert!(error["text"].as_str().unwrap().contains(says), "{line}: {error}");
    }
    alice.end_input();
    alice.ends_with(1);
}

#[test]
fn a_name_that_nobody_has_is_found_out() {
    let (_server, port) = server();
    let mut alice = registered("alice", port);
    alice.say("send nobody hello?");
    let sending = alice.event("sending");
    let unsent = alice.event("unsent");
    assert_eq!(unsent["id"], sending["id"]);
    assert_eq!((&unsent["reason"], &unsent["kept"]), (&json("\"unknown_name\""), &json("false")));
    alice.end_input();
    alice.ends_with(1);
}

#[test]
fn bytes_that_are_no_text_hurt_nobody() {
    let (_server, port) = server();
    let [mut alice, mut bob] = together(["alice", "bob"], port);
    alice.say_bytes(b"send bob a\xffb\x00c\xf0\x9f\n\xff\xfe\nsend bob ok\n");
    // Nothing is sent that was not typed.
    alice.event("error");
    alice.event("error");
    assert_eq!(bob.event("message")["text"], "ok");
}

#[test]
fn the_longest_text_arrives() {
    let (_server, port) = server();
    let [mut alice, mut bob] = together(["alice", "bob"], port);
    let text = "ü".repeat(350);
    alice.say(&format!("send bob {text}"));
    assert_eq!(bob.event("message")["text"], *text);
    bob.say("dereg bob");
    alice.table(&["alice"]);
    alice.say(&format!("send bob {text}"));
    alice.event("saved");
    bob.say("reg bob");
    assert_eq!(bob.event("message")["text"], *text);
}

#[test]
fn a_script_is_done_when_its_messages_are() {
    let (_server, port) = server();
    let mut bob = registered("bob", port);
    // All of it before there is any answer.
    let mut alice = client("alice", port);
    for number in 0..20 {
        alice.say(&format!("send bob {number}"));
    }
    alice.end_input();
    let lines = alice.ends_with(0);
    let outcomes = lines.iter().map(|line| json(line)["event"].clone());
    let done = outcomes.filter(|event| event == "received" || event == "saved").count();
    assert_eq!(done, 20, "{lines:#?}");
    bob.event_where("message", |message| message["text"] == "19");
    bob.end_input();
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(texts(&bob.ends_with(0)), expected);
}

#[test]
fn a_person_who_interrupts_leaves_cleanly() {
    let (_server, port) = server();
    for signal in ["INT", "TERM"] {
        let mut bob = registered("bob", port);
        let own_port = crate::common::free_port();
        let arguments =
            ["-c", "alice", "127.0.0.1", &port.to_string(), &own_port.to_string(), "--json"];
        let mut alice = Process::start(&arguments);
        alice.table(&["alice", "bob"]);
        // Who comes and goes within a round of the table is none of bob's news.
        bob.table(&["alice", "bob"]);
        assert!(!is_free(own_port));
        alice.signal(signal);
        // Said so, not found out later.
        bob.event_within(SAID_SO, "table", |table| table["offline"] == json(r#"["alice"]"#));
        alice.ends_with(0);
        assert!(is_free(own_port));
        bob.end_input();
        bob.ends_with(0);
    }
}

#[test]
fn a_name_has_one_holder() {
    let (_server, port) = server();
    let mut first = registered("alice", port);
    let mut second = client("ALICE", port);
    let error = second.event("error");
    assert!(error["text"].as_str().unwrap().contains("already in use"), "{error}");
    second.ends_with(1);
    first.say("list");
    first.table(&["alice"]);
}

/// Each sees the other at an address of the wrong family, so that the detour is the only way.
#[test]
fn ipv4_and_ipv6_meet_at_the_same_server() {
    let (_server, port) = server();
    let mut alice = Process::start(&["-c", "alice", "::1", &port.to_string(), "0", "--json"]);
    let mut bob = client("bob", port);
    alice.table(&["alice", "bob"]);
    bob.table(&["alice", "bob"]);
    alice.say("send bob over IPv6");
    assert_eq!(bob.event("message")["text"], "over IPv6");
    bob.say("send alice over IPv4");
    assert_eq!(alice.event("message")["text"], "over IPv4");
    for mut person in [alice, bob] {
        person.end_input();
        person.ends_with(0);
    }
}

#[test]
fn a_script_with_a_line_that_is_no_command_is_not_done() {
    let (_server, port) = server();
    for line in ["sned alice hi".to_owned(), format!("send alice {}", "x".repeat(701))] {
        let mut alice = client("alice", port);
        alice.say(&line);
        alice.end_input();
        let lines = alice.ends_with(1);
        assert_eq!(lines.last().unwrap(), r#"{"event":"left","complete":false}"#);
    }
}
