//! What senders are told of the messages that a server kept for them.
//! docs/protocol.md, "Stored messages".

use udpchat::client::Event;
use udpchat::load::Gauge;

use crate::seconds;
use crate::world::{self, World};

fn is_read_later(event: &Event) -> bool {
    matches!(event, Event::ReadLater { .. })
}

#[test]
fn a_sender_whose_name_an_original_had_meanwhile_is_told_what_was_read() {
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
    for request in ["REG] alice", "SAVE] alice bob two"] {
        let bytes = format!(r#"{{"message": "[REQUEST:{request}"}}"#).into_bytes();
        world.inject(guest, world::server_addr(), bytes);
        world.run(seconds(1));
    }
    assert_eq!(world.texts("bob"), ["one", "two"]);
    assert_eq!(world.count("alice", is_read_later), 0);
    world.types("alice", "reg alice");
    world.run(seconds(5));
    assert_eq!(world.count("alice", is_read_later), 1);
    let untold = world.server.as_ref().expect("a server").load()[&Gauge::Untold];
    assert_eq!(untold, 0, "of what the original sent nobody waits for a word");
}
