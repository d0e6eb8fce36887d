//! Forged, damaged and misplaced datagrams change nothing. docs/protocol.md, "The promises", 8.

use std::net::SocketAddr;
use std::time::Duration;

use crate::guests;
use crate::world::{self, World};
use udpchat_core::protocol::{Nonce, Packet, PacketKind, SessionId, StreamId, envelope, hello};
use udpchat_core::server::Account;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a client sent last of what `pick` finds, as an eavesdropper sees it.
fn overheard<T>(world: &World, client: &str, pick: impl Fn(Packet) -> Option<T>) -> T {
    let sent = world.wire.iter().rev().filter(|wire| wire.from == client);
    let packets = sent.filter_map(|wire| Some(envelope::decode(&wire.bytes).ok()?.0));
    packets.filter_map(pick).next().expect("such a packet")
}

fn session_of(world: &World, client: &str) -> SessionId {
    overheard(world, client, |packet| match packet {
        Packet::Ping { session } => Some(session),
        _ => None,
    })
}

#[test]
fn nobody_speaks_in_another_ones_stream() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.types("alice", "send bob for bob");
    world.run(seconds(1));
    // Bob knows alice's stream to him, and says under its name what alice did not.
    let session = session_of(&world, "bob");
    let stream = overheard(&world, "alice", |packet| match packet {
        Packet::Message { stream, .. } => Some(stream),
        _ => None,
    });
    for (seq, base) in [(2, 1), (3, 2)] {
        let to = "carol".parse().unwrap();
        let save = Packet::Save { session, to, stream, seq, base, unreachable: false, group: None };
        let (bob, server) = (world.addr("bob"), world::server_addr());
        world.inject(bob, server, envelope::encode(&save, b"forged"));
    }
    world.run(seconds(1));
    for text in ["two", "three", "four"] {
        world.types("alice", &format!("send bob {text}"));
    }
    world.types("carol", "dereg carol");
    world.run(seconds(1));
    world.types("alice", "send carol from alice");
    world.run(seconds(1));
    world.types("carol", "reg carol");
    world.run(seconds(3));
    assert_eq!(world.texts("bob"), ["for bob", "two", "three", "four"]);
    let of_alice = world.shown("carol").into_iter().filter(|(from, _)| from == "alice");
    let texts: Vec<String> = of_alice.map(|(_, text)| text).collect();
    assert_eq!(texts, ["from alice"]);
}

#[test]
fn a_request_counts_only_from_the_address_of_its_session() {
    let mut world = World::with(&["alice", "bob"]);
    let session = session_of(&world, "alice");
    let mallory = "203.0.113.9:4000".parse().unwrap();
    for packet in [Packet::Deregister { session }, Packet::Ping { session: SessionId(1) }] {
        world.inject(mallory, world::server_addr(), envelope::encode(&packet, b""));
    }
    world.run(seconds(1));
    assert!(world.snapshot().clients.iter().all(|line| line.contains("online")));
}

#[test]
fn peers_are_believed_only_at_their_address() {
    let mut world = World::with(&["alice", "bob"]);
    let bob = world.addr("bob");
    let mallory = "203.0.113.9:4000".parse().unwrap();
    let forged = Packet::Message {
        from: "alice".parse().unwrap(),
        to: "bob".parse().unwrap(),
        stream: StreamId(77),
        seq: 1,
        base: 1,
        group: None,
    };
    world.inject(mallory, bob, envelope::encode(&forged, b"I am alice"));
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), Vec::<String>::new());
}

#[test]
fn whoever_takes_over_an_address_reads_nothing_of_who_had_it() {
    for direct in [true, false] {
        let mut world = World::with(&["alice", "bob"]);
        if !direct {
            world.loses_every(PacketKind::Message);
        }
        let port = world.addr("bob").port();
        world.kill("bob");
        world.start("carol", port, 0);
        world.run(seconds(1));
        world.types("alice", "send bob for bob");
        world.run(seconds(10));
        assert_eq!(world.texts("carol"), Vec::<String>::new());
        world.start("bob", port + 10, 0);
        world.run(seconds(20));
        assert_eq!(world.texts("bob"), ["for bob"]);
    }
}

/// Somebody registers under a name with the token that accounts of guests have.
fn registers_as_guests(world: &mut World, from: SocketAddr, name: &str, registration: u64) {
    world.inject(from, world::server_addr(), hello::encode(Nonce(1)));
    world.run(Duration::from_millis(100));
    let cookie = overheard(world, "server", |packet| match packet {
        Packet::Challenge { cookie, .. } => Some(cookie),
        _ => None,
    });
    let (name, token) = (name.parse().expect("a name"), Account::GUEST);
    let register = Packet::Register { name, token, registration, nonce: Nonce(1), cookie };
    world.inject(from, world::server_addr(), envelope::encode(&register, b""));
    world.run(Duration::from_millis(100));
}

#[test]
fn no_number_is_too_high_to_be_counted_on() {
    let mut world = World::with(&["alice"]);
    let mallory = "203.0.113.9:4000".parse().unwrap();
    guests::is_there(&mut world, mallory);
    // A guest may have that name.
    registers_as_guests(&mut world, mallory, "mallory", u64::MAX);
    let as_guest = br#"{"message": "[REQUEST:REG] mallory"}"#.to_vec();
    world.inject(mallory, world::server_addr(), as_guest);
    world.run(seconds(1));
    world.types("alice", "send alice still there?");
    world.run(seconds(1));
    assert_eq!(world.texts("alice"), ["still there?"]);
}

#[test]
fn a_guest_keeps_its_name_from_who_knows_its_address() {
    let mut world = World::with(&["alice"]);
    let guest: SocketAddr = "203.0.113.8:4000".parse().unwrap();
    guests::is_there(&mut world, guest);
    let as_guest = br#"{"message": "[REQUEST:REG] gus"}"#.to_vec();
    world.inject(guest, world::server_addr(), as_guest);
    world.run(Duration::from_millis(100));
    let mallory = "203.0.113.9:4000".parse().unwrap();
    registers_as_guests(&mut world, mallory, "gus", 7);
    let here = guest.to_string();
    let clients = world.snapshot().clients;
    assert!(clients.iter().any(|line| line.contains(&here)), "{clients:?}");
}

#[test]
fn a_stream_to_two_readers_blocks_the_mailbox_of_neither() {
    let mut world = World::with(&["alice", "bob", "carol", "mallory"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    let session = session_of(&world, "mallory");
    let (mallory, server) = (world.addr("mallory"), world::server_addr());
    // The first comes last, and is for somebody else.
    for seq in (2..=17).chain([1]) {
        let to = if seq == 1 { "carol" } else { "bob" }.parse().unwrap();
        let (stream, base, unreachable) = (StreamId(77), 1, false);
        let save = Packet::Save { session, to, stream, seq, base, unreachable, group: None };
        world.inject(mallory, server, envelope::encode(&save, b"spam"));
        world.run(Duration::from_millis(20));
    }
    world.types("alice", "send bob hello");
    world.run(seconds(5));
    world.types("bob", "reg bob");
    world.run(seconds(5));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.texts("carol"), ["spam"]);
}

#[test]
fn any_bytes_are_survived() {
    let mut world = World::with(&["alice", "bob"]);
    let (alice, bob) = (world.addr("alice"), world.addr("bob"));
    let server = world::server_addr();
    let mut state = 1_u64;
    for n in 0..20_000_usize {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = (state >> 40) as usize % 64;
        let mut bytes: Vec<u8> =
            (0..length).map(|at| (state >> (at % 57)) as u8 ^ (at as u8)).collect();
        if n % 3 == 0 {
            bytes.insert(0, b'{');
        }
        let (from, to) = [(alice, server), (server, alice), (alice, bob)][n % 3];
        world.inject(from, to, bytes);
        if n % 1_000 == 0 {
            world.run(Duration::from_millis(20));
        }
    }
    world.types("alice", "send bob still there?");
    world.run(seconds(2));
    assert_eq!(world.texts("bob"), ["still there?"]);
}
