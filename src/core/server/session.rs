//! What the server knows of a client that is here. Nothing of it outlives a restart.
//!
//! What differs by the dialect that the client speaks is in [`dialect`], and nowhere else.

mod deliveries;
mod dialect;
pub(super) mod guest;
mod probe;
mod table_sync;

use std::net::SocketAddr;
use std::time::Duration;

pub(super) use dialect::Dialect;
pub(super) use guest::GuestTables;

use super::contender::Contender;
use super::context::{Context, Timer};
use super::next::Next;
use super::table::Table;
use super::timing::PROBE_INTERVAL;
use crate::machine::Path;
use crate::mutation::Mutations;
use crate::protocol::{Name, Nonce, SessionId, Trip};
use crate::retransmission::RoundTrips;
use crate::time::Time;
use probe::Probe;

/// A client that is here.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    /// The hello that it began with.
    invited_by: Nonce,
    /// It has shown that it knows its session: now it may be sent more than it sends.
    confirmed: bool,
    /// When it was last heard of.
    heard: Time,
    /// The question that it has to answer.
    probe: Option<Probe>,
    /// The round trip to it, and the same with its commits.
    trips: RoundTrips,
    dialect: Dialect,
}

/// Whom the parts of a session talk with.
#[derive(Debug)]
struct Client {
    name: Name,
    id: SessionId,
    /// Where it is, and at which address of this machine it last asked.
    path: Path,
}

impl Session {
    pub(super) fn new(
        name: Name,
        (id, invited_by): (SessionId, Nonce),
        path: Path,
        now: Time,
        dialect: Dialect,
    ) -> Self {
        Self {
            client: Client { name, id, path },
            invited_by,
            confirmed: false,
            heard: now,
            probe: None,
            trips: RoundTrips::default(),
            dialect,
        }
    }

    pub(super) const fn name(&self) -> &Name {
        &self.client.name
    }

    pub(super) const fn id(&self) -> SessionId {
        self.client.id
    }

    pub(super) const fn path(&self) -> Path {
        self.client.path
    }

    pub(super) const fn remote(&self) -> SocketAddr {
        self.client.path.remote
    }

    /// The nonce of the hello before it.
    pub(super) const fn invited_by(&self) -> Nonce {
        self.invited_by
    }

    /// Whether it is what a registration after this hello was granted.
    pub(super) fn is_granted_to(&self, nonce: Nonce) -> bool {
        self.invited_by == nonce
    }

    pub(super) const fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// It knows its session. Whether that is news.
    pub(super) const fn confirm(&mut self) -> bool {
        !std::mem::replace(&mut self.confirmed, true)
    }

    /// It was heard of, at its address: its lease begins anew.
    pub(super) fn renew(&mut self, now: Time, path: Path) {
        debug_assert_eq!(path.remote, self.remote(), "who calls from elsewhere is somebody else");
        (self.heard, self.client.path) = (now, path);
    }

    /// Its answer took so long.
    pub(super) fn measured(&mut self, trip: Trip, took: Duration) {
        self.trips.sample(trip, took);
    }

    /// Asks it whether it is there. If it is silent, it is away, and `contender` has the name.
    pub(super) fn probe<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        contender: Option<Contender>,
    ) -> Option<Next> {
        if let Some(contender) = &contender {
            contender.wait(cx);
        }
        if let Some(probe) = &mut self.probe {
            if contender.is_some() {
                probe.contend(contender);
            }
            return None; // It is being asked already.
        }
        self.probe = Some(Probe::new(Nonce(cx.draw()), contender));
        self.probe_again(cx)
    }

    pub(super) fn probe_again<M: Mutations>(&mut self, cx: &mut Context<M>) -> Option<Next> {
        let questions = self.questions_max();
        let probe = self.probe.as_mut()?;
        if let Some(attempt) = probe.ask(questions) {
            let nonce = probe.nonce();
            self.ask(cx, nonce, attempt);
            let due = cx.now() + PROBE_INTERVAL;
            cx.timers.set(Timer::Probe(self.client.name.clone()), due);
            return None;
        }
        let contender = self.probe.take().and_then(Probe::into_contender);
        Some(Next::Silent { name: self.client.name.clone(), contender })
    }

    /// It has answered a question: whoever wanted its name does not get it.
    pub(super) fn probe_answered<M: Mutations>(&mut self, cx: &mut Context<M>, nonce: Nonce) {
        let Some(probe) = self.probe.take_if(|probe| probe.nonce() == nonce) else { return };
        cx.timers.clear(&Timer::Probe(self.client.name.clone()));
        if let Some(contender) = probe.into_contender() {
            contender.lost(cx);
        }
    }
}

/// What must hold between two inputs.
impl Session {
    /// The timers that it waits for.
    pub(super) fn check_invariants<M: Mutations>(
        &self,
        cx: &Context<M>,
        name: &Name,
        table: (&Table, u64),
        first_undurable: u64,
    ) -> Vec<Timer> {
        assert_eq!(self.client.name, *name, "whose session it is");
        assert!(self.heard <= cx.now(), "{name} is heard of before that is so");
        let mut timers = vec![Timer::Lease(name.clone())];
        timers.extend(self.probe.as_ref().map(|_| Timer::Probe(name.clone())));
        timers.extend(self.check_dialect(cx, table, first_undurable));
        timers
    }
}
