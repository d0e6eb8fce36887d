//! What goes wrong with hosts and links in random runs, and when: crashes, pauses, clocks, cuts;
//! and users who are away for a little.

use std::time::Duration;

use super::script::Todo;
use super::{Profile, SIGN_IN, Size, up_to};
use crate::faults::fate::{Cut, whole_ms};
use crate::naming::label::HostName;
use crate::naming::random::Stream;
use crate::planning::plan::{self, Act, Host};

/// A user who has left is back after this at the latest.
pub(super) const BREAK_MAX_MS: u64 = 8_000;

/// A program that was killed is started again after this at the latest.
const DOWN_MAX_MS: u64 = 6_000;

/// A restart as supervisors do it.
const QUICK_RESTART_MAX_MS: u64 = 200;

/// The longest cut and the longest pause.
const CUT_MAX_MS: u64 = 10_000;
const PAUSE_MAX_MS: u64 = 6_000;

/// The farthest that a calendar clock is set, either way: two days, more than any expiry.
const CLOCK_STEP_MAX_MS: u64 = 172_800_000;

/// The worst clock, either way: NTP gives up correcting one that is worse (RFC 5905, section 11).
/// Timers run as fast or as slow; in 20 s that is 10 ms, the time that a datagram takes.
const DRIFT_MAX_PPM: u32 = 500;

/// The times of something that happens `per_minute` times, at any moment as likely as at any other.
pub(super) fn times(stream: &mut Stream, per_minute: f64, within: Duration) -> Vec<Duration> {
    let mut at = Duration::ZERO;
    let next = || {
        let gap_s = -(1.0 - stream.fraction()).ln() * 60.0 / per_minute;
        at = at.checked_add(Duration::try_from_secs_f64(gap_s).ok()?)?;
        (at < within).then(|| Duration::from_millis(whole_ms(at)))
    };
    std::iter::from_fn(next).collect()
}

pub(super) fn mishaps(
    seed: u64,
    host: &str,
    size: &Size,
    profile: &Profile,
) -> Vec<(Duration, Todo)> {
    let mut todo = Vec::new();
    let mut stream = Stream::new(seed, &["crashes", host]);
    for at in times(&mut stream, profile.crashes, size.duration) {
        todo.push((at, Todo::End(Act::Crash)));
        // Half of them are back before what the killed program sent has arrived.
        let most = if stream.fraction() < 0.5 { QUICK_RESTART_MAX_MS } else { DOWN_MAX_MS };
        todo.push((at + up_to(&mut stream, most), Todo::Start));
    }
    let mut stream = Stream::new(seed, &["pauses", host]);
    for at in times(&mut stream, profile.pauses, size.duration) {
        let lasts = up_to(&mut stream, PAUSE_MAX_MS).min(size.duration - at);
        todo.push((at, Todo::Pause(lasts)));
    }
    let mut stream = Stream::new(seed, &["clock", host]);
    for at in times(&mut stream, profile.clock_steps, size.duration) {
        let by = i64::try_from(stream.below(2 * CLOCK_STEP_MAX_MS)).unwrap_or_default();
        let limit = i64::try_from(CLOCK_STEP_MAX_MS).unwrap_or_default();
        todo.push((at, Todo::Clock(by - limit)));
    }
    let mut stream = Stream::new(seed, &["drift", host]);
    for at in times(&mut stream, profile.clock_steps, size.duration) {
        let gains = stream.below(2 * u64::from(DRIFT_MAX_PPM) + 1);
        let gains = i64::try_from(gains).unwrap_or_default();
        todo.push((at, Todo::Drift(gains - i64::from(DRIFT_MAX_PPM))));
    }
    todo
}

/// Half of the users leave once, and come back; half of those end their programs.
pub(super) fn breaks(seed: u64, host: &str, size: &Size) -> Vec<(Duration, Todo)> {
    let mut stream = Stream::new(seed, &["breaks", host]);
    if stream.fraction() < 0.5 {
        return Vec::new();
    }
    let at = SIGN_IN + up_to(&mut stream, whole_ms(size.duration).max(1));
    let back = at + up_to(&mut stream, BREAK_MAX_MS);
    match stream.fraction() < 0.5 {
        true => vec![(at, Todo::Leave), (back, Todo::Return)],
        false => {
            let leave = Act::Type { line: plan::INTERRUPT.to_owned(), label: None };
            vec![(at, Todo::End(leave)), (back, Todo::Start)]
        }
    }
}

/// The cuts of links, with `cuts` among them.
pub(super) fn cuts(
    seed: u64,
    hosts: &[Host],
    size: &Size,
    profile: &Profile,
    mut cuts: Vec<Cut>,
) -> Vec<Cut> {
    let pairs = hosts.iter().flat_map(|a| hosts.iter().map(move |b| (&a.name, &b.name)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        let mut stream = Stream::new(seed, &["cuts", from, to]);
        for since in times(&mut stream, profile.cuts, size.duration) {
            let until = (since + up_to(&mut stream, CUT_MAX_MS)).min(size.duration);
            // Half of them are cuts of the whole link.
            if stream.fraction() < 0.5 {
                cuts.push(Cut { from: to.clone(), to: from.clone(), since, until });
            }
            let (from, to): (HostName, HostName) = (from.clone(), to.clone());
            cuts.push(Cut { from, to, since, until });
        }
    }
    cuts.sort_by(|a, b| (&a.from, &a.to, a.since).cmp(&(&b.from, &b.to, b.since)));
    // Those that overlap become one: then each can be mended by itself.
    cuts.dedup_by(|next, cut| {
        let overlaps = (&next.from, &next.to) == (&cut.from, &cut.to) && next.since <= cut.until;
        if overlaps {
            cut.until = cut.until.max(next.until);
        }
        overlaps
    });
    cuts
}
