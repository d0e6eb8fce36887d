//! What came of what the user sent: received, saved, refused, given up.
//!
//! docs/protocol.md, "Sending". Which way a message goes is [`super::outbox`]'s.

use std::net::SocketAddr;

use super::history::State;
use super::outbox::{Entry, Lane, Told, Way};
use super::timing::REFUSED_RETRY;
use super::{Change, Client, Event, UnsentReason};
use crate::plant::{Bug, Plant};
use crate::protocol::{MessageId, Name, NotSaved, Packet, StoreId, StreamId, Trip};
use crate::retransmission::Tries;
use crate::time::Now;

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
            self.settle(now, &to, id.seq, State::Received);
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
    pub(super) fn kept_no_more(&mut self, now: Now, id: MessageId, state: State) {
        let Some(session) = self.session.id() else { return };
        let MessageId { stream, seq } = id;
        // Settled first: the server, once it hears that this is known, will not say it again.
        if let Some(to) = self.recipient_of(stream) {
            self.settle(now, &to, seq, state);
        }
        self.send_to_server(&Packet::HandedOverAck { session, stream, seq }, b"", 1);
    }

    fn settle(&mut self, now: Now, to: &Name, upto: u64, state: State) {
        let Some(stream) = self.record.outgoing.get(to).map(|outgoing| outgoing.stream) else {
            return;
        };
        let (direct, server) = (self.direct_timeout(to), self.server_timeout(Trip::Disk));
        let Some(lane) = self.lanes.get_mut(to) else { return };
        let later = lane.entries.split_off(&(upto + 1));
        let settled = std::mem::replace(&mut lane.entries, later);
        lane.progress = now.time;
        lane.restart(now.time, direct, server);
        // Told first: a crash in between makes it say so again, not never.
        for (seq, entry) in &settled {
            let (id, to) = (MessageId { stream, seq: *seq }, to.clone());
            self.incomplete |= state == State::Expired;
            let event = match self.record.outgoing.get(&to).and_then(|it| it.unsettled.get(seq)) {
                _ if state == State::Expired => Event::Expired { id, to },
                Some(message) if entry.told == Told::Saved => {
                    Event::ReadLater { id, to, typed_at: message.typed_at }
                }
                _ => Event::Received { id, to },
            };
            // An original server never says that a message was read.
            if entry.told != Told::Saved || !self.originals.is_at_server() {
                self.fanouts.tell(&mut self.journal, entry.group.as_ref(), event);
            }
        }
        for seq in settled.into_keys() {
            self.keep_outcome(MessageId { stream, seq }, state);
            self.change_once_told(Change::Settled { to: to.clone(), seq });
        }
        self.pump(now, to);
    }

    /// The server keeps everything up to a message.
    pub(super) fn saved(&mut self, now: Now, store: StoreId, id: MessageId) {
        let Some(to) = self.recipient_of(id.stream) else { return };
        let (direct, server) = (self.direct_timeout(&to), self.server_timeout(Trip::Disk));
        let Some(lane) = self.lanes.get_mut(&to) else { return };
        if self.session.store != Some(store) {
            return;
        }
        let mut told = Vec::new();
        for (seq, entry) in lane.entries.range_mut(..=id.seq) {
            if matches!(entry.way, Way::Server { tries } if tries.attempts() > 0) {
                entry.way = Way::Saved;
                lane.progress = now.time;
                if entry.told != Told::Saved {
                    entry.told = Told::Saved;
                    let saved = Event::Saved { id: MessageId { seq: *seq, ..id }, to: to.clone() };
                    self.fanouts.tell(&mut self.journal, entry.group.as_ref(), saved);
                    told.push(*seq);
                }
            }
        }
        lane.restart(now.time, direct, server);
        for seq in told {
            self.change_once_told(Change::Saved { to: to.clone(), seq });
        }
        self.pump(now, &to);
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

    /// Gives up whatever the server does not keep, and says so: nothing is here to send it later.
    pub(super) fn abandon_sends(&mut self) {
        let mut abandoned = Vec::new();
        for (to, lane) in &mut self.lanes {
            let Some(stream) = self.record.outgoing.get(to).map(|known| known.stream) else {
                continue;
            };
            lane.entries.retain(|seq, entry| {
                let keep = entry.told == Told::Saved;
                if !keep {
                    let (id, reason) = (MessageId { stream, seq: *seq }, UnsentReason::Left);
                    let unsent = Event::Unsent { id, to: to.clone(), reason };
                    self.fanouts.tell(&mut self.journal, entry.group.as_ref(), unsent);
                    abandoned.push((to.clone(), *seq));
                }
                keep
            });
        }
        self.incomplete |= !abandoned.is_empty();
        for (to, seq) in abandoned {
            self.change_once_told(Change::Settled { to, seq });
        }
    }
}
