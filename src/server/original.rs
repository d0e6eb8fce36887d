//! The server's edge towards clients of the original's dialect: what they ask for.
//!
//! Translates their requests into the server's operations. Weaker promises, because the dialect
//! has no ids and acknowledges "whatever you sent last": docs/protocol.md, "The original's
//! dialect". What the server sends them by itself is in [`super::guest`].

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use siphasher::sip::SipHasher24;

use super::mail::Save;
use super::{Account, GoneReason, Original, Server};
use crate::machine::{Identity, Socket, Transmit};
use crate::original::{self, Request, Word};
use crate::plant::Plant;
use crate::protocol::limits::TEXT_MAX;
use crate::protocol::{MessageId, Name, NotSaved, PacketKind, Refusal, StreamId, Token};
use crate::time::Now;

impl<P: Plant> Server<P> {
    pub(super) fn handle_original(
        &mut self,
        now: Now,
        socket: Socket,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        match (socket, original::decode(bytes)) {
            _ if !self.config.original => {}
            (_, None) => self.invalid_datagrams += 1,
            (Socket::Second, Some(Word::Ack)) => self.guest_acked(now, from),
            (Socket::Main, Some(Word::Text(text))) => match original::request(&text) {
                Some(Request::Register(name)) => self.guest_registers(now, from, name),
                Some(Request::Fetch(name)) => self.guest_fetches(now, from, name),
                Some(Request::Deregister(name)) => self.guest_leaves(now, from, name),
                Some(Request::Save { to, text, .. }) => {
                    self.guest_saves(now, from, to, text, bytes);
                }
                None => {
                    if self.guest_at(now, from).is_some() {
                        self.send_to_guest(Socket::Main, from, PacketKind::Pong, original::ack());
                    }
                }
            },
            // Nobody answers an ACK, or what no client sends.
            _ => {}
        }
    }

    pub(super) fn send_to_guest(
        &mut self,
        socket: Socket,
        to: SocketAddr,
        kind: PacketKind,
        bytes: Vec<u8>,
    ) {
        let identity = Identity { kind, message: None, attempt: 1 };
        self.journal.transmit_durably(Transmit { socket, to, bytes, identity });
    }

    fn tell_guest(&mut self, to: SocketAddr, kind: PacketKind, text: &str) {
        self.send_to_guest(Socket::Main, to, kind, original::text(text));
    }

    /// The registered guest at an address, which has just been heard of.
    pub(super) fn guest_at(&mut self, now: Now, from: SocketAddr) -> Option<Name> {
        let name = self.guests.get(&from)?.clone();
        let session = self.sessions.get_mut(&name)?;
        session.heard = now.time;
        session.guest.as_mut()?.has_spoken();
        Some(name)
    }

    fn guest_registers(&mut self, now: Now, from: SocketAddr, word: &str) {
        let Ok(name) = word.parse::<Name>() else {
            return self.tell_guest(from, PacketKind::Refused, "[Names are a-z, 0-9, _ and -]\n");
        };
        if self.guest_at(now, from).is_some_and(|present| present == name) {
            self.send_to_guest(Socket::Main, from, PacketKind::Registered, original::ack());
            self.sync_guest_table(now, &name);
            return self.hand_over(now, &name);
        }
        if let Some(other) = self.guests.get(&from).cloned() {
            self.end_session(now, &other, GoneReason::Replaced);
        }
        let token = Token(hash(&from));
        let known = self.record.accounts.get(&name).filter(|known| known.token == token);
        let registration = known.map_or(0, |known| known.registration) + 1;
        let original = Some(Original { addr: from, proven: false });
        let account = Account { token, registration, original };
        self.register(now, from, name, account);
    }

    pub(super) fn refuse_guest(&mut self, addr: SocketAddr, name: &Name, reason: Refusal) {
        let text = match reason {
            Refusal::NameInUse => format!("[Username {name} already in use.]\n"),
            Refusal::ServerFull => "[The server knows too many names.]\n".to_owned(),
        };
        self.tell_guest(addr, PacketKind::Refused, &text);
    }

    fn guest_leaves(&mut self, now: Now, from: SocketAddr, word: &str) {
        let Ok(name) = word.parse::<Name>() else { return };
        let holder = self.sessions.get(&name).map(|session| session.addr);
        if holder.is_some_and(|addr| addr != from) {
            return; // Not this guest's name to give up.
        }
        // Whoever is away already is told so again: its acknowledgement was lost.
        self.send_to_guest(Socket::Main, from, PacketKind::Deregistered, original::ack());
        self.end_session(now, &name, GoneReason::Deregistered);
        if self.doorstep.has_just_left(now.time, from, &name) {
            let table = original::table(&name, self.table.entries());
            self.send_to_guest(Socket::Main, from, PacketKind::Table, table);
        }
    }

    fn guest_fetches(&mut self, now: Now, from: SocketAddr, word: &str) {
        let Some(name) = self.guest_at(now, from).filter(|name| word.parse().as_ref() == Ok(name))
        else {
            return;
        };
        self.send_to_guest(Socket::Main, from, PacketKind::Pong, original::ack());
        if self.record.mailboxes.contains_key(&name) {
            if let Some(guest) = self.sessions.get_mut(&name).and_then(|s| s.guest.as_mut()) {
                guest.asks_for_mail(now.time);
            }
            self.hand_over(now, &name);
        } else {
            self.tell_guest(from, PacketKind::Deliver, "[No new messages]\n");
        }
    }

    fn guest_saves(&mut self, now: Now, from: SocketAddr, to: &str, text: &str, bytes: &[u8]) {
        let Some(sender) = self.guest_at(now, from) else { return };
        let Some(guest) = self.sessions.get_mut(&sender).and_then(|s| s.guest.as_mut()) else {
            return;
        };
        if guest.repeats.is_repeat(now.time, bytes) {
            return self.send_to_guest(Socket::Main, from, PacketKind::Saved, original::ack());
        }
        let Ok(to) = to.parse::<Name>() else {
            return self.tell_guest(from, PacketKind::NotSaved, "[Not saved: no such user]\n");
        };
        // A stream without the sender's numbers: its place is the next one, whatever it is.
        let stream = StreamId(hash(&(self.record.store.0, fold(&sender), fold(&to))));
        let seq = self.record.streams.get(&stream).map_or(1, |progress| progress.next);
        let save = Save { to: to.clone(), body: text.as_bytes().to_vec() };
        let objection = match self.objection(stream, &save) {
            None if text.len() > TEXT_MAX => Some(NotSaved::BadText),
            objection => objection,
        };
        let refusal = match objection {
            None => {
                self.store(now, &sender, MessageId { stream, seq }, save);
                self.send_to_guest(Socket::Main, from, PacketKind::Saved, original::ack());
                return self.probe(now, &to, None);
            }
            Some(NotSaved::UnknownName) => format!("[Not saved: {to} is not known]\n"),
            Some(NotSaved::MailboxFull) => format!("[Not saved: the mailbox of {to} is full]\n"),
            Some(NotSaved::BadText) => format!("[Not saved: 1 to {TEXT_MAX} bytes of text]\n"),
        };
        self.tell_guest(from, PacketKind::NotSaved, &refusal);
    }
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    // Unkeyed on purpose: the same over restarts. Nothing in this dialect is secret anyway.
    let mut hasher = SipHasher24::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn fold(name: &Name) -> String {
    name.as_str().to_ascii_lowercase()
}
