//! The bad network of a demo: which datagram is lost, comes twice or late.
//!
//! A fate depends on the seed and on what the datagram is, never on when it is sent. Knows no
//! bytes and no sockets but their addresses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use siphasher::sip::SipHasher13;
use udpchat_core::machine::Transmit;
use udpchat_core::protocol::PacketKind;
use udpchat_node::fault::{Fate, Policy};

use super::course::Courses;

/// How long after a datagram its second copy comes.
const AGAIN: Duration = Duration::from_millis(30);

/// What is never harmed: who cannot sign in for long gives up, and there would be no demo.
const SPARED: [PacketKind; 4] =
    [PacketKind::Hello, PacketKind::Challenge, PacketKind::Register, PacketKind::Registered];

/// How bad the network is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The share of datagrams that are lost, 0 to 1.
    pub drop: f64,
    /// The share of datagrams that come twice, 0 to 1.
    pub duplicate: f64,
    /// Each datagram is held back by any time up to this.
    pub delay: Duration,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "between them {:.0} % of all datagrams are lost", self.drop * 100.0)?;
        if self.duplicate > 0.0 {
            write!(f, ", {:.0} % come twice", self.duplicate * 100.0)?;
        }
        if !self.delay.is_zero() {
            write!(f, ", all come up to {} ms late", self.delay.as_millis())?;
        }
        Ok(())
    }
}

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Host {
    Server,
    User,
    Echo,
}

/// What a datagram is, so that the same one has the same fate in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    from: Host,
    to: Option<Host>,
    kind: PacketKind,
    /// The message's place in its stream, 0 without one.
    seq: u64,
}

#[derive(Debug)]
struct Inside {
    seed: u64,
    rates: Rates,
    hosts: RefCell<BTreeMap<SocketAddr, Host>>,
    /// How often each was sent.
    sent: RefCell<BTreeMap<Key, u64>>,
    courses: Rc<RefCell<Courses>>,
}

/// The network as one host meets it.
#[derive(Clone, Debug)]
pub(super) struct Network {
    inside: Rc<Inside>,
    host: Host,
}

impl Network {
    /// What it does to messages it tells `courses`.
    pub(super) fn new(seed: u64, rates: Rates, courses: &Rc<RefCell<Courses>>) -> Self {
        let inside = Inside {
            seed,
            rates,
            hosts: RefCell::default(),
            sent: RefCell::default(),
            courses: Rc::clone(courses),
        };
        Self { inside: Rc::new(inside), host: Host::Server }
    }

    /// A host is at this address.
    pub(super) fn place(&self, host: Host, addr: SocketAddr) {
        self.inside.hosts.borrow_mut().insert(addr, host);
    }

    /// The same network for what this host sends.
    pub(super) fn seen_from(&self, host: Host) -> Self {
        Self { host, ..self.clone() }
    }
}

impl Inside {
    fn decide(&self, key: &Key) -> Fate {
        let mut sent = self.sent.borrow_mut();
        let number = sent.entry(*key).or_default();
        *number += 1;
        // A kind of fault each, so that a higher rate of one changes nothing for the others.
        let chance = |fault: u64| {
            let mut hasher = SipHasher13::new_with_keys(self.seed, fault);
            (key.from, key.to, key.kind.name(), key.seq, *number).hash(&mut hasher);
            // All 53 bits of a number from 0 to 1.
            (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
        };
        Fate {
            lost: chance(0) < self.rates.drop,
            again: (chance(1) < self.rates.duplicate).then_some(AGAIN),
            delay: self.rates.delay.mul_f64(chance(2)),
            damage: None,
        }
    }
}

impl Policy for Network {
    fn fate(&self, transmit: &Transmit) -> Fate {
        let identity = transmit.identity;
        if SPARED.contains(&identity.kind) {
            return Fate::default();
        }
        let key = Key {
            from: self.host,
            to: self.inside.hosts.borrow().get(&transmit.to).copied(),
            kind: identity.kind,
            seq: identity.message.map_or(0, |message| message.seq),
        };
        let fate = self.inside.decide(&key);
        if let Some(message) = identity.message {
            self.inside.courses.borrow_mut().met(message, identity.kind, &fate);
        }
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(seed: u64, rates: Rates) -> Vec<Fate> {
        let network = Network::new(seed, rates, &Rc::default());
        let key = Key { from: Host::User, to: Some(Host::Echo), kind: PacketKind::Message, seq: 1 };
        (0..1_000).map(|_| network.inside.decide(&key)).collect()
    }

    #[test]
    fn a_seed_decides_and_rates_are_kept() {
        let rates = Rates { drop: 0.3, duplicate: 0.1, delay: Duration::from_millis(100) };
        let first = fates(7, rates);
        assert_eq!(first, fates(7, rates));
        assert_ne!(first, fates(8, rates));
        let lost = first.iter().filter(|fate| fate.lost).count();
        let twice = first.iter().filter(|fate| fate.again.is_some()).count();
        assert!((250..350).contains(&lost) && (70..130).contains(&twice), "{lost} {twice}");
        assert!(first.iter().all(|fate| fate.delay < rates.delay));
    }

    #[test]
    fn nothing_and_everything_are_rates_too() {
        let rates = |drop| Rates { drop, duplicate: 0.0, delay: Duration::ZERO };
        assert!(fates(7, rates(0.0)).iter().all(|fate| *fate == Fate::default()));
        assert!(fates(7, rates(1.0)).iter().all(|fate| fate.lost));
    }

    #[test]
    fn a_network_says_how_bad_it_is() {
        let bad = Rates { drop: 0.3, duplicate: 0.1, delay: Duration::from_millis(200) };
        assert_eq!(
            bad.to_string(),
            "between them 30 % of all datagrams are lost, 10 % come twice, \
             all come up to 200 ms late"
        );
    }
}
