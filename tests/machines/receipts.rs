//! What senders are told of the messages that a server kept for them.
//! docs/protocol.md, "Stored messages".

use std::collections::BTreeSet;

use udpchat_core::client::Event;
use udpchat_core::load::Gauge;
use udpchat_core::protocol::limits::TELLS_AT_ONCE;
use udpchat_core::protocol::{Name, PacketKind as Kind, StreamId, StreamKey};
use udpchat_core::server::{self, Change, End, GoneReason, Standing, Turn};
use udpchat_core::store::Record as _;

use crate::guests;
use crate::seconds;
use crate::world::{self, Verdict, World};

fn is_read_later(event: &Event) -> bool {
    matches!(event, Event::ReadLater { .. })
}

#[test]
fn a_sender_whose_name_an_original_wanted_meanwhile_is_told_what_was_read() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob one");
    world.run(seconds(1));
    world.types("alice", "dereg alice");
    world.run(seconds(1));
    world.types("bob", "reg bob");
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), ["one"]);
    let guest = "203.0.113.8:4000".parse().expect("an address");
    guests::is_there(&mut world, guest);
    for request in ["REG] alice", "SAVE] alice bob two"] {
        let bytes = format!(r#"{{"message": "[REQUEST:{request}"}}"#).into_bytes();
        world.inject(guest, world::server_addr(), bytes);
        world.run(seconds(1));
    }
    assert_eq!(world.texts("bob"), ["one"]);
    world.types("alice", "reg alice");
    world.run(seconds(5));
    assert_eq!(world.count("alice", is_read_later), 1);
}

#[test]
fn nobody_waits_for_a_word_of_what_a_guest_sent() {
    let mut world = World::with(&["bob"]);
    let guest = "203.0.113.8:4000".parse().expect("an address");
    guests::is_there(&mut world, guest);
    for request in ["REG] gus", "SAVE] gus bob hello", "DEREG] gus"] {
        let bytes = format!(r#"{{"message": "[REQUEST:{request}"}}"#).into_bytes();
        world.inject(guest, world::server_addr(), bytes);
        world.run(seconds(1));
    }
    assert_eq!(world.texts("bob"), ["hello"]);
    let untold = world.server.as_ref().expect("a server").load()[Gauge::Untold];
    assert_eq!(untold, 0, "of what the original sent nobody waits for a word");
}

/// A server that knows what has become of messages of so many streams, and does not know whether
/// alice knows.
fn with_news(streams: u64) -> World {
    let mut world = World::without_server();
    let alice: Name = "alice".parse().expect("a name");
    let to: Name = "bob".parse().expect("a name");
    for stream in 0..streams {
        let key = StreamKey { from: alice.clone(), stream: StreamId(stream) };
        let untold = vec![Turn { upto: 1, end: End::Shown }];
        let standing = Standing { to: to.clone(), settled: 1, told: 0, untold };
        let messages = Vec::new();
        world.server_record.apply(&Change::Settled { key, standing, messages });
    }
    world.start_server();
    world
}

#[test]
fn a_sender_that_answers_nothing_is_told_of_few_streams_at_a_time() {
    let few = TELLS_AT_ONCE as u64;
    let mut world = with_news(10 * few);
    world.loses_every(Kind::HandedOver);
    world.start("alice", 5_000, 0);
    world.run(seconds(10));
    let told = world.log.iter().filter(|(_, sight)| sight.identity.kind == Kind::HandedOver);
    let streams: BTreeSet<_> = told.filter_map(|(_, sight)| sight.identity.message).collect();
    assert_eq!(streams.len() as u64, few);
}

#[test]
fn a_sender_that_answers_is_told_of_every_stream() {
    let streams = 10 * TELLS_AT_ONCE as u64;
    let mut world = with_news(streams);
    world.start("alice", 5_000, 0);
    world.run(seconds(5));
    assert_eq!(world.sent("server", Kind::HandedOver, "alice") as u64, streams);
    assert_eq!(world.server.as_ref().expect("a server").load()[Gauge::Untold], 0);
}

#[test]
fn a_sender_that_leaves_while_it_is_told_is_told_when_it_is_back() {
    let mut world = with_news(3);
    world.rule(|now, sight| {
        let now = now.since_start();
        let is_away = sight.from == "alice" && (seconds(2)..seconds(20)).contains(&now);
        let is_news = sight.identity.kind == Kind::HandedOver && now < seconds(25);
        if is_away || is_news { Verdict::Lose } else { Verdict::Pass }
    });
    world.start("alice", 5_000, 0);
    world.run(seconds(21));
    let name = "alice".parse().expect("a name");
    let gone = server::Event::Gone { name, reason: GoneReason::LeaseExpired };
    assert!(world.server_events.contains(&gone));
    world.run(seconds(9));
    assert_eq!(world.server.as_ref().expect("a server").load()[Gauge::Untold], 0);
}
