//! Who may have a name that nobody had: one address not too many of them.
//!
//! docs/protocol.md, "Who gets a name" and "Shares". Knows addresses, and nobody's name.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::bucket::Bucket;
use super::context::Context;
use super::shares::Shares;
use crate::mutation::{Mutation, Mutations};
use crate::protocol::Refusal;
use crate::protocol::limits::{ADDRESS_SLOTS, NAMES_MAX};
use crate::time::Time;

/// How many new names each address has taken lately, in a table that no number of addresses makes
/// grow: some share a slot, and nobody without the key can say which.
#[derive(Debug)]
pub(super) struct NewNames {
    key: (u64, u64),
    /// Empty until the first address asks.
    slots: Vec<Bucket>,
}

impl NewNames {
    pub(super) const fn new(key: (u64, u64)) -> Self {
        Self { key, slots: Vec::new() }
    }

    /// Whether an address may have a new name. Then it has taken one.
    pub(super) fn admit<M: Mutations>(
        &mut self,
        cx: &Context<M>,
        addr: IpAddr,
    ) -> Result<(), Refusal> {
        if cx.record().accounts.len() >= NAMES_MAX {
            return Err(Refusal::ServerFull);
        }
        if cx.is_low() {
            return Err(Refusal::DiskFull);
        }
        match self.take(cx.now(), addr, cx.config().shares) {
            Err(wait) if !cx.has(Mutation::NoNameShare) => {
                let minutes = wait.as_secs().div_ceil(60);
                Err(Refusal::TooManyNames { minutes: u32::try_from(minutes).unwrap_or(u32::MAX) })
            }
            _ => Ok(()),
        }
    }

    /// Takes a new name for an address; or says how long it has to wait for one.
    fn take(&mut self, now: Time, addr: IpAddr, shares: Shares) -> Result<(), Duration> {
        let Some(network) = network(addr) else { return Ok(()) };
        let owed_max = shares.new_name_every * shares.new_names_at_once.saturating_sub(1);
        let slot = self.slot(network);
        match slot.next(now, owed_max) {
            Some(due) => Err(due - now),
            None => {
                slot.pay(now, shares.new_name_every);
                Ok(())
            }
        }
    }

    fn slot(&mut self, network: [u8; 8]) -> &mut Bucket {
        if self.slots.is_empty() {
            self.slots = vec![Bucket::default(); ADDRESS_SLOTS];
        }
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        network.hash(&mut hasher);
        let slots = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(hasher.finish() % slots).unwrap_or(0);
        &mut self.slots[at]
    }
}

/// What of an address its holder does not choose: all of IPv4, the first 64 bits of IPv6. `None`
/// for this machine itself, whose users have it anyway.
fn network(addr: IpAddr) -> Option<[u8; 8]> {
    match addr.to_canonical() {
        addr if addr.is_loopback() => None,
        IpAddr::V4(addr) => {
            let [a, b, c, d] = addr.octets();
            Some([0, 0, 0, 0, a, b, c, d])
        }
        IpAddr::V6(addr) => addr.octets().first_chunk().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::timing::NEW_NAME_EVERY;

    fn at(minutes: u64) -> Time {
        Time::from_start(Duration::from_secs(60 * minutes))
    }

    /// How many names of so many an address gets at this time.
    fn granted(names: &mut NewNames, minutes: u64, addr: &str, wanted: usize) -> usize {
        let addr = addr.parse().unwrap();
        let take = |_: &usize| names.take(at(minutes), addr, Shares::default()).is_ok();
        (0..wanted).filter(take).count()
    }

    #[test]
    fn an_address_gets_five_new_names_at_once_and_then_one_in_twelve_minutes() {
        let mut names = NewNames::new((1, 2));
        assert_eq!(granted(&mut names, 0, "192.0.2.1", 9), 5);
        let wait = names.take(at(0), "192.0.2.1".parse().unwrap(), Shares::default());
        assert_eq!(wait, Err(NEW_NAME_EVERY));
        assert_eq!(granted(&mut names, 0, "192.0.2.2", 9), 5, "another one has its own");
        assert_eq!(granted(&mut names, 12, "::ffff:192.0.2.1", 9), 1, "the same address");
        assert_eq!(granted(&mut names, 36, "192.0.2.1", 9), 2);
        assert_eq!(granted(&mut names, 1_000, "192.0.2.1", 9), 5);
    }

    #[test]
    fn half_an_address_of_ipv6_is_one_and_this_machine_is_free() {
        let mut names = NewNames::new((1, 2));
        assert_eq!(granted(&mut names, 0, "2001:db8::1", 3), 3);
        assert_eq!(granted(&mut names, 0, "2001:db8::2", 9), 2);
        assert_eq!(granted(&mut names, 0, "2001:db8:0:1::1", 9), 5);
        for addr in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(granted(&mut names, 0, addr, 99), 99, "{addr}");
        }
    }

    #[test]
    fn no_number_of_addresses_makes_the_table_grow() {
        let mut names = NewNames::new((1, 2));
        for n in 0..300_000_u32 {
            let _ = names.take(at(0), IpAddr::from(n.to_be_bytes()), Shares::default());
        }
        assert_eq!(names.slots.len(), ADDRESS_SLOTS);
    }
}
