//! A host's network card: turmoil's sockets, and what has arrived but is not yet due.
//!
//! Belongs to the host and outlives its program: what is on its way when the program is killed
//! reaches the next one, if that is up in time. Every datagram carries [`HEADER`] bytes in front,
//! when it is due and its number, which no program sees.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use turmoil::net::UdpSocket;
use udpchat::fault::Carrier;
use udpchat::machine::{Socket, Transmit};
use udpchat::protocol::limits::RECEIVE_BUFFER;
use udpchat::transport::{Received, Transport};

use super::clock::elapsed;
use crate::fate::whole_ms;
use crate::label::HostName;
use crate::network::{Flight, Network};
use crate::plan::LATENCY;

/// When it is due, in milliseconds since the run began, and the sender's number for it.
const HEADER: usize = 16;

/// A host's network card.
pub(super) struct Card {
    host: HostName,
    ip: IpAddr,
    network: Rc<Network>,
    sockets: Vec<(u16, UdpSocket)>,
    held: RefCell<BTreeMap<(Duration, Flight), Held>>,
    buffer: RefCell<Vec<u8>>,
}

/// A datagram that has arrived but is not due.
struct Held {
    port: u16,
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Card {
    /// A card with these ports open, as long as the host exists.
    pub(super) async fn new(
        (host, ip): (HostName, IpAddr),
        network: Rc<Network>,
        ports: Vec<u16>,
    ) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for port in ports {
            sockets.push((port, UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?));
        }
        let buffer = RefCell::new(vec![0; HEADER + RECEIVE_BUFFER]);
        Ok(Self { host, ip, network, sockets, held: RefCell::default(), buffer })
    }

    /// Loses everything that becomes due, for there is no program. Never ends.
    pub(super) async fn ignore(&self) {
        let mut buffer = [0; 0];
        loop {
            let _ = self.receive(&[], &mut buffer).await;
        }
    }

    /// Waits until a datagram is due at one of these ports; at others it is lost.
    async fn receive(&self, ports: &[(Socket, u16)], buffer: &mut [u8]) -> Received {
        loop {
            self.take_in();
            while let Some((flight, held)) = self.take_due() {
                let socket = ports.iter().find(|(_, port)| *port == held.port);
                let reaches = self.network.due(elapsed(), &self.host, &flight, socket.is_some());
                if let (true, Some((socket, _))) = (reaches, socket) {
                    let length = held.bytes.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&held.bytes[..length]);
                    return Received { socket: *socket, local: None, length, from: held.from };
                }
            }
            tokio::select! {
                biased;
                () = self.readable() => {}
                () = self.next_due() => {}
            }
        }
    }

    fn send(&self, from_port: u16, delay: Duration, transmit: &Transmit) {
        let number = self.network.departed(&self.host, transmit.identity);
        let due = elapsed() + LATENCY + delay;
        if transmit.to.ip() == self.ip {
            let from = SocketAddr::new(self.ip, from_port);
            let held = Held { port: transmit.to.port(), from, bytes: transmit.bytes.clone() };
            self.held.borrow_mut().insert((due, (self.host.clone(), number)), held);
            return;
        }
        let mut bytes = Vec::with_capacity(HEADER + transmit.bytes.len());
        bytes.extend_from_slice(&whole_ms(due).to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&transmit.bytes);
        if let Some((_, socket)) = self.sockets.iter().find(|(port, _)| *port == from_port) {
            // turmoil refuses addresses that nobody has; for UDP that is loss.
            let _ = socket.try_send_to(&bytes, transmit.to);
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
                let (due, number) = header.split_at(HEADER / 2);
                let due = Duration::from_millis(big_endian(due));
                let flight = (self.network.host_at(from), big_endian(number));
                let held = Held { port: *port, from, bytes: body.to_vec() };
                self.held.borrow_mut().insert((due, flight), held);
            }
        }
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
        Ok(self.card.receive(&self.ports, buffer).await)
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
