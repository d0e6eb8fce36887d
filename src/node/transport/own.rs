//! Which addresses are this machine's, as its interfaces have them.
//!
//! Asked now and then, and never kept: addresses come and go while a node runs.

use std::net::IpAddr;

/// Whether an address is this machine's. What could be bound is not the same: a system may let
/// programs bind addresses that it does not have (yet).
pub(super) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || interfaces().any(|(own, _)| own == ip)
}

/// Whether an address is that of many machines at once: nobody can be there, and no datagram can
/// come from it.
pub fn is_for_many(ip: IpAddr) -> bool {
    let to_all = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let to_network = || {
        let (mut own, mut broadcast) = (false, false);
        for (addr, to_all) in interfaces() {
            own |= addr == ip;
            broadcast |= to_all == Some(ip);
        }
        // The network of one address is its own.
        broadcast && !own
    };
    ip.is_multicast() || to_all || to_network()
}

/// The addresses of the interfaces, each with its network's broadcast address if there is one. A
/// system that does not tell has none.
#[cfg(unix)]
fn interfaces() -> impl Iterator<Item = (IpAddr, Option<IpAddr>)> {
    use nix::sys::socket::SockaddrStorage;
    let ip = |addr: &SockaddrStorage| {
        let v4 = addr.as_sockaddr_in().map(|v4| v4.ip().into());
        v4.or_else(|| addr.as_sockaddr_in6().map(|v6| v6.ip().into()))
    };
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    interfaces.filter_map(move |interface| {
        Some((ip(interface.address.as_ref()?)?, interface.broadcast.as_ref().and_then(ip)))
    })
}

#[cfg(not(unix))]
fn interfaces() -> impl Iterator<Item = (IpAddr, Option<IpAddr>)> {
    std::iter::empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_loopback_are_own_and_those_of_documents_are_not() {
        for (ip, own) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("203.0.113.7", false)]
        {
            assert_eq!(is_own(ip.parse().unwrap()), own, "{ip}");
        }
    }

    #[test]
    fn addresses_of_many_machines_are_told_from_those_of_one() {
        for (ip, many) in [
            ("224.0.0.1", true),
            ("ff02::1", true),
            ("255.255.255.255", true),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(is_for_many(ip.parse().unwrap()), many, "{ip}");
        }
    }
}
