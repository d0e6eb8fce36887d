//! Failures of the original that its doubles share, by their numbers in docs/original.md. What
//! ours does instead is in the other files.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::stage::Stage;
use crate::world::{Verdict, server_addr};

/// Loses the first so many `ACK`s on a way.
fn lose_acks(stage: &mut Stage, mut left: usize, from: &'static str, to: &'static str) {
    stage.wire_rule(move |wire| {
        let hit = left > 0 && wire.is(from, to) && wire.text().contains("ACK");
        left -= usize::from(hit);
        if hit { Verdict::Lose } else { Verdict::Pass }
    });
}

#[test]
fn lost_acks_show_a_message_up_to_five_times() {
    for (lost, shown) in [(1, 2), (4, 4)] {
        let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
        lose_acks(&mut stage, lost, "bob", "alice");
        stage.says("alice", "send bob hello");
        stage.run_ms(3_000);
        assert_eq!(stage.texts_from("bob", "alice").len(), shown);
        stage.says("bob", "reg bob");
        stage.run_ms(1_000);
        let stored = usize::from(lost == 4);
        assert_eq!(stage.texts_from("bob", "alice").len(), shown + stored);
    }
}

#[test]
fn lost_acks_of_a_save_store_it_four_times() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
    stage.says("bob", "dereg bob");
    stage.run_ms(100);
    lose_acks(&mut stage, 3, "server", "alice");
    stage.says("alice", "send bob hello");
    stage.run_ms(3_000);
    assert_eq!(stage.original_server().files["bob"].lines().count(), 4);
}

#[test]
fn a_lost_reply_loses_all_stored_messages() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
    stage.says("bob", "dereg bob");
    stage.run_ms(100);
    stage.says("alice", "send bob hello");
    stage.run_ms(100);
    stage.wire_rule(
        |wire| {
            if wire.text().contains("You have") { Verdict::Lose } else { Verdict::Pass }
        },
    );
    stage.says("bob", "reg bob");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("bob", "[Welcome back, bob.]"), 1);
    assert_eq!(stage.texts_from("bob", "alice").len(), 0);
    assert_eq!(stage.original_server().files["bob"], "");
}

#[test]
fn thirty_one_stored_messages_are_lost_and_deafen_their_reader() {
    for (count, arrives) in [(30, true), (31, false)] {
        let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
        stage.says("bob", "dereg bob");
        stage.run_ms(100);
        for _ in 0..count {
            stage.says("alice", &format!("send bob {}", "x".repeat(100)));
        }
        stage.run_ms(5_000);
        stage.says("bob", "reg bob");
        stage.run_ms(1_000);
        assert_eq!(stage.texts_from("bob", "alice").len(), if arrives { count } else { 0 });
        assert_eq!(stage.client("bob").is_listening(), arrives);
    }
}

#[test]
fn a_late_ack_confirms_the_next_message() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
    let mut acks = 0;
    stage.wire_rule(move |wire| {
        let ack = wire.is("bob", "alice") && wire.text().contains("ACK");
        acks += u32::from(ack);
        if ack && acks == 1 {
            Verdict::Delay(std::time::Duration::from_millis(700))
        } else if wire.text().contains("two") {
            Verdict::Lose
        } else {
            Verdict::Pass
        }
    });
    stage.says("alice", "send bob one");
    stage.says("alice", "send bob two");
    stage.run_ms(3_000);
    assert_eq!(stage.shows("alice", "[Messsage received by bob]"), 2);
    assert_eq!(stage.shows("alice", "[No ACK from bob, message sent to server.]"), 0);
    assert!(!stage.texts_from("bob", "alice").contains(&"two".to_owned()));
}

#[test]
fn a_restarted_server_wipes_stored_messages_and_dies_of_a_dereg() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
    let files = BTreeMap::from([("alice".to_owned(), ">>> bob: <x> hello\n".to_owned())]);
    stage.start_original_server(files);
    stage.says("alice", "reg alice");
    stage.run_ms(1_000);
    assert_eq!(stage.texts_from("alice", "bob").len(), 0);
    stage.says("bob", "dereg bob");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("bob", "[You are Offline. Bye.]"), 1);
    assert!(!stage.original_server().is_alive());
}

#[test]
fn a_second_holder_of_a_name_is_welcomed_and_can_send_to_nobody() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob", "alice.again"], &[]);
    assert_eq!(stage.shows("alice.again", "[Welcome, you are now registered.]"), 1);
    stage.says("alice.again", "send bob hello");
    stage.run_ms(1_000);
    assert_eq!(stage.shows("alice.again", "[bob not in local table]"), 1);
}

#[test]
fn sixty_four_clients_deafen_each_other() {
    for (count, listening) in [(63, true), (64, false)] {
        let mut stage = Stage::at_the_original();
        for n in 0..count {
            stage.original(&format!("client{n:02}"));
            stage.run_ms(20);
        }
        stage.run_ms(1_000);
        assert_eq!(stage.client("client00").is_listening(), listening, "{count}");
    }
}

#[test]
fn a_table_without_the_own_name_ends_the_client() {
    let mut stage = Stage::at_the_original().with(&["alice"], &[]);
    let alice = stage.addr("alice");
    stage.inject(server_addr(), alice, br#"{"message": {}}"#.to_vec());
    stage.run_ms(100);
    stage.says("alice", "send bob hello");
    assert!(!stage.client("alice").is_open());
    assert!(stage.client("alice").screen().ends_with("\nCLIENT CLOSING...\n"));
}

#[test]
fn a_server_called_by_another_name_is_taken_for_a_peer() {
    let mut stage = Stage::at_the_original();
    stage.original_told("alice", "localhost");
    stage.run_ms(100);
    assert_eq!(stage.shows("alice", "[Messsage received by None]"), 1);
    stage.says("alice", "reg alice");
    stage.run_ms(100);
    let answers = stage.wire.iter().filter(|wire| wire.is("alice", "server"));
    assert_eq!(answers.filter(|wire| wire.text().contains("ACK")).count(), 1);
    assert!(stage.original_server().is_alive());
}

#[test]
fn a_server_talks_to_itself_without_end() {
    let mut stage = Stage::at_the_original();
    stage.inject(server_addr(), server_addr(), br#"{"message": "ACK"}"#.to_vec());
    stage.run_ms(1_000);
    assert_eq!(stage.wire.len(), 100, "one for every 10 ms of latency");
}

#[test]
fn anybody_signs_anybody_off_and_takes_the_mail() {
    let mut stage = Stage::at_the_original().with(&["alice", "bob"], &[]);
    let mallory = SocketAddr::from(([203, 0, 113, 9], 4_000));
    stage.inject(mallory, server_addr(), br#"{"message": "[REQUEST:DEREG] bob"}"#.to_vec());
    stage.run_ms(100);
    assert_eq!(stage.original_server().status("bob"), Some(false));
    assert_eq!(stage.client("bob").status("bob"), Some(true), "he is not told");
    stage.says("alice", "send bob hello");
    stage.run_ms(100);
    stage.inject(mallory, server_addr(), br#"{"message": "[REQUEST:GETSAVE] bob"}"#.to_vec());
    stage.run_ms(100);
    assert_eq!(stage.original_server().files["bob"], "");
}
