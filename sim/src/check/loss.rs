//! Nothing is lost: what was accepted is shown, or its sender was told that it is given up.

use super::{Checker, Evidence, Violation, When};
use crate::ledger::Told;

pub(super) const CHECKER: Checker = Checker {
    name: "nothing lost",
    promise: "when all faults are over, every message that was accepted is shown and its sender \
              told so, also of one that was saved before, unless it was given up, or \
              kept for as long as the server keeps anything, and its sender told that",
    when: When::AfterHealing,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (label, message) in &evidence.ledger.messages {
        let Some(accepted) = message.accepted else { continue };
        let mut add =
            |what| violations.push(Violation { checker: CHECKER.name, at: accepted, what });
        let (received, saved) = (message.was_told(Told::Received), message.was_told(Told::Saved));
        let given_up = message.was_told(Told::GivenUp) || message.was_told(Told::Expired);
        let read = message.was_told(Told::ReadLater);
        if message.shown.is_empty() && !given_up {
            let told = match (received, saved) {
                (true, _) => "said to be received, but",
                (_, true) => "said to be saved, but",
                _ => "accepted, but",
            };
            add(format!("{label} was {told} never shown"));
        } else if !received && !saved && !read && !given_up {
            add(format!("{label} was shown, but {} was never told so", label.host));
        } else if saved && !received && !read && !given_up && !message.shown.is_empty() {
            add(format!("{label} was saved and shown, but {} was never told that", label.host));
        }
    }
    violations
}
