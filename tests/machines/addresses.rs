//! Machines of several addresses: what is asked at one of them is answered from there.
//! docs/protocol.md, "Addresses".

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use udpchat_core::client::{Client, ClientConfig, ClientRecord, Command};
use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket, Transmit};
use udpchat_core::original;
use udpchat_core::protocol::{
    GroupTag, MessageId, Nonce, Packet, PacketKind as Kind, SessionId, StoreId, StreamId,
    TableEntry, TableId, Token, envelope, hello,
};
use udpchat_core::server::{Guests, Server, ServerConfig, ServerRecord, Shares};
use udpchat_core::store::{Committed, DiskSpace};
use udpchat_core::time::{Now, Time};

fn entropy() -> Entropy {
    let mut draws = 0;
    Entropy::new(move || {
        draws += 1;
        draws
    })
}

fn at(seconds: u64) -> Now {
    Now { time: Time::from_start(Duration::from_secs(seconds)), ..Now::default() }
}

fn addr(host: u8) -> SocketAddr {
    ([192, 0, 2, host], 5_000).into()
}

fn local(host: u8) -> Option<IpAddr> {
    Some([198, 51, 100, host].into())
}

/// What a machine sends now, whatever it has to commit for that.
fn sends(machine: &mut impl Machine, now: Now) -> Vec<Transmit> {
    let mut sent = Vec::new();
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Transmit(transmit) => sent.push(transmit),
            Output::Commit(_) => {
                machine.handle_committed(now, Committed { commits: 1, room: DiskSpace::Plenty });
            }
            Output::Event(_) => {}
        }
    }
    sent
}

/// What it sends when it gets this, at this one of its addresses.
fn answers(
    machine: &mut impl Machine,
    (socket, from, local): (Socket, SocketAddr, Option<IpAddr>),
    bytes: &[u8],
) -> Vec<Transmit> {
    machine.handle_datagram(at(0), Datagram { socket, local, from, bytes });
    sends(machine, at(0))
}

fn server() -> Server {
    let config = ServerConfig { original: Guests::On, keep: None, shares: Shares::default() };
    Server::new(config, ServerRecord::new(StoreId(1)), entropy())
}

/// Registers this name from an address at one of the server's; all that it sends meanwhile.
fn registers(server: &mut Server, name: &str, host: u8, local: Option<IpAddr>) -> Vec<Transmit> {
    let way = (Socket::Main, addr(host), local);
    let mut sent = answers(server, way, &hello::encode(Nonce(1)));
    let Ok((Packet::Challenge { cookie, .. }, _)) = envelope::decode(&sent[0].bytes) else {
        panic!("{sent:?}")
    };
    let (name, token) = (name.parse().expect("a name"), Token(host.into()));
    let register = Packet::Register { name, token, registration: 1, nonce: Nonce(1), cookie };
    let granted = answers(server, way, &envelope::encode(&register, b""));
    let Ok((Packet::Registered { session, .. }, _)) = envelope::decode(&granted[0].bytes) else {
        panic!("{granted:?}")
    };
    sent.extend(granted);
    sent.extend(answers(server, way, &envelope::encode(&Packet::Ping { session }, b"")));
    sent
}

#[test]
fn a_server_answers_each_client_from_the_address_that_this_one_asked() {
    let mut server = server();
    let alice = registers(&mut server, "alice", 1, local(1));
    assert!(alice.iter().all(|transmit| transmit.source == local(1)), "{alice:?}");
    assert!(alice.iter().any(|transmit| transmit.identity.kind == Kind::Table));
    // What nobody asks for goes the same way: both are told of both, again and again.
    let mut sent = registers(&mut server, "bob", 2, local(2));
    server.handle_timeout(at(5));
    sent.extend(sends(&mut server, at(5)));
    for (host, least) in [(1, 1), (2, 5)] {
        let mut to_host = sent.iter().filter(|transmit| transmit.to == addr(host));
        assert!(to_host.clone().count() >= least, "{sent:?}");
        assert!(to_host.all(|transmit| transmit.source == local(host)), "{sent:?}");
    }
}

#[test]
fn a_guest_is_spoken_to_from_the_address_that_it_asked_on_both_sockets() {
    let mut server = server();
    let request = original::text("[REQUEST:REG] gus");
    let mut sent = answers(&mut server, (Socket::Main, addr(1), local(2)), &request);
    let second = (Socket::Second, addr(1), local(2));
    sent.extend(answers(&mut server, second, &original::ack()));
    server.handle_timeout(at(1));
    sent.extend(sends(&mut server, at(1)));
    for socket in [Socket::Main, Socket::Second] {
        assert!(sent.iter().any(|transmit| transmit.socket == socket), "{sent:?}");
    }
    assert!(sent.iter().all(|transmit| transmit.source == local(2)), "{sent:?}");
}

/// A client, signed in, that its server reaches at its second address.
fn client() -> Client {
    let (name, server) = ("alice".parse().expect("a name"), addr(9));
    let record = ClientRecord::new("alice".parse().expect("a name"), Token(7));
    let mut client = Client::new(ClientConfig::new(name, server, 5_000), record, entropy());
    client.handle_timeout(at(0));
    let hello = sends(&mut client, at(0));
    let nonce = hello::decode(&hello[0].bytes).expect("a hello");
    let way = (Socket::Main, server, local(2));
    let challenge = Packet::Challenge { nonce, cookie: Default::default() };
    answers(&mut client, way, &envelope::encode(&challenge, b""));
    let (session, store) = (SessionId(5), StoreId(1));
    let granted = Packet::Registered { registration: 1, nonce, session, store, back: false };
    answers(&mut client, way, &envelope::encode(&granted, b""));
    let (table, name) = (TableId(1), "bob".parse().expect("a name"));
    let entries = vec![TableEntry { name, addr: Some(addr(1)), original: false }];
    let table = Packet::Table { session, table, from: 0, to: 1, latest: 1, entries };
    let acked = answers(&mut client, way, &envelope::encode(&table, b""));
    // To its server it speaks as the system likes, and is answered there.
    assert!(acked.iter().all(|transmit| transmit.source.is_none()), "{acked:?}");
    client
}

#[test]
fn a_client_writes_to_peers_from_where_its_server_reaches_it() {
    let mut client = client();
    let (to, text) = ("bob".parse().unwrap(), "hello".to_owned());
    client.handle_command(at(0), Command::Send { to, text });
    let sent = sends(&mut client, at(0));
    assert_eq!((sent[0].to, sent[0].source), (addr(1), local(2)));
}

#[test]
fn a_client_acknowledges_from_the_address_that_its_peer_wrote_to() {
    let mut client = client();
    let MessageId { stream, seq } = MessageId { stream: StreamId(3), seq: 1 };
    let (from, to) = ("bob".parse().unwrap(), "alice".parse().unwrap());
    let group: Option<GroupTag> = None;
    let message = Packet::Message { from, to, stream, seq, base: 1, group };
    let way = (Socket::Main, addr(1), local(1));
    let sent = answers(&mut client, way, &envelope::encode(&message, b"hello"));
    assert_eq!((sent[0].identity.kind, sent[0].source), (Kind::Ack, local(1)));
}

/// Once a client asks at another address of its server, all that the server sends it comes from
/// that address, also what it did not ask for.
#[test]
fn a_client_that_asks_at_another_address_is_spoken_to_from_there_from_then_on() {
    let mut server = server();
    let alice = registers(&mut server, "alice", 1, local(1));
    let session = alice.iter().find_map(|sent| match envelope::decode(&sent.bytes) {
        Ok((Packet::Registered { session, .. }, _)) => Some(session),
        _ => None,
    });
    let ping = Packet::Ping { session: session.expect("it was granted the name") };
    let way = (Socket::Main, addr(1), local(2));
    let answered = answers(&mut server, way, &envelope::encode(&ping, b""));
    assert!(answered.iter().all(|transmit| transmit.source == local(2)), "{answered:?}");
    // What nobody asks for: alice is told again who is here, and that bob has come.
    let mut sent = registers(&mut server, "bob", 2, local(1));
    server.handle_timeout(at(5));
    sent.extend(sends(&mut server, at(5)));
    let mut to_alice = sent.iter().filter(|transmit| transmit.to == addr(1));
    assert!(to_alice.clone().any(|transmit| transmit.identity.kind == Kind::Table), "{sent:?}");
    assert!(to_alice.all(|transmit| transmit.source == local(2)), "{sent:?}");
}
