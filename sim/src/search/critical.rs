//! The smallest rates at which a seed still fails as it does.
//!
//! Fates are keyed, so that smaller rates only take faults away: what is left of a run at half of
//! its rates is a part of what there was. Mishaps of hosts and links, whose times were drawn, are
//! taken away in the same manner, each at a scale of its own.

use std::time::Duration;

use super::neighbours::Centre;
use super::shrink::{Piece, only, pieces};
use crate::faults::bugs::Bug;
use crate::faults::fate::Rates;
use crate::naming::random::{fraction, hash};
use crate::planning::plan::Plan;
use crate::record::check::Violation;

/// Scales that are tried evenly: a run need not fail at all scales above the smallest.
pub const EVEN: u32 = 32;

/// How often the interval below the smallest of them that fails is halved.
const HALVED: u32 = 8;

/// At which scales a seed fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Critical {
    /// How it fails at its own rates.
    pub violation: Violation,
    /// Whether it fails so at 1/[`EVEN`] of its rates, at 2/[`EVEN`], ...
    pub fails: Vec<bool>,
    /// The smallest scale that was found to fail.
    pub scale: f64,
    /// The largest below it that was found to hold.
    pub holds: f64,
    /// Its run.
    pub plan: Plan,
    /// When it fails there.
    pub at: Duration,
}

impl Critical {
    /// Looks for it; none if the run breaks no promise.
    #[must_use]
    pub fn of(plan: &Plan, bug: Option<Bug>) -> Option<Self> {
        let violation = Centre::violations(plan, bug).into_iter().next()?;
        let fails = |scale: f64| {
            let violations = Centre::violations(&scaled(plan, scale), bug);
            violations.into_iter().find(|other| other.checker == violation.checker)
        };
        let part = |part: u32| f64::from(part) / f64::from(EVEN);
        let even: Vec<bool> = (1..EVEN).map(|it| fails(part(it)).is_some()).chain([true]).collect();
        let first = even.iter().zip(1..).find_map(|(fails, it)| fails.then_some(it));
        let first = first.unwrap_or(EVEN);
        let (mut holds, mut scale) = (part(first - 1), part(first));
        // Without any fault at all it may fail as well.
        if first == 1 && fails(0.0).is_some() {
            scale = 0.0;
        }
        for _ in 0..HALVED {
            let middle = f64::midpoint(holds, scale);
            *(if fails(middle).is_some() { &mut scale } else { &mut holds }) = middle;
        }
        let at = fails(scale)?.at;
        let plan = scaled(plan, scale);
        Some(Self { violation, fails: even, scale, holds, plan, at })
    }
}

/// The plan at such a part of its rates. Limits of size, delays and the speed of disks are no
/// rates, and stay.
fn scaled(plan: &Plan, scale: f64) -> Plan {
    let stays = |piece: &Piece| {
        let is_mishap = piece.is_fault(plan) && !matches!(piece, Piece::Move(_));
        !is_mishap || fraction(hash(plan.seed, &["scale", &format!("{piece:?}")])) < scale
    };
    let kept: Vec<Piece> = pieces(plan).into_iter().filter(stays).collect();
    let mut plan = only(plan, &kept);
    let Rates { drop, duplicate, corrupt, truncate, burst, .. } = &mut plan.faults.rates;
    for rate in [drop, duplicate, corrupt, truncate, burst, &mut plan.disk_faults.rate] {
        *rate *= scale;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::plan::Act;
    use crate::planning::workload::{self, Profile, Size};

    #[test]
    fn a_smaller_scale_only_takes_away() {
        let size = Size { clients: 3, messages: 5, duration: Duration::from_secs(20) };
        let plan = workload::plan(1, &size, &Profile::MOST);
        let count = |scale: f64| {
            let plan = scaled(&plan, scale);
            let acts = plan.hosts.iter().flat_map(|host| &host.actions).map(|action| &action.act);
            let typed = acts.clone().filter(|act| matches!(act, Act::Type { .. })).count();
            (typed, acts.count() + plan.faults.cuts.len(), plan.faults.rates.drop)
        };
        let (none, half, all) = (count(0.0), count(0.5), count(1.0));
        assert_eq!((none.0, half.0), (all.0, all.0));
        assert!(none.1 < half.1 && half.1 < all.1, "{none:?} {half:?} {all:?}");
        assert!(none.2 == 0.0 && (half.2 - all.2 / 2.0).abs() < 1e-9);
        assert_eq!(scaled(&plan, 1.0), plan);
    }
}
