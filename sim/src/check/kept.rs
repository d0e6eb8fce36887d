//! What the server has acknowledged is in its store whenever it starts, until it was shown
//! or expired, or its sender had given it up.

use std::collections::BTreeSet;

use udpchat::client::Event;

use super::{Checker, Evidence, Violation, When};
use crate::ledger::Told;
use crate::log::{Durable, What};

pub(super) const CHECKER: Checker = Checker {
    name: "kept",
    promise: "whatever happens to the server, it finds every message on its disk that it had said \
              to have saved, until that was shown, expired or given up",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let log = evidence.log;
    let mut violations = Vec::new();
    let mut owed = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for entry in &log.entries {
        match &entry.what {
            What::Durable(Durable::Stored(label)) => {
                owed.insert(label);
            }
            What::Client(event) => match event.plain() {
                Event::Saved { id, .. } => owed.extend(log.labels.get(*id)),
                Event::Message { id, .. } => shown.extend(log.labels.get(*id)),
                _ => {}
            },
            What::Found(found) if found.is_server => {
                let found: BTreeSet<_> = found.kept.iter().flatten().collect();
                for label in owed.iter().filter(|label| !found.contains(*label)) {
                    let expired = evidence.ledger.expired.get(*label);
                    // A late copy of a refused one may be stored, and is passed over by its reader.
                    let message = evidence.ledger.messages.get(*label);
                    let given_up = message.is_some_and(|message| message.was_told(Told::GivenUp));
                    let over = given_up || expired.is_some_and(|end| *end <= entry.at);
                    if !shown.contains(label) && !over {
                        let what = format!("{label} was saved, but is not on the server's disk");
                        violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
                    }
                }
                owed.retain(|label| found.contains(label));
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id, label};
    use super::*;
    use crate::log::Found;

    #[test]
    fn a_copy_of_a_text_to_many_is_owed_once_it_is_said_to_be_saved() {
        let to: udpchat::protocol::Name = "bob".parse().unwrap();
        let saved = || Event::Saved { id: id(1), to: to.clone() };
        let group = udpchat::protocol::GroupTag { cast: udpchat::protocol::CastId(1), name: None };
        let copy = Event::Copy { group, event: Box::new(saved()) };
        for event in [saved(), copy] {
            let story = |kept| {
                let found = What::Found(Found { is_server: true, kept, is_same_again: true });
                let story = Story::new().types(1, "hello");
                story.then(2, "alice", What::Client(event.clone())).then(3, "server", found)
            };
            assert_eq!(story(vec![Some(label(1))]).violations(&CHECKER).len(), 0);
            assert_eq!(story(Vec::new()).violations(&CHECKER).len(), 1, "{event:?}");
        }
    }
}
