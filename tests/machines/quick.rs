//! What a server answers at once does not wait behind what it has to store.
//! docs/storage.md, "A commit".

use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::load::Gauge;
use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket};
use udpchat_core::protocol::limits::{MAILBOX_MAX, WAITING_OUTPUTS_MAX};
use udpchat_core::protocol::{
    Cookie, Nonce, Packet, PacketKind as Kind, SessionId, StoreId, StreamId, Token, envelope, hello,
};
use udpchat_core::server::{
    Change, Command, Event, Guests, Server, ServerConfig, ServerRecord, Shares,
};
use udpchat_core::store::{Committed, DiskSpace};
use udpchat_core::time::{Now, Time, WallTime};

/// A server, and a client that is no more than an address.
struct Wire {
    server: Server,
    from: SocketAddr,
    session: SessionId,
}

fn now() -> Now {
    Now { time: Time::ZERO, wall: WallTime::from_unix_ms(0) }
}

/// Asks for a name, the same way each time.
fn registration(name: &str, cookie: Cookie) -> Vec<u8> {
    let name = name.parse().expect("a name");
    let register =
        Packet::Register { name, token: Token(1), registration: 1, nonce: Nonce(1), cookie };
    envelope::encode(&register, b"")
}

impl Wire {
    /// With bob and alice signed in, who share an address and alice's session counts.
    fn new() -> Self {
        let mut draws = 0;
        let entropy = Entropy::new(move || {
            draws += 1;
            draws
        });
        let config = ServerConfig {
            original: Guests::Off,
            keep: Some(Duration::from_secs(3_600)),
            shares: Shares { mailbox_per_sender: MAILBOX_MAX, ..Shares::default() },
        };
        let server = Server::new(config, ServerRecord::new(StoreId(1)), entropy);
        let from = ([192, 0, 2, 1], 5_000).into();
        let mut wire = Self { server, from, session: SessionId(0) };
        let cookie = wire.cookie();
        for name in ["bob", "alice"] {
            wire.session = wire.register(name, cookie);
            let ping = Packet::Ping { session: wire.session };
            wire.answers(&envelope::encode(&ping, b""));
        }
        wire
    }

    fn cookie(&mut self) -> Cookie {
        match &self.answers(&hello::encode(Nonce(1)))[..] {
            [Packet::Challenge { cookie, .. }] => *cookie,
            other => panic!("{other:?}"),
        }
    }

    fn register(&mut self, name: &str, cookie: Cookie) -> SessionId {
        match &self.answers(&registration(name, cookie))[..] {
            [Packet::Registered { session, .. }, ..] => *session,
            other => panic!("{other:?}"),
        }
    }

    fn hears(&mut self, bytes: &[u8]) {
        let datagram = Datagram { socket: Socket::Main, local: None, from: self.from, bytes };
        self.server.handle_datagram(now(), datagram);
        self.server.check_invariants();
    }

    fn hears_save(&mut self, seq: u64) {
        let to = "bob".parse().expect("a name");
        let (session, stream) = (self.session, StreamId(7));
        let unreachable = false;
        let save = Packet::Save { session, to, stream, seq, base: 1, unreachable, group: None };
        self.hears(&envelope::encode(&save, b"hello"));
    }

    /// What it answers, whatever it has to commit for that.
    fn answers(&mut self, bytes: &[u8]) -> Vec<Packet> {
        self.hears(bytes);
        let mut packets = Vec::new();
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    packets.push(envelope::decode(&transmit.bytes).expect("a packet").0);
                }
                Output::Commit(_) => {
                    let committed = Committed { commits: 1, room: DiskSpace::Plenty };
                    self.server.handle_committed(now(), committed);
                }
                Output::Event(_) => {}
            }
        }
        packets
    }

    fn at_once(&mut self) -> Option<Kind> {
        self.server.poll_at_once().map(|transmit| transmit.identity.kind)
    }
}

fn kind<E, C>(output: Output<E, C>) -> Option<Kind> {
    match output {
        Output::Transmit(transmit) => Some(transmit.identity.kind),
        Output::Event(_) | Output::Commit(_) => None,
    }
}

#[test]
fn a_ping_overtakes_what_is_to_be_stored() {
    let mut wire = Wire::new();
    (1..=3).for_each(|seq| wire.hears_save(seq));
    let ping = Packet::Ping { session: wire.session };
    wire.hears(&envelope::encode(&ping, b""));
    assert_eq!(wire.at_once(), Some(Kind::Pong));
    assert_eq!(wire.at_once(), None);
    let mut stored = 0;
    while let Some(output) = wire.server.poll_output() {
        if let Output::Commit(changes) = output {
            stored += changes.len();
        }
    }
    assert_eq!(stored, 3, "and it is stored all the same");
}

#[test]
fn saves_that_share_a_commit_share_an_answer() {
    let mut wire = Wire::new();
    (1..=3).for_each(|seq| wire.hears_save(seq));
    let outputs = std::iter::from_fn(|| wire.server.poll_output());
    let commits = outputs.filter(|output| matches!(output, Output::Commit(_))).count();
    assert_eq!(commits, 3);
    assert_eq!(wire.at_once(), None, "not before it is durable");
    // The first one ends, then the others together.
    for (commits, deliveries) in [(1, 1), (2, 2)] {
        wire.server.handle_committed(now(), Committed { commits, room: DiskSpace::Plenty });
        for _ in 0..deliveries {
            assert_eq!(wire.at_once(), Some(Kind::Deliver), "to bob");
        }
        assert_eq!(wire.at_once(), None, "bob gets nothing that is not durable");
        let said = std::iter::from_fn(|| wire.server.poll_output());
        let kinds: Vec<Kind> = said.filter_map(kind).collect();
        assert_eq!(kinds, [Kind::Saved]);
    }
}

#[test]
fn what_had_to_wait_is_stored_as_of_when_it_came() {
    let mut wire = Wire::new();
    wire.hears_save(1);
    let (time, wall) = (Time::ZERO + Duration::from_secs(1), WallTime::from_unix_ms(1_000));
    wire.server.handle_timeout(Now { time, wall });
    let mut outputs = std::iter::from_fn(|| wire.server.poll_output());
    let stored = outputs.find_map(|output| match output {
        Output::Commit(changes) => changes.into_iter().find_map(|change| match change {
            Change::Stored { message, .. } => Some(message.stored_at),
            _ => None,
        }),
        _ => None,
    });
    assert_eq!(stored, Some(now().wall));
    wire.server.check_invariants();
}

#[test]
fn room_is_waited_for_until_there_is_enough() {
    let mut wire = Wire::new();
    (1..=2).for_each(|seq| wire.hears_save(seq));
    let outputs = std::iter::from_fn(|| wire.server.poll_output());
    assert_eq!(outputs.filter(|output| matches!(output, Output::Commit(_))).count(), 2);
    for room in [DiskSpace::Low, DiskSpace::Plenty] {
        wire.server.handle_committed(now(), Committed { commits: 1, room });
        wire.server.check_invariants();
    }
}

#[test]
fn a_flood_of_saves_is_carried_out_as_it_comes() {
    let mut wire = Wire::new();
    (1..=1_000).for_each(|seq| wire.hears_save(seq));
    wire.server.handle_command(now(), Command::Stop);
    let committed =
        std::iter::from_fn(|| wire.server.poll_output()).find_map(|output| match output {
            Output::Commit(changes) => Some(changes.len()),
            _ => None,
        });
    assert!(committed.is_some_and(|changes| changes > 700), "{committed:?}");
}

#[test]
fn a_server_that_was_told_to_stop_ends_under_any_load() {
    let mut wire = Wire::new();
    wire.hears_save(1);
    wire.server.handle_command(now(), Command::Stop);
    let mut under_way = 0;
    for seq in 2..10 {
        // One more comes, then what was under way ends.
        let commits = under_way;
        wire.hears_save(seq);
        let outputs = std::iter::from_fn(|| wire.server.poll_output());
        under_way = outputs.filter(|output| matches!(output, Output::Commit(_))).count() as u64;
        wire.server.handle_committed(now(), Committed { commits, room: DiskSpace::Plenty });
        while wire.server.poll_output().is_some() {}
    }
    assert!(wire.server.is_finished());
}

#[test]
fn a_disk_that_stands_still_stops_no_keep_alive() {
    let mut wire = Wire::new();
    let again = registration("alice", wire.cookie());
    wire.hears_save(1);
    while wire.server.poll_output().is_some() {} // The commit does not end.
    for _ in 0..2 * WAITING_OUTPUTS_MAX {
        wire.hears(&again); // Answered once it has.
    }
    let waiting = wire.server.load()[Gauge::Outputs];
    assert!(waiting >= WAITING_OUTPUTS_MAX, "{waiting}");
    let session = wire.session;
    for (bytes, answer) in [
        (hello::encode(Nonce(1)), Kind::Challenge),
        (envelope::encode(&Packet::Ping { session }, b""), Kind::Pong),
        (envelope::encode(&Packet::Ping { session: SessionId(0) }, b""), Kind::Unknown),
    ] {
        wire.hears(&bytes);
        assert_eq!(wire.at_once(), Some(answer));
        while wire.at_once().is_some() {}
    }
    wire.hears_save(2);
    wire.hears(&envelope::encode(&Packet::Deregister { session }, b""));
    assert!(wire.server.poll_output().is_none(), "nothing more is to be stored");
    assert_eq!(wire.server.load()[Gauge::Outputs], waiting);
}

#[test]
fn a_commit_that_finds_no_room_is_known_before_it_ends() {
    let mut wire = Wire::new();
    wire.hears_save(1);
    while wire.server.poll_output().is_some() {}
    wire.server.handle_committed(now(), Committed::LITTLE_ROOM);
    let told = wire.server.poll_output();
    assert_eq!(told, Some(Output::Event(Event::DiskSpace(DiskSpace::Low))));
    wire.hears_save(2);
    assert_eq!(wire.server.poll_output().and_then(kind), Some(Kind::NotSaved));
    assert!(wire.server.poll_output().is_none(), "nothing of the first one yet");
    wire.server.handle_committed(now(), Committed { commits: 1, room: DiskSpace::Plenty });
    let said = std::iter::from_fn(|| wire.server.poll_output());
    let kinds: Vec<Kind> = said.filter_map(kind).collect();
    assert_eq!(kinds, [Kind::Deliver, Kind::Saved]);
}

#[test]
fn a_server_that_was_told_to_stop_does_not_wait_for_room() {
    let mut wire = Wire::new();
    wire.hears_save(1);
    while wire.server.poll_output().is_some() {}
    wire.server.handle_command(now(), Command::Stop);
    assert!(!wire.server.is_finished());
    wire.server.handle_committed(now(), Committed::LITTLE_ROOM);
    assert!(wire.server.is_finished());
}
