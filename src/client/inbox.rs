//! What comes for the user: shown once and in its sender's order, whichever way it came.
//!
//! docs/protocol.md, "Order": remember, then show, then acknowledge.

use super::history::{Course, Line};
use super::{Change, Client, Event, Problem};
use crate::holding::Arrival;
use crate::machine::Path;
use crate::plant::{Bug, Plant};
use crate::protocol::{GroupTag, MessageId, Name, Nonce, Packet, StreamKey};
use crate::store::Room;
use crate::time::WallTime;

/// A message that has arrived.
#[derive(Debug)]
pub(super) struct Incoming {
    text: String,
    stored_at: Option<WallTime>,
    group: Option<GroupTag>,
}

/// What a message brings: its text, and whether it is a copy of one to many.
pub(super) type Content<'a> = (&'a [u8], Option<GroupTag>);

/// Where a message comes from, and so where its acknowledgement goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Peer(Path),
    Server(WallTime),
}

impl<P: Plant> Client<P> {
    /// A peer sends a message. It counts only if the table knows this name at this address.
    pub(super) fn message_from_peer(
        &mut self,
        path: Path,
        from: &Name,
        id: MessageId,
        base: u64,
        content: Content<'_>,
    ) {
        if self.roster.get(from).is_some_and(|entry| entry.addr == Some(path.remote)) {
            self.message(Source::Peer(path), from, id, base, content);
        }
    }

    pub(super) fn message(
        &mut self,
        source: Source,
        from: &Name,
        id: MessageId,
        base: u64,
        content: Content<'_>,
    ) {
        if !self.session.takes_part() {
            return; // Offline: the sender's next way is the server, which keeps it.
        }
        let stored_at = match source {
            Source::Peer(_) => None,
            Source::Server(stored_at) => Some(stored_at),
        };
        let group = content.1;
        let text = String::from_utf8_lossy(content.0).into_owned();
        let key = StreamKey { from: from.clone(), stream: id.stream };
        let next = self.record.shown.next(&key);
        if next.is_some_and(|next| id.seq < next) && self.plant.has(Bug::ShowsCopies) {
            let (from, text, group) = (from.clone(), text.clone(), group.clone());
            let again = false;
            let event = Event::Message { id, from, text, stored_at, group, again };
            self.journal.event_durably(event);
        }
        if self.room == Room::Low && next.is_none_or(|next| id.seq >= next) {
            // What cannot be kept is not taken: it stays where it is, and comes again.
            if !std::mem::replace(&mut self.full_told, true) {
                self.problem(Problem::DiskFullForMessages);
            }
            return;
        }
        let is_early = id.seq > next.unwrap_or(base).max(base);
        let base = if is_early && self.plant.has(Bug::HighestOnly) { id.seq } else { base };
        let (time, incoming) = (self.now.time, Incoming { text, stored_at, group });
        match self.holding.offer(time, next, &key, id.seq, base, incoming) {
            Arrival::Early if self.plant.has(Bug::AcksHeld) => {
                return self.acknowledge(source, from, id);
            }
            Arrival::Early => return,
            Arrival::Old if self.plant.has(Bug::CopyNotAcked) => return,
            Arrival::Old => {}
            Arrival::Ready(messages) => {
                for (seq, incoming) in messages {
                    self.show(&key, seq, incoming);
                }
            }
        }
        let Some(next) = self.record.shown.next(&key) else { return };
        self.acknowledge(source, from, MessageId { stream: id.stream, seq: next - 1 });
    }

    /// Remembers a message, then shows it, then remembers that it was shown.
    fn show(&mut self, key: &StreamKey, seq: u64, incoming: Incoming) {
        let Incoming { text, stored_at, group } = incoming;
        let (with, at, id) =
            (key.from.clone(), self.now.wall, MessageId { stream: key.stream, seq });
        let course = Course::In { stored_at };
        let line = Line { with, at, id, text: text.clone(), group: group.clone(), course };
        let number = self.keep_line(line);
        if let Some(key) = self.record.shown.in_the_way_of(key).cloned() {
            self.change(Change::Forgotten { key });
        }
        let used = self.record.shown.next_use();
        self.change(Change::Shown { key: key.clone(), next: seq + 1, used });
        let (from, again) = (key.from.clone(), false);
        self.journal.event_durably(Event::Message { id, from, text, stored_at, group, again });
        self.displays(number);
    }

    fn acknowledge(&mut self, source: Source, from: &Name, MessageId { stream, seq }: MessageId) {
        match (source, self.session.id()) {
            (Source::Peer(path), _) => self.send(path, &Packet::Ack { stream, seq }, b"", 1),
            (Source::Server(_), Some(session)) => {
                let from = from.clone();
                self.send_to_server(&Packet::Shown { session, from, stream, seq }, b"", 1);
            }
            (Source::Server(_), None) => {}
        }
    }

    /// A peer asks whether it is heard.
    pub(super) fn knocked(&mut self, from: Path, nonce: Nonce) {
        if self.session.takes_part() && self.roster.at(from.remote).is_some() {
            self.send(from, &Packet::KnockAnswer { nonce }, b"", 1);
        }
    }
}
