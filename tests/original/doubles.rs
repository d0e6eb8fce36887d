//! The doubles against each other and against the bytes in docs/original.md: as far as these
//! tests go they can be trusted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::time::{Now, Time, WallTime};

use crate::server::OriginalServer;
use crate::stage::Stage;
use crate::world::Foreign;

const ACK: &str = r#"{"message": "ACK"}"#;

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// So many milliseconds after 2026-01-02 13:45:41.
fn at(ms: u64) -> Now {
    let time = Time::from_start(Duration::from_millis(ms));
    Now { time, wall: WallTime::from_unix_ms(1_767_361_541_000 + ms) }
}

/// What a server answers, and to which port.
fn ask(server: &mut OriginalServer, now: Now, port: u16, text: &str) -> Vec<(u16, String)> {
    server.handle_datagram(now, local(port), text.as_bytes());
    let mut answers = Vec::new();
    while let Some((to, bytes)) = server.poll_transmit() {
        answers.push((to.port(), String::from_utf8(bytes).expect("JSON")));
    }
    answers
}

fn replies<const N: usize>(list: [(u16, &str); N]) -> Vec<(u16, String)> {
    list.map(|(port, text)| (port, text.to_owned())).to_vec()
}

#[test]
fn the_server_answers_byte_for_byte() {
    let (alice, bob) = (55_929, 49_537);
    let mut server = OriginalServer::new(BTreeMap::new());
    let one = r#"{"message": {"alice": {"IP": "127.0.0.1", "port": 55929, "status": true}}}"#;
    let both = r#"{"message": {"alice": {"IP": "127.0.0.1", "port": 55929, "status": true}, "bob": {"IP": "127.0.0.1", "port": 49537, "status": true}}}"#;
    let bob_off = r#"{"message": {"alice": {"IP": "127.0.0.1", "port": 55929, "status": true}, "bob": {"IP": "127.0.0.1", "port": 49537, "status": false}}}"#;
    assert_eq!((ACK.len(), one.len(), bob_off.len()), (18, 74, 134));
    let mut ask = |ms, port, text: &str| ask(&mut server, at(ms), port, text);
    let register = r#"{"message": "[REQUEST:REG] alice"}"#;
    assert_eq!(ask(0, alice, register), replies([(alice, ACK), (alice, one)]));
    assert_eq!(ask(0, alice, register), replies([(alice, ACK), (alice, one)]));
    let answers = ask(0, bob, r#"{"message": "[REQUEST:REG] bob"}"#);
    assert_eq!(answers, replies([(bob, ACK), (alice, both), (bob, both)]));
    assert_eq!(ask(0, 1, r#"{"message": "[REQUEST:REG] bob"}"#), replies([(1, ACK)]));
    let answers = ask(0, bob, r#"{"message": "[REQUEST:DEREG] bob"}"#);
    assert_eq!(answers, replies([(bob, ACK), (bob, bob_off), (alice, bob_off)]));
    let save = r#"{"message": "[REQUEST:SAVE] alice bob offline one"}"#;
    assert_eq!(ask(0, alice, save), replies([(alice, ACK)]));
    let save = r#"{"message": "[REQUEST:SAVE] bob bob offline two from bob"}"#;
    assert_eq!(ask(1_000, bob, save), replies([(bob, ACK)]));
    let fetch = r#"{"message": "[REQUEST:GETSAVE] bob"}"#;
    let stored = r#"{"message": "[You have messages]\n>>> alice: <2026-01-02 13:45:41> offline one\n>>> bob: <2026-01-02 13:45:42> offline two from bob\n"}"#;
    let nothing = r#"{"message": "[No new messages]\n"}"#;
    assert_eq!((stored.len(), nothing.len()), (135, 34));
    assert_eq!(ask(0, bob, fetch), replies([(bob, ACK), (bob, stored)]));
    assert_eq!(ask(0, bob, fetch), replies([(bob, ACK), (bob, nothing)]));
}

#[test]
fn the_server_acknowledges_what_it_ignores() {
    let mut server = OriginalServer::new(BTreeMap::new());
    for ignored in [
        r#"{"message": "ACK"}"#,
        r#"{"message": "hello"}"#,
        r#"{"message": ""}"#,
        r#"{"message": "[REQUEST:REG] mary jane"}"#,
        r#"{"message": "[request:reg] mary"}"#,
        r#"{"message": "[REQUEST:SAVE] v2?", "udpchat": {"v": 1, "nonce": "0"}}"#,
        r#"{"message": "[REQUEST:SAVE] alice bob"}"#,
        "{\"message\":\"x\"}  \n",
    ] {
        assert_eq!(ask(&mut server, at(0), 5_000, ignored), replies([(5_000, ACK)]), "{ignored}");
        assert!(server.is_alive(), "{ignored}");
    }
}

#[test]
fn one_datagram_kills_the_server() {
    let long_name = format!(r#"{{"message": "[REQUEST:REG] {}"}}"#, "n".repeat(246));
    let long_text = format!(r#"{{"message": "{}"}}"#, "x".repeat(4_096));
    for deadly in [
        "no JSON",
        "{}",
        "[]",
        "",
        r#"{"message": 1}"#,
        r#"{"message": null}"#,
        r#"{"message": {}}"#,
        r#"{"message": "[REQUEST:DEREG] nobody"}"#,
        r#"{"message": "[REQUEST:GETSAVE] nobody"}"#,
        r#"{"message": "[REQUEST:REG] a/b"}"#,
        r#"{"message": "[REQUEST:REG] a\u0000"}"#,
        r#"{"message": "[REQUEST:SAVE] a b \udcff"}"#,
        &"[".repeat(2_000),
        &long_name,
        &long_text,
    ] {
        let mut server = OriginalServer::new(BTreeMap::new());
        assert_eq!(ask(&mut server, at(0), 5_000, deadly), replies([(5_000, ACK)]), "{deadly}");
        assert!(!server.is_alive(), "{deadly}");
        assert_eq!(ask(&mut server, at(0), 5_000, ACK), [], "{deadly}");
    }
}

const ALICE: &str = r#""alice": {"IP": "192.0.2.3", "port": 49152, "status": true}"#;
const BOB: &str = r#""bob": {"IP": "192.0.2.3", "port": 49153, "status": true}"#;

#[test]
fn two_clients_register_and_chat_at_the_original_server() {
    let mut stage = Stage::at_the_original();
    stage.original("alice");
    stage.run_ms(100);
    stage.original("bob");
    stage.run_ms(100);
    stage.says("alice", "send bob hello bob");
    stage.run_ms(100);
    let expected = [
        r#"alice>server {"message": "[REQUEST:REG] alice"}"#,
        r#"server>alice {"message": "ACK"}"#,
        &format!(r#"server>alice {{"message": {{{ALICE}}}}}"#),
        r#"bob>server {"message": "[REQUEST:REG] bob"}"#,
        r#"server>bob {"message": "ACK"}"#,
        &format!(r#"server>alice {{"message": {{{ALICE}, {BOB}}}}}"#),
        &format!(r#"server>bob {{"message": {{{ALICE}, {BOB}}}}}"#),
        r#"alice>bob {"message": "alice: hello bob"}"#,
        r#"bob>alice {"message": "ACK"}"#,
    ];
    assert_eq!(stage.transcript(0), expected);
    let alice = "\n>>> [Welcome, you are now registered.]\n\n>>> alice: \
        \n>>> [Client table updated.]\n>>> alice: \n>>> [Client table updated.]\n>>> alice: \
        \n>>> [Messsage received by bob]\n>>> alice: ";
    assert_eq!(stage.client("alice").screen(), alice);
    let bob = "\n>>> [Welcome, you are now registered.]\n\n>>> bob: \
        \n>>> [Client table updated.]\n>>> bob: \n>>> alice: hello bob\n>>> bob: ";
    assert_eq!(stage.client("bob").screen(), bob);
}

#[test]
fn a_message_for_the_absent_is_stored_and_fetched() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
    stage.says("bob", "dereg bob");
    stage.run_ms(100);
    let start = stage.wire.len();
    stage.says("alice", "send bob offline one");
    stage.run_ms(100);
    stage.says("bob", "reg bob");
    stage.run_ms(100);
    let stored =
        r#"[You have messages]\n>>> alice: <2026-01-02 13:45:02> offline one\n"#.to_owned();
    let expected = [
        r#"alice>server {"message": "[REQUEST:SAVE] alice bob offline one"}"#,
        r#"server>alice {"message": "ACK"}"#,
        r#"bob>server {"message": "[REQUEST:REG] bob"}"#,
        r#"server>bob {"message": "ACK"}"#,
        &format!(r#"server>alice {{"message": {{{ALICE}, {BOB}}}}}"#),
        &format!(r#"server>bob {{"message": {{{ALICE}, {BOB}}}}}"#),
        r#"bob>server {"message": "[REQUEST:GETSAVE] bob"}"#,
        r#"server>bob {"message": "ACK"}"#,
        &format!(r#"server>bob {{"message": "{stored}"}}"#),
    ];
    assert_eq!(stage.transcript(start), expected);
    assert_eq!(stage.shows("bob", "[You are Offline. Bye.]"), 1);
    assert_eq!(stage.shows("bob", "[Welcome back, bob.]"), 1);
    assert_eq!(stage.texts_from("bob", "alice"), ["offline one"]);
    let alice = stage.client("alice");
    let offline = ">>> alice: [Client bob is offline, message sent to server.]";
    assert_eq!(alice.lines(offline), 1);
    assert_eq!(alice.lines(">>> [Messages received by the server and saved]"), 1);
}

#[test]
fn a_silent_peer_costs_four_transmissions_and_two_seconds() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
    stage.kill("bob");
    let (start, since) = (stage.wire.len(), stage.now);
    stage.says("alice", "send bob hello");
    stage.run_ms(3_000);
    let sent = stage.wire[start..].iter().filter(|wire| wire.from == "alice");
    let sent: Vec<(u128, String)> =
        sent.map(|wire| ((wire.at - since).as_millis(), wire.text())).collect();
    let direct = r#"{"message": "alice: hello"}"#;
    let save = r#"{"message": "[REQUEST:SAVE] alice bob hello"}"#;
    let expected = [(0, direct), (500, direct), (1_000, direct), (1_500, direct), (2_000, save)];
    assert_eq!(sent, expected.map(|(at, text)| (at, text.to_owned())));
    assert_eq!(stage.shows("alice", "[No ACK from bob, message sent to server.]"), 1);
    assert_eq!(stage.shows("alice", "[Messages received by the server and saved]"), 0);
}

#[test]
fn without_a_server_the_client_says_so_and_stays() {
    let mut stage = Stage::at_the_original();
    stage.kill("server");
    stage.original("alice");
    stage.run_ms(1_900);
    assert_eq!(stage.shows("alice", "[Server not responding]"), 0);
    stage.run_ms(200);
    assert_eq!(stage.wire.len(), 4);
    assert_eq!(stage.shows("alice", "[Server not responding]"), 1);
    assert_eq!(stage.shows("alice", "[Exiting]"), 1);
    assert!(stage.client("alice").is_open());
}

/// What one of the two clients prints and sends when a datagram comes from a stranger.
fn heard(bytes: &[u8]) -> (String, usize, bool) {
    let mut stage = Stage::at_the_original().with(&["alice"], &[]);
    let (start, before) = (stage.wire.len(), stage.client("alice").screen().len());
    let alice = stage.addr("alice");
    stage.inject(SocketAddr::from(([203, 0, 113, 9], 4_000)), alice, bytes.to_vec());
    stage.run_ms(100);
    let listening = stage.client("alice").is_listening();
    let printed = stage.client("alice").screen()[before..].to_owned();
    (printed, stage.wire.len() - start, listening)
}

#[test]
fn what_the_client_does_with_a_datagram_from_anywhere() {
    let half = r#"{"message": {"alice": {"IP": "192.0.2.3", "port": 1, "status": true}}}"#;
    let long = format!(r#"{{"message": "{}"}}"#, "x".repeat(4_096));
    for (bytes, printed, acks, listening) in [
        (r#"{"message": "mallory: hi"}"#, "\n>>> mallory: hi\n>>> alice: ", 1, true),
        (r#"{"message": ""}"#, "\n>>> \n>>> alice: ", 1, true),
        (r#"{"message": "[REQUEST:SAVE] anything"}"#, "", 1, true),
        (r#"{"message": "ACK"}"#, "\n>>> [Messsage received by None]", 0, true),
        (r#"{"message": null, "v": 2}"#, "", 0, true),
        (half, "\n>>> [Client table updated.]\n>>> alice: ", 0, true),
        ("no JSON", "", 0, false),
        ("{}", "", 0, false),
        ("[]", "", 0, false),
        (r#"{"message": 1}"#, "", 1, false),
        (r#"{"message": []}"#, "", 1, false),
        (r#"{"message": "\udcff"}"#, "", 1, false),
        (&long, "", 0, false),
    ] {
        let expected = (printed.to_owned(), acks, listening);
        assert_eq!(heard(bytes.as_bytes()), expected, "{bytes}");
    }
}
