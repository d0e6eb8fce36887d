//! What a server keeps is bounded: by age, by number, and by the room on its disk.
//! docs/protocol.md, "Stored messages".

use std::time::Duration;

use udpchat_core::client::{Event, GroupDone, Problem, SentState, UnsentReason};
use udpchat_core::load::Gauge;
use udpchat_core::machine::Machine as _;
use udpchat_core::protocol::limits::{MAIL_STREAMS_MAX, MAILBOX_MAX, SENDER_STORED_MAX};
use udpchat_core::protocol::{MessageId, Name, PacketKind as Kind, StreamId, StreamKey, Token};
use udpchat_core::server::{self, Account, Change, End, Standing, StoredMessage, Turn};
use udpchat_core::store::{Committed, DiskSpace, Record as _};
use udpchat_core::time::WallTime;

use crate::guests;
use crate::world::{self, Verdict, World};
use crate::{is_saved, lose_first, seconds};

fn is_expired(event: &Event) -> bool {
    matches!(event, Event::Expired { .. })
}

fn unsent(world: &World, name: &str) -> Vec<UnsentReason> {
    let reasons = world.events(name).iter().filter_map(|event| match event {
        Event::Unsent { reason, .. } => Some(*reason),
        _ => None,
    });
    reasons.collect()
}

fn problems(world: &World, name: &str) -> Vec<Problem> {
    let problems = world.events(name).iter().filter_map(|event| match event {
        Event::Error(problem) => Some(problem.clone()),
        _ => None,
    });
    problems.collect()
}

/// What has become of what one client sent to another.
fn states(world: &World, from: &str, to: &str) -> Vec<SentState> {
    let to = to.parse().expect("a name");
    let lines = world.client_record(from).history.with(&to);
    lines.filter_map(|line| line.state()).collect()
}

/// A server that keeps messages for so long, and these clients; bob has left.
fn keeping(keep: Duration, names: &[&str]) -> World {
    let mut world = World::without_server();
    world.keep = keep;
    world.start_server();
    for (name, port) in names.iter().zip(5_000..) {
        world.start(name, port, 0);
    }
    world.run(seconds(1));
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world
}

#[test]
fn what_nobody_comes_for_expires_and_its_sender_is_told() {
    let mut world = keeping(seconds(60), &["alice", "bob"]);
    world.types("alice", "send bob one");
    world.types("alice", "send bob two");
    world.run(seconds(30));
    world.types("alice", "send bob three");
    world.run(seconds(35));
    assert_eq!(world.count("alice", is_saved), 3);
    assert_eq!(world.count("alice", is_expired), 2);
    assert_eq!(world.snapshot().mail.len(), 1);
    world.types("bob", "reg bob");
    world.run(seconds(5));
    assert_eq!(world.texts("bob"), ["three"], "the reader skips what has expired");
    world.types("alice", "send bob four");
    world.run(seconds(2));
    assert_eq!(world.texts("bob"), ["three", "four"]);
    let states = states(&world, "alice", "bob");
    let (expired, received) = (SentState::Expired, SentState::Received);
    assert_eq!(states, [expired, expired, received, received]);
}

#[test]
fn a_sender_that_was_away_is_told_in_order_what_expired_and_what_was_shown() {
    let mut world = keeping(seconds(60), &["alice", "bob"]);
    world.types("alice", "send bob one");
    world.run(seconds(40));
    world.types("alice", "send bob two");
    world.run(seconds(2));
    world.types("alice", "dereg alice");
    world.run(seconds(30));
    world.types("bob", "reg bob");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["two"]);
    world.rule(|_, sight| {
        let first = matches!(sight.identity.kind, Kind::Expired | Kind::HandedOverAck);
        if first && sight.identity.attempt == 1 && sight.to == "alice" {
            Verdict::Lose
        } else {
            Verdict::Pass
        }
    });
    world.kill_server();
    world.start_server();
    world.types("alice", "reg alice");
    world.run(seconds(20));
    assert_eq!(world.count("alice", is_expired), 1);
    assert!(world.sent("server", Kind::Expired, "alice") >= 2, "told until it answers");
    let states = states(&world, "alice", "bob");
    assert_eq!(states, [SentState::Expired, SentState::Received]);
    world.log.clear();
    world.run(seconds(20));
    assert!(world.log.iter().all(|(_, s)| matches!(s.identity.kind, Kind::Ping | Kind::Pong)));
}

#[test]
fn what_is_shown_behind_what_has_expired_repeats_no_word_of_that() {
    let mut world = keeping(seconds(60), &["alice", "bob"]);
    world.loses_every(Kind::HandedOverAck);
    world.types("alice", "send bob one");
    world.run(seconds(50));
    for n in 0..10 {
        world.types("alice", &format!("send bob {n}"));
    }
    world.run(seconds(15));
    assert_eq!(world.count("alice", is_expired), 1);
    world.log.clear();
    world.types("bob", "reg bob");
    world.run(seconds(1));
    assert_eq!(world.texts("bob").len(), 10);
    let words = world.sent("server", Kind::Expired, "alice");
    assert!(words <= 1, "{words} in a second, with pauses of two");
}

#[test]
fn nothing_expires_while_its_reader_is_here() {
    let mut world = keeping(seconds(60), &["alice", "bob"]);
    world.types("alice", "send bob one");
    world.run(seconds(50));
    world.rule(|now, sight| {
        let cut = sight.identity.kind == Kind::Deliver && now.since_start() < seconds(80);
        if cut { Verdict::Lose } else { Verdict::Pass }
    });
    world.types("bob", "reg bob");
    world.run(seconds(40));
    assert_eq!(world.texts("bob"), ["one"]);
    assert_eq!(world.count("alice", is_expired), 0);
}

#[test]
fn a_full_mailbox_and_too_many_of_one_sender_are_refused_with_their_reasons() {
    let mut world = World::with(&["alice", "carol"]);
    let readers = SENDER_STORED_MAX / MAILBOX_MAX + 1;
    for n in 0..readers {
        let name: &'static str = format!("r{n}").leak();
        world.start(name, 6_000 + u16::try_from(n).expect("few"), 0);
        world.run(seconds(1));
        world.types(name, &format!("dereg {name}"));
        world.run(seconds(1));
    }
    for batch in 0..readers {
        for _ in 0..MAILBOX_MAX {
            world.types("alice", &format!("send r{batch} x"));
        }
        world.run(seconds(20));
        let full = if batch + 1 < readers { vec![] } else { vec![UnsentReason::SenderFull] };
        assert_eq!(unsent(&world, "alice").iter().take(1).copied().collect::<Vec<_>>(), full);
        if batch == 0 {
            world.types("carol", "send r0 x");
            world.run(seconds(1));
            assert_eq!(unsent(&world, "carol"), [UnsentReason::MailboxFull]);
        }
    }
    world.types("r0", "reg r0");
    world.run(seconds(60));
    assert_eq!(world.texts("r0").len(), MAILBOX_MAX + 1, "carol's goes out when there is room");
}

#[test]
fn what_waited_for_an_earlier_message_is_stored_within_the_limits() {
    let (left, more) = (5, 12);
    let mut world = World::without_server();
    let to: Name = "bob".parse().expect("a name");
    let from: Name = "zed".parse().expect("a name");
    for number in 0..MAILBOX_MAX as u64 - left {
        let id = MessageId { stream: StreamId(1), seq: number + 1 };
        let (stored_at, body) = (WallTime::from_unix_ms(0), b"x"[..].into());
        let (from, group) = (from.clone(), None);
        let message =
            StoredMessage { number, id, from, stored_at, stored_after_ms: 0, group, body };
        world.server_record.apply(&Change::Stored { to: to.clone(), message });
    }
    let account = Account { token: Token(1), registration: 1, original: None };
    world.server_record.apply(&Change::Registered { name: to, account });
    world.start_server();
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    world.rule(lose_first(1, "alice", Kind::Save, "server").into_rule());
    for n in 0..more {
        world.types("alice", &format!("send bob {n}"));
    }
    world.run(seconds(5));
    assert_eq!(world.snapshot().mail.len(), MAILBOX_MAX);
    assert_eq!(world.count("alice", is_saved) as u64, left);
    assert_eq!(unsent(&world, "alice")[0], UnsentReason::MailboxFull);
}

#[test]
fn a_server_that_starts_without_room_takes_nothing_new() {
    let mut world = World::new();
    world.server_room = DiskSpace::Low;
    let now = world.reading();
    let server = world.server.as_mut().expect("a server");
    server.handle_committed(now, Committed::LITTLE_ROOM);
    world.start("carol", 6_000, 0);
    world.run(seconds(1));
    assert_eq!(problems(&world, "carol"), [Problem::ServerDiskFull]);
    assert!(world.server_record.accounts.is_empty());
    world.server_room = DiskSpace::Plenty;
    world.run(seconds(2));
    world.start("dave", 6_001, 0);
    world.run(seconds(1));
    assert_eq!(world.server_record.accounts.len(), 1, "it has asked for room, and got it");
}

#[test]
fn a_server_without_room_takes_nothing_new_and_hands_over_what_it_has() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob one");
    world.server_room = DiskSpace::Low;
    world.run(seconds(1));
    assert_eq!(world.count("alice", is_saved), 1, "what was committed is durable");
    world.types("alice", "send bob two");
    world.start("carol", 6_000, 0);
    world.run(seconds(1));
    assert_eq!(unsent(&world, "alice"), [UnsentReason::DiskFull]);
    assert_eq!(problems(&world, "carol"), [Problem::ServerDiskFull]);
    world.loses_every(Kind::Message);
    world.types("bob", "reg bob");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["one"]);
    world.server_room = DiskSpace::Plenty;
    world.run(seconds(35));
    assert_eq!(world.texts("bob"), ["one", "two"], "it recovers by itself");
    let stored = |e: &&server::Event| matches!(e, server::Event::Stored { .. });
    assert_eq!(world.server_events.iter().filter(stored).count(), 2);
}

/// A server that knows its disk to be full; alice, bob and carol, the first two in a group.
fn full_with_a_group() -> World {
    let mut world = World::with(&["alice", "bob", "carol"]);
    for (name, line) in [("alice", "create_group team"), ("bob", "join_group team")] {
        world.types(name, line);
        world.run(seconds(1));
    }
    world.server_room = DiskSpace::Low;
    world.types("bob", "dereg bob");
    world.types("alice", "send bob one");
    world.run(seconds(1));
    world.types("bob", "reg bob");
    world.run(seconds(1));
    world
}

#[test]
fn a_server_without_room_changes_groups_only_to_let_members_leave() {
    let mut world = full_with_a_group();
    let before = world.server_record.membership.clone();
    let group = |name: &str| name.parse().expect("a name");
    for (name, line) in [
        ("alice", "create_group other"),
        ("carol", "create_group other"),
        ("carol", "join_group team"),
        ("carol", "join_group none"),
        ("carol", "leave_group team"),
    ] {
        world.types(name, line);
        world.run(seconds(1));
    }
    let full = |name| Problem::ServerDiskFullForGroup(group(name));
    assert_eq!(problems(&world, "alice"), [full("other")]);
    let (unknown, stranger) =
        (Problem::NoSuchGroup(group("none")), Problem::NotMember(group("team")));
    assert_eq!(problems(&world, "carol"), [full("other"), full("team"), unknown, stranger]);
    assert_eq!(world.server_record.membership, before, "a refusal takes no room");

    world.types("bob", "send_group team hello");
    world.types("alice", "join_group team");
    world.run(seconds(1));
    assert_eq!(world.texts("alice"), ["hello"]);
    world.types("alice", "leave_group team");
    world.run(seconds(1));
    assert_eq!(world.snapshot().groups, ["team: bob"]);
    world.server_room = DiskSpace::Plenty;
    world.run(seconds(2));
    world.types("carol", "join_group team");
    world.run(seconds(1));
    assert_eq!(world.snapshot().groups, ["team: bob, carol"]);
    let joined = |event: &Event| matches!(event, Event::Group { what: GroupDone::Joined, .. });
    assert_eq!(world.count("carol", joined), 1);
}

#[test]
fn what_a_full_disk_refused_is_answered_again_and_not_done_later() {
    let mut world = full_with_a_group();
    let mut answers = lose_first(1, "server", Kind::GroupAnswer, "carol").into_rule();
    let mut late = true;
    world.rule(move |now, sight| {
        // Another copy of the first request comes when there is room.
        if sight.is("carol", Kind::GroupAsk, "server") && std::mem::take(&mut late) {
            return Verdict::Twice(seconds(10));
        }
        answers(now, sight)
    });
    world.types("carol", "join_group team");
    world.run(Duration::from_millis(100));
    world.server_room = DiskSpace::Plenty;
    world.run(seconds(5));
    let refused = Problem::ServerDiskFullForGroup("team".parse().expect("a name"));
    assert_eq!(problems(&world, "carol"), [refused]);
    world.run(seconds(10));
    assert_eq!(world.snapshot().groups, ["team: alice, bob"]);
    world.types("carol", "join_group team");
    world.run(seconds(1));
    assert_eq!(world.snapshot().groups, ["team: alice, bob, carol"]);
}

#[test]
fn a_client_without_room_accepts_nothing_and_takes_nothing_in() {
    let mut world = World::with(&["alice", "bob"]);
    world.low.push("alice");
    world.types("alice", "send bob one");
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), ["one"], "what was kept goes out");
    world.types("bob", "send alice two");
    world.types("alice", "send bob three");
    world.run(seconds(5));
    let expected = [Problem::DiskFull, Problem::DiskFullForMessages];
    assert_eq!(problems(&world, "alice"), expected);
    assert_eq!(world.texts("alice"), Vec::<String>::new());
    assert_eq!(world.count("bob", is_saved), 1);
    world.low.clear();
    world.run(seconds(5));
    assert_eq!(world.texts("alice"), ["two"], "it recovers by itself");
    world.types("alice", "send bob four");
    world.run(seconds(10));
    assert_eq!(world.texts("bob"), ["one", "four"]);
}

/// Each time that a client runs out of room for messages its user is told so, once.
#[test]
fn a_client_that_is_full_again_says_so_again() {
    let mut world = World::with(&["alice", "bob"]);
    for time in 1..=2 {
        world.low.push("alice");
        // The next commit tells.
        world.types("alice", "send bob hello");
        world.run(seconds(1));
        for text in ["one", "two"] {
            world.types("bob", &format!("send alice {text}"));
            world.run(seconds(5));
        }
        assert_eq!(problems(&world, "alice"), vec![Problem::DiskFullForMessages; time]);
        world.low.clear();
        world.run(seconds(5));
    }
}

/// A server that remembers so many streams, all shown to bob, of zed but for one of aaron's if they
/// do not know it; alice and bob.
fn with_streams(streams: usize, is_told: bool) -> World {
    let mut world = World::without_server();
    let to: Name = "bob".parse().expect("a name");
    for stream in 0..streams as u64 {
        let from = if stream == 0 && !is_told { "aaron" } else { "zed" };
        let key = StreamKey { from: from.parse().expect("a name"), stream: StreamId(stream) };
        let (told, end) = (u64::from(is_told), End::Shown);
        let untold = if is_told { Vec::new() } else { vec![Turn { upto: 1, end }] };
        let standing = Standing { to: to.clone(), settled: 1, told, untold };
        let messages = Vec::new();
        world.server_record.apply(&Change::Settled { key, standing, messages });
    }
    world.start_server();
    world.start("alice", 5_000, 0);
    world.start("bob", 5_001, 0);
    world.loses_every(Kind::Message);
    world.run(seconds(1));
    world
}

#[test]
fn what_whoever_has_most_was_to_be_told_of_a_stream_is_forgotten_with_the_stream() {
    let mut world = with_streams(MAIL_STREAMS_MAX, false);
    let untold = |world: &World| world.server.as_ref().expect("a server").load()[Gauge::Untold];
    assert_eq!(untold(&world), MAIL_STREAMS_MAX);
    world.types("alice", "send bob hello");
    world.run(seconds(10));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(untold(&world), MAIL_STREAMS_MAX - 1, "one had to go");
    let aaron = "aaron to bob: stored to #1, shown to #1, told to #0".to_owned();
    assert!(world.snapshot().streams.contains(&aaron), "not of those who have few");
}

#[test]
fn a_guest_whose_stream_was_forgotten_is_read_all_the_same() {
    let mut world = with_streams(MAIL_STREAMS_MAX - 1, true);
    let guest = "203.0.113.8:4000".parse().expect("an address");
    guests::is_there(&mut world, guest);
    let says = |world: &mut World, request: &str| {
        let bytes = format!(r#"{{"message": "[REQUEST:{request}"}}"#).into_bytes();
        world.inject(guest, world::server_addr(), bytes);
        world.run(seconds(5));
    };
    says(&mut world, "REG] gus");
    says(&mut world, "SAVE] gus bob one");
    says(&mut world, "SAVE] gus bob two");
    world.types("alice", "send bob hello");
    world.run(seconds(10));
    says(&mut world, "SAVE] gus bob three");
    assert_eq!(world.texts("bob"), ["one", "two", "hello", "three"]);
}
