//! Well-formed packets with extreme numbers, in any order, from whoever knows the true sessions and
//! nonces: a lying server, and a registered client that lies. docs/protocol.md, "The promises", 8.

use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::client::{Client, ClientConfig, ClientRecord, Command};
use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket};
use udpchat_core::original;
use udpchat_core::protocol::limits::SEQ_MAX;
use udpchat_core::protocol::{
    Cookie, GroupAnswer, GroupAsk, MessageId, Name, Nonce, NotSaved, Packet, Refusal, SessionId,
    StoreId, StreamId, TableEntry, TableId, Token, envelope, hello,
};
use udpchat_core::server::{Guests, Server, ServerConfig, ServerRecord, Shares};
use udpchat_core::store::{Committed, DiskSpace, Rows};
use udpchat_core::time::{Now, WallTime};

use crate::rows::Kept;

const NUMBERS: [u64; 12] =
    [0, 1, 2, 3, 63, 1 << 52, SEQ_MAX - 2, SEQ_MAX - 1, SEQ_MAX, 1 << 63, u64::MAX - 1, u64::MAX];

/// Numbers that look drawn, and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % bound
    }

    /// An extreme one; half of the time one that is in range.
    fn number(&mut self) -> u64 {
        let among = if self.below(2) == 0 { 8 } else { NUMBERS.len() };
        NUMBERS[self.below(among)]
    }

    fn name(&mut self) -> Name {
        ["alice", "bob", "carol"][self.below(3)].parse().expect("a name")
    }

    fn addr(&mut self) -> SocketAddr {
        [server_addr(), peer_addr(), own_addr()][self.below(3)]
    }
}

fn server_addr() -> SocketAddr {
    ([192, 0, 2, 1], 9_000).into()
}

fn peer_addr() -> SocketAddr {
    ([192, 0, 2, 3], 5_000).into()
}

fn own_addr() -> SocketAddr {
    ([192, 0, 2, 2], 5_000).into()
}

/// What a machine keeps: as it knows it, and as a store does.
struct Disk<R> {
    record: R,
    kept: Kept,
}

impl<R: Rows + PartialEq + std::fmt::Debug> Disk<R> {
    fn new(record: R) -> Self {
        let mut kept = Kept::default();
        kept.carry_out(record.first_rows());
        Self { record, kept }
    }

    fn commits(&mut self, changes: &[R::Change]) {
        for change in changes {
            self.record.apply(change);
            self.kept.carry_out(R::row_changes(change));
        }
    }

    /// The record, as the next life reads it.
    fn comes_back(self, seed: u64) -> R {
        let record = self.kept.restore::<R>();
        assert_eq!(record, self.record, "seed {seed}");
        record
    }
}

/// What whoever lies has seen of the machine.
#[derive(Clone, Copy, Default)]
struct Seen {
    nonce: Nonce,
    cookie: Cookie,
    session: SessionId,
    stream: StreamId,
    number: u64,
}

impl Seen {
    /// Looks at a datagram of the machine's.
    fn looks(&mut self, bytes: &[u8]) {
        if let Some(nonce) = hello::decode(bytes) {
            self.nonce = nonce;
        }
        match envelope::decode(bytes) {
            Ok((Packet::Register { registration, nonce, .. }, _)) => {
                (self.number, self.nonce) = (registration, nonce);
            }
            Ok((Packet::GroupAsk { request, .. }, _)) => self.number = request,
            Ok((Packet::Save { stream, .. } | Packet::Message { stream, .. }, _)) => {
                self.stream = stream;
            }
            Ok((Packet::Challenge { cookie, .. }, _)) => self.cookie = cookie,
            Ok((Packet::Registered { session, .. }, _)) => self.session = session,
            Ok((Packet::Probe { nonce }, _)) => self.nonce = nonce,
            _ => {}
        }
    }

    fn number(&self, dice: &mut Dice) -> u64 {
        if dice.below(2) == 0 { self.number } else { dice.number() }
    }

    /// A packet of a server's.
    fn server_packet(&self, dice: &mut Dice) -> Packet {
        let Self { nonce, session, .. } = *self;
        let (stream, seq, base) = (self.stream(dice), dice.number(), dice.number());
        let registration = self.number(dice);
        match dice.below(15) {
            0 => Packet::Challenge { nonce, cookie: Cookie(dice.number()) },
            1 => {
                let (store, back) = (StoreId(dice.number() % 3), dice.below(2) == 0);
                Packet::Registered { registration, nonce, session, store, back }
            }
            2 => Packet::Wait { registration, nonce },
            3 => Packet::Refused { registration, nonce, reason: Refusal::DiskFull },
            4 => {
                let (known, request) = (dice.number(), dice.number());
                Packet::Behind { registration, nonce, known, request }
            }
            5 => Packet::Pong { session },
            6 if dice.below(8) == 0 => Packet::Unknown { session },
            7 if dice.below(8) == 0 => Packet::Deregistered { session },
            8 => Packet::Probe { nonce: Nonce(dice.number()) },
            9 => Packet::Saved {
                store: StoreId(dice.number() % 3),
                messages: vec![MessageId { stream, seq }; dice.below(3)],
            },
            10 => Packet::NotSaved { stream, seq, reason: NotSaved::MailboxFull },
            11 => {
                let (from, stored_at) = (dice.name(), WallTime::from_unix_ms(dice.number()));
                Packet::Deliver { session, from, stream, seq, base, stored_at, group: None }
            }
            12 => Packet::HandedOver { stream, seq },
            13 => {
                let (names, more) = (vec![dice.name()], dice.below(2) == 0);
                let answer = GroupAnswer::Names { names, more };
                Packet::GroupAnswer { session, request: registration, answer }
            }
            _ => self.table(dice),
        }
    }

    fn table(&self, dice: &mut Dice) -> Packet {
        let (session, table) = (self.session, TableId(dice.number() % 3));
        let mut versions = [dice.number(), dice.number(), dice.number()];
        if dice.below(4) > 0 {
            versions.sort_unstable();
        }
        let [from, to, latest] = versions;
        let from = if dice.below(3) == 0 { 0 } else { from };
        let (name, original) = (dice.name(), dice.below(3) == 0);
        let entries = vec![TableEntry { name, addr: Some(dice.addr()), original }];
        Packet::Table { session, table, from, to, latest, entries }
    }

    /// A packet of a client's, to its server or to a peer.
    fn client_packet(&self, dice: &mut Dice) -> Packet {
        let Self { nonce, cookie, session, .. } = *self;
        let (stream, seq, base) = (self.stream(dice), dice.number(), dice.number());
        match dice.below(13) {
            0 | 1 => {
                let (name, token) = (dice.name(), Token(dice.number() % 2));
                let registration = dice.number();
                Packet::Register { name, token, registration, nonce, cookie }
            }
            2 => Packet::Ping { session },
            3 => Packet::Alive { session, nonce },
            4 if dice.below(8) == 0 => Packet::Deregister { session },
            5 => {
                let (table, version) = (TableId(dice.number() % 3), dice.number());
                Packet::TableAck { session, table, version }
            }
            6 | 7 => {
                let (to, unreachable) = (dice.name(), dice.below(2) == 0);
                Packet::Save { session, to, stream, seq, base, unreachable, group: None }
            }
            8 => Packet::Shown { session, from: dice.name(), stream, seq },
            9 => Packet::HandedOverAck { session, stream, seq },
            10 => {
                let ask = GroupAsk::Create(dice.name());
                Packet::GroupAsk { session, request: dice.number(), ask }
            }
            11 => {
                let (from, to) = (dice.name(), dice.name());
                Packet::Message { from, to, stream, seq, base, group: None }
            }
            _ => Packet::Ack { stream, seq },
        }
    }

    fn stream(&self, dice: &mut Dice) -> StreamId {
        if dice.below(2) == 0 { self.stream } else { StreamId(dice.number()) }
    }
}

/// Takes in whatever a machine says, its commits among it.
fn drain<R>(
    machine: &mut impl Machine<Change = R::Change>,
    disk: &mut Disk<R>,
    now: Now,
    seen: &mut Seen,
) where
    R: Rows + PartialEq + std::fmt::Debug,
{
    loop {
        let at_once = machine.poll_at_once().map(Output::Transmit);
        match at_once.or_else(|| machine.poll_output()) {
            Some(Output::Transmit(transmit)) => seen.looks(&transmit.bytes),
            Some(Output::Event(_)) => {}
            Some(Output::Commit(changes)) => {
                disk.commits(&changes);
                let committed = Committed { commits: 1, room: DiskSpace::Plenty };
                machine.handle_committed(now, committed);
            }
            None => break,
        }
    }
    machine.check_invariants();
}

fn hears<R>(
    machine: &mut impl Machine<Change = R::Change>,
    disk: &mut Disk<R>,
    now: Now,
    (from, bytes): (SocketAddr, &[u8]),
    seen: &mut Seen,
) where
    R: Rows + PartialEq + std::fmt::Debug,
{
    let datagram = Datagram { socket: Socket::Main, local: None, from, bytes };
    machine.handle_datagram(now, datagram);
    drain(machine, disk, now, seen);
}

/// Now and then time passes.
fn passes<R>(
    machine: &mut impl Machine<Change = R::Change>,
    disk: &mut Disk<R>,
    now: &mut Now,
    dice: &mut Dice,
    seen: &mut Seen,
) where
    R: Rows + PartialEq + std::fmt::Debug,
{
    if dice.below(6) == 0 {
        now.time = now.time + Duration::from_millis([10, 100, 700][dice.below(3)]);
        if machine.next_timeout().is_some_and(|due| due <= now.time) {
            machine.handle_timeout(*now);
            drain(machine, disk, *now, seen);
        }
    }
}

fn entropy() -> Entropy {
    let mut draws = 1_000;
    Entropy::new(move || {
        draws += 1;
        draws
    })
}

fn body(packet: &Packet) -> &'static [u8] {
    let carries_text =
        matches!(packet, Packet::Message { .. } | Packet::Save { .. } | Packet::Deliver { .. });
    if carries_text { b"text" } else { b"" }
}

/// Something that an original server, or an original peer, says.
fn of_original(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => original::ack(),
        1 => original::text("bob: text"),
        _ => {
            let own: Name = "alice".parse().expect("a name");
            let (bob, original) = (dice.name(), true);
            let entries = [
                TableEntry { name: own.clone(), addr: Some(own_addr()), original },
                TableEntry { name: bob, addr: Some(dice.addr()), original },
            ];
            original::table(&own, entries.iter())
        }
    }
}

#[test]
fn a_server_that_lies_is_survived_by_a_client() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let name: Name = "alice".parse().expect("a name");
        let mut config = ClientConfig::new(name.clone(), server_addr(), 5_000);
        (config.original, config.has_store) = (seed % 2 == 0, true);
        let record = ClientRecord::new(name, Token(7));
        let mut disk = Disk::new(record.clone());
        let mut client = Client::new(config.clone(), record, entropy());
        let (mut now, mut seen) = (Now::default(), Seen::default());
        seen.session = SessionId(seed % 2 + 1);
        client.handle_timeout(now);
        drain(&mut client, &mut disk, now, &mut seen);
        for _ in 0..600 {
            let packet = match dice.below(8) {
                0 => seen.client_packet(&mut dice),
                _ => seen.server_packet(&mut dice),
            };
            let from = if dice.below(4) == 0 { peer_addr() } else { server_addr() };
            let bytes = match dice.below(6) {
                0 => of_original(&mut dice),
                _ => envelope::encode(&packet, body(&packet)),
            };
            hears(&mut client, &mut disk, now, (from, &bytes), &mut seen);
            if dice.below(20) == 0 {
                let (to, text) = (dice.name(), "text".to_owned());
                let group = dice.name();
                client.handle_command(now, Command::Send { to, text });
                client.handle_command(now, Command::CreateGroup(group));
                drain(&mut client, &mut disk, now, &mut seen);
            }
            passes(&mut client, &mut disk, &mut now, &mut dice, &mut seen);
        }
        Client::new(config, disk.comes_back(seed), entropy()).check_invariants();
    }
}

#[test]
fn clients_that_lie_are_survived_by_a_server() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let config = ServerConfig {
            original: Guests::On,
            keep: Some(Duration::from_secs(60)),
            shares: Shares::default(),
        };
        let mut disk = Disk::new(ServerRecord::new(StoreId(1)));
        let mut server = Server::new(config, disk.record.clone(), entropy());
        let (mut now, mut seen) = (Now::default(), Seen::default());
        seen.nonce = Nonce(1);
        hears(&mut server, &mut disk, now, (own_addr(), &hello::encode(Nonce(1))), &mut seen);
        for _ in 0..600 {
            let packet = match dice.below(12) {
                0 => seen.server_packet(&mut dice),
                _ => seen.client_packet(&mut dice),
            };
            let bytes = envelope::encode(&packet, body(&packet));
            hears(&mut server, &mut disk, now, (own_addr(), &bytes), &mut seen);
            passes(&mut server, &mut disk, &mut now, &mut dice, &mut seen);
        }
        Server::new(config, disk.comes_back(seed), entropy()).check_invariants();
    }
}
