//! Nobody is shown a message twice.

use std::collections::BTreeSet;

use super::{Checker, Evidence, Violation, When};

pub(super) const CHECKER: Checker = Checker {
    name: "shown once",
    promise: "nobody is shown a message twice, whatever way it came and however often",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (label, message) in &evidence.ledger.messages {
        let mut seen = BTreeSet::new();
        for shown in &message.shown {
            if !seen.insert(&shown.host) {
                let what = format!("{label} was shown to {} again", shown.host);
                violations.push(Violation { checker: CHECKER.name, at: shown.at, what });
            }
        }
    }
    violations
}
