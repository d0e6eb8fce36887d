//! Rough weather: lost, late and doubled datagrams between originals and ours.

use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::client::Event;

use crate::stage::Stage;
use crate::world::{Verdict, server_addr};

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn percent(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) >> 16) % 100
    }
}

/// Loses so many per cent of everything.
fn lose_percent(stage: &mut Stage, seed: u64, percent: u64) {
    let mut dice = Dice(seed);
    stage.wire_rule(move |_| if dice.percent() < percent { Verdict::Lose } else { Verdict::Pass });
}

fn calm(stage: &mut Stage) {
    stage.wire_rule(|_| Verdict::Pass);
}

fn told(stage: &Stage, name: &str) -> usize {
    stage.count(name, |e| matches!(e, Event::Received { .. } | Event::Saved { .. }))
}

/// Without what was shown before: an original shows copies, and late ones among others.
fn deduplicated(texts: Vec<String>) -> Vec<String> {
    let mut first: Vec<String> = Vec::new();
    for text in texts {
        if !first.contains(&text) {
            first.push(text);
        }
    }
    first
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n}!")).collect()
}

#[test]
fn the_answer_to_a_question_does_not_pass_for_that_to_a_message() {
    let mut stage = Stage::at_ours().with(&["alice", "carol"], &["bob"]);
    let mut lost = 0;
    stage.wire_rule(move |wire| {
        let direct = wire.is("bob", "alice");
        let first = lost == 0 && wire.is("second", "alice") && wire.text().contains("bob: ");
        lost += i32::from(first);
        if direct || first { Verdict::Lose } else { Verdict::Pass }
    });
    stage.says("bob", "send alice hello");
    stage.run_ms(12_000);
    assert_eq!(stage.texts_from("alice", "bob"), ["hello"]);
}

#[test]
fn late_acks_on_the_second_socket_confirm_nothing_else() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    for n in 0..10 {
        stage.says("bob", &format!("send alice {n}!"));
    }
    stage.run_ms(1_000);
    let mut dice = Dice(1);
    stage.wire_rule(move |wire| match (wire.is("alice", "second"), dice.percent()) {
        (true, ..50) => Verdict::Delay(Duration::from_millis(700)),
        (false, ..30) if wire.is("second", "alice") => Verdict::Lose,
        _ => Verdict::Pass,
    });
    stage.says("alice", "reg alice");
    stage.run_ms(120_000);
    assert_eq!(deduplicated(stage.texts_from("alice", "bob")), numbers(10));
    assert_eq!(stage.snapshot().mail.len(), 0);
}

#[test]
fn late_acks_of_an_original_peer_confirm_nothing_else() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    let mut dice = Dice(2);
    stage.wire_rule(move |wire| match (wire.is("alice", "bob"), dice.percent()) {
        (true, ..50) => Verdict::Delay(Duration::from_millis(700)),
        (false, ..30) if wire.is("bob", "alice") => Verdict::Lose,
        _ => Verdict::Pass,
    });
    for n in 0..20 {
        stage.says("bob", &format!("send alice {n}!"));
    }
    stage.run_ms(200_000);
    assert_eq!(told(&stage, "bob"), 20);
    for text in numbers(20) {
        assert!(stage.texts_from("alice", "bob").contains(&text), "{text}");
    }
}

#[test]
fn late_acks_of_an_original_server_confirm_nothing_else() {
    let mut stage = Stage::at_the_original().with(&["alice"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    let mut dice = Dice(3);
    stage.wire_rule(move |wire| match (wire.is("server", "bob"), dice.percent()) {
        (true, ..50) if wire.text().contains("ACK") => Verdict::Delay(Duration::from_millis(700)),
        (false, ..30) if wire.is("bob", "server") => Verdict::Lose,
        _ => Verdict::Pass,
    });
    for n in 0..20 {
        stage.says("bob", &format!("send alice {n}!"));
    }
    stage.run_ms(200_000);
    assert_eq!(told(&stage, "bob"), 20);
    let stored = stage.original_server().files["alice"].clone();
    for text in numbers(20) {
        assert!(stored.contains(&format!("> {text}\n")), "{text} is not in\n{stored}");
    }
    assert!(stage.original_server().is_alive());
}

#[test]
fn loss_loses_no_message_at_our_server() {
    for seed in 1..=10 {
        let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
        lose_percent(&mut stage, seed, 30);
        for n in 0..20 {
            stage.says("bob", &format!("send alice {n}!"));
            stage.says("alice", &format!("send bob {n}!"));
            stage.run_ms(2_000);
        }
        calm(&mut stage);
        stage.run_ms(120_000);
        assert!(stage.client("alice").is_listening());
        assert_eq!(told(&stage, "bob"), 20, "seed {seed}");
        for text in numbers(20) {
            assert!(stage.texts_from("alice", "bob").contains(&text), "seed {seed}: {text}");
            assert!(stage.texts("bob").contains(&text), "seed {seed}: {text}");
        }
    }
}

#[test]
fn a_stored_message_survives_loss_at_sign_in() {
    for seed in 1..=10 {
        let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
        for round in 0..4 {
            calm(&mut stage);
            stage.says("alice", "dereg alice");
            stage.run_ms(5_000);
            for n in 0..5 {
                stage.says("bob", &format!("send alice {}!", round * 5 + n));
            }
            stage.run_ms(5_000);
            lose_percent(&mut stage, seed, 30);
            stage.says("alice", "reg alice");
            stage.run_ms(15_000);
        }
        calm(&mut stage);
        stage.says("alice", "reg alice");
        stage.run_ms(60_000);
        assert_eq!(deduplicated(stage.texts_from("alice", "bob")), numbers(20), "seed {seed}");
        assert_eq!(stage.snapshot().mail.len(), 0);
    }
}

#[test]
fn an_original_stays_online_through_loss() {
    for seed in 1..=5 {
        let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
        lose_percent(&mut stage, seed, 30);
        stage.run_ms(600_000);
        let line = &stage.snapshot().clients[0];
        assert!(line.starts_with("alice: online"), "seed {seed}: {line}");
    }
}

#[test]
fn loss_never_kills_an_original_server_nor_shows_two_of_ours_anything_twice() {
    for seed in 1..=10 {
        let mut stage = Stage::at_the_original().with(&["alice"], &["bob", "carol"]);
        lose_percent(&mut stage, seed, 30);
        for n in 0..10 {
            stage.says("bob", &format!("send carol {n}!"));
            stage.says("bob", &format!("send alice {n}!"));
            stage.says("alice", &format!("send carol {n}!"));
            stage.run_ms(3_000);
            if n == 5 {
                stage.says("carol", "dereg carol");
                stage.run_ms(10_000);
                stage.says("carol", "reg carol");
            }
        }
        calm(&mut stage);
        stage.run_ms(60_000);
        assert!(stage.original_server().is_alive(), "seed {seed}");
        assert!(stage.client("alice").is_listening(), "seed {seed}");
        assert_eq!(told(&stage, "bob"), 20, "seed {seed}");
    }
}

#[test]
fn a_forged_address_earns_little_of_the_mail() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.says("alice", "dereg alice");
    stage.run_ms(1_000);
    for _ in 0..100 {
        stage.says("bob", &format!("send alice {}", "x".repeat(700)));
    }
    stage.run_ms(10_000);
    let victim = SocketAddr::from(([203, 0, 113, 9], 4_000));
    for _ in 0..60 {
        let forged = crate::json::datagram("[REQUEST:REG] alice");
        stage.inject(victim, server_addr(), forged);
        stage.run_ms(1_000);
    }
    let name = victim.to_string();
    let to_victim = stage.wire.iter().filter(|wire| wire.to == name);
    let earned: usize = to_victim.map(|wire| wire.bytes.len()).sum();
    assert!(earned <= 60 * 1_000, "{earned} bytes for 60 requests");
}

#[test]
fn an_original_that_the_second_socket_never_reaches_is_not_taken_in_and_reads_so() {
    let mut stage = Stage::at_ours();
    stage.wire_rule(|wire| if wire.from == "second" { Verdict::Lose } else { Verdict::Pass });
    let mut stage = stage.with(&["alice"], &["bob"]);
    stage.run_ms(2_000);
    assert_eq!(stage.shows("alice", "[Welcome, you are now registered.]"), 0);
    assert_eq!(stage.shows("alice", "[Server not responding]"), 1);
    assert_eq!(stage.snapshot().clients.len(), 1, "bob alone is known");
    // When it can be reached it is let in.
    calm(&mut stage);
    stage.says("alice", "reg alice");
    stage.run_ms(1_000);
    assert_eq!(stage.client("alice").status("bob"), Some(true));
    assert!(stage.snapshot().clients[0].starts_with("alice: online"));
}

#[test]
fn doubled_datagrams_do_no_harm_and_lose_nothing() {
    let mut stage = Stage::at_ours().with(&["alice"], &["bob"]);
    stage.wire_rule(|_| Verdict::Twice(Duration::from_millis(50)));
    for n in 0..10 {
        stage.says("bob", &format!("send alice {n}!"));
        stage.says("alice", &format!("send bob {n}!"));
        stage.run_ms(1_000);
    }
    stage.says("alice", "dereg alice");
    stage.run_ms(2_000);
    for n in 10..20 {
        stage.says("bob", &format!("send alice {n}!"));
    }
    stage.run_ms(2_000);
    stage.says("alice", "reg alice");
    stage.run_ms(30_000);
    assert_eq!(told(&stage, "bob"), 20);
    assert_eq!(deduplicated(stage.texts_from("alice", "bob")), numbers(20));
    assert_eq!(deduplicated(stage.texts("bob")), numbers(10));
    let start = stage.wire.len();
    stage.run_ms(60_000);
    assert!(stage.wire.len() - start < 150, "quiet again: {}", stage.wire.len() - start);
}

#[test]
fn doubled_datagrams_do_no_harm_to_an_original_server() {
    let mut stage = Stage::at_the_original();
    stage.wire_rule(|_| Verdict::Twice(Duration::from_millis(50)));
    let mut stage = stage.with(&["alice"], &["bob", "carol"]);
    for n in 0..10 {
        stage.says("bob", &format!("send carol {n}!"));
        stage.says("bob", &format!("send alice {n}!"));
        stage.run_ms(1_000);
    }
    stage.says("carol", "dereg carol");
    stage.run_ms(5_000);
    stage.says("carol", "quit");
    stage.run_ms(5_000);
    assert_eq!(told(&stage, "bob"), 20);
    assert_eq!(deduplicated(stage.texts("carol")), numbers(10));
    assert_eq!(deduplicated(stage.texts_from("alice", "bob")), numbers(10));
    assert!(stage.original_server().is_alive() && stage.is_finished("carol"));
}
