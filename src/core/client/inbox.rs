//! What comes for the user: shown once and in its sender's order, whichever way it came.
//!
//! docs/protocol.md, "Order": remember, then show, then acknowledge.

use super::context::Context;
use super::history::{Course, HistoryEntry};
use super::{Change, Event, Problem};
use crate::mutation::{Mutation, Mutations};
use crate::protocol::{GroupTag, MessageId, Name, StreamKey};
use crate::reorder_buffer::{Arrival, ReorderBuffer};
use crate::store::DiskSpace;
use crate::time::{Time, WallTime};

/// What has come and cannot be shown yet.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Messages whose predecessors have not arrived.
    early: ReorderBuffer<Incoming>,
    /// The user knows that what comes cannot be kept.
    full_told: bool,
}

/// A message that has arrived.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) text: String,
    /// When the server stored it, if it came from there.
    pub(super) stored_at: Option<WallTime>,
    /// Whether it is a copy of a text to many.
    pub(super) group: Option<GroupTag>,
}

impl Inbox {
    pub(super) const fn new() -> Self {
        Self { early: ReorderBuffer::new(), full_told: false }
    }

    /// How many messages of how many streams wait.
    pub(super) fn len(&self) -> (usize, usize) {
        self.early.len()
    }

    /// Lets go of streams that have had no news for long.
    pub(super) fn expire(&mut self, now: Time) {
        self.early.expire(now);
    }

    /// There is room for what comes: the next time that there is none, the user is told.
    pub(super) const fn note_room(&mut self) {
        self.full_told = false;
    }

    /// A message comes, and with it the word that everything before `base` is settled. Shows what
    /// is its turn. Up to where that is to be acknowledged, if it is.
    pub(super) fn receive<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        from: &Name,
        id: MessageId,
        base: u64,
        incoming: Incoming,
    ) -> Option<MessageId> {
        let key = StreamKey { from: from.clone(), stream: id.stream };
        let next = context.record().shown.next(&key);
        if context.room() == DiskSpace::Low && next.is_none_or(|next| id.seq >= next) {
            // What cannot be kept is not taken: it stays where it is, and comes again.
            if !std::mem::replace(&mut self.full_told, true) {
                context.problem(Problem::DiskFullForMessages);
            }
            return None;
        }
        let is_early = id.seq > next.unwrap_or(base).max(base);
        let base = if is_early && context.has(Mutation::HighestOnly) { id.seq } else { base };
        match self.early.offer(context.time(), next, &key, id.seq, base, incoming) {
            Arrival::Early if context.has(Mutation::AcksHeld) => return Some(id),
            Arrival::Early => return None,
            Arrival::Old => {}
            Arrival::Ready(messages) => {
                for (seq, incoming) in messages {
                    show(context, &key, seq, incoming);
                }
            }
        }
        let next = context.record().shown.next(&key)?;
        Some(MessageId { stream: id.stream, seq: next - 1 })
    }

    /// Panics if something does not hold that must between two inputs.
    pub(super) fn check_invariants<M: Mutations>(&self, context: &Context<M>) {
        self.early.check_invariants(|key| context.record().shown.next(key));
    }
}

/// Remembers a message, then shows it, then remembers that it was shown.
fn show<M: Mutations>(context: &mut Context<M>, key: &StreamKey, seq: u64, incoming: Incoming) {
    let Incoming { text, stored_at, group } = incoming;
    let (with, at, id) =
        (key.from.clone(), context.now().wall, MessageId { stream: key.stream, seq });
    let course = Course::In { stored_at };
    let line = HistoryEntry { with, at, id, text: text.clone(), group: group.clone(), course };
    let number = context.keep_line(line);
    let shown = &context.record().shown;
    let in_the_way = match shown.in_the_way_of(key) {
        Some(_) if context.has(Mutation::StreamsWithoutShares) => shown.longest_unused(key),
        in_the_way => in_the_way,
    };
    if let Some(key) = in_the_way.cloned() {
        context.change(Change::Forgotten { key });
    }
    let used = context.record().shown.next_use();
    context.change(Change::Shown { key: key.clone(), next: seq + 1, used });
    let (from, again) = (key.from.clone(), false);
    context.tell(Event::Message { id, from, text, stored_at, group, again });
    context.displays(number);
}
