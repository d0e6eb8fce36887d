//! What each address may be sent while many datagrams wait to leave already.
//!
//! A socket has one room for all of them, and a system keeps there what a slow line has not taken
//! yet, and for some seconds what is for a neighbour that does not answer. Half of the room goes
//! to whoever comes first; the other half only to addresses that had little lately, so that those
//! who can be reached find room whoever else cannot.
//!
//! Knows no socket and no clock: time is passed in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What an address may have had lately and is sent more all the same: five small datagrams. The
/// other half of the room that Linux gives by default has 212,992 bytes: 52 times as much.
const SHARE_BYTES: u64 = 4 << 10;

/// What of that a repetition may use: what is new goes first.
const REPETITION_BYTES: u64 = SHARE_BYTES / 2;

/// So much of it is forgotten each second. An address that can be reached goes on with five small
/// datagrams a second, whatever it had; the slowest lines (16 kbit/s) take about as many.
const FORGOTTEN_BYTES_PER_SECOND: u64 = 4 << 10;

/// What a datagram takes beside its bytes, as Linux counts it for a small one.
const DATAGRAM_BYTES: u64 = 768;

/// More addresses than a server has clients. Beyond, nobody new is limited.
const ADDRESSES_MAX: usize = 16_384;

/// What addresses had lately.
#[derive(Debug, Default)]
pub(super) struct Shares {
    had: BTreeMap<IpAddr, Had>,
}

/// What an address had: so many bytes at that time, and less since then.
#[derive(Clone, Copy, Debug)]
struct Had {
    bytes: u64,
    at: Instant,
}

impl Had {
    fn left(self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).min(Duration::from_secs(60));
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.bytes.saturating_sub(millis.saturating_mul(FORGOTTEN_BYTES_PER_SECOND) / 1_000)
    }
}

impl Shares {
    /// Whether an address had its share, so that it gets more only if there is plenty of room.
    pub(super) fn is_used_up(&self, ip: IpAddr, is_repetition: bool, now: Instant) -> bool {
        let share = if is_repetition { REPETITION_BYTES } else { SHARE_BYTES };
        self.had.get(&ip).is_some_and(|had| had.left(now) > share)
    }

    /// An address is sent a datagram of so many bytes. However much it was sent, it is soon back
    /// at its share: it may be one that can be reached.
    pub(super) fn take(&mut self, ip: IpAddr, bytes: usize, now: Instant) {
        if self.had.len() >= ADDRESSES_MAX && !self.had.contains_key(&ip) {
            self.had.retain(|_, had| had.left(now) > 0);
            if self.had.len() >= ADDRESSES_MAX {
                return;
            }
        }
        let had = self.had.entry(ip).or_insert(Had { bytes: 0, at: now });
        let taken = had.left(now) + DATAGRAM_BYTES + bytes as u64;
        *had = Had { bytes: taken.min(SHARE_BYTES + DATAGRAM_BYTES), at: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + last).into())
    }

    #[expect(clippy::disallowed_methods, reason = "some time to begin at")]
    fn begin() -> Instant {
        Instant::now()
    }

    #[test]
    fn who_had_much_has_to_wait_and_who_had_little_does_not() {
        let (mut shares, begin) = (Shares::default(), begin());
        let mut datagrams = 0;
        while !shares.is_used_up(ip(1), false, begin) {
            shares.take(ip(1), 32, begin);
            datagrams += 1;
        }
        assert_eq!(datagrams, 6);
        assert!(shares.is_used_up(ip(1), true, begin));
        assert!(!shares.is_used_up(ip(2), false, begin));
        assert!(!shares.is_used_up(ip(2), true, begin));
    }

    #[test]
    fn a_repetition_finds_its_share_used_up_first() {
        let (mut shares, begin) = (Shares::default(), begin());
        (0..3).for_each(|_| shares.take(ip(1), 32, begin));
        assert!(shares.is_used_up(ip(1), true, begin));
        assert!(!shares.is_used_up(ip(1), false, begin));
    }

    #[test]
    fn however_much_an_address_had_it_soon_has_room_again() {
        let (mut shares, begin) = (Shares::default(), begin());
        (0..10_000).for_each(|_| shares.take(ip(1), 700, begin));
        let at = |millis| begin + Duration::from_millis(millis);
        assert!(shares.is_used_up(ip(1), false, at(100)));
        assert!(!shares.is_used_up(ip(1), false, at(300)));
        assert!(shares.is_used_up(ip(1), true, at(500)));
        assert!(!shares.is_used_up(ip(1), true, at(1_000)));
        // A clock may say the same twice, or less.
        assert!(shares.is_used_up(ip(1), false, begin));
        let within = |last: u64| (0..=last).step_by(100).map(at);
        let sent = within(10_000).filter(|now| {
            let is_sent = !shares.is_used_up(ip(1), false, *now);
            if is_sent {
                shares.take(ip(1), 32, *now);
            }
            is_sent
        });
        assert!((40..60).contains(&sent.count()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_makes_place() {
        let (mut shares, begin) = (Shares::default(), begin());
        for last in 0..2 * ADDRESSES_MAX as u32 {
            shares.take(ip(last), 32, begin);
        }
        assert_eq!(shares.had.len(), ADDRESSES_MAX);
        shares.take(ip(u32::MAX >> 8), 32, begin + Duration::from_secs(5));
        assert_eq!(shares.had.len(), 1);
    }
}
