//! Which dialect a client speaks, and all that follows from that: the one place that asks.
//!
//! Every other part of the server treats all clients alike.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::contender::Contender;
use super::super::context::{Context, Timer};
use super::super::next::Next;
use super::super::receipts::Ear;
use super::super::table::Table;
use super::super::timing::{GUEST_PROBES, LEASE, PROBES};
use super::super::{Account, GoneReason};
use super::Session;
use super::deliveries::Deliveries;
use super::guest::{self, Guest, GuestTables};
use super::probe::Probe;
use super::table_sync::TableSync;
use crate::mutation::{Mutation, Mutations};
use crate::original::Owed;
use crate::protocol::{Nonce, Packet, PacketKind, Refusal, StreamKey, TableId, Token, Trip};

/// What there is to know of a client by its dialect.
#[derive(Debug)]
pub(in crate::server) enum Dialect {
    Ours(Ours),
    Original(Guest),
}

/// A client of ours.
#[derive(Debug, Default)]
pub(in crate::server) struct Ours {
    table: TableSync,
    deliveries: Deliveries,
}

impl Dialect {
    /// That of whoever has just registered.
    pub(in crate::server) fn of(contender: &Contender) -> Self {
        match contender.account.original {
            None => Self::Ours(Ours::default()),
            Some(_) => Self::Original(Guest::proven(contender.owed)),
        }
    }

    /// That of a guest whom an earlier life of this server knew.
    pub(in crate::server) fn of_guest_before<M: Mutations>(cx: &Context<M>) -> Self {
        Self::Original(if cx.has(Mutation::TrustsGuestsBefore) {
            Guest::proven(Owed::default())
        } else {
            Guest::default()
        })
    }
}

impl Account {
    /// Whether its holder speaks the original's dialect.
    pub(in crate::server) const fn is_original(&self) -> bool {
        self.original.is_some()
    }

    /// The token of accounts whose holders have none to show. Whoever of ours shows it holds no
    /// account by it.
    pub const GUEST: Token = Token(0);

    /// That of a guest at an address.
    pub(in crate::server) const fn of_guest_at(addr: SocketAddr) -> Self {
        Self { token: Self::GUEST, registration: 1, original: Some(addr) }
    }

    /// Whether no client of ours has held its name: a guest may.
    pub(in crate::server) fn is_guests(&self) -> bool {
        self.is_original() || self.token == Self::GUEST
    }

    /// Whether whoever shows the other account holds this one's name. Guests show nothing but where
    /// they are, which is no secret.
    pub(in crate::server) fn is_held_by(&self, other: &Self) -> bool {
        self.token == other.token && !self.is_guests() && !other.is_guests()
    }

    /// What is left of it when its holder is gone, if that is less: a guest is not where it was.
    pub(in crate::server) fn without_address(&self) -> Option<Self> {
        self.is_original().then_some(Self { original: None, ..*self })
    }
}

impl Session {
    pub(in crate::server) const fn is_original(&self) -> bool {
        matches!(self.dialect, Dialect::Original(_))
    }

    /// Where it is, if that is all that its requests tell of who it is.
    pub(in crate::server) const fn known_by(&self) -> Option<SocketAddr> {
        match &self.dialect {
            Dialect::Ours(_) => None,
            Dialect::Original(_) => Some(self.client.path.remote),
        }
    }

    pub(in crate::server) const fn guest(&self) -> Option<&Guest> {
        match &self.dialect {
            Dialect::Ours(_) => None,
            Dialect::Original(guest) => Some(guest),
        }
    }

    pub(in crate::server) const fn guest_mut(&mut self) -> Option<&mut Guest> {
        match &mut self.dialect {
            Dialect::Ours(_) => None,
            Dialect::Original(guest) => Some(guest),
        }
    }

    /// Its registration is granted; `back` if its name was known before.
    pub(in crate::server) fn answer_registered<M: Mutations>(
        &self,
        cx: &mut Context<M>,
        to: &Contender,
        back: bool,
    ) {
        let &Contender { path, nonce, account: Account { registration, .. }, .. } = to;
        match &self.dialect {
            Dialect::Ours(_) => {
                let (session, store) = (self.client.id, cx.record().store);
                let packet = Packet::Registered { registration, nonce, session, store, back };
                cx.send(path, &packet, 1);
            }
            Dialect::Original(_) => guest::acknowledge(cx, path, PacketKind::Registered),
        }
    }

    /// Whether it is taken to know its session at once, for its dialect has no word for that.
    pub(in crate::server) const fn needs_no_proof(&self) -> bool {
        self.is_original()
    }

    /// Until its lease is looked at first.
    pub(in crate::server) const fn first_look(&self) -> Duration {
        match &self.dialect {
            Dialect::Ours(_) => LEASE,
            Dialect::Original(guest) => guest.first_look(),
        }
    }

    pub(in crate::server) fn check_lease<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
    ) -> Option<Next> {
        let (end, name) = (self.heard + LEASE, self.client.name.clone());
        if end <= cx.now() {
            return Some(Next::End { name, reason: GoneReason::LeaseExpired });
        }
        let look_at = match &mut self.dialect {
            Dialect::Ours(_) => end,
            Dialect::Original(guest) => guest.renew_lease(cx, &self.client, self.heard),
        };
        cx.timers.set(Timer::Lease(name), look_at);
        None
    }

    /// Whether a question would tell anything.
    pub(in crate::server) fn can_be_asked(&self) -> bool {
        match &self.dialect {
            Dialect::Ours(_) => true,
            Dialect::Original(guest) => guest.can_be_asked(),
        }
    }

    /// Questions without an answer after which it is away.
    pub(super) fn questions_max(&self) -> u32 {
        match &self.dialect {
            Dialect::Original(_) if !self.probe.as_ref().is_some_and(Probe::is_contended) => {
                GUEST_PROBES
            }
            Dialect::Ours(_) | Dialect::Original(_) => PROBES,
        }
    }

    pub(super) fn ask<M: Mutations>(&mut self, cx: &mut Context<M>, nonce: Nonce, attempt: u32) {
        match &mut self.dialect {
            // A question tells nothing.
            Dialect::Ours(_) => cx.send_now(self.client.path, &Packet::Probe { nonce }, attempt),
            Dialect::Original(guest) => guest.ping(cx, &self.client),
        }
    }

    /// Whether it is told of a change of the table at once: of ours, whoever has something on its
    /// way hears of it when that has arrived.
    pub(in crate::server) const fn hears_of_changes(&self) -> bool {
        match &self.dialect {
            Dialect::Ours(ours) => ours.table.is_idle(),
            Dialect::Original(_) => true,
        }
    }

    /// Sends it what it lacks of the table.
    pub(in crate::server) fn sync_table<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        table: &Table,
        limits: &mut GuestTables,
    ) {
        if !self.confirmed {
            return;
        }
        match &mut self.dialect {
            Dialect::Ours(ours) => {
                ours.table.sync(cx, table, &self.client, self.trips.timeout(Trip::Network));
            }
            Dialect::Original(guest) => guest.sync_table(cx, table, limits, &self.client),
        }
    }

    /// It says which version of the table it has.
    pub(in crate::server) fn table_acked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        table: &Table,
        limits: &mut GuestTables,
        version: (TableId, u64),
    ) {
        let timeout = self.trips.timeout(Trip::Network);
        let lacks_some = match &mut self.dialect {
            Dialect::Ours(ours) => ours.table.acked(cx, table, &self.client, timeout, version),
            Dialect::Original(_) => false, // Its dialect has no such word.
        };
        if lacks_some {
            self.sync_table(cx, table, limits);
        }
    }

    /// A guest: whatever was sent last from the second socket has arrived.
    pub(in crate::server) fn guest_acked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        table: &Table,
        limits: &mut GuestTables,
    ) -> Option<Next> {
        let Dialect::Original(guest) = &mut self.dialect else { return None };
        let message = guest.acked(cx, table, limits, &self.client);
        if let Some(nonce) = self.probe.as_ref().map(Probe::nonce) {
            self.probe_answered(cx, nonce);
        }
        let reader = self.client.name.clone();
        Some(match message {
            Some((key, seq)) => Next::Shown { reader, key, seq },
            None => Next::HandOver(reader),
        })
    }

    /// Sends it what is due of what is kept for it.
    pub(in crate::server) fn hand_over<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        first_undurable: u64,
    ) -> Option<Next> {
        if !self.confirmed {
            return None;
        }
        let timeout = self.trips.timeout(Trip::Disk);
        match &mut self.dialect {
            Dialect::Ours(ours) => {
                ours.deliveries.hand_over(cx, &self.client, timeout, first_undurable)
            }
            Dialect::Original(guest) => guest.hand_over(cx, &self.client, first_undurable),
        }
    }

    /// It has seen everything of a stream up to a place.
    pub(in crate::server) fn settled<M: Mutations>(
        &mut self,
        cx: &Context<M>,
        key: &StreamKey,
        seq: u64,
    ) {
        match &mut self.dialect {
            Dialect::Ours(ours) => ours.deliveries.settled(cx, key, seq),
            Dialect::Original(_) => {}
        }
    }

    /// Messages on their way to it, counted by whoever looks at what is held in memory.
    pub(in crate::server) fn flights(&self) -> usize {
        match &self.dialect {
            Dialect::Ours(ours) => ours.deliveries.len(),
            Dialect::Original(_) => 0,
        }
    }

    /// How it is told what became of its messages, once it knows its session.
    pub(in crate::server) fn ear(&self) -> Option<Ear> {
        let (path, timeout) = (self.client.path, self.trips.timeout(Trip::Disk));
        self.confirmed.then_some(match &self.dialect {
            Dialect::Ours(_) => Ear::Hears { path, timeout },
            Dialect::Original(_) => Ear::SentNothing,
        })
    }
}

impl Session {
    /// The timers that it waits for by its dialect.
    pub(super) fn check_dialect<M: Mutations>(
        &self,
        cx: &Context<M>,
        table: (&Table, u64),
        first_undurable: u64,
    ) -> Vec<Timer> {
        match &self.dialect {
            Dialect::Ours(ours) if self.confirmed => {
                let syncs = ours.table.check_invariants(table, &self.client);
                let sends = ours.deliveries.check_invariants(cx, &self.client, first_undurable);
                syncs.into_iter().chain(sends).collect()
            }
            Dialect::Ours(ours) => {
                let is_idle = ours.table.is_idle() && ours.deliveries.len() == 0;
                assert!(is_idle, "sent more than it sends before it knows its session");
                Vec::new()
            }
            Dialect::Original(guest) => guest.check_invariants(cx, &self.client, first_undurable),
        }
    }
}

impl Contender {
    /// It has to wait for the answer of the name's holder.
    pub(super) fn wait<M: Mutations>(&self, cx: &mut Context<M>) {
        if !self.account.is_original() {
            let (registration, nonce) = (self.account.registration, self.nonce);
            // Nothing is granted yet.
            cx.send_now(self.path, &Packet::Wait { registration, nonce }, 1);
        }
    }

    /// It has registered before with a number as high as this one, and does not know that.
    pub(in crate::server) fn tell_known<M: Mutations>(&self, cx: &mut Context<M>, known: u64) {
        if self.account.is_original() {
            return;
        }
        let (registration, nonce, token) =
            (self.account.registration, self.nonce, self.account.token);
        let answered = cx.record().membership.answered(&self.name);
        let request = answered.filter(|last| last.token == token).map_or(0, |last| last.request);
        cx.send(self.path, &Packet::Behind { registration, nonce, known, request }, 1);
    }

    pub(in crate::server) fn refuse<M: Mutations>(&self, cx: &mut Context<M>, reason: Refusal) {
        cx.counters.dropped.refused += 1;
        if self.account.is_original() {
            let text = guest::refusal(&self.name, reason);
            return guest::tell(cx, self.path, PacketKind::Refused, &text);
        }
        let (registration, nonce) = (self.account.registration, self.nonce);
        // Nothing is changed by it, and whoever asks again is asked for again.
        cx.send_now(self.path, &Packet::Refused { registration, nonce, reason }, 1);
    }
}
