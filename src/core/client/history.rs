//! What was written with whom: to be read again, and to be shown again after a crash.
//!
//! docs/protocol.md, "Order": remember, then show, then acknowledge.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::{Change, Event};
use crate::mutation::Mutations;
use crate::protocol::limits::HISTORY_MAX;
use crate::protocol::{GroupTag, MessageId, Name};
use crate::time::WallTime;

/// The last messages to and from everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// By number: in the order in which they were typed, and came.
    lines: BTreeMap<u64, HistoryEntry>,
    /// The numbers of the lines with each.
    by_partner: BTreeMap<Name, BTreeSet<u64>>,
    /// The user's own messages whose outcome may still change.
    pending: BTreeMap<MessageId, u64>,
    /// What came with a lower number than this has been shown.
    displayed: u64,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// With whom.
    pub with: Name,
    /// When it was typed, or came.
    pub at: WallTime,
    /// The message.
    pub id: MessageId,
    /// Its text, raw: whoever prints it escapes it.
    pub text: String,
    /// Whether it is a copy of a text to many, and of which.
    pub group: Option<GroupTag>,
    /// Whether it came or went.
    pub course: Course,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It came for the user.
    In {
        /// When the server stored it, if it came from there.
        stored_at: Option<WallTime>,
    },
    /// The user sent it.
    Out(SentState),
}

/// What has become of a message that the user sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SentState {
    /// Nothing yet.
    Pending,
    /// The server keeps it.
    Saved,
    /// Its recipient has been shown it.
    Received,
    /// It could not be sent (yet).
    Unsent,
    /// The server had kept it for as long as it keeps any, and nobody had come for it.
    Expired,
}

impl History {
    /// What was written with somebody, in order.
    pub fn with<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a HistoryEntry> {
        self.lines.values().filter(move |line| line.with == *name)
    }

    /// What came and may not have been shown, by rising number.
    pub fn undisplayed(&self) -> impl Iterator<Item = (u64, &HistoryEntry)> {
        let lines = self.lines.range(self.displayed..).map(|(number, line)| (*number, line));
        lines.filter(|(_, line)| line.is_incoming())
    }

    /// The number of one of the user's own messages whose outcome may still change.
    #[must_use]
    pub fn pending(&self, id: MessageId) -> Option<u64> {
        self.pending.get(&id).copied()
    }

    /// A number that is higher than that of any line.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        let last = self.lines.last_key_value().map_or(0, |(number, _)| number + 1);
        last.max(self.displayed)
    }

    /// The line to drop before another one is kept, if any: of those that have been shown the
    /// oldest with whomever there are most, so that nobody drives out what others wrote.
    #[must_use]
    pub fn in_the_way(&self) -> Option<u64> {
        if self.lines.len() < HISTORY_MAX {
            return None;
        }
        let unshown = self.undisplayed().next().map_or(u64::MAX, |(number, _)| number);
        let oldest = self.by_partner.values().filter_map(|own| Some((own.len(), *own.first()?)));
        let shown = oldest.filter(|(_, oldest)| *oldest < unshown);
        shown.max_by_key(|(lines, oldest)| (*lines, Reverse(*oldest))).map(|(_, oldest)| oldest)
    }

    pub(super) fn add(&mut self, number: u64, line: HistoryEntry) {
        let pending = match line.course {
            Course::Out(state) if state.may_change() => Some(line.id),
            _ => None,
        };
        self.by_partner.entry(line.with.clone()).or_default().insert(number);
        // In place of itself, if its message has got another id.
        if let Some(before) = self.lines.insert(number, line) {
            self.pending.remove(&before.id);
        }
        if let Some(id) = pending {
            self.pending.insert(id, number);
        }
    }

    pub(super) fn set_state(&mut self, number: u64, state: SentState) {
        let Some(line) = self.lines.get_mut(&number) else { return };
        line.course = Course::Out(state);
        if !state.may_change() {
            self.pending.remove(&line.id);
        }
    }

    pub(super) fn set_displayed(&mut self, next: u64) {
        self.displayed = next;
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some(line) = self.lines.remove(&number) else { return };
        self.pending.remove(&line.id);
        if let Some(own) = self.by_partner.get_mut(&line.with) {
            own.remove(&number);
            if own.is_empty() {
                self.by_partner.remove(&line.with);
            }
        }
    }
}

impl SentState {
    /// Its name on the screen and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Saved => "saved",
            Self::Received => "received",
            Self::Unsent => "unsent",
            Self::Expired => "expired",
        }
    }

    const fn may_change(self) -> bool {
        !matches!(self, Self::Received | Self::Expired)
    }
}

impl<M: Mutations> Context<M> {
    /// Keeps a message that was typed or came, and makes room for it. Its number.
    pub(super) fn keep_line(&mut self, line: HistoryEntry) -> u64 {
        while let Some(number) = self.record().history.in_the_way() {
            // It may be told only now: it is not to be gone before that is remembered.
            self.change_once_told(Change::LineDropped { number });
        }
        let number = self.record().history.next_number();
        self.change(Change::HistoryEntry { number, line });
        number
    }

    /// A message that waits gets another id.
    pub(super) fn rename_line(&mut self, before: MessageId, id: MessageId) {
        let history = &self.record().history;
        let Some(number) = history.pending(before) else { return };
        let Some(line) = history.lines.get(&number).cloned() else { return };
        self.change(Change::HistoryEntry { number, line: HistoryEntry { id, ..line } });
    }

    /// Keeps what has become of a message, with the next commit.
    pub(super) fn keep_outcome(&mut self, id: MessageId, state: SentState) {
        if let Some(number) = self.record().history.pending(id) {
            self.change_lazily(Change::Outcome { number, state });
        }
    }

    /// Shows again whatever an earlier life of this client may not have shown.
    pub(super) fn show_again(&mut self) {
        let undisplayed = self.record().history.undisplayed();
        let shown = undisplayed.filter_map(|(number, line)| Some((number, line.showing_again()?)));
        let shown: Vec<(u64, Event)> = shown.collect();
        let last = shown.last().map(|(number, _)| *number);
        shown.into_iter().for_each(|(_, event)| self.tell(event));
        if let Some(number) = last {
            self.displays(number);
        }
    }

    /// All lines up to this one are to be displayed: once they are, that is remembered. What is
    /// sent from now on waits for that, acknowledgements above all.
    pub(super) fn displays(&mut self, number: u64) {
        self.change_once_told(Change::Displayed { next: number + 1 });
    }

    /// The user is given an event.
    pub(super) fn telling(&mut self, event: &Event) {
        match event.plain() {
            Event::Saved { id, .. } => self.keep_outcome(*id, SentState::Saved),
            Event::Unsent { id, .. } => self.keep_outcome(*id, SentState::Unsent),
            _ => {}
        }
    }

    pub(super) fn tell_history(&mut self, with: Name) {
        let lines = self.record().history.with(&with).cloned().collect();
        self.tell(Event::History { with, lines });
    }
}

impl HistoryEntry {
    /// Whether it came for the user.
    #[must_use]
    pub const fn is_incoming(&self) -> bool {
        matches!(self.course, Course::In { .. })
    }

    /// What has become of it, if the user sent it.
    #[must_use]
    pub const fn state(&self) -> Option<SentState> {
        match self.course {
            Course::In { .. } => None,
            Course::Out(state) => Some(state),
        }
    }

    fn showing_again(&self) -> Option<Event> {
        let Course::In { stored_at } = self.course else { return None };
        let (id, from, text) = (self.id, self.with.clone(), self.text.clone());
        let (group, again) = (self.group.clone(), true);
        Some(Event::Message { id, from, text, stored_at, group, again })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StreamId;

    fn add(history: &mut History, number: u64, with: &str) {
        let line = HistoryEntry {
            with: with.parse().unwrap(),
            at: WallTime::from_unix_ms(0),
            id: MessageId { stream: StreamId(1), seq: number + 1 },
            text: String::new(),
            group: None,
            course: Course::In { stored_at: None },
        };
        history.add(number, line);
    }

    #[test]
    fn who_writes_most_drives_out_nobody_elses_lines() {
        let mut history = History::default();
        add(&mut history, 0, "bob");
        (1..HISTORY_MAX as u64).for_each(|number| add(&mut history, number, "mallory"));
        assert_eq!(history.in_the_way(), None, "nothing has been shown yet");
        history.set_displayed(HISTORY_MAX as u64);
        for number in HISTORY_MAX as u64..3 * HISTORY_MAX as u64 {
            let dropped = history.in_the_way().unwrap();
            assert_eq!(dropped, number - HISTORY_MAX as u64 + 1, "mallory's oldest");
            history.remove(dropped);
            add(&mut history, number, "mallory");
            history.set_displayed(number + 1);
        }
        assert_eq!(history.with(&"bob".parse().unwrap()).count(), 1);
    }
}
