//! What an attack has broken heals by itself, and soon.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::client::Event;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::moves::Move;
use crate::record::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "heals",
    promise: "30 s after an attack, and when all faults are over, everybody is registered again",
    when: When::AfterHealing,
    check,
};

/// After the last move, and the end of all faults.
const HEALED_AFTER: Duration = Duration::from_secs(30);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let plan = evidence.plan;
    let last = plan.moves.iter().map(Move::last).max();
    let Some((last, healed)) = last.zip(plan.healed) else { return Vec::new() };
    let at = last.max(healed).saturating_add(HEALED_AFTER);
    // A run that ends before has settled before.
    if evidence.end < at {
        return Vec::new();
    }
    let mut registered: BTreeMap<&HostName, bool> = BTreeMap::new();
    for entry in evidence.log.entries.iter().take_while(|entry| entry.at <= at) {
        let is_registered = match &entry.what {
            What::Client(Event::Registered { .. }) => true,
            // A server that is silent for a while need not have ended anything.
            What::Client(Event::Offline)
            | What::Started { .. }
            | What::Crashed
            | What::Ended { .. } => false,
            _ => continue,
        };
        registered.insert(&entry.host, is_registered);
    }
    let clients = plan.those_who_stay().map(|(host, _)| host);
    let outside = clients.filter(|host| registered.get(&host.name) != Some(&true));
    let violation = |host: &HostName| {
        let what =
            format!("{host} is not registered {} s after the attack", HEALED_AFTER.as_secs());
        Violation { checker: CHECKER.name, at, what }
    };
    outside.map(|host| violation(&host.name)).collect()
}
