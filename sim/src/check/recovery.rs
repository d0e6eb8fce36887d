//! Whoever starts finds what was there: the same each time, and an outbox under the same ids.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Evidence, Violation, When};
use crate::label::{HostName, Label};
use crate::log::{Durable, What};

pub(super) const CHECKER: Checker = Checker {
    name: "recovery",
    promise: "a store that is opened twice is the same twice, and a client finds in it every \
              message that it has not done with, under its id",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    // What each client's disk has to be sent.
    let mut unsettled: BTreeMap<&HostName, BTreeSet<&Label>> = BTreeMap::new();
    for entry in &evidence.log.entries {
        let host = &entry.host;
        let found = match &entry.what {
            What::Durable(Durable::Typed(label)) => {
                unsettled.entry(host).or_default().insert(label);
                continue;
            }
            What::Asked(Durable::Settled(label)) => {
                unsettled.entry(host).or_default().remove(label);
                continue;
            }
            What::Found(found) => found,
            _ => continue,
        };
        let mut violate = |what| {
            violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        };
        if !found.is_same_again {
            violate(format!("{host} would find something else on its disk when it looks again"));
        }
        if found.is_server {
            continue;
        }
        let kept: BTreeSet<&Label> = found.kept.iter().flatten().collect();
        if kept.len() < found.kept.len() {
            violate(format!("{host} finds a message to be sent under an id that none has"));
        }
        let unsettled = unsettled.entry(host).or_default();
        for label in unsettled.difference(&kept) {
            violate(format!("{host} does not find {label} on its disk, which is to be sent"));
        }
        *unsettled = kept;
    }
    violations
}
