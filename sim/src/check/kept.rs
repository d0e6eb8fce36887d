//! What the server has acknowledged is in its store whenever it starts, until it was shown
//! or expired, or its sender had given it up.

use std::collections::BTreeSet;

use udpchat::client::Event;

use super::{Checker, Evidence, Violation, When};
use crate::ledger::Told;
use crate::log::{Durable, What};

pub(super) const CHECKER: Checker = Checker {
    name: "kept",
    promise: "whatever happens to the server, it finds every message on its disk that it had said \
              to have saved, until that was shown, expired or given up",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let log = evidence.log;
    let mut violations = Vec::new();
    let mut owed = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for entry in &log.entries {
        match &entry.what {
            What::Durable(Durable::Stored(label)) => {
                owed.insert(label);
            }
            What::Client(Event::Saved { id, .. }) => owed.extend(log.labels.get(*id)),
            What::Client(Event::Message { id, .. }) => shown.extend(log.labels.get(*id)),
            What::Found(found) if found.is_server => {
                let found: BTreeSet<_> = found.kept.iter().flatten().collect();
                for label in owed.iter().filter(|label| !found.contains(*label)) {
                    let expired = evidence.ledger.expired.get(*label);
                    // A late copy of a refused one may be stored, and is passed over by its reader.
                    let message = evidence.ledger.messages.get(*label);
                    let given_up = message.is_some_and(|message| message.was_told(Told::GivenUp));
                    let over = given_up || expired.is_some_and(|end| *end <= entry.at);
                    if !shown.contains(label) && !over {
                        let what = format!("{label} was saved, but is not on the server's disk");
                        violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
                    }
                }
                owed.retain(|label| found.contains(label));
            }
            _ => {}
        }
    }
    violations
}
