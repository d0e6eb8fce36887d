//! What a program on a host takes for the time.
//!
//! A host has one oscillator. While it is off, the calendar and every timer of the host are.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use udpchat_core::time::{Now, Time, WallTime};
use udpchat_node::drive::Clock;

use crate::engine::runtime::Timeline;
use crate::faults::fate::whole_ms;
use crate::planning::plan::EPOCH_UNIX_MS;

/// A program's clocks: one since its start, and the host's calendar.
#[derive(Clone)]
pub(super) struct HostClock {
    timeline: Rc<dyn Timeline>,
    /// What the host's timers had counted when the program was started.
    started: Duration,
    oscillator: Rc<Cell<Oscillator>>,
}

/// What a host's time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Oscillator {
    /// The calendar was set by so many milliseconds.
    off_ms: i64,
    /// It gains so many millionths,
    ppm: i64,
    /// since this time of the run,
    since: Duration,
    /// when timers had counted so much.
    counted: Duration,
}

/// So many of these are the whole.
const MILLION: u128 = 1_000_000;

impl Oscillator {
    /// The calendar is set.
    pub(super) fn step(self, by_ms: i64) -> Self {
        Self { off_ms: self.off_ms.saturating_add(by_ms), ..self }
    }

    /// From now on it gains so much; what the calendar has gained before is gone.
    pub(super) fn drift(self, ppm: i64, elapsed: Duration) -> Self {
        Self { ppm, since: elapsed, counted: self.counted_at(elapsed), ..self }
    }

    /// What timers have counted.
    fn counted_at(&self, elapsed: Duration) -> Duration {
        let lasted = elapsed.saturating_sub(self.since).as_nanos();
        self.counted.saturating_add(from_nanos(lasted * self.pace() / MILLION))
    }

    /// How long it takes from now until timers have counted so much.
    fn until(&self, counted: Duration, elapsed: Duration) -> Duration {
        let lasts =
            (counted.saturating_sub(self.counted).as_nanos() * MILLION).div_ceil(self.pace());
        self.since.saturating_add(from_nanos(lasts)).saturating_sub(elapsed)
    }

    /// In millionths of the right one; a clock never stands still.
    fn pace(&self) -> u128 {
        u128::try_from(1_000_000 + i128::from(self.ppm)).unwrap_or_default().max(1)
    }

    fn off_ms_at(&self, elapsed: Duration) -> i64 {
        let lasted = whole_ms(elapsed.saturating_sub(self.since));
        let lasted = i64::try_from(lasted).unwrap_or(i64::MAX);
        self.off_ms.saturating_add(lasted.saturating_mul(self.ppm) / 1_000_000)
    }
}

fn from_nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl HostClock {
    /// The clocks of a program that is started now.
    pub(super) fn start(oscillator: &Rc<Cell<Oscillator>>, timeline: &Rc<dyn Timeline>) -> Self {
        let started = oscillator.get().counted_at(timeline.now());
        Self { timeline: Rc::clone(timeline), started, oscillator: Rc::clone(oscillator) }
    }
}

impl Clock for HostClock {
    fn now(&self) -> Now {
        let (elapsed, oscillator) = (self.timeline.now(), self.oscillator.get());
        let right = EPOCH_UNIX_MS.saturating_add(whole_ms(elapsed));
        let wall =
            WallTime::from_unix_ms(right.saturating_add_signed(oscillator.off_ms_at(elapsed)));
        let time = oscillator.counted_at(elapsed).saturating_sub(self.started);
        Now { time: Time::from_start(time), wall }
    }

    async fn sleep(&self, wait: Duration) {
        let due = self.oscillator.get().counted_at(self.timeline.now()).saturating_add(wait);
        let sleep = |oscillator: Oscillator| {
            self.timeline.sleep(oscillator.until(due, self.timeline.now()))
        };
        let mut oscillator = self.oscillator.get();
        let mut slept = sleep(oscillator);
        // The host polls its program whenever it does something to it.
        poll_fn(|context| {
            if self.oscillator.get() != oscillator {
                oscillator = self.oscillator.get();
                slept = sleep(oscillator);
            }
            slept.as_mut().poll(context)
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_run_as_fast_as_the_oscillator() {
        let seconds = Duration::from_secs;
        let right = Oscillator::default();
        assert_eq!(right.counted_at(seconds(10)), seconds(10));
        let fast = right.drift(100_000, seconds(10));
        assert_eq!(fast.counted_at(seconds(20)), seconds(21));
        assert_eq!(fast.until(seconds(21), seconds(15)), seconds(5));
        assert_eq!(fast.off_ms_at(seconds(20)), 1_000);
        let slow = fast.drift(-500_000, seconds(20));
        assert_eq!(slow.counted_at(seconds(22)), seconds(22));
        assert_eq!(slow.until(seconds(23), seconds(22)), seconds(2));
        let right = slow.drift(0, seconds(22)).step(-7);
        assert_eq!(right.counted_at(seconds(30)), seconds(30));
        assert_eq!(right.off_ms_at(seconds(30)), -7);
    }

    #[test]
    fn who_sleeps_does_not_wake_too_early() {
        for ppm in [-100_000, -499, -1, 0, 1, 7, 333, 99_999] {
            let clock = Oscillator::default().drift(ppm, Duration::from_millis(3));
            let due = Duration::from_nanos(1_234_567_891);
            let at = Duration::from_millis(17);
            assert!(clock.counted_at(at + clock.until(due, at)) >= due, "{ppm}");
        }
    }
}
