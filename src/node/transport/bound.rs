//! One UDP socket as a node wants it: on one port for both families, with room for bursts, in
//! packets that may be fragmented, and telling at which address what arrives was sent.
//!
//! quinn-udp knows how each system tells and takes addresses. It is made for QUIC, which measures
//! paths by itself: what it sets for that is set back here.

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use udpchat_core::machine::{Path, Transmit};

use super::trouble::Trouble;

/// How many bytes may wait to be received, if the system allows as much. Small datagrams count for
/// more than three times what they carry: a usual buffer is full with fewer than 300 of them.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How many bytes may wait to be sent, if the system allows as much. A system waits up to 3 s for
/// a neighbour that does not answer, and what it keeps for it counts here for as long.
const SEND_BUFFER: usize = 4 << 20;

/// A socket, and where it is bound, which never changes.
#[derive(Debug)]
pub(super) struct Bound {
    socket: UdpSocket,
    state: UdpSocketState,
    trouble: Trouble,
    pub(super) local: SocketAddr,
    /// Datagrams for which it had no room.
    pub(super) lost: Cell<u64>,
}

/// A datagram that has arrived.
pub(super) struct Arrival {
    pub(super) length: usize,
    pub(super) path: Path,
}

impl Bound {
    /// Binds `port` (0: any free one) on `ip`, or if there is none on all interfaces, for IPv4 and
    /// IPv6 where the machine has both.
    pub(super) fn open(ip: Option<IpAddr>, port: u16) -> io::Result<Self> {
        let socket = match ip {
            Some(ip) => bound(ip, port)?,
            None => match bound(Ipv6Addr::UNSPECIFIED.into(), port) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    bound(Ipv4Addr::UNSPECIFIED.into(), port)?
                }
                result => result?,
            },
        };
        // A smaller buffer loses more datagrams, and is as right as this one.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        unmeasure(&socket, local);
        Ok(Self { socket, state, trouble: Trouble::default(), local, lost: Cell::new(0) })
    }

    /// Waits until there may be something to receive. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.trouble.pause().await;
        self.socket.readable().await
    }

    /// Receives a datagram, if there is one.
    ///
    /// # Errors
    ///
    /// It never will again.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Arrival>> {
        let (buffers, meta) = (&mut [IoSliceMut::new(buffer)], &mut [RecvMeta::default()]);
        let receive = || self.state.recv(UdpSockRef::from(&self.socket), buffers, meta);
        match self.socket.try_io(Interest::READABLE, receive) {
            Ok(_) => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return self.trouble.goes_on(error).map(|()| None);
            }
            Err(_) => {
                self.trouble.is_over();
                return Ok(None);
            }
        }
        self.trouble.is_over();
        let [meta] = meta;
        if is_disguised(meta.addr.ip(), meta.dst_ip, self.local.ip()) {
            return Ok(None);
        }
        let local = meta.dst_ip.map(|ip| ip.to_canonical()).filter(is_of_one);
        // One, as nobody has asked the system to glue several together.
        let length = meta.len.min(meta.stride);
        Ok(Some(Arrival { length, path: Path { remote: canonical(meta.addr), local } }))
    }

    /// Sends a datagram, or loses it. Waits for nobody.
    pub(super) fn send(&self, transmit: &Transmit) {
        let Transmit { source, to, .. } = *transmit;
        let source = source.filter(|source| source.is_ipv4() == to.is_ipv4());
        let result = match self.send_from(source, to, &transmit.bytes) {
            // The address may be gone, or lead to others than this one.
            Err(error) if source.is_some() && !is_full(&error) => {
                self.send_from(None, to, &transmit.bytes)
            }
            result => result,
        };
        // Unreachable, refused, too long: all of it is loss, which the protocol is made for. Too
        // much is loss as well, but the operator may want to know.
        if result.is_err_and(|error| is_full(&error)) {
            self.lose();
        }
    }

    /// A datagram is lost here because there is no room for it.
    pub(super) fn lose(&self) {
        self.lost.set(self.lost.get() + 1);
    }

    /// Past the runtime, which would take a full buffer for one until it is half empty.
    fn send_from(&self, source: Option<IpAddr>, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: for_family(to, self.local),
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: source,
        };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// Whether less than half of what may wait to be sent does: that is when systems call a socket
    /// writable.
    #[cfg(unix)]
    pub(super) fn is_half_empty(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    #[cfg(not(unix))]
    pub(super) const fn is_half_empty(&self) -> bool {
        true
    }
}

/// What a socket that does not wait says if there is no room, or a device on a BSD.
fn is_full(error: &io::Error) -> bool {
    #[cfg(unix)]
    let no_buffers = error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32);
    #[cfg(not(unix))]
    let no_buffers = false;
    error.kind() == io::ErrorKind::WouldBlock || no_buffers
}

fn bound(ip: IpAddr, port: u16) -> io::Result<socket2::Socket> {
    let addr = SocketAddr::new(ip, port);
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if ip == Ipv6Addr::UNSPECIFIED {
        // For IPv4 as well, whatever the system's setting or custom.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Lets datagrams be fragmented, here and on their way, and come one by one: a path that carries
/// fewer bytes than the longest text takes would carry it never. Where a system refuses, or no
/// crate can ask it (FreeBSD, Windows), they are not fragmented.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", target_vendor = "apple")),
    expect(clippy::missing_const_for_fn, unused_variables, reason = "nothing to do here")
)]
fn unmeasure(socket: &UdpSocket, local: SocketAddr) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        use rustix::net::sockopt::{
            Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
        };
        // A socket of IPv6 sends to IPv4 by the settings of IPv4.
        let _ = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT);
        if local.is_ipv6() {
            let _ = set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT);
            let _ = setsockopt(socket, sockopt::Ipv6DontFrag, &false);
        }
        let _ = setsockopt(socket, sockopt::UdpGroSegment, &false);
        let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &false);
    }
    #[cfg(target_vendor = "apple")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        let _ = if local.is_ipv6() {
            setsockopt(socket, sockopt::Ipv6DontFrag, &false)
        } else {
            setsockopt(socket, sockopt::IpDontFrag, &false)
        };
    }
}

/// Whether a datagram of IPv6 claims to come from an address of IPv4, mapped: such ones are for use
/// within a machine (RFC 4038, 4.2), and a stranger who sends one would be whoever it likes, this
/// machine itself among them.
fn is_disguised(from: IpAddr, to: Option<IpAddr>, bound: IpAddr) -> bool {
    let is_mapped = |ip: IpAddr| ip.is_ipv6() && ip.to_canonical().is_ipv4();
    let is_of_ipv6 = |ip: IpAddr| ip.to_canonical().is_ipv6();
    let came_by_ipv6 = to.is_some_and(is_of_ipv6) || is_of_ipv6(bound) && !bound.is_unspecified();
    is_mapped(from) && came_by_ipv6
}

/// Whether somebody can answer from there.
fn is_of_one(ip: &IpAddr) -> bool {
    !ip.is_multicast() && !matches!(ip, IpAddr::V4(v4) if v4.is_broadcast())
}

/// The address as everybody writes it: a socket for both families sees IPv4 mapped into IPv6.
/// The zone of a link-local address stays, for there is no way back without it.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
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

    #[test]
    fn what_comes_by_ipv6_is_from_no_address_of_ipv4() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (any, mapped) = (ip("::"), ip("::ffff:127.0.0.1"));
        assert!(is_disguised(mapped, Some(ip("2001:db8::1")), any));
        assert!(is_disguised(mapped, None, ip("2001:db8::1")));
        for to in ["127.0.0.1", "::ffff:127.0.0.1"] {
            assert!(!is_disguised(mapped, Some(ip(to)), any), "that came by IPv4");
        }
        assert!(!is_disguised(ip("2001:db8::2"), Some(ip("2001:db8::1")), any));
        assert!(!is_disguised(ip("127.0.0.1"), Some(ip("127.0.0.1")), ip("0.0.0.0")));
    }

    /// What quinn-udp set for QUIC is set back.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn datagrams_may_be_fragmented_in_both_families() {
        use nix::sys::socket::{getsockopt, sockopt};
        use rustix::net::sockopt::{
            Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover,
        };
        for ip in [None, Some(Ipv4Addr::LOCALHOST.into())] {
            let bound = Bound::open(ip, 0).unwrap();
            let socket = &bound.socket;
            assert_eq!(ip_mtu_discover(socket).unwrap(), Ipv4PathMtuDiscovery::DONT);
            assert!(!getsockopt(socket, sockopt::UdpGroSegment).unwrap());
            if bound.local.is_ipv6() {
                assert_eq!(ipv6_mtu_discover(socket).unwrap(), Ipv6PathMtuDiscovery::WANT);
                assert!(!getsockopt(socket, sockopt::Ipv6DontFrag).unwrap());
                assert!(!socket2::SockRef::from(socket).only_v6().unwrap());
            }
        }
    }
}
