//! Cookies: proof that an address receives what is sent to it, without remembering anybody.
//!
//! A cookie is a keyed hash (`SipHash`) of the address, the hello's nonce and a time slot, as in
//! RFC 9293's SYN cookies and QUIC's Retry tokens. The key is drawn at start, so that one life's
//! cookies mean nothing to the next; the nonce ties a cookie to the sign-in it was baked for.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use siphasher::sip::SipHasher24;

use super::timing::COOKIE_LIFE;
use crate::protocol::{Cookie, Nonce};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct CookieJar {
    key: (u64, u64),
}

impl CookieJar {
    pub(super) const fn new(key: (u64, u64)) -> Self {
        Self { key }
    }

    pub(super) fn bake(&self, now: Time, addr: SocketAddr, nonce: Nonce) -> Cookie {
        self.cookie(slot(now), addr, nonce)
    }

    pub(super) fn is_good(
        &self,
        now: Time,
        addr: SocketAddr,
        nonce: Nonce,
        cookie: Cookie,
    ) -> bool {
        let current = slot(now);
        [Some(current), current.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|slot| self.cookie(slot, addr, nonce) == cookie)
    }

    /// A key for something else, which tells nothing of this one.
    pub(super) fn other_key(&self) -> (u64, u64) {
        let half = |which: u8| {
            // No cookie is of so little.
            let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
            which.hash(&mut hasher);
            hasher.finish()
        };
        (half(0), half(1))
    }

    fn cookie(&self, slot: u64, addr: SocketAddr, nonce: Nonce) -> Cookie {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        slot.hash(&mut hasher);
        addr.hash(&mut hasher);
        nonce.0.hash(&mut hasher);
        Cookie(hasher.finish())
    }
}

fn slot(now: Time) -> u64 {
    now.since_start().as_secs() / COOKIE_LIFE.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_address_its_nonce_and_its_time_only() {
        let jar = CookieJar::new((7, 7));
        let (here, there) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.1:2".parse().unwrap());
        let nonce = Nonce(1);
        let cookie = jar.bake(Time::ZERO, here, nonce);
        assert!(jar.is_good(Time::ZERO + COOKIE_LIFE, here, nonce, cookie));
        assert!(!jar.is_good(Time::ZERO + 2 * COOKIE_LIFE, here, nonce, cookie));
        assert!(!jar.is_good(Time::ZERO, there, nonce, cookie));
        assert!(!jar.is_good(Time::ZERO, here, Nonce(2), cookie));
        let other_life = CookieJar::new((8, 8));
        assert!(!other_life.is_good(Time::ZERO, here, nonce, cookie));
    }
}
