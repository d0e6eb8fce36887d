//! The screen tells the truth: "received" and "saved" are said only when they are so.

use super::{Checker, Evidence, Violation, When};
use crate::ledger::Told;

pub(super) const CHECKER: Checker = Checker {
    name: "truth",
    promise: "a sender is told \"received\" only after the message was shown, also when it was \
              saved before, \"saved\" only after it was stored, \"expired\" only after the \
              server dropped it, and nothing else once it was told that it is given up",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (label, message) in &evidence.ledger.messages {
        let first_shown = message.shown.first().map(|shown| shown.at);
        let mut given_up = false;
        for (at, told) in &message.told {
            let so = match told {
                Told::Received | Told::ReadLater => first_shown.is_some_and(|shown| shown <= *at),
                Told::Saved => evidence.ledger.stored.get(label).is_some_and(|stored| stored <= at),
                Told::Expired => evidence.ledger.expired.get(label).is_some_and(|end| end <= at),
                Told::Unsent | Told::GivenUp => true,
            };
            // A program that was killed before it could remember that it has said so says it
            // again, or finds that the message can be sent now.
            let changed = given_up && *told != Told::GivenUp && !message.killed_giving_up;
            if !so || changed {
                let what = format!("{label}: {} was told {told:?}, which is not so", label.host);
                violations.push(Violation { checker: CHECKER.name, at: *at, what });
            }
            given_up |= *told == Told::GivenUp;
        }
    }
    violations
}
