//! Texts to many: each becomes one message per recipient, and one outcome for the user.
//!
//! Knows how the copies fare, not how they get there: each is a message like any other, in its
//! recipient's queue (docs/protocol.md, "Groups").

use std::collections::BTreeMap;

use crate::client::Event;
use crate::client::context::Context;
use crate::mutation::Mutations;
use crate::protocol::{CastId, GroupTag, MessageId};

/// The texts to many of which copies are still on their way.
#[derive(Debug, Default)]
pub(super) struct Broadcasts(BTreeMap<CastId, Broadcast>);

/// One text to many. After a restart it has only the copies that were left.
#[derive(Debug, Default)]
struct Broadcast {
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

impl Broadcasts {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// There is such a copy.
    pub(super) fn add(&mut self, group: &GroupTag, id: MessageId) {
        self.0.entry(group.cast).or_default().copies.insert(id, Outcome::None);
    }

    /// Tells the user something about a message, as of a copy if it is one.
    pub(super) fn tell<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        group: Option<&GroupTag>,
        event: Event,
    ) {
        self.events(group, event).into_iter().flatten().for_each(|event| context.tell(event));
    }

    /// What the user is told of a message: of a copy as such, and of all when they are through.
    fn events(&mut self, group: Option<&GroupTag>, event: Event) -> [Option<Event>; 2] {
        let Some(group) = group else { return [Some(event), None] };
        let outcome = self.note(group, &event);
        [Some(Event::Copy { group: group.clone(), event: Box::new(event) }), outcome]
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
        let broadcast = self.0.get_mut(&group.cast)?;
        *broadcast.copies.get_mut(id)? = outcome;
        let count =
            |of: &[Outcome]| broadcast.copies.values().filter(|one| of.contains(one)).count();
        let kept = count(&[Outcome::Kept]);
        let is_due = count(&[Outcome::None]) == 0 && (!broadcast.told || kept == 0);
        let (received, saved) = (count(&[Outcome::Received]), count(&[Outcome::Saved]));
        let unsent = kept + count(&[Outcome::GivenUp]);
        broadcast.told |= is_due;
        if is_due && kept == 0 {
            self.0.remove(&group.cast);
        }
        is_due.then(|| Event::CastOutcome { group: group.clone(), received, saved, unsent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::UnsentReason;
    use crate::protocol::{Name, StreamId};

    #[test]
    fn one_outcome_is_told_for_all_copies_and_one_more_when_the_kept_ones_got_out() {
        let group = GroupTag { cast: CastId(1), name: None };
        let id = |stream| MessageId { stream: StreamId(stream), seq: 1 };
        let to: Name = "bob".parse().unwrap();
        let mut broadcasts = Broadcasts::default();
        (1..=3).for_each(|stream| broadcasts.add(&group, id(stream)));
        let reason = UnsentReason::ServerNotResponding;
        let mut outcomes = Vec::new();
        for event in [
            Event::Received { id: id(1), to: to.clone(), over_server: false },
            Event::Unsent { id: id(2), to: to.clone(), reason },
            Event::Saved { id: id(3), to: to.clone() },
            Event::Saved { id: id(2), to: to.clone() },
        ] {
            for event in broadcasts.events(Some(&group), event).into_iter().flatten() {
                if let Event::CastOutcome { received, saved, unsent, .. } = event {
                    outcomes.push((received, saved, unsent));
                }
            }
        }
        assert_eq!(outcomes, [(1, 1, 1), (1, 2, 0)]);
        assert!(broadcasts.0.is_empty());
    }
}
