//! What one name, one address, or a flood of changes may have of a server. Each fence is shown to
//! be the one that holds: without it the same attack gets through.
//! docs/protocol.md, "The table" and "Shares".

use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket};
use udpchat_core::mutation::{Mutation, Mutations};
use udpchat_core::protocol::{
    Nonce, Packet, PacketKind as Kind, SessionId, StoreId, Token, envelope, hello,
};
use udpchat_core::server::{Guests, Server, ServerConfig, ServerRecord};
use udpchat_core::store::{Committed, DiskSpace};
use udpchat_core::time::{Now, Time, WallTime};

/// The fence that is taken out, if any.
#[derive(Clone, Copy, Debug)]
struct Without(Option<Mutation>);

impl Mutations for Without {
    fn has(&self, mutation: Mutation) -> bool {
        self.0 == Some(mutation)
    }
}

/// A server, and clients that are no more than addresses.
struct Rig {
    server: Server<Without>,
    time: Time,
    /// What it has sent so far.
    sent: Vec<(SocketAddr, Packet)>,
}

impl Rig {
    fn new(without: Option<Mutation>) -> Self {
        let mut draws = 0;
        let entropy = Entropy::new(move || {
            draws += 1;
            draws
        });
        let config = ServerConfig { original: Guests::Off, keep: None };
        let record = ServerRecord::new(StoreId(1));
        let server = Server::with_bugs(config, record, entropy, Without(without));
        Self { server, time: Time::ZERO, sent: Vec::new() }
    }

    fn now(&self) -> Now {
        Now { time: self.time, wall: WallTime::from_unix_ms(0) }
    }

    fn drain(&mut self) {
        self.server.check_invariants();
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    let (packet, _) = envelope::decode(&transmit.bytes).expect("a packet");
                    self.sent.push((transmit.to, packet));
                }
                Output::Commit(_) => {
                    let committed = Committed { commits: 1, room: DiskSpace::Plenty };
                    self.server.handle_committed(self.now(), committed);
                }
                Output::Event(_) => {}
            }
        }
    }

    /// What a client is answered at once.
    fn asks(&mut self, from: SocketAddr, packet: &Packet) -> Vec<Packet> {
        self.hears(from, &envelope::encode(packet, b""))
    }

    fn hears(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Packet> {
        let before = self.sent.len();
        let datagram = Datagram { socket: Socket::Main, local: None, from, bytes };
        self.server.handle_datagram(self.now(), datagram);
        self.drain();
        let answers = self.sent[before..].iter().filter(|(to, _)| *to == from);
        answers.map(|(_, packet)| packet.clone()).collect()
    }

    /// Time passes, and clients at these addresses acknowledge every part of the table.
    fn passes(&mut self, duration: Duration, acknowledge: bool) {
        let end = self.time + duration;
        while let Some(due) = self.server.next_timeout().filter(|due| *due <= end) {
            self.time = self.time.max(due);
            let before = self.sent.len();
            self.server.handle_timeout(self.now());
            self.drain();
            if acknowledge {
                self.acknowledge(before);
            }
        }
        self.time = end;
    }

    /// Whoever was sent a part of the table acknowledges it, from this one on.
    fn acknowledge(&mut self, mut from: usize) {
        while from < self.sent.len() {
            let (to, packet) = self.sent[from].clone();
            if let Packet::Table { session, table, to: version, .. } = packet {
                self.asks(to, &Packet::TableAck { session, table, version });
            }
            from += 1;
        }
    }

    /// What an address is answered that wants a name.
    fn wants(&mut self, from: SocketAddr, name: &str) -> Packet {
        self.comes(from, name, 1)
    }

    /// The same with its so-many-th registration.
    fn comes(&mut self, from: SocketAddr, name: &str, registration: u64) -> Packet {
        let cookie = match &self.hears(from, &hello::encode(Nonce(1)))[..] {
            [Packet::Challenge { cookie, .. }] => *cookie,
            other => panic!("{other:?}"),
        };
        let (name, token) = (name.parse().expect("a name"), Token(from.port().into()));
        let register = Packet::Register { name, token, registration, cookie };
        self.asks(from, &register).swap_remove(0)
    }

    /// A client registers, and has the table.
    fn joins(&mut self, from: SocketAddr, name: &str) -> SessionId {
        let before = self.sent.len();
        let Packet::Registered { session, .. } = self.wants(from, name) else {
            panic!("{name} is refused");
        };
        self.asks(from, &Packet::Ping { session });
        self.acknowledge(before);
        session
    }

    fn count(&self, kind: Kind) -> usize {
        self.sent.iter().filter(|(_, packet)| packet.kind() == kind).count()
    }
}

fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// Parts of the table that `clients` are sent within 3 s while somebody comes and goes 100 times a
/// second: 200 changes.
fn parts_of_a_flood(clients: u16, without: Option<Mutation>) -> usize {
    let mut rig = Rig::new(without);
    for client in 1..=clients {
        rig.joins(addr(client.to_le_bytes()[0], client), &format!("client-{client}"));
    }
    rig.passes(Duration::from_secs(5), true);
    rig.sent.clear();
    for n in 1..=300 {
        let before = rig.sent.len();
        let Packet::Registered { session, .. } = rig.comes(addr(250, 1), "mallory", n) else {
            panic!("mallory is refused");
        };
        rig.asks(addr(250, 1), &Packet::Deregister { session });
        rig.acknowledge(before);
        rig.passes(Duration::from_millis(10), true);
    }
    rig.count(Kind::Table)
}

#[test]
fn many_changes_of_the_table_are_told_in_rounds() {
    for clients in [1, 20] {
        let parts = parts_of_a_flood(clients, None);
        assert!(parts <= 16 * usize::from(clients), "{parts} parts to {clients}");
        let parts = parts_of_a_flood(clients, Some(Mutation::TellsEachChange));
        assert!(parts >= 500 * usize::from(clients), "{parts} parts to {clients}");
    }
}

#[test]
fn a_lone_change_of_the_table_is_told_at_once() {
    let mut rig = Rig::new(None);
    rig.joins(addr(1, 1), "alice");
    rig.passes(Duration::from_secs(1), true);
    rig.sent.clear();
    rig.wants(addr(2, 2), "bob");
    assert_eq!(rig.count(Kind::Table), 1);
}
