//! The real clocks and random numbers.
//!
//! The only place that reads and draws them. Knows no machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use udpchat_core::machine::Entropy;
use udpchat_core::time::{Now, Time, WallTime};

use crate::drive::Clock;

/// The operating system's random numbers.
#[must_use]
pub fn entropy() -> Entropy {
    #[expect(clippy::disallowed_methods, reason = "this is where randomness comes from")]
    Entropy::new(rand::random::<u64>)
}

/// The real clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose node starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the binary's clock")]
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the binary's clock")]
    fn now(&self) -> Now {
        // Before 1970 only a broken clock stands.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Now { time: Time::from_start(self.start.elapsed()), wall: WallTime::from_unix_ms(unix_ms) }
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}
