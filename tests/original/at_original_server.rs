//! Our client at the original's server. At the end of every test that server is alive.

use std::collections::BTreeMap;

use udpchat_core::client::{Command, Event, UnsentReason};
use udpchat_core::protocol::PacketKind as Kind;

use crate::stage::{Stage, has, is_received, is_saved};
use crate::world::{Verdict, server_addr};

fn is_registered(event: &Event) -> bool {
    matches!(event, Event::Registered { .. })
}

/// The server lives, and so do the original clients.
fn assert_unharmed(stage: &Stage, originals: &[&str]) {
    assert!(stage.original_server().is_alive(), "the server is dead");
    for name in originals {
        assert!(stage.client(name).is_listening(), "{name} is deaf");
    }
    let to_others = stage.wire.iter().filter(|wire| wire.from != "server");
    assert!(to_others.clone().all(|wire| wire.bytes.len() <= 4_096));
    assert!(to_others.clone().all(|wire| wire.bytes.first() == Some(&b'{')));
}

#[test]
fn our_client_registers_and_gets_the_table() {
    let stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    assert_eq!(stage.count("bob", is_registered), 1);
    let Some(Event::Table(listing)) = stage.events("bob").last() else { panic!("no table") };
    assert_eq!(listing.online.len(), 2);
    assert_eq!(stage.client("alice").status("bob"), Some(true));
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn a_session_of_our_client_byte_for_byte() {
    let mut stage = Stage::at_the_original();
    stage.original("alice");
    stage.run_ms(100);
    let start = stage.wire.len();
    stage.ours("bob");
    stage.run_ms(900);
    stage.says("bob", "send alice grüße");
    stage.run_ms(100);
    stage.says("alice", "send bob hi");
    stage.run_ms(100);
    let chat = stage.wire.len();
    stage.says("bob", "dereg bob");
    stage.run_ms(600);
    let alice = r#""alice": {"IP": "192.0.2.3", "port": 49152, "status": true}"#;
    let bob = |online| format!(r#""bob": {{"IP": "192.0.2.2", "port": 5002, "status": {online}}}"#);
    let seen = stage.transcript(start);
    assert!(seen[0].starts_with(r#"bob>server {"message":"[REQUEST:SAVE] v2?","udpchat":"#));
    let expected = [
        r#"server>bob {"message": "ACK"}"#,
        r#"bob>server {"message": "[REQUEST:REG] bob"}"#,
        r#"server>bob {"message": "ACK"}"#,
        &format!(r#"server>alice {{"message": {{{alice}, {}}}}}"#, bob(true)),
        &format!(r#"server>bob {{"message": {{{alice}, {}}}}}"#, bob(true)),
        r#"bob>server {"message": "[REQUEST:GETSAVE] bob"}"#,
        r#"server>bob {"message": "ACK"}"#,
        r#"server>bob {"message": "[No new messages]\n"}"#,
        r#"bob>alice {"message": "bob: gr\u00fc\u00dfe"}"#,
        r#"alice>bob {"message": "ACK"}"#,
        r#"alice>bob {"message": "alice: hi"}"#,
        r#"bob>alice {"message": "ACK"}"#,
    ];
    assert_eq!(stage.transcript(start)[1..chat - start], expected);
    let end = stage.transcript(chat);
    let last = [
        r#"bob>server {"message": "[REQUEST:DEREG] bob"}"#,
        r#"server>bob {"message": "ACK"}"#,
        &format!(r#"server>bob {{"message": {{{alice}, {}}}}}"#, bob(false)),
        &format!(r#"server>alice {{"message": {{{alice}, {}}}}}"#, bob(false)),
    ];
    assert!(end.ends_with(&last.map(str::to_owned)), "{end:#?}");
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn our_client_and_an_original_chat_both_ways() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    for n in 0..5 {
        stage.says("alice", &format!("send bob to bob {n}"));
        stage.says("bob", &format!("send alice to alice {n}"));
    }
    stage.run_ms(3_000);
    let numbered = |word: &str| -> Vec<String> { (0..5).map(|n| format!("{word} {n}")).collect() };
    assert_eq!(stage.texts("bob"), numbered("to bob"));
    assert_eq!(stage.texts_from("alice", "bob"), numbered("to alice"));
    assert_eq!(stage.count("bob", is_received), 5);
    assert_eq!(stage.shows("alice", "[Messsage received by bob]"), 5);
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn two_of_ours_chat_at_an_original_server() {
    let mut stage = Stage::at_the_original().with(&[], &["bob", "carol"]);
    for n in 0..5 {
        stage.says("bob", &format!("send carol {n}"));
        stage.says("carol", &format!("send bob {n}"));
    }
    stage.run_ms(3_000);
    for name in ["bob", "carol"] {
        assert_eq!(stage.texts(name), ["0", "1", "2", "3", "4"]);
        assert_eq!(stage.count(name, is_received), 5);
    }
    assert_unharmed(&stage, &[]);
}

#[test]
fn lost_acks_between_two_of_ours_show_nothing_twice() {
    let mut stage = Stage::at_the_original().with(&[], &["bob", "carol"]);
    let mut left = 3;
    stage.wire_rule(move |wire| {
        let hit = left > 0 && wire.is("carol", "bob");
        left -= i32::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
    stage.says("bob", "send carol hello");
    stage.run_ms(4_000);
    assert_eq!(stage.texts("carol"), ["hello"]);
    assert_eq!(stage.count("bob", is_received), 1);
    assert_unharmed(&stage, &[]);
}

#[test]
fn our_client_deregisters_and_comes_back() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(3_000);
    assert_eq!(stage.count("bob", |e| *e == Event::Offline), 1);
    assert_eq!(stage.client("alice").status("bob"), Some(false));
    assert_eq!(stage.original_server().status("bob"), Some(false));
    stage.says("alice", "send bob kept");
    stage.run_ms(1_000);
    stage.says("bob", "reg bob");
    stage.run_ms(3_000);
    assert_eq!(stage.texts("bob"), ["kept"]);
    let stamped = |e: &Event| matches!(e, Event::Message { stored_at: Some(_), .. });
    assert_eq!(stage.count("bob", stamped), 1);
    assert_eq!(stage.client("alice").status("bob"), Some(true));
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn who_leaves_while_an_original_server_registers_them_is_not_left_there() {
    let mut stage = Stage::at_the_original().with(&["alice"], &[]);
    stage.ours("bob");
    stage.run_ms(25);
    assert!(stage.wire.iter().any(|wire| has(wire, "REQUEST:REG] bob")));
    stage.commands("bob", Command::Quit);
    stage.run_ms(5_000);
    assert!(stage.is_finished("bob"));
    assert_eq!(stage.original_server().status("bob"), Some(false));
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn a_message_for_the_absent_is_saved() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob", "carol"]);
    stage.says("alice", "dereg alice");
    stage.says("carol", "dereg carol");
    stage.run_ms(3_000);
    for n in 0..3 {
        stage.says("bob", &format!("send alice {n}"));
        stage.says("bob", &format!("send carol {n}"));
    }
    stage.run_ms(20_000);
    assert_eq!(stage.count("bob", is_saved), 6);
    stage.says("alice", "reg alice");
    stage.says("carol", "reg carol");
    stage.run_ms(3_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["0", "1", "2"]);
    assert_eq!(stage.texts("carol"), ["0", "1", "2"]);
    assert_unharmed(&stage, &["alice"]);
}

/// An original server does not say when it hands a message over, so a user whose message it saved
/// is told that, and never that the message was read or received.
#[test]
fn what_an_original_server_has_saved_is_not_said_to_be_read() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(3_000);
    stage.says("bob", "send alice hello");
    stage.run_ms(3_000);
    stage.says("alice", "reg alice");
    stage.run_ms(3_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["hello"]);
    assert_eq!(stage.count("bob", is_saved), 1);
    let is_read = |event: &Event| is_received(event) || matches!(event, Event::ReadLater { .. });
    assert_eq!(stage.count("bob", is_read), 0);
    assert_unharmed(&stage, &["alice"]);
}

/// Where an original server was there may be one of ours later. Whoever registers then does so in
/// our protocol: what a hello is answered with counts, and not what was there before.
#[test]
fn where_an_original_server_was_one_of_ours_is_spoken_to_in_our_protocol() {
    let mut stage = Stage::at_the_original().with(&[], &["bob"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(3_000);
    assert_unharmed(&stage, &[]);
    stage.kill("server");
    stage.start_server();
    let before = stage.wire.len();
    stage.says("bob", "reg bob");
    stage.run_ms(3_000);
    assert_eq!(stage.count("bob", is_registered), 2);
    assert!(!stage.wire[before..].iter().any(|wire| has(wire, "REQUEST:REG]")));
}

#[test]
fn a_silent_peers_messages_are_saved() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    stage.kill("alice");
    stage.says("bob", "send alice one");
    stage.says("bob", "send alice two");
    stage.run_ms(10_000);
    assert_eq!(stage.count("bob", is_saved), 2);
    let stored = stage.original_server().files["alice"].clone();
    assert_eq!(stored.lines().count(), 2, "{stored}");
    assert_eq!(stage.sent("bob", Kind::Save, "server"), 2);
    assert_unharmed(&stage, &[]);
}

#[test]
fn a_peers_text_that_is_too_long_for_us_comes_over_the_server() {
    let mut stage = Stage::at_the_original().with(&["bob"], &["alice"]);
    let text = "x".repeat(701);
    stage.says("bob", &format!("send alice {text}"));
    stage.run_ms(5_000);
    assert_eq!(stage.shows("bob", "[No ACK from alice, message sent to server.]"), 1);
    assert_eq!(stage.texts("alice").len(), 0);
    stage.says("alice", "dereg alice");
    stage.run_ms(3_000);
    stage.says("alice", "reg alice");
    stage.run_ms(3_000);
    assert_eq!(stage.texts("alice"), [text]);
}

#[test]
fn an_unknown_name_is_answered() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    stage.says("bob", "send nobody hello");
    stage.run_ms(2_000);
    let refused = |e: &Event| matches!(e, Event::Unsent { reason: UnsentReason::UnknownName, .. });
    assert_eq!(stage.count("bob", refused), 1);
    assert!(!stage.original_server().files.contains_key("nobody"));
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn registered_is_said_only_when_a_table_shows_the_own_name_and_port() {
    let mut stage = Stage::at_the_original().with(&["alice"], &[]);
    stage.ours("alice.second");
    stage.run_ms(15_000);
    assert_eq!(stage.count("alice.second", is_registered), 0);
    let in_use = |e: &Event| matches!(e, Event::Error(problem) if problem.to_string().contains("already in use"));
    assert_eq!(stage.count("alice.second", in_use), 1);
    assert!(stage.is_finished("alice.second"));
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn a_table_with_the_own_name_at_another_port_is_no_registration() {
    let mut stage = Stage::at_the_original().with(&["alice"], &[]);
    stage.ours("alice.second");
    stage.run_ms(60);
    let own = stage.addr("alice.second");
    let row = r#"{"message": {"alice": {"IP": "192.0.2.3", "port": 49152, "status": true}}}"#;
    stage.inject(server_addr(), own, row.as_bytes().to_vec());
    stage.run_ms(5_000);
    assert_eq!(stage.count("alice.second", is_registered), 0);
    assert!(stage.is_finished("alice.second"));
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn stored_messages_are_asked_for_only_where_the_name_is_known() {
    let mut stage = Stage::at_the_original();
    stage.wire_rule(
        |wire| {
            if wire.text().contains("GETSAVE") { Verdict::Lose } else { Verdict::Pass }
        },
    );
    stage.ours("bob");
    stage.run_ms(500);
    assert_eq!(stage.count("bob", is_registered), 1);
    stage.kill("server");
    stage.run_ms(3_000);
    stage.wire_rule(|_| Verdict::Pass);
    stage.start_original_server(BTreeMap::new());
    stage.run_ms(10_000);
    assert_eq!(stage.original_server().status("bob"), Some(true));
    assert_unharmed(&stage, &[]);
}

#[test]
fn a_lost_table_does_not_pass_for_a_registration() {
    let mut stage = Stage::at_the_original();
    let mut left = 2;
    stage.wire_rule(move |wire| {
        let hit = left > 0 && wire.is("server", "bob") && has(wire, "status");
        left -= i32::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
    stage.ours("bob");
    stage.run_ms(500);
    assert_eq!(stage.count("bob", is_registered), 0);
    stage.run_ms(5_000);
    assert_eq!(stage.count("bob", is_registered), 1);
    assert_unharmed(&stage, &[]);
}

#[test]
fn our_client_restarts_and_is_signed_in() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    stage.says("bob", "send alice before");
    stage.run_ms(1_000);
    stage.restart("bob");
    stage.run_ms(3_000);
    assert_eq!(stage.count("bob", is_registered), 1);
    stage.says("alice", "send bob hello");
    stage.says("bob", "send alice after");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("bob"), ["hello"]);
    assert_eq!(stage.texts_from("alice", "bob"), ["before", "after"]);
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn a_restarted_original_server_is_noticed_and_not_killed() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob", "carol"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    stage.start_original_server(BTreeMap::new());
    stage.run_ms(45_000);
    for name in ["bob", "carol"] {
        assert_eq!(stage.original_server().status(name), Some(true), "{name}");
    }
    stage.says("bob", "send carol hello");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("carol"), ["hello"]);
    stage.start_original_server(BTreeMap::new());
    stage.says("bob", "dereg bob");
    stage.says("carol", "quit");
    stage.run_ms(10_000);
    assert!(stage.is_finished("carol"));
    assert_unharmed(&stage, &[]);
}

#[test]
fn stored_messages_are_fetched_until_the_answer_comes() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(3_000);
    stage.says("alice", "send bob kept");
    stage.run_ms(1_000);
    stage.wire_rule(|wire| {
        let twice = wire.is("server", "bob") && has(wire, "You have messages");
        if twice { Verdict::Twice(std::time::Duration::from_secs(1)) } else { Verdict::Pass }
    });
    stage.says("bob", "reg bob");
    stage.run_ms(3_000);
    assert_eq!(stage.texts("bob"), ["kept"]);
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn nothing_that_is_typed_kills_the_server_or_a_client() {
    let mut stage = Stage::at_the_original().with(&["alice", "carol"], &["bob"]);
    stage.says("carol", "dereg carol");
    stage.run_ms(1_000);
    for text in ["é".repeat(350), "😀".repeat(175), "\u{1}\u{7f}\"\\".to_owned(), "x".repeat(700)]
    {
        stage.says("bob", &format!("send alice {text}"));
        stage.says("bob", &format!("send carol {text}"));
        stage.run_ms(3_000);
    }
    assert_eq!(stage.count("bob", |e| is_received(e) || is_saved(e)), 8);
    assert_eq!(stage.texts_from("alice", "bob").len(), 4);
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn a_quiet_client_is_quiet() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    let start = stage.wire.len();
    let screen = stage.client("alice").screen().to_owned();
    stage.run_ms(60_000);
    assert!(stage.wire.len() - start <= 20, "{:#?}", stage.transcript(start));
    assert_eq!(stage.client("alice").screen(), screen);
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn any_datagram_of_the_servers_is_survived() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    let bob = stage.addr("bob");
    for text in [
        r#"{"message": {}}"#,
        r#"{"message": {"bob": 1}}"#,
        r#"{"message": {"2bad": {"IP": "192.0.2.9", "port": 1, "status": true}}}"#,
        r#"{"message": {"bob": {"IP": "nowhere", "port": 99999, "status": "yes"}}}"#,
        r#"{"message": "[You have messages]\n>>> a b: <x> y\n>>> : \n"}"#,
        "[[[[",
    ] {
        stage.inject(server_addr(), bob, text.as_bytes().to_vec());
        stage.run_ms(3_000);
    }
    stage.says("alice", "send bob still there?");
    stage.says("bob", "send alice still there?");
    stage.run_ms(3_000);
    assert_eq!(stage.texts("bob"), ["still there?"]);
    assert_eq!(stage.texts_from("alice", "bob"), ["still there?"]);
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn names_that_only_originals_can_have_do_no_harm() {
    let mut stage = Stage::at_the_original().with(&["2fast", "müller", "alice"], &["bob"]);
    stage.original("Bob");
    stage.run_ms(3_000);
    assert_eq!(stage.count("bob", is_registered), 1);
    assert_eq!(stage.count("bob", |e| matches!(e, Event::Error(_))), 0);
    stage.says("alice", "send bob hello");
    stage.says("bob", "send alice hello");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("bob"), ["hello"]);
    assert_eq!(stage.texts_from("alice", "bob"), ["hello"]);
    assert_unharmed(&stage, &["alice"]);
}

#[test]
fn a_table_that_deafens_originals_is_read() {
    let mut stage = Stage::at_the_original();
    for n in 0..80 {
        stage.original(&format!("client{n:02}"));
        stage.run_ms(20);
    }
    for name in ["bob", "carol"] {
        stage.ours(name);
        stage.run_ms(2_000);
    }
    assert!(!stage.client("client00").is_listening());
    stage.says("bob", "send carol hello");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("carol"), ["hello"]);
    assert_unharmed(&stage, &[]);
}

/// An original server at the second of a name's addresses is spoken to in its dialect from its
/// first answer on, and never in ours, which may kill it.
#[test]
fn an_original_server_at_another_address_is_spoken_to_in_its_dialect_at_once() {
    let mut stage = Stage::at_the_original();
    stage.known_at.insert(0, ([192, 0, 2, 77], 9_000).into());
    stage.ours("bob");
    stage.run_ms(5_000);
    assert_eq!(stage.count("bob", is_registered), 1);
    assert_unharmed(&stage, &[]);
}
