//! Nothing is shown that was not typed, and nothing is shown altered or to anybody else.

use udpchat_core::protocol::Name;

use super::{Checker, Evidence, Violation, When};
use crate::planning::plan::{Plan, Role};

pub(super) const CHECKER: Checker = Checker {
    name: "nothing invented",
    promise: "what is shown was typed so, by whom it is said to be from, for the one who sees it, or \
              says to be from somebody who is no user of ours",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut add = |at, what| violations.push(Violation { checker: CHECKER.name, at, what });
    for stray in evidence.ledger.strays.iter().filter(|stray| evidence.is_owed(&stray.from)) {
        add(stray.at, format!("{} was shown what nobody typed: {:?}", stray.host, stray.text));
    }
    for (label, message) in &evidence.ledger.messages {
        for shown in &message.shown {
            let (host, text) = (&shown.host, &shown.text);
            if *text != message.text {
                add(shown.at, format!("{label} was typed {:?}, shown {text:?}", message.text));
            }
            if user(evidence.plan, host) != Some(&message.to) {
                add(shown.at, format!("{label} is for {}, shown to {host}", message.to));
            }
            if user(evidence.plan, &label.host) != Some(&shown.from) {
                add(shown.at, format!("{label} was shown as from {}", shown.from));
            }
        }
    }
    violations
}

fn user<'a>(plan: &'a Plan, host: &str) -> Option<&'a Name> {
    match &plan.host(host)?.role {
        Role::Client { user } => Some(user),
        Role::Server => None,
    }
}
