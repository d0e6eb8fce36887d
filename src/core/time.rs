//! Time as the cores know it: a number that somebody passes in.
//!
//! Knows no clock. [`Time`] runs from the start of a node and never jumps; [`WallTime`] is only
//! ever written into messages and shown, so a stepped clock can change no time-out.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Monotonic time since the node was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Duration);

impl Time {
    /// The node's start.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The time `since_start` after the node's start.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long the node has run.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub for Time {
    type Output = Duration;
    /// The time from `rhs` to `self`, zero if `rhs` is later.
    fn sub(self, rhs: Self) -> Duration {
        self.0.saturating_sub(rhs.0)
    }
}

/// Calendar time in milliseconds since 1970-01-01T00:00:00Z.
///
/// Displayed as RFC 3339 in UTC with a resolution of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime {
    unix_ms: u64,
}

impl WallTime {
    /// The last second that RFC 3339 can write, 9999-12-31T23:59:59Z; a peer may send any number.
    const MAX_MS: u64 = 253_402_300_799_000;

    /// A time given in milliseconds since the Unix epoch; later ones than the year 9999 become
    /// its last second.
    #[must_use]
    pub fn from_unix_ms(unix_ms: u64) -> Self {
        Self { unix_ms: unix_ms.min(Self::MAX_MS) }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.unix_ms
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = Duration::from_millis(self.unix_ms.min(Self::MAX_MS));
        humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).fmt(f)
    }
}

/// Both readings of a node's clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For time-outs.
    pub time: Time,
    /// For stamps that people read.
    pub wall: WallTime,
}

/// A duration in whole milliseconds.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_shown_as_rfc_3339_in_utc() {
        assert_eq!(WallTime::from_unix_ms(1_767_361_541_999).to_string(), "2026-01-02T13:45:41Z");
    }

    #[test]
    fn any_number_from_the_network_can_be_shown() {
        let stamp: WallTime = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(stamp.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn differences_never_underflow() {
        let later = Time::ZERO + Duration::from_secs(1);
        assert_eq!(Time::ZERO - later, Duration::ZERO);
    }
}
