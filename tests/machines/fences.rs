//! Fences: what an adversary tries, and that it works as soon as the fence is taken out.
//! docs/protocol.md, "Registration".

use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::client::{Change, Client, ClientConfig, ClientRecord, Command, Event, Problem};
use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket};
use udpchat_core::mutation::Mutation;
use udpchat_core::original;
use udpchat_core::protocol::limits::{FORGOTTEN_MAX, SEQ_MAX, STREAMS_MAX};
use udpchat_core::protocol::{
    Cookie, MessageId, Nonce, Packet, Refusal, SessionId, StoreId, StreamId, TableEntry, TableId,
    Token, envelope, hello,
};
use udpchat_core::server::{Guests, Server, ServerConfig, ServerRecord, Shares};
use udpchat_core::store::{Committed, DiskSpace, Record as _};
use udpchat_core::time::{Now, WallTime};

use crate::without::Without;

/// A client named alice whose server is whoever speaks from [`server`].
struct Bench {
    client: Client<Without>,
    record: ClientRecord,
    now: Now,
    events: Vec<Event>,
    /// What it sent since this was looked at last.
    sent: Vec<(SocketAddr, Vec<u8>)>,
}

fn server() -> SocketAddr {
    ([192, 0, 2, 1], 9_000).into()
}

fn config() -> ClientConfig {
    ClientConfig::new("alice".parse().expect("a name"), server(), 5_000)
}

impl Bench {
    fn new(without: Option<Mutation>) -> Self {
        let record = ClientRecord::new("alice".parse().expect("a name"), Token(7));
        Self::with(config(), record, without)
    }

    /// It has just said hello.
    fn with(config: ClientConfig, record: ClientRecord, without: Option<Mutation>) -> Self {
        let mut draws = 1_000;
        let entropy = Entropy::new(move || {
            draws += 1;
            draws
        });
        let client = Client::with_bugs(config, record.clone(), entropy, Without(without));
        let (now, events, sent) = (Now::default(), Vec::new(), Vec::new());
        let mut bench = Self { client, record, now, events, sent };
        bench.passes(0);
        bench
    }

    /// Lets time pass.
    fn passes(&mut self, ms: u64) {
        let end = self.now.time + Duration::from_millis(ms);
        while let Some(due) = self.client.next_timeout().filter(|due| *due <= end) {
            self.now.time = self.now.time.max(due);
            self.client.handle_timeout(self.now);
            self.drain();
        }
        self.now.time = end;
    }

    fn drain(&mut self) {
        loop {
            let at_once = self.client.poll_at_once().map(Output::Transmit);
            match at_once.or_else(|| self.client.poll_output()) {
                Some(Output::Transmit(transmit)) => self.sent.push((transmit.to, transmit.bytes)),
                Some(Output::Event(event)) => self.events.push(event),
                Some(Output::Commit(changes)) => {
                    changes.iter().for_each(|change| self.record.apply(change));
                    let committed = Committed { commits: 1, room: DiskSpace::Plenty };
                    self.client.handle_committed(self.now, committed);
                }
                None => break,
            }
        }
        self.client.check_invariants();
    }

    fn hears_bytes(&mut self, from: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram { socket: Socket::Main, local: None, from, bytes };
        self.client.handle_datagram(self.now, datagram);
        self.drain();
    }

    fn hears(&mut self, packet: &Packet) {
        self.hears_bytes(server(), &envelope::encode(packet, b""));
    }

    fn packets(&mut self) -> Vec<Packet> {
        let sent = std::mem::take(&mut self.sent);
        sent.iter().filter_map(|(_, bytes)| Some(envelope::decode(bytes).ok()?.0)).collect()
    }

    /// The nonce of its last hello.
    fn nonce(&self) -> Nonce {
        let hellos = self.sent.iter().rev().filter_map(|(_, bytes)| hello::decode(bytes));
        hellos.into_iter().next().expect("a hello")
    }

    /// It has asked for its name: the nonce and the number with which it did.
    fn joins(&mut self) -> (Nonce, u64) {
        let nonce = self.nonce();
        self.hears(&Packet::Challenge { nonce, cookie: Cookie(1) });
        let registers = self.packets().into_iter().rev().find_map(|packet| match packet {
            Packet::Register { nonce, registration, .. } => Some((nonce, registration)),
            _ => None,
        });
        registers.expect("it asks for its name")
    }

    fn is_granted(&mut self, (nonce, registration): (Nonce, u64), store: u64) {
        let (session, store) = (SessionId(5), StoreId(store));
        self.hears(&Packet::Registered { registration, nonce, session, store, back: false });
    }

    fn is_registered(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Registered { .. }))
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }
}

/// With the fence, and without it: the attack fails, and succeeds.
fn holds_only_with_its_fence(fence: Mutation, attack_fails: impl Fn(Option<Mutation>) -> bool) {
    assert!(attack_fails(None), "the fence does not hold");
    assert!(!attack_fails(Some(fence)), "{fence:?} takes nothing out");
}

#[test]
fn an_answer_without_the_nonce_of_the_hello_registers_and_refuses_nobody() {
    holds_only_with_its_fence(Mutation::AnswersWithoutNonce, |without| {
        let mut bench = Bench::new(without);
        let (_, registration) = bench.joins();
        bench.is_granted((Nonce(0), registration), 1);
        !bench.is_registered()
    });
    holds_only_with_its_fence(Mutation::AnswersWithoutNonce, |without| {
        let mut bench = Bench::new(without);
        let (nonce, registration) = bench.joins();
        let (reason, other) = (Refusal::NameInUse, Nonce(nonce.0 + 1));
        bench.hears(&Packet::Refused { registration, nonce: other, reason });
        let refused = |event: &Event| matches!(event, Event::Error(Problem::NameInUse(_)));
        bench.is_granted((nonce, registration), 1);
        bench.count(refused) == 0 && bench.is_registered()
    });
}

/// Whether a client that has asked for its name does as if nothing had come, when this comes.
fn is_nothing(without: Option<Mutation>, answer: impl Fn(u64, Nonce) -> Packet) -> bool {
    let [undisturbed, disturbed] = [false, true].map(|is_answered| {
        let mut bench = Bench::with(config(), older_copy(), without);
        let (nonce, registration) = bench.joins();
        for _ in 0..20 {
            bench.passes(100);
            if is_answered {
                bench.hears(&answer(registration, Nonce(nonce.0 + 1)));
            }
        }
        (bench.record, format!("{:?}", bench.events), bench.sent)
    });
    undisturbed == disturbed
}

#[test]
fn no_answer_without_the_nonce_of_the_hello_changes_anything() {
    holds_only_with_its_fence(Mutation::AnswersWithoutNonce, |without| {
        is_nothing(without, |registration, nonce| Packet::Wait { registration, nonce })
    });
    holds_only_with_its_fence(Mutation::AnswersWithoutNonce, |without| {
        let (session, store, back) = (SessionId(5), StoreId(1), false);
        is_nothing(without, |registration, nonce| Packet::Registered {
            registration,
            nonce,
            session,
            store,
            back,
        })
    });
    holds_only_with_its_fence(Mutation::AnswersWithoutNonce, |without| {
        let reason = Refusal::NameInUse;
        is_nothing(without, |registration, nonce| Packet::Refused { registration, nonce, reason })
    });
    holds_only_with_its_fence(Mutation::AnswersWithoutNonce, |without| {
        is_nothing(without, |registration, nonce| {
            let (known, request) = (registration + 4, 3);
            Packet::Behind { registration, nonce, known, request }
        })
    });
}

/// Whether it has said anything in the original's dialect, beside hellos.
fn speaks_the_originals(bench: &Bench) -> bool {
    let mut of_original = bench.sent.iter().filter(|(_, bytes)| bytes[0] == original::MARK);
    of_original.any(|(_, bytes)| hello::decode(bytes).is_none())
}

#[test]
fn whoever_acknowledges_a_hello_decides_no_dialect() {
    holds_only_with_its_fence(Mutation::AckDecidesDialect, |without| {
        let mut bench = Bench::new(without);
        bench.hears_bytes(server(), &original::ack());
        bench.passes(300);
        if speaks_the_originals(&bench) {
            return false;
        }
        let invited = bench.joins();
        bench.is_granted(invited, 1);
        bench.is_registered()
    });
}

#[test]
fn a_user_is_told_once_that_an_original_server_seems_to_answer() {
    let mut bench = Bench::new(None);
    for _ in 0..40 {
        bench.hears_bytes(server(), &original::ack());
        bench.passes(100);
    }
    let told = |event: &Event| matches!(event, Event::OriginalServer(_));
    assert_eq!(bench.count(told), 1);
    assert!(!speaks_the_originals(&bench));
}

#[test]
fn a_challenge_with_another_nonce_sends_an_original_server_nothing_that_kills_it() {
    holds_only_with_its_fence(Mutation::ChallengeDecidesDialect, |without| {
        let record = ClientRecord::new("alice".parse().expect("a name"), Token(7));
        let config = ClientConfig { original: true, ..config() };
        let mut bench = Bench::with(config, record, without);
        bench.hears_bytes(server(), &original::ack());
        let nonce = Nonce(bench.nonce().0 + 1);
        bench.hears(&Packet::Challenge { nonce, cookie: Cookie(1) });
        bench.passes(2_000);
        assert!(speaks_the_originals(&bench));
        bench.sent.iter().all(|(_, bytes)| bytes[0] == original::MARK)
    });
}

/// Alice's folder as it was when she had written to bob once; later lives have gone on from there.
fn older_copy() -> ClientRecord {
    let mut record = ClientRecord::new("alice".parse().expect("a name"), Token(7));
    record.registrations = 1;
    let (to, text) = ("bob".parse().expect("a name"), "first".to_owned());
    let (id, typed_at) = (MessageId { stream: StreamId(9), seq: 1 }, WallTime::default());
    record.apply(&Change::Typed { to, id, text, typed_at, group: None });
    record
}

#[test]
fn an_older_copy_uses_no_id_that_was_used() {
    holds_only_with_its_fence(Mutation::KeepsStreamsOfOldCopy, |without| {
        let mut bench = Bench::with(config(), older_copy(), without);
        let (nonce, registration) = bench.joins();
        let (known, request) = (registration + 4, 0);
        bench.hears(&Packet::Behind { registration, nonce, known, request });
        let invited = bench.joins();
        assert_eq!(invited.1, known + 1);
        bench.is_granted(invited, 1);
        let old_copy = |event: &Event| matches!(event, Event::Error(Problem::OldCopy));
        assert_eq!((bench.count(old_copy), bench.is_registered()), (1, true));
        bench.record.outgoing.values().all(|outgoing| outgoing.stream != StreamId(9))
    });
}

#[test]
fn a_server_that_lies_about_registrations_locks_nobody_out() {
    for known in [FORGOTTEN_MAX, FORGOTTEN_MAX + 1, SEQ_MAX - 1] {
        let mut bench = Bench::with(config(), older_copy(), None);
        let (nonce, registration) = bench.joins();
        bench.hears(&Packet::Behind { registration, nonce, known, request: known });
        bench.passes(5_000);
        let (_, next) = bench.joins();
        assert!(next <= FORGOTTEN_MAX + 1 && next > registration, "{next}");
    }
}

/// What a server answers to a registration with this number after this hello.
fn answer_of(server: &mut Server<Without>, (registration, nonce): (u64, Nonce)) -> Option<Packet> {
    let from = ([192, 0, 2, 2], 5_000).into();
    let mut hears = |bytes: &[u8]| {
        let datagram = Datagram { socket: Socket::Main, local: None, from, bytes };
        server.handle_datagram(Now::default(), datagram);
        let mut answer = None;
        loop {
            let at_once = server.poll_at_once().map(Output::Transmit);
            match at_once.or_else(|| server.poll_output()) {
                Some(Output::Transmit(sent)) => answer = Some(sent.bytes),
                Some(Output::Event(_)) => {}
                Some(Output::Commit(_)) => {
                    let committed = Committed { commits: 1, room: DiskSpace::Plenty };
                    server.handle_committed(Now::default(), committed);
                }
                None => break Some(envelope::decode(&answer?).ok()?.0),
            }
        }
    };
    let Some(Packet::Challenge { cookie, .. }) = hears(&hello::encode(nonce)) else {
        panic!("no challenge");
    };
    let (name, token) = ("alice".parse().expect("a name"), Token(7));
    let register = Packet::Register { name, token, registration, nonce, cookie };
    hears(&envelope::encode(&register, b""))
}

#[test]
fn a_server_tells_whoever_is_behind_and_only_them() {
    let asks = |without: Option<Mutation>, again: (u64, Nonce)| {
        let (mut draws, config) =
            (0, ServerConfig { original: Guests::Off, keep: None, shares: Shares::default() });
        let entropy = Entropy::new(move || {
            draws += 1;
            draws
        });
        let record = ServerRecord::new(StoreId(1));
        let mut server = Server::with_bugs(config, record, entropy, Without(without));
        let first = answer_of(&mut server, (5, Nonce(1)));
        assert!(matches!(first, Some(Packet::Registered { registration: 5, .. })), "{first:?}");
        let second = answer_of(&mut server, again);
        matches!(second, Some(Packet::Behind { known: 5, .. }))
    };
    assert!(!asks(None, (5, Nonce(1))), "that is a repetition");
    for (fence, again) in [
        (Mutation::LowRegistrationUnanswered, (4, Nonce(2))),
        (Mutation::RepeatsWithoutNonce, (5, Nonce(2))),
    ] {
        holds_only_with_its_fence(fence, |without| asks(without, again));
    }
}

/// Where somebody else is.
fn peer(host: u8) -> SocketAddr {
    ([192, 0, 2, host], 5_000).into()
}

/// A client that is registered and knows where bob and mallory are.
fn among_peers(without: Option<Mutation>) -> Bench {
    let mut bench = Bench::new(without);
    let invited = bench.joins();
    bench.is_granted(invited, 1);
    let entries = [("bob", 2), ("mallory", 3)].map(|(name, host)| TableEntry {
        name: name.parse().expect("a name"),
        addr: Some(peer(host)),
        original: false,
    });
    let (session, table, entries) = (SessionId(5), TableId(1), entries.to_vec());
    bench.hears(&Packet::Table { session, table, from: 0, to: 2, latest: 2, entries });
    bench
}

/// The first message of a stream to alice.
fn message(name: &str, stream: u64) -> Vec<u8> {
    let (from, to) = (name.parse().expect("a name"), "alice".parse().expect("a name"));
    let stream = StreamId(stream);
    let packet = Packet::Message { from, to, stream, seq: 1, base: 1, group: None };
    envelope::encode(&packet, b"text")
}

const fn is_message(event: &Event) -> bool {
    matches!(event, Event::Message { .. })
}

#[test]
fn a_sender_of_many_streams_makes_nobody_forget_what_another_one_sent() {
    holds_only_with_its_fence(Mutation::StreamsWithoutShares, |without| {
        let mut bench = among_peers(without);
        bench.hears_bytes(peer(2), &message("bob", 1));
        for stream in 0..=STREAMS_MAX as u64 {
            bench.hears_bytes(peer(3), &message("mallory", stream));
        }
        let before = bench.count(is_message);
        // A copy that somebody has kept.
        bench.hears_bytes(peer(2), &message("bob", 1));
        bench.count(is_message) == before
    });
}

#[test]
fn a_message_counts_only_from_where_its_sender_is() {
    holds_only_with_its_fence(Mutation::BelievesSenders, |without| {
        let mut bench = among_peers(without);
        bench.hears_bytes(peer(3), &message("bob", 1));
        let shown = bench.count(is_message);
        bench.hears_bytes(peer(2), &message("bob", 2));
        assert_eq!(bench.count(is_message), shown + 1, "bob's own");
        shown == 0
    });
}

/// How long a message to bob, who acknowledges nothing, waits before it takes the detour, in ms,
/// while `word` is said from his address.
fn detour_after_ms(without: Option<Mutation>, word: &Packet) -> u64 {
    let mut bench = among_peers(without);
    let (to, text) = ("bob".parse().expect("a name"), "hello".to_owned());
    bench.client.handle_command(bench.now, Command::Send { to, text });
    bench.drain();
    let mut waited = 0;
    while bench.count(|event| matches!(event, Event::Detour { .. })) == 0 {
        bench.hears_bytes(peer(2), &envelope::encode(word, b""));
        bench.passes(100);
        waited += 100;
    }
    waited
}

#[test]
fn a_spoofed_word_of_a_peer_does_not_put_the_detour_off() {
    let (stream, session) = (StreamId(77), SessionId(77));
    let words = [
        Packet::Deregister { session },
        Packet::Pong { session },
        Packet::Knock { nonce: Nonce(77) },
        Packet::KnockAnswer { nonce: Nonce(77) },
        Packet::Ack { stream, seq: 1 },
    ];
    for word in words {
        assert_eq!(detour_after_ms(None, &word), 2_500, "{word:?}");
    }
    holds_only_with_its_fence(Mutation::HearsAnyWord, |without| {
        detour_after_ms(without, &Packet::Knock { nonce: Nonce(77) }) == 2_500
    });
}

#[test]
fn a_knock_is_answered_to_those_in_the_table_only() {
    let mut bench = among_peers(None);
    bench.sent.clear();
    let knock = Packet::Knock { nonce: Nonce(77) };
    for from in [peer(9), ([192, 0, 2, 2], 5_001).into(), peer(2)] {
        bench.hears_bytes(from, &envelope::encode(&knock, b""));
    }
    let answer = envelope::encode(&Packet::KnockAnswer { nonce: Nonce(77) }, b"");
    assert_eq!(bench.sent, [(peer(2), answer)]);
}
