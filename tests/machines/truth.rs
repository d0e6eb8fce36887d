//! One true word about each message: what it says, and when it is said.
//! docs/protocol.md, "What the user reads".

use std::time::Duration;

use udpchat_core::client::{DetourReason, Event, UnsentReason};
use udpchat_core::protocol::PacketKind as Kind;
use udpchat_core::protocol::limits::{MAILBOX_MAX, WINDOW};
use udpchat_core::store::DiskSpace;

use crate::world::{Verdict, World};
use crate::{is_read_later, is_received, is_saved, seconds};

fn received_over_server(event: &Event) -> bool {
    matches!(event, Event::Received { over_server: true, .. })
}

fn unsent(world: &World) -> Vec<UnsentReason> {
    let reasons = world.events("alice").iter().filter_map(|event| match event {
        Event::Unsent { reason, .. } => Some(*reason),
        _ => None,
    });
    reasons.collect()
}

/// alice and bob, who do not reach each other, and of whom the server hears what is no such packet.
fn apart(lost: &'static [Kind]) -> World {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(move |_, sight| {
        let direct = matches!(sight.identity.kind, Kind::Message | Kind::Ack | Kind::Knock);
        if direct || lost.contains(&sight.identity.kind) { Verdict::Lose } else { Verdict::Pass }
    });
    world
}

#[test]
fn somebody_who_is_here_and_out_of_reach_has_received_it_over_the_server() {
    let mut world = apart(&[]);
    for text in ["one", "two"] {
        world.types("alice", &format!("send bob {text}"));
        world.run(seconds(4));
    }
    assert_eq!(world.texts("bob"), ["one", "two"]);
    assert_eq!(world.count("alice", received_over_server), 2);
    assert_eq!(world.count("alice", |e| is_saved(e) || is_read_later(e)), 0);
}

#[test]
fn what_is_not_shown_soon_is_said_to_be_saved_and_read_later() {
    let mut world = apart(&[Kind::Deliver]);
    world.types("alice", "send bob hello");
    world.run(Duration::from_millis(4_400));
    assert_eq!(world.count("alice", is_saved), 0);
    world.run(seconds(1));
    assert_eq!(world.count("alice", is_saved), 1);
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(4));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.count("alice", is_read_later), 1);
    assert_eq!(world.count("alice", is_received), 0);
}

#[test]
fn what_is_saved_for_somebody_who_turns_out_to_be_away_is_said_at_once() {
    let mut world = apart(&[Kind::Deliver, Kind::Alive]);
    world.types("alice", "send bob hello");
    world.run(Duration::from_millis(4_450));
    assert!(world.snapshot().clients.contains(&"bob: offline".to_owned()));
    assert_eq!(world.count("alice", is_saved), 1);
}

#[test]
fn a_sender_killed_before_it_said_that_it_is_saved_tells_one_outcome() {
    let mut world = apart(&[Kind::Deliver]);
    world.types("alice", "send bob hello");
    world.run(Duration::from_millis(3_500));
    assert_eq!(world.count("alice", |e| is_saved(e) || is_received(e)), 0);
    world.restart("alice");
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(5));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.count("alice", is_received), 1);
    assert_eq!(world.count("alice", |e| is_saved(e) || is_read_later(e)), 0);
}

#[test]
fn only_what_was_sent_in_vain_had_no_acknowledgement() {
    let mut world = apart(&[]);
    world.types("alice", "send bob one");
    world.run(seconds(2));
    world.types("alice", "send bob two");
    world.run(seconds(2));
    let reasons = world.events("alice").iter().filter_map(|event| match event {
        Event::Detour { reason, .. } => Some(*reason),
        _ => None,
    });
    let reasons: Vec<_> = reasons.collect();
    assert_eq!(reasons, [DetourReason::NoAck, DetourReason::Earlier]);
}

#[test]
fn what_waits_behind_a_full_mailbox_is_unsent_because_it_is_full() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    let refused = 3 * WINDOW;
    for _ in 0..MAILBOX_MAX + refused {
        world.types("alice", "send bob x");
    }
    world.run(seconds(20));
    assert_eq!(world.count("alice", is_saved), MAILBOX_MAX);
    assert_eq!(unsent(&world), vec![UnsentReason::MailboxFull; refused]);
}

#[test]
fn a_server_that_answers_is_not_said_to_be_silent() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.loses_every(Kind::Save);
    for _ in 0..WINDOW + 2 {
        world.types("alice", "send bob x");
    }
    world.run(seconds(9));
    let mut reasons = vec![UnsentReason::NoAnswer; WINDOW];
    reasons.extend([UnsentReason::BehindOthers; 2]);
    assert_eq!(unsent(&world), reasons);
}

#[test]
fn what_still_had_patience_is_only_taken_along_by_what_had_none() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|_, sight| match sight.is("alice", Kind::Message, "bob") {
        true => Verdict::Lose,
        false => Verdict::Pass,
    });
    for tenth in 0..52 {
        match tenth {
            0 => world.types("alice", "send bob one"),
            20 => world.types("alice", "send bob two"),
            // bob is heard of, so there is patience for five seconds.
            _ => world.types("bob", "send alice hello?"),
        }
        world.run(Duration::from_millis(100));
    }
    let reasons = world.events("alice").iter().filter_map(|event| match event {
        Event::Detour { reason, .. } => Some(*reason),
        _ => None,
    });
    let reasons: Vec<_> = reasons.collect();
    assert_eq!(reasons, [DetourReason::NoAck, DetourReason::Earlier]);
}

#[test]
fn an_old_refusal_is_no_reason_for_what_is_typed_later() {
    let mut world = World::with(&["alice", "bob"]);
    world.server_room = DiskSpace::Low;
    // The next commit tells.
    world.types("bob", "create_group any");
    world.run(seconds(1));
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob one");
    world.run(seconds(1));
    world.server_room = DiskSpace::Plenty;
    world.loses_every(Kind::Saved);
    world.run(seconds(2));
    world.types("bob", "reg bob");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["one"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.loses_every(Kind::Save);
    world.types("alice", "send bob two");
    world.run(seconds(9));
    assert_eq!(unsent(&world), [UnsentReason::DiskFull, UnsentReason::NoAnswer]);
}

/// A message kept from an earlier run for a name that the server does not know is answered as
/// soon as the client has the whole table, and not only when its sender has waited in vain.
#[test]
fn what_was_kept_for_a_name_that_the_table_lacks_is_asked_for_as_soon_as_the_table_is_whole() {
    let mut world = World::with(&["alice", "bob"]);
    world.kill("bob");
    world.types("alice", "send bob hello");
    world.run(seconds(1));
    world.kill_server();
    world.lose_server_memory();
    world.start_server();
    world.restart("alice");
    world.run(seconds(1));
    assert_eq!(world.sent("alice", Kind::Save, "server"), 1);
    assert_eq!(unsent(&world), [UnsentReason::Forgotten]);
}

/// Only what waits behind another message is said to wait behind others; the first one is not,
/// even before anything was sent.
#[test]
fn what_waits_for_the_table_of_a_server_that_answers_is_behind_nothing() {
    let mut world = World::with(&["alice", "bob"]);
    world.loses_every(Kind::Message);
    world.types("alice", "send bob one");
    world.types("alice", "send bob two");
    world.run(Duration::from_millis(100));
    world.loses_every(Kind::Table);
    world.restart("alice");
    world.run(seconds(8));
    assert_eq!(unsent(&world), [UnsentReason::NoAnswer, UnsentReason::BehindOthers]);
}

/// A message that was refused for want of room is reported as saved at once when another copy of
/// it is stored after all, and not only when it is tried again.
#[test]
fn what_was_refused_is_said_to_be_saved_as_soon_as_a_late_copy_of_it_found_room() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.server_room = DiskSpace::Low;
    // The next commit tells.
    world.types("alice", "create_group any");
    world.run(seconds(1));
    world.rule(|_, sight| match sight.identity.kind {
        Kind::Save => Verdict::Twice(seconds(5)),
        _ => Verdict::Pass,
    });
    world.types("alice", "send bob hello");
    world.run(seconds(1));
    assert_eq!(unsent(&world), [UnsentReason::DiskFull]);
    world.server_room = DiskSpace::Plenty;
    world.run(seconds(5));
    assert_eq!(world.sent("alice", Kind::Save, "server"), 1);
    assert_eq!(world.count("alice", is_saved), 1);
}

/// A message that was refused for want of room is asked for at once when its recipient is back,
/// and then, like any other, with pauses that double up to 4 s (docs/protocol.md, "Sending").
#[test]
fn what_was_refused_for_want_of_room_is_asked_for_again_without_a_flood() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.server_room = DiskSpace::Low;
    // The next commit tells.
    world.types("alice", "create_group any");
    world.run(seconds(1));
    world.types("alice", "send bob hello");
    world.run(seconds(1));
    assert_eq!(unsent(&world), [UnsentReason::DiskFull]);
    world.loses_every(Kind::Save);
    world.log.clear();
    world.types("bob", "reg bob");
    world.run(seconds(20));
    let saves = world.sent("alice", Kind::Save, "server");
    assert!((5..15).contains(&saves), "{saves} saves in 20 s");
}
