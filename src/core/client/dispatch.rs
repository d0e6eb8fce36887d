//! Whom a packet is for: each goes to the part of the client that waits for it.
//!
//! Knows the packets, and nothing of what the parts do with them.

use std::net::SocketAddr;

use super::Client;
use super::directory::Part;
use super::inbox::Incoming;
use super::original::{AskedPeer, Fetched, Progress};
use super::outbox::End;
use super::session::{Dialect, Foreign};
use super::wire::Dispatch;
use crate::machine::Path;
use crate::mutation::{Mutation, Mutations};
use crate::original::{self, Word};
use crate::protocol::envelope::Stamps;
use crate::protocol::{
    Audience, Cookie, GroupTag, MessageId, Name, Nonce, Packet, SessionId, StoreId, ToClient,
    ToPeer, ToServer,
};
use crate::time::{WallTime, whole_ms};

/// What the server's word belongs to, as far as it says so.
#[derive(Clone, Copy, Debug)]
enum PartOf {
    Registration { registration: u64, nonce: Nonce },
    Session(SessionId),
    Store(StoreId),
    Nothing,
}

/// Where a message comes from, and so where its acknowledgement goes.
#[derive(Clone, Copy, Debug)]
enum Source {
    Peer(Path),
    Server(WallTime),
}

impl PartOf {
    const fn of(packet: &ToClient) -> Self {
        match *packet {
            ToClient::Wait { registration, nonce }
            | ToClient::Registered { registration, nonce, .. }
            | ToClient::Refused { registration, nonce, .. }
            | ToClient::Behind { registration, nonce, .. } => {
                Self::Registration { registration, nonce }
            }
            ToClient::Pong { session }
            | ToClient::Table { session, .. }
            | ToClient::Deliver { session, .. }
            | ToClient::GroupAnswer { session, .. } => Self::Session(session),
            ToClient::Saved { store, .. } => Self::Store(store),
            ToClient::Challenge { .. }
            | ToClient::Unknown { .. }
            | ToClient::Deregistered { .. }
            | ToClient::Probe { .. }
            | ToClient::NotSaved { .. }
            | ToClient::HandedOver { .. }
            | ToClient::Expired { .. } => Self::Nothing,
        }
    }
}

impl<M: Mutations> Client<M> {
    pub(super) fn handle_packet(&mut self, path: Path, packet: Packet, body: &[u8]) {
        let from = path.remote;
        let is_from_server = from == self.session.server();
        match packet.into_audience() {
            Audience::Client(ToClient::Challenge { nonce, cookie }) => {
                self.challenged(from, nonce, cookie);
            }
            Audience::Client(packet) if is_from_server => {
                match PartOf::of(&packet) {
                    // For nobody but this client, as nobody but its server knows.
                    PartOf::Session(session) if self.session.id() == Some(session) => {
                        self.wire.note_local(path.local);
                    }
                    // Whoever has not seen its hello cannot answer a registration.
                    PartOf::Registration { nonce, .. }
                        if !self.session.is_invited_by(&self.context, nonce) =>
                    {
                        return;
                    }
                    PartOf::Registration { .. }
                    | PartOf::Session(_)
                    | PartOf::Store(_)
                    | PartOf::Nothing => {}
                }
                self.handle_server_packet(packet, body);
            }
            // Our own word: whoever is there says everything again.
            Audience::Server(ToServer::Ping { .. }) if is_from_server => {
                self.session.heard_nonsense(&mut self.context, from, Foreign::Stranger);
            }
            Audience::Peer(packet) if !is_from_server => {
                self.handle_peer_packet(path, packet, body);
            }
            Audience::Client(_) | Audience::Server(_) | Audience::Peer(_) => {}
        }
    }

    fn challenged(&mut self, from: SocketAddr, nonce: Nonce, cookie: Cookie) {
        if from == self.session.server() {
            if self.context.has(Mutation::ChallengeDecidesDialect) {
                self.originals.forget_server();
            }
            self.outbox.size_passes(nonce);
        }
        if self.session.accept_challenge(self.context.time(), from, nonce) {
            // Wherever another was, this one speaks ours.
            self.originals.forget_server();
            self.hello_answered(from, cookie);
        }
    }

    pub(super) fn handle_server_packet(&mut self, packet: ToClient, body: &[u8]) {
        if !self.is_current(PartOf::of(&packet)) {
            return;
        }
        match packet {
            ToClient::Wait { .. } => self.session.told_to_wait(self.context.time()),
            ToClient::Registered { session, store, back, .. } => self.granted(session, store, back),
            ToClient::Refused { reason, .. } => self.refused(reason),
            ToClient::Behind { known, request, .. } => self.handle_behind(known, request),
            ToClient::Pong { .. } => self.ping_answered(),
            ToClient::Unknown { session } => self.session_unknown(session),
            ToClient::Deregistered { session } => {
                self.session.handle_deregistered(&mut self.context, session);
            }
            ToClient::Probe { nonce } => self.probed(nonce),
            ToClient::Table { table, from, to, latest, entries, .. } => {
                self.table_part(Part { table, from, to, latest, entries });
            }
            ToClient::Deliver { from, stream, seq, base, stored_at, group, .. } => {
                let id = MessageId { stream, seq };
                self.receive(Source::Server(stored_at), &from, (id, base), (body, group));
            }
            ToClient::Saved { messages, .. } => {
                for id in messages {
                    let to = self.outbox.saved(&self.context, id);
                    self.poll_queues(to);
                }
            }
            ToClient::NotSaved { stream, seq, reason } => {
                let id = MessageId { stream, seq };
                let to = self.outbox.not_saved(&mut self.context, id, reason);
                self.poll_queues(to);
            }
            ToClient::HandedOver { stream, seq } => {
                let end = End::Received { over_server: true };
                self.kept_no_more(MessageId { stream, seq }, end);
            }
            ToClient::Expired { stream, seq } => {
                self.kept_no_more(MessageId { stream, seq }, End::Expired);
            }
            ToClient::GroupAnswer { request, answer, .. } => self.group_answered(request, answer),
            // Handled whoever says it.
            ToClient::Challenge { .. } => {}
        }
    }

    /// Whether it is this registration, this session or this store.
    fn is_current(&self, part_of: PartOf) -> bool {
        match part_of {
            PartOf::Registration { registration, .. } => {
                registration == self.context.record().registrations
            }
            PartOf::Session(session) => self.session.id() == Some(session),
            PartOf::Store(store) => self.session.store() == Some(store),
            PartOf::Nothing => true,
        }
    }

    fn handle_peer_packet(&mut self, path: Path, packet: ToPeer, body: &[u8]) {
        let from = path.remote;
        match packet {
            ToPeer::Message { from: name, to, stream, seq, base, group }
                if to == self.context.config().name =>
            {
                // It counts only if the table knows this name at this address.
                let is_theirs = self.directory.get(&name).is_some_and(|it| it.addr == Some(from));
                if is_theirs || self.context.has(Mutation::BelievesSenders) {
                    let id = MessageId { stream, seq };
                    self.receive(Source::Peer(path), &name, (id, base), (body, group));
                }
            }
            ToPeer::Ack { stream, seq } => self.acknowledged(from, MessageId { stream, seq }),
            ToPeer::Knock { nonce } => {
                if self.session.takes_part() && self.directory.at(from).is_some() {
                    self.send(Dispatch::to_peer(path, Packet::KnockAnswer { nonce }, 1));
                }
            }
            ToPeer::KnockAnswer { nonce } => {
                let name = self.outbox.probe_answered(from, nonce);
                self.poll_queues(name);
            }
            // For whoever was here before.
            ToPeer::Message { .. } => {}
        }
    }

    /// Learns from an answer how long the way there and back takes, and that somebody is there.
    pub(super) fn measure(&mut self, from: SocketAddr, packet: &Packet, stamps: Stamps) {
        let now = self.context.time();
        let took = stamps.round_trip(whole_ms(now.since_start()));
        let measured = packet.kind().measures().zip(took);
        if from == self.session.server() {
            if let Some((trip, took)) = measured {
                self.session.measured(trip, took);
            }
        } else if let Some(peer) = self.directory.at(from) {
            self.outbox.heard(now, &peer.name, measured.map(|(_, took)| took));
        }
    }

    fn ping_answered(&mut self) {
        if self.session.ping_answered(&mut self.context) {
            self.resume();
        }
    }

    fn session_unknown(&mut self, session: SessionId) {
        let dialect = self.originals.dialect();
        let ask = self.session.handle_unknown(&mut self.context, dialect, session);
        self.send(ask);
    }

    /// The server asks whether this client is there.
    fn probed(&mut self, nonce: Nonce) {
        if let Some(session) = self.session.id() {
            self.send(Dispatch::to_server(Packet::Alive { session, nonce }, 1));
        }
    }

    /// A message comes: up to where it is shown, its sender or the server hears of it.
    fn receive(
        &mut self,
        source: Source,
        from: &Name,
        (id, base): (MessageId, u64),
        (body, group): (&[u8], Option<GroupTag>),
    ) {
        if !self.session.takes_part() {
            return; // Offline: the sender's next way is the server, which keeps it.
        }
        let stored_at = match source {
            Source::Peer(_) => None,
            Source::Server(stored_at) => Some(stored_at),
        };
        let text = String::from_utf8_lossy(body).into_owned();
        let incoming = Incoming { text, stored_at, group };
        let shown = self.inbox.receive(&mut self.context, from, id, base, incoming);
        let Some(MessageId { stream, seq }) = shown else { return };
        match (source, self.session.id()) {
            (Source::Peer(path), _) => {
                self.send(Dispatch::to_peer(path, Packet::Ack { stream, seq }, 1));
            }
            (Source::Server(_), Some(session)) => {
                let from = from.clone();
                let shown = Packet::Shown { session, from, stream, seq };
                self.send(Dispatch::to_server(shown, 1));
            }
            (Source::Server(_), None) => {}
        }
    }

    fn acknowledged(&mut self, from: SocketAddr, id: MessageId) {
        let dialect = self.originals.dialect();
        let to = self.outbox.acknowledged(&mut self.context, dialect, from, id);
        self.poll_queues(to);
    }

    /// The server says what has become of a message that it kept.
    fn kept_no_more(&mut self, id: MessageId, end: End) {
        let Some(session) = self.session.id() else { return };
        let dialect = self.originals.dialect();
        // Settled first: the server, once it hears that this is known, will not say it again.
        let to = self.outbox.kept_no_more(&mut self.context, dialect, id, end);
        self.poll_queues(to);
        let MessageId { stream, seq } = id;
        self.send(Dispatch::to_server(Packet::HandedOverAck { session, stream, seq }, 1));
    }

    /// Something comes in the original's dialect.
    pub(super) fn handle_original(&mut self, path: Path, bytes: &[u8]) {
        let from = path.remote;
        let Some(word) = original::decode(bytes) else {
            self.wire.count_invalid();
            return self.session.heard_nonsense(&mut self.context, from, Foreign::Stranger);
        };
        let is_asked = self.session.hellos_to(from) > 0;
        if is_asked || from == self.session.server() {
            match word {
                Word::Ack if is_asked => self.original_hello_acked(from),
                // Our hello, most likely: whoever is there says everything again.
                Word::Text(_) if self.originals.dialect() == Dialect::Own => {
                    self.session.heard_nonsense(&mut self.context, from, Foreign::Stranger);
                }
                _ if from != self.session.server() => {}
                Word::Ack => self.originals.server_acked(&self.context),
                Word::Table(rows) => {
                    let progress = Progress {
                        is_joining: self.session.is_joining(),
                        is_leaving: self.session.is_leaving(),
                        ever_registered: self.session.ever_registered(),
                        table: self.directory.position(),
                    };
                    self.originals.table(&self.context, progress, rows);
                }
                Word::Text(text) => self.original_fetched(text),
            }
        } else if let Some(peer) = self.directory.at(from).filter(|entry| entry.original) {
            let name = peer.name.clone();
            match word {
                Word::Ack => self.original_peer_acked(from),
                Word::Text(text) => self.original_peer_says((path, &name), &text, bytes),
                Word::Table(_) => {} // Only a server knows who is where.
            }
        }
    }

    fn original_hello_acked(&mut self, from: SocketAddr) {
        // Its ACK carries nothing of the hello: anybody can say it, whoever the server is.
        let is_allowed = self.context.config().original;
        if !is_allowed && !self.context.has(Mutation::AckDecidesDialect) {
            return self.session.heard_nonsense(&mut self.context, from, Foreign::Original);
        }
        let hellos = self.session.hellos_to(from);
        if from != self.session.server() {
            self.originals.forget_server();
        }
        self.originals.hello_acked(&mut self.context, hellos);
        self.hello_answered(from, Cookie::default());
    }

    fn original_fetched(&mut self, text: String) {
        for fetched in self.originals.fetched(self.context.time(), text) {
            let Fetched { from, stored_at, id, text } = fetched;
            let source = Source::Server(stored_at);
            self.receive(source, &from, (id, id.seq), (text.as_bytes(), None));
        }
    }

    fn original_peer_acked(&mut self, from: SocketAddr) {
        match self.originals.peer_acked(&mut self.context, from) {
            Some(AskedPeer::Message(id)) => self.acknowledged(from, id),
            Some(AskedPeer::Knock(nonce)) => {
                let name = self.outbox.probe_answered(from, nonce);
                self.poll_queues(name);
            }
            None => {}
        }
    }

    fn original_peer_says(&mut self, (path, name): (Path, &Name), text: &str, bytes: &[u8]) {
        let said = self.originals.peer_says(&mut self.context, (path, name), text, bytes);
        if let Some((id, text)) = said {
            self.receive(Source::Peer(path), name, (id, id.seq), (text.as_bytes(), None));
        }
    }
}
