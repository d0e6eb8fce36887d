//! Each recipient sees each sender's messages in the order sent.

use std::collections::BTreeMap;

use super::{Checker, Evidence, Violation, When};
use crate::label::HostName;

pub(super) const CHECKER: Checker = Checker {
    name: "order",
    promise: "each recipient is shown each sender's messages in the order in which they were typed",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (host, screen) in &evidence.ledger.screens {
        let mut last: BTreeMap<&HostName, u32> = BTreeMap::new();
        for label in screen {
            let before = last.insert(&label.host, label.number).unwrap_or(0);
            if label.number < before {
                let what = format!("{host} was shown {label} after {}#{before}", label.host);
                let shown = &evidence.ledger.messages[label].shown;
                let at = shown.iter().find(|shown| shown.host == *host);
                let at = at.map(|shown| shown.at).unwrap_or_default();
                violations.push(Violation { checker: CHECKER.name, at, what });
            }
        }
    }
    violations
}
