//! The server's edge towards clients of the original's dialect: guests.
//!
//! Translates their requests into the server's operations and its packets into their datagrams.
//! Weaker promises, because the dialect has no ids and acknowledges "whatever you sent last":
//! docs/protocol.md, "The original's dialect". What must be acknowledged is sent from the second
//! socket, because an original client acknowledges everything but its server's texts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::mail::Save;
use super::session::{Guest, OnItsWay, Session};
use super::timing::{GUEST_RETRY, LEASE};
use super::{Account, Event, GoneReason, Server, Timer};
use crate::machine::{Identity, Path, Socket, Transmit};
use crate::original::{self, Request, Word, hash};
use crate::plant::Plant;
use crate::protocol::limits::{NAMES_MAX, TEXT_MAX};
use crate::protocol::{
    MessageId, Name, NotSaved, PacketKind, Refusal, StreamId, StreamKey, TableEntry, Token,
};
use crate::time::Time;

/// Between two questions whether a guest is still there.
const GUEST_PING: Duration = Duration::from_secs(5);

/// The same when an answer is missing: 20 more questions before the lease ends, for a guest that is
/// wrongly taken for gone does not come back by itself. At 30 % loss both ways a live one misses
/// all of them less than once in a million times.
const GUEST_PING_RETRY: Duration = Duration::from_millis(500);

/// A guest that never answered on the second socket, perhaps because of a NAT, is away when it has
/// not said anything for so long.
const UNHEARD_LEASE: Duration = Duration::from_secs(600);

/// The bits of a guest's stream that tell it from one that was forgotten: a stream is forgotten so
/// rarely that the same ones are hardly ever drawn again, and the other bits are enough to know it
/// by.
const GUEST_STREAM_DRAWN: u64 = u32::MAX as u64;

/// Before a guest's table is sent again: nobody acknowledges tables.
const TABLE_REPEAT: Duration = Duration::from_secs(1);

/// Transmissions of each state of a guest's table. One that is the same is not shown again.
const TABLE_COPIES: u32 = 3;

/// Between two tables to one address at least, however fast the table changes and whatever is
/// asked.
const TABLE_PAUSE: Duration = Duration::from_millis(250);

/// The same as long as the address has not answered on the second socket: it may be forged, and a
/// forged request earns one table at once and then at most 400 bytes a second.
const UNPROVEN_TABLE_PAUSE: Duration = Duration::from_secs(10);

/// Tables to addresses that have not answered yet, all of them together: whatever is forged earns
/// at most 200 kB a second. Whoever is really there is served as soon as it has answered.
const UNPROVEN_TABLES_PER_SECOND: u32 = 50;

/// Transmissions of a stored message from the second socket before giving up. At 30 % loss both
/// ways a live guest misses all of them twice in a million times.
const SECOND_ATTEMPTS: u32 = 20;

/// Questions to a guest with stored messages that never answered on the second socket, before the
/// main one is tried.
const UNHEARD_PINGS: u32 = 4;

/// Transmissions from the main socket to a guest that the second one never reached. They are not
/// acknowledged, so all of them are shown.
const MAIN_ATTEMPTS: u32 = 3;

/// How long ago a guest must have spoken for the main socket to be worth anything.
const LATELY: Duration = Duration::from_secs(10);

/// The tables that were sent to guests: what limits them must outlive the guests, who come and go
/// as they please.
#[derive(Debug, Default)]
pub(super) struct GuestTables {
    /// When each address was last sent one.
    sent_at: BTreeMap<SocketAddr, Time>,
    /// The second that is being counted, and the tables to unproven addresses in it.
    second: u64,
    unproven: u32,
}

impl GuestTables {
    /// Whether another one may be sent now.
    fn admits(&mut self, now: Time, proven: bool) -> bool {
        if self.sent_at.len() >= NAMES_MAX {
            self.sent_at.retain(|_, at| now < *at + UNPROVEN_TABLE_PAUSE);
        }
        let second = now.since_start().as_secs();
        if self.second != second {
            (self.second, self.unproven) = (second, 0);
        }
        self.unproven += u32::from(!proven);
        (proven || self.unproven <= UNPROVEN_TABLES_PER_SECOND) && self.sent_at.len() < NAMES_MAX
    }
}

impl<P: Plant> Server<P> {
    pub(super) fn handle_original(&mut self, socket: Socket, from: Path, bytes: &[u8]) {
        match (socket, original::decode(bytes)) {
            _ if !self.cx.config().original => self.cx.counters.dropped.unwanted += 1,
            (_, None) => self.cx.counters.dropped.damaged += 1,
            (Socket::Second, Some(Word::Ack)) => self.guest_acked(from),
            (Socket::Main, Some(Word::Text(text))) => match original::request(&text) {
                Some(Request::Register(name)) => self.guest_registers(from, name),
                Some(Request::Fetch(name)) => self.guest_fetches(from, name),
                Some(Request::Deregister(name)) => self.guest_leaves(from, name),
                Some(Request::Save { to, text, .. }) => {
                    self.guest_saves(from, to, text, bytes);
                }
                None => {
                    if self.guest_at(from).is_some() {
                        self.send_to_guest(Socket::Main, from, PacketKind::Pong, original::ack());
                    }
                }
            },
            // Nobody answers an ACK, or what no client sends.
            _ => self.cx.counters.dropped.unwanted += 1,
        }
    }

    fn send_to_guest(&mut self, socket: Socket, to: Path, kind: PacketKind, bytes: Vec<u8>) {
        let Path { remote: to, local: source } = to;
        let identity = Identity { kind, message: None, attempt: 1 };
        self.cx.transmit(Transmit { socket, source, to, bytes, identity });
    }

    fn tell_guest(&mut self, to: Path, kind: PacketKind, text: &str) {
        self.send_to_guest(Socket::Main, to, kind, original::text(text));
    }

    /// The registered guest at an address, which has just been heard of.
    fn guest_at(&mut self, from: Path) -> Option<Name> {
        let name = self.guests.get(&from.remote)?.clone();
        let session = self.sessions.get_mut(&name)?;
        (session.heard, session.path) = (self.cx.now(), from);
        Some(name)
    }

    fn guest_registers(&mut self, from: Path, word: &str) {
        let Ok(name) = word.parse::<Name>() else {
            return self.tell_guest(from, PacketKind::Refused, "[Names are a-z, 0-9, _ and -]\n");
        };
        if self.guest_at(from).is_some_and(|present| present == name) {
            self.send_to_guest(Socket::Main, from, PacketKind::Registered, original::ack());
            self.sync_guest_table(&name);
            return self.hand_over(&name);
        }
        if let Some(other) = self.guests.get(&from.remote).cloned() {
            self.end_session(&other, GoneReason::Replaced);
        }
        let token = Token(hash(&from.remote));
        let known = self.cx.record().accounts.get(&name).filter(|known| known.token == token);
        let registration = known.map_or(0, |known| known.registration) + 1;
        let account = Account { token, registration, original: Some(from.remote) };
        self.register(from, name, account);
    }

    /// A guest has its name.
    pub(super) fn welcome_guest(&mut self, name: &Name, path: Path) {
        self.send_to_guest(Socket::Main, path, PacketKind::Registered, original::ack());
        self.admit_guest(name, path, Guest::default());
    }

    /// A guest has its name from an earlier life of this server. That it answers is taken for
    /// granted: if it has gone meanwhile, this is how it is noticed.
    pub(super) fn welcome_back_guest(&mut self, name: &Name, path: Path) {
        self.admit_guest(name, path, Guest { hears_second: true, ..Guest::default() });
    }

    fn admit_guest(&mut self, name: &Name, path: Path, guest: Guest) {
        self.guests.insert(path.remote, name.clone());
        if let Some(session) = self.sessions.get_mut(name) {
            session.guest = Some(guest);
        }
        self.cx.set_timer(Timer::Lease(name.clone()), self.cx.now());
    }

    pub(super) fn refuse_guest(&mut self, to: Path, name: &Name, reason: Refusal) {
        let text = match reason {
            Refusal::NameInUse => format!("[Username {name} already in use.]\n"),
            Refusal::ServerFull => "[The server takes no new names.]\n".to_owned(),
            Refusal::DiskFull => "[The server's disk is full.]\n".to_owned(),
        };
        self.tell_guest(to, PacketKind::Refused, &text);
    }

    fn guest_leaves(&mut self, from: Path, word: &str) {
        let Ok(name) = word.parse::<Name>() else { return };
        let holder = self.sessions.get(&name).map(|session| session.path.remote);
        if holder.is_some_and(|addr| addr != from.remote) {
            return; // Not this guest's name to give up.
        }
        // Whoever is away already is told so again: the answer was lost. The own row is all that
        // matters to somebody offline, and no more than a stranger's request should earn.
        self.send_to_guest(Socket::Main, from, PacketKind::Deregistered, original::ack());
        if self.guests.get(&from.remote).is_some_and(|present| *present != name) {
            return; // A table without its own name would end that guest.
        }
        let own = TableEntry { name: name.clone(), addr: None, original: true };
        let table = original::table(&name, [&own].into_iter());
        self.send_to_guest(Socket::Main, from, PacketKind::Table, table);
        if holder.is_some() {
            self.end_session(&name, GoneReason::Deregistered);
        }
    }

    fn guest_fetches(&mut self, from: Path, word: &str) {
        let Some(name) = self.guest_at(from).filter(|name| word.parse().as_ref() == Ok(name))
        else {
            return;
        };
        self.send_to_guest(Socket::Main, from, PacketKind::Pong, original::ack());
        if self.cx.record().mailbox(&name).is_some() {
            self.hand_over(&name);
            return;
        }
        let guest = self.sessions.get_mut(&name).and_then(|session| session.guest.as_mut());
        // Whoever has just been handed some would be surprised to read that there are none.
        if guest.is_some_and(|guest| !std::mem::replace(&mut guest.had_mail, false)) {
            self.tell_guest(from, PacketKind::Deliver, "[No new messages]\n");
        }
    }

    fn guest_saves(&mut self, from: Path, to: &str, text: &str, bytes: &[u8]) {
        let Some(sender) = self.guest_at(from) else { return };
        let Some(guest) = self.sessions.get_mut(&sender).and_then(|s| s.guest.as_mut()) else {
            return;
        };
        let repeat = guest.repeats.is_repeat(self.cx.now(), bytes);
        self.cx.counters.duplicates += u64::from(repeat);
        if repeat && guest.refused {
            return; // It has been told why; an acknowledgement would be a lie.
        }
        guest.refused = false;
        if repeat {
            return self.send_to_guest(Socket::Main, from, PacketKind::Saved, original::ack());
        }
        let Ok(to) = to.parse::<Name>() else {
            return self.refuse_save(&sender, from, "[Not saved: no such user]\n");
        };
        // A stream without the sender's numbers: its place is the next one, whatever it is.
        let key = self.guest_stream(&sender, &to);
        let stream = key.stream;
        let progress = self.cx.record().stream(&key);
        let seq = progress.map_or(1, |progress| progress.next);
        let save = Save { to: to.clone(), body: text.as_bytes().to_vec(), group: None };
        let objection = match self.objection(&sender, progress, &save) {
            None if text.len() > TEXT_MAX => Some(NotSaved::BadText),
            objection => objection,
        };
        let refusal = match objection {
            None => {
                self.store(&sender, MessageId { stream, seq }, save);
                self.send_to_guest(Socket::Main, from, PacketKind::Saved, original::ack());
                return self.probe(&to, None);
            }
            Some(NotSaved::UnknownName) => format!("[Not saved: {to} is not known]\n"),
            Some(NotSaved::MailboxFull) => format!("[Not saved: the mailbox of {to} is full]\n"),
            Some(NotSaved::SenderFull) => "[Not saved: too many of yours are kept]\n".to_owned(),
            Some(NotSaved::ServerFull) => "[Not saved: the server keeps too many]\n".to_owned(),
            Some(NotSaved::DiskFull) => "[Not saved: the server's disk is full]\n".to_owned(),
            Some(NotSaved::BadText) => format!("[Not saved: 1 to {TEXT_MAX} bytes of text]\n"),
        };
        self.refuse_save(&sender, from, &refusal);
    }

    /// A guest's stream to a reader. One that was forgotten is not begun again, for its reader
    /// knows places of it: half of the id says whose it is and for whom, the rest is drawn.
    fn guest_stream(&mut self, from: &Name, to: &Name) -> StreamKey {
        let ids = self.guest_streams(from, to);
        let StreamId(first) = *ids.start();
        let known = self.cx.record().stream_among(from, ids).cloned();
        known.unwrap_or_else(|| {
            let stream = StreamId(first | (self.cx.draw() & GUEST_STREAM_DRAWN));
            StreamKey { from: from.clone(), stream }
        })
    }

    /// What a guest's streams to a reader may be called.
    fn guest_streams(&self, from: &Name, to: &Name) -> RangeInclusive<StreamId> {
        let first = hash(&(self.cx.record().store.0, fold(from), fold(to))) & !GUEST_STREAM_DRAWN;
        StreamId(first)..=StreamId(first | GUEST_STREAM_DRAWN)
    }

    /// Whether a guest sent this stream: then nobody waits for a word of what became of it.
    pub(super) fn is_guest_stream(&self, key: &StreamKey, to: &Name) -> bool {
        self.guest_streams(&key.from, to).contains(&key.stream)
    }

    fn refuse_save(&mut self, sender: &Name, from: Path, why: &str) {
        if let Some(guest) = self.sessions.get_mut(sender).and_then(|s| s.guest.as_mut()) {
            guest.refused = true;
        }
        self.cx.counters.dropped.refused += 1;
        self.tell_guest(from, PacketKind::NotSaved, why);
    }

    /// Whatever was sent last from the second socket has arrived.
    fn guest_acked(&mut self, from: Path) {
        let Some(name) = self.guest_at(from) else { return };
        let Some(session) = self.sessions.get_mut(&name) else { return };
        let nonce = session.probe_nonce();
        let Some(guest) = &mut session.guest else { return };
        guest.owed.acked();
        let proven_now = !std::mem::replace(&mut guest.hears_second, true);
        let letter = guest.letter.take().filter(|letter| letter.on_second);
        guest.had_mail |= letter.is_some();
        if proven_now {
            self.cx.set_timer(Timer::Lease(name.clone()), self.cx.now() + GUEST_PING);
            self.repeat_guest_table(&name);
        }
        if let Some(nonce) = nonce {
            self.probe_answered(&name, nonce);
        }
        match letter {
            Some(letter) => self.shown(&name, &letter.key, letter.seq),
            None => self.hand_over(&name),
        }
    }

    /// Asks a guest whether it is there, with what it acknowledges and does not show. While a
    /// message is on its way, that one is the question.
    pub(super) fn ping_guest(&mut self, name: &Name) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let path = session.path;
        let Some(guest) = &mut session.guest else { return };
        if guest.is_asked() {
            return;
        }
        guest.owed.sent(self.cx.now());
        let bytes = original::text(original::UNSEEN);
        self.send_to_guest(Socket::Second, path, PacketKind::Probe, bytes);
    }

    /// Whether a question to this client would tell anything: a guest behind a NAT never hears
    /// one, and a message on its way is one already.
    pub(super) fn can_be_asked(&self, name: &Name) -> bool {
        let guest = self.sessions.get(name).and_then(|session| session.guest.as_ref());
        guest.is_none_or(|guest| guest.hears_second && !guest.is_asked())
    }

    /// Renews a guest's lease by asking.
    pub(super) fn check_guest_lease(&mut self, name: &Name) {
        let Some(session) = self.sessions.get(name) else { return };
        let Some(guest) = &session.guest else { return };
        let lease = if guest.hears_second { LEASE } else { UNHEARD_LEASE };
        if session.heard + lease <= self.cx.now() {
            return self.end_session(name, GoneReason::LeaseExpired);
        }
        // Often while the address is new or an answer is missing.
        let spoke_lately = self.cx.now() < session.heard + GUEST_PING;
        let pause = if spoke_lately == guest.hears_second { GUEST_PING } else { GUEST_PING_RETRY };
        // Stored messages wait until every question is answered, and are questions themselves.
        if guest.letter.is_none() && self.cx.record().mailbox(name).is_none() {
            self.ping_guest(name);
        }
        self.cx.set_timer(Timer::Lease(name.clone()), self.cx.now() + pause);
    }

    /// Sends a guest the whole table, or as much of it as it can receive, a few times.
    pub(super) fn sync_guest_table(&mut self, name: &Name) {
        let latest = self.table.latest();
        let Some(session) = self.sessions.get_mut(name) else { return };
        let path = session.path;
        let Some(guest) = &session.guest else { return };
        let pause = if guest.hears_second { TABLE_PAUSE } else { UNPROVEN_TABLE_PAUSE };
        if let Some(sent_at) = self.guest_tables.sent_at.get(&path.remote)
            && self.cx.now() < *sent_at + pause
        {
            if session.has_table(latest) {
                return; // Its repetition is due already.
            }
            return self.cx.set_timer(Timer::Table(name.clone()), *sent_at + pause);
        }
        if !self.guest_tables.admits(self.cx.now(), guest.hears_second) {
            return self.cx.set_timer(Timer::Table(name.clone()), self.cx.now() + TABLE_REPEAT);
        }
        self.guest_tables.sent_at.insert(path.remote, self.cx.now());
        if session.next_table_copy(latest) < TABLE_COPIES && guest_is_proven(session) {
            self.cx.set_timer(Timer::Table(name.clone()), self.cx.now() + TABLE_REPEAT);
        }
        let table = original::table(name, self.table.entries());
        self.send_to_guest(Socket::Main, path, PacketKind::Table, table);
    }

    /// Its address is a guest's own: now it gets the copies that it did not get before.
    fn repeat_guest_table(&mut self, name: &Name) {
        let latest = self.table.latest();
        if self.sessions.get(name).is_some_and(|session| session.has_table(latest)) {
            self.cx.set_timer(Timer::Table(name.clone()), self.cx.now() + TABLE_REPEAT);
        } else {
            self.sync_guest_table(name);
        }
    }

    /// Sends a guest its first stored message, again if it is due.
    pub(super) fn hand_over_to_guest(&mut self, name: &Name) {
        let first_undurable = self.first_undurable();
        let letters = self.cx.record().mailbox(name);
        let Some(letter) = letters.and_then(|letters| letters.front()) else { return };
        if letter.number >= first_undurable {
            return;
        }
        let Some(session) = self.sessions.get_mut(name) else { return };
        let (path, spoke_lately) = (session.path, self.cx.now() < session.heard + LATELY);
        let Some(guest) = &mut session.guest else { return };
        let (key, id) = (letter.key(), letter.id);
        if guest.letter.is_none() && guest.hears_second && self.cx.now() < guest.owed.quiet_at() {
            return self.cx.set_timer(Timer::Mail(name.clone()), guest.owed.quiet_at());
        }
        let (seq, next_at) = (id.seq, self.cx.now());
        let start = OnItsWay { key: key.clone(), seq, attempts: 0, next_at, on_second: false };
        let way = guest.letter.get_or_insert(start);
        if way.next_at > self.cx.now() {
            return;
        }
        way.attempts += 1;
        way.next_at = self.cx.now() + GUEST_RETRY;
        let attempts = way.attempts;
        let text = String::from_utf8_lossy(&letter.body);
        let stamp = letter.stored_at.to_string().replace('T', " ").replace('Z', "");
        let line = original::printable(&format!("{}: <{stamp}> {text}", letter.from));
        self.cx.set_timer(Timer::Mail(name.clone()), way.next_at);
        let identity = Identity { kind: PacketKind::Deliver, message: Some(id), attempt: attempts };
        let (socket, bytes) = if guest.hears_second && attempts <= SECOND_ATTEMPTS {
            if !std::mem::replace(&mut way.on_second, true) {
                guest.owed.start();
            }
            guest.owed.sent(self.cx.now());
            (Socket::Second, original::text(&line))
        } else if !guest.hears_second && attempts <= UNHEARD_PINGS {
            return self.ping_guest(name);
        } else if guest.hears_second || !spoke_lately {
            return self.end_session(name, GoneReason::Silent);
        } else if attempts <= UNHEARD_PINGS + MAIN_ATTEMPTS {
            (Socket::Main, original::text(&format!("[You have messages]\n>>> {line}\n")))
        } else {
            guest.letter = None;
            return self.shown(name, &key, id.seq);
        };
        let Path { remote: to, local: source } = path;
        self.cx.transmit_now(Transmit { socket, source, to, bytes, identity });
    }

    /// The guests that an earlier life of this server knew: they will not register again.
    pub(super) fn restore_guests(&mut self) {
        if !self.cx.config().original {
            return;
        }
        let guests: Vec<(Name, SocketAddr)> = self
            .cx
            .record()
            .accounts
            .iter()
            .filter_map(|(name, account)| account.original.map(|addr| (name.clone(), addr)))
            .collect();
        for (name, addr) in guests {
            // Which address of this machine it knows is told again when it speaks.
            self.restore_guest(&name, addr.into());
            self.cx.report(Event::Registered { name, addr, back: true, original: true });
        }
    }
}

fn guest_is_proven(session: &Session) -> bool {
    session.guest.as_ref().is_some_and(|guest| guest.hears_second)
}

fn fold(name: &Name) -> String {
    name.as_str().to_ascii_lowercase()
}
