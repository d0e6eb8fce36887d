//! What a seed's run is like, beside what goes wrong in it: how many talk for how long, who is
//! away for long, who wants whose name.
//!
//! Most runs are the usual one. The others are rare, each with its weight here, so that a sweep
//! reaches states that a short chat among four never does, and costs little more.

use std::time::Duration;

use super::folders::Folders;
use super::{Profile, Size};
use crate::naming::random::Stream;

/// A run's course.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    /// How much is going on.
    pub(super) size: Size,
    /// What goes wrong.
    pub(super) profile: Profile,
    /// Everything is typed within so many short times, if not at any time.
    pub(super) bursts: Option<u64>,
    /// The longest time for which somebody is away.
    pub(super) away: Option<Away>,
    /// Others want users' names.
    pub(super) rivals: bool,
    /// A rival has a copy of the folder of whoever has the name.
    pub(super) thief: bool,
    /// Some users come and go without end.
    pub(super) restless: bool,
    /// Somebody's folder is lost, or gives way to an older copy.
    pub(super) folders: Option<Folders>,
    /// Somebody goes on at another host.
    pub(super) removal: bool,
}

/// How long users and the server are away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Away {
    /// At least: more than a lease.
    pub(super) shortest: Duration,
    /// At most.
    pub(super) longest: Duration,
    /// The longest time for which the server keeps messages, if it does not keep them for ever.
    pub(super) mail: Duration,
}

/// One run of so many has others who want users' names, and one restless users, whatever else.
const RIVALS_ONE_IN: u64 = 8;
const RESTLESS_ONE_IN: u64 = 8;

/// One rival of so many has a copy of the other's folder.
const THIEF_ONE_IN: u64 = 3;

/// In one run of so many somebody's folder is lost, in as many it is replaced by an older copy, and
/// in as many somebody goes on at another host.
const FOLDERS_ONE_IN: u64 = 16;

/// Weights of the rare courses, of [`WEIGHTS`] in all.
const WEIGHTS: u64 = 64;
const CROWD: u64 = 1;
const SLOW: u64 = 2;
const PAIR: u64 = 4;
const ABSENCES: u64 = 10;

/// The last place in a stream that a byte can count is 255: one of two talks most, and says more.
const PAIR_SIZE: Size = Size { clients: 2, messages: 600, duration: Duration::from_secs(20) };

/// So many names take several parts of a table.
const CROWD_SIZE: Size = Size { clients: 30, messages: 60, duration: Duration::from_secs(20) };

/// Leases are renewed, keep-alives sent, and little else.
const SLOW_SIZE: Size = Size { clients: 4, messages: 24, duration: Duration::from_secs(600) };

/// Long enough that everybody who is away for long comes back while things still go wrong.
const ABSENCES_SIZE: Size = Size { clients: 4, messages: 40, duration: Duration::from_secs(45) };

impl Course {
    /// The usual one.
    pub(super) const fn usual(size: Size, profile: Profile) -> Self {
        let (bursts, away) = (None, None);
        let (rivals, thief, restless, folders, removal) = (false, false, false, None, false);
        Self { size, profile, bursts, away, rivals, thief, restless, folders, removal }
    }

    /// This seed's: now and then of another size, if nobody has asked for another than the usual.
    pub(super) fn of(seed: u64, size: &Size, profile: &Profile) -> Self {
        let mut stream = Stream::new(seed, &["course"]);
        let weight = stream.below(WEIGHTS);
        let rivals = stream.below(RIVALS_ONE_IN) == 0;
        let restless = stream.below(RESTLESS_ONE_IN) == 0;
        let thief = stream.below(THIEF_ONE_IN) == 0;
        let (folders, removal) = match stream.below(FOLDERS_ONE_IN) {
            0 => (Some(Folders::Lost), false),
            1 => (Some(Folders::Restored), false),
            2 => (None, true),
            _ => (None, false),
        };
        let usual = Self::usual(*size, *profile);
        let usual = Self { rivals, thief, restless, folders, removal, ..usual };
        if *size != Size::USUAL {
            return usual;
        }
        let mut rest = weight;
        let mut is = |weight: u64| {
            let is = rest < weight;
            rest = if is { u64::MAX } else { rest - weight };
            is
        };
        if is(CROWD) {
            // There are so many more links.
            let links = f64::from(CROWD_SIZE.clients) / f64::from(size.clients);
            let profile = Profile { cuts: profile.cuts / links, ..*profile };
            Self { size: CROWD_SIZE, profile, ..usual }
        } else if is(SLOW) {
            let longer = SLOW_SIZE.duration.as_secs_f64() / size.duration.as_secs_f64();
            let away = Away {
                shortest: Duration::from_secs(20),
                longest: Duration::from_secs(240),
                mail: Duration::from_secs(90),
            };
            let profile = profile.less_often(longer);
            Self { size: SLOW_SIZE, profile, away: Some(away), ..usual }
        } else if is(PAIR) {
            let bursts = Some(1 + stream.below(8));
            Self { size: PAIR_SIZE, bursts, ..usual }
        } else if is(ABSENCES) {
            let away = Away {
                shortest: Duration::from_secs(16),
                longest: Duration::from_secs(32),
                mail: Duration::from_secs(12),
            };
            Self { size: ABSENCES_SIZE, away: Some(away), ..usual }
        } else {
            usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_runs_are_of_the_usual_size_and_all_others_occur() {
        let of = |size| (0..640).filter(|seed| course(*seed, Size::USUAL).size == size).count();
        assert!(of(Size::USUAL) > 400, "{}", of(Size::USUAL));
        for size in [CROWD_SIZE, SLOW_SIZE, PAIR_SIZE, ABSENCES_SIZE] {
            assert!(of(size) > 0, "{size:?}");
        }
    }

    fn course(seed: u64, size: Size) -> Course {
        Course::of(seed, &size, &Profile::MOST)
    }

    #[test]
    fn a_size_that_was_asked_for_stays() {
        let asked = Size { clients: 3, ..Size::USUAL };
        assert!((0..200).all(|seed| course(seed, asked).size == asked));
    }
}
