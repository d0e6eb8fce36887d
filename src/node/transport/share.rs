//! What each address may be sent while others wait for room as well.
//!
//! A socket has one room for all of them, and a system keeps there what a slow line has not taken
//! yet, and for some seconds what is for a neighbour that does not answer. So those that have said
//! nothing for a while share little, however much room there is; and when half of it is taken, the
//! other half is for addresses that had little lately and answer what they are sent.
//!
//! Knows no socket and no clock: time is passed in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What an address may have had lately and is sent more all the same: five small datagrams. The
/// other half of the room that Linux gives by default has 212,992 bytes: 52 times as much.
const SHARE: Allowance = Allowance { bytes: 4 << 10, per_second: 4 << 10 };

/// What of that a repetition may use: what is new goes first.
const REPETITION: Allowance = Allowance { bytes: SHARE.bytes / 2, ..SHARE };

/// What all silent addresses together are sent. A system keeps it for up to 3 s, so that they
/// never take more than 128 KiB: less than a third of the room that Linux gives by default.
const SILENT: Allowance = Allowance { bytes: 32 << 10, per_second: 32 << 10 };

/// Who was sent more than this, one long datagram, and has said nothing since then, is not
/// answering: it gets nothing of the other half, ...
const UNANSWERED_BYTES: u64 = 2 << 10;

/// ... and is silent when that has lasted so long: whoever is there answers sooner.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// What a datagram takes beside its bytes, as Linux counts it for a small one.
const DATAGRAM_BYTES: u64 = 768;

/// More addresses than a server has clients. Beyond, nobody new is limited.
const ADDRESSES_MAX: usize = 16_384;

/// Between two searches for addresses that may be forgotten: each looks at all of them.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// Who has not been sent anything for so long may be forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// What may be had at once, and how much of what was had is forgotten each second.
///
/// An address that can be reached goes on with five small datagrams a second, whatever it had;
/// the slowest lines (16 kbit/s) take about as many.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    bytes: u64,
    per_second: u64,
}

/// What was had: so many bytes at that time, and less since then.
#[derive(Clone, Copy, Debug)]
struct Had {
    bytes: u64,
    at: Instant,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
struct Address {
    had: Had,
    /// How many bytes it was sent since it last said something, and since when.
    unanswered: u64,
    unanswered_since: Instant,
}

/// What addresses had lately.
#[derive(Debug, Default)]
pub(super) struct Shares {
    addresses: BTreeMap<IpAddr, Address>,
    silent: Option<Had>,
    forgot_at: Option<Instant>,
}

impl Had {
    const fn nothing(now: Instant) -> Self {
        Self { bytes: 0, at: now }
    }

    fn left(self, allowance: Allowance, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).min(FORGOTTEN_AFTER);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.bytes.saturating_sub(millis.saturating_mul(allowance.per_second) / 1_000)
    }

    /// However much it was, the allowance is soon there again: the address may be one that can be
    /// reached.
    fn take(&mut self, bytes: u64, allowance: Allowance, now: Instant) {
        let taken = self.left(allowance, now) + bytes;
        *self = Self { bytes: taken.min(allowance.bytes + DATAGRAM_BYTES), at: now };
    }
}

impl Address {
    fn is_silent(&self, now: Instant) -> bool {
        self.unanswered > UNANSWERED_BYTES
            && now.saturating_duration_since(self.unanswered_since) >= SILENT_AFTER
    }

    /// Whether it gets more only while there is plenty of room.
    fn is_used_up(&self, is_repetition: bool, now: Instant) -> bool {
        let share = if is_repetition { REPETITION } else { SHARE };
        self.unanswered > UNANSWERED_BYTES || self.had.left(share, now) > share.bytes
    }
}

impl Shares {
    /// Whether an address may be sent a datagram of so many bytes now, and if so, that it is.
    /// `is_half_empty` says whether there is plenty of room.
    pub(super) fn admit(
        &mut self,
        (ip, bytes): (IpAddr, usize),
        is_repetition: bool,
        now: Instant,
        is_half_empty: impl FnOnce() -> bool,
    ) -> bool {
        let bytes = DATAGRAM_BYTES + bytes as u64;
        let mut fresh = Address { had: Had::nothing(now), unanswered: 0, unanswered_since: now };
        let address = match self.addresses.get_mut(&ip) {
            Some(known) => known,
            None => {
                self.make_place(now);
                // Nothing is remembered of whoever finds no place.
                match self.addresses.len() < ADDRESSES_MAX {
                    true => self.addresses.entry(ip).or_insert(fresh),
                    false => &mut fresh,
                }
            }
        };
        let mut silent = self.silent.unwrap_or_else(|| Had::nothing(now));
        let is_silent = address.is_silent(now);
        if is_silent && silent.left(SILENT, now) > SILENT.bytes
            || address.is_used_up(is_repetition, now) && !is_half_empty()
        {
            return false;
        }
        if is_silent {
            silent.take(bytes, SILENT, now);
            self.silent = Some(silent);
        }
        if address.unanswered == 0 {
            address.unanswered_since = now;
        }
        address.unanswered += bytes;
        address.had.take(bytes, SHARE, now);
        true
    }

    /// An address has said something: what it is sent is perhaps not in vain.
    pub(super) fn heard(&mut self, ip: IpAddr) {
        if let Some(address) = self.addresses.get_mut(&ip) {
            address.unanswered = 0;
        }
    }

    /// Forgets whoever may be forgotten, if somebody new finds no place.
    fn make_place(&mut self, now: Instant) {
        let lately = |at: Instant| now.saturating_duration_since(at) < FORGET_EVERY;
        if self.addresses.len() < ADDRESSES_MAX || self.forgot_at.is_some_and(lately) {
            return;
        }
        self.forgot_at = Some(now);
        self.addresses.retain(|_, address| {
            let is_answering = address.unanswered <= UNANSWERED_BYTES;
            let is_old = now.saturating_duration_since(address.had.at) >= FORGOTTEN_AFTER;
            !(is_old || is_answering && address.had.left(SHARE, now) == 0)
        });
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

    /// Sends small datagrams while others fill half of the room, and says how many were admitted.
    fn admitted(shares: &mut Shares, last: u32, times: usize, now: Instant) -> usize {
        let admit = |_: &usize| {
            shares.heard(ip(last));
            shares.admit((ip(last), 32), false, now, || false)
        };
        (0..times).filter(admit).count()
    }

    fn after(begin: Instant, millis: u64) -> Instant {
        begin + Duration::from_millis(millis)
    }

    #[test]
    fn who_had_much_has_to_wait_and_who_had_little_does_not() {
        let (mut shares, begin) = (Shares::default(), begin());
        assert_eq!(admitted(&mut shares, 1, 100, begin), 6);
        assert_eq!(admitted(&mut shares, 2, 100, begin), 6);
        assert!(shares.admit((ip(1), 32), false, begin, || true));
    }

    #[test]
    fn a_repetition_finds_its_share_used_up_first() {
        let (mut shares, begin) = (Shares::default(), begin());
        assert_eq!(admitted(&mut shares, 1, 3, begin), 3);
        shares.heard(ip(1));
        assert!(!shares.admit((ip(1), 32), true, begin, || false));
        assert!(shares.admit((ip(1), 32), false, begin, || false));
    }

    #[test]
    fn however_much_an_address_had_it_soon_has_room_again() {
        let (mut shares, begin) = (Shares::default(), begin());
        for _ in 0..10_000 {
            shares.heard(ip(1));
            shares.admit((ip(1), 700), false, begin, || true);
        }
        assert_eq!(admitted(&mut shares, 1, 1, after(begin, 100)), 0);
        assert_eq!(admitted(&mut shares, 1, 1, after(begin, 300)), 1);
        // A clock may say the same twice, or less.
        assert_eq!(admitted(&mut shares, 1, 1, begin), 0);
        let times = (300..10_300).step_by(100);
        let sent = times.map(|millis| admitted(&mut shares, 1, 1, after(begin, millis)));
        assert!((40..60).contains(&sent.sum::<usize>()));
    }

    #[test]
    fn who_does_not_answer_gets_nothing_of_the_other_half() {
        let (mut shares, begin) = (Shares::default(), begin());
        let mut admit =
            |last, is_half_empty| shares.admit((ip(last), 32), false, begin, || is_half_empty);
        assert_eq!((0..100).filter(|_| admit(1, false)).count(), 3);
        assert_eq!((0..100).filter(|_| admit(1, true)).count(), 100);
        assert!(!admit(1, false));
        assert!(admit(2, false));
        shares.heard(ip(2));
        assert!(shares.admit((ip(2), 32), false, begin, || false));
    }

    #[test]
    fn the_silent_share_little_and_whoever_speaks_again_is_none_of_them() {
        let (mut shares, begin) = (Shares::default(), begin());
        let mut sent = 0;
        for millis in (0..10_000).step_by(10) {
            for last in 0..60 {
                let now = after(begin, 1_000 + millis);
                // Each was sent more than it answered a second ago.
                if millis == 0 {
                    (0..3).for_each(|_| {
                        shares.admit((ip(last), 32), false, begin, || true);
                    });
                }
                sent += 800 * usize::from(shares.admit((ip(last), 32), true, now, || true));
            }
        }
        assert!((300_000..=11 * 33_600).contains(&sent), "{sent} bytes");
        let now = after(begin, 11_000);
        assert!(!shares.admit((ip(7), 32), true, now, || true));
        shares.heard(ip(7));
        assert!(shares.admit((ip(7), 32), true, now, || true));
        assert!(shares.admit((ip(99), 32), false, now, || true));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_makes_place() {
        let (mut shares, begin) = (Shares::default(), begin());
        for last in 0..2 * ADDRESSES_MAX as u32 {
            assert!(shares.admit((ip(last), 32), false, begin, || true));
        }
        assert_eq!(shares.addresses.len(), ADDRESSES_MAX);
        shares.admit((ip(u32::MAX >> 8), 32), false, after(begin, 5_000), || true);
        assert_eq!(shares.addresses.len(), 1);
    }

    #[test]
    fn no_number_of_others_makes_it_forget_who_is_silent() {
        let (mut shares, begin) = (Shares::default(), begin());
        (0..3).for_each(|_| assert!(shares.admit((ip(7), 32), false, begin, || true)));
        for last in 0..ADDRESSES_MAX as u32 {
            let other = ip(1_000 + last);
            assert!(shares.admit((other, 32), false, begin, || true));
        }
        let now = after(begin, 2_000);
        assert!(shares.admit((ip(500), 32), false, now, || true));
        assert_eq!(shares.addresses.len(), 2, "the others were forgotten");
        assert!(!shares.admit((ip(7), 32), false, now, || false));
    }
}
