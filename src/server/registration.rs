//! Who is here: registration, leases, questions to the doubtful, and telling everyone.
//!
//! docs/protocol.md, "Registration" and "The table".

use super::session::{Contender, Probe, Session};
use super::timing::{GUEST_PROBES, LEASE, NARROW_AFTER, PROBE_INTERVAL, PROBES, RESEND_MAX};
use super::{Account, Change, End, Event, GoneReason, Server, Timer};
use crate::machine::Path;
use crate::plant::{Bug, Plant};
use crate::protocol::limits::{
    NAMES_MAX, TABLE_ENTRIES_BYTES_MAX, TABLE_ENTRIES_BYTES_NARROW, TABLE_WINDOW,
};
use crate::protocol::{Name, Nonce, Packet, Refusal, SessionId, StreamKey, TableId, Trip};
use crate::retransmission::pause;

impl<P: Plant> Server<P> {
    /// The holder of a session, if it calls from its address. Anybody else is told to register.
    pub(super) fn authenticate(&mut self, session: SessionId, from: Path) -> Option<Name> {
        if let Some(name) = self.by_session.get(&session)
            && let Some(holder) = self.sessions.get_mut(name)
            && holder.path.remote == from.remote
        {
            holder.heard = self.cx.now();
            holder.path = from;
            return Some(name.clone());
        }
        self.cx.counters.dropped.unknown += 1;
        // A session that is not here is none after a crash either.
        self.cx.send_now(from, &Packet::Unknown { session }, 1);
        None
    }

    /// Somebody at an address that echoed its cookie wants a name.
    pub(super) fn register(&mut self, from: Path, name: Name, account: Account) {
        let holder = self.sessions.get(&name);
        let contender = Contender { name: name.clone(), path: from, account };
        match self.cx.record().accounts.get(&name) {
            // A guest's token says where it is, which is no secret: none of ours has one like it.
            Some(known)
                if known.token == account.token
                    && (known.original.is_none() || account.original.is_some()) =>
            {
                let is_late = account.registration <= known.registration && holder.is_none();
                if account.registration > known.registration
                    || is_late && self.cx.has(Bug::OldRegistrationCounts)
                {
                    self.grant(contender);
                } else if let Some(holder) = holder
                    && holder.path.remote == from.remote
                    && account.registration == known.registration
                {
                    let session = holder.id;
                    self.cx.counters.duplicates += 1;
                    self.answer_registered(from, account.registration, session, true);
                }
                // Else it is an old one that was late: its sender has moved on.
            }
            // The same socket belongs to a new process now, or the name is free.
            Some(_) if holder.is_none_or(|holder| holder.path.remote == from.remote) => {
                self.grant(contender);
            }
            Some(_) => self.probe(&name, Some(contender)),
            None if self.cx.record().accounts.len() >= NAMES_MAX => {
                self.refuse(&contender, Refusal::ServerFull);
            }
            None if self.cx.is_low() => self.refuse(&contender, Refusal::DiskFull),
            None => self.grant(contender),
        }
    }

    fn refuse(&mut self, contender: &Contender, reason: Refusal) {
        self.cx.counters.dropped.refused += 1;
        let Contender { name, path, account } = contender;
        if account.original.is_some() {
            return self.refuse_guest(*path, name, reason);
        }
        let registration = account.registration;
        // Nothing is changed by it, and whoever asks again is asked for again.
        self.cx.send_now(*path, &Packet::Refused { registration, reason }, 1);
    }

    fn grant(&mut self, contender: Contender) {
        let Contender { name, path, account } = contender;
        let addr = path.remote;
        let back = self.cx.record().accounts.contains_key(&name);
        let before = self.sessions.get(&name).map(|session| session.path.remote);
        self.wipe_mail(&name);
        self.drop_session(&name, GoneReason::Replaced);
        self.cx.change(Change::Registered { name: name.clone(), account });
        let original = account.original.is_some();
        self.cx.report(Event::Registered { name: name.clone(), addr, back, original });
        let session = self.open_session(&name, path);
        if original {
            self.welcome_guest(&name, path);
            self.confirm(&name);
        } else {
            self.answer_registered(path, account.registration, session, back);
        }
        if let Some(before) = before.filter(|before| *before != addr)
            && self.cx.has(Bug::KeepsOldAddress)
        {
            self.table.set(&name, Some(before), original);
        }
        self.tell_everyone();
    }

    /// What the original did at a registration: [`Bug::RegistrationWipesMail`].
    fn wipe_mail(&mut self, name: &Name) {
        let Some(mailbox) = self.cx.record().mailbox(name) else { return };
        if self.cx.has(Bug::RegistrationWipesMail) {
            let kept: Vec<_> = mailbox.iter().map(|letter| (letter.key(), letter.id.seq)).collect();
            for (key, seq) in kept {
                self.cx.change_if_any(self.cx.record().settling(&key, seq, End::Shown));
            }
        }
    }

    fn open_session(&mut self, name: &Name, path: Path) -> SessionId {
        let id = SessionId(self.cx.draw());
        self.by_session.insert(id, name.clone());
        self.sessions.insert(name.clone(), Session::new(id, path, self.cx.now()));
        self.cx.set_timer(Timer::Lease(name.clone()), self.cx.now() + LEASE);
        let original = self.cx.record().accounts.get(name).is_some_and(|a| a.original.is_some());
        self.table.set(name, Some(path.remote), original);
        id
    }

    /// Takes up a guest that an earlier life of this server knew.
    pub(super) fn restore_guest(&mut self, name: &Name, path: Path) {
        self.open_session(name, path);
        self.welcome_back_guest(name, path);
        self.confirm(name);
    }

    fn answer_registered(&mut self, to: Path, registration: u64, session: SessionId, back: bool) {
        let store = self.cx.record().store;
        self.cx.send(to, &Packet::Registered { registration, session, store, back }, 1);
    }

    /// The client knows its session: bring it up to date.
    pub(super) fn confirm(&mut self, name: &Name) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        if std::mem::replace(&mut session.confirmed, true) {
            return;
        }
        self.sync_table(name);
        self.hand_over(name);
        self.tell_more(name);
    }

    pub(super) fn check_lease(&mut self, name: &Name) {
        let Some(session) = self.sessions.get(name) else { return };
        if session.guest.is_some() {
            return self.check_guest_lease(name);
        }
        let end = session.heard + LEASE;
        if end <= self.cx.now() {
            self.end_session(name, GoneReason::LeaseExpired);
        } else {
            self.cx.set_timer(Timer::Lease(name.clone()), end);
        }
    }

    pub(super) fn end_session(&mut self, name: &Name, reason: GoneReason) {
        if !self.drop_session(name, reason) {
            return;
        }
        if let Some(account) = self.cx.record().accounts.get(name).filter(|a| a.original.is_some())
        {
            let account = Account { original: None, ..*account };
            self.cx.change(Change::Registered { name: name.clone(), account });
        }
        self.table.set(name, None, false);
        self.tell_everyone();
    }

    fn drop_session(&mut self, name: &Name, reason: GoneReason) -> bool {
        let Some(session) = self.sessions.remove(name) else { return false };
        self.by_session.remove(&session.id);
        if session.guest.is_some() {
            self.guests.remove(&session.path.remote);
        }
        for timer in [Timer::Lease, Timer::Probe, Timer::Table, Timer::Mail] {
            self.cx.clear_timer(&timer(name.clone()));
        }
        for stream in session.tells.into_keys() {
            self.cx.clear_timer(&Timer::Told(StreamKey { from: name.clone(), stream }));
        }
        // In its next session it may have another way for what was missing here.
        self.holding.forget_sender(name);
        self.cx.report(Event::Gone { name: name.clone(), reason });
        true
    }

    /// Asks whether a client is there. If it is silent, it is away, and `contender` has the name.
    pub(super) fn probe(&mut self, name: &Name, contender: Option<Contender>) {
        if contender.is_none() && !self.can_be_asked(name) {
            return;
        }
        let is_here = self.sessions.contains_key(name);
        if is_here && contender.is_none() && self.cx.has(Bug::OneWayIsOffline) {
            return self.end_session(name, GoneReason::Silent);
        }
        let Some(session) = self.sessions.get_mut(name) else { return };
        let asking = session.probe.is_some();
        let ours = contender.as_ref().filter(|contender| contender.account.original.is_none());
        let wait = ours.map(|contender| {
            let registration = contender.account.registration;
            (contender.path, Packet::Wait { registration })
        });
        match &mut session.probe {
            Some(probe) if contender.is_some() && probe.is_open_to(contender.as_ref()) => {
                probe.contender = contender;
            }
            Some(_) => {}
            None => {
                let nonce = Nonce(self.cx.draw());
                session.probe = Some(Probe { nonce, asked: 0, contender });
            }
        }
        if let Some((path, wait)) = wait {
            // Nothing is granted yet.
            self.cx.send_now(path, &wait, 1);
        }
        if !asking {
            self.probe_again(name);
        }
    }

    pub(super) fn probe_again(&mut self, name: &Name) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let Some(probe) = &mut session.probe else { return };
        let patient = session.guest.is_some() && probe.contender.is_none();
        let probes = if patient { GUEST_PROBES } else { PROBES };
        if probe.asked < probes {
            probe.asked += 1;
            let (path, nonce, attempt) = (session.path, probe.nonce, probe.asked);
            if session.guest.is_some() {
                self.ping_guest(name);
            } else {
                // A question tells nothing.
                self.cx.send_now(path, &Packet::Probe { nonce }, attempt);
            }
            self.cx.set_timer(Timer::Probe(name.clone()), self.cx.now() + PROBE_INTERVAL);
            return;
        }
        let contender = probe.contender.take();
        self.end_session(name, GoneReason::Silent);
        if let Some(contender) = contender {
            self.grant(contender);
        }
    }

    pub(super) fn probe_answered(&mut self, name: &Name, nonce: Nonce) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let Some(probe) = session.probe.take_if(|probe| probe.nonce == nonce) else { return };
        self.cx.clear_timer(&Timer::Probe(name.clone()));
        if let Some(contender) = probe.contender {
            self.refuse(&contender, Refusal::NameInUse);
            let Contender { name, path, .. } = contender;
            self.cx.report(Event::Refused { name, addr: path.remote });
        }
    }

    fn tell_everyone(&mut self) {
        let names: Vec<Name> = self.sessions.keys().cloned().collect();
        for name in names {
            // Whoever has something on its way hears of this when that has arrived.
            let idle = |session: &Session| session.table_attempts == 0 || session.guest.is_some();
            if self.sessions.get(&name).is_some_and(idle) {
                self.sync_table(&name);
            }
        }
    }

    /// Sends a client what it lacks of the table.
    pub(super) fn sync_table(&mut self, name: &Name) {
        let Some(session) = self.sessions.get_mut(name).filter(|session| session.confirmed) else {
            return;
        };
        if session.guest.is_some() {
            return self.sync_guest_table(name);
        }
        let mut at = session.table_at;
        if at >= self.table.latest() {
            return;
        }
        if session.table_attempts == 0 {
            session.table_first_at = self.cx.now();
        }
        session.table_attempts += 1;
        let (path, attempt) = (session.path, session.table_attempts);
        let elapsed = self.cx.now() - session.table_first_at;
        let pause = pause(session.timeout(Trip::Network), elapsed, RESEND_MAX);
        session.narrow |= attempt > NARROW_AFTER;
        let room =
            if session.narrow { TABLE_ENTRIES_BYTES_NARROW } else { TABLE_ENTRIES_BYTES_MAX };
        let mut parts = Vec::new();
        while parts.len() < TABLE_WINDOW && at < self.table.latest() {
            let (part, to) = self.table.part(session.id, at, room);
            parts.push(part);
            at = to;
        }
        session.table_sent = at;
        for part in parts {
            // Says who is here, in this life: after a crash there is another table.
            self.cx.send_now(path, &part, attempt);
        }
        if attempt == 1 && self.cx.has(Bug::TableSentOnce) {
            return;
        }
        self.cx.set_timer(Timer::Table(name.clone()), self.cx.now() + pause);
    }

    /// A client says which version of the table it has.
    pub(super) fn table_acked(&mut self, name: &Name, table: TableId, version: u64) {
        let latest = self.table.latest();
        let known = table == self.table.id() && version <= latest;
        let Some(session) = self.sessions.get_mut(name) else { return };
        let version = if known { version } else { 0 };
        let progress = version != session.table_at;
        session.table_at = version;
        if session.table_attempts > 0 && version < session.table_sent {
            if progress {
                session.table_attempts = 1;
                session.table_first_at = self.cx.now();
                let pause = session.timeout(Trip::Network);
                self.cx.set_timer(Timer::Table(name.clone()), self.cx.now() + pause);
            }
            return; // The rest is on its way.
        }
        session.table_attempts = 0;
        self.cx.clear_timer(&Timer::Table(name.clone()));
        self.sync_table(name);
    }
}
