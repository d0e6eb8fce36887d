//! The machines' promises, by hand-driven interleavings. Sections are those of docs/protocol.md.

mod addresses;
mod again;
mod extremes;
mod fences;
mod groups;
mod guests;
mod home;
mod hostile;
mod leaving;
mod limits;
mod old_copy;
mod pipe;
mod presence;
mod quick;
mod reach;
mod receipts;
mod round_trips;
mod rows;
mod shares;
mod size;
mod truth;
mod without;
#[expect(dead_code, reason = "each test file uses its own part of the world")]
#[path = "../world/mod.rs"]
mod world;

use std::time::Duration;

use udpchat_core::client::{Command, DetourReason, Event, Problem, UnsentReason};
use udpchat_core::protocol::PacketKind as Kind;
use world::{Verdict, World};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn is_received(event: &Event) -> bool {
    matches!(event, Event::Received { .. })
}

fn is_saved(event: &Event) -> bool {
    matches!(event, Event::Saved { .. })
}

/// A message that was saved has been read.
fn is_read_later(event: &Event) -> bool {
    matches!(event.plain(), Event::ReadLater { .. })
}

fn is_unsent(event: &Event) -> bool {
    matches!(event, Event::Unsent { .. })
}

/// Loses the first `n` datagrams of this kind on this way.
fn lose_first(
    n: usize,
    from: &'static str,
    kind: Kind,
    to: &'static str,
) -> world::sight::LoseFirst {
    world::sight::LoseFirst { left: n, from, kind, to }
}

#[test]
fn a_message_is_shown_and_received() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("alice", "send bob hello");
    world.run(seconds(1));
    assert_eq!(world.shown("bob"), [("alice".to_owned(), "hello".to_owned())]);
    assert_eq!(world.count("alice", is_received), 1);
    assert_eq!(world.sent("alice", Kind::Message, "bob"), 1);
}

#[test]
fn a_lost_ack_shows_nothing_twice() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(lose_first(1, "bob", Kind::Ack, "alice").into_rule());
    world.types("alice", "send bob hello");
    world.run(seconds(2));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.count("alice", is_received), 1);
    assert_eq!(world.sent("alice", Kind::Message, "bob"), 2);
}

#[test]
fn what_arrives_within_the_patience_is_still_direct_and_what_does_not_goes_over_the_server() {
    // The first message of all to bob: only guessed is how long the way to him takes.
    for (losses, over_server) in [(5, 0), (6, 1)] {
        let mut world = World::with(&["alice", "bob"]);
        world.rule(lose_first(losses, "alice", Kind::Message, "bob").into_rule());
        world.types("alice", "send bob hello");
        world.run(seconds(5));
        assert_eq!(world.texts("bob"), ["hello"]);
        assert_eq!(world.sent("alice", Kind::Save, "server"), over_server, "{losses} losses");
        assert_eq!(world.count("alice", |e| is_received(e) || is_saved(e)), 1);
    }
}

#[test]
fn messages_for_the_absent_are_kept_and_handed_over_in_order() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    for n in 0..40 {
        world.types("alice", &format!("send bob {n}"));
    }
    world.run(seconds(3));
    assert_eq!(world.count("alice", is_saved), 40);
    assert_eq!(world.snapshot().mail.len(), 40);
    world.types("bob", "reg bob");
    world.run(seconds(3));
    let expected: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(world.texts("bob"), expected);
    assert_eq!(world.snapshot().mail.len(), 0);
    assert_eq!(world.count("alice", is_received), 0, "saved is the one outcome told");
}

#[test]
fn every_message_to_the_absent_says_so() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    for n in 0..3 {
        world.types("alice", &format!("send bob {n}"));
        world.run(seconds(1));
    }
    let away = |e: &Event| matches!(e, Event::Detour { reason: DetourReason::Offline, .. });
    assert_eq!(world.count("alice", away), 3);
}

#[test]
fn a_detour_never_overtakes_nor_is_overtaken() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(lose_first(5, "alice", Kind::Message, "bob").into_rule());
    world.types("alice", "send bob first");
    world.run(Duration::from_millis(2_600));
    world.types("alice", "send bob second");
    world.run(seconds(3));
    world.types("alice", "send bob third");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["first", "second", "third"]);
}

#[test]
fn loss_in_the_middle_of_a_burst_keeps_the_order() {
    let mut world = World::with(&["alice", "bob"]);
    let mut dropped = 0;
    world.rule(move |_, sight| {
        let hit = sight.is("alice", Kind::Message, "bob") && sight.identity.attempt == 1;
        dropped += u32::from(hit);
        if hit && dropped.is_multiple_of(3) { Verdict::Lose } else { Verdict::Pass }
    });
    for n in 0..50 {
        world.types("alice", &format!("send bob {n}"));
    }
    world.run(seconds(10));
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(world.texts("bob"), expected);
    assert_eq!(world.count("alice", is_received), 50);
}

#[test]
fn a_late_duplicate_changes_nothing() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|_, _| Verdict::Twice(Duration::from_secs(3)));
    world.types("alice", "send bob one");
    world.run(seconds(1));
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob two");
    world.run(seconds(10));
    assert_eq!(world.texts("bob"), ["one"]);
    assert!(world.snapshot().clients.contains(&"bob: offline".to_owned()));
    world.types("bob", "reg bob");
    world.run(seconds(10));
    assert_eq!(world.texts("bob"), ["one", "two"]);
}

#[test]
fn a_late_ack_of_an_earlier_message_confirms_nothing_else() {
    let mut world = World::with(&["alice", "bob"]);
    let mut seen = 0;
    world.rule(move |_, sight| match sight.identity.kind {
        Kind::Ack => Verdict::Delay(Duration::from_millis(700)),
        Kind::Message if sight.identity.message.is_some_and(|id| id.seq == 2) && seen < 2 => {
            seen += 1;
            Verdict::Lose
        }
        _ => Verdict::Pass,
    });
    world.types("alice", "send bob one");
    world.run(Duration::from_millis(600));
    world.types("alice", "send bob two");
    world.run(Duration::from_millis(300));
    assert_eq!(world.count("alice", is_received), 1);
    world.run(seconds(4));
    assert_eq!(world.texts("bob"), ["one", "two"]);
    assert_eq!(world.count("alice", is_received), 2);
}

#[test]
fn a_message_that_reaches_nobody_is_unsent_and_goes_out_later() {
    let mut world = World::with(&["alice", "bob"]);
    world.kill_server();
    world.rule(
        |_, sight| {
            if sight.is("alice", Kind::Message, "bob") { Verdict::Lose } else { Verdict::Pass }
        },
    );
    world.types("alice", "send bob hello");
    world.run(Duration::from_millis(7_900));
    assert_eq!(world.count("alice", is_unsent), 0);
    world.run(Duration::from_millis(200));
    assert_eq!(world.count("alice", is_unsent), 1);
    world.run(seconds(30));
    assert_eq!(world.count("alice", is_unsent), 1);
    assert_eq!(world.count("alice", |e| matches!(e, Event::ServerNotResponding(_))), 1);
    world.start_server();
    world.run(seconds(15));
    assert_eq!(world.count("alice", |e| is_received(e) || is_saved(e)), 1);
    assert_eq!(world.texts("bob"), ["hello"]);
}

#[test]
fn an_unknown_name_is_refused_by_the_server() {
    let mut world = World::with(&["alice"]);
    world.types("alice", "send nobody hello");
    world.run(seconds(1));
    let refused = |e: &Event| matches!(e, Event::Unsent { reason: UnsentReason::UnknownName, .. });
    assert_eq!(world.count("alice", refused), 1);
}

#[test]
fn a_refused_message_does_not_hold_up_the_next() {
    let mut world = World::with(&["alice"]);
    world.types("alice", "send bob early");
    world.run(seconds(1));
    world.start("bob", 5_001, 0);
    world.run(seconds(1));
    world.types("alice", "send bob late");
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), ["late"]);
}

#[test]
fn a_one_way_cut_costs_the_wait_once_and_is_healed_by_a_knock() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|now, sight| {
        let cut = sight.from == "alice" && sight.to == "bob" && now.since_start() < seconds(20);
        if cut { Verdict::Lose } else { Verdict::Pass }
    });
    for n in 0..30 {
        world.types("alice", &format!("send bob {n}"));
        world.run(seconds(1));
    }
    assert!(world.sent("alice", Kind::Message, "bob") < 30);
    let expected: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(world.texts("bob"), expected);
    let direct_at_last = world.log.iter().rev().find(|(_, s)| s.identity.kind == Kind::Message);
    assert!(direct_at_last.is_some_and(|(at, _)| at.since_start() > seconds(25)));
    assert!(world.snapshot().clients.iter().all(|line| line.contains("online")));
}

#[test]
fn a_server_restart_is_noticed_and_nothing_saved_is_lost() {
    for memory_lost in [false, true] {
        let mut world = World::with(&["alice", "bob", "carol"]);
        world.types("bob", "dereg bob");
        world.run(seconds(1));
        world.types("alice", "send bob one");
        world.types("alice", "send bob two");
        world.run(seconds(1));
        assert_eq!(world.count("alice", is_saved), 2);
        world.kill_server();
        if memory_lost {
            world.lose_server_memory();
        }
        world.run(seconds(1));
        world.start_server();
        world.run(seconds(10));
        world.types("bob", "reg bob");
        world.run(seconds(12));
        assert_eq!(world.texts("bob"), ["one", "two"], "memory lost: {memory_lost}");
        assert_eq!(world.count("alice", is_saved), 2);
    }
}

#[test]
fn a_sender_that_restarts_goes_on_with_its_outbox() {
    let mut world = World::with(&["alice", "bob"]);
    world.loses_every(Kind::Message);
    world.types("alice", "send bob one");
    world.types("alice", "send bob two");
    world.run(seconds(1));
    world.rule(|_, _| Verdict::Pass);
    world.restart("alice");
    world.run(seconds(3));
    world.types("alice", "send bob three");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["one", "two", "three"]);
}

#[test]
fn a_sender_that_restarts_without_a_server_reads_that_its_outbox_is_unsent() {
    let mut world = World::with(&["alice"]);
    world.kill_server();
    world.types("alice", "send bob one");
    world.types("alice", "create_group team");
    world.run(seconds(1));
    world.restart("alice");
    world.log.clear();
    world.run(seconds(9));
    assert_eq!(world.count("alice", is_unsent), 1);
    let waits = |e: &Event| matches!(e, Event::Error(Problem::RequestWaits(_)));
    assert_eq!(world.count("alice", waits), 1);
    assert!(world.log.iter().all(|(_, sight)| sight.identity.kind == Kind::Hello));
    world.run(seconds(2));
    assert!(world.is_finished("alice"), "it gives up after 10 s");
}

#[test]
fn a_reader_that_restarts_shows_nothing_again() {
    let mut world = World::with(&["alice", "bob"]);
    world.loses_every(Kind::Ack);
    world.types("alice", "send bob one");
    world.run(Duration::from_millis(600));
    assert_eq!(world.texts("bob"), ["one"]);
    world.restart("bob");
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(5));
    assert_eq!(world.texts("bob"), Vec::<String>::new());
    assert_eq!(world.count("alice", is_received), 1);
}

#[test]
fn after_quiet_only_keep_alives_pass() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("alice", "send bob hello");
    world.run(seconds(10));
    world.log.clear();
    world.run(seconds(60));
    assert!(world.log.iter().all(|(_, s)| matches!(s.identity.kind, Kind::Ping | Kind::Pong)));
    assert!(world.log.len() <= 2 * 2 * 13);
}

#[test]
fn a_server_without_memory_takes_what_was_kept_once_the_recipient_is_back() {
    for sender_restarts in [false, true] {
        let mut world = World::with(&["alice", "bob"]);
        world.kill_server();
        world.lose_server_memory();
        world.rule(|now, sight| {
            // Bob comes back long after alice.
            let cut = sight.from == "bob" && now.since_start() < seconds(40);
            let is_lost = cut || sight.is("alice", Kind::Message, "bob");
            if is_lost { Verdict::Lose } else { Verdict::Pass }
        });
        world.types("alice", "send bob hello");
        world.run(seconds(10));
        if sender_restarts {
            world.restart("alice");
        }
        world.start_server();
        world.run(seconds(70));
        let is_final = |e: &Event| matches!(e, Event::Unsent { reason, .. } if reason.is_final());
        assert_eq!(world.count("alice", is_final), 0, "restarts: {sender_restarts}");
        assert_eq!(world.texts("bob"), ["hello"], "restarts: {sender_restarts}");
    }
}

#[test]
fn a_refusal_behind_saved_messages_holds_nothing_up() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob one");
    world.run(seconds(1));
    let (to, text) = ("bob".parse().unwrap(), String::new());
    world.commands("alice", Command::Send { to, text });
    world.run(seconds(1));
    world.types("alice", "send bob three");
    world.run(seconds(1));
    assert_eq!(world.count("alice", is_saved), 2);
    world.types("bob", "reg bob");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["one", "three"]);
}
