//! How datagrams leave and arrive: the trait, and real UDP.

mod bound;
mod own;
mod share;
mod trouble;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bound::{Arrival, Bound};
use share::Shares;
use udpchat_core::machine::{Path, Socket, Transmit};

pub use bound::canonical;
pub use own::is_for_many;

/// A way to send and receive datagrams. Faults and recording are decorators of it.
pub trait Transport {
    /// Waits for the next datagram and puts it into `buffer`. Cancel safe.
    ///
    /// # Errors
    ///
    /// Only for a transport that will never deliver again.
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<Received>>;

    /// Sends a datagram at once, or loses it: whoever sends learns of neither, and waits for
    /// nobody.
    fn send(&self, transmit: &Transmit);
}

/// A datagram has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// On which socket.
    pub socket: Socket,
    /// At which address of this machine, if the system says so.
    pub local: Option<IpAddr>,
    /// How many bytes of the buffer it fills.
    pub length: usize,
    /// Where it claims to come from.
    pub from: SocketAddr,
}

/// Real UDP: one socket for a client, two for a server.
#[derive(Debug)]
pub struct UdpTransport {
    main: Bound,
    second: Option<Bound>,
    /// Of both: who answers on one of them is there.
    shares: RefCell<Shares>,
}

impl UdpTransport {
    /// Binds `port` (0: any free one) on `ip`, or if there is none on all interfaces, for IPv4 and
    /// IPv6 where the machine has both. To be called within a runtime.
    ///
    /// # Errors
    ///
    /// The port is taken, or the address is not this machine's.
    pub fn bind(ip: Option<IpAddr>, port: u16) -> io::Result<Self> {
        Ok(Self { main: Bound::open(ip, port)?, second: None, shares: RefCell::default() })
    }

    /// Adds the second socket, on any free port of the same addresses.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn with_second(mut self, ip: Option<IpAddr>) -> io::Result<Self> {
        self.second = Some(Bound::open(ip, 0)?);
        Ok(self)
    }

    /// Where the main socket is bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.main.local
    }

    /// How many datagrams were lost here because too many waited to leave already.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sockets().map(|socket| socket.lost.get()).sum()
    }
}

impl UdpTransport {
    fn sockets(&self) -> impl Iterator<Item = &Bound> {
        [Some(&self.main), self.second.as_ref()].into_iter().flatten()
    }

    fn bound(&self, socket: Socket) -> &Bound {
        match (socket, &self.second) {
            (Socket::Second, Some(second)) => second,
            _ => &self.main,
        }
    }

    /// Whether a datagram claims to come from here: a forged one would make a node talk to itself
    /// (docs/original.md, failure 51).
    fn is_own(&self, Path { remote, local }: Path) -> bool {
        self.sockets().any(|own| own.local.port() == remote.port())
            && (local == Some(remote.ip()) || own::is_own(remote.ip()))
    }

    async fn readable(&self) -> io::Result<Socket> {
        match &self.second {
            None => self.main.readable().await.map(|()| Socket::Main),
            Some(second) => tokio::select! {
                biased;
                result = self.main.readable() => result.map(|()| Socket::Main),
                result = second.readable() => result.map(|()| Socket::Second),
            },
        }
    }
}

impl Transport for UdpTransport {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            let socket = self.readable().await?;
            let bound = self.bound(socket);
            let arrival = bound.receive(buffer).map_err(|error| {
                let what = format!("cannot receive at {} any more: {error}", bound.local);
                io::Error::new(error.kind(), what)
            })?;
            match arrival {
                Some(Arrival { length, path }) if !self.is_own(path) => {
                    let Path { remote: from, local } = path;
                    self.shares.borrow_mut().heard(from.ip());
                    return Ok(Received { socket, local, length, from });
                }
                // Whatever this is, and however much of it: others have their turn as well.
                _ => tokio::task::yield_now().await,
            }
        }
    }

    fn send(&self, transmit: &Transmit) {
        let (bound, is_repetition) = (self.bound(transmit.socket), transmit.identity.attempt > 1);
        #[expect(clippy::disallowed_methods, reason = "how long ago, of a real socket's datagrams")]
        let now = Instant::now();
        let what = (transmit.to.ip(), transmit.bytes.len());
        let is_half_empty = || bound.is_half_empty();
        if self.shares.borrow_mut().admit(what, is_repetition, now, is_half_empty) {
            bound.send(transmit);
        } else {
            bound.lose();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use super::*;
    use udpchat_core::machine::Identity;
    use udpchat_core::protocol::PacketKind;

    fn transmit(source: Option<IpAddr>, to: SocketAddr) -> Transmit {
        let identity = Identity { kind: PacketKind::Pong, message: None, attempt: 1 };
        Transmit { socket: Socket::Main, source, to, bytes: b"answer".to_vec(), identity }
    }

    #[tokio::test]
    async fn nobody_talks_to_itself() {
        let transport = UdpTransport::bind(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        let own = transport.local_addr();
        transport.send(&transmit(None, own));
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        other.send_to(b"you", own).unwrap();
        let mut buffer = [0; 16];
        let received = transport.receive(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..received.length], b"you");
    }

    /// Only Linux has all of 127.0.0.0/8 at its loopback interface.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_answer_leaves_from_the_address_that_was_asked() {
        let second_address = Ipv4Addr::new(127, 0, 0, 2);
        for ip in [None, Some(Ipv4Addr::UNSPECIFIED.into())] {
            let transport = UdpTransport::bind(ip, 0).unwrap();
            let port = transport.local_addr().port();
            let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            asker.send_to(b"question", (second_address, port)).unwrap();
            let mut buffer = [0; 16];
            let received = transport.receive(&mut buffer).await.unwrap();
            assert_eq!(received.local, Some(second_address.into()));
            transport.send(&transmit(received.local, received.from));
            let (_, from) = asker.recv_from(&mut buffer).unwrap();
            assert_eq!(from, SocketAddr::from((second_address, port)));
        }
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_leaves_the_choice_to_the_system() {
        let transport = UdpTransport::bind(None, 0).unwrap();
        let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Of nobody, and of the other family.
        for source in ["203.0.113.7", "2001:db8::7"] {
            let source = source.parse().unwrap();
            transport.send(&transmit(Some(source), asker.local_addr().unwrap()));
            let (_, from) = asker.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(from.ip(), Ipv4Addr::LOCALHOST);
        }
    }
}
