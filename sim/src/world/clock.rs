//! The clocks of a run: turmoil's time, and what a program on a host takes for the time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use udpchat::drive::Clock;
use udpchat::time::{Now, Time, WallTime};

use crate::fate::whole_ms;
use crate::plan::EPOCH_UNIX_MS;

/// The time since the run began.
pub(super) fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// A program's clocks: one since its start, and the host's calendar.
#[derive(Clone, Debug)]
pub(super) struct HostClock {
    /// When the program was started.
    pub(super) started: Duration,
    /// How far the calendar is off.
    pub(super) calendar: Rc<Cell<Calendar>>,
}

/// How far a host's calendar clock is off.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calendar {
    /// It was set by so many milliseconds.
    pub(super) off_ms: i64,
    /// It gains so many millionths,
    pub(super) drift_ppm: i64,
    /// since then.
    pub(super) drifts_since: Duration,
}

impl Calendar {
    fn off_ms_at(&self, elapsed: Duration) -> i64 {
        let lasted = whole_ms(elapsed.saturating_sub(self.drifts_since));
        let lasted = i64::try_from(lasted).unwrap_or(i64::MAX);
        self.off_ms.saturating_add(lasted.saturating_mul(self.drift_ppm) / 1_000_000)
    }
}

impl Clock for HostClock {
    fn now(&self) -> Now {
        let elapsed = elapsed();
        let right = EPOCH_UNIX_MS.saturating_add(whole_ms(elapsed));
        let off_ms = self.calendar.get().off_ms_at(elapsed);
        let wall = WallTime::from_unix_ms(right.saturating_add_signed(off_ms));
        Now { time: Time::from_start(elapsed.saturating_sub(self.started)), wall }
    }
}
