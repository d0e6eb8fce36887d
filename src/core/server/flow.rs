//! What follows from what: where the parts of the server meet, and nowhere else.
//!
//! No part knows another one. Each says what comes of what it did ([`Next`]), or is asked; here
//! that is carried on to those whom it concerns, in the order in which it is to be said.

use super::contender::Contender;
use super::mail::{self, Request, Save};
use super::next::Next;
use super::presence::Granted;
use super::{Change, GoneReason, Server, expiry, names};
use crate::mutation::{Mutation, Mutations};
use crate::protocol::{MessageId, Name, Packet, StreamKey};

impl<M: Mutations> Server<M> {
    pub(super) fn follow(&mut self, next: Option<Next>) {
        match next {
            None => {}
            Some(Next::Grant(contender)) => self.grant(contender),
            Some(Next::End { name, reason }) => self.end_session(&name, reason),
            Some(Next::Silent { name, contender }) => {
                self.end_session(&name, GoneReason::Silent);
                self.follow(contender.map(Next::Grant));
            }
            Some(Next::HandOver(reader)) => self.hand_over(&reader),
            Some(Next::Shown { reader, key, seq }) => self.shown(&reader, &key, seq),
            Some(Next::Sent(messages)) => self.receipts_too_early(messages),
        }
    }

    fn grant(&mut self, contender: Contender) {
        if let Some(other) = self.presence.displaced_by(&contender).cloned() {
            self.end_session(&other, GoneReason::Replaced);
        }
        let name = contender.name.clone();
        mail::wipe(&mut self.cx, &name);
        let Granted { before, knows_session } = self.presence.grant(&mut self.cx, &contender);
        names::see(&mut self.cx, &name);
        if before.is_some() {
            self.mail.left(&mut self.cx, &name);
        }
        if knows_session {
            self.confirm(&name);
        }
        self.presence.keep_old_address(&self.cx, &name, before);
        self.presence.tell_everyone(&mut self.cx);
    }

    /// A client knows its session: bring it up to date.
    pub(super) fn confirm(&mut self, name: &Name) {
        if self.presence.confirm(name) {
            self.presence.sync_table(&mut self.cx, name);
            self.hand_over(name);
            self.tell_more(name);
        }
    }

    pub(super) fn end_session(&mut self, name: &Name, reason: GoneReason) {
        if self.presence.end(&mut self.cx, name, reason) {
            self.mail.left(&mut self.cx, name);
        }
    }

    /// A registered client wants a message kept.
    pub(super) fn ask_to_save(&mut self, request: Request) {
        if self.mail.ask(request) {
            self.save_first();
        }
    }

    /// Carries out the first request to store a message that waits. Whether there was one.
    pub(super) fn save_first(&mut self) -> bool {
        let Some(request) = self.mail.next_request() else { return false };
        let doubtful = request.unreachable.then(|| request.save.to.clone());
        self.cx.go_back_to(request.came);
        self.save(request);
        self.cx.answer_to(None);
        if let Some(doubtful) = doubtful {
            let next = self.presence.probe(&mut self.cx, &doubtful, None);
            self.follow(next);
        }
        self.cx.come_back();
        true
    }

    fn save(&mut self, request: Request) {
        let (from, id) = (request.from, request.id);
        let key = StreamKey { from: request.sender.clone(), stream: id.stream };
        let mut last = None;
        for (seq, save) in self.mail.offer(&mut self.cx, &key, request) {
            // Of the one that has just arrived it was asked before any of these was stored.
            let is_asked = seq == id.seq && last.is_none();
            if !mail::takes(&self.cx, &key, &save, is_asked) {
                break;
            }
            self.store(&key.from, MessageId { seq, ..id }, save);
            last = Some(seq);
        }
        if let Some(seq) = last {
            self.mail.acknowledge(&mut self.cx, from, MessageId { seq, ..id });
        }
    }

    pub(super) fn store(&mut self, from: &Name, id: MessageId, save: Save) {
        let key = StreamKey { from: from.clone(), stream: id.stream };
        if let Some(sender) = self.mail.make_room(&mut self.cx, &key) {
            self.tell_more(&sender);
        }
        self.mail.store(&mut self.cx, from, id, save);
    }

    /// A commit has ended: what waited for it goes on.
    pub(super) fn go_on(&mut self) {
        for reader in self.mail.committed(&mut self.cx) {
            self.hand_over(&reader);
        }
    }

    pub(super) fn hand_over(&mut self, reader: &Name) {
        let first_undurable = self.mail.first_undurable();
        let next = self.presence.hand_over(&mut self.cx, reader, first_undurable);
        self.follow(next);
    }

    /// What [`Mutation::ReceiptAtHandOver`] does.
    fn receipts_too_early(&mut self, messages: Vec<(StreamKey, u64)>) {
        for (key, seq) in messages {
            let Some(path) = self.presence.path_of(&key.from) else { continue };
            if self.cx.has(Mutation::ReceiptAtHandOver) {
                // Too early, which is the bug.
                self.cx.send_now(path, &Packet::HandedOver { stream: key.stream, seq }, 1);
            }
        }
    }

    /// A reader has seen everything of a stream up to a place.
    pub(super) fn shown(&mut self, reader: &Name, key: &StreamKey, seq: u64) {
        if let Some(seq) = self.mail.shown(&mut self.cx, reader, key, seq) {
            self.presence.settled(&self.cx, reader, key, seq);
            self.tell_news(key);
            self.hand_over(reader);
        }
    }

    /// Ends the keeping of messages that are too old.
    pub(super) fn expire_mail(&mut self) {
        let is_here = |name: &Name| self.presence.is_confirmed(name);
        let Some(old) = expiry::look(&mut self.cx, is_here) else { return };
        for (key, (seq, reader)) in old.streams {
            self.mail.expire(&mut self.cx, reader, &key, seq);
            self.tell_news(&key);
        }
        expiry::go_on(&mut self.cx, old.more);
    }

    /// Notes who is here, and lets go of names that nobody comes back for.
    pub(super) fn look_at_names(&mut self) {
        for name in self.presence.here() {
            names::see(&mut self.cx, name);
        }
        for name in names::look(&mut self.cx, |name| self.presence.remote_of(name).is_some()) {
            self.groups.forget(&mut self.cx, &name);
            self.presence.forget(&name);
            self.cx.change(Change::NameForgotten { name });
        }
    }

    fn tell_news(&mut self, key: &StreamKey) {
        self.mail.tell_news(&mut self.cx, key, self.presence.ear(&key.from));
    }

    /// Tells a sender that is here what became of a stream.
    pub(super) fn tell(&mut self, key: &StreamKey) {
        self.mail.tell(&mut self.cx, key, self.presence.ear(&key.from));
    }

    fn tell_more(&mut self, name: &Name) {
        self.mail.tell_more(&mut self.cx, name, self.presence.ear(name));
    }

    /// A sender knows what became of a stream up to a place.
    pub(super) fn told(&mut self, key: &StreamKey, seq: u64) {
        self.mail.told(&mut self.cx, key, seq, self.presence.ear(&key.from));
    }
}
