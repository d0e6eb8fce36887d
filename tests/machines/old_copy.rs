//! A client whose folder is an older copy. docs/protocol.md, "An older copy".

use std::time::Duration;

use udpchat_core::client::{Event, GroupDone, Problem};
use udpchat_core::protocol::PacketKind as Kind;

use crate::world::{Verdict, World};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn is_old_copy(event: &Event) -> bool {
    matches!(event, Event::Error(Problem::OldCopy))
}

/// Alice signs in so often, sending a message each time, and then gets back what she kept before.
fn behind(world: &mut World, sign_ins: usize) -> Vec<String> {
    let copy = world.client_record("alice").clone();
    let mut sent = Vec::new();
    for n in 0..sign_ins {
        world.restart("alice");
        world.run(seconds(1));
        sent.push(format!("later {n}"));
        world.types("alice", &format!("send bob later {n}"));
        world.run(seconds(1));
    }
    world.restart_with("alice", |record| *record = copy);
    sent
}

#[test]
fn a_folder_that_is_an_older_copy_locks_nobody_out_and_swallows_no_message() {
    for sign_ins in [1, 4, 40] {
        for here in [true, false] {
            let mut world = World::with(&["alice", "bob"]);
            world.types("alice", "send bob first");
            world.run(seconds(1));
            if !here {
                world.types("bob", "dereg bob");
                world.run(seconds(1));
            }
            let mut texts = vec!["first".to_owned()];
            texts.extend(behind(&mut world, sign_ins));
            // Before the server has said that it is one, and after.
            world.types("alice", "send bob soon");
            world.run(seconds(2));
            world.types("alice", "send bob now");
            world.run(seconds(3));
            assert_eq!(world.count("alice", is_old_copy), 1, "{sign_ins} behind");
            assert!(world.count("alice", |it| matches!(it, Event::Registered { .. })) == 1);
            if !here {
                world.types("bob", "reg bob");
                world.run(seconds(3));
            }
            texts.extend(["soon".to_owned(), "now".to_owned()]);
            assert_eq!(world.texts("bob"), texts, "{sign_ins} behind, bob here: {here}");
        }
    }
}

/// Alice has made three groups, and got back what she kept before.
fn after_three_groups() -> World {
    let mut world = World::with(&["alice", "bob"]);
    let copy = world.client_record("alice").clone();
    for group in ["one", "two", "three"] {
        world.types("alice", &format!("create_group {group}"));
        world.run(seconds(1));
    }
    world.restart("alice");
    world.run(seconds(1));
    world.restart_with("alice", |record| *record = copy);
    world
}

#[test]
fn what_an_older_copy_wants_of_groups_is_done() {
    let mut world = after_three_groups();
    world.types("alice", "create_group four");
    world.run(seconds(2));
    world.types("alice", "create_group five");
    world.run(seconds(2));
    let made = |it: &Event| matches!(it, Event::Group { what: GroupDone::Created, .. });
    assert_eq!(world.count("alice", made), 2);
}

#[test]
fn what_an_older_copy_wants_after_another_restart_is_done_too() {
    let mut world = after_three_groups();
    world.run(seconds(2));
    assert_eq!(world.count("alice", is_old_copy), 1);
    // The server will not say again which numbers have been used.
    world.restart("alice");
    world.run(seconds(1));
    world.types("alice", "create_group five");
    world.run(seconds(2));
    let made = |it: &Event| matches!(it, Event::Group { what: GroupDone::Created, .. });
    assert_eq!((world.count("alice", is_old_copy), world.count("alice", made)), (0, 1));
}

#[test]
fn a_client_that_comes_and_goes_is_no_older_copy() {
    let mut world = World::with(&["alice", "bob"]);
    for _ in 0..5 {
        world.restart("alice");
        world.run(Duration::from_millis(500));
        world.types("alice", "dereg alice");
        world.run(Duration::from_millis(30));
        world.run(seconds(1));
        world.types("alice", "reg alice");
        world.run(seconds(1));
        assert_eq!(world.count("alice", is_old_copy), 0);
    }
}

/// Granted, and gone again for whoever asks, before a client has heard of it: what it repeats is
/// its own registration, and no other life's.
#[test]
fn a_registration_that_is_repeated_after_its_session_is_gone_is_no_older_copy() {
    for after_ms in (2_000..2_800).step_by(100) {
        let mut world = World::with(&["alice", "carol"]);
        let until = world.now + seconds(8);
        world.rule(move |now, sight| {
            let is_lost = sight.is("server", Kind::Registered, "alice")
                || sight.is("carol", Kind::Message, "alice");
            if now < until && is_lost { Verdict::Lose } else { Verdict::Pass }
        });
        world.types("carol", "send alice hello");
        world.run(Duration::from_millis(after_ms));
        let mut texts = world.texts("alice");
        world.restart("alice");
        world.run(seconds(20));
        texts.extend(world.texts("alice"));
        assert_eq!(world.count("alice", is_old_copy), 0, "after {after_ms} ms");
        assert_eq!(texts, ["hello"], "after {after_ms} ms");
    }
}
