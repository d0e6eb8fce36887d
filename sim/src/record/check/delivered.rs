//! What was delivered and acknowledged does not come back, nor what has expired.

use std::collections::BTreeSet;

use super::{Checker, Evidence, Violation, When};
use crate::record::log::{Durable, What};

pub(super) const CHECKER: Checker = Checker {
    name: "delivered for good",
    promise: "whatever happens to the server, it finds no message on its disk of which it had \
              there that it is delivered or has expired",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut delivered = BTreeSet::new();
    for entry in &evidence.log.entries {
        match &entry.what {
            What::Durable(Durable::Delivered(label) | Durable::Expired(label)) => {
                delivered.insert(label);
            }
            What::Found(found) if found.is_server => {
                let judged = found.kept.iter().flatten().filter(|label| {
                    // An id that stands for two messages tells nothing of either.
                    delivered.contains(label) && !evidence.ledger.doubtful.contains(&label.host)
                });
                for label in judged {
                    let what = format!("{label} was done with, but is back on the disk");
                    violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, label};
    use super::*;
    use crate::record::log::Found;

    #[test]
    fn neither_what_was_delivered_nor_what_has_expired_comes_back() {
        let found = || {
            let kept = vec![Some(label(1))];
            What::Found(Found { is_server: true, kept, is_same_again: true, ..Found::default() })
        };
        for durable in [Durable::Delivered(label(1)), Durable::Expired(label(1))] {
            let story = Story::new().then(1, "server", What::Durable(durable));
            let back = ["alice#1 was done with, but is back on the disk"];
            assert_eq!(story.then(2, "server", found()).violations(&CHECKER), back);
        }
    }
}
