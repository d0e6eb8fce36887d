//! What comes in the original's dialect, forged or not, touches nothing of ours, and earns nothing
//! before its address is proved. docs/protocol.md, "The original's dialect".
//!
//! Each fence is shown to be one: without it, by its mutation, the attack beside it succeeds.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket, Transmit};
use udpchat_core::mutation::Mutation;
use udpchat_core::original;
use udpchat_core::protocol::limits::AMPLIFICATION_MAX;
use udpchat_core::protocol::{Nonce, Packet, SessionId, StoreId, StreamId, Token, envelope, hello};
use udpchat_core::server::timing::{NAME_KEEP, NAMES_LOOK};
use udpchat_core::server::{Account, Change, Guests, Server, ServerConfig, ServerRecord, Shares};
use udpchat_core::store::{Committed, DiskSpace, Record as _};
use udpchat_core::time::{Now, Time};

use crate::without::Without;
use crate::world::{self, Foreign, World};

/// A server, its disk and what it has sent.
struct Stage {
    server: Server<Without>,
    record: ServerRecord,
    now: Duration,
    sent: Vec<Transmit>,
}

/// How long an `ACK` may be late.
const LINGER_MS: u64 = 1_500;

/// The address of a client of ours, and one where nobody is.
const ALICE: ([u8; 4], u16) = ([192, 0, 2, 1], 5_000);
const VICTIM: ([u8; 4], u16) = ([203, 0, 113, 9], 4_000);

impl Stage {
    fn new(guests: Guests, without: Option<Mutation>) -> Self {
        Self::of(guests, without, ServerRecord::new(StoreId(1)))
    }

    fn of(guests: Guests, without: Option<Mutation>, record: ServerRecord) -> Self {
        let mut draws = 0;
        let entropy = Entropy::new(move || {
            draws += 1;
            draws
        });
        let config = ServerConfig { original: guests, keep: None, shares: Shares::default() };
        let server = Server::with_bugs(config, record.clone(), entropy, Without(without));
        Self { server, record, now: Duration::ZERO, sent: Vec::new() }
    }

    fn now(&self) -> Now {
        Now { time: Time::from_start(self.now), ..Now::default() }
    }

    /// Takes all that the server has to say, and commits all that it has to keep.
    fn drain(&mut self) {
        let now = self.now();
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sent.push(transmit),
                Output::Commit(changes) => {
                    changes.iter().for_each(|change| self.record.apply(change));
                    let room = DiskSpace::Plenty;
                    self.server.handle_committed(now, Committed { commits: 1, room });
                }
                Output::Event(_) => {}
            }
        }
        self.server.check_invariants();
    }

    fn hears(&mut self, socket: Socket, from: impl Into<SocketAddr>, bytes: &[u8]) {
        let datagram = Datagram { socket, local: None, from: from.into(), bytes };
        self.server.handle_datagram(self.now(), datagram);
        self.drain();
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.server.next_timeout().map(Time::since_start) {
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now());
            self.drain();
        }
        self.now = end;
    }

    /// A request in the original's dialect.
    fn asks(&mut self, from: ([u8; 4], u16), request: &str) {
        self.hears(Socket::Main, from, &original::text(&format!("[REQUEST:{request}")));
    }

    /// An `ACK` on the second socket.
    fn acks(&mut self, from: ([u8; 4], u16)) {
        self.hears(Socket::Second, from, &original::ack());
    }

    /// Registers a client of ours.
    fn registers(&mut self, from: ([u8; 4], u16), name: &str) -> SessionId {
        self.wants(from, name);
        self.last(from, |packet| match packet {
            Packet::Registered { session, .. } => Some(session),
            _ => None,
        })
    }

    /// A client of ours asks for a name.
    fn wants(&mut self, from: ([u8; 4], u16), name: &str) {
        self.hears(Socket::Main, from, &hello::encode(Nonce(1)));
        let cookie = self.last(from, |packet| match packet {
            Packet::Challenge { cookie, .. } => Some(cookie),
            _ => None,
        });
        let (name, token) = (name.parse().expect("a name"), Token(u64::from(from.0[3]) + 70));
        let register = Packet::Register { name, token, registration: 1, nonce: Nonce(1), cookie };
        self.hears(Socket::Main, from, &envelope::encode(&register, b""));
    }

    fn says(&mut self, from: ([u8; 4], u16), packet: &Packet, body: &[u8]) {
        self.hears(Socket::Main, from, &envelope::encode(packet, body));
    }

    fn last<T>(&self, to: ([u8; 4], u16), pick: impl Fn(Packet) -> Option<T>) -> T {
        let packets = self.sent.iter().rev().filter(|transmit| transmit.to == to.into());
        let packets = packets.filter_map(|transmit| envelope::decode(&transmit.bytes).ok());
        packets.map(|(packet, _)| packet).find_map(pick).expect("such a packet")
    }

    fn lists(&self, line: &str) -> bool {
        self.server.snapshot().clients.iter().any(|client| client.starts_with(line))
    }

    /// Bytes that went to an address.
    fn earned(&self, to: ([u8; 4], u16)) -> usize {
        let sent = self.sent.iter().filter(|transmit| transmit.to == to.into());
        sent.map(|transmit| transmit.bytes.len()).sum()
    }

    fn has_sent(&self, to: ([u8; 4], u16), text: &str) -> bool {
        let mut to = self.sent.iter().filter(|transmit| transmit.to == to.into());
        to.any(|transmit| String::from_utf8_lossy(&transmit.bytes).contains(text))
    }
}

/// A server with alice, and bob who went away and has mail of alice.
fn with_mail(without: Option<Mutation>) -> Stage {
    let mut stage = Stage::new(Guests::On, without);
    let alice = stage.registers(ALICE, "alice");
    let bob = ([192, 0, 2, 2], 5_000);
    let session = stage.registers(bob, "bob");
    stage.says(bob, &Packet::Deregister { session }, b"");
    let (to, stream, unreachable) = ("bob".parse().expect("a name"), StreamId(3), false);
    let save =
        Packet::Save { session: alice, to, stream, seq: 1, base: 1, unreachable, group: None };
    stage.says(ALICE, &save, b"secret");
    assert_eq!(stage.record.messages(), 1);
    stage
}

#[test]
fn a_forged_word_ends_no_session_of_ours() {
    for (without, holds) in [(None, true), (Some(Mutation::GuestEndsOurs), false)] {
        let mut stage = Stage::new(Guests::On, without);
        stage.registers(ALICE, "alice");
        stage.asks(ALICE, "DEREG] alice");
        stage.wants(([192, 0, 2, 66], 5_000), "alice");
        assert_eq!(stage.lists("alice: online at 192.0.2.1:5000"), holds, "{without:?}");
    }
}

#[test]
fn a_forged_word_renews_nobody_of_ours() {
    let mut stage = Stage::new(Guests::On, None);
    stage.registers(ALICE, "alice");
    for _ in 0..30 {
        for request in ["REG] alice", "GETSAVE] alice", "SAVE] alice alice hello", "DEREG] x"] {
            stage.asks(ALICE, request);
        }
        stage.run(500);
    }
    assert!(stage.lists("alice: offline"), "{:?}", stage.server.snapshot().clients);
}

#[test]
fn a_guest_gets_no_name_of_ours_and_none_of_its_mail() {
    for (without, holds) in [(None, true), (Some(Mutation::GuestTakesOurs), false)] {
        let mut stage = with_mail(without);
        let before = stage.record.clone();
        for _ in 0..4 {
            stage.asks(VICTIM, "REG] bob");
            stage.acks(VICTIM);
            stage.asks(VICTIM, "GETSAVE] bob");
            stage.run(1_500);
            stage.acks(VICTIM);
        }
        assert_eq!(stage.record == before, holds, "{without:?}");
        assert_eq!(stage.has_sent(VICTIM, "secret"), !holds, "{without:?}");
        assert!(!holds || stage.has_sent(VICTIM, "already in use"));
        // Nor one of somebody who is here, who is not even asked.
        stage.asks(VICTIM, "REG] alice");
        stage.acks(VICTIM);
        stage.run(3_000);
        assert!(!holds || stage.lists("alice: online at 192.0.2.1:5000"));
    }
}

#[test]
fn a_guest_makes_nobody_ask_whether_one_of_ours_is_there() {
    for (without, holds) in [(None, true), (Some(Mutation::GuestQuestionsOurs), false)] {
        let mut stage = Stage::new(Guests::On, without);
        stage.registers(ALICE, "alice");
        stage.asks(VICTIM, "REG] gus");
        stage.acks(VICTIM);
        stage.asks(VICTIM, "SAVE] gus alice hello");
        stage.run(4_000);
        assert_eq!(stage.lists("alice: online"), holds, "{without:?}");
        assert_eq!(stage.record.messages(), 1, "its message is stored");
    }
}

#[test]
fn a_guest_is_taken_in_only_when_its_address_is_proved() {
    for (without, holds) in [(None, true), (Some(Mutation::TakesGuestsUnproven), false)] {
        let mut stage = Stage::new(Guests::On, without);
        stage.registers(ALICE, "alice");
        let before = stage.record.clone();
        stage.asks(VICTIM, "REG] gus");
        assert_eq!(stage.record == before, holds, "{without:?}");
        assert_eq!(stage.lists("gus"), !holds, "{without:?}");
        stage.acks(VICTIM);
        assert!(stage.lists("gus: online at 203.0.113.9:4000, original"));
        assert!(stage.has_sent(VICTIM, r#""gus": {"IP": "203.0.113.9""#));
    }
}

#[test]
fn an_ack_that_nobody_asked_for_or_that_comes_too_late_proves_nothing() {
    let mut stage = Stage::new(Guests::On, None);
    stage.acks(VICTIM);
    stage.asks(VICTIM, "REG] gus");
    stage.acks(([203, 0, 113, 10], 4_000));
    assert!(!stage.lists("gus"));
    stage.run(2_500);
    stage.acks(VICTIM);
    assert!(!stage.lists("gus"));
}

#[test]
fn an_address_that_proves_nothing_earns_at_most_three_bytes_for_one() {
    for (without, holds) in [(None, true), (Some(Mutation::TakesGuestsUnproven), false)] {
        let mut stage = with_mail(without);
        for n in 0..100 {
            stage.registers(([192, 0, 3, n], 5_000), &format!("client{n}"));
        }
        let spoken = |stage: &mut Stage, text: &str| {
            let bytes = text.as_bytes();
            stage.hears(Socket::Main, VICTIM, bytes);
            stage.hears(Socket::Second, VICTIM, bytes);
            bytes.len()
        };
        let mut said = 0;
        for (n, request) in [
            "REG] g",
            "REG] bob",
            "REG] -",
            "DEREG] g",
            "DEREG] bob",
            "GETSAVE] g",
            "SAVE] g bob x",
        ]
        .into_iter()
        .enumerate()
        {
            let before = stage.earned(VICTIM);
            let bytes = spoken(&mut stage, &format!(r#"{{"message":"[REQUEST:{request}"}}"#));
            stage.run(500);
            let earned = stage.earned(VICTIM) - before;
            assert!(!holds || earned <= AMPLIFICATION_MAX * bytes, "{n} {request}: {earned}");
            said += bytes;
        }
        stage.run(60_000);
        let earned = stage.earned(VICTIM);
        assert_eq!(earned <= AMPLIFICATION_MAX * said, holds, "{without:?}: {earned} for {said}");
    }
}

#[test]
fn a_guest_of_an_earlier_life_has_to_prove_its_address_again() {
    for (without, holds) in [(None, true), (Some(Mutation::TrustsGuestsBefore), false)] {
        let mut stage = with_mail(without);
        stage.asks(VICTIM, "REG] gus");
        stage.acks(VICTIM);
        let (session, stream) = (stage.registers(([192, 0, 2, 3], 5_000), "carol"), StreamId(9));
        let to = "gus".parse().expect("a name");
        stage.asks(VICTIM, "DEREG] gus");
        let save =
            Packet::Save { session, to, stream, seq: 1, base: 1, unreachable: false, group: None };
        stage.says(([192, 0, 2, 3], 5_000), &save, b"for gus");
        let mut record = stage.record;
        // It was here when the server crashed.
        let gus = record.accounts.get_mut(&"gus".parse().expect("a name")).expect("its account");
        gus.original = Some(VICTIM.into());
        let mut stage = Stage::of(Guests::On, without, record);
        stage.asks(VICTIM, "GETSAVE] gus");
        stage.asks(VICTIM, "SAVE] gus bob forged");
        stage.run(10_000);
        assert_eq!(stage.record.messages(), if holds { 2 } else { 3 }, "{without:?}");
        assert_eq!(stage.has_sent(VICTIM, "for gus"), !holds, "{without:?}");
        assert_eq!(stage.has_sent(VICTIM, r#""IP""#), !holds, "{without:?}");
        if holds {
            assert!(stage.earned(VICTIM) <= 1_000, "{} bytes of questions", stage.earned(VICTIM));
            stage.acks(VICTIM);
            stage.run(2_000);
            assert!(stage.has_sent(VICTIM, "for gus"));
        }
    }
}

/// That gus was at its address in an earlier life.
fn gus_was_here() -> Change {
    let (token, registration, original) = (Account::GUEST, 0, Some(VICTIM.into()));
    let account = Account { token, registration, original };
    Change::Registered { name: "gus".parse().expect("a name"), account }
}

/// A server that keeps a message for gus, who is away.
fn with_mail_for_gus() -> Stage {
    let mut stage = Stage::new(Guests::On, None);
    stage.asks(VICTIM, "REG] gus");
    stage.acks(VICTIM);
    stage.asks(VICTIM, "DEREG] gus");
    let (session, stream) = (stage.registers(ALICE, "alice"), StreamId(9));
    let to = "gus".parse().expect("a name");
    let save =
        Packet::Save { session, to, stream, seq: 1, base: 1, unreachable: false, group: None };
    stage.says(ALICE, &save, b"for gus");
    stage.run(5_000);
    assert_eq!(stage.record.messages(), 1);
    stage
}

#[test]
fn an_ack_to_another_question_takes_no_message_away() {
    for is_lost in [false, true] {
        let mut stage = with_mail_for_gus();
        stage.asks(VICTIM, "REG] gus");
        stage.asks(VICTIM, "REG] gus");
        // One to each question, the other one late or never; the message waits for it.
        stage.acks(VICTIM);
        stage.run(200);
        assert!(!stage.has_sent(VICTIM, "for gus"));
        if is_lost {
            stage.run(LINGER_MS - 300);
            assert!(!stage.has_sent(VICTIM, "for gus"));
        } else {
            stage.acks(VICTIM);
        }
        stage.run(300);
        assert_eq!((stage.has_sent(VICTIM, "for gus"), stage.record.messages()), (true, 1));
        stage.acks(VICTIM);
        assert_eq!(stage.record.messages(), 0);
    }
}

#[test]
fn a_guest_of_an_earlier_life_gets_no_other_name_before_it_has_proved_its_address() {
    let Stage { mut record, .. } = with_mail(None);
    record.apply(&gus_was_here());
    let mut stage = Stage::of(Guests::On, None, record);
    let before = stage.record.accounts.clone();
    stage.asks(VICTIM, "REG] other");
    stage.asks(VICTIM, "REG] bob");
    stage.run(1_000);
    assert_eq!(stage.record.accounts, before);
    assert!(stage.lists("gus: online") && !stage.has_sent(VICTIM, r#""IP""#));
    assert!(!stage.has_sent(VICTIM, "already in use"), "that is no question");
}

#[test]
fn a_guest_that_is_here_for_long_is_known_for_long() {
    let mut record = ServerRecord::new(StoreId(1));
    let gus = "gus".parse().expect("a name");
    record.apply(&gus_was_here());
    record.apply(&Change::Ran { uptime: NAME_KEEP.saturating_sub(NAMES_LOOK / 2) });
    // It does not register again: all that is known is that it is here.
    let mut stage = Stage::of(Guests::On, None, record);
    for _ in 0..2 * NAMES_LOOK.as_secs() / 4 {
        stage.acks(VICTIM);
        stage.run(4_000);
    }
    assert!(stage.lists("gus: online"));
    stage.asks(VICTIM, "DEREG] gus");
    stage.run(2 * 3_600 * 1_000);
    assert!(!stage.lists("gus: online") && stage.record.accounts.contains_key(&gus));
}

#[test]
fn guests_are_served_from_where_the_operator_wants() {
    let served = |guests, without, from: &str| {
        let mut stage = Stage::new(guests, without);
        let from: SocketAddr = from.parse().expect("an address");
        stage.hears(Socket::Main, from, &original::text("[REQUEST:REG] gus"));
        stage.hears(Socket::Second, from, &original::ack());
        assert_eq!(stage.server.stats().counters.dropped.unwanted > 0, !stage.lists("gus"));
        stage.lists("gus")
    };
    let here = ["127.0.0.1:4000", "127.9.9.9:4000", "[::1]:4000", "[::ffff:127.0.0.1]:4000"];
    let elsewhere = ["192.0.2.1:4000", "[2001:db8::1]:4000", "[::ffff:192.0.2.1]:4000"];
    for from in here {
        assert!(served(Guests::Loopback, None, from), "{from}");
        assert!(!served(Guests::Off, None, from), "{from}");
    }
    for from in elsewhere {
        assert!(!served(Guests::Loopback, None, from), "{from}");
        assert!(served(Guests::Loopback, Some(Mutation::ServesGuestsAnywhere), from), "{from}");
        assert!(served(Guests::On, None, from), "{from}");
    }
}

#[test]
fn a_flood_of_forged_guests_leaves_nothing_and_lets_others_in() {
    let mut stage = Stage::new(Guests::On, None);
    let before = stage.record.clone();
    for n in 0..10_000_u16 {
        stage.hears(
            Socket::Main,
            ([203, 0, (n >> 8) as u8, n as u8], 4_000),
            &original::text(&format!("[REQUEST:REG] forged{n}")),
        );
    }
    assert_eq!((&stage.record, stage.server.snapshot().clients.len()), (&before, 0));
    stage.run(10);
    stage.asks(VICTIM, "REG] gus");
    stage.run(10);
    // Those who asked before are forgotten first.
    for n in 0..1_000_u16 {
        let from = ([198, 51, (n >> 8) as u8, n as u8], 4_000);
        stage.asks(from, &format!("REG] late{n}"));
    }
    stage.acks(VICTIM);
    assert!(stage.lists("gus: online"));
}

/// An original client as far as other tests need one: it acknowledges what it is sent from anywhere
/// but its server's address.
#[derive(Default)]
struct Acknowledges(VecDeque<(SocketAddr, Vec<u8>)>);

impl Foreign for Acknowledges {
    fn handle_datagram(&mut self, _: Now, from: SocketAddr, bytes: &[u8]) {
        if from != world::server_addr() && bytes != original::ack() {
            self.0.push_back((from, original::ack()));
        }
    }

    fn handle_timeout(&mut self, _: Now) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.0.pop_front()
    }
}

/// Lets somebody be there who acknowledges as an original client does.
pub(crate) fn is_there(world: &mut World, guest: SocketAddr) {
    world.add_foreign("guest", guest, Rc::new(RefCell::new(Acknowledges::default())));
}
