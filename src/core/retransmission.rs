//! When what is not answered is sent again: after the round trip, which is measured (RFC 6298).
//!
//! Knows no packet. A repeated datagram's answer tells which copy it answers
//! ([`crate::protocol::envelope::Stamps`]), so that repetitions are samples as well.

use std::time::Duration;

use crate::protocol::Trip;
use crate::time::Time;

/// The shortest pause before the first repetition: what a disk takes that has to remember a
/// message before it is acknowledged, and a busy machine until it looks at its socket.
pub const RTO_MIN: Duration = Duration::from_millis(25);

/// The pause while nothing is known of the round trip, and the longest before a repetition to
/// whoever may be there: the original's. Only a round trip that takes longer makes it longer.
pub const RTO_MAX: Duration = Duration::from_millis(500);

/// The shortest pause while the round trip is only guessed, from that of something else: it may be
/// farther away, and its disk slower.
pub const RTO_GUESS_MIN: Duration = Duration::from_millis(200);

/// No round trip is believed to take longer, whatever an answer says: a program that stood still,
/// or a disk, is no way, and nothing may make the next question wait for long.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(2);

/// The least that is added to a round trip that never varied (in RFC 6298 the granularity of the
/// clock): a disk's commits, which an answer waits for, differ by more than a millisecond.
const VARIATION_MIN: Duration = Duration::from_millis(10);

/// The round trip to one place as measured so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoundTrip(Option<Smoothed>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Smoothed {
    mean: Duration,
    variation: Duration,
}

impl RoundTrip {
    /// Takes in a measured round trip.
    pub(crate) fn sample(&mut self, measured: Duration) {
        let measured = measured.min(ROUND_TRIP_MAX);
        self.0 = Some(match self.0 {
            None => Smoothed { mean: measured, variation: measured / 2 },
            Some(Smoothed { mean, variation }) => Smoothed {
                mean: (7 * mean + measured) / 8,
                variation: (3 * variation + mean.abs_diff(measured)) / 4,
            },
        });
    }

    /// The pause before the first repetition, if anything was measured.
    fn measured_timeout(self) -> Option<Duration> {
        let Smoothed { mean, variation } = self.0?;
        let longest = RTO_MAX.max(mean + mean / 4);
        Some((mean + VARIATION_MIN.max(4 * variation)).clamp(RTO_MIN, longest))
    }

    /// The pause before the first repetition; guessed from another round trip if need be.
    pub(crate) fn timeout(self, other: Self) -> Duration {
        let guess = || {
            let other = other.measured_timeout()?;
            Some((2 * other).clamp(RTO_GUESS_MIN, RTO_MAX))
        };
        self.measured_timeout().or_else(guess).unwrap_or(RTO_MAX)
    }
}

/// Both round trips to one place: over the network, and with the commits of whoever answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoundTrips {
    network: RoundTrip,
    disk: RoundTrip,
}

impl RoundTrips {
    /// An answer took so long.
    pub(crate) fn sample(&mut self, trip: Trip, took: Duration) {
        match trip {
            Trip::Network => self.network.sample(took),
            Trip::Disk => self.disk.sample(took),
        }
    }

    /// The pause before the first repetition.
    pub(crate) fn timeout(self, trip: Trip) -> Duration {
        match trip {
            Trip::Network => self.network.timeout(self.disk),
            Trip::Disk => self.disk.timeout(self.network),
        }
    }

    /// The one with commits, for whoever has to guess another.
    pub(crate) const fn disk(self) -> RoundTrip {
        self.disk
    }
}

/// The pause after a transmission, so long after the first one: the first pause, doubled each time
/// up to `longest`.
pub(crate) fn pause(timeout: Duration, elapsed: Duration, longest: Duration) -> Duration {
    (elapsed + timeout).min(longest.max(timeout))
}

/// How often something is sent at most that nobody answers, until `patience` after the first time.
#[must_use]
pub fn attempts_within(patience: Duration) -> u32 {
    let mut elapsed = Duration::ZERO;
    let mut attempts = 0;
    while elapsed < patience {
        attempts += 1;
        elapsed += pause(RTO_MIN, elapsed, RTO_MAX);
    }
    attempts
}

/// Something that is sent until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tries {
    attempts: u32,
    first_at: Time,
    next_at: Time,
}

impl Tries {
    /// It has not been sent, and is to be then.
    pub(crate) const fn from(at: Time) -> Self {
        Self { attempts: 0, first_at: at, next_at: at }
    }

    /// It was sent once, and is to be sent again only then, as if that were the first time.
    pub(crate) const fn again_at(at: Time) -> Self {
        Self { attempts: 1, first_at: at, next_at: at }
    }

    /// How often it was sent.
    pub(crate) const fn attempts(self) -> u32 {
        self.attempts
    }

    /// When it is due.
    pub(crate) const fn next_at(self) -> Time {
        self.next_at
    }

    /// When it was, or will be, sent first.
    pub(crate) const fn first_at(self) -> Time {
        self.first_at
    }

    pub(crate) fn is_due(self, now: Time) -> bool {
        self.next_at <= now
    }

    /// It is sent now. How often, this time included.
    pub(crate) fn transmit(&mut self, now: Time) -> u32 {
        if self.attempts == 0 {
            self.first_at = now;
        }
        self.attempts += 1;
        self.attempts
    }

    /// It is due this long after now.
    pub(crate) fn wait(&mut self, now: Time, pause: Duration) {
        self.next_at = now + pause;
    }

    /// The pause that follows a transmission now.
    pub(crate) fn pause(self, now: Time, timeout: Duration, longest: Duration) -> Duration {
        pause(timeout, now - self.first_at, longest)
    }

    /// It is due at once, and from now on pauses grow, also where it was to wait for longer.
    pub(crate) fn hurry(&mut self, now: Time) {
        self.next_at = now;
        self.first_at = self.first_at.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn after(samples: &[u64]) -> RoundTrip {
        let mut trip = RoundTrip::default();
        samples.iter().for_each(|sample| trip.sample(ms(*sample)));
        trip
    }

    fn timeout(samples: &[u64]) -> Duration {
        after(samples).timeout(RoundTrip::default())
    }

    #[test]
    fn the_first_pause_is_that_of_rfc_6298_within_bounds() {
        assert_eq!(timeout(&[]), RTO_MAX);
        assert_eq!(timeout(&[1]), RTO_MIN);
        assert_eq!(timeout(&[40]), ms(120));
        // mean 7/8 * 40 + 1/8 * 80 = 45, variation 3/4 * 20 + 1/4 * 40 = 25.
        assert_eq!(timeout(&[40, 80]), ms(145));
        assert_eq!(timeout(&[400]), RTO_MAX);
        assert_eq!(timeout(&[400; 50]), ms(410));
    }

    #[test]
    fn a_long_way_is_waited_for_and_no_answer_is_believed_beyond_reason() {
        assert_eq!(timeout(&[2_000; 50]), ms(2_010));
        assert_eq!(timeout(&[2_000]), ms(2_500));
        assert_eq!(timeout(&[u64::from(u32::MAX)]), ROUND_TRIP_MAX + ROUND_TRIP_MAX / 4);
    }

    #[test]
    fn what_was_not_measured_is_guessed_with_care() {
        let unknown = RoundTrip::default();
        assert_eq!(unknown.timeout(after(&[1])), RTO_GUESS_MIN);
        assert_eq!(unknown.timeout(after(&[50])), ms(300));
        assert_eq!(unknown.timeout(after(&[400])), RTO_MAX);
        assert_eq!(after(&[1]).timeout(after(&[400])), RTO_MIN);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut tries = Tries::from(Time::ZERO);
        let mut at = Vec::new();
        while at.len() < 9 {
            let now = tries.next_at();
            at.push(now.since_start().as_millis());
            tries.transmit(now);
            tries.wait(now, tries.pause(now, RTO_MIN, RTO_MAX));
        }
        assert_eq!(at, [0, 25, 75, 175, 375, 775, 1_275, 1_775, 2_275]);
        assert_eq!(tries.attempts(), 9);
        assert_eq!(attempts_within(ms(2_500)), 9);
        assert_eq!(attempts_within(ms(1)), 1);
    }
}
