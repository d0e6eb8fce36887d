//! What was delivered and acknowledged does not come back.

use std::collections::BTreeMap;

use udpchat::protocol::Name;

use super::{Checker, Evidence, Violation, When};
use crate::label::HostName;
use crate::log::{Durable, What};

pub(super) const CHECKER: Checker = Checker {
    name: "delivered for good",
    promise: "whatever happens to the server, it finds no message on its disk of which it had \
              there that it is delivered",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let to = |label| evidence.ledger.messages.get(label).map(|message| &message.to);
    let mut violations = Vec::new();
    // How far everyone's messages to everyone are delivered.
    let mut delivered: BTreeMap<(&HostName, &Name), u32> = BTreeMap::new();
    for entry in &evidence.log.entries {
        match &entry.what {
            What::Durable(Durable::Delivered(label)) => {
                let Some(to) = to(label) else { continue };
                let last = delivered.entry((&label.host, to)).or_default();
                *last = label.number.max(*last);
            }
            What::Found(found) if found.is_server => {
                for label in found.kept.iter().flatten() {
                    let last = to(label).and_then(|to| delivered.get(&(&label.host, to)));
                    if last.is_some_and(|last| label.number <= *last) {
                        let what = format!("{label} was delivered, but is back on the disk");
                        violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
                    }
                }
            }
            _ => {}
        }
    }
    violations
}
