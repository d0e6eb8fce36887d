//! Who is here, and where: sessions with all that leads to them, and the table.
//!
//! docs/protocol.md, "Registration" and "The table". Only [`Presence::open`] and
//! [`Presence::drop`] touch the indexes. Knows nothing of mail or groups.

mod invariants;
mod telling;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::contender::Contender;
use super::context::{Context, Timer};
use super::cookie::CookieJar;
use super::new_names::NewNames;
use super::next::Next;
use super::receipts::Ear;
use super::rounds::Rounds;
use super::session::guest::Guest;
use super::session::{Dialect, GuestTables, Session};
use super::table::Table;
use super::{Account, Change, Event, GoneReason};
use crate::load::Gauge;
use crate::machine::Path;
use crate::mutation::{Mutation, Mutations};
use crate::protocol::envelope::Stamps;
use crate::protocol::{
    Cookie, Name, Nonce, Packet, Refusal, SessionId, StreamKey, TableEntry, TableId,
};

#[derive(Debug)]
pub(super) struct Presence {
    cookies: CookieJar,
    new_names: NewNames,
    sessions: BTreeMap<Name, Session>,
    by_session: BTreeMap<SessionId, Name>,
    /// The hellos of sessions that are over: what is repeated of them is of no other life.
    over: BTreeMap<Name, Nonce>,
    /// Who is at which address, of those who speak the original's dialect.
    guests: BTreeMap<SocketAddr, Name>,
    table: Table,
    rounds: Rounds,
    /// The last client that was told in a round that is not over.
    told_up_to: Option<Name>,
    guest_tables: GuestTables,
}

/// What became of a registration that was granted.
#[derive(Debug)]
pub(super) struct Granted {
    /// Where the name's session was before.
    pub(super) before: Option<SocketAddr>,
    /// Its client needs no word to know its session.
    pub(super) knows_session: bool,
}

/// Registration.
impl Presence {
    /// Nobody is here, and everybody is known who ever registered.
    pub(super) fn new<M: Mutations>(cx: &mut Context<M>) -> Self {
        let mut table = Table::new(TableId(cx.draw()));
        for name in cx.record().accounts.keys() {
            table.set(name, None, false);
        }
        table.tell();
        let cookies = CookieJar::new((cx.draw(), cx.draw()));
        Self {
            new_names: NewNames::new(cookies.other_key()),
            cookies,
            sessions: BTreeMap::new(),
            by_session: BTreeMap::new(),
            over: BTreeMap::new(),
            guests: BTreeMap::new(),
            table,
            rounds: Rounds::default(),
            told_up_to: None,
            guest_tables: GuestTables::default(),
        }
    }

    /// Somebody says hello: whoever echoes the answer is at their address.
    pub(super) fn challenge<M: Mutations>(&self, cx: &mut Context<M>, from: Path, nonce: Nonce) {
        let cookie = self.cookies.bake(cx.now(), from.remote, nonce);
        // Nothing is known of whoever is asked to echo it.
        cx.send_now(from, &Packet::Challenge { nonce, cookie }, 1);
    }

    /// Whether somebody has echoed what was sent to their address.
    pub(super) fn is_good<M: Mutations>(
        &self,
        cx: &Context<M>,
        from: Path,
        (nonce, cookie): (Nonce, Cookie),
    ) -> bool {
        self.cookies.is_good(cx.now(), from.remote, nonce, cookie)
    }

    /// Somebody at an address that echoed its cookie wants a name.
    pub(super) fn register<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        contender: Contender,
    ) -> Option<Next> {
        let holder = self.sessions.get(&contender.name);
        match cx.record().accounts.get(&contender.name).copied() {
            // Who shows no token takes no name from whoever has one, here or away.
            Some(known)
                if contender.account.is_original()
                    && !known.is_guests()
                    && !cx.has(Mutation::GuestTakesOurs) =>
            {
                contender.refuse(cx, Refusal::NameInUse);
                None
            }
            Some(known) if known.is_held_by(&contender.account) => {
                self.register_again(cx, contender, known.registration)
            }
            // The same socket belongs to a new process now, or the name is free.
            Some(_) if holder.is_none_or(|holder| holder.remote() == contender.path.remote) => {
                Some(Next::Grant(contender))
            }
            Some(_) => self.probe(cx, &contender.name.clone(), Some(contender)),
            None => match self.new_names.admit(cx, contender.path.remote.ip()) {
                Ok(()) => Some(Next::Grant(contender)),
                Err(refusal) => {
                    contender.refuse(cx, refusal);
                    None
                }
            },
        }
    }

    /// A name's holder registers, whose last registration was this one.
    fn register_again<M: Mutations>(
        &self,
        cx: &mut Context<M>,
        contender: Contender,
        last: u64,
    ) -> Option<Next> {
        let holder = self.sessions.get(&contender.name);
        let registration = contender.account.registration;
        let is_late = registration <= last && holder.is_none();
        if registration > last || is_late && cx.has(Mutation::OldRegistrationCounts) {
            return Some(Next::Grant(contender));
        }
        // Else it is an old one that was late, and its sender has moved on; or its sender has
        // forgotten what it did since.
        let same = holder.filter(|holder| holder.remote() == contender.path.remote);
        let repeated = |holder: &&Session| {
            holder.is_granted_to(contender.nonce) || cx.has(Mutation::RepeatsWithoutNonce)
        };
        if let Some(holder) = same.filter(|_| registration == last).filter(repeated) {
            cx.counters.duplicates += 1;
            holder.answer_registered(cx, &contender, true);
        } else if self.over.get(&contender.name) == Some(&contender.nonce) {
            cx.counters.duplicates += 1; // It will say hello anew.
        } else if !cx.has(Mutation::LowRegistrationUnanswered) {
            contender.tell_known(cx, last);
        }
        None
    }

    /// Gives a name to whoever may have it: to its holder, who may have migrated to another
    /// address, or after a takeover to somebody else.
    pub(super) fn grant<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        contender: &Contender,
    ) -> Granted {
        let dialect = Dialect::of(contender);
        let Contender { name, path, account, .. } = contender.clone();
        let addr = path.remote;
        let back = cx.record().accounts.contains_key(&name);
        let before = self.remote_of(&name);
        self.drop(cx, &name, GoneReason::Replaced);
        cx.change(Change::Registered { name: name.clone(), account });
        let original = account.is_original();
        cx.report(Event::Registered { name: name.clone(), addr, back, original });
        let session = self.open(cx, name, path, (contender.nonce, dialect));
        session.answer_registered(cx, contender, back);
        Granted { before, knows_session: session.needs_no_proof() }
    }

    /// What [`Mutation::KeepsOldAddress`] does.
    pub(super) fn keep_old_address<M: Mutations>(
        &mut self,
        cx: &Context<M>,
        name: &Name,
        before: Option<SocketAddr>,
    ) {
        let Some(session) = self.sessions.get(name) else { return };
        if let Some(before) = before.filter(|before| *before != session.remote())
            && cx.has(Mutation::KeepsOldAddress)
        {
            self.table.set(name, Some(before), session.is_original());
        }
    }

    /// Takes up a guest that an earlier life of this server knew.
    pub(super) fn restore<M: Mutations>(&mut self, cx: &mut Context<M>, name: &Name, path: Path) {
        let dialect = Dialect::of_guest_before(cx);
        self.open(cx, name.clone(), path, (Nonce::default(), dialect));
        self.table.tell(); // Each is sent all of it beside this.
    }

    /// A session is over. Whether it was there.
    pub(super) fn end<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
        reason: GoneReason,
    ) -> bool {
        if !self.drop(cx, name, reason) {
            return false;
        }
        if let Some(account) = cx.record().accounts.get(name).and_then(Account::without_address) {
            cx.change(Change::Registered { name: name.clone(), account });
        }
        self.table.set(name, None, false);
        self.tell_everyone(cx);
        true
    }

    fn open<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: Name,
        path: Path,
        (nonce, dialect): (Nonce, Dialect),
    ) -> &Session {
        let id = SessionId(cx.draw());
        let session = Session::new(name.clone(), (id, nonce), path, cx.now(), dialect);
        cx.timers.set(Timer::Lease(name.clone()), cx.now() + session.first_look());
        self.table.set(&name, Some(path.remote), session.is_original());
        if let Some(addr) = session.known_by() {
            self.guests.insert(addr, name.clone());
        }
        self.by_session.insert(id, name.clone());
        self.over.remove(&name);
        debug_assert!(!self.sessions.contains_key(&name), "its session before is dropped");
        self.sessions.entry(name).or_insert(session)
    }

    fn drop<M: Mutations>(&mut self, cx: &mut Context<M>, name: &Name, reason: GoneReason) -> bool {
        let Some(session) = self.sessions.remove(name) else { return false };
        self.by_session.remove(&session.id());
        self.over.insert(name.clone(), session.invited_by());
        if let Some(addr) = session.known_by() {
            self.guests.remove(&addr);
        }
        for timer in [Timer::Lease, Timer::Probe, Timer::Table, Timer::Mail] {
            cx.timers.clear(&timer(name.clone()));
        }
        cx.report(Event::Gone { name: name.clone(), reason });
        true
    }
}

/// What is known of whom.
impl Presence {
    /// The holder of a session, if it calls from its address.
    pub(super) fn authenticate(&self, session: SessionId, from: Path) -> Option<&Name> {
        let name = self.by_session.get(&session)?;
        let holder = self.sessions.get(name)?;
        (holder.remote() == from.remote).then_some(name)
    }

    /// The guest at an address.
    pub(super) fn guest_at(&self, addr: SocketAddr) -> Option<&Name> {
        self.guests.get(&addr)
    }

    /// Who else is known by the address of whoever is to have a name: nobody has two names there.
    pub(super) fn displaced_by(&self, contender: &Contender) -> Option<&Name> {
        let there = self.guests.get(&contender.account.original?)?;
        (*there != contender.name).then_some(there)
    }

    /// Where a client is, if it is here.
    pub(super) fn remote_of(&self, name: &Name) -> Option<SocketAddr> {
        self.sessions.get(name).map(Session::remote)
    }

    /// The way to a client, if it is here.
    pub(super) fn path_of(&self, name: &Name) -> Option<Path> {
        self.sessions.get(name).map(Session::path)
    }

    /// Whether a client is here and knows that.
    pub(super) fn is_confirmed(&self, name: &Name) -> bool {
        self.sessions.get(name).is_some_and(Session::is_confirmed)
    }

    /// How a sender is told what became of its messages, if it is here and knows that.
    pub(super) fn ear(&self, name: &Name) -> Option<Ear> {
        self.sessions.get(name)?.ear()
    }

    pub(super) fn guest(&self, name: &Name) -> Option<&Guest> {
        self.sessions.get(name)?.guest()
    }

    pub(super) fn guest_mut(&mut self, name: &Name) -> Option<&mut Guest> {
        self.sessions.get_mut(name)?.guest_mut()
    }

    /// Who is here.
    pub(super) fn here(&self) -> impl Iterator<Item = &Name> {
        self.sessions.keys()
    }

    /// A name of somebody who is away is known no more. Whoever has it in a table keeps it there.
    pub(super) fn forget(&mut self, name: &Name) {
        self.table.remove(name);
        self.over.remove(name);
    }

    /// Clients that are here.
    pub(super) fn count(&self) -> usize {
        self.sessions.len()
    }

    /// Everyone who ever registered, sorted by name.
    pub(super) fn everyone(&self) -> impl Iterator<Item = &TableEntry> {
        self.table.entries()
    }

    pub(super) fn load(&self) -> [(Gauge, usize); 3] {
        [
            (Gauge::Names, self.table.entries().count()),
            (Gauge::Sessions, self.sessions.len()),
            (Gauge::Flights, self.sessions.values().map(Session::flights).sum()),
        ]
    }
}

/// What happens to a client that is here.
impl Presence {
    /// A client was heard of, at its address: its lease is renewed.
    pub(super) fn renew<M: Mutations>(&mut self, cx: &Context<M>, name: &Name, from: Path) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.renew(cx.now(), from);
        }
    }

    /// Learns from an answer how long the way to a client and back takes.
    pub(super) fn measure<M: Mutations>(
        &mut self,
        cx: &Context<M>,
        from: SocketAddr,
        packet: &Packet,
        stamps: Stamps,
    ) {
        let Some(trip) = packet.kind().measures() else { return };
        let Some(took) = cx.round_trip(stamps) else { return };
        let name = packet.session().and_then(|session| self.by_session.get(&session));
        let session = name.and_then(|name| self.sessions.get_mut(name));
        if let Some(session) = session.filter(|session| session.remote() == from) {
            session.measured(trip, took);
        }
    }

    /// A client knows its session. Whether that is news.
    pub(super) fn confirm(&mut self, name: &Name) -> bool {
        self.sessions.get_mut(name).is_some_and(Session::confirm)
    }

    pub(super) fn check_lease<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
    ) -> Option<Next> {
        self.sessions.get_mut(name)?.check_lease(cx)
    }

    /// Asks whether a client is there. If it is silent, it is away, and `contender` has the name.
    pub(super) fn probe<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
        contender: Option<Contender>,
    ) -> Option<Next> {
        let session = self.sessions.get_mut(name)?;
        if contender.is_none() {
            if !session.can_be_asked() {
                return None;
            }
            if cx.has(Mutation::OneWayIsOffline) {
                return Some(Next::End { name: name.clone(), reason: GoneReason::Silent });
            }
        }
        session.probe(cx, contender)
    }

    pub(super) fn probe_again<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
    ) -> Option<Next> {
        self.sessions.get_mut(name)?.probe_again(cx)
    }

    pub(super) fn probe_answered<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
        nonce: Nonce,
    ) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.probe_answered(cx, nonce);
        }
    }

    /// The guest at an address acknowledges whatever it was sent last.
    pub(super) fn guest_acked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
    ) -> Option<Next> {
        let session = self.sessions.get_mut(name)?;
        session.guest_acked(cx, &self.table, &mut self.guest_tables)
    }

    /// Sends a reader what is due of what is kept for it.
    pub(super) fn hand_over<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        reader: &Name,
        first_undurable: u64,
    ) -> Option<Next> {
        self.sessions.get_mut(reader)?.hand_over(cx, first_undurable)
    }

    /// A reader has seen everything of a stream up to a place.
    pub(super) fn settled<M: Mutations>(
        &mut self,
        cx: &Context<M>,
        reader: &Name,
        key: &StreamKey,
        seq: u64,
    ) {
        if let Some(session) = self.sessions.get_mut(reader) {
            session.settled(cx, key, seq);
        }
    }
}
