//! The screen tells the truth: what a sender is told of a message is so.

use std::collections::BTreeSet;

use udpchat_core::client::{Command, Event, UnsentReason};
use udpchat_core::command::{self, UserRequest};
use udpchat_core::protocol::PacketKind;

use super::{Checker, Evidence, Violation, When};
use crate::faults::fate::Fault;
use crate::naming::label::{HostName, Label};
use crate::planning::plan::INTERRUPT;
use crate::record::ledger::SenderTold;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "truth",
    promise: "a sender is told \"received\" only after the message was shown, also when it was \
              saved before, \"saved\" only after it was stored, \"expired\" only after the \
              server dropped it, and nothing else once it was told that it is given up; it is \
              given up as a bad text only if it is empty, as too large only if the network did \
              not carry it at its size, and never because the user left, for each has a disk: \
              then it is kept, and that is said only if they left; one program says of a message \
              that is kept \"unsent\" once, and never after \
              \"received\" or \"saved\"",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let owed = evidence.ledger.messages.iter().filter(|(_, it)| evidence.is_owed(&it.to));
    // Whoever else has the name is told in their place that a message has expired; what is said of
    // a later one is then said of it as well. Only keys mend that.
    let told_others = |label: &Label| {
        evidence.ledger.expired.contains_key(label) && evidence.has_shared_name(&label.host)
    };
    for (label, message) in owed.filter(|(label, _)| !told_others(label)) {
        let first_shown = message.shown.first().map(|shown| shown.at);
        let mut given_up = false;
        for (at, told) in &message.told {
            let so = match told {
                SenderTold::Received | SenderTold::ReadLater => {
                    first_shown.is_some_and(|shown| shown <= *at)
                }
                SenderTold::Saved => {
                    evidence.ledger.stored.get(label).is_some_and(|stored| stored <= at)
                }
                SenderTold::Expired => {
                    evidence.ledger.expired.get(label).is_some_and(|end| end <= at)
                }
                // By the life of its sender's program, below.
                SenderTold::Unsent | SenderTold::GivenUp => true,
            };
            // A program that was killed before it could remember that it has said so says it
            // again, or finds that the message can be sent now.
            let changed = given_up && *told != SenderTold::GivenUp && !message.killed_giving_up;
            if !so || changed {
                let what = format!("{label}: {} was told {told:?}, which is not so", label.host);
                violations.push(Violation { checker: CHECKER.name, at: *at, what });
            }
            given_up |= *told == SenderTold::GivenUp;
        }
    }
    let mut said = Said::default();
    for entry in &evidence.log.entries {
        if let Some(what) = said.step(evidence, entry) {
            violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        }
    }
    violations
}

/// What the programs that run now have said of messages.
#[derive(Default)]
struct Said<'a> {
    /// Hosts whose users have asked to leave.
    leaving: BTreeSet<&'a HostName>,
    /// "Received" or "saved".
    out: BTreeSet<&'a Label>,
    /// "Unsent", but kept.
    unsent: BTreeSet<&'a Label>,
    /// Lost on their way to the server because of their size.
    too_long: BTreeSet<&'a Label>,
}

impl<'a> Said<'a> {
    /// What is wrong with it.
    fn step(&mut self, evidence: Evidence<'a>, entry: &'a Entry) -> Option<String> {
        match &entry.what {
            What::Started { .. } => {
                self.leaving.remove(&entry.host);
                self.out.retain(|label| label.host != entry.host);
                self.unsent.retain(|label| label.host != entry.host);
            }
            What::Typed { line, refused: None, .. } => {
                let asked = command::parse(line).ok().flatten();
                if line == INTERRUPT {
                    self.leaving.insert(&entry.host);
                }
                if let Some(UserRequest::Command(Command::Quit | Command::Finish)) = asked {
                    self.leaving.insert(&entry.host);
                }
            }
            What::Sent { key, faults, .. }
                if key.packet == PacketKind::Save && faults.contains(&Fault::TooLong) =>
            {
                self.too_long.extend(&key.message);
            }
            What::Client(event) => {
                return self.client_says(evidence, &entry.host, event.plain());
            }
            _ => {}
        }
        None
    }

    fn client_says(
        &mut self,
        evidence: Evidence<'a>,
        host: &HostName,
        event: &'a Event,
    ) -> Option<String> {
        // Whoever goes on with a copy of another's folder is told of that one's messages.
        let own = |id| evidence.log.labels.get(id).filter(|label| label.host == *host);
        match event {
            Event::Received { id, .. } | Event::Saved { id, .. } => {
                self.out.extend(own(*id));
                None
            }
            Event::Unsent { reason: UnsentReason::OldCopy, .. } => None,
            Event::Unsent { id, reason, .. } => {
                let label = own(*id).filter(|it| !evidence.ledger.doubtful.contains(&it.host))?;
                let wrong = self.wrong(evidence, label, *reason)?;
                Some(format!("{label} is said to be unsent, {reason}, {wrong}"))
            }
            _ => None,
        }
    }

    fn wrong(
        &mut self,
        evidence: Evidence<'a>,
        label: &'a Label,
        reason: UnsentReason,
    ) -> Option<&'static str> {
        let message = evidence.ledger.messages.get(label);
        let has_text = message.is_some_and(|message| !message.text.is_empty());
        if reason == UnsentReason::BadText && has_text {
            Some("and has a text")
        } else if matches!(reason, UnsentReason::TooLarge { .. }) && !self.too_long.contains(label)
        {
            Some("and the network carries it")
        } else if reason == UnsentReason::LeftForGood {
            Some("and there is a disk to keep it")
        } else if reason == UnsentReason::Left && !self.leaving.contains(&label.host) {
            Some("and nobody left")
        } else if self.out.contains(label) {
            Some("after another outcome")
        } else if !reason.is_final() && !self.unsent.insert(label) {
            Some("again")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id, label};
    use super::*;
    use crate::faults::fate::Key;
    use crate::record::log::Durable;

    fn bob() -> udpchat_core::protocol::Name {
        "bob".parse().unwrap()
    }

    fn unsent(reason: UnsentReason) -> What {
        What::Client(Event::Unsent { id: id(1), to: bob(), reason })
    }

    fn violations(story: &Story) -> usize {
        story.violations(&CHECKER).len()
    }

    #[test]
    fn only_an_empty_text_is_a_bad_one() {
        let story = || Story::new().types(1, "hello");
        assert_eq!(violations(&story().then(2, "alice", unsent(UnsentReason::BadText))), 1);
        assert_eq!(violations(&story().then(2, "alice", unsent(UnsentReason::UnknownName))), 0);
    }

    #[test]
    fn a_message_is_too_large_only_for_a_network_that_did_not_carry_it() {
        let too_large = || unsent(UnsentReason::TooLarge { bytes: 5 });
        let sent = |packet, fault| {
            let (from, to, message) = ("alice".into(), "server".into(), Some(label(1)));
            let key = Key { from, to, packet, message, attempt: 1 };
            What::Sent { key, bytes: 100, faults: vec![fault], cut: false, source: None }
        };
        let wrong = |what| {
            violations(&Story::new().types(1, "hello").then(2, "alice", what).then(
                3,
                "alice",
                too_large(),
            ))
        };
        assert_eq!(wrong(sent(PacketKind::Save, Fault::TooLong)), 0);
        assert_eq!(wrong(sent(PacketKind::Save, Fault::Drop)), 1);
        assert_eq!(wrong(sent(PacketKind::Message, Fault::TooLong)), 1);
    }

    #[test]
    fn a_message_is_unsent_because_its_sender_left_only_if_they_did() {
        let left = || unsent(UnsentReason::Left);
        let quit = || What::Typed { line: "quit".to_owned(), label: None, refused: None };
        let story = || Story::new().types(1, "hello");
        assert_eq!(violations(&story().then(2, "alice", left())), 1);
        assert_eq!(violations(&story().then(2, "alice", quit()).then(2, "alice", left())), 0);
        let other = story().then(2, "alice", quit()).then(3, "alice", What::Started { port: 1 });
        assert_eq!(violations(&other.then(4, "alice", left())), 1);
        let for_good = || unsent(UnsentReason::LeftForGood);
        assert_eq!(violations(&story().then(2, "alice", quit()).then(2, "alice", for_good())), 1);
    }

    #[test]
    fn what_is_out_is_not_unsent_and_unsent_is_said_once_in_a_life() {
        let story = || Story::new().types(1, "hello");
        let full = || unsent(UnsentReason::MailboxFull);
        let saved = What::Client(Event::Saved { id: id(1), to: bob() });
        let stored = What::Durable(Durable::Stored(label(1)));
        let kept = || story().then(2, "server", stored.clone()).then(3, "alice", saved.clone());
        assert_eq!(violations(&kept()), 0);
        assert_eq!(violations(&kept().then(4, "alice", full())), 1);
        let unsent = || story().then(2, "alice", full());
        assert_eq!(violations(&unsent()), 0);
        assert_eq!(violations(&unsent().then(3, "alice", full())), 1);
        let again = unsent().then(3, "alice", What::Started { port: 1 });
        assert_eq!(violations(&again.then(4, "alice", full())), 0);
    }
}
