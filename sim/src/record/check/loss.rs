//! Nothing is lost: what was typed is taken on or refused, and what was taken on is shown, or its
//! sender was told that it is given up.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::client::{Event, Problem};

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::planning::plan::QUIET;
use crate::record::ledger::SenderTold;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "nothing lost",
    promise: "when all faults are over, every message that was accepted, or that its sender's \
              disk had, is shown and its sender \
              told so, if they are there and nobody else had their name, also of one that was \
              saved before, unless it was given up, or \
              kept for as long as the server keeps anything, and its sender told that; whatever \
              was typed into a program that still runs is accepted or refused",
    when: When::AfterHealing,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let owed = evidence.ledger.messages.iter().filter(|(_, it)| evidence.is_owed(&it.to));
    for (label, message) in owed {
        let Some(accepted) = message.accepted.or(message.on_disk) else { continue };
        let mut add =
            |what| violations.push(Violation { checker: CHECKER.name, at: accepted, what });
        let (received, saved) =
            (message.was_told(SenderTold::Received), message.was_told(SenderTold::Saved));
        let given_up =
            message.was_told(SenderTold::GivenUp) || message.was_told(SenderTold::Expired);
        let read = message.was_told(SenderTold::ReadLater);
        // Who does not come back sends nothing any more, and is told nothing; nor does a program
        // that has lost its folder.
        let gone = message.forgotten || !evidence.plan.stays(&label.host);
        let has_expired = evidence.ledger.expired.contains_key(label);
        let hears = !gone && !evidence.has_shared_name(&label.host);
        if (gone && !(received || saved)) || (!hears && has_expired) {
            continue;
        }
        if message.shown.is_empty() && !given_up {
            let told = match (received, saved) {
                (true, _) => "said to be received, but",
                (_, true) => "said to be saved, but",
                _ => "accepted, but",
            };
            add(format!("{label} was {told} never shown"));
        } else if !hears {
            // Somebody else may have been told instead.
        } else if !received && !saved && !read && !given_up {
            add(format!("{label} was shown, but {} was never told so", label.host));
        } else if saved && !received && !read && !given_up && !message.shown.is_empty() {
            add(format!("{label} was saved and shown, but {} was never told that", label.host));
        }
    }
    violations.extend(swallowed(evidence));
    violations
}

/// What users have typed into a program that runs, and how much of it was refused.
#[derive(Default)]
struct Life<'a> {
    typed: Vec<(Duration, &'a Label)>,
    refused: usize,
}

/// What was typed into programs that still run, long enough ago, and was neither taken on nor
/// refused. Refusals do not say of what: they are counted.
fn swallowed(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut lives: BTreeMap<&HostName, Life<'_>> = BTreeMap::new();
    for Entry { at, host, what } in &evidence.log.entries {
        match what {
            What::Started { .. } | What::Crashed | What::Ended { .. } => {
                lives.remove(host);
            }
            What::Typed { label: Some(label), refused: None, .. } => {
                lives.entry(host).or_default().typed.push((*at, label));
            }
            What::Client(Event::Error(problem)) if refuses(problem) => {
                lives.entry(host).or_default().refused += 1;
            }
            _ => {}
        }
    }
    let silent = |(at, label): &(Duration, &Label)| {
        let is_judged = !evidence.ledger.doubtful.contains(&label.host);
        is_judged && *at + QUIET <= evidence.end && !was_taken_on(evidence, label)
    };
    let lives = lives.into_values().flat_map(|life| {
        let silent: Vec<_> = life.typed.into_iter().filter(silent).collect();
        silent.into_iter().skip(life.refused)
    });
    let violation = |(at, label)| {
        let what = format!("{label} was typed, and neither taken on nor refused");
        Violation { checker: CHECKER.name, at, what }
    };
    lives.map(violation).collect()
}

fn was_taken_on(evidence: Evidence<'_>, label: &Label) -> bool {
    let message = evidence.ledger.messages.get(label);
    let cast = evidence.ledger.casts.get(label);
    message.is_some_and(|message| message.accepted.or(message.on_disk).is_some())
        || cast.is_some_and(|cast| !cast.sending.is_empty())
}

/// Whether what was typed may have come to nothing more than this.
const fn refuses(problem: &Problem) -> bool {
    match problem {
        Problem::Offline
        | Problem::DiskFull
        | Problem::NoGroups
        | Problem::NoSuchGroup(_)
        | Problem::NotMember(_)
        | Problem::TooManyForAll(_)
        | Problem::NobodyElse(_)
        | Problem::LeftBeforeCast(_)
        | Problem::TooManyRequests
        | Problem::OutboxFull
        | Problem::LeftBefore(_)
        | Problem::TooManyCommands => true,
        // About something else, or only for the time being.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id, label};
    use super::*;
    use crate::record::log::Durable;

    fn sending() -> What {
        What::Client(Event::Sending { id: id(1), to: "bob".parse().unwrap() })
    }

    #[test]
    fn what_is_typed_is_taken_on_or_refused() {
        let offline = || What::Client(Event::Error(Problem::Offline));
        let typed = || Story::new().types(1, "hello");
        let silence = "alice#1 was typed, and neither taken on nor refused";
        assert_eq!(typed().then(9, "bob", offline()).violations(&CHECKER), [silence]);
        let soon = Story::new().types(8, "hello").then(9, "bob", offline());
        assert_eq!(soon.violations(&CHECKER), [""; 0]);
        let refused = typed().then(2, "alice", offline()).then(9, "bob", offline());
        assert_eq!(refused.violations(&CHECKER), [""; 0]);
        let killed = typed().then(1, "alice", What::Crashed).then(9, "bob", offline());
        assert_eq!(killed.violations(&CHECKER), [""; 0]);
        let again = typed().types(1, "hello").then(2, "alice", sending());
        let gone = "alice#1 was accepted, but never shown";
        let silence = "alice#2 was typed, and neither taken on nor refused";
        assert_eq!(again.then(9, "bob", offline()).violations(&CHECKER), [gone, silence]);
    }

    #[test]
    fn what_a_senders_disk_had_is_not_lost_whether_announced_or_not() {
        let typed = || Story::new().types(1, "hello").then(1, "alice", What::Crashed);
        assert_eq!(typed().violations(&CHECKER), [""; 0]);
        let on_disk = Story::new().types(1, "hello");
        let on_disk = on_disk.then(1, "alice", What::Durable(Durable::Typed(label(1))));
        let killed = on_disk.then(1, "alice", What::Crashed);
        assert_eq!(killed.violations(&CHECKER), ["alice#1 was accepted, but never shown"]);
    }
}
