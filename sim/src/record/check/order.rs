//! Each recipient sees each sender's messages in the order sent.

use std::collections::BTreeMap;

use udpchat_core::protocol::StreamId;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::record::ledger::OnScreen;

pub(super) const CHECKER: Checker = Checker {
    name: "order",
    promise: "each recipient is shown each sender's messages in the order in which they were \
              typed, one to a group in its place when its members were known",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (host, screen) in &evidence.ledger.screens {
        // An older copy begins new streams, which may overtake what an earlier life left.
        let mut last: BTreeMap<(&HostName, StreamId, u32), &OnScreen> = BTreeMap::new();
        for line in screen {
            let stream = match evidence.ledger.restored.contains(&line.label.host) {
                true => line.stream,
                false => StreamId(0),
            };
            let before = last.insert((&line.label.host, stream, line.folder), line);
            // A new program begins with what the one before may not have shown.
            let anew = line.again && before.is_some_and(|before| before.life < line.life);
            if let Some(before) = before
                && !comes_behind(evidence, &line.label, &before.label)
                && !anew
            {
                let what = format!("{host} was shown {} after {}", line.label, before.label);
                violations.push(Violation { checker: CHECKER.name, at: line.at, what });
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
