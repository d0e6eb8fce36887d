//! What is kept for whom: storing, handing over, and telling the sender.
//!
//! docs/protocol.md, "Stored messages". Nothing here reads a text.

use std::collections::{BTreeMap, BTreeSet};

use super::saved::Due;
use super::session::Tell;
use super::timing::{RESEND_MAX, STUCK_AFTER, stuck_pause};
use super::{Change, End, Event, Letter, Progress, Server, Standing, Timer, Turn};
use crate::holding::Arrival;
use crate::machine::Path;
use crate::plant::{Bug, Plant};
use crate::protocol::limits::{
    LETTERS_MAX, MAIL_STREAMS_MAX, MAILBOX_MAX, SENDER_LETTERS_MAX, TELLS_AT_ONCE, UNTOLD_MAX,
    WINDOW,
};
use crate::protocol::{GroupTag, MessageId, Name, NotSaved, Packet, PacketKind, StreamKey, Trip};
use crate::retransmission::Tries;
use crate::time::{Now, Time, whole_ms};

/// A message to be stored.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) to: Name,
    pub(super) body: Vec<u8>,
    pub(super) group: Option<GroupTag>,
}

/// A registered client wants a message kept.
#[derive(Debug)]
pub(super) struct Request {
    /// When it came.
    pub(super) now: Now,
    /// The stamp that it carried.
    pub(super) stamp: Option<u64>,
    pub(super) sender: Name,
    pub(super) from: Path,
    pub(super) id: MessageId,
    pub(super) base: u64,
    pub(super) save: Save,
    /// Whether the recipient did not answer the sender.
    pub(super) unreachable: bool,
}

/// So many requests wait while others are answered at once. With more, one is carried out whenever
/// one comes, so that no flood makes the server read without end what it will not carry out.
const SAVES_MAX: usize = 256;

impl<P: Plant> Server<P> {
    pub(super) fn ask_to_save(&mut self, request: Request) {
        self.saves.push_back(request);
        if self.saves.len() > SAVES_MAX {
            self.save_first();
        }
    }

    /// Carries out the first request that waits. Whether there was one.
    pub(super) fn save_first(&mut self) -> bool {
        let Some(request) = self.saves.pop_front() else { return false };
        let Request { now, stamp, sender, from, id, base, save, unreachable } = request;
        let to = unreachable.then(|| save.to.clone());
        self.cx.go_back_to(now);
        self.cx.answer_to(stamp);
        self.save((&sender, from), id, base, save);
        self.cx.answer_to(None);
        if let Some(to) = to {
            self.probe(&to, None);
        }
        self.cx.come_back();
        true
    }

    fn save(&mut self, (sender, from): (&Name, Path), id: MessageId, base: u64, save: Save) {
        let key = StreamKey { from: sender.clone(), stream: id.stream };
        let progress = self.cx.record().stream(&key);
        if progress.is_some_and(|known| known.standing.to != save.to) {
            return; // A stream has one recipient: no client of ours does this.
        }
        let next = progress.map(|progress| progress.next);
        let is_new = next.is_none_or(|next| next <= id.seq);
        if is_new && let Some(reason) = self.objection(sender, progress, &save) {
            let MessageId { stream, seq } = id;
            self.cx.counters.dropped.refused += 1;
            // Nothing is kept: there is nothing to lose.
            self.cx.send_now(from, &Packet::NotSaved { stream, seq, reason }, 1);
            return;
        }
        let last = match self.holding.offer(self.cx.now(), next, &key, id.seq, base, save) {
            Arrival::Early if self.cx.has(Bug::SavesHeld) => {
                return self.send_saved(from, vec![id]);
            }
            Arrival::Early => return,
            Arrival::Old => {
                self.cx.counters.duplicates += 1;
                next.map(|next| next - 1)
            }
            Arrival::Ready(saves) => self.store_in_order(&key, id.seq, saves),
        };
        if let Some(seq) = last {
            self.acknowledge(from, MessageId { seq, ..id });
        }
    }

    /// Stores messages of a stream up to the first that is for somebody else than those before it,
    /// or that there is no room for any more: its sender repeats it, and is told why. The place of
    /// the last.
    fn store_in_order(
        &mut self,
        key: &StreamKey,
        arrived: u64,
        saves: Vec<(u64, Save)>,
    ) -> Option<u64> {
        let mut last = None;
        for (seq, save) in saves {
            let progress = self.cx.record().stream(key);
            let is_astray = progress.is_some_and(|known| known.standing.to != save.to);
            // Of the one that has just arrived it was asked before any of these was stored.
            let is_asked = seq == arrived && last.is_none();
            if is_astray || !is_asked && self.objection(&key.from, progress, &save).is_some() {
                break;
            }
            self.store(&key.from, MessageId { stream: key.stream, seq }, save);
            last = Some(seq);
        }
        last
    }

    /// Acknowledges once everything so far is durable.
    fn acknowledge(&mut self, to: Path, id: MessageId) {
        let commit = self.cx.commit();
        if self.cx.is_durable(commit) || self.cx.has(Bug::AcksBeforeCommit) {
            self.send_saved(to, vec![id]);
        } else {
            self.saved.add(commit, to, id, self.cx.stamp());
        }
    }

    /// A commit has ended: what it made durable is acknowledged.
    pub(super) fn acknowledge_durable(&mut self) {
        let store = self.cx.record().store;
        for Due { to, messages, echo_ms } in self.saved.take(|commit| self.cx.is_durable(commit)) {
            // Nothing is said here that is not durable.
            self.cx.send_soon(to, &Packet::Saved { store, messages }, echo_ms);
        }
    }

    fn send_saved(&mut self, to: Path, messages: Vec<MessageId>) {
        let saved = Packet::Saved { store: self.cx.record().store, messages };
        // Of what is durable; earlier only as a planted bug.
        self.cx.send_now(to, &saved, 1);
    }

    /// Why a new message of a stream is not stored.
    pub(super) fn objection(
        &self,
        from: &Name,
        stream: Option<&Progress>,
        save: &Save,
    ) -> Option<NotSaved> {
        if save.body.is_empty() {
            return Some(NotSaved::BadText);
        }
        if !self.cx.record().accounts.contains_key(&save.to) {
            return Some(NotSaved::UnknownName);
        }
        if self.cx.is_low() {
            return Some(NotSaved::DiskFull);
        }
        if self.letters_for(&save.to) >= MAILBOX_MAX {
            return Some(NotSaved::MailboxFull);
        }
        let untold = stream.map_or(0, |progress| progress.standing.untold.len());
        if self.cx.record().letters_of(from) >= SENDER_LETTERS_MAX || untold >= UNTOLD_MAX {
            return Some(NotSaved::SenderFull);
        }
        let room_for_stream = stream.is_some()
            || self.cx.record().streams().len() < MAIL_STREAMS_MAX
            || self.cx.record().idle_stream().is_some();
        if self.cx.record().letters() >= LETTERS_MAX || !room_for_stream {
            return Some(NotSaved::ServerFull);
        }
        None
    }

    pub(super) fn store(&mut self, from: &Name, id: MessageId, save: Save) {
        let Save { to, body, group } = save;
        // All copies of a name share its letters.
        let to =
            self.cx.record().accounts.get_key_value(&to).map_or(to, |(known, _)| known.clone());
        self.cx.counters.stored += 1;
        let letter = Letter {
            number: self.next_letter,
            id,
            from: from.clone(),
            stored_at: self.cx.wall(),
            stored_after_ms: whole_ms(self.cx.uptime()),
            group: group.map(Box::new),
            body: body.into_boxed_slice(),
        };
        self.next_letter += 1;
        if self.cx.record().streams().len() >= MAIL_STREAMS_MAX
            && self.cx.record().stream(&letter.key()).is_none()
            && let Some(key) = self.dispensable_stream().cloned()
        {
            self.forget(&key);
        }
        let number = letter.number;
        let ticket = self.cx.change(Change::Stored { to: to.clone(), letter });
        self.undurable.push_back((ticket, number, to.clone()));
        self.wait_for_expiry();
        self.cx.report(Event::Stored { id, from: from.clone(), to });
    }

    /// The stream that goes to make room for another: best one whose sender knows it, else one of
    /// whoever is still to be told most, so that nobody is told less because of what others leave
    /// untold.
    fn dispensable_stream(&self) -> Option<&StreamKey> {
        let first = self.cx.record().idle_stream()?;
        let untold = self.untold.get(&first.from);
        if !untold.is_some_and(|streams| streams.contains(&first.stream)) {
            return Some(first);
        }
        let most = self.untold.iter().max_by_key(|(_, streams)| streams.len());
        most.and_then(|(name, _)| self.cx.record().untold_idle_stream_of(name)).or(Some(first))
    }

    /// Lets go of a stream, and of all that its sender was still to be told.
    fn forget(&mut self, key: &StreamKey) {
        let made_room = self.is_told(key);
        self.cx.change(Change::Forgotten { key: key.clone() });
        if made_room {
            self.tell_more(&key.from);
        }
    }

    /// A commit has ended: what it made durable may be handed over.
    pub(super) fn release_letters(&mut self) {
        let mut readers = BTreeSet::new();
        while let Some((ticket, _, to)) = self.undurable.front()
            && self.cx.is_durable(*ticket)
        {
            if self.sessions.contains_key(to) {
                readers.insert(to.clone());
            }
            self.undurable.pop_front();
        }
        for reader in readers {
            self.hand_over(&reader);
        }
    }

    /// The number of the first letter whose commit has not ended: with it all behind it.
    pub(super) fn first_undurable(&self) -> u64 {
        self.undurable.front().map_or(u64::MAX, |(_, number, _)| *number)
    }

    /// Sends a reader what is due of the first [`WINDOW`] messages of its mailbox, and beside them
    /// what has not passed for long: of each stream the first, for nothing behind it is shown
    /// before.
    pub(super) fn hand_over(&mut self, reader: &Name) {
        let first_undurable = self.first_undurable();
        let stamps = self.cx.stamps(PacketKind::Deliver);
        let Some(session) = self.sessions.get_mut(reader).filter(|session| session.confirmed)
        else {
            return;
        };
        if session.guest.is_some() {
            return self.hand_over_to_guest(reader);
        }
        let timeout = session.timeout(Trip::Disk);
        let mut first_of = BTreeMap::new();
        let mut due = Vec::new();
        let mut wake: Option<Time> = None;
        let mut stuck = BTreeSet::new();
        let mut in_window = 0;
        for letter in self.cx.record().mailbox(reader).into_iter().flatten() {
            if in_window == WINDOW || letter.number >= first_undurable {
                break;
            }
            let age_ms = self.cx.wall().unix_ms().saturating_sub(letter.stored_at.unix_ms());
            if age_ms > 3_600_000 && self.cx.has(Bug::ClockStepExpiresMail) {
                continue;
            }
            let MessageId { stream, seq } = letter.id;
            let key = letter.key();
            if stuck.contains(&key) {
                continue;
            }
            let base = *first_of.entry(key.clone()).or_insert(seq);
            let flight = session.flight.entry((letter.from.clone(), letter.id));
            let flight = flight.or_insert_with(|| Tries::from(self.cx.now()));
            let is_stuck = flight.attempts() >= STUCK_AFTER;
            if flight.is_due(self.cx.now()) {
                let attempt = flight.transmit(self.cx.now());
                let pause = match is_stuck {
                    true => stuck_pause(stuck.len()),
                    false => flight.pause(self.cx.now(), timeout, RESEND_MAX),
                };
                flight.wait(self.cx.now(), pause);
                let (from, stored_at) = (letter.from.clone(), letter.stored_at);
                let group = letter.group.as_deref().cloned();
                let id = session.id;
                let packet =
                    Packet::Deliver { session: id, from, stream, seq, base, stored_at, group };
                let transmit =
                    super::context::transmit(session.path, &packet, stamps, &letter.body, attempt);
                due.push((transmit, key.clone(), seq));
            }
            let next_at = flight.next_at();
            wake = Some(wake.map_or(next_at, |wake| wake.min(next_at)));
            if is_stuck {
                stuck.insert(key);
            } else {
                in_window += 1;
            }
        }
        for (transmit, key, seq) in due {
            // At once, for the letter is durable.
            self.cx.transmit_now(transmit);
            self.receipt_too_early(&key, seq);
            if self.cx.has(Bug::ClearsMailboxEarly) {
                self.cx.change_if_any(self.cx.record().settling(&key, seq, End::Shown));
            }
        }
        match wake {
            Some(wake) => self.cx.set_timer(Timer::Mail(reader.clone()), wake),
            None => self.cx.clear_timer(&Timer::Mail(reader.clone())),
        }
    }

    /// What [`Bug::ReceiptAtHandOver`] does.
    fn receipt_too_early(&mut self, key: &StreamKey, seq: u64) {
        let Some(path) = self.sessions.get(&key.from).map(|session| session.path) else { return };
        if self.cx.has(Bug::ReceiptAtHandOver) {
            // Too early, which is the bug.
            self.cx.send_now(path, &Packet::HandedOver { stream: key.stream, seq }, 1);
        }
    }

    /// A reader has seen everything of a stream up to a place.
    pub(super) fn shown(&mut self, reader: &Name, key: &StreamKey, seq: u64) {
        let Some(progress) = self.cx.record().stream(key) else { return };
        let seq = seq.min(progress.next - 1);
        if progress.standing.to != *reader || seq <= progress.standing.settled {
            self.cx.counters.duplicates += 1;
            return;
        }
        let before = self.letters_for(reader);
        self.cx.change_if_any(self.cx.record().settling(key, seq, End::Shown));
        if let Some(session) = self.sessions.get_mut(reader) {
            let lands = |(from, id): &(Name, MessageId)| {
                id.seq <= seq && id.stream == key.stream && *from == key.from
            };
            if !(session.flight.keys().any(lands) && self.cx.has(Bug::KeepsFlights)) {
                session.flight.retain(|flight, _| !lands(flight));
            }
        }
        let count = before - self.letters_for(reader);
        self.cx.counters.handed_over += count as u64;
        let id = MessageId { stream: key.stream, seq };
        self.cx.report(Event::HandedOver { id, to: reader.clone(), count });
        self.wait_for_expiry();
        self.has_news(key);
        self.hand_over(reader);
    }

    /// Something of a stream has been shown, or has expired: its sender is to know.
    pub(super) fn has_news(&mut self, key: &StreamKey) {
        self.untold.entry(key.from.clone()).or_default().insert(key.stream);
        self.tell(key);
    }

    pub(super) fn letters_for(&self, reader: &Name) -> usize {
        self.cx.record().mailbox(reader).map_or(0, |letters| letters.len())
    }

    /// Tells a sender that is here what has become of its messages: the first that it does not
    /// know.
    pub(super) fn tell(&mut self, key: &StreamKey) {
        let Some(progress) = self.cx.record().stream(key) else { return };
        let Some(session) = self.sessions.get_mut(&key.from).filter(|s| s.confirmed) else {
            return;
        };
        let Some(Turn { upto: seq, end }) = progress.standing.untold.first().copied() else {
            return;
        };
        let stream = key.stream;
        if session.guest.is_some() {
            // The name may have been a client's of ours, and may be again: what that one sent, it
            // is told then.
            let Standing { to, settled, .. } = &progress.standing;
            if self.is_guest_stream(key, to) {
                self.consider_told(key, *settled);
            }
            return;
        }
        if session.tells.len() >= TELLS_AT_ONCE && !session.tells.contains_key(&stream) {
            return; // When it has answered of another.
        }
        let (path, timeout) = (session.path, session.timeout(Trip::Disk));
        let fresh = Tell { upto: seq, tries: Tries::from(self.cx.now()) };
        let tell = session.tells.entry(stream).or_insert(fresh);
        if tell.upto != seq {
            *tell = fresh; // Another word than the last one.
        }
        let attempt = tell.tries.transmit(self.cx.now());
        let pause = tell.tries.pause(self.cx.now(), timeout, RESEND_MAX);
        let packet = match end {
            End::Shown => Packet::HandedOver { stream, seq },
            End::Expired => Packet::Expired { stream, seq },
        };
        self.cx.send(path, &packet, attempt);
        self.cx.set_timer(Timer::Told(key.clone()), self.cx.now() + pause);
    }

    /// Tells a sender of further streams, as many as it is told of at a time.
    pub(super) fn tell_more(&mut self, name: &Name) {
        let (Some(session), Some(streams)) = (self.sessions.get(name), self.untold.get(name))
        else {
            return;
        };
        let room = match session.guest {
            // It is sent nothing.
            Some(_) => usize::MAX,
            None => TELLS_AT_ONCE.saturating_sub(session.tells.len()),
        };
        let waiting = streams.iter().filter(|stream| !session.tells.contains_key(stream));
        for stream in waiting.take(room).copied().collect::<Vec<_>>() {
            self.tell(&StreamKey { from: name.clone(), stream });
        }
    }

    /// A sender knows what has become of its messages up to a place.
    pub(super) fn told(&mut self, key: &StreamKey, seq: u64) {
        let Some(Progress { standing, .. }) = self.cx.record().stream(key) else { return };
        let asked = standing.untold.first().map_or(0, |turn| turn.upto);
        if standing.told < seq && seq <= asked {
            self.consider_told(key, seq);
            if seq == asked {
                self.tell(key); // What came after that.
                self.tell_more(&key.from);
            }
        }
    }

    fn consider_told(&mut self, key: &StreamKey, seq: u64) {
        self.cx.change_if_any(self.cx.record().telling(key, seq));
        let Some(progress) = self.cx.record().stream(key) else { return };
        if progress.standing.told >= progress.standing.settled {
            self.is_told(key);
        }
    }

    /// There is no more to tell of a stream. Whether its sender was just being told.
    fn is_told(&mut self, key: &StreamKey) -> bool {
        self.cx.clear_timer(&Timer::Told(key.clone()));
        let session = self.sessions.get_mut(&key.from);
        let told = session.and_then(|session| session.tells.remove(&key.stream));
        if let Some(streams) = self.untold.get_mut(&key.from) {
            streams.remove(&key.stream);
            if streams.is_empty() {
                self.untold.remove(&key.from);
            }
        }
        told.is_some()
    }
}
