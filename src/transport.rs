//! How datagrams leave and arrive: the trait, and real UDP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use tokio::net::UdpSocket;

use crate::machine::{Socket, Transmit};

/// How many bytes may wait to be received, if the system allows as much. Small datagrams count for
/// more than three times what they carry: a usual buffer is full with fewer than 300 of them.
const SOCKET_BUFFER: usize = 4 << 20;

/// A way to send and receive datagrams. Faults and recording are decorators of it.
pub trait Transport {
    /// Waits for the next datagram and puts it into `buffer`. Cancel safe.
    ///
    /// # Errors
    ///
    /// Only for a transport that will never deliver again.
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<Received>>;

    /// Sends a datagram at once, or loses it: whoever sends learns of neither, and waits for nobody.
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
}

/// A socket, and where it is bound, which never changes.
#[derive(Debug)]
struct Bound {
    socket: UdpSocket,
    local: SocketAddr,
}

impl UdpTransport {
    /// Binds `port` (0: any free one) on `ip`, or if there is none on all interfaces, for IPv4 and
    /// IPv6 where the machine has both.
    ///
    /// # Errors
    ///
    /// The port is taken, or the address is not this machine's.
    pub async fn bind(ip: Option<IpAddr>, port: u16) -> io::Result<Self> {
        Ok(Self { main: bind(ip, port).await?, second: None })
    }

    /// Adds the second socket, on any free port of the same addresses.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn with_second(mut self, ip: Option<IpAddr>) -> io::Result<Self> {
        self.second = Some(bind(ip, 0).await?);
        Ok(self)
    }

    /// Where the main socket is bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.main.local
    }
}

impl UdpTransport {
    fn bound(&self, socket: Socket) -> &Bound {
        match (socket, &self.second) {
            (Socket::Second, Some(second)) => second,
            _ => &self.main,
        }
    }

    /// Whether a datagram claims to come from here: a forged one would make a node talk to itself
    /// (docs/original.md, failure 51).
    fn is_own(&self, from: SocketAddr) -> bool {
        let mut sockets = [Some(&self.main), self.second.as_ref()].into_iter().flatten();
        // Only an address of this machine can be bound.
        sockets.any(|own| own.local.port() == from.port())
            && std::net::UdpSocket::bind((from.ip(), 0)).is_ok()
    }
}

impl Transport for UdpTransport {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            let ready = async {
                match &self.second {
                    None => self.main.socket.readable().await.map(|()| Socket::Main),
                    Some(second) => tokio::select! {
                        biased;
                        result = self.main.socket.readable() => result.map(|()| Socket::Main),
                        result = second.socket.readable() => result.map(|()| Socket::Second),
                    },
                }
            };
            let socket = ready.await?;
            // An error here is the network's answer to an earlier datagram, or nothing to read.
            if let Ok((length, from)) = self.bound(socket).socket.try_recv_from(buffer)
                && !self.is_own(canonical(from))
            {
                return Ok(Received { socket, local: None, length, from: canonical(from) });
            }
        }
    }

    fn send(&self, transmit: &Transmit) {
        let Bound { socket, local } = self.bound(transmit.socket);
        // Unreachable, refused, too long, no room: all of it is loss, which the protocol is made for.
        let _ = socket.try_send_to(&transmit.bytes, for_family(transmit.to, *local));
    }
}

async fn bind(ip: Option<IpAddr>, port: u16) -> io::Result<Bound> {
    let socket = match ip {
        Some(ip) => UdpSocket::bind((ip, port)).await?,
        None => match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?
            }
            result => result?,
        },
    };
    // A smaller buffer loses more datagrams, and is as right as this one.
    #[cfg(unix)]
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
    Ok(Bound { local: socket.local_addr()?, socket })
}

/// The address as everybody writes it: a socket for both families sees IPv4 mapped into IPv6.
/// The zone of a link-local address stays, for there is no way back without it.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V6(_) => addr,
        v4 => SocketAddr::new(v4, addr.port()),
    }
}

/// The address as a socket bound to `local` takes it.
fn for_family(to: SocketAddr, local: SocketAddr) -> SocketAddr {
    match (to, local) {
        (SocketAddr::V4(v4), SocketAddr::V6(_)) => {
            SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
        }
        _ => to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_talks_to_itself() {
        let transport = UdpTransport::bind(Some(Ipv4Addr::LOCALHOST.into()), 0).await.unwrap();
        let own = transport.local_addr();
        transport.main.socket.send_to(b"me", own).await.unwrap();
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        other.send_to(b"you", own).await.unwrap();
        let mut buffer = [0; 16];
        let received = transport.receive(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..received.length], b"you");
    }

    #[test]
    fn addresses_are_the_same_on_both_kinds_of_socket() {
        let v4: SocketAddr = "192.0.2.1:9000".parse().unwrap();
        let dual: SocketAddr = "[::]:1".parse().unwrap();
        let mapped = for_family(v4, dual);
        assert_eq!(mapped.to_string(), "[::ffff:192.0.2.1]:9000");
        assert_eq!(canonical(mapped), v4);
        assert_eq!(for_family(v4, "0.0.0.0:1".parse().unwrap()), v4);
        let link_local = "[fe80::1%3]:9000".parse().unwrap();
        assert_eq!(canonical(link_local), link_local);
    }
}
