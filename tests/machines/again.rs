//! Remember, then show, then acknowledge: what a crash between each pair means.
//! docs/protocol.md, "Order".

use std::time::Duration;

use udpchat_core::client::{Event, SentState};
use udpchat_core::protocol::PacketKind as Kind;

use crate::world::{Moment, Verdict, World};
use crate::{is_received, seconds};

/// What a client was shown: text, and whether it was marked.
fn marks(world: &World, name: &str) -> Vec<(String, bool)> {
    let shown = world.events(name).iter().filter_map(|event| match event {
        Event::Message { text, again, .. } => Some((text.clone(), *again)),
        _ => None,
    });
    shown.collect()
}

fn marked(text: &str, again: bool) -> (String, bool) {
    (text.to_owned(), again)
}

#[test]
fn killed_between_remembering_and_showing_it_is_shown_marked_and_then_acknowledged() {
    let mut world = World::with(&["alice", "bob"]);
    world.dies("bob", Moment::BeforeShowing);
    world.types("alice", "send bob one");
    world.run(Duration::from_millis(700));
    assert_eq!(world.sent("bob", Kind::Ack, "alice"), 0);
    assert_eq!(world.count("alice", is_received), 0);
    world.restart("bob");
    assert_eq!(marks(&world, "bob"), [marked("one", true)], "before it has heard of anybody");
    world.run(seconds(3));
    assert_eq!(world.count("alice", is_received), 1);
    world.types("alice", "send bob two");
    world.run(seconds(1));
    assert_eq!(marks(&world, "bob"), [marked("one", true), marked("two", false)]);
}

#[test]
fn killed_between_showing_and_knowing_that_it_is_shown_again_and_marked() {
    let mut world = World::with(&["alice", "bob"]);
    world.dies("bob", Moment::AfterShowing);
    world.types("alice", "send bob one");
    world.run(Duration::from_millis(700));
    assert_eq!(world.sent("bob", Kind::Ack, "alice"), 0);
    world.restart("bob");
    assert_eq!(marks(&world, "bob"), [marked("one", true)]);
    world.run(seconds(3));
    assert_eq!(world.count("alice", is_received), 1);
    world.restart("bob");
    world.run(seconds(3));
    assert_eq!(marks(&world, "bob"), [], "by now it is remembered that it was shown");
}

#[test]
fn killed_between_showing_and_acknowledging_it_is_acknowledged_and_not_shown_again() {
    let mut world = World::with(&["alice", "bob"]);
    world.loses_every(Kind::Ack);
    world.types("alice", "send bob one");
    while world.sent("bob", Kind::Ack, "alice") == 0 {
        world.run(Duration::from_millis(1));
    }
    world.restart("bob");
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(5));
    assert_eq!(marks(&world, "bob"), []);
    assert_eq!(world.count("alice", is_received), 1);
}

#[test]
fn several_are_shown_again_in_order_and_before_anything_new() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    for n in 0..3 {
        world.types("alice", &format!("send bob {n}"));
    }
    world.run(seconds(1));
    world.types("bob", "reg bob");
    world.rule(|_, sight| match sight.identity.message {
        Some(id) if sight.is("server", Kind::Deliver, "bob") && id.seq == 1 => {
            Verdict::Delay(Duration::from_millis(50))
        }
        _ => Verdict::Pass,
    });
    world.dies("bob", Moment::BeforeShowing);
    world.run(seconds(1));
    world.rule(|_, _| Verdict::Pass);
    world.restart("bob");
    world.types("alice", "send bob 3");
    world.run(seconds(3));
    let shown = ["0", "1", "2"].map(|text| marked(text, true));
    assert_eq!(marks(&world, "bob"), [&shown[..], &[marked("3", false)]].concat());
}

#[test]
fn a_history_tells_what_was_written_and_survives_a_restart() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.types("alice", "send bob one");
    world.run(seconds(1));
    world.types("bob", "send alice two");
    world.run(seconds(1));
    world.types("carol", "dereg carol");
    world.run(seconds(1));
    world.types("alice", "send carol three");
    world.types("alice", "send nobody four");
    world.run(seconds(1));
    world.restart("alice");
    world.run(seconds(1));
    for name in ["bob", "carol", "nobody", "mallory"] {
        world.types("alice", &format!("history {name}"));
    }
    let histories = world.events("alice").iter().filter_map(|event| match event {
        Event::History { lines, .. } => Some(lines),
        _ => None,
    });
    let written = |line: &udpchat_core::client::HistoryEntry| (line.text.clone(), line.state());
    let histories: Vec<Vec<_>> =
        histories.map(|lines| lines.iter().map(written).collect()).collect();
    let line = |text: &str, state| vec![(text.to_owned(), state)];
    assert_eq!(histories[0], [line("one", Some(SentState::Received)), line("two", None)].concat());
    assert_eq!(histories[1], line("three", Some(SentState::Saved)));
    assert_eq!(histories[2], line("four", Some(SentState::Unsent)));
    assert_eq!(histories[3], []);
}
