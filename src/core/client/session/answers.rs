//! What the server says of the session, and what follows.

use std::net::SocketAddr;

use super::{Dialect, Invitation, Phase, Session};
use crate::client::context::Context;
use crate::client::record::Home;
use crate::client::timing::PING;
use crate::client::wire::Dispatch;
use crate::client::{Change, Event, Problem, Timer};
use crate::mutation::{Mutation, Mutations};
use crate::protocol::limits::{FORGOTTEN_MAX, SEQ_MAX};
use crate::protocol::{Cookie, Nonce, Refusal, SessionId, StoreId, Trip};
use crate::time::Time;

/// What follows from the server's grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Grant {
    /// Nothing: nobody waits for one.
    Stray,
    /// The user has left meanwhile, or turns away: it is to be given back.
    Unwanted,
    /// The same, for what is kept here is for another server's users.
    KeptForAnother,
    /// The user is there. What an earlier store saved is not saved any more.
    Here { store_is_new: bool },
}

impl Session {
    /// The server has been heard of. Whether the user had been told that it is silent.
    fn note_heard(&mut self) -> bool {
        self.asking_since = None;
        self.whereabouts.note_heard();
        self.heard = true;
        std::mem::replace(&mut self.silence_told, false)
    }

    /// Somebody answers a hello of ours. Whether it is one that waits for its answer.
    pub(in crate::client) fn accept_challenge(
        &mut self,
        now: Time,
        from: SocketAddr,
        nonce: Nonce,
    ) -> bool {
        let Phase::Hello { nonce: own, attempts } = self.phase else { return false };
        if nonce != own || self.hellos_to(from) == 0 {
            return false;
        }
        if attempts == 1 && !self.whereabouts.has_others() {
            // Of more than one it would not be known which is answered (Karn's algorithm).
            self.measured(Trip::Network, now - self.first_try);
        }
        true
    }

    /// One of the addresses that were asked has a server, which speaks this dialect.
    pub(in crate::client) fn hello_answered<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        from: SocketAddr,
        cookie: Cookie,
    ) -> Option<Dispatch> {
        self.whereabouts.settle_on(from);
        self.note_heard();
        let registration = (context.record().registrations + 1).min(SEQ_MAX - 1);
        context.change(Change::Registering { registration });
        let nonce = match self.phase {
            Phase::Hello { nonce, .. } => nonce,
            _ => Nonce::default(),
        };
        self.invited_by = Some(nonce);
        self.phase = Phase::Joining { invitation: Invitation { nonce, cookie }, attempts: 0 };
        self.ask(context, dialect)
    }

    /// Whether an answer to a registration is one to the last that was begun: nobody else can echo
    /// the nonce but who has seen it.
    pub(in crate::client) fn is_invited_by<M: Mutations>(
        &self,
        context: &Context<M>,
        nonce: Nonce,
    ) -> bool {
        self.invited_by == Some(nonce) || context.has(Mutation::AnswersWithoutNonce)
    }

    /// The name's holder is being asked: no silence, and no reason to start over.
    pub(in crate::client) fn told_to_wait(&mut self, now: Time) {
        if let Phase::Joining { attempts, .. } = &mut self.phase {
            *attempts = 1;
            self.first_try = now;
            self.note_heard();
        }
    }

    /// The registration that was asked for last is granted. `keeps_anything`: there is something
    /// that a server is to hear of.
    pub(in crate::client) fn granted<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        (session, store, back): (SessionId, StoreId, bool),
        keeps_anything: bool,
    ) -> Grant {
        match self.phase {
            Phase::Offline | Phase::Withdrawing { .. } => return Grant::Unwanted,
            Phase::Joining { .. } => {}
            Phase::Hello { .. } | Phase::Online { .. } | Phase::Leaving { .. } => {
                return Grant::Stray;
            }
        }
        self.note_heard();
        self.asked = None;
        let here = Home { server: self.whereabouts.server(), store };
        match context.record().home {
            Some(home) if home.is_another_than(here) && keeps_anything => {
                context.problem(Problem::KeptForAnother(home.server));
                return Grant::KeptForAnother;
            }
            Some(home) if home == here => {}
            // With what is typed next, at the latest: nothing is sent before that is durable.
            _ => context.change_lazily(Change::Arrived { home: here }),
        }
        self.ever_registered = true;
        self.phase = Phase::Online { session, attempts: 0 };
        let name = context.config().name.clone();
        context.tell(Event::Registered { name, back });
        let store_is_new = self.store.replace(store).is_some_and(|old| old != store);
        Grant::Here { store_is_new }
    }

    /// The registration that was asked for last is refused. Whether anybody waits for it.
    pub(in crate::client) fn refused<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        reason: Refusal,
    ) -> bool {
        let is_awaited = matches!(self.phase, Phase::Joining { .. });
        if is_awaited {
            self.note_heard();
            let name = context.config().name.clone();
            context.problem(match reason {
                Refusal::NameInUse => Problem::NameInUse(name),
                Refusal::ServerFull => Problem::ServerFull,
                Refusal::TooManyNames { minutes } => Problem::TooManyNames(minutes),
                Refusal::DiskFull => Problem::ServerDiskFull,
            });
        }
        if is_awaited || matches!(self.phase, Phase::Withdrawing { .. }) {
            self.signed_out(context);
        }
        is_awaited
    }

    /// The server knows a higher registration of this client than this client does, which remembers
    /// each before it uses it: what it remembers is an older copy. It goes on above that. Whether
    /// this is news.
    pub(in crate::client) fn handle_behind<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        known: u64,
    ) -> bool {
        if !matches!(self.phase, Phase::Joining { .. }) || known > FORGOTTEN_MAX {
            return false;
        }
        context.change(Change::Registering { registration: known });
        !std::mem::replace(&mut self.is_old_copy, true)
    }

    /// A ping was answered. Whether the user had been told that the server is silent.
    pub(in crate::client) fn ping_answered<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
    ) -> bool {
        let Phase::Online { attempts, .. } = &mut self.phase else { return false };
        *attempts = 0;
        self.pongs += 1;
        context.timers.set(Timer::Session, context.time() + PING);
        self.note_heard()
    }

    /// The server knows this session no more: it has restarted, or the lease has ended.
    pub(in crate::client) fn handle_unknown<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        session: SessionId,
    ) -> Option<Dispatch> {
        match self.phase {
            Phase::Online { session: own, .. } if own == session => {
                return self.sign_in(context, dialect);
            }
            Phase::Leaving { session: own, .. } if own == session => self.signed_out(context),
            _ => {}
        }
        None
    }

    /// The server says that a registration is over.
    pub(in crate::client) fn handle_deregistered<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        session: SessionId,
    ) {
        if matches!(self.phase, Phase::Leaving { session: own, .. } if own == session) {
            self.signed_out(context);
        }
    }
}
