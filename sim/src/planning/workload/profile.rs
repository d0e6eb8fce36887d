//! What goes wrong in random runs, and how much of it in each seed's.

use std::time::Duration;

use udpchat_core::protocol::limits::DATAGRAM_MAX;

use crate::faults::fate::{Rates, whole_ms};
use crate::naming::random::Stream;

/// The smallest limit of a datagram's size under which four clients sign in, have a table and send
/// short texts: with less than 300 bytes their table waits until everything is healed.
const MTU_LEAST: usize = 300;

/// What every path of IPv4 must carry, 576 bytes (RFC 791), less the headers of IP and UDP.
const MTU_OLD_PATHS: usize = 548;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Profile {
    /// To datagrams.
    pub rates: Rates,
    /// Cuts a minute, for each direction of each link.
    pub cuts: f64,
    /// Crashes a minute, for each host.
    pub crashes: f64,
    /// Pauses a minute, for each host.
    pub pauses: f64,
    /// Calendar clocks set, a minute, for each host; and the same number of times that its clocks
    /// begin to go wrong.
    pub clock_steps: f64,
    /// Datagrams of more bytes are lost. In swarm runs the least of what may be the limit.
    pub mtu: Option<usize>,
    /// The longest time that a commit takes.
    pub disk: Duration,
    /// The share of a disk's operations at which something goes wrong.
    pub disk_faults: f64,
}

impl Profile {
    /// As much of everything as swarm runs have at most.
    pub const MOST: Self = Self {
        rates: Rates {
            drop: 0.5,
            duplicate: 0.3,
            corrupt: 0.1,
            truncate: 0.1,
            delay: Some((Duration::ZERO, Duration::from_millis(400))),
            burst: 0.2,
        },
        cuts: 4.0,
        crashes: 4.0,
        pauses: 4.0,
        clock_steps: 4.0,
        mtu: Some(MTU_LEAST),
        disk: Duration::from_millis(100),
        disk_faults: 0.01,
    };

    /// A moderate amount of everything at once.
    pub const ALL: Self = Self {
        rates: Rates {
            drop: 0.1,
            duplicate: 0.1,
            corrupt: 0.05,
            truncate: 0.05,
            delay: Some((Duration::ZERO, Duration::from_millis(200))),
            burst: 0.05,
        },
        cuts: 1.0,
        crashes: 2.0,
        pauses: 1.0,
        clock_steps: 1.0,
        mtu: Some(MTU_OLD_PATHS),
        disk: Duration::from_millis(20),
        disk_faults: 0.003,
    };

    /// What happens so often in a minute happens so many times less often.
    pub(super) fn less_often(&self, times: f64) -> Self {
        Self {
            cuts: self.cuts / times,
            crashes: self.crashes / times,
            pauses: self.pauses / times,
            clock_steps: self.clock_steps / times,
            ..*self
        }
    }

    /// Each kind of fault with a probability of one half, and then anything up to this much of it.
    #[must_use]
    pub fn some(&self, seed: u64) -> Self {
        let mut stream = Stream::new(seed, &["swarm"]);
        let mut some = |most: f64| {
            let (chosen, part) = (stream.fraction() < 0.5, stream.fraction());
            if chosen { most * part } else { 0.0 }
        };
        Self {
            rates: Rates {
                drop: some(self.rates.drop),
                duplicate: some(self.rates.duplicate),
                corrupt: some(self.rates.corrupt),
                truncate: some(self.rates.truncate),
                delay: self.rates.delay.and_then(|(shortest, longest)| {
                    let part = some(1.0);
                    let longest = shortest + (longest.saturating_sub(shortest)).mul_f64(part);
                    let longest = Duration::from_millis(whole_ms(longest));
                    (part > 0.0).then_some((shortest, longest))
                }),
                burst: some(self.rates.burst),
            },
            cuts: some(self.cuts),
            crashes: some(self.crashes),
            pauses: some(self.pauses),
            clock_steps: some(self.clock_steps),
            disk: Duration::from_millis(whole_ms(self.disk.mul_f64(some(1.0)))),
            mtu: self.mtu.and_then(|least| {
                let part = some(1.0);
                let above = DATAGRAM_MAX.saturating_sub(least) as f64 * part;
                (part > 0.0).then_some(least + above as usize)
            }),
            disk_faults: some(self.disk_faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_size_let_small_tables_and_short_texts_pass() {
        let limits: Vec<usize> = (0..200).filter_map(|seed| Profile::MOST.some(seed).mtu).collect();
        assert!((60..140).contains(&limits.len()), "{}", limits.len());
        assert!(limits.iter().all(|limit| (MTU_LEAST..=DATAGRAM_MAX).contains(limit)));
    }
}
