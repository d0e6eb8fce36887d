//! What is kept for whom: storing, handing over, and telling the sender.
//!
//! docs/protocol.md, "Stored messages". Nothing here reads a text.

use std::net::SocketAddr;

use super::registration::backoff;
use super::{Change, Event, Letter, Server, Timer};
use crate::holding::Arrival;
use crate::plant::{Bug, Plant};
use crate::protocol::limits::{MAILBOX_MAX, STREAMS_MAX, WINDOW};
use crate::protocol::{MessageId, Name, NotSaved, Packet, StreamId};
use crate::time::{Now, Time};

/// A message to be stored.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) to: Name,
    pub(super) body: Vec<u8>,
}

/// A stored message on its way to its reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    attempts: u32,
    next_at: Time,
}

impl<P: Plant> Server<P> {
    /// A registered client wants a message kept.
    pub(super) fn save(
        &mut self,
        now: Now,
        (sender, addr): (&Name, SocketAddr),
        id: MessageId,
        base: u64,
        save: Save,
    ) {
        let progress = self.record.streams.get(&id.stream);
        if progress.is_some_and(|known| known.from != *sender || known.to != save.to) {
            return; // Somebody else's stream: no client of ours does this.
        }
        let next = progress.map(|progress| progress.next);
        let is_new = next.is_none_or(|next| next <= id.seq);
        if is_new && let Some(reason) = self.objection(id.stream, &save) {
            let MessageId { stream, seq } = id;
            self.send(addr, &Packet::NotSaved { stream, seq, reason }, 1);
            return;
        }
        match self.holding.offer(next, id, base, save) {
            Arrival::Early if self.plant.has(Bug::SavesHeld) => {
                let saved =
                    Packet::Saved { store: self.record.store, stream: id.stream, seq: id.seq };
                return self.send(addr, &saved, 1);
            }
            Arrival::Early => return,
            Arrival::Old => {}
            Arrival::Ready(saves) => {
                for (seq, save) in saves {
                    self.store(now, sender, MessageId { seq, ..id }, save);
                }
            }
        }
        if let Some(progress) = self.record.streams.get(&id.stream) {
            let (store, seq) = (self.record.store, progress.next - 1);
            let saved = Packet::Saved { store, stream: id.stream, seq };
            if self.plant.has(Bug::AcksBeforeCommit) {
                return self.send(addr, &saved, 1);
            }
            self.send_durably(addr, &saved, 1);
        }
    }

    pub(super) fn objection(&self, stream: StreamId, save: &Save) -> Option<NotSaved> {
        if save.body.is_empty() {
            return Some(NotSaved::BadText);
        }
        if !self.record.accounts.contains_key(&save.to) {
            return Some(NotSaved::UnknownName);
        }
        let letters = self.record.mailboxes.get(&save.to).map_or(0, |letters| letters.len());
        let room_for_stream =
            self.record.streams.contains_key(&stream) || self.record.streams.len() < STREAMS_MAX;
        if letters >= MAILBOX_MAX || !(room_for_stream || self.idle_stream().is_some()) {
            return Some(NotSaved::MailboxFull);
        }
        None
    }

    /// A stream of which nothing is stored or untold, so that nobody misses it.
    fn idle_stream(&self) -> Option<StreamId> {
        let idle = |progress: &super::Progress| {
            progress.shown + 1 == progress.next && progress.told == progress.shown
        };
        let mut streams = self.record.streams.iter();
        streams.find(|(_, progress)| idle(progress)).map(|(stream, _)| *stream)
    }

    pub(super) fn store(&mut self, now: Now, from: &Name, id: MessageId, save: Save) {
        let Save { to, body } = save;
        let known = self.record.streams.contains_key(&id.stream);
        if !known
            && self.record.streams.len() >= STREAMS_MAX
            && let Some(stream) = self.idle_stream()
        {
            self.change(Change::Forgotten { stream });
        }
        let letter = Letter { id, from: from.clone(), stored_at: now.wall, body };
        let ticket = self.change(Change::Stored { to: to.clone(), letter });
        self.undurable.insert(id, (ticket, to.clone()));
        self.journal.event_durably(Event::Stored { id, from: from.clone(), to });
    }

    /// A commit has ended: what it made durable may be handed over.
    pub(super) fn release_letters(&mut self, now: Now) {
        let journal = &self.journal;
        let durable: Vec<(MessageId, Name)> = self
            .undurable
            .iter()
            .filter(|(_, (ticket, _))| journal.is_durable(*ticket))
            .map(|(id, (_, to))| (*id, to.clone()))
            .collect();
        for (id, _) in &durable {
            self.undurable.remove(id);
        }
        for (_, to) in &durable {
            self.hand_over(now, to);
        }
    }

    /// Sends a reader what is due of the first [`WINDOW`] messages of its mailbox.
    pub(super) fn hand_over(&mut self, now: Now, reader: &Name) {
        let Some(session) = self.sessions.get_mut(reader).filter(|session| session.confirmed)
        else {
            return;
        };
        if session.guest.is_some() {
            return self.hand_over_to_guest(now, reader);
        }
        let mut first_of = std::collections::BTreeMap::new();
        let mut due = Vec::new();
        let mut wake: Option<Time> = None;
        for letter in self.record.mailboxes.get(reader).into_iter().flatten().take(WINDOW) {
            if self.undurable.contains_key(&letter.id) {
                break;
            }
            let age_ms = now.wall.unix_ms().saturating_sub(letter.stored_at.unix_ms());
            if age_ms > 3_600_000 && self.plant.has(Bug::ClockStepExpiresMail) {
                continue;
            }
            let MessageId { stream, seq } = letter.id;
            let base = *first_of.entry(stream).or_insert(seq);
            let flight = session
                .flight
                .entry(letter.id)
                .or_insert(Flight { attempts: 0, next_at: now.time });
            if flight.next_at <= now.time {
                flight.attempts += 1;
                flight.next_at = now.time + backoff(flight.attempts);
                let (from, stored_at) = (letter.from.clone(), letter.stored_at);
                let packet = Packet::Deliver { from, stream, seq, base, stored_at };
                due.push(super::transmit(session.addr, &packet, &letter.body, flight.attempts));
            }
            wake = Some(wake.map_or(flight.next_at, |wake| wake.min(flight.next_at)));
        }
        for transmit in due {
            let sent = transmit.identity.message;
            self.journal.transmit(transmit);
            if let Some(MessageId { stream, seq }) = sent
                && self.plant.has(Bug::ClearsMailboxEarly)
            {
                self.change(Change::Shown { stream, seq });
            }
        }
        match wake {
            Some(wake) => self.timers.set(Timer::Mail(reader.clone()), wake),
            None => self.timers.clear(&Timer::Mail(reader.clone())),
        }
    }

    /// A reader has seen everything of a stream up to a message.
    pub(super) fn shown(&mut self, now: Now, reader: &Name, id: MessageId) {
        let Some(progress) = self.record.streams.get(&id.stream) else { return };
        let id = MessageId { seq: id.seq.min(progress.next - 1), ..id };
        if progress.to != *reader || id.seq <= progress.shown {
            return;
        }
        let before = self.letters_for(reader);
        self.change(Change::Shown { stream: id.stream, seq: id.seq });
        if let Some(session) = self.sessions.get_mut(reader) {
            session.flight.retain(|other, _| other.stream != id.stream || other.seq > id.seq);
        }
        let count = before - self.letters_for(reader);
        self.journal.event_durably(Event::HandedOver { id, to: reader.clone(), count });
        if let Some(progress) = self.record.streams.get(&id.stream) {
            self.untold.entry(progress.from.clone()).or_default().insert(id.stream);
        }
        self.tell(now, id.stream);
        self.hand_over(now, reader);
    }

    fn letters_for(&self, reader: &Name) -> usize {
        self.record.mailboxes.get(reader).map_or(0, |letters| letters.len())
    }

    /// Tells a sender that is here how far its stream was shown.
    pub(super) fn tell(&mut self, now: Now, stream: StreamId) {
        let Some(progress) = self.record.streams.get(&stream) else { return };
        let Some(session) = self.sessions.get_mut(&progress.from).filter(|s| s.confirmed) else {
            return;
        };
        let seq = progress.shown;
        if session.guest.is_some() {
            return self.consider_told(stream, seq);
        }
        let attempt = session.tells.entry(stream).or_insert(0);
        *attempt += 1;
        let (addr, attempt) = (session.addr, *attempt);
        self.send_durably(addr, &Packet::HandedOver { stream, seq }, attempt);
        self.timers.set(Timer::Told(stream), now.time + backoff(attempt));
    }

    /// A sender knows how far its stream was shown.
    pub(super) fn told(&mut self, sender: &Name, id: MessageId) {
        let Some(progress) = self.record.streams.get(&id.stream) else { return };
        if progress.from != *sender || id.seq > progress.shown || id.seq <= progress.told {
            return;
        }
        self.consider_told(id.stream, id.seq);
    }

    pub(super) fn consider_told(&mut self, stream: StreamId, seq: u64) {
        self.change(Change::Told { stream, seq });
        let Some(progress) = self.record.streams.get(&stream) else { return };
        if progress.told < progress.shown {
            return;
        }
        self.timers.clear(&Timer::Told(stream));
        if let Some(session) = self.sessions.get_mut(&progress.from) {
            session.tells.remove(&stream);
        }
        if let Some(streams) = self.untold.get_mut(&progress.from) {
            streams.remove(&stream);
            if streams.is_empty() {
                self.untold.remove(&progress.from);
            }
        }
    }
}
