//! The server's edge towards clients of the original's dialect: guests.
//!
//! Translates their requests into what parts of the server do, and what comes of it into their
//! datagrams. What is known of a guest is in [`super::session::guest`].

use super::contender::Contender;
use super::mail::{self, Save};
use super::session::guest::{self, Guest, Saving};
use super::{Account, Event, GoneReason, Guests, Server};
use crate::machine::{Path, Socket};
use crate::mutation::{Mutation, Mutations};
use crate::original::{self, Owed, Request, Word};
use crate::protocol::limits::TEXT_MAX;
use crate::protocol::{MessageId, Name, Nonce, NotSaved, PacketKind, TableEntry};

impl<M: Mutations> Server<M> {
    pub(super) fn handle_original(&mut self, socket: Socket, from: Path, bytes: &[u8]) {
        match (socket, original::decode(bytes)) {
            // Counted and no more: whoever is shut out fills no log.
            _ if !self.is_served(from) => self.cx.counters.dropped.unwanted += 1,
            (_, None) => self.cx.counters.dropped.damaged += 1,
            (Socket::Second, Some(Word::Ack)) => self.guest_acked(from),
            (Socket::Main, Some(Word::Text(text))) => match original::request(&text) {
                Some(Request::Register(name)) => self.guest_registers(from, name),
                Some(Request::Fetch(name)) => self.guest_fetches(from, name),
                Some(Request::Deregister(name)) => self.guest_leaves(from, name),
                Some(Request::Save { to, text, .. }) => self.guest_saves(from, to, text, bytes),
                None => {
                    if self.guest_at(from).is_some() {
                        guest::acknowledge(&mut self.cx, from, PacketKind::Pong);
                    }
                }
            },
            // Nobody answers an ACK, or what no client sends.
            (Socket::Main, Some(Word::Ack | Word::Table(_)))
            | (Socket::Second, Some(Word::Text(_) | Word::Table(_))) => {
                self.cx.counters.dropped.unwanted += 1;
            }
        }
    }

    fn is_served(&self, from: Path) -> bool {
        let served = self.cx.config().original;
        served.include(from.remote)
            || served == Guests::Loopback && self.cx.has(Mutation::ServesGuestsAnywhere)
    }

    /// The registered guest at an address, which has just been heard of. One that has not shown
    /// that it is there is as good as a stranger.
    fn guest_at(&mut self, from: Path) -> Option<Name> {
        let name = self.presence.guest_at(from.remote)?.clone();
        self.presence.guest(&name).filter(|guest| guest.is_proven())?;
        self.presence.renew(&self.cx, &name, from);
        Some(name)
    }

    fn guest_registers(&mut self, from: Path, word: &str) {
        let Ok(name) = word.parse::<Name>() else {
            let text = "[Names are a-z, 0-9, _ and -]\n";
            return guest::tell(&mut self.cx, from, PacketKind::Refused, text);
        };
        if self.guest_at(from).is_some_and(|present| present == name) {
            guest::acknowledge(&mut self.cx, from, PacketKind::Registered);
            self.presence.sync_table(&mut self.cx, &name);
            return self.hand_over(&name);
        }
        let there = self.presence.guest_at(from.remote);
        let there = there.and_then(|there| self.presence.guest(there));
        let is_proven = there.is_some_and(Guest::is_proven);
        let owed = there.map(Guest::owed).unwrap_or_default();
        if is_proven || self.cx.has(Mutation::TakesGuestsUnproven) {
            return self.take_in(name, from, owed);
        }
        match self.unproven.wants(self.cx.now(), from, &name, owed) {
            Some(wish) => self.take_in(wish.name, wish.path, wish.owed),
            None => guest::ask(&mut self.cx, from),
        }
    }

    /// Somebody wants a name who is where they say.
    fn take_in(&mut self, name: Name, path: Path, owed: Owed) {
        let account = Account::of_guest_at(path.remote);
        let contender = Contender { name, path, account, nonce: Nonce::default(), owed };
        let next = self.presence.register(&mut self.cx, contender);
        self.follow(next);
        if self.presence.guest_at(path.remote).is_some() {
            self.unproven.take(path.remote);
        }
    }

    fn guest_leaves(&mut self, from: Path, word: &str) {
        let Ok(name) = word.parse::<Name>() else { return };
        let is_own = self.guest_at(from).is_some_and(|present| present == name);
        let holder = self.presence.remote_of(&name);
        let ends_ours = || holder == Some(from.remote) && self.cx.has(Mutation::GuestEndsOurs);
        if holder.is_some() && !is_own && !ends_ours() {
            return; // Not this guest's name to give up.
        }
        // Whoever is away already is told so again: the answer was lost. The own row is all that
        // matters to somebody offline, and no more than a stranger's request should earn.
        guest::acknowledge(&mut self.cx, from, PacketKind::Deregistered);
        if self.presence.guest_at(from.remote).is_some_and(|present| *present != name) {
            return; // A table without its own name would end that guest.
        }
        let own = TableEntry { name: name.clone(), addr: None, original: true };
        let table = original::table(&name, [&own].into_iter());
        guest::send(&mut self.cx, Socket::Main, from, PacketKind::Table, table);
        if holder.is_some() {
            self.end_session(&name, GoneReason::Deregistered);
        }
    }

    fn guest_fetches(&mut self, from: Path, word: &str) {
        let Some(name) = self.guest_at(from).filter(|name| word.parse().as_ref() == Ok(name))
        else {
            return;
        };
        guest::acknowledge(&mut self.cx, from, PacketKind::Pong);
        if self.cx.record().mailbox(&name).is_some() {
            self.hand_over(&name);
            return;
        }
        // Whoever has just been handed some would be surprised to read that there are none.
        if self.presence.guest_mut(&name).is_some_and(|guest| !guest.had_mail()) {
            guest::tell(&mut self.cx, from, PacketKind::Deliver, "[No new messages]\n");
        }
    }

    fn guest_saves(&mut self, from: Path, to: &str, text: &str, bytes: &[u8]) {
        let Some(sender) = self.guest_at(from) else { return };
        let Some(guest) = self.presence.guest_mut(&sender) else { return };
        let saving = guest.saves(self.cx.now(), bytes);
        self.cx.counters.duplicates += u64::from(saving != Saving::New);
        match saving {
            Saving::New => {}
            Saving::Again => return guest::acknowledge(&mut self.cx, from, PacketKind::Saved),
            // It has been told why; an acknowledgement would be a lie.
            Saving::RefusedAgain => return,
        }
        let Ok(to) = to.parse::<Name>() else {
            return self.refuse_save(&sender, from, "[Not saved: no such user]\n");
        };
        // A stream without the sender's numbers: its place is the next one, whatever it is.
        let key = guest::stream_to(&mut self.cx, &sender, &to);
        let seq = self.cx.record().stream(&key).map_or(1, |progress| progress.next);
        let save = Save { to: to.clone(), body: text.as_bytes().to_vec(), group: None };
        let objection = match mail::objection(&self.cx, &key, &save) {
            None if text.len() > TEXT_MAX => Some(NotSaved::BadText),
            objection => objection,
        };
        let refusal = match objection {
            None => {
                self.store(&sender, MessageId { stream: key.stream, seq }, save);
                guest::acknowledge(&mut self.cx, from, PacketKind::Saved);
                // Whether one of ours is there is asked for nobody who has no keys.
                let is_guest = self.presence.guest(&to).is_some();
                if is_guest || self.cx.has(Mutation::GuestQuestionsOurs) {
                    let next = self.presence.probe(&mut self.cx, &to, None);
                    self.follow(next);
                }
                return;
            }
            Some(NotSaved::UnknownName) => format!("[Not saved: {to} is not known]\n"),
            Some(NotSaved::MailboxFull) => format!("[Not saved: the mailbox of {to} is full]\n"),
            Some(NotSaved::ShareFull) => format!("[Not saved: too many of yours wait for {to}]\n"),
            Some(NotSaved::SenderFull) => "[Not saved: too many of yours are kept]\n".to_owned(),
            Some(NotSaved::ServerFull) => "[Not saved: the server keeps too many]\n".to_owned(),
            Some(NotSaved::DiskFull) => "[Not saved: the server's disk is full]\n".to_owned(),
            Some(NotSaved::BadText) => format!("[Not saved: 1 to {TEXT_MAX} bytes of text]\n"),
        };
        self.refuse_save(&sender, from, &refusal);
    }

    fn refuse_save(&mut self, sender: &Name, from: Path, why: &str) {
        if let Some(guest) = self.presence.guest_mut(sender) {
            guest.refused();
        }
        self.cx.counters.dropped.refused += 1;
        guest::tell(&mut self.cx, from, PacketKind::NotSaved, why);
    }

    /// Whatever was sent last from the second socket has arrived.
    fn guest_acked(&mut self, from: Path) {
        if let Some(wish) = self.unproven.acked(self.cx.now(), from.remote) {
            return self.take_in(wish.name, wish.path, wish.owed);
        }
        let Some(name) = self.presence.guest_at(from.remote).cloned() else { return };
        self.presence.renew(&self.cx, &name, from);
        let next = self.presence.guest_acked(&mut self.cx, &name);
        self.follow(next);
    }

    /// The guests that an earlier life of this server knew: they will not register again.
    pub(super) fn restore_guests(&mut self) {
        let served = self.cx.config().original;
        let accounts = self.cx.record().accounts.iter();
        let guests: Vec<_> = accounts
            .filter_map(|(name, account)| Some((name.clone(), account.original?)))
            .filter(|(_, addr)| served.include(*addr))
            .collect();
        for (name, addr) in guests {
            // Which address of this machine it knows is told again when it speaks.
            self.presence.restore(&mut self.cx, &name, addr.into());
            self.confirm(&name);
            let (back, original) = (true, true);
            self.cx.report(Event::Registered { name, addr, back, original });
        }
    }
}
