//! What one name, one address, or a flood of changes may have of a server. Each fence is shown to
//! be the one that holds: without it the same attack gets through.
//! docs/protocol.md, "The table" and "Shares".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket};
use udpchat_core::mutation::Mutation;
use udpchat_core::protocol::limits::{GROUPS_PER_NAME, MAILBOX_PER_SENDER};
use udpchat_core::protocol::{
    GroupAnswer, GroupAsk, Name, Nonce, NotSaved, Packet, PacketKind as Kind, Refusal, SessionId,
    StoreId, StreamId, Token, envelope, hello,
};
use udpchat_core::server::timing::{NEW_NAME_EVERY, TABLE_CLIENTS_AT_ONCE, TABLE_CLIENTS_PAUSE};
use udpchat_core::server::{Guests, Server, ServerConfig, ServerRecord, Shares};
use udpchat_core::store::{Committed, DiskSpace};
use udpchat_core::time::{Now, Time, WallTime};

use crate::without::Without;

/// A server, and clients that are no more than addresses.
struct Rig {
    server: Server<Without>,
    time: Time,
    /// What its disk has room for.
    room: DiskSpace,
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
        let config = ServerConfig { original: Guests::Off, keep: None, shares: Shares::default() };
        let record = ServerRecord::new(StoreId(1));
        let server = Server::with_bugs(config, record, entropy, Without(without));
        Self { server, time: Time::ZERO, room: DiskSpace::Plenty, sent: Vec::new() }
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
                    let committed = Committed { commits: 1, room: self.room };
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

    /// Everybody says again which version of the table they have.
    fn acknowledge_again(&mut self) {
        let last: BTreeMap<SocketAddr, Packet> = self
            .sent
            .iter()
            .filter_map(|(to, packet)| match *packet {
                Packet::Table { session, table, to: version, .. } => {
                    Some((*to, Packet::TableAck { session, table, version }))
                }
                _ => None,
            })
            .collect();
        for (from, ack) in last {
            self.asks(from, &ack);
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
        let nonce = Nonce(1);
        let register = Packet::Register { name, token, registration, nonce, cookie };
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

    fn saves(&mut self, from: SocketAddr, session: SessionId, seq: u64) {
        let (to, stream) = ("bob".parse().expect("a name"), StreamId(from.port().into()));
        let unreachable = false;
        let save = Packet::Save { session, to, stream, seq, base: seq, unreachable, group: None };
        self.hears(from, &envelope::encode(&save, b"hello"));
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
    let told = rig.count(Kind::Table);
    for n in 1..=300 {
        let before = rig.sent.len();
        let Packet::Registered { session, .. } = rig.comes(addr(250, 1), "mallory", n) else {
            panic!("mallory is refused");
        };
        rig.asks(addr(250, 1), &Packet::Deregister { session });
        rig.acknowledge(before);
        rig.passes(Duration::from_millis(10), true);
        // Who says it twice is told no sooner.
        rig.acknowledge_again();
    }
    rig.count(Kind::Table) - told
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

#[test]
fn of_many_clients_a_few_are_told_at_a_time() {
    let mut rig = Rig::new(Some(Mutation::NoNameShare));
    let clients = 3 * TABLE_CLIENTS_AT_ONCE;
    for client in 0..clients {
        let port = u16::try_from(client + 1).expect("few");
        rig.joins(addr(1, port), &format!("client-{client}"));
    }
    rig.passes(Duration::from_secs(5), true);
    for n in 0..3 {
        rig.sent.clear();
        rig.comes(addr(250, 1), "mallory", n);
        assert_eq!(rig.count(Kind::Table), TABLE_CLIENTS_AT_ONCE);
        rig.acknowledge(0);
        rig.passes(2 * TABLE_CLIENTS_PAUSE, true);
        assert_eq!(rig.count(Kind::Table), clients, "mallory has not shown a session");
        rig.passes(Duration::from_secs(5), true);
    }
}

#[test]
fn those_who_never_acknowledge_keep_nobody_from_being_told() {
    let mut rig = Rig::new(Some(Mutation::NoNameShare));
    for client in 0..2 * TABLE_CLIENTS_AT_ONCE {
        let at = addr(1, u16::try_from(client + 1).expect("few"));
        let Packet::Registered { session, .. } = rig.wants(at, &format!("mute-{client}")) else {
            panic!("it is refused");
        };
        rig.asks(at, &Packet::Ping { session });
    }
    rig.passes(Duration::from_secs(1), false);
    rig.joins(addr(2, 1), "zoe");
    rig.passes(Duration::from_secs(1), false);
    rig.sent.clear();
    rig.wants(addr(3, 1), "bob");
    rig.passes(Duration::from_secs(1), false);
    let tells_zoe = |(to, packet): &(_, Packet)| *to == addr(2, 1) && packet.kind() == Kind::Table;
    assert!(rig.sent.iter().any(tells_zoe));
}

/// How many of 250 messages to bob alice gets stored, and one of carol's then.
fn stored(without: Option<Mutation>) -> (usize, usize) {
    let mut rig = Rig::new(without);
    let [alice, _, carol] = [1, 2, 3].map(|host| addr(host, host.into()));
    let sessions = ["alice", "bob", "carol"].map(|name| {
        let host = name.as_bytes()[0] - b'a' + 1;
        rig.joins(addr(host, host.into()), name)
    });
    rig.asks(addr(2, 2), &Packet::Deregister { session: sessions[1] });
    for seq in 1..=250 {
        rig.saves(alice, sessions[0], seq);
    }
    let refused = rig.sent.iter().filter(|(to, packet)| {
        let full = matches!(packet, Packet::NotSaved { reason: NotSaved::ShareFull, .. });
        full && *to == alice
    });
    let stored = 250 - refused.count();
    rig.saves(carol, sessions[2], 1);
    (stored, rig.server.stats().messages - stored)
}

#[test]
fn one_sender_fills_no_mailbox() {
    assert_eq!(stored(None), (MAILBOX_PER_SENDER, 1));
    assert_eq!(stored(Some(Mutation::NoMailShare)), (250, 1));
}

/// How many of these new names an address gets.
fn granted(rig: &mut Rig, names: std::ops::Range<u16>) -> usize {
    let is_granted = |n: &u16| {
        let answer = rig.wants(addr(9, 1_000 + n), &format!("name-{n}"));
        matches!(answer, Packet::Registered { .. })
    };
    names.filter(is_granted).count()
}

#[test]
fn an_address_gets_new_names_now_and_then() {
    let mut rig = Rig::new(None);
    assert_eq!(granted(&mut rig, 0..20), 5);
    let refused = rig.wants(addr(9, 1), "another");
    let reason = Refusal::TooManyNames { minutes: 12 };
    assert_eq!(refused, Packet::Refused { registration: 1, nonce: Nonce(1), reason });
    assert_eq!(granted(&mut rig, 0..5), 5, "those who have one come back");
    rig.joins(addr(8, 1), "neighbour");
    rig.passes(NEW_NAME_EVERY, false);
    assert_eq!(granted(&mut rig, 20..40), 1);
    assert_eq!(granted(&mut Rig::new(Some(Mutation::NoNameShare)), 0..20), 20);
}

#[test]
fn what_is_refused_for_want_of_room_takes_nothing_of_the_share() {
    let mut rig = Rig::new(None);
    rig.room = DiskSpace::Low;
    rig.joins(addr(8, 1), "neighbour");
    for n in 0..10 {
        let answer = rig.wants(addr(9, 1_000 + n), &format!("name-{n}"));
        assert!(matches!(answer, Packet::Refused { reason: Refusal::DiskFull, .. }), "{answer:?}");
    }
    rig.room = DiskSpace::Plenty;
    rig.passes(Duration::from_secs(60), false);
    assert_eq!(granted(&mut rig, 0..10), 5);
}

#[test]
fn this_machine_gets_as_many_names_as_it_wants() {
    let mut rig = Rig::new(None);
    for n in 0..20 {
        rig.joins(SocketAddr::from(([127, 0, 0, 1], 1_000 + n)), &format!("name-{n}"));
    }
}

/// How many groups alice makes of so many, with bob in each and herself in none.
fn made(without: Option<Mutation>, wanted: u64) -> usize {
    let mut rig = Rig::new(without);
    let [alice, bob] = ["alice", "bob"].map(|name| {
        let at = addr(name.as_bytes()[0], 1);
        (at, rig.joins(at, name))
    });
    let mut request = 0;
    let mut asks = |rig: &mut Rig, (at, session): (SocketAddr, SessionId), ask: GroupAsk| {
        request += 1;
        let answers = rig.asks(at, &Packet::GroupAsk { session, request, ask });
        answers.iter().any(|it| matches!(it, Packet::GroupAnswer { answer: GroupAnswer::Done, .. }))
    };
    let mut makes = |n: &u64| {
        let group: Name = format!("group-{n}").parse().expect("a name");
        let is_made = asks(&mut rig, alice, GroupAsk::Create(group.clone()));
        asks(&mut rig, bob, GroupAsk::Join(group.clone()));
        asks(&mut rig, alice, GroupAsk::Leave(group));
        is_made
    };
    let made = (0..wanted).filter(|n| makes(n)).count();
    assert!(!asks(&mut rig, bob, GroupAsk::Create("group-0".parse().expect("a name"))));
    asks(&mut rig, bob, GroupAsk::Leave("group-0".parse().expect("a name")));
    assert!(asks(&mut rig, alice, GroupAsk::Create("another".parse().expect("a name"))));
    made
}

#[test]
fn one_name_does_not_make_all_groups() {
    assert_eq!(made(None, 20), GROUPS_PER_NAME);
    assert_eq!(made(Some(Mutation::NoGroupShare), 20), 20);
}

#[test]
fn whoever_has_a_forgotten_name_next_has_made_none_of_its_groups() {
    let mut rig = Rig::new(None);
    let (alice, bob) = (addr(1, 1), addr(2, 1));
    let sessions = [rig.joins(alice, "alice"), rig.joins(bob, "bob")];
    let mut request = 0;
    let mut asks = |rig: &mut Rig, at: SocketAddr, session: SessionId, ask: GroupAsk| {
        request += 1;
        let answers = rig.asks(at, &Packet::GroupAsk { session, request, ask });
        answers.iter().any(|it| matches!(it, Packet::GroupAnswer { answer: GroupAnswer::Done, .. }))
    };
    for n in 0..GROUPS_PER_NAME {
        let group: Name = format!("group-{n}").parse().expect("a name");
        assert!(asks(&mut rig, alice, sessions[0], GroupAsk::Create(group.clone())));
        assert!(asks(&mut rig, bob, sessions[1], GroupAsk::Join(group)));
    }
    let group: Name = "another".parse().expect("a name");
    assert!(!asks(&mut rig, alice, sessions[0], GroupAsk::Create(group.clone())));
    // Bob comes now and then, and stays in them.
    for n in 2..6 {
        rig.passes(Duration::from_secs(24 * 24 * 3_600), false);
        rig.comes(bob, "bob", n);
    }
    // Another one, elsewhere: nothing that shows who alice was.
    let session = rig.joins(addr(3, 2), "alice");
    assert!(asks(&mut rig, addr(3, 2), session, GroupAsk::Create(group)));
}

/// Who is still known after 91 days in which dave came once, and a message waited for bob.
fn known_later(without: Option<Mutation>) -> Vec<bool> {
    let mut rig = Rig::new(without);
    let names = ["alice", "bob", "carol", "dave"];
    let at = |name: &str| addr(name.as_bytes()[0], 1);
    let sessions = names.map(|name| rig.joins(at(name), name));
    rig.asks(at("bob"), &Packet::Deregister { session: sessions[1] });
    rig.saves(at("carol"), sessions[2], 1);
    rig.passes(Duration::from_secs(45 * 24 * 3_600), false);
    assert_eq!(rig.server.stats().known, 4);
    rig.comes(at("dave"), "dave", 2);
    rig.passes(Duration::from_secs(46 * 24 * 3_600), false);
    let comes_back = |name| match rig.comes(at(name), name, 3) {
        Packet::Registered { back, .. } => back,
        other => panic!("{other:?}"),
    };
    names.map(comes_back).into()
}

#[test]
fn a_name_that_nobody_comes_back_for_is_free_again() {
    assert_eq!(known_later(None), [false, true, true, true]);
    assert_eq!(known_later(Some(Mutation::KeepsNames)), [true; 4]);
}
