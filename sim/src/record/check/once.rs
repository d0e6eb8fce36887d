//! Nobody is shown a message twice, but for what a crash may have kept from the screen.

use std::collections::BTreeMap;

use udpchat_core::protocol::MessageId;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::record::ledger::Shown;

pub(super) const CHECKER: Checker = Checker {
    name: "shown once",
    promise: "nobody is shown a message twice, whatever way it came and however often; but after \
              a crash once more, marked, what may not have been shown before it, and never what \
              was acknowledged, by the same folder",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (label, message) in &evidence.ledger.messages {
        // A folder that is an older copy, or another, knows of nothing that came later; and who
        // goes on with one may send once more what it did, under another id.
        let mut last: BTreeMap<(&HostName, u32, MessageId), &Shown> = BTreeMap::new();
        for shown in &message.shown {
            let before = last.insert((&shown.host, shown.folder, shown.id), shown);
            if let Some(how) = wrong(before, shown) {
                let what = format!("{label} was shown to {} {how}", shown.host);
                violations.push(Violation { checker: CHECKER.name, at: shown.at, what });
            }
        }
    }
    violations
}

/// What is wrong with showing a message, perhaps shown before, in this way.
fn wrong(before: Option<&Shown>, shown: &Shown) -> Option<&'static str> {
    let same_life = before.is_some_and(|before| before.life == shown.life);
    match shown.again {
        false => before.map(|_| "again"),
        true if shown.life <= 1 => Some("as if it had been before, by the first program there is"),
        true if same_life => Some("again by the same program, marked though it is"),
        true if shown.known => Some("again, marked, though its disk had that it was shown"),
        true if shown.acknowledged => Some("again, marked, though it was acknowledged"),
        true => None,
    }
}
