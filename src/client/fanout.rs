//! Texts to many: each becomes one message per recipient, and one outcome for the user.
//!
//! Knows how the copies fare, not how they get there: each is a message like any other, in its
//! recipient's lane (docs/protocol.md, "Groups").

use std::collections::BTreeMap;

use super::{Change, Client, Event, Listing, Problem};
use crate::journal::Journal;
use crate::plant::Plant;
use crate::protocol::limits::OUTBOX_MAX;
use crate::protocol::{CastId, GroupTag, MessageId, Name};
use crate::time::Now;

/// The texts to many of which copies are still on their way.
#[derive(Debug, Default)]
pub(super) struct Fanouts(BTreeMap<CastId, Fanout>);

/// One text to many. After a restart it has only the copies that were left.
#[derive(Debug, Default)]
struct Fanout {
    copies: BTreeMap<MessageId, Outcome>,
    /// The user was told what had become of all copies.
    told: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outcome {
    #[default]
    None,
    Received,
    Saved,
    Kept,
    GivenUp,
}

impl Fanouts {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// There is such a copy.
    pub(super) fn add(&mut self, group: &GroupTag, id: MessageId) {
        self.0.entry(group.cast).or_default().copies.insert(id, Outcome::None);
    }

    /// Tells the user something about a message, as of a copy if it is one.
    pub(super) fn tell(
        &mut self,
        journal: &mut Journal<Event, Change>,
        group: Option<&GroupTag>,
        event: Event,
    ) {
        let Some(group) = group else { return journal.event_durably(event) };
        let outcome = self.note(group, &event);
        journal.event_durably(Event::Copy { group: group.clone(), event: Box::new(event) });
        if let Some(outcome) = outcome {
            journal.event_durably(outcome);
        }
    }

    /// Notes an outcome; gives that of all copies if it is due.
    fn note(&mut self, group: &GroupTag, event: &Event) -> Option<Event> {
        let (id, outcome) = match event {
            Event::Received { id, .. } => (id, Outcome::Received),
            Event::Saved { id, .. } => (id, Outcome::Saved),
            Event::Expired { id, .. } => (id, Outcome::GivenUp),
            Event::Unsent { id, reason, .. } if reason.is_final() => (id, Outcome::GivenUp),
            Event::Unsent { id, .. } => (id, Outcome::Kept),
            _ => return None,
        };
        let fanout = self.0.get_mut(&group.cast)?;
        *fanout.copies.get_mut(id)? = outcome;
        let count = |of: &[Outcome]| fanout.copies.values().filter(|one| of.contains(one)).count();
        let kept = count(&[Outcome::Kept]);
        let is_due = count(&[Outcome::None]) == 0 && (!fanout.told || kept == 0);
        let (received, saved) = (count(&[Outcome::Received]), count(&[Outcome::Saved]));
        let unsent = kept + count(&[Outcome::GivenUp]);
        fanout.told |= is_due;
        if is_due && kept == 0 {
            self.0.remove(&group.cast);
        }
        is_due.then(|| Event::CastOutcome { group: group.clone(), received, saved, unsent })
    }
}

impl<P: Plant> Client<P> {
    /// Sends a text to everybody in the table as the user was last shown it, whether here or away:
    /// one that is on its way may not have everybody yet.
    pub(super) fn send_to_all(&mut self, now: Now, text: &str) {
        let group = GroupTag { cast: CastId(self.entropy.draw()), name: None };
        let others = self.everybody_else();
        if others.is_empty() {
            self.fail(Problem::NobodyElse(group));
        } else if others.len() > OUTBOX_MAX {
            self.fail(Problem::TooManyForAll(others.len()));
        } else if !self.has_room(others.len()) {
            self.fail(Problem::OutboxFull);
        } else {
            self.fan_out(now, &group, others, text);
        }
    }

    /// Whom a text to all goes to, sorted.
    pub(super) fn everybody_else(&self) -> Vec<Name> {
        let Listing { online, offline } = self.listed.clone().unwrap_or_default();
        let mut everybody: Vec<Name> = online.into_iter().chain(offline).collect();
        everybody.sort();
        self.others(everybody)
    }

    /// These but the user.
    pub(super) fn others(&self, names: Vec<Name>) -> Vec<Name> {
        names.into_iter().filter(|name| *name != self.config.name).collect()
    }

    /// Whether the outbox has room for so many more.
    pub(super) fn has_room(&self, messages: usize) -> bool {
        self.waiting_messages() + messages <= OUTBOX_MAX
    }

    /// Makes a copy of a text for each of these, for whom there is room.
    pub(super) fn fan_out(&mut self, now: Now, group: &GroupTag, others: Vec<Name>, text: &str) {
        // It waits for the commit that keeps the copies, though it is said before they are made.
        self.journal.ask();
        self.journal.event_durably(Event::SendingMany { group: group.clone(), to: others.clone() });
        for to in &others {
            self.enqueue(now, to, text.to_owned(), Some(group.clone()));
        }
        for to in others {
            self.pump(now, &to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::UnsentReason;
    use crate::journal::CommitTurn;
    use crate::machine::Output;
    use crate::protocol::StreamId;

    #[test]
    fn one_outcome_is_told_for_all_copies_and_one_more_when_the_kept_ones_got_out() {
        let group = GroupTag { cast: CastId(1), name: None };
        let id = |stream| MessageId { stream: StreamId(stream), seq: 1 };
        let to: Name = "bob".parse().unwrap();
        let mut fanouts = Fanouts::default();
        (1..=3).for_each(|stream| fanouts.add(&group, id(stream)));
        let reason = UnsentReason::ServerNotResponding;
        let mut outcomes = Vec::new();
        for event in [
            Event::Received { id: id(1), to: to.clone(), over_server: false },
            Event::Unsent { id: id(2), to: to.clone(), reason },
            Event::Saved { id: id(3), to: to.clone() },
            Event::Saved { id: id(2), to: to.clone() },
        ] {
            let mut journal = Journal::new(CommitTurn::Last);
            fanouts.tell(&mut journal, Some(&group), event);
            while let Some(Output::Event(event)) = journal.poll() {
                if let Event::CastOutcome { received, saved, unsent, .. } = event {
                    outcomes.push((received, saved, unsent));
                }
            }
        }
        assert_eq!(outcomes, [(1, 1, 1), (1, 2, 0)]);
        assert!(fanouts.0.is_empty());
    }
}
