//! Lines through a pipe: who can wait is made to, and each line is sent or told of.
//! docs/protocol.md, "Sending".

use std::collections::BTreeMap;
use std::iter;

use udpchat_core::client::{Command, Delay, Event, Problem, UnsentReason};
use udpchat_core::protocol::PacketKind as Kind;
use udpchat_core::protocol::limits::{
    GROUP_REQUESTS_MAX, MAILBOX_MAX, OUTBOX_MAX, WAITING_COMMANDS_MAX,
};

use crate::world::World;
use crate::{is_received, is_saved, seconds};

const LINES: usize = 10_000;

fn patient() -> World {
    let mut world = World::new();
    world.patient = true;
    world
}

fn sends(to: &str) -> Vec<String> {
    (1..=LINES).map(|number| format!("send {to} {number}")).collect()
}

/// How often each problem was told.
fn problems(world: &World, name: &str) -> BTreeMap<String, usize> {
    let mut problems = BTreeMap::new();
    for event in world.events(name) {
        if let Event::Error(problem) = event {
            *problems.entry(problem.to_string()).or_default() += 1;
        }
    }
    problems
}

fn unsent(world: &World, name: &str, reason: UnsentReason) -> usize {
    world.count(name, |e| matches!(e, Event::Unsent { reason: said, .. } if *said == reason))
}

#[test]
fn a_long_pipe_waits_for_room_and_every_line_arrives_in_order() {
    let mut world = patient();
    world.start("bob", 5_001, 0);
    world.start("alice", 5_000, 0);
    world.pipes("alice", sends("bob").into_iter().chain(["quit".to_owned()]));
    world.run(seconds(300));
    let expected: Vec<String> = (1..=LINES).map(|number| number.to_string()).collect();
    assert_eq!(world.texts("bob"), expected);
    assert_eq!(world.count("alice", is_received), LINES);
    assert_eq!(world.events("alice").last(), Some(&Event::Left { complete: true }));
}

#[test]
fn a_long_pipe_to_somebody_absent_ends_with_a_word_for_each_line() {
    let mut world = patient();
    world.start("bob", 5_001, 0);
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.pipes("alice", sends("bob").into_iter().chain(["quit".to_owned()]));
    world.run(seconds(60));
    assert_eq!(world.count("alice", is_saved), MAILBOX_MAX);
    assert_eq!(unsent(&world, "alice", UnsentReason::MailboxFull), OUTBOX_MAX - MAILBOX_MAX);
    let refused = BTreeMap::from([(Problem::OutboxFull.to_string(), LINES - OUTBOX_MAX)]);
    assert_eq!(problems(&world, "alice"), refused);
    assert_eq!(world.events("alice").last(), Some(&Event::Left { complete: false }));
}

#[test]
fn a_long_pipe_without_a_server_ends_with_a_word_for_each_line() {
    let mut world = patient();
    world.kill_server();
    world.start("alice", 5_000, 0);
    world.pipes("alice", sends("bob"));
    world.commands("alice", Command::Finish);
    world.run(seconds(1));
    let left = Problem::LeftBefore("bob".parse().expect("a name"));
    assert_eq!(problems(&world, "alice"), BTreeMap::from([(left.to_string(), LINES)]));
    assert!(world.is_finished("alice"));
}

#[test]
fn a_pipe_that_stays_open_keeps_no_client_that_was_never_registered() {
    let mut world = patient();
    world.kill_server();
    world.start("alice", 5_000, 0);
    world.types("alice", "send bob hello");
    world.run(seconds(11));
    assert!(world.is_finished("alice"));
}

#[test]
fn a_server_that_goes_away_leaves_a_word_for_each_line() {
    let mut world = patient();
    world.start("bob", 5_001, 0);
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    world.kill_server();
    world.kill("bob");
    world.pipes("alice", sends("bob").into_iter().chain(["quit".to_owned()]));
    world.run(seconds(60));
    assert_eq!(unsent(&world, "alice", UnsentReason::ServerNotResponding), OUTBOX_MAX);
    assert_eq!(problems(&world, "alice").values().sum::<usize>(), LINES - OUTBOX_MAX);
    assert!(world.is_finished("alice"));
}

#[test]
fn what_a_pipe_asks_of_groups_waits_for_room_too() {
    let mut world = patient();
    world.start("alice", 5_000, 0);
    let groups = (0..2 * GROUP_REQUESTS_MAX).map(|number| format!("create_group g{number}"));
    world.pipes("alice", groups.chain(["quit".to_owned()]));
    world.run(seconds(60));
    assert_eq!(problems(&world, "alice"), BTreeMap::new());
    assert_eq!(world.snapshot().groups.len(), 2 * GROUP_REQUESTS_MAX);
}

#[test]
fn the_end_of_the_input_is_never_refused() {
    let mut world = World::new();
    world.kill_server();
    world.start("alice", 5_000, 0);
    let lines = WAITING_COMMANDS_MAX + 10;
    iter::repeat_n("list", lines).for_each(|line| world.types("alice", line));
    world.commands("alice", Command::Finish);
    world.start_server();
    world.run(seconds(5));
    let too_many = Problem::TooManyCommands.to_string();
    assert_eq!(problems(&world, "alice"), BTreeMap::from([(too_many, 10)]), "a person is told");
    assert!(world.is_finished("alice"));
}

#[test]
fn who_can_wait_waits_while_much_does_and_no_longer() {
    let mut world = patient();
    world.kill_server();
    world.start("alice", 5_000, 0);
    iter::repeat_n("list", WAITING_COMMANDS_MAX).for_each(|line| world.types("alice", line));
    assert!(!world.takes_commands("alice"));
    world.start_server();
    world.run(seconds(5));
    assert!(world.takes_commands("alice"));
    world.commands("alice", Command::Quit);
    world.run(seconds(1));
    assert!(world.is_finished("alice"));
}

#[test]
fn what_takes_long_says_why() {
    let mut world = World::with(&["alice", "bob"]);
    world.loses_every(Kind::GroupAsk);
    for line in ["create_group one", "create_group two"] {
        world.types("alice", line);
    }
    world.run(seconds(9));
    let said = [Delay::NoAnswer, Delay::BehindOthers].map(Problem::RequestWaits);
    let said: BTreeMap<_, _> = said.into_iter().map(|it| (it.to_string(), 1)).collect();
    assert_eq!(problems(&world, "alice"), said);
}

/// A text to everybody from a user who can wait, such as a pipe, waits until there is room for a
/// copy for each of them: it is not refused because there is room for some.
#[test]
fn a_text_to_everybody_from_a_pipe_waits_for_room_for_all_its_copies() {
    let mut world = patient();
    for (name, port) in [("alice", 5_000), ("bob", 5_001), ("carol", 5_002)] {
        world.start(name, port, 0);
    }
    world.run(seconds(1));
    let almost_all = (1..OUTBOX_MAX).map(|number| format!("send bob {number}"));
    world.pipes("alice", almost_all.chain(["send_all hello".to_owned(), "quit".to_owned()]));
    world.run(seconds(60));
    assert_eq!(problems(&world, "alice"), BTreeMap::new());
    assert_eq!(world.texts("carol"), ["hello"]);
    assert_eq!(world.texts("bob").len(), OUTBOX_MAX);
}
