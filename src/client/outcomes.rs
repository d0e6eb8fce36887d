//! What came of what the user sent: received, saved, refused, given up.
//!
//! docs/protocol.md, "Sending". Which way a message goes is [`super::outbox`]'s.

use std::net::SocketAddr;

use super::history::State;
use super::outbox::{Entry, Lane, Told, Way};
use super::timing::{REFUSED_RETRY, SAVED_SAID_AFTER};
use super::{Change, Client, Event, UnsentReason};
use crate::plant::{Bug, Plant};
use crate::protocol::{MessageId, Name, NotSaved, Packet, StoreId, StreamId};
use crate::retransmission::Tries;
use crate::time::{Now, Time};

/// What ends the care for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its recipient has been shown it, as they or the server say.
    Received { over_server: bool },
    /// The server had kept it for as long as it keeps any.
    Expired,
}

impl<P: Plant> Client<P> {
    /// A recipient has shown everything up to a message. Counts only from where that was sent.
    pub(super) fn acknowledged(&mut self, now: Now, from: SocketAddr, id: MessageId) {
        let Some(to) = self.recipient_of(id.stream) else { return };
        let id = match self.newest_sent(&to) {
            Some(seq) if seq != id.seq && self.plant.has(Bug::AckConfirmsNewest) => {
                MessageId { seq, ..id }
            }
            _ => id,
        };
        let owes_it = |lane: &Lane| {
            lane.entries.get(&id.seq).is_some_and(|entry| {
                matches!(entry.way, Way::Direct { to, tries } if to == from && tries.attempts() > 0)
                    || (entry.is_with_server() && lane.deaf.is_some_and(|deaf| deaf.addr == from))
            })
        };
        if let Some(lane) = self.lanes.get_mut(&to).filter(|lane| owes_it(lane)) {
            // It hears, and is heard.
            lane.deaf.take_if(|deaf| deaf.addr == from);
            self.settle(now, &to, id.seq, End::Received { over_server: false });
        }
    }

    fn newest_sent(&self, to: &Name) -> Option<u64> {
        let sent =
            |entry: &Entry| matches!(entry.way, Way::Direct { tries, .. } if tries.attempts() > 0);
        let entries = &self.lanes.get(to)?.entries;
        entries.iter().rev().find(|(_, entry)| sent(entry)).map(|(seq, _)| *seq)
    }

    /// The server says what has become of a message that it kept, and of those before it of which
    /// it has not said so.
    pub(super) fn kept_no_more(&mut self, now: Now, id: MessageId, end: End) {
        let Some(session) = self.session.id() else { return };
        let MessageId { stream, seq } = id;
        // Settled first: the server, once it hears that this is known, will not say it again.
        if let Some(to) = self.recipient_of(stream) {
            self.settle(now, &to, seq, end);
        }
        self.send_to_server(&Packet::HandedOverAck { session, stream, seq }, b"", 1);
    }

    fn settle(&mut self, now: Now, to: &Name, upto: u64, end: End) {
        let Some(stream) = self.record.outgoing.get(to).map(|outgoing| outgoing.stream) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(to) else { return };
        let later = lane.entries.split_off(&(upto + 1));
        let settled = std::mem::replace(&mut lane.entries, later);
        (lane.progress, lane.refused) = (now.time, None);
        // Told first: a crash in between makes it say so again, not never.
        for (seq, entry) in &settled {
            let (id, to) = (MessageId { stream, seq: *seq }, to.clone());
            self.incomplete |= end == End::Expired;
            let message = self.record.outgoing.get(&to).and_then(|it| it.unsettled.get(seq));
            let event = match (end, message) {
                (End::Expired, _) => Event::Expired { id, to },
                (_, Some(message)) if entry.told == Told::Saved => {
                    Event::ReadLater { id, to, typed_at: message.typed_at }
                }
                (End::Received { over_server }, _) => Event::Received { id, to, over_server },
            };
            // An original server never says that a message was read.
            if entry.told != Told::Saved || !self.originals.is_at_server() {
                self.fanouts.tell(&mut self.journal, entry.group.as_ref(), event);
            }
        }
        let state = match end {
            End::Received { .. } => State::Received,
            End::Expired => State::Expired,
        };
        for seq in settled.into_keys() {
            self.keep_outcome(MessageId { stream, seq }, state);
            self.change_once_told(Change::Settled { to: to.clone(), seq });
        }
        self.pump(now, to);
    }

    /// The server keeps everything up to a message.
    pub(super) fn saved(&mut self, now: Now, store: StoreId, id: MessageId) {
        let Some(to) = self.recipient_of(id.stream) else { return };
        let Some(lane) = self.lanes.get_mut(&to) else { return };
        if self.session.store != Some(store) {
            return;
        }
        for entry in lane.entries.range_mut(..=id.seq).map(|(_, entry)| entry) {
            if matches!(entry.way, Way::Server { tries } if tries.attempts() > 0) {
                entry.way = Way::Saved { since: now.time };
                (lane.progress, lane.refused) = (now.time, None);
            }
        }
        self.pump(now, &to);
    }

    /// Says of what the server keeps that it does, once: at once if the recipient is not here to
    /// be shown it soon, else when that has not happened for [`SAVED_SAID_AFTER`].
    pub(super) fn report_saved(&mut self, now: Now, to: &Name) {
        let is_here = self.roster.get(to).is_some_and(|entry| entry.addr.is_some());
        // An original server never says that a message was read.
        let is_awaited = is_here && self.session.takes_part() && !self.server_is_original();
        self.tell_saved(to, |since| !is_awaited || since + SAVED_SAID_AFTER <= now.time);
    }

    fn tell_saved(&mut self, to: &Name, is_due: impl Fn(Time) -> bool) {
        let Some(stream) = self.record.outgoing.get(to).map(|outgoing| outgoing.stream) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(to) else { return };
        let mut told = Vec::new();
        for (seq, entry) in &mut lane.entries {
            if entry.is_saved_untold() && matches!(entry.way, Way::Saved { since } if is_due(since))
            {
                entry.told = Told::Saved;
                let saved = Event::Saved { id: MessageId { stream, seq: *seq }, to: to.clone() };
                self.fanouts.tell(&mut self.journal, entry.group.as_ref(), saved);
                told.push(*seq);
            }
        }
        for seq in told {
            self.change_once_told(Change::Saved { to: to.clone(), seq });
        }
    }

    /// The server does not keep a message.
    pub(super) fn not_saved(&mut self, now: Now, id: MessageId, reason: NotSaved) {
        let Some(to) = self.recipient_of(id.stream) else { return };
        let Some(lane) = self.lanes.get_mut(&to) else { return };
        let Some(entry) = lane.entries.get_mut(&id.seq) else { return };
        if !matches!(entry.way, Way::Server { tries } if tries.attempts() > 0) {
            return;
        }
        let reason = match reason {
            NotSaved::UnknownName if lane.known => UnsentReason::Forgotten,
            NotSaved::UnknownName => UnsentReason::UnknownName,
            NotSaved::BadText => UnsentReason::BadText,
            NotSaved::MailboxFull => UnsentReason::MailboxFull,
            NotSaved::SenderFull => UnsentReason::SenderFull,
            NotSaved::ServerFull => UnsentReason::ServerFull,
            NotSaved::DiskFull => UnsentReason::DiskFull,
        };
        let untold = entry.told == Told::Nothing;
        // What was said to be saved is not given up: a server without its memory may hear of the
        // recipient yet.
        let is_final = reason.is_final() && entry.told != Told::Saved;
        if untold || is_final {
            let unsent = Event::Unsent { id, to: to.clone(), reason };
            self.fanouts.tell(&mut self.journal, entry.group.as_ref(), unsent);
        }
        if is_final {
            lane.entries.remove(&id.seq);
            self.change_once_told(Change::Settled { to: to.clone(), seq: id.seq });
            self.incomplete = true;
        } else {
            if untold {
                entry.told = Told::Unsent;
            }
            entry.way = Way::Server { tries: Tries::again_at(now.time + REFUSED_RETRY) };
            lane.refused = Some(reason);
        }
        self.pump(now, &to);
    }

    fn recipient_of(&self, stream: StreamId) -> Option<Name> {
        let outgoing = self.record.outgoing.iter();
        outgoing.into_iter().find(|(_, known)| known.stream == stream).map(|(to, _)| to.clone())
    }

    /// Whether the user has been told of every send what has become of it.
    pub(super) fn every_send_has_its_outcome(&self) -> bool {
        let mut entries = self.lanes.values().flat_map(|lane| lane.entries.values());
        entries.all(|entry| entry.told != Told::Nothing)
    }

    /// Says of every message without an outcome that it is not sent for this reason; without one
    /// the user knows that it is not.
    pub(super) fn report_all_unsent(&mut self, reason: Option<UnsentReason>) {
        for (to, lane) in &mut self.lanes {
            let Some(stream) = self.record.outgoing.get(to).map(|known| known.stream) else {
                continue;
            };
            for (seq, entry) in &mut lane.entries {
                if entry.told == Told::Nothing {
                    entry.told = Told::Unsent;
                    if let Some(reason) = reason {
                        let (id, to) = (MessageId { stream, seq: *seq }, to.clone());
                        let unsent = Event::Unsent { id, to, reason };
                        self.fanouts.tell(&mut self.journal, entry.group.as_ref(), unsent);
                    }
                }
            }
        }
    }

    /// The user has left. Says of each message that has no outcome what is so: the server keeps it,
    /// or it is kept here and goes out at the next start. Without a store it is given up.
    pub(super) fn leave_sends(&mut self) {
        let names: Vec<Name> = self.lanes.keys().cloned().collect();
        for to in names {
            self.tell_saved(&to, |_| true);
            let given_up = self.leave_lane(&to);
            for seq in given_up {
                self.change_once_told(Change::Settled { to: to.clone(), seq });
            }
        }
    }

    /// The same for one recipient; what is given up.
    fn leave_lane(&mut self, to: &Name) -> Vec<u64> {
        let has_store = self.config.has_store;
        let reason = if has_store { UnsentReason::Left } else { UnsentReason::LeftForGood };
        let Some(stream) = self.record.outgoing.get(to).map(|known| known.stream) else {
            return Vec::new();
        };
        let Some(lane) = self.lanes.get_mut(to) else { return Vec::new() };
        let mut unsaved = Vec::new();
        for (seq, entry) in lane.entries.iter_mut().filter(|(_, it)| it.told != Told::Saved) {
            unsaved.push(*seq);
            // That what has a store is kept, the user may know already.
            if !has_store || entry.told == Told::Nothing {
                entry.told = Told::Unsent;
                let (id, to) = (MessageId { stream, seq: *seq }, to.clone());
                let unsent = Event::Unsent { id, to, reason };
                self.fanouts.tell(&mut self.journal, entry.group.as_ref(), unsent);
            }
        }
        self.incomplete |= !unsaved.is_empty();
        if unsaved.is_empty() || (has_store && !self.plant.has(Bug::LeavingGivesUp)) {
            return Vec::new();
        }
        lane.entries.retain(|_, entry| entry.told == Told::Saved);
        unsaved
    }
}
