//! The calendar of a place: when something was, as the people there say it.
//!
//! Pure. Which place is for whoever asks.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use udpchat_core::time::WallTime;

/// The time there. What is later than any calendar goes is its last moment.
pub(super) fn local(at: WallTime, zone: &TimeZone) -> Zoned {
    let unix_ms = i64::try_from(at.unix_ms()).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX);
    at.to_zoned(zone.clone())
}
