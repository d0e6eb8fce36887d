//! What a client has kept is for one server, and stays on its way there over restarts.
//! docs/protocol.md, "Sending" and "Stored messages".

use std::net::SocketAddr;

use udpchat_core::client::{Event, Home, Problem};
use udpchat_core::protocol::{PacketKind as Kind, StoreId};

use crate::world::{Verdict, World, server_addr};
use crate::{is_read_later, seconds};

/// A world in which the server keeps a message of alice's for bob, who is away.
fn with_mail() -> World {
    let mut world = World::with(&["alice", "bob"]);
    world.kill("bob");
    world.types("alice", "send bob one");
    world.run(seconds(20));
    assert_eq!(world.count("alice", |event| matches!(event, Event::Saved { .. })), 1);
    world
}

fn elsewhere() -> SocketAddr {
    ([192, 0, 2, 77], 9_000).into()
}

fn saves(world: &World) -> usize {
    world.sent("alice", Kind::Save, "server")
}

#[test]
fn what_waits_for_another_server_is_not_sent_here_and_is_kept() {
    let mut world = with_mail();
    let before = saves(&world);
    let home = Home { server: elsewhere(), store: StoreId(77) };
    world.restart_with("alice", |record| record.home = Some(home));
    world.types("alice", "send bob two");
    world.run(seconds(20));
    let problem = Event::Error(Problem::KeptForAnother(elsewhere()));
    assert_eq!(world.count("alice", |event| *event == problem), 1);
    assert_eq!(world.count("alice", |event| *event == Event::Left { complete: false }), 1);
    assert_eq!(saves(&world), before);
    let record = world.client_record("alice");
    assert_eq!(record.outgoing.values().map(|outgoing| outgoing.unsettled.len()).sum::<usize>(), 1);
    assert_eq!(record.home, Some(home));
}

#[test]
fn with_nothing_kept_any_server_will_do() {
    let mut world = World::with(&["alice"]);
    let home = Home { server: elsewhere(), store: StoreId(77) };
    world.restart_with("alice", |record| record.home = Some(home));
    world.run(seconds(2));
    assert_eq!(world.count("alice", |event| matches!(event, Event::Registered { .. })), 1);
    assert_eq!(world.client_record("alice").home.map(|home| home.server), Some(server_addr()));
}

#[test]
fn a_server_that_has_moved_is_the_same() {
    let mut world = with_mail();
    let store = world.server_record.store;
    world.restart_with("alice", |record| record.home = Some(Home { server: elsewhere(), store }));
    world.start("bob", 6_000, 0);
    world.run(seconds(5));
    assert_eq!(world.count("alice", is_read_later), 1);
}

#[test]
fn what_was_saved_stays_with_the_server_when_its_sender_restarts() {
    let mut world = World::with(&["alice", "bob"]);
    world.kill_server();
    world.keep = seconds(60);
    world.start_server();
    world.run(seconds(6));
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob one");
    world.run(seconds(40));
    world.types("alice", "send bob two");
    world.run(seconds(1));
    world.types("alice", "dereg alice");
    world.run(seconds(25)); // The first has expired.
    world.types("bob", "reg bob");
    world.run(seconds(2));
    let until = world.now + seconds(2);
    world.rule(move |now, sight| {
        let expired = sight.identity.kind == Kind::Expired;
        if expired && now < until { Verdict::Lose } else { Verdict::Pass }
    });
    world.restart("alice");
    world.run(seconds(10));
    assert_eq!(world.sent("alice", Kind::Message, "bob"), 0);
    assert_eq!(world.count("alice", |event| matches!(event, Event::Expired { .. })), 1);
    assert_eq!(world.count("alice", is_read_later), 1, "of the second alone");
}
