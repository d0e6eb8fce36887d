//! Each recipient sees each sender's messages in the order sent.

use std::collections::BTreeMap;

use super::{Checker, Evidence, Violation, When};
use crate::label::{HostName, Label};

pub(super) const CHECKER: Checker = Checker {
    name: "order",
    promise: "each recipient is shown each sender's messages in the order in which they were typed, \
              one to a group in its place when its members were known",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (host, screen) in &evidence.ledger.screens {
        let mut last: BTreeMap<&HostName, &Label> = BTreeMap::new();
        for label in screen {
            let Some(before) = last.insert(&label.host, label) else { continue };
            if !comes_behind(evidence, label, before) {
                let what = format!("{host} was shown {label} after {before}");
                let shown = evidence.ledger.messages.get(label).map(|message| &message.shown);
                let at = shown.into_iter().flatten().find(|shown| shown.host == *host);
                let at = at.map(|shown| shown.at).unwrap_or_default();
                violations.push(Violation { checker: CHECKER.name, at, what });
            }
        }
    }
    violations
}

/// Messages to one are in the order typed. A text to a group takes its place when the server has
/// said who is in it.
fn comes_behind(evidence: Evidence<'_>, label: &Label, before: &Label) -> bool {
    if label.copy.is_none() && before.copy.is_none() {
        return label.number >= before.number;
    }
    let labels = &evidence.log.labels;
    labels.place(label) >= labels.place(before)
}
