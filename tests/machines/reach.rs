//! How a server is found: by which of its addresses, again after it has moved, and what else may
//! answer there. docs/protocol.md, "Hello".

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use udpchat_core::client::{Event, Problem};
use udpchat_core::protocol::{PacketKind as Kind, envelope, hello};
use udpchat_core::time::{Now, Time};

use crate::world::{Foreign, Verdict, World, server_addr};
use crate::{is_received, is_saved, seconds};

fn elsewhere() -> SocketAddr {
    "[2001:db8::7]:9000".parse().expect("an address")
}

fn nowhere() -> SocketAddr {
    ([192, 0, 2, 99], 9_000).into()
}

fn is_registered(event: &Event) -> bool {
    matches!(event, Event::Registered { .. })
}

fn is_not_responding(event: &Event) -> bool {
    matches!(event, Event::ServerNotResponding(_))
}

fn is_no_server(event: &Event) -> bool {
    matches!(event, Event::NoServer(_))
}

/// What somebody says to whatever comes.
type Answer = fn(&[u8]) -> Vec<u8>;

/// Answers everything in the same way, and is no server.
struct Stranger {
    answer: Answer,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Foreign for Stranger {
    fn handle_datagram(&mut self, _now: Now, from: SocketAddr, bytes: &[u8]) {
        self.out.push_back((from, (self.answer)(bytes)));
    }

    fn handle_timeout(&mut self, _now: Now) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }
}

fn put(world: &mut World, at: SocketAddr, answer: Answer) {
    let stranger = Stranger { answer, out: VecDeque::new() };
    world.add_foreign("stranger", at, Rc::new(RefCell::new(stranger)));
}

/// What others than ours and the original's servers say.
const DIALECTS: [Answer; 6] = [
    <[u8]>::to_vec,
    |_| b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03ACK\x94K\x01e.".to_vec(),
    |_| vec![0, 0, 0, 1, 0, 5, b'a', b'l', b'i', b'c', b'e'],
    |_| br#"{"type": "error", "code": 7}"#.to_vec(),
    |_| br#"{"message": 5}"#.to_vec(),
    |_| b"HTTP/1.1 400 Bad UserRequest\r\n\r\n".to_vec(),
];

#[test]
fn the_second_address_of_a_name_is_tried_when_the_first_is_silent() {
    let mut world = World::new();
    world.known_at = vec![nowhere(), server_addr()];
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    assert_eq!(world.count("alice", is_registered), 1);
    assert_eq!(world.sent("alice", Kind::Hello, "server"), 1);
    let to_nowhere = world.log.iter().filter(|(_, sight)| sight.to == nowhere().to_string());
    assert!(to_nowhere.clone().count() > 0);
    assert!(to_nowhere.into_iter().all(|(_, sight)| sight.identity.kind == Kind::Hello));
    assert_eq!(world.client_record("alice").home.map(|home| home.server), Some(server_addr()));
}

#[test]
fn the_first_address_that_answers_is_taken_and_the_others_are_left_alone() {
    let mut world = World::new();
    world.known_at = vec![server_addr(), nowhere()];
    world.start("alice", 5_000, 0);
    world.run(seconds(60));
    assert_eq!(world.count("alice", is_registered), 1);
    assert_eq!(world.sent("alice", Kind::Hello, &nowhere().to_string()), 0);
}

#[test]
fn what_was_tried_is_said() {
    let mut world = World::without_server();
    world.known_at = vec![nowhere(), elsewhere()];
    world.start("alice", 5_000, 0);
    world.run(seconds(11));
    let tried = world.events("alice").iter().filter_map(|event| match event {
        Event::ServerNotResponding(tried) => Some(tried.addrs.clone()),
        _ => None,
    });
    assert_eq!(tried.collect::<Vec<_>>(), [[nowhere(), elsewhere()]]);
}

#[test]
fn an_answer_counts_only_from_where_a_hello_was_sent() {
    let mut world = World::new();
    world.known_at = vec![server_addr()];
    world.rule(
        |_, sight| {
            if sight.identity.kind == Kind::Challenge { Verdict::Lose } else { Verdict::Pass }
        },
    );
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    // An eavesdropper repeats the server's answers from elsewhere.
    let answers = world.wire.iter().filter(|wire| wire.is("server", "alice"));
    let answers: Vec<_> = answers.map(|wire| wire.bytes.clone()).collect();
    assert!(!answers.is_empty());
    for bytes in answers {
        world.inject(elsewhere(), world.addr("alice"), bytes);
    }
    world.run(seconds(1));
    assert_eq!(world.sent("alice", Kind::Register, &elsewhere().to_string()), 0);
}

#[test]
fn a_server_that_has_moved_is_found_by_clients_that_run_and_gets_what_they_have_kept() {
    for to in [elsewhere(), nowhere()] {
        let mut world = World::with(&["alice", "bob"]);
        world.kill("bob");
        world.move_server(to);
        world.types("alice", "send bob hello");
        world.run(seconds(20));
        assert_eq!(world.count("alice", is_not_responding), 1);
        assert_eq!(world.count("alice", is_saved), 0);
        // Somebody tells the name where it is.
        world.known_at = vec![to];
        world.run(seconds(40));
        assert_eq!(world.count("alice", is_registered), 2);
        assert_eq!(world.count("alice", is_saved), 1);
        world.start("bob", 6_000, 0);
        world.run(seconds(3));
        assert_eq!(world.texts("bob"), ["hello"]);
        assert_eq!(world.client_record("alice").home.map(|home| home.server), Some(to));
    }
}

#[test]
fn a_server_that_has_moved_among_the_addresses_of_its_name_is_found() {
    let mut world = World::new();
    world.known_at = vec![server_addr(), elsewhere()];
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    world.move_server(elsewhere());
    world.run(seconds(20));
    assert_eq!(world.count("alice", is_registered), 2);
    // And back.
    world.move_server(server_addr());
    world.run(seconds(60));
    assert_eq!(world.count("alice", is_registered), 3);
}

#[test]
fn a_silent_server_at_its_only_address_is_pinged_and_looked_up_and_nothing_else() {
    let mut world = World::with(&["alice"]);
    world.rule(|_, sight| if sight.from == "server" { Verdict::Lose } else { Verdict::Pass });
    world.run(seconds(10));
    let hellos = world.sent("alice", Kind::Hello, "server");
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(10));
    assert_eq!(world.sent("alice", Kind::Hello, "server"), hellos);
    assert_eq!(world.count("alice", is_registered), 1);
}

#[test]
fn a_name_that_is_not_found_any_more_is_told_once_and_the_old_address_tried_on() {
    let mut world = World::with(&["alice"]);
    world.kill_server();
    world.known_at = vec![];
    world.run(seconds(200));
    let host = server_addr().ip().to_string();
    let lost = Event::Error(Problem::ServerNotFound(host));
    assert_eq!(world.count("alice", |event| *event == lost), 1);
    world.start_server();
    world.run(seconds(10));
    assert_eq!(world.count("alice", is_registered), 2);
}

#[test]
fn whatever_else_answers_in_a_servers_place_is_named_and_does_not_end_the_tries() {
    for answer in DIALECTS {
        let mut world = World::without_server();
        put(&mut world, server_addr(), answer);
        world.start("alice", 5_000, 0);
        world.run(seconds(8));
        let said = |world: &World| {
            (world.count("alice", is_no_server), world.count("alice", is_not_responding))
        };
        assert_eq!(said(&world), (1, 0));
        // It was somebody's joke.
        world.kill("stranger");
        world.start_server();
        world.run(seconds(10));
        assert_eq!(world.count("alice", is_registered), 1);
        assert_eq!(said(&world), (1, 0));
    }
}

#[test]
fn who_gives_up_says_once_more_what_was_there_instead_of_a_server() {
    for answer in DIALECTS {
        let mut world = World::without_server();
        put(&mut world, server_addr(), answer);
        world.start("alice", 5_000, 0);
        world.run(seconds(11));
        let events = world.events("alice");
        assert_eq!(events.last(), Some(&Event::Left { complete: false }));
        assert!(is_no_server(&events[events.len() - 2]), "{events:?}");
        assert_eq!(world.count("alice", is_no_server), 2);
    }
}

#[test]
fn what_takes_a_servers_place_while_clients_run_is_named() {
    for answer in DIALECTS {
        let mut world = World::with(&["alice", "bob"]);
        world.kill_server();
        put(&mut world, server_addr(), answer);
        world.run(seconds(60));
        let said = (world.count("alice", is_no_server), world.count("alice", is_not_responding));
        assert_eq!(said, (1, 0));
        world.types("alice", "send bob hello");
        world.run(seconds(1));
        assert_eq!(world.count("alice", is_received), 1, "who is known is reached all the same");
    }
}

#[test]
fn damaged_answers_and_single_jokes_are_not_taken_for_another_program() {
    let mut world = World::without_server();
    world.start("alice", 5_000, 0);
    let alice = world.addr("alice");
    for tenth in 0..70_u64 {
        let damaged = [&[envelope::MARK], &tenth.to_be_bytes()[..]].concat();
        world.inject(server_addr(), alice, damaged);
        world.inject(server_addr(), alice, Vec::new());
        world.inject(elsewhere(), alice, b"hi".to_vec());
        world.run(seconds(1) / 10);
    }
    world.inject(server_addr(), alice, b"hi".to_vec());
    world.run(seconds(1));
    let said = (world.count("alice", is_no_server), world.count("alice", is_not_responding));
    assert_eq!(said, (0, 1));
}

#[test]
fn a_hello_is_all_that_goes_where_no_server_has_answered() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("alice", "send bob hello");
    world.move_server(elsewhere());
    world.known_at = vec![nowhere(), elsewhere()];
    put(&mut world, nowhere(), <[u8]>::to_vec);
    world.kill("bob");
    for n in 0..4 {
        world.types("alice", &format!("send bob {n}"));
        world.types("alice", "create_group team");
    }
    world.run(seconds(60));
    let there = world.wire.iter().filter(|wire| wire.is("alice", "stranger"));
    assert!(there.clone().count() > 0);
    assert!(there.into_iter().all(|wire| hello::decode(&wire.bytes).is_some()));
    assert_eq!(world.count("alice", is_registered), 2);
}
