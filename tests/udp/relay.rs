//! A bad network between real processes: a relay that loses, doubles, delays and so reorders
//! datagrams. Nothing may be lost, nothing shown twice, everything in order.
//!
//! The relay is a full-cone NAT with faults. Clients take its front socket for the server. Each
//! client gets an outward socket, which is what the server sees of it, and so what the table tells
//! the others: whatever reaches that socket goes on to the client, from the front socket if the
//! server sent it, from the sender's outward socket if a client did. Every datagram passes it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::net::UdpSocket;

use crate::common::{Process, client, json, now, server};

const SEED: u64 = 7;

/// What a relay does to datagrams, in each direction.
#[derive(Clone, Copy)]
pub(crate) struct Network {
    /// The share that is lost.
    pub(crate) drop: f64,
    /// The share that arrives twice.
    pub(crate) duplicate: f64,
    /// How long they take, at least and at most.
    pub(crate) delay_ms: (u64, u64),
}

/// As bad as any.
pub(crate) const ROUGH: Network = Network { drop: 0.3, duplicate: 0.1, delay_ms: (0, 400) };

/// Messages each way of sending, unless the environment wants others.
const MESSAGES: usize = 60;
const MESSAGES_VARIABLE: &str = "UDPCHAT_RELAY_MESSAGES";

/// Stored messages are sent so many at a time, and then read.
const BATCH: usize = 20;

/// In the header of a message, and of nothing else.
const MESSAGE: &[u8] = br#"{"message":{"#;

/// For one message's outcome on such a network.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Relay {
    network: Network,
    /// Datagrams with a message that clients sent each other.
    messages: Arc<AtomicUsize>,
    front: Arc<UdpSocket>,
    server: SocketAddr,
    clients: Mutex<BTreeMap<SocketAddr, Arc<UdpSocket>>>,
    chance: Mutex<StdRng>,
}

impl Relay {
    /// Starts one before this server. Its port, and how many messages clients have sent each other.
    pub(crate) fn start(server_port: u16, network: Network) -> (u16, Arc<AtomicUsize>) {
        let messages = Arc::new(AtomicUsize::new(0));
        let counted = messages.clone();
        let (sender, port) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                sender.send(front.local_addr().unwrap().port()).unwrap();
                let relay = Arc::new(Self {
                    network,
                    messages: counted,
                    front: Arc::new(front),
                    server: SocketAddr::from(([127, 0, 0, 1], server_port)),
                    clients: Mutex::default(),
                    chance: Mutex::new(StdRng::seed_from_u64(SEED)),
                });
                relay.serve_front().await;
            });
        });
        (port.recv().unwrap(), messages)
    }

    /// From the clients to the server.
    async fn serve_front(self: Arc<Self>) {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, from) = self.front.recv_from(&mut buffer).await.unwrap();
            let known = self.clients.lock().unwrap().get(&from).cloned();
            let outward = match known {
                Some(outward) => outward,
                None => {
                    let outward = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                    self.clients.lock().unwrap().insert(from, outward.clone());
                    tokio::spawn(self.clone().serve_client(from, outward.clone()));
                    outward
                }
            };
            self.pass_on(&outward, self.server, &buffer[..length]);
        }
    }

    /// From anyone to this client.
    async fn serve_client(self: Arc<Self>, client: SocketAddr, outward: Arc<UdpSocket>) {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, from) = outward.recv_from(&mut buffer).await.unwrap();
            let is_message = buffer[..length].windows(MESSAGE.len()).any(|part| part == MESSAGE);
            if from != self.server && is_message {
                self.messages.fetch_add(1, Ordering::Relaxed);
            }
            let inward = if from == self.server {
                Some(self.front.clone())
            } else {
                self.clients.lock().unwrap().get(&from).cloned()
            };
            let inward = inward.expect("clients talk to the server first");
            self.pass_on(&inward, client, &buffer[..length]);
        }
    }

    fn pass_on(&self, through: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        let delays: Vec<Duration> = {
            let mut chance = self.chance.lock().unwrap();
            let Network { drop, duplicate, delay_ms: (least, most) } = self.network;
            let copies = if chance.random_bool(duplicate) { 2 } else { 1 };
            let copies = if chance.random_bool(drop) { 0 } else { copies };
            let varies = Duration::from_millis(most - least);
            let mut delay = || Duration::from_millis(least) + varies.mul_f64(chance.random());
            (0..copies).map(|_| delay()).collect()
        };
        for delay in delays {
            let (through, bytes) = (through.clone(), bytes.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                through.send_to(&bytes, to).await.unwrap();
            });
        }
    }
}

/// How many messages are sent each way of sending.
pub(crate) fn messages() -> usize {
    std::env::var(MESSAGES_VARIABLE).map_or(MESSAGES, |number| number.parse().unwrap())
}

/// Says these numbers to bob and waits until each is received or saved.
fn say_all(alice: &mut Process, numbers: std::ops::Range<usize>) {
    for number in numbers.clone() {
        alice.say(&format!("send bob {number}"));
    }
    let mut settled = BTreeSet::new();
    while settled.len() < numbers.len() {
        settled.insert(alice.find_within(PATIENCE, "outcome", |line| {
            let event = json(line);
            let outcome = event["event"] == "received" || event["event"] == "saved";
            outcome.then(|| event["id"].to_string())
        }));
    }
}

/// The ids of the events of these kinds, in order.
fn ids(lines: &[String], kinds: &[&str]) -> Vec<Value> {
    let events = lines.iter().map(|line| json(line));
    let wanted = events.filter(|event| kinds.iter().any(|kind| event["event"] == *kind));
    wanted.map(|event| event["id"].clone()).collect()
}

#[test]
fn a_bad_network_loses_nothing_and_shows_nothing_twice() {
    let (_server, server_port) = server();
    let (port, _) = Relay::start(server_port, ROUGH);
    let count = messages();
    let begin = now();
    let mut alice = client("alice", port);
    let mut bob = client("bob", port);
    alice.table(&["alice", "bob"]);
    bob.table(&["alice", "bob"]);

    say_all(&mut alice, 0..count);
    let direct = begin.elapsed();
    let last = (count - 1).to_string();
    bob.event_within(PATIENCE, "message", |message| message["text"] == last);

    for first in (count..2 * count).step_by(BATCH) {
        let numbers = first..(first + BATCH).min(2 * count);
        let last = (numbers.end - 1).to_string();
        bob.say("dereg bob");
        bob.event("offline");
        say_all(&mut alice, numbers);
        bob.say("reg bob");
        bob.event_within(PATIENCE, "message", |message| message["text"] == last);
    }
    let stored = begin.elapsed() - direct;

    alice.end_input();
    let said = alice.ends_with(0);
    let detours = said.iter().filter(|line| line.contains("via_server")).count();
    println!("{count} in {direct:?}, {detours} detours in all; {count} stored in {stored:?}");
    bob.end_input();
    let heard = bob.ends_with(0);
    let expected: Vec<_> = (0..2 * count).map(|number| number.to_string()).collect();
    assert_eq!(crate::common::texts(&heard), expected);
    let sent = ids(&said, &["sending"]);
    assert_eq!(ids(&heard, &["message"]), sent);
    for id in ids(&said, &["received", "saved"]) {
        assert!(sent.contains(&id), "{id} was never sent");
    }
    for id in &sent {
        assert!(ids(&said, &["received", "saved"]).contains(id), "{id} has no outcome");
    }
}
