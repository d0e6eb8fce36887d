//! Whom a packet is for: each goes to the part of the client that waits for it.
//!
//! Knows the packets, and nothing of what the parts do with them.

use std::net::SocketAddr;

use super::inbox::Source;
use super::outcomes::End;
use super::roster::Part;
use super::session::Phase;
use super::{Client, Event};
use crate::machine::Path;
use crate::plant::Plant;
use crate::protocol::envelope::Stamps;
use crate::protocol::{MessageId, Name, Packet};
use crate::time::{Now, whole_ms};

impl<P: Plant> Client<P> {
    pub(super) fn handle_server_packet(&mut self, now: Now, packet: Packet, body: &[u8]) {
        let own = self.session.id();
        match packet {
            Packet::Wait { registration } => self.told_to_wait(now, registration),
            Packet::Registered { registration, session, store, back }
                if registration == self.record.registrations =>
            {
                if matches!(self.session.phase, Phase::Offline | Phase::Withdrawing { .. }) {
                    return self.give_back(now, session);
                }
                self.registered(now, session, store, back);
                self.arrived(now);
            }
            Packet::Refused { registration, reason }
                if registration == self.record.registrations =>
            {
                self.refused(now, reason);
                self.go_on(now);
            }
            Packet::Pong { session } if own == Some(session) => self.ping_answered(now),
            Packet::Unknown { session } => {
                self.unknown(now, session);
                self.departed(now);
            }
            Packet::Deregistered { session } => {
                self.deregistered(session);
                self.departed(now);
            }
            Packet::Probe { nonce } => {
                if let Some(session) = own {
                    self.send_to_server(&Packet::Alive { session, nonce }, b"", 1);
                }
            }
            Packet::Table { session, table, from, to, latest, entries } if own == Some(session) => {
                self.table_part(now, Part { table, from, to, latest, entries });
            }
            Packet::Deliver { session, from, stream, seq, base, stored_at, group }
                if own == Some(session) =>
            {
                let id = MessageId { stream, seq };
                self.message(Source::Server(stored_at), &from, id, base, (body, group));
            }
            Packet::Saved { store, messages } => {
                messages.into_iter().for_each(|id| self.saved(now, store, id));
            }
            Packet::NotSaved { stream, seq, reason } => {
                self.not_saved(now, MessageId { stream, seq }, reason);
            }
            Packet::HandedOver { stream, seq } => {
                self.kept_no_more(
                    now,
                    MessageId { stream, seq },
                    End::Received { over_server: true },
                );
            }
            Packet::Expired { stream, seq } => {
                self.kept_no_more(now, MessageId { stream, seq }, End::Expired);
            }
            Packet::GroupAnswer { session, request, answer } if own == Some(session) => {
                self.group_answered(now, request, answer);
            }
            // Our own word: whoever is there says everything again.
            Packet::Ping { .. } => self.heard_nonsense(now, self.whereabouts.server()),
            // Not from a server, or of a session that is over.
            _ => {}
        }
    }

    /// Learns from an answer how long the way there and back takes, and that somebody is there.
    pub(super) fn measure(&mut self, now: Now, from: SocketAddr, packet: &Packet, stamps: Stamps) {
        let took = stamps.round_trip(whole_ms(now.time.since_start()));
        let measured = packet.kind().measures().zip(took);
        if from == self.whereabouts.server() {
            if let Some((trip, took)) = measured {
                self.session.measured(trip, took);
            }
        } else if let Some(peer) = self.roster.at(from)
            && let Some(lane) = self.lanes.get_mut(&peer.name)
        {
            lane.heard(now.time, measured.map(|(_, took)| took));
        }
    }

    /// Whether a packet is for nobody but this client, as nobody but its server knows.
    pub(super) fn is_of_own_session(&self, packet: &Packet) -> bool {
        match packet {
            Packet::Pong { session } | Packet::Table { session, .. } => {
                self.session.id() == Some(*session)
            }
            _ => false,
        }
    }

    pub(super) fn drain_loopback(&mut self, now: Now) {
        while let Some(packet) = self.loopback.pop_front() {
            self.handle_server_packet(now, packet, b"");
        }
    }

    pub(super) fn handle_peer_packet(&mut self, now: Now, path: Path, packet: Packet, body: &[u8]) {
        let from = path.remote;
        match packet {
            Packet::Message { from: name, to, stream, seq, base, group }
                if to == self.config.name =>
            {
                let id = MessageId { stream, seq };
                self.message_from_peer(path, &name, id, base, (body, group));
            }
            Packet::Ack { stream, seq } => self.acknowledged(now, from, MessageId { stream, seq }),
            Packet::Knock { nonce } => self.knocked(path, nonce),
            Packet::KnockAnswer { nonce } => self.knock_answered(now, from, nonce),
            // Not from a peer, or for whoever was here before.
            _ => {}
        }
    }

    pub(super) fn table_part(&mut self, now: Now, part: Part) {
        let changed: Vec<Name> = part.entries.iter().map(|entry| entry.name.clone()).collect();
        let applied = self.roster.apply(part);
        self.acknowledge_table();
        if !applied {
            return;
        }
        self.originals.forget_absent(&self.roster);
        if self.roster.is_whole() {
            let listing = self.roster.listing();
            if self.listed.as_ref() != Some(&listing) {
                self.listed = Some(listing.clone());
                self.journal.event_durably(Event::Table(listing));
            }
            // Some may have waited for the whole of it.
            let names: Vec<Name> = self.lanes.keys().cloned().collect();
            for name in names {
                self.pump(now, &name);
            }
        }
        for name in changed {
            self.resume_lane(now, &name);
        }
        self.arrived(now);
    }

    pub(super) fn acknowledge_table(&mut self) {
        if let Some(session) = self.session.id() {
            let (table, version) = self.roster.position();
            self.send_to_server(&Packet::TableAck { session, table, version }, b"", 1);
        }
    }
}
