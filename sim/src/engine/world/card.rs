//! A host's network card: turmoil's sockets, and what has arrived but is not yet due.
//!
//! Belongs to the host and outlives its program: what is on its way when the program is killed
//! reaches the next one, if that is up in time. Every datagram carries [`HEADER`] bytes in front,
//! when it is due, its number, which of two addresses it goes from and to, and where it claims to
//! come from, which no program sees.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use turmoil::net::UdpSocket;
use udpchat_core::machine::{Socket, Transmit};
use udpchat_core::protocol::PacketKind;
use udpchat_core::protocol::limits::RECEIVE_BUFFER;
use udpchat_node::fault::Carrier;
use udpchat_node::transport::{Received, Transport};

use super::address::{Addresses, is_second, known};
use super::clock::elapsed;
use crate::engine::network::{Flight, Network};
use crate::faults::fate::whole_ms;
use crate::naming::label::HostName;
use crate::planning::plan::LATENCY;

/// When it is due, in milliseconds since the run began, the sender's number for it, and whether
/// it goes from and to second addresses, and where it claims to come from instead, all zero if it
/// tells the truth.
const HEADER: usize = 8 + 8 + 2 + CLAIM;
const CLAIM: usize = 4 + 2;

/// A host's network card.
pub(super) struct Card {
    host: HostName,
    addresses: Addresses,
    server: Addresses,
    network: Rc<Network>,
    /// Where copies of what is sent to certain hosts go, if somebody listens.
    tap: Option<Tap>,
    sockets: Vec<(u16, UdpSocket)>,
    held: RefCell<BTreeMap<(Duration, Flight), Held>>,
    buffer: RefCell<Vec<u8>>,
}

/// Somebody who listens on links.
#[derive(Clone)]
pub(super) struct Tap {
    /// Where copies go.
    pub(super) to: SocketAddr,
    /// Who sends what is heard, and to whom.
    pub(super) links: Rc<BTreeSet<(HostName, HostName)>>,
}

/// A datagram that a program is given, at the port that it calls `T`.
pub(super) struct Given<T> {
    pub(super) at: T,
    /// At which address, if there are several.
    pub(super) local: Option<IpAddr>,
    pub(super) length: usize,
    pub(super) from: SocketAddr,
}

/// A datagram that has arrived but is not due.
struct Held {
    port: u16,
    from: SocketAddr,
    /// At which address, if there are several.
    local: Option<IpAddr>,
    bytes: Vec<u8>,
}

impl Card {
    /// A card with these ports open, as long as the host exists.
    pub(super) async fn new(
        host: HostName,
        (addresses, server): (Addresses, Addresses),
        network: Rc<Network>,
        (ports, tap): (Vec<u16>, Option<Tap>),
    ) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for port in ports {
            sockets.push((port, UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?));
        }
        let buffer = RefCell::new(vec![0; HEADER + RECEIVE_BUFFER]);
        let held = RefCell::default();
        Ok(Self { host, addresses, server, network, tap, sockets, held, buffer })
    }

    /// Loses everything that becomes due, for there is no program. Never ends.
    pub(super) async fn ignore(&self) {
        let mut buffer = [0; 0];
        let nowhere: &[((), u16)] = &[];
        loop {
            let _ = self.receive(nowhere, &mut buffer).await;
        }
    }

    /// Waits until a datagram is due at one of these ports; at others it is lost.
    pub(super) async fn receive<T: Copy>(&self, ports: &[(T, u16)], buffer: &mut [u8]) -> Given<T> {
        loop {
            self.take_in();
            while let Some((flight, held)) = self.take_due() {
                let socket = ports.iter().find(|(_, port)| *port == held.port);
                let to = (&self.host, held.local);
                let reaches = self.network.due(elapsed(), to, &flight, socket.is_some());
                if let (true, Some((at, _))) = (reaches, socket) {
                    let length = held.bytes.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&held.bytes[..length]);
                    return Given { at: *at, local: held.local, length, from: held.from };
                }
            }
            tokio::select! {
                biased;
                () = self.readable() => {}
                () = self.next_due() => {}
            }
        }
    }

    /// From which address a datagram leaves, if there are several.
    pub(super) fn source(&self, transmit: &Transmit) -> Option<IpAddr> {
        let source = || self.addresses.source(transmit.source, transmit.to.ip(), self.server);
        self.addresses.two.then(source)
    }

    fn send(&self, from_port: u16, delay: Duration, transmit: &Transmit) {
        let number = self.network.departed(&self.host, transmit.identity);
        let due = elapsed() + LATENCY + delay;
        let source = self.source(transmit).unwrap_or(self.addresses.first);
        let to = SocketAddr::new(known(transmit.to.ip()), transmit.to.port());
        if to.ip() == self.addresses.first {
            let from = SocketAddr::new(source, from_port);
            let local = self.local(is_second(transmit.to.ip()));
            let held = Held { port: to.port(), from, local, bytes: transmit.bytes.clone() };
            self.held.borrow_mut().insert((due, (self.host.clone(), number)), held);
            return;
        }
        let seconds = [is_second(source), is_second(transmit.to.ip())];
        self.carry(from_port, (due, number), seconds, None, (to, &transmit.bytes));
    }

    /// Lets whoever listens have a copy of what is sent from a port.
    pub(super) fn tap(&self, from_port: u16, transmit: &Transmit) {
        let Some(Tap { to: listener, links }) = &self.tap else { return };
        let to = self.network.host_at(transmit.to);
        if !links.contains(&(self.host.clone(), to)) {
            return;
        }
        let number = self.network.departed(&self.host, transmit.identity);
        let source = self.source(transmit).unwrap_or(self.addresses.first);
        let from = Some(SocketAddr::new(source, from_port));
        let kind = PacketKind::ALL.iter().position(|kind| *kind == transmit.identity.kind);
        let kind = kind.and_then(|kind| u8::try_from(kind).ok()).unwrap_or_default();
        let body = [&claimed(Some(transmit.to))[..], &[kind], &transmit.bytes].concat();
        let due = (elapsed() + LATENCY, number);
        self.carry(from_port, due, [false, false], from, (*listener, &body));
    }

    /// Sends what claims to come from somewhere, and tells no lie if that is nowhere.
    pub(super) fn send_claiming(
        &self,
        (from_port, claim): (u16, Option<SocketAddr>),
        delay: Duration,
        transmit: &Transmit,
    ) {
        let number = self.network.departed(&self.host, transmit.identity);
        let due = elapsed() + LATENCY + delay;
        let to = SocketAddr::new(known(transmit.to.ip()), transmit.to.port());
        let seconds = [false, is_second(transmit.to.ip())];
        self.carry(from_port, (due, number), seconds, claim, (to, &transmit.bytes));
    }

    fn carry(
        &self,
        from_port: u16,
        (due, number): (Duration, u64),
        seconds: [bool; 2],
        claim: Option<SocketAddr>,
        (to, body): (SocketAddr, &[u8]),
    ) {
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&whole_ms(due).to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend(seconds.map(u8::from));
        bytes.extend_from_slice(&claimed(claim));
        bytes.extend_from_slice(body);
        if let Some((_, socket)) = self.sockets.iter().find(|(port, _)| *port == from_port) {
            // turmoil refuses addresses that nobody has; for UDP that is loss.
            let _ = socket.try_send_to(&bytes, to);
        }
    }

    /// Takes in what turmoil has delivered.
    fn take_in(&self) {
        let mut bytes = self.buffer.borrow_mut();
        for (port, socket) in &self.sockets {
            while let Ok((length, from)) = socket.try_recv_from(&mut bytes) {
                let Some((header, body)) = bytes[..length].split_at_checked(HEADER) else {
                    continue;
                };
                let due = Duration::from_millis(big_endian(&header[..8]));
                let flight = (self.network.host_at(from), big_endian(&header[8..16]));
                let [from_second, to_second] = [header[16], header[17]].map(|flag| flag != 0);
                let sender = Addresses { first: from.ip(), two: from_second };
                let truth = SocketAddr::new(sender.asked(), from.port());
                let from = claim(&header[HEADER - CLAIM..]).unwrap_or(truth);
                let local = self.local(to_second);
                let held = Held { port: *port, from, local, bytes: body.to_vec() };
                self.held.borrow_mut().insert((due, flight), held);
            }
        }
    }

    /// At which address something arrives, if there are several.
    fn local(&self, second: bool) -> Option<IpAddr> {
        let local = if second { self.addresses.asked() } else { self.addresses.first };
        self.addresses.two.then_some(local)
    }

    fn take_due(&self) -> Option<(Flight, Held)> {
        let mut held = self.held.borrow_mut();
        let first = held.first_entry().filter(|first| first.key().0 <= elapsed())?;
        let ((_, flight), held) = first.remove_entry();
        Some((flight, held))
    }

    async fn next_due(&self) {
        let due = self.held.borrow().keys().next().map(|(due, _)| *due);
        match due {
            Some(due) => tokio::time::sleep(due.saturating_sub(elapsed())).await,
            None => std::future::pending().await,
        }
    }

    /// Waits until turmoil has delivered something to any socket.
    async fn readable(&self) {
        let mut waiting: Vec<Pin<Box<dyn Future<Output = io::Result<()>> + '_>>> = Vec::new();
        for (_, socket) in &self.sockets {
            waiting.push(Box::pin(socket.readable()));
        }
        poll_fn(|context| {
            let ready = |socket: &mut Pin<Box<dyn Future<Output = _> + '_>>| {
                socket.as_mut().poll(context).is_ready()
            };
            if waiting.iter_mut().any(ready) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// A claim as it stands in a header: only addresses of IPv4 are in the network.
fn claimed(claim: Option<SocketAddr>) -> [u8; CLAIM] {
    let mut bytes = [0; CLAIM];
    if let Some(SocketAddr::V4(claim)) = claim {
        bytes[..4].copy_from_slice(&claim.ip().octets());
        bytes[4..].copy_from_slice(&claim.port().to_be_bytes());
    }
    bytes
}

/// Where a datagram went of which this is a copy, its kind and its bytes.
pub(super) fn untapped(copy: &[u8]) -> Option<(SocketAddr, PacketKind, &[u8])> {
    let (to, rest) = copy.split_at_checked(CLAIM)?;
    let (kind, bytes) = rest.split_first()?;
    Some((claim(to)?, *PacketKind::ALL.get(usize::from(*kind))?, bytes))
}

fn claim(bytes: &[u8]) -> Option<SocketAddr> {
    let &[a, b, c, d, high, low] = bytes else { return None };
    let claim = SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])));
    (claim.port() != 0).then_some(claim)
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What one program sees of the card.
pub(super) struct Plug {
    card: Rc<Card>,
    ports: Vec<(Socket, u16)>,
}

impl Plug {
    pub(super) const fn new(card: Rc<Card>, ports: Vec<(Socket, u16)>) -> Self {
        Self { card, ports }
    }
}

impl Transport for Plug {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let Given { at, local, length, from } = self.card.receive(&self.ports, buffer).await;
        Ok(Received { socket: at, local, length, from })
    }

    fn send(&self, transmit: &Transmit) {
        self.send_after(Duration::ZERO, transmit);
    }
}

impl Carrier for Plug {
    fn send_after(&self, delay: Duration, transmit: &Transmit) {
        let port = self.ports.iter().find(|(socket, _)| *socket == transmit.socket);
        if let Some((_, port)) = port.or_else(|| self.ports.first()) {
            self.card.send(*port, delay, transmit);
        }
    }
}
