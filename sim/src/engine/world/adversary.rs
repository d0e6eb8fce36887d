//! The adversary at work: makes its moves at the very millisecond, and keeps what it is told.
//!
//! Sees what is sent to its own addresses, and what is sent over links that a move has it sit on.
//! What it learns there, such as its sessions, is put into what it sends later.

mod seen;
mod user;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use udpchat_core::machine::{Identity, Socket, Transmit};
use udpchat_core::protocol::StreamId;
use udpchat_core::protocol::envelope::open;
use udpchat_core::protocol::limits::RECEIVE_BUFFER;
use udpchat_node::fault::{Carrier, Fate, Faulty};
use udpchat_node::transport::{Received, Transport};

use self::seen::{Seen, Sight, is_meant};
use self::user::User;
use super::address::Addresses;
use super::card::{Card, Tap, untapped};
use crate::engine::network::Network;
use crate::engine::runtime::{Cable, until};
use crate::naming::label::HostName;
use crate::naming::random::hash;
use crate::planning::moves::{ADVERSARY, Claim, Datagram, Move, Place, Trick, altered};
use crate::planning::plan::{CLIENT_PORT, LATENCY, SERVER, SERVER_PORT};

/// What the adversary knows beforehand: what everybody can know.
#[derive(Clone)]
pub(super) struct Public {
    pub(super) seed: u64,
    pub(super) moves: Vec<Move>,
    /// Where each host is.
    pub(super) hosts: BTreeMap<HostName, Addresses>,
    /// Its own.
    pub(super) own: Addresses,
}

/// Where copies of what others send arrive.
const TAP_PORT: u16 = 7;

impl Public {
    /// The ports of its card: those of its own users, and one for copies.
    pub(super) fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.moves.iter().filter_map(Move::own_port).collect();
        ports.push(CLIENT_PORT);
        ports.sort_unstable();
        ports.dedup();
        ports.push(TAP_PORT);
        ports
    }

    /// What hosts' cards are told of the links that it sits on.
    pub(super) fn tap(&self) -> Tap {
        let targets = self.moves.iter().filter_map(|it| it.trick.sees());
        let links: BTreeSet<(HostName, HostName)> =
            targets.map(|of| (of.from.clone(), of.to.clone())).collect();
        Tap { to: SocketAddr::new(self.own.first, TAP_PORT), links: Rc::new(links) }
    }
}

/// A user of its own says nothing more so long after it has last asked to stay.
const LEAVES_AFTER: Duration = Duration::from_secs(1);

/// The adversary, from the beginning of the run to its end.
pub(super) async fn run(public: Public, cable: Rc<dyn Cable>, network: Rc<Network>) {
    let server = public.hosts.get(SERVER).copied().unwrap_or(public.own);
    let addresses = (public.own, server);
    let card = Card::new(ADVERSARY.into(), addresses, Rc::clone(&network), (cable, None));
    let card = Rc::new(card);
    let ports: Vec<(u16, u16)> = public.ports().into_iter().map(|port| (port, port)).collect();
    let mut script = script(&public.moves);
    let sender = sender(Rc::clone(&card), Rc::clone(&network));
    let (users, seen, met) = (BTreeMap::new(), Seen::default(), BTreeMap::new());
    let mut adversary =
        Adversary { public, network: Rc::clone(&network), sender, users, seen, met };
    let mut buffer = vec![0; RECEIVE_BUFFER];
    loop {
        while script.front().is_some_and(|due| due.at <= network.now()) {
            if let Some(Due { index, i, .. }) = script.pop_front() {
                adversary.make(index, i);
            }
        }
        tokio::select! {
            biased;
            () = until(network.timeline(), script.front().map(|due| due.at)) => {}
            given = card.receive(&ports, &mut buffer) => {
                let bytes = &buffer[..given.length];
                match given.at {
                    TAP_PORT => adversary.sees(given.from, bytes),
                    port => adversary.hears(port, given.from, bytes),
                }
            }
        }
    }
}

/// A move that is due, for the `i`th time.
struct Due {
    at: Duration,
    index: usize,
    i: u32,
}

/// All moves, each as often as it is made, in order of time.
fn script(moves: &[Move]) -> VecDeque<Due> {
    let each = moves.iter().enumerate().flat_map(|(index, it)| {
        (0..it.times).map(move |i| Due { at: it.at.saturating_add(it.every * i), index, i })
    });
    let mut script: Vec<Due> = each.collect();
    script.sort_by_key(|due| due.at);
    script.into()
}

struct Adversary {
    public: Public,
    network: Rc<Network>,
    sender: Sender,
    /// Its own users, by port.
    users: BTreeMap<u16, User>,
    seen: Seen,
    /// How many datagrams each move that waits for some has met.
    met: BTreeMap<usize, u32>,
}

impl Adversary {
    /// Makes a move for the `i`th time.
    fn make(&mut self, index: usize, i: u32) {
        match self.public.moves[index].trick.clone() {
            Trick::Forge { claim, to, datagram } => {
                let what = self.encode(&claim, &datagram, index, i);
                let over_server = *to.host == *SERVER || claim.is_servers();
                let claim = self.claimed(&claim, over_server, i);
                if let (Some(what), Some(to)) = (what, self.address(&to, over_server)) {
                    self.sender.send(claim, to, what);
                }
            }
            Trick::Replay { of, to } => {
                for sight in self.seen.of(&of) {
                    self.replays(&sight, to.as_ref());
                }
            }
            // It waits for what it sees.
            Trick::Answer { .. } | Trick::Alter { .. } => {}
            Trick::SignIn { name, port } => {
                let token = hash(self.public.seed, &["token", ADVERSARY, name.as_str()]);
                let user = self.users.entry(port).or_insert_with(|| User::new(name, token));
                let what = user.goes_on();
                let server = Place { host: SERVER.into(), port: SERVER_PORT };
                if let Some(server) = self.address(&server, true) {
                    self.sender.send((port, None), server, what);
                }
            }
        }
    }

    fn encode(
        &self,
        claim: &Claim,
        datagram: &Datagram,
        index: usize,
        i: u32,
    ) -> Option<(Identity, Vec<u8>)> {
        let user = match claim {
            Claim::Own { port } => self.users.get(port),
            _ => None,
        };
        datagram.encode(i, &|name| match name {
            "$random" => {
                let number = [index.to_string(), i.to_string()];
                Some(json!(StreamId(hash(self.public.seed, &["forged", &number[0], &number[1]]))))
            }
            name => user.and_then(|user| user.known(name)).or_else(|| {
                let host = name.strip_prefix('$')?.into();
                Some(json!(self.address(&Place { host, port: CLIENT_PORT }, false)?))
            }),
        })
    }

    /// Where a host is that is talked to, over the server's network or among clients.
    fn address(&self, place: &Place, over_server: bool) -> Option<SocketAddr> {
        let addresses = self.public.hosts.get(&place.host)?;
        let ip = if over_server { addresses.asked() } else { addresses.first };
        Some(SocketAddr::new(ip, place.port))
    }

    /// The port from which a datagram leaves, and where it claims to come from instead.
    fn claimed(&self, claim: &Claim, over_server: bool, i: u32) -> (u16, Option<SocketAddr>) {
        match claim {
            Claim::Own { port } => (*port, None),
            Claim::Of(place) => (CLIENT_PORT, self.address(place, over_server)),
            Claim::Nobody { number, apart } => {
                let i = if *apart { u16::try_from(i).unwrap_or(u16::MAX) } else { 0 };
                (CLIENT_PORT, Some(Claim::nobody(number.wrapping_add(i))))
            }
        }
    }

    fn replays(&self, Sight { from, to, kind, bytes, .. }: &Sight, toward: Option<&Place>) {
        let elsewhere = |place: &Place| self.address(place, *place.host == *SERVER);
        let to = toward.and_then(elsewhere).unwrap_or(*to);
        let message = open(bytes).ok().and_then(|(packet, ..)| packet.message());
        let identity = Identity { kind: *kind, message, attempt: 1 };
        self.sender.send((CLIENT_PORT, Some(*from)), to, (identity, bytes.clone()));
    }

    /// A datagram is on its way.
    fn sees(&mut self, from: SocketAddr, copy: &[u8]) {
        let Some((to, kind, bytes)) = untapped(copy) else { return };
        let sight = Sight::new(&self.network, (from, to), (kind, bytes));
        let sent = self.network.now().saturating_sub(LATENCY);
        for (index, it) in self.public.moves.iter().enumerate() {
            let waits = (it.at..it.until()).contains(&sent);
            let of = it.trick.sees().filter(|of| waits && sight.is_of(of));
            let Some(of) = of else { continue };
            let nth = self.met.entry(index).or_insert(0);
            *nth += 1;
            let nth = *nth;
            if is_meant(of.which, nth) {
                self.meets(&it.trick, &sight, nth - 1);
            }
        }
        self.seen.add(sight);
    }

    /// A move has what it waited for.
    fn meets(&self, trick: &Trick, sight: &Sight, i: u32) {
        let Sight { from, to, kind, bytes, .. } = sight;
        match trick {
            Trick::Answer { datagram, .. } => {
                let packet = open(bytes).ok().map(|(packet, ..)| packet);
                let fields = packet.as_ref().and_then(|packet| serde_json::to_value(packet).ok());
                let fields = fields.as_ref().and_then(|it| it.as_object()?.values().next());
                let known = |name: &str| match name {
                    "$message" => Some(json!(packet.as_ref()?.message()?)),
                    name => fields?.get(name.strip_prefix('$')?).cloned(),
                };
                if let Some(what) = datagram.encode(i, &known) {
                    self.sender.send((CLIENT_PORT, Some(*to)), *from, what);
                }
            }
            Trick::Alter { set, body, .. } => {
                let as_it_was =
                    (Identity { kind: *kind, message: None, attempt: 1 }, bytes.clone());
                let what = altered(bytes, set, body.as_deref()).unwrap_or(as_it_was);
                self.sender.send((CLIENT_PORT, Some(*from)), *to, what);
            }
            _ => {}
        }
    }

    fn hears(&mut self, port: u16, from: SocketAddr, bytes: &[u8]) {
        let signed_in = self.public.moves.iter().filter(|it| it.signs_in_at(port));
        let stays = signed_in.map(Move::last).max().unwrap_or_default() + LEAVES_AFTER;
        let Some(user) = self.users.get_mut(&port).filter(|_| self.network.now() <= stays) else {
            return;
        };
        if let Some(answer) = user.hears(bytes) {
            self.sender.send((port, None), from, answer);
        }
    }
}

/// What it sends with: a card that tells no truth, and the fates of all datagrams.
struct Sender {
    transport: Faulty<Liar, Fates>,
    claim: Rc<Cell<Claimed>>,
}

/// The port from which a datagram leaves, and where it claims to come from, if that is a lie.
type Claimed = (u16, Option<SocketAddr>);

/// Decides about what it sends.
type Fates = Box<dyn Fn(&Transmit) -> Fate>;

fn sender(card: Rc<Card>, network: Rc<Network>) -> Sender {
    let claim: Rc<Cell<Claimed>> = Rc::default();
    let liar = Liar { card, claim: Rc::clone(&claim) };
    let claims = Rc::clone(&claim);
    let fate = move |transmit: &Transmit| {
        let source: Option<IpAddr> = claims.get().1.map(|claim| claim.ip());
        network.sent(network.now(), &ADVERSARY.into(), source, transmit)
    };
    Sender { transport: Faulty::new(liar, Box::new(fate)), claim }
}

impl Sender {
    fn send(&self, claim: Claimed, to: SocketAddr, (identity, bytes): (Identity, Vec<u8>)) {
        self.claim.set(claim);
        let (socket, source) = (Socket::Main, None);
        self.transport.send(&Transmit { socket, source, to, bytes, identity });
    }
}

/// A card of which the next datagram claims to come from somewhere.
struct Liar {
    card: Rc<Card>,
    claim: Rc<Cell<Claimed>>,
}

impl Transport for Liar {
    async fn receive(&self, _: &mut [u8]) -> io::Result<Received> {
        std::future::pending().await
    }

    fn send(&self, transmit: &Transmit) {
        self.send_after(Duration::ZERO, transmit);
    }
}

impl Carrier for Liar {
    fn send_after(&self, delay: Duration, transmit: &Transmit) {
        self.card.send_claiming(self.claim.get(), delay, transmit);
    }
}
