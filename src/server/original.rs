//! The server's edge towards clients of the original's dialect: guests.
//!
//! Translates their requests into the server's operations and its packets into their datagrams.
//! Weaker promises, because the dialect has no ids and acknowledges "whatever you sent last":
//! docs/protocol.md, "The original's dialect". What must be acknowledged is sent from the second
//! socket, because an original client acknowledges everything but its server's texts.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::mail::Save;
use super::timing::{LEASE, RESEND_MIN};
use super::{Account, Event, GoneReason, Server, Timer};
use crate::machine::{Identity, Socket, Transmit};
use crate::original::{self, Repeats, Request, Word};
use crate::plant::Plant;
use crate::protocol::limits::TEXT_MAX;
use crate::protocol::{MessageId, Name, NotSaved, PacketKind, Refusal, StreamId, Token};
use crate::time::{Now, Time};

/// Between two questions whether a guest is still there.
const GUEST_PING: Duration = Duration::from_secs(5);

/// Before a guest's table is sent again: nobody acknowledges tables.
const TABLE_REPEAT: Duration = Duration::from_secs(1);

/// Transmissions of each state of a guest's table. One that is the same is not shown again.
const TABLE_COPIES: u32 = 3;

/// Between two tables of a guest at least, however fast the table changes and whatever is asked:
/// a forged request earns no more.
const TABLE_PAUSE: Duration = Duration::from_millis(250);

/// Transmissions of a stored message from the second socket before giving up.
const SECOND_ATTEMPTS: u32 = 5;

/// Transmissions from the main socket to a guest that the second one never reached. They are not
/// acknowledged, so all of them are shown.
const MAIN_ATTEMPTS: u32 = 3;

/// How long ago a guest must have spoken for the main socket to be worth anything.
const LATELY: Duration = Duration::from_secs(10);

/// What the server knows of a guest beyond its session.
#[derive(Debug, Default)]
pub(super) struct Guest {
    /// Whether it ever acknowledged anything on the second socket.
    hears_second: bool,
    /// The message on its way to it: one, for an acknowledgement names none.
    letter: Option<OnItsWay>,
    repeats: Repeats,
    table_sent_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct OnItsWay {
    id: MessageId,
    attempts: u32,
    next_at: Time,
}

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

    fn send_to_guest(&mut self, socket: Socket, to: SocketAddr, kind: PacketKind, bytes: Vec<u8>) {
        let identity = Identity { kind, message: None, attempt: 1 };
        self.journal.transmit_durably(Transmit { socket, to, bytes, identity });
    }

    fn tell_guest(&mut self, to: SocketAddr, kind: PacketKind, text: &str) {
        self.send_to_guest(Socket::Main, to, kind, original::text(text));
    }

    /// The registered guest at an address, which has just been heard of.
    fn guest_at(&mut self, now: Now, from: SocketAddr) -> Option<Name> {
        let name = self.guests.get(&from)?.clone();
        self.sessions.get_mut(&name)?.heard = now.time;
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
        let account = Account { token, registration, original: Some(from) };
        self.register(now, from, name, account);
    }

    /// A guest has its name.
    pub(super) fn welcome_guest(&mut self, now: Now, name: &Name, addr: SocketAddr) {
        self.send_to_guest(Socket::Main, addr, PacketKind::Registered, original::ack());
        self.welcome_back_guest(now, name, addr);
    }

    /// A guest has its name from an earlier life of this server.
    pub(super) fn welcome_back_guest(&mut self, now: Now, name: &Name, addr: SocketAddr) {
        self.guests.insert(addr, name.clone());
        if let Some(session) = self.sessions.get_mut(name) {
            session.guest = Some(Guest::default());
        }
        self.timers.set(Timer::Lease(name.clone()), now.time);
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
        if holder.is_some() {
            self.end_session(now, &name, GoneReason::Deregistered);
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

    /// Whatever was sent last from the second socket has arrived.
    fn guest_acked(&mut self, now: Now, from: SocketAddr) {
        let Some(name) = self.guest_at(now, from) else { return };
        let Some(session) = self.sessions.get_mut(&name) else { return };
        let nonce = session.probe_nonce();
        let Some(guest) = &mut session.guest else { return };
        guest.hears_second = true;
        let letter = guest.letter.take();
        if let Some(nonce) = nonce {
            self.probe_answered(&name, nonce);
        }
        if let Some(letter) = letter {
            self.shown(now, &name, letter.id);
        }
    }

    /// Asks a guest whether it is there, with what it acknowledges and does not show.
    pub(super) fn ping_guest(&mut self, to: SocketAddr) {
        let bytes = original::text(original::UNSEEN);
        self.send_to_guest(Socket::Second, to, PacketKind::Probe, bytes);
    }

    /// Whether a question to this client can be answered: a guest behind a NAT never hears one.
    pub(super) fn can_be_asked(&self, name: &Name) -> bool {
        let guest = self.sessions.get(name).and_then(|session| session.guest.as_ref());
        guest.is_none_or(|guest| guest.hears_second)
    }

    /// Renews a guest's lease by asking; ends it only if it ever answered.
    pub(super) fn check_guest_lease(&mut self, now: Now, name: &Name) {
        let Some(session) = self.sessions.get(name) else { return };
        let Some(guest) = &session.guest else { return };
        if guest.hears_second && session.heard + LEASE <= now.time {
            return self.end_session(now, name, GoneReason::LeaseExpired);
        }
        let addr = session.addr;
        // While a message is on its way, that one is the question.
        if guest.letter.is_none() {
            self.ping_guest(addr);
        }
        self.timers.set(Timer::Lease(name.clone()), now.time + GUEST_PING);
    }

    /// Sends a guest the whole table, or as much of it as it can receive, a few times.
    pub(super) fn sync_guest_table(&mut self, now: Now, name: &Name) {
        let latest = self.table.latest();
        let Some(session) = self.sessions.get_mut(name) else { return };
        let addr = session.addr;
        let Some(guest) = &mut session.guest else { return };
        if let Some(sent_at) = guest.table_sent_at
            && now.time < sent_at + TABLE_PAUSE
        {
            return self.timers.set(Timer::Table(name.clone()), sent_at + TABLE_PAUSE);
        }
        guest.table_sent_at = Some(now.time);
        if session.next_table_copy(latest) < TABLE_COPIES {
            self.timers.set(Timer::Table(name.clone()), now.time + TABLE_REPEAT);
        }
        let table = original::table(name, self.table.entries());
        self.send_to_guest(Socket::Main, addr, PacketKind::Table, table);
    }

    /// Sends a guest its first stored message, again if it is due.
    pub(super) fn hand_over_to_guest(&mut self, now: Now, name: &Name) {
        let letters = self.record.mailboxes.get(name);
        let Some(letter) = letters.and_then(|letters| letters.front()) else { return };
        let Some(session) = self.sessions.get_mut(name) else { return };
        let (addr, spoke_lately) = (session.addr, now.time < session.heard + LATELY);
        let Some(guest) = &mut session.guest else { return };
        if self.undurable.contains_key(&letter.id) {
            return;
        }
        let id = letter.id;
        let way = guest.letter.get_or_insert(OnItsWay { id, attempts: 0, next_at: now.time });
        if way.next_at > now.time {
            return;
        }
        way.attempts += 1;
        way.next_at = now.time + RESEND_MIN;
        let (attempts, next_at) = (way.attempts, way.next_at);
        let text = String::from_utf8_lossy(&letter.body);
        let stamp = letter.stored_at.to_string().replace('T', " ").replace('Z', "");
        let line = original::printable(&format!("{}: <{stamp}> {text}", letter.from));
        let identity = Identity { kind: PacketKind::Deliver, message: Some(id), attempt: attempts };
        let (socket, bytes) = if attempts <= SECOND_ATTEMPTS {
            (Socket::Second, original::text(&line))
        } else if guest.hears_second || !spoke_lately {
            return self.end_session(now, name, GoneReason::Silent);
        } else if attempts <= SECOND_ATTEMPTS + MAIN_ATTEMPTS {
            (Socket::Main, original::text(&format!("[You have messages]\n>>> {line}\n")))
        } else {
            guest.letter = None;
            return self.shown(now, name, id);
        };
        self.journal.transmit(Transmit { socket, to: addr, bytes, identity });
        self.timers.set(Timer::Mail(name.clone()), next_at);
    }

    /// The guests that an earlier life of this server knew: they will not register again.
    pub(super) fn restore_guests(&mut self) {
        if !self.config.original {
            return;
        }
        let guests: Vec<(Name, SocketAddr)> = self
            .record
            .accounts
            .iter()
            .filter_map(|(name, account)| account.original.map(|addr| (name.clone(), addr)))
            .collect();
        for (name, addr) in guests {
            self.restore_guest(&name, addr);
            self.journal.event_durably(Event::Registered {
                name,
                addr,
                back: true,
                original: true,
            });
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    // Unkeyed on purpose: the same over restarts. Nothing in this dialect is secret anyway.
    let mut hasher = SipHasher24::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn fold(name: &Name) -> String {
    name.as_str().to_ascii_lowercase()
}
