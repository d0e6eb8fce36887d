//! A host's network card: its cable, and what has arrived but is not yet due.
//!
//! Belongs to the host and outlives its program: what is on its way when the program is killed
//! reaches the next one, if that is up in time. Between cards every datagram is a [`Parcel`], of
//! which no program sees more than the bytes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use udpchat_core::machine::{Socket, Transmit};
use udpchat_core::protocol::PacketKind;
use udpchat_node::fault::Carrier;
use udpchat_node::transport::{Received, Transport};

use super::address::{Addresses, is_second, known};
use crate::engine::network::{Flight, Network};
use crate::engine::runtime::{Cable, Parcel, until};
use crate::naming::label::HostName;
use crate::planning::plan::LATENCY;

/// A host's network card.
pub(super) struct Card {
    host: HostName,
    addresses: Addresses,
    server: Addresses,
    network: Rc<Network>,
    /// Where copies of what is sent to certain hosts go, if somebody listens.
    tap: Option<Tap>,
    cable: Rc<dyn Cable>,
    held: RefCell<BTreeMap<(Duration, Flight), Held>>,
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
    /// A card at this cable, as long as the host exists.
    pub(super) fn new(
        host: HostName,
        (addresses, server): (Addresses, Addresses),
        network: Rc<Network>,
        (cable, tap): (Rc<dyn Cable>, Option<Tap>),
    ) -> Self {
        Self { host, addresses, server, network, tap, cable, held: RefCell::default() }
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
                let reaches = self.network.due(self.network.now(), to, &flight, socket.is_some());
                if let (true, Some((at, _))) = (reaches, socket) {
                    let length = held.bytes.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&held.bytes[..length]);
                    return Given { at: *at, local: held.local, length, from: held.from };
                }
            }
            tokio::select! {
                biased;
                () = self.cable.arrived() => {}
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
        let due = self.network.now() + LATENCY + delay;
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
        let body = tapped(transmit.to, transmit.identity.kind, &transmit.bytes);
        let due = (self.network.now() + LATENCY, number);
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
        let due = self.network.now() + LATENCY + delay;
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
        (to, bytes): (SocketAddr, &[u8]),
    ) {
        let parcel = Parcel { due, number, seconds, claim, bytes: bytes.to_vec() };
        self.cable.send(from_port, to, parcel);
    }

    /// Takes in what has arrived.
    fn take_in(&self) {
        while let Some((port, from, parcel)) = self.cable.take() {
            let Parcel { due, number, seconds: [from_second, to_second], claim, bytes } = parcel;
            let flight = (self.network.host_at(from), number);
            let sender = Addresses { first: from.ip(), two: from_second };
            let truth = SocketAddr::new(sender.asked(), from.port());
            let (from, local) = (claim.unwrap_or(truth), self.local(to_second));
            let held = Held { port, from, local, bytes };
            self.held.borrow_mut().insert((due, flight), held);
        }
    }

    /// At which address something arrives, if there are several.
    fn local(&self, second: bool) -> Option<IpAddr> {
        let local = if second { self.addresses.asked() } else { self.addresses.first };
        self.addresses.two.then_some(local)
    }

    fn take_due(&self) -> Option<(Flight, Held)> {
        let mut held = self.held.borrow_mut();
        let first = held.first_entry().filter(|first| first.key().0 <= self.network.now())?;
        let ((_, flight), held) = first.remove_entry();
        Some((flight, held))
    }

    async fn next_due(&self) {
        let due = self.held.borrow().keys().next().map(|(due, _)| *due);
        until(self.network.timeline(), due).await;
    }
}

/// What was tapped, as it goes to whoever listens: where it went, its kind, and its bytes.
fn tapped(to: SocketAddr, kind: PacketKind, bytes: &[u8]) -> Vec<u8> {
    let kind = PacketKind::ALL.iter().position(|other| *other == kind);
    let kind = kind.and_then(|kind| u8::try_from(kind).ok()).unwrap_or_default();
    // Only addresses of IPv4 are in the network.
    let ip = match to.ip() {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => Default::default(),
    };
    [&ip[..], &to.port().to_be_bytes(), &[kind], bytes].concat()
}

/// Where a datagram went of which this is a copy, its kind and its bytes.
pub(super) fn untapped(copy: &[u8]) -> Option<(SocketAddr, PacketKind, &[u8])> {
    let (ip, rest) = copy.split_first_chunk::<4>()?;
    let (port, rest) = rest.split_first_chunk()?;
    let (kind, bytes) = rest.split_first()?;
    let to = SocketAddr::from((*ip, u16::from_be_bytes(*port)));
    Some((to, *PacketKind::ALL.get(usize::from(*kind))?, bytes))
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
