//! Original clients at our server, among themselves and with our clients.

use udpchat_core::client::Event;
use udpchat_core::protocol::PacketKind as Kind;

use crate::stage::{Stage, has, is_received, is_saved};
use crate::world::Verdict;

/// Whether the server's table has a line.
fn lists(stage: &Stage, line: &str) -> bool {
    stage.snapshot().clients.iter().any(|client| client.starts_with(line))
}

#[test]
fn an_original_client_registers_and_gets_the_table() {
    let stage = Stage::at_ours().with(&["alice", "bob"], &["carol"]);
    for name in ["alice", "bob"] {
        assert_eq!(stage.shows(name, "[Welcome, you are now registered.]"), 1);
        assert_eq!(stage.client(name).names(), 3);
        for other in ["alice", "bob", "carol"] {
            assert_eq!(stage.client(name).status(other), Some(true));
        }
    }
    let Some(Event::Table(listing)) = stage.events("carol").last() else { panic!("no table") };
    assert_eq!(listing.online.len(), 3);
    assert!(lists(&stage, "alice: online at 192.0.2.3:49152, original"));
}

#[test]
fn a_session_of_an_original_client_byte_for_byte() {
    let mut stage = Stage::at_ours();
    stage.original("alice");
    stage.run_ms(900);
    stage.says("alice", "dereg alice");
    stage.run_ms(100);
    let (online, offline) = (
        r#"{"message": {"alice": {"IP": "192.0.2.3", "port": 49152, "status": true}}}"#,
        r#"{"message": {"alice": {"IP": "0.0.0.0", "port": 0, "status": false}}}"#,
    );
    let expected = [
        r#"alice>server {"message": "[REQUEST:REG] alice"}"#,
        r#"server>alice {"message": "ACK"}"#,
        &format!("server>alice {online}"),
        r#"second>alice {"message": "[REQUEST:SAVE] v2?"}"#,
        r#"alice>second {"message": "ACK"}"#,
        r#"alice>server {"message": "[REQUEST:DEREG] alice"}"#,
        r#"server>alice {"message": "ACK"}"#,
        &format!("server>alice {offline}"),
    ];
    let mut seen = stage.transcript(0);
    seen.sort();
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(seen, expected);
    let screen = "\n>>> [Welcome, you are now registered.]\n\n>>> alice: \
        \n>>> [Client table updated.]\n>>> alice: \
        \n>>> [You are Offline. Bye.]\n\n>>> alice: \
        \n>>> [Client table updated.]\n>>> alice: ";
    assert_eq!(stage.client("alice").screen(), screen);
}

#[test]
fn original_clients_chat_at_our_server() {
    let mut stage = Stage::at_ours().with(&["alice", "bob"], &[]);
    stage.says("alice", "send bob hello bob");
    stage.says("bob", "send alice grüße");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("bob", "alice: hello bob"), 1);
    assert_eq!(stage.shows("alice", "bob: grüße"), 1);
    assert_eq!(stage.shows("alice", "[Messsage received by bob]"), 1);
    assert_eq!(stage.shows("bob", "[Messsage received by alice]"), 1);
}

#[test]
fn an_original_and_one_of_ours_chat_both_ways() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let start = stage.wire.len();
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
    let saves = stage.wire[start..].iter().filter(|wire| has(wire, "REQUEST:SAVE] a"));
    assert_eq!(saves.count(), 0);
}

#[test]
fn a_lost_ack_of_ours_shows_an_originals_message_once() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let mut left = 3;
    stage.wire_rule(move |wire| {
        let hit = left > 0 && wire.is("bob", "alice") && has(wire, "ACK");
        left -= i32::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
    stage.says("alice", "send bob hello");
    stage.says("alice", "send bob hello");
    stage.run_ms(5_000);
    assert_eq!(stage.texts("bob"), ["hello", "hello"]);
    assert_eq!(stage.shows("alice", "[Messsage received by bob]"), 2);
}

#[test]
fn a_late_ack_of_an_original_confirms_at_most_the_message_it_may_be_for() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.wire_rule(|wire| {
        let lost = wire.is("bob", "alice") && has(wire, "two");
        if lost { Verdict::Lose } else { Verdict::Pass }
    });
    stage.says("bob", "send alice one");
    stage.run_ms(1_000);
    stage.says("bob", "send alice two");
    stage.run_ms(8_000);
    let over_server = |e: &Event| matches!(e, Event::Received { over_server: true, .. });
    assert_eq!(stage.count("bob", is_received), 2);
    assert_eq!(stage.count("bob", over_server), 1, "the server handed it over");
    assert_eq!(stage.texts_from("alice", "bob"), ["one", "two"]);
}

#[test]
fn an_original_deregisters_and_everyone_knows() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice", "[You are Offline. Bye.]"), 1);
    assert_eq!(stage.client("alice").status("alice"), Some(false));
    assert_eq!(stage.client("carol").status("alice"), Some(false));
    let Some(Event::Table(listing)) = stage.events("bob").last() else { panic!("no table") };
    assert_eq!(listing.offline, ["alice".parse().unwrap()]);
    stage.says("alice", "send bob hello");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice", "[Can't send message, you are offline.]"), 1);
    stage.says("alice", "reg alice");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice", "[Welcome back, alice.]"), 1);
    assert_eq!(stage.client("carol").status("alice"), Some(true));
}

#[test]
fn a_repeated_deregistration_is_answered_again() {
    let mut stage = Stage::at_ours().with(&["alice"], &[]);
    let mut left = 2;
    stage.wire_rule(move |wire| {
        let hit = left > 0 && wire.is("server", "alice");
        left -= i32::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice", "[You are Offline. Bye.]"), 1);
    assert_eq!(stage.client("alice").status("alice"), Some(false), "the table came, too");
}

#[test]
fn messages_for_an_absent_original_are_kept_and_handed_over() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    stage.says("bob", "send alice from bob");
    stage.run_ms(500);
    stage.says("carol", "send alice from carol");
    stage.run_ms(500);
    assert_eq!(stage.count("bob", is_saved), 1);
    assert_eq!(stage.shows("carol", "[Messages received by the server and saved]"), 1);
    assert_eq!(stage.snapshot().mail.len(), 2);
    stage.says("alice", "reg alice");
    stage.run_ms(3_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["from bob"]);
    assert_eq!(stage.texts_from("alice", "carol"), ["from carol"]);
    assert_eq!(stage.snapshot().mail.len(), 0);
    assert!(stage.client("alice").screen().contains(">>> bob: <2026-01-02 13:45:0"));
}

#[test]
fn an_originals_messages_for_the_absent_are_kept() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(1_000);
    for n in 0..3 {
        stage.says("alice", &format!("send bob offline  {n}"));
    }
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice", "[Messages received by the server and saved]"), 3);
    stage.says("bob", "reg bob");
    stage.run_ms(2_000);
    assert_eq!(stage.texts("bob"), ["offline  0", "offline  1", "offline  2"]);
}

#[test]
fn copies_of_a_save_are_stored_once_and_equal_texts_twice() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(1_000);
    let mut left = 3;
    stage.wire_rule(move |wire| {
        let hit = left > 0 && wire.is("server", "alice") && has(wire, "ACK");
        left -= i32::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
    stage.says("alice", "send bob hello");
    stage.says("alice", "send bob hello");
    stage.run_ms(3_000);
    assert_eq!(stage.shows("alice", "[Messages received by the server and saved]"), 2);
    assert_eq!(stage.snapshot().mail.len(), 2);
}

#[test]
fn what_is_not_saved_is_never_said_to_be() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.says("bob", "dereg bob");
    stage.run_ms(1_000);
    stage.says("alice", &format!("send bob {}", "x".repeat(701)));
    stage.run_ms(4_000);
    assert_eq!(stage.shows("alice", "[Messages received by the server and saved]"), 0);
    assert_eq!(stage.shows("alice", "[Server not responding]"), 1);
    assert_eq!(stage.client("alice").screen().matches("[Not saved: ").count(), 1);
    assert_eq!(stage.snapshot().mail.len(), 0);
    let (alice, start) = (stage.addr("alice"), stage.wire.len());
    for _ in 0..4 {
        let save = crate::json::datagram("[REQUEST:SAVE] alice b/d hello");
        stage.inject(alice, crate::world::server_addr(), save);
        stage.run_ms(500);
    }
    assert!(stage.wire[start..].iter().all(|wire| !(wire.from == "server" && has(wire, "ACK"))));
    stage.says("alice", "send bob short");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice", "[Messages received by the server and saved]"), 1);
}

#[test]
fn an_originals_text_that_is_too_long_is_not_shown_and_its_sender_is_told() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    for length in [700, 701] {
        stage.says("alice", &format!("send bob {}", "x".repeat(length)));
        stage.run_ms(4_000);
    }
    assert_eq!(stage.texts("bob"), ["x".repeat(700)]);
    assert_eq!(stage.shows("alice", "[No ACK from bob, message sent to server.]"), 1);
    assert_eq!(stage.client("alice").screen().matches("[Not saved: 1 to 700 ").count(), 1);
    stage.says("alice", "send bob short");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("bob").len(), 2);
}

#[test]
fn an_unacknowledged_message_is_kept_for_the_original() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    for text in ["one", "two"] {
        stage.says("bob", &format!("send alice {text}"));
    }
    stage.run_ms(1_000);
    let mut lost = 0;
    stage.wire_rule(move |wire| {
        let hit = lost < 4 && wire.is("second", "alice") && has(wire, "bob: ");
        lost += i32::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
    stage.says("alice", "reg alice");
    stage.run_ms(400);
    assert_eq!(stage.snapshot().mail.len(), 2);
    assert_eq!(stage.texts_from("alice", "bob").len(), 0);
    stage.run_ms(5_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["one", "two"]);
    assert_eq!(stage.snapshot().mail.len(), 0);
}

#[test]
fn a_hundred_stored_messages_all_arrive() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    let text = |n: usize| format!("{n:03} {}", "ü".repeat(300));
    for n in 0..50 {
        stage.says("bob", &format!("send alice {}", text(n)));
        stage.says("carol", &format!("send alice {}", text(n)));
    }
    stage.run_ms(10_000);
    assert_eq!(stage.snapshot().mail.len(), 100);
    stage.says("alice", "reg alice");
    stage.run_ms(20_000);
    let expected: Vec<String> = (0..50).map(text).collect();
    assert_eq!(stage.texts_from("alice", "bob"), expected);
    assert_eq!(stage.texts_from("alice", "carol"), expected);
    assert_eq!(stage.snapshot().mail.len(), 0);
    assert!(stage.client("alice").is_listening());
    let to_alice = stage.wire.iter().filter(|wire| wire.to == "alice");
    assert!(to_alice.map(|wire| wire.bytes.len()).max() <= Some(4_096));
}

#[test]
fn a_message_for_an_original_that_is_there_is_delivered_at_once() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.wire_rule(|wire| {
        if wire.is("bob", "alice") || wire.is("alice", "bob") {
            Verdict::Lose
        } else {
            Verdict::Pass
        }
    });
    stage.says("bob", "send alice hello");
    stage.says("alice", "send bob hello");
    stage.run_ms(6_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["hello"]);
    assert_eq!(stage.texts("bob"), ["hello"]);
    assert!(lists(&stage, "alice: online"), "it answered the server's question");
}

#[test]
fn two_hundred_clients_fit_an_originals_table() {
    let mut stage = Stage::at_ours();
    stage.original("alice");
    for n in 0..200_u16 {
        stage.start(&format!("client{n}"), 10_000 + n, 0);
    }
    stage.run_ms(10_000);
    stage.says("alice", "send client0 hello");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("client0"), ["hello"]);
    let alice = stage.client("alice");
    assert!(alice.is_listening() && alice.names() > 50);
    assert_eq!(alice.status("alice"), Some(true));
    let to_alice = stage.wire.iter().filter(|wire| wire.to == "alice");
    assert!(to_alice.map(|wire| wire.bytes.len()).max() <= Some(4_096));
}

#[test]
fn a_lost_table_is_repaired() {
    let mut stage = Stage::at_ours().with(&["alice"], &[]);
    let mut left = 2;
    stage.wire_rule(move |wire| {
        let hit = left > 0 && wire.is("server", "alice") && has(wire, "bob");
        left -= i32::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
    stage.ours("bob");
    stage.run_ms(5_000);
    assert_eq!(stage.client("alice").status("bob"), Some(true));
}

#[test]
fn an_original_that_left_without_a_word_is_noticed() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    stage.run_ms(60_000);
    assert!(lists(&stage, "alice: online"), "silence while it is there means nothing");
    stage.kill("alice");
    stage.run_ms(21_000);
    let Some(Event::Table(listing)) = stage.events("bob").last() else { panic!("no table") };
    assert_eq!(listing.offline, ["alice".parse().unwrap()]);
    assert_eq!(stage.client("carol").status("alice"), Some(false));
    assert_eq!(stage.client("carol").status("carol"), Some(true));
}

#[test]
fn what_keeps_an_original_is_not_seen_by_it() {
    let mut stage = Stage::at_ours().with(&["alice", "bob"], &[]);
    let before = stage.client("alice").screen().to_owned();
    stage.run_ms(120_000);
    assert_eq!(stage.client("alice").screen(), before);
}

#[test]
fn a_name_in_use_is_refused_with_a_word() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    for name in ["alice.again", "bob.again"] {
        stage.original(name);
        stage.run_ms(5_000);
        let said = stage.client(name).screen().contains("already in use");
        assert!(said, "{}", stage.client(name).screen());
        assert_eq!(stage.shows(name, "[Welcome, you are now registered.]"), 0);
        assert_eq!(stage.shows(name, "[Server not responding]"), 1);
    }
    stage.says("bob", "send alice still you?");
    stage.run_ms(1_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["still you?"]);
}

#[test]
fn a_bad_name_is_refused_with_a_word() {
    let mut stage = Stage::at_ours();
    for name in ["2fast", "a/b", "é"] {
        stage.original(name);
        stage.run_ms(3_000);
        assert_eq!(stage.shows(name, "[Welcome, you are now registered.]"), 0);
        assert!(stage.client(name).screen().contains("Names are"), "{name}");
    }
}

#[test]
fn an_original_that_restarts_on_another_port_has_its_name_back() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    stage.kill("alice");
    stage.run_ms(1_000);
    stage.original("alice");
    stage.run_ms(5_000);
    assert_eq!(stage.shows("alice", "[Welcome, you are now registered.]"), 1);
    assert!(lists(&stage, "alice: online at 192.0.2.3:49155"), "{:?}", stage.snapshot());
    for sender in ["bob", "carol"] {
        stage.says(sender, "send alice back?");
        stage.run_ms(1_000);
        assert_eq!(stage.texts_from("alice", sender), ["back?"]);
    }
}

#[test]
fn half_a_surrogate_pair_is_survived() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let line = format!("send bob caf{}", crate::json::undecodable(0xff));
    stage.says("alice", &line);
    stage.run_ms(500);
    stage.says("bob", "dereg bob");
    stage.run_ms(500);
    stage.says("alice", &line);
    stage.run_ms(500);
    stage.says("bob", "reg bob");
    stage.run_ms(2_000);
    assert_eq!(stage.texts("bob"), ["caf\u{fffd}", "caf\u{fffd}"]);
}

#[test]
fn a_restarted_server_still_knows_its_originals() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    stage.says("carol", "dereg carol");
    stage.run_ms(1_000);
    stage.says("bob", "send carol kept");
    stage.run_ms(1_000);
    stage.kill_server();
    stage.run_ms(1_000);
    stage.start_server();
    stage.run_ms(10_000);
    assert!(lists(&stage, "alice: online at 192.0.2.3:49152, original"));
    assert!(lists(&stage, "carol: offline"));
    stage.says("bob", "send alice hello");
    stage.says("carol", "reg carol");
    stage.run_ms(2_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["hello"]);
    assert_eq!(stage.texts_from("carol", "bob"), ["kept"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice", "[You are Offline. Bye.]"), 1);
    assert!(lists(&stage, "alice: offline"));
}

#[test]
fn an_original_that_was_gone_with_the_server_is_noticed() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.kill_server();
    stage.kill("alice");
    stage.start_server();
    stage.run_ms(30_000);
    assert!(lists(&stage, "alice: offline"), "{:?}", stage.snapshot().clients);
}

#[test]
fn a_client_that_calls_its_server_localhost_is_served() {
    let mut stage = Stage::at_ours();
    stage.original_told("alice", "localhost");
    stage.ours("bob");
    stage.run_ms(2_000);
    stage.says("alice", "send bob hello");
    stage.says("bob", "send alice hello");
    stage.run_ms(1_000);
    assert_eq!(stage.texts("bob"), ["hello"]);
    assert_eq!(stage.texts_from("alice", "bob"), ["hello"]);
    assert!(stage.wire.len() < 40, "nobody answers ACKs");
}

#[test]
fn a_silent_original_is_found_out_by_a_failed_send() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    stage.kill("alice");
    stage.says("bob", "send alice hello");
    stage.says("carol", "send alice hello");
    stage.run_ms(8_000);
    assert_eq!(stage.count("bob", is_saved), 1);
    assert!(lists(&stage, "alice: offline"));
    assert_eq!(stage.client("carol").status("alice"), Some(false));
    assert!(stage.sent("bob", Kind::Message, "192.0.2.3:49152") <= 5);
}
