//! Whoever is not registered, or not from there: nothing is done for them, and little is sent.

use std::net::SocketAddr;

use udpchat_core::client::Event;

use crate::stage::Stage;
use crate::world::{second_addr, server_addr};

fn mallory() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], 4_000))
}

fn word(text: &str) -> Vec<u8> {
    crate::json::datagram(text)
}

/// How many bytes went to Mallory's address.
fn earned(stage: &Stage) -> usize {
    let name = mallory().to_string();
    stage.wire.iter().filter(|wire| wire.to == name).map(|wire| wire.bytes.len()).sum()
}

/// Two original clients, one of ours, and enough others to fill a table.
fn crowd() -> Stage {
    let mut stage = Stage::at_ours().with(&["alice", "bob"], &["carol"]);
    for n in 0..100_u16 {
        stage.start(&format!("client{n}"), 10_000 + n, 0);
    }
    stage.run_ms(5_000);
    stage
}

#[test]
fn requests_of_strangers_have_no_effect() {
    let mut stage = Stage::at_ours().with(&["alice", "bob"], &["carol"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(1_000);
    stage.says("alice", "send bob kept");
    stage.run_ms(1_000);
    let before = stage.snapshot();
    let screen = stage.client("alice").screen().to_owned();
    for request in [
        "[REQUEST:DEREG] alice",
        "[REQUEST:DEREG] carol",
        "[REQUEST:GETSAVE] bob",
        "[REQUEST:GETSAVE] alice",
        "[REQUEST:SAVE] alice bob forged",
        "[REQUEST:SAVE] carol bob forged",
        "hello",
        "ACK",
    ] {
        for to in [server_addr(), second_addr()] {
            stage.inject(mallory(), to, word(request));
        }
    }
    stage.run_ms(3_000);
    assert_eq!(stage.snapshot(), before);
    assert_eq!(stage.client("alice").screen(), screen);
    assert_eq!(earned(&stage), 0);
}

#[test]
fn one_original_cannot_act_for_another() {
    let mut stage = Stage::at_ours().with(&["alice", "bob", "mallory"], &["carol"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(1_000);
    stage.says("alice", "send bob kept");
    stage.run_ms(1_000);
    let from = stage.addr("mallory");
    for request in
        ["[REQUEST:DEREG] alice", "[REQUEST:GETSAVE] bob", "[REQUEST:SAVE] alice bob forged"]
    {
        stage.inject(from, server_addr(), word(request));
    }
    stage.run_ms(3_000);
    assert_eq!(stage.client("mallory").status("alice"), Some(true));
    stage.says("bob", "reg bob");
    stage.run_ms(3_000);
    assert_eq!(stage.texts_from("bob", "alice"), ["kept"]);
    assert_eq!(stage.texts_from("bob", "mallory"), ["forged"], "the sender is the registered one");
}

#[test]
fn a_request_from_an_address_that_never_answers_earns_no_table() {
    let mut stage = crowd();
    stage.inject(mallory(), server_addr(), word("[REQUEST:REG] mallory"));
    stage.run_ms(1_000);
    let at_once = earned(&stage);
    assert!(at_once <= 3 * word("[REQUEST:REG] mallory").len(), "{at_once} bytes");
    for n in 0..60 {
        // The table changes all the time.
        stage.says("bob", if n % 2 == 0 { "dereg bob" } else { "reg bob" });
        stage.run_ms(1_000);
    }
    assert_eq!(earned(&stage), at_once, "for nothing that it said");
}

#[test]
fn many_requests_earn_no_more_tables() {
    let mut stage = crowd();
    for n in 0..100 {
        stage.inject(mallory(), server_addr(), word(&format!("[REQUEST:REG] mallory{n}")));
        stage.run_ms(10);
    }
    let requests = 100 * word("[REQUEST:REG] mallory99").len();
    let earned = earned(&stage);
    assert!(earned <= 3 * requests, "{earned} bytes for {requests}");
}

#[test]
fn many_forged_addresses_earn_no_tables() {
    let mut stage = crowd();
    let start = stage.wire.len();
    for n in 0..1_000_u16 {
        let forged = SocketAddr::from(([203, 0, 113, 10], 10_000 + n));
        stage.inject(forged, server_addr(), word(&format!("[REQUEST:REG] forged{n}")));
    }
    stage.run_ms(1_000);
    let sent = stage.wire[start..].iter().filter(|wire| wire.to.starts_with("203.0.113.10:"));
    let tables = sent.filter(|wire| wire.bytes.len() > 1_000).count();
    assert_eq!(tables, 0);
    // Whoever is really there is served none the less.
    stage.original("dave");
    stage.run_ms(1_000);
    assert_eq!(stage.client("dave").status("dave"), Some(true));
    assert_eq!(stage.client("dave").status("alice"), Some(true));
}

#[test]
fn acks_are_never_answered() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let (alice, bob) = (stage.addr("alice"), stage.addr("bob"));
    let start = stage.wire.len();
    for (from, to) in [
        (alice, server_addr()),
        (alice, second_addr()),
        (bob, server_addr()),
        (mallory(), server_addr()),
        (server_addr(), server_addr()),
        (second_addr(), server_addr()),
        (server_addr(), bob),
        (alice, bob),
        (mallory(), bob),
    ] {
        stage.inject(from, to, word("ACK"));
    }
    stage.run_ms(200);
    assert_eq!(stage.transcript(start), Vec::<String>::new());
}

#[test]
fn the_server_never_answers_itself_without_end() {
    let mut stage = Stage::at_ours().with(&["alice"], &[]);
    for text in ["[REQUEST:REG] server", "[REQUEST:DEREG] x", "hello", "ACK"] {
        for from in [server_addr(), second_addr()] {
            for to in [server_addr(), second_addr()] {
                stage.inject(from, to, word(text));
            }
        }
    }
    stage.run_ms(1_000);
    let start = stage.wire.len();
    stage.run_ms(60_000);
    let own = |name: &str| name == "server" || name == "second";
    let to_itself = stage.wire[start..].iter().filter(|wire| own(&wire.from) && own(&wire.to));
    assert!(to_itself.count() <= 2 * 20, "{:#?}", stage.transcript(start));
}

#[test]
fn what_kills_an_original_server_is_survived() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let alice = stage.addr("alice");
    let long_name = format!("[REQUEST:REG] {}", "n".repeat(300));
    let nested = "[".repeat(2_000).into_bytes();
    let not_utf8 = b"{\"message\": \"\xff\xfe\"}".to_vec();
    let long = word(&"x".repeat(60_000));
    for bytes in [
        b"no JSON".to_vec(),
        b"{}".to_vec(),
        b"{\"message\": 1}".to_vec(),
        b"{\"message\": null}".to_vec(),
        b"{\"message\": {}}".to_vec(),
        b"[]".to_vec(),
        Vec::new(),
        nested,
        not_utf8,
        long,
        word("[REQUEST:DEREG] nobody"),
        word("[REQUEST:GETSAVE] nobody"),
        word("[REQUEST:REG] a/b"),
        word("[REQUEST:REG] ../precious"),
        word("[REQUEST:REG] a\0"),
        word("[REQUEST:REG] "),
        word("[REQUEST:SAVE] alice ../precious text"),
        word(&long_name),
    ] {
        for from in [alice, mallory()] {
            for to in [server_addr(), second_addr()] {
                stage.inject(from, to, bytes.clone());
            }
        }
        stage.run_ms(50);
    }
    stage.says("alice", "send bob still there?");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("bob"), ["still there?"]);
    assert_eq!(stage.snapshot().clients.len(), 2);
    assert!(stage.client("alice").is_listening());
}

#[test]
fn what_deafens_an_original_client_is_survived() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let (alice, bob) = (stage.addr("alice"), stage.addr("bob"));
    for bytes in [
        b"no JSON".to_vec(),
        b"{\"message\": 1}".to_vec(),
        b"{\"message\": []}".to_vec(),
        b"[1]".to_vec(),
        b"{}".to_vec(),
        b"{\"message\": {\"alice\": 1}}".to_vec(),
        word("ACK"),
        word(&"x".repeat(5_000)),
    ] {
        for from in [alice, server_addr(), second_addr(), mallory()] {
            stage.inject(from, bob, bytes.clone());
        }
        stage.run_ms(50);
    }
    stage.says("alice", "send bob still there?");
    stage.says("bob", "send alice still there?");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("bob"), ["still there?"]);
    assert_eq!(stage.texts_from("alice", "bob"), ["still there?"]);
}

#[test]
fn texts_acks_and_tables_of_strangers_mean_nothing_to_our_client() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let (alice, bob) = (stage.addr("alice"), stage.addr("bob"));
    let events = stage.events("bob").len();
    let table = br#"{"message": {"alice": {"IP": "203.0.113.9", "port": 4000, "status": true}}}"#;
    stage.kill("alice");
    for bytes in [word("alice: I am alice"), word("ACK"), table.to_vec(), word("[REQUEST:SAVE] x")]
    {
        stage.inject(mallory(), bob, bytes);
    }
    stage.inject(alice, bob, word("carol: I am carol"));
    stage.run_ms(100);
    assert_eq!(stage.events("bob").len(), events);
    stage.says("bob", "send alice secret");
    stage.run_ms(100);
    stage.inject(mallory(), bob, word("ACK"));
    stage.run_ms(6_000);
    assert_eq!(stage.count("bob", |e| matches!(e, Event::Received { .. })), 0);
    assert_eq!(stage.count("bob", |e| matches!(e, Event::Saved { .. })), 1);
    let name = mallory().to_string();
    assert!(stage.wire.iter().all(|wire| wire.to != name));
}

#[test]
fn control_characters_never_reach_an_originals_screen() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    let forged = "x\n>>> ceo: <2020-01-01 00:00:00> you are fired\u{1b}[2J";
    let send = |stage: &mut Stage| {
        let to = "alice".parse().expect("a name");
        let text = forged.to_owned();
        stage.commands("bob", udpchat_core::client::Command::Send { to, text });
    };
    send(&mut stage);
    stage.run_ms(1_000);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    send(&mut stage);
    let save = word(&format!("[REQUEST:SAVE] carol alice {forged}"));
    let carol = stage.addr("carol");
    stage.inject(carol, server_addr(), save);
    stage.run_ms(1_000);
    stage.says("alice", "reg alice");
    stage.run_ms(5_000);
    assert_eq!(stage.texts_from("alice", "bob").len(), 2);
    assert_eq!(stage.texts_from("alice", "carol").len(), 1);
    assert_eq!(stage.texts_from("alice", "ceo").len(), 0);
    assert!(!stage.client("alice").screen().contains('\u{1b}'));
}
