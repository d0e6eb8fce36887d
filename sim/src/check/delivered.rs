//! What was delivered and acknowledged does not come back.

use std::collections::BTreeSet;

use super::{Checker, Evidence, Violation, When};
use crate::log::{Durable, What};

pub(super) const CHECKER: Checker = Checker {
    name: "delivered for good",
    promise: "whatever happens to the server, it finds no message on its disk of which it had \
              there that it is delivered",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut delivered = BTreeSet::new();
    for entry in &evidence.log.entries {
        match &entry.what {
            What::Durable(Durable::Delivered(label)) => {
                delivered.insert(label);
            }
            What::Found(found) if found.is_server => {
                for label in found.kept.iter().flatten().filter(|label| delivered.contains(label)) {
                    let what = format!("{label} was delivered, but is back on the disk");
                    violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
                }
            }
            _ => {}
        }
    }
    violations
}
