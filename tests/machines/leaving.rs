//! Who leaves gives up nothing that can be kept, and leaves nothing of themselves behind.
//! docs/protocol.md, "Staying and leaving".

use std::time::Duration;

use udpchat_core::client::{Command, Event, Problem, UnsentReason};
use udpchat_core::protocol::PacketKind as Kind;
use udpchat_core::retransmission::attempts_within;

use crate::world::{Verdict, World};
use crate::{is_received, is_saved, is_unsent, lose_first, seconds};

fn unsent_for(reason: UnsentReason) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Unsent { reason: said, .. } if *said == reason)
}

fn has_left(world: &World, name: &str, complete: bool) -> bool {
    world.events(name).last() == Some(&Event::Left { complete })
}

fn problems(world: &World, name: &str) -> Vec<Problem> {
    let problems = world.events(name).iter().filter_map(|event| match event {
        Event::Error(problem) => Some(problem.clone()),
        _ => None,
    });
    problems.collect()
}

/// alice has written to bob, who has not been heard of since, and has left.
fn left_with_a_message_on_its_way(have_stores: bool) -> World {
    let mut world = World::new();
    world.have_stores = have_stores;
    world.start("alice", 5_000, 0);
    world.start("bob", 5_001, 0);
    world.run(seconds(1));
    world.loses_every(Kind::Message);
    world.types("alice", "send bob hello");
    world.run(Duration::from_millis(100));
    world.commands("alice", Command::Quit);
    world.run(seconds(1));
    assert!(has_left(&world, "alice", false));
    world.rule(|_, _| Verdict::Pass);
    world
}

#[test]
fn what_has_no_outcome_when_the_user_leaves_is_kept_and_goes_out_later() {
    let mut world = left_with_a_message_on_its_way(true);
    assert_eq!(world.count("alice", is_unsent), 1);
    assert_eq!(world.count("alice", unsent_for(UnsentReason::Left)), 1);
    assert_eq!(world.texts("bob"), [""; 0]);
    world.restart("alice");
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.count("alice", is_received), 1);
}

#[test]
fn without_a_store_it_is_given_up_and_that_is_said_before_leaving() {
    let world = left_with_a_message_on_its_way(false);
    assert_eq!(world.count("alice", unsent_for(UnsentReason::LeftForGood)), 1);
    assert!(!UnsentReason::Left.is_final() && UnsentReason::LeftForGood.is_final());
}

#[test]
fn what_was_said_to_be_unsent_is_kept_whoever_leaves_and_not_said_again() {
    for command in [Command::Quit, Command::Finish] {
        let mut world = World::with(&["alice", "bob"]);
        world.kill_server();
        world.loses_every(Kind::Message);
        world.types("alice", "send bob hello");
        world.run(seconds(9));
        world.commands("alice", command);
        world.run(seconds(4));
        assert!(has_left(&world, "alice", false));
        assert_eq!(world.count("alice", is_unsent), 1);
        world.rule(|_, _| Verdict::Pass);
        world.start_server();
        world.run(seconds(10));
        world.restart("alice");
        world.run(seconds(2));
        assert_eq!(world.texts("bob"), ["hello"]);
    }
}

#[test]
fn what_is_wanted_of_groups_is_kept_over_leaving() {
    let mut world = World::with(&["alice", "bob"]);
    for (name, line) in [("alice", "create_group team"), ("bob", "join_group team")] {
        world.types(name, line);
        world.run(seconds(1));
    }
    world.kill_server();
    for line in ["send_group team hello", "create_group other", "list_groups"] {
        world.types("alice", line);
    }
    world.commands("alice", Command::Quit);
    world.run(seconds(4));
    let kept = [
        Problem::LeftCastKept("team".parse().expect("a name")),
        Problem::LeftAsking,
        Problem::LeftUnasked,
    ];
    assert_eq!(problems(&world, "alice"), kept);
    assert!(has_left(&world, "alice", false));
    world.start_server();
    world.run(seconds(10));
    world.restart("alice");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.snapshot().groups.len(), 2);
}

#[test]
fn without_a_store_only_what_was_asked_may_be_done() {
    let mut world = World::new();
    world.have_stores = false;
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    world.kill_server();
    for line in ["create_group one", "create_group two", "send_group one hi"] {
        world.types("alice", line);
    }
    world.commands("alice", Command::Quit);
    world.run(seconds(4));
    let said =
        [Problem::LeftUnanswered, Problem::LeftUnasked, Problem::LeftBeforeCast("one".into())];
    assert_eq!(problems(&world, "alice"), said);
    assert!(world.client_record("alice").wishes.is_empty());
}

#[test]
fn an_outcome_that_the_server_knows_is_told_to_who_leaves() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|_, sight| match sight.identity.kind {
        Kind::Message | Kind::Deliver => Verdict::Lose,
        _ => Verdict::Pass,
    });
    world.types("alice", "send bob hello");
    world.run(seconds(3));
    assert_eq!(world.count("alice", is_saved), 0, "bob is here and may be shown it yet");
    world.commands("alice", Command::Quit);
    world.run(seconds(1));
    assert_eq!(world.count("alice", is_saved), 1);
    assert!(has_left(&world, "alice", true));
}

/// A client whose registration is under way, its answer slow and lost so often.
fn joining(lost: usize) -> World {
    let mut world = World::new();
    let mut left = lost;
    world.rule(move |_, sight| match sight.identity.kind {
        Kind::Registered if left > 0 => {
            left -= 1;
            Verdict::Lose
        }
        Kind::Registered => Verdict::Delay(Duration::from_millis(580)),
        _ => Verdict::Pass,
    });
    world.start("alice", 5_000, 0);
    world.run(Duration::from_millis(35));
    assert_eq!(world.sent("alice", Kind::Register, "server"), 1);
    world
}

#[test]
fn whoever_leaves_while_they_are_registered_leaves_no_ghost() {
    for lost in 0..3 {
        let mut world = joining(lost);
        world.commands("alice", Command::Quit);
        world.run(seconds(3));
        assert!(world.is_finished("alice"), "after {lost} losses");
        assert_eq!(world.snapshot().clients, ["alice: offline"], "after {lost} losses");
    }
}

#[test]
fn whoever_gives_a_late_registration_back_says_so_until_it_is_heard() {
    let mut world = World::new();
    world.rule(move |now, sight| match sight.identity.kind {
        Kind::Registered => Verdict::Delay(Duration::from_millis(580)),
        Kind::Deregister if now.since_start() < seconds(2) => Verdict::Lose,
        _ => Verdict::Pass,
    });
    world.start("alice", 5_000, 0);
    world.run(Duration::from_millis(35));
    world.commands("alice", Command::Quit);
    world.run(seconds(5));
    assert!(world.is_finished("alice"));
    assert_eq!(world.snapshot().clients, ["alice: offline"]);
}

#[test]
fn whoever_leaves_a_silent_server_waits_for_it_no_longer_than_for_a_sign_off() {
    let mut world = joining(usize::MAX);
    world.kill_server();
    world.commands("alice", Command::Quit);
    world.run(Duration::from_millis(2_400));
    assert!(!world.is_finished("alice"));
    world.run(seconds(1));
    assert!(world.is_finished("alice"));
    let at_most = 1 + usize::try_from(attempts_within(Duration::from_millis(2_500))).unwrap();
    assert!(world.sent("alice", Kind::Register, "server") <= at_most);
}

#[test]
fn who_was_turned_away_by_another_server_is_not_left_there() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob hello");
    world.run(seconds(1));
    world.lose_server_memory();
    world.kill_server();
    world.start_server();
    world.rule(lose_first(1, "alice", Kind::Deregister, "server").into_rule());
    world.restart_with("alice", |record| {
        let home = record.home.as_mut().expect("it was registered");
        home.server = ([192, 0, 2, 99], 9_000).into();
    });
    world.run(seconds(3));
    assert!(matches!(problems(&world, "alice")[..], [Problem::KeptForAnother(_)]));
    assert!(has_left(&world, "alice", false));
    assert!(world.snapshot().clients.contains(&"alice: offline".to_owned()));
}

/// Someone who quits and is then refused the name leaves right away, and is not told that the
/// server is silent: it has just answered.
#[test]
fn whoever_leaves_and_then_is_refused_the_name_is_gone_at_once_and_hears_of_no_silence() {
    let mut world = World::with(&["alice"]);
    world.start("alice.second", 6_000, 0);
    world.run(Duration::from_millis(35));
    assert_eq!(world.sent("alice.second", Kind::Register, "server"), 1);
    world.commands("alice.second", Command::Quit);
    assert!(!world.is_finished("alice.second"), "it may be granted yet");
    world.run(Duration::from_millis(100));
    assert!(world.is_finished("alice.second"));
    let is_silent = |event: &Event| matches!(event, Event::ServerNotResponding(_));
    assert_eq!(world.count("alice.second", is_silent), 0);
    assert_eq!(world.snapshot().clients, ["alice: online at 192.0.2.2:5000"]);
}

/// A message that gets no outcome while its sender is leaving is reported as unsent because the
/// sender is offline, and reported once.
#[test]
fn what_has_no_outcome_while_the_user_leaves_is_unsent_because_they_are_offline() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|_, sight| match sight.identity.kind {
        Kind::Message | Kind::Registered => Verdict::Lose,
        _ => Verdict::Pass,
    });
    world.types("alice", "send bob hello");
    // The server knows nobody any more, and alice asks it for her name in vain.
    world.kill_server();
    world.start_server();
    world.run(Duration::from_millis(7_900));
    assert_eq!(world.count("alice", is_unsent), 0);
    world.commands("alice", Command::Quit);
    world.run(Duration::from_millis(200));
    assert!(!world.is_finished("alice"), "she may be registered yet");
    assert_eq!(world.count("alice", unsent_for(UnsentReason::Offline)), 1);
    world.run(seconds(3));
    assert!(has_left(&world, "alice", false));
    assert_eq!(world.count("alice", is_unsent), 1);
}
