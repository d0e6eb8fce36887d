//! Talk ends: when everything is settled, only keep-alives and their answers are sent.

use super::{Checker, Evidence, Violation, When};
use crate::planning::plan::QUIET;
use crate::record::log::What;
use crate::record::outcome::KEEP_ALIVE;

pub(super) const CHECKER: Checker = Checker {
    name: "quiet",
    promise: "when everything is settled, only keep-alives and their answers are sent",
    when: When::AfterHealing,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let since = evidence.end.saturating_sub(QUIET);
    // Whoever is not there is asked until their lease ends.
    let is_ours = |host: &str| !evidence.plan.is_attacked() || evidence.plan.host(host).is_some();
    let noise = evidence.log.entries.iter().find_map(|entry| match &entry.what {
        What::Sent { key, .. }
            if entry.at > since && !KEEP_ALIVE.contains(&key.packet) && is_ours(&key.to) =>
        {
            let (from, to, packet) = (&key.from, &key.to, key.packet.name());
            Some((entry.at, format!("{from} still sends {packet} to {to}")))
        }
        _ => None,
    });
    noise.map(|(at, what)| Violation { checker: CHECKER.name, at, what }).into_iter().collect()
}
