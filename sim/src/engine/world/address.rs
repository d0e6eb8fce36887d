//! The addresses of a host: every cable knows one, and some have a second, which only cards know.
//!
//! A machine with two is asked at one of them, and what it sends leaves from one: the one that the
//! program names, or else the system's choice. A server is asked at its second, and the choice is
//! the first. A client's choice is the second on the way to the server and the first to all
//! others, as if each led over an interface of its own.

use std::net::{IpAddr, Ipv4Addr};

/// The first address of the host with this index: 192.168.0.1 and so on, as turmoil numbers its
/// hosts.
pub(super) fn of_host(index: usize) -> IpAddr {
    let [.., high, low] = (index + 1).to_be_bytes();
    Ipv4Addr::new(FIRST_NETWORK, 168, high, low).into()
}

/// A host's addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// The one that cables know.
    pub(super) first: IpAddr,
    /// Whether it has a second.
    pub(super) two: bool,
}

impl Addresses {
    /// The host's second address, if it has one.
    pub(super) fn second(self) -> Option<IpAddr> {
        self.two.then(|| other(self.first))
    }

    /// The address at which others are to ask.
    pub(super) fn asked(self) -> IpAddr {
        self.second().unwrap_or(self.first)
    }

    /// From which address a datagram leaves; `server` is every address of the server.
    pub(super) fn source(self, named: Option<IpAddr>, to: IpAddr, server: Self) -> IpAddr {
        let own = |ip: &IpAddr| *ip == self.first || Some(*ip) == self.second();
        let to_server = self.first != server.first && known(to) == server.first;
        let choice = if to_server { self.asked() } else { self.first };
        named.filter(own).unwrap_or(choice)
    }
}

/// The address as cables know it.
pub(super) fn known(ip: IpAddr) -> IpAddr {
    if is_second(ip) { other(ip) } else { ip }
}

/// Whether only cards know an address.
pub(super) fn is_second(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == SECOND_NETWORK)
}

/// The networks of first and of second addresses, by their first byte.
const FIRST_NETWORK: u8 = 192;
const SECOND_NETWORK: u8 = 10;

fn other(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let [network, b, c, d] = v4.octets();
            let other = if network == SECOND_NETWORK { FIRST_NETWORK } else { SECOND_NETWORK };
            Ipv4Addr::new(other, b, c, d).into()
        }
        v6 => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_address_leaves_from_the_systems_choice() {
        let [alice, bob, server] = [1, 2, 3].map(|host| Addresses {
            first: Ipv4Addr::new(192, 168, 0, host).into(),
            two: host != 2,
        });
        let second = alice.second().unwrap();
        assert_eq!((known(second), is_second(second)), (alice.first, true));
        assert_eq!(alice.source(None, bob.first, server), alice.first);
        assert_eq!(alice.source(None, server.asked(), server), second);
        assert_eq!(alice.source(Some(second), bob.first, server), second);
        assert_eq!(alice.source(Some(bob.first), bob.first, server), alice.first);
        assert_eq!(server.source(None, second, server), server.first);
        assert_eq!((bob.second(), bob.asked()), (None, bob.first));
    }
}
