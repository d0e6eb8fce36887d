//! The client's standing with its server: signing in, staying, signing out.
//!
//! docs/protocol.md, "Registration". What the server is asked is returned, and sent by whoever
//! asked; what follows for others is returned as well.

mod answers;
mod whereabouts;

use std::net::SocketAddr;
use std::time::Duration;

use super::context::Context;
use super::record::Home;
use super::timing::{HELLO_NEXT, SERVER_LOST, SERVER_SILENT, SIGN_PATIENCE};
use super::wire::Dispatch;
use super::{ClientConfig, Event, Problem, Timer, UnsentReason};
use crate::mutation::Mutations;
use crate::protocol::{Cookie, Nonce, Packet, SessionId, StoreId, Trip, hello};
use crate::retransmission::{RTO_MAX, RoundTrip, RoundTrips, pause};
use crate::time::Time;

pub(super) use answers::Grant;
pub(super) use whereabouts::Foreign;
pub use whereabouts::Tried;
use whereabouts::Whereabouts;

/// The standing with the server.
#[derive(Debug)]
pub(super) struct Session {
    phase: Phase,
    whereabouts: Whereabouts,
    /// Since when an answer is owed.
    asking_since: Option<Time>,
    /// When what is asked now was asked first.
    first_try: Time,
    /// The round trip to the server, and the same with a commit of its.
    trips: RoundTrips,
    /// The user knows that none comes.
    silence_told: bool,
    /// Whether it was granted the name at any time.
    ever_registered: bool,
    /// The life of the store that knows what was saved.
    store: Option<StoreId>,
    /// How many pings were answered.
    pongs: u64,
    /// The registration that was asked for last, and when, if the answer has not come.
    asked: Option<(Invitation, Time)>,
    /// The hello of the registration that was begun last.
    invited_by: Option<Nonce>,
    /// What it remembers is known to be an older copy.
    is_old_copy: bool,
    /// The server has answered anything.
    heard: bool,
    /// The user knows that they are offline, or never was anything else.
    offline_told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not there, and not wanting to be.
    Offline,
    /// Asking for a cookie, so many times at each of the server's addresses.
    Hello { nonce: Nonce, attempts: u32 },
    /// Bringing the cookie back.
    Joining { invitation: Invitation, attempts: u32 },
    /// There; so many pings have not been answered.
    Online { session: SessionId, attempts: u32 },
    /// On the way out, perhaps registered: the answer that says so is asked for.
    Withdrawing { invitation: Invitation, attempts: u32 },
    /// On the way out.
    Leaving { session: SessionId, attempts: u32 },
}

/// What a hello was answered with, to be shown in `register`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Invitation {
    /// The hello's: every answer to the registration echoes it.
    nonce: Nonce,
    cookie: Cookie,
}

/// Which protocol the server speaks, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// This one.
    Own,
    /// The original program's.
    Original,
}

/// How the client stands with its server, for those who send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Where the server is.
    pub(super) server: SocketAddr,
    pub(super) dialect: Dialect,
    /// The session, while there is one.
    pub(super) session: Option<SessionId>,
    /// Whether the user takes part: here, or on the way (back) in.
    pub(super) takes_part: bool,
    /// Why nothing is heard of the server, if nothing is.
    pub(super) silence: Option<UnsentReason>,
    /// Whether the user knows that nothing is heard.
    pub(super) is_silent: bool,
    /// How many pings were answered.
    pub(super) pongs: u64,
    /// How long the server's answer is waited for that needs its disk.
    pub(super) disk_timeout: Duration,
    /// The round trip to the server's disk.
    pub(super) disk_trip: RoundTrip,
}

impl Session {
    /// Begins where the server was last, if that is still one of its addresses.
    pub(super) fn new(config: &ClientConfig, home: Option<Home>) -> Self {
        Self {
            phase: Phase::Offline,
            whereabouts: Whereabouts::new(config, home.map(|home| home.server)),
            asking_since: None,
            first_try: Time::ZERO,
            trips: RoundTrips::default(),
            silence_told: false,
            ever_registered: false,
            store: None,
            pongs: 0,
            asked: None,
            invited_by: None,
            is_old_copy: false,
            heard: false,
            offline_told: true,
        }
    }

    pub(super) fn standing(&self, now: Time, dialect: Dialect) -> Standing {
        Standing {
            server: self.whereabouts.server(),
            dialect,
            session: self.id(),
            takes_part: self.takes_part(),
            silence: self.why_silent(now),
            is_silent: self.silence_told,
            pongs: self.pongs,
            disk_timeout: self.timeout(Trip::Disk, dialect),
            disk_trip: self.trips.disk(),
        }
    }

    /// Where the server is: whoever answered a hello last.
    pub(super) const fn server(&self) -> SocketAddr {
        self.whereabouts.server()
    }

    pub(super) const fn id(&self) -> Option<SessionId> {
        match self.phase {
            Phase::Online { session, .. } => Some(session),
            _ => None,
        }
    }

    /// Whether the user takes part: here, or on the way (back) in.
    pub(super) const fn takes_part(&self) -> bool {
        matches!(self.phase, Phase::Hello { .. } | Phase::Joining { .. } | Phase::Online { .. })
    }

    /// Whether a registration is being asked for, to be kept or given back.
    pub(super) const fn is_joining(&self) -> bool {
        matches!(self.phase, Phase::Joining { .. } | Phase::Withdrawing { .. })
    }

    /// Whether the end of the registration is being asked for.
    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    pub(super) const fn is_offline(&self) -> bool {
        matches!(self.phase, Phase::Offline)
    }

    /// Whether it was granted the name at any time.
    pub(super) const fn ever_registered(&self) -> bool {
        self.ever_registered
    }

    /// The life of the store that knows what was saved.
    pub(super) const fn store(&self) -> Option<StoreId> {
        self.store
    }

    /// How often what is asked now was asked.
    const fn attempts(&self) -> u32 {
        match self.phase {
            Phase::Offline => 0,
            Phase::Hello { attempts, .. }
            | Phase::Joining { attempts, .. }
            | Phase::Online { attempts, .. }
            | Phase::Withdrawing { attempts, .. }
            | Phase::Leaving { attempts, .. } => attempts,
        }
    }

    /// How many hellos an address has got, of those that may be answered now.
    pub(super) fn hellos_to(&self, addr: SocketAddr) -> u32 {
        match self.phase {
            Phase::Hello { attempts, .. } => self.whereabouts.hellos_to(addr, attempts),
            _ => 0,
        }
    }

    /// The server's answer took so long.
    pub(super) fn measured(&mut self, trip: Trip, took: Duration) {
        self.trips.sample(trip, took);
    }

    /// How long an answer of the server is waited for before it is asked again.
    fn timeout(&self, trip: Trip, dialect: Dialect) -> Duration {
        match dialect {
            Dialect::Own => self.trips.timeout(trip),
            // Its answers do not tell what they answer.
            Dialect::Original => RTO_MAX,
        }
    }

    /// Why nothing is heard of the server, if nothing is.
    fn why_silent(&self, now: Time) -> Option<UnsentReason> {
        match self.phase {
            Phase::Offline | Phase::Withdrawing { .. } | Phase::Leaving { .. } => {
                Some(UnsentReason::Offline)
            }
            Phase::Hello { .. } | Phase::Joining { .. } => Some(UnsentReason::ServerNotResponding),
            Phase::Online { .. } => {
                let is_silent = self.asking_since.is_some_and(|at| now - at >= SERVER_SILENT);
                is_silent.then_some(UnsentReason::ServerNotResponding)
            }
        }
    }

    /// Whether the server answers, as far as is known.
    pub(super) fn is_answered(&self, now: Time) -> bool {
        self.heard && self.asking_since.is_none_or(|since| now - since < SERVER_SILENT)
    }

    /// Begins to sign in.
    pub(super) fn sign_in<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
    ) -> Option<Dispatch> {
        let nonce = Nonce(context.draw());
        self.phase = Phase::Hello { nonce, attempts: 0 };
        self.whereabouts.start_over();
        self.offline_told = false;
        self.ask(context, dialect)
    }

    /// Begins to sign out.
    pub(super) fn sign_out<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
    ) -> Option<Dispatch> {
        match self.phase {
            Phase::Online { session, .. } => {
                self.phase = Phase::Leaving { session, attempts: 0 };
                return self.ask(context, dialect);
            }
            Phase::Withdrawing { .. } | Phase::Leaving { .. } => {}
            Phase::Offline | Phase::Hello { .. } | Phase::Joining { .. } => match self.asked {
                // It may be granted yet: then it is given back, and nobody's ghost stays here.
                Some((invitation, at)) if context.time() - at < SERVER_SILENT => {
                    self.phase = Phase::Withdrawing { invitation, attempts: 0 };
                    let pause = self.timeout(Trip::Disk, dialect);
                    context.timers.set(Timer::Session, context.time() + pause);
                }
                _ => self.signed_out(context),
            },
        }
        None
    }

    /// Gives back what was granted.
    pub(super) fn give_back<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        session: SessionId,
    ) -> Option<Dispatch> {
        self.phase = Phase::Leaving { session, attempts: 0 };
        (self.asked, self.asking_since) = (None, None);
        self.ask(context, dialect)
    }

    /// It is over, with or without the server's word.
    pub(super) fn signed_out<M: Mutations>(&mut self, context: &mut Context<M>) {
        context.timers.clear(&Timer::Session);
        self.asking_since = None;
        self.silence_told = false;
        self.asked = None;
        self.phase = Phase::Offline;
        let told = std::mem::replace(&mut self.offline_told, true);
        if !told && self.ever_registered {
            context.tell(Event::Offline);
        }
    }

    /// What the server is to be asked now, if anything.
    pub(super) fn ask<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
    ) -> Option<Dispatch> {
        let attempts_before = self.attempts();
        let attempts = match &mut self.phase {
            Phase::Offline => return None,
            Phase::Hello { attempts, .. } if self.whereabouts.is_within_round() => *attempts,
            Phase::Hello { attempts, .. }
            | Phase::Joining { attempts, .. }
            | Phase::Online { attempts, .. }
            | Phase::Withdrawing { attempts, .. }
            | Phase::Leaving { attempts, .. } => {
                *attempts += 1;
                *attempts
            }
        };
        let now = context.time();
        if attempts_before == 0 {
            self.first_try = now;
        }
        let asking_since = *self.asking_since.get_or_insert(now);
        let patience = match self.phase {
            Phase::Online { .. } => SERVER_LOST,
            _ => SERVER_SILENT,
        };
        if now - asking_since >= patience {
            self.tell_silence(context);
            self.look_up(context);
        }
        self.ask_in_phase(context, dialect, attempts)
    }

    /// The question that belongs to the phase, asked so often.
    fn ask_in_phase<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        attempts: u32,
    ) -> Option<Dispatch> {
        let elapsed = context.time() - self.first_try;
        let (dispatch, pause) = match self.phase {
            Phase::Offline => return None,
            Phase::Hello { nonce, .. } => {
                let to = self.whereabouts.next();
                let bytes = hello::encode(nonce);
                let hello = Some(Dispatch::Hello { to, bytes, attempt: attempts });
                let pause = match self.whereabouts.is_within_round() {
                    true => HELLO_NEXT,
                    false => self.quick_then_slow(context, dialect, elapsed, SIGN_PATIENCE),
                };
                (hello, pause)
            }
            Phase::Joining { .. } if elapsed >= SIGN_PATIENCE => {
                // The next one tries first: this one answers hellos, and nothing else.
                self.whereabouts.put_last();
                return self.sign_in(context, dialect);
            }
            Phase::Withdrawing { .. } | Phase::Leaving { .. } if elapsed >= SIGN_PATIENCE => {
                self.tell_silence(context);
                self.signed_out(context);
                return None;
            }
            Phase::Joining { invitation, .. } | Phase::Withdrawing { invitation, .. } => {
                self.asked = Some((invitation, context.time()));
                let Invitation { nonce, cookie } = invitation;
                let name = context.config().name.clone();
                let (token, registration) =
                    (context.record().token, context.record().registrations);
                let packet = Packet::Register { name, token, registration, nonce, cookie };
                let pause = pause(self.timeout(Trip::Disk, dialect), elapsed, RTO_MAX);
                (Some(Dispatch::to_server(packet, attempts)), pause)
            }
            Phase::Online { session, .. } => {
                let pause = self.quick_then_slow(context, dialect, elapsed, SERVER_LOST);
                (Some(Dispatch::to_server(Packet::Ping { session }, attempts)), pause)
            }
            Phase::Leaving { session, .. } => {
                let pause = pause(self.timeout(Trip::Network, dialect), elapsed, RTO_MAX);
                (Some(Dispatch::to_server(Packet::Deregister { session }, attempts)), pause)
            }
        };
        context.timers.set(Timer::Session, context.time() + pause);
        dispatch
    }

    /// The pause after a question that was asked first so long ago: short ones for a while, for
    /// what got lost, then ever longer ones, for the server may be down.
    fn quick_then_slow<M: Mutations>(
        &self,
        context: &mut Context<M>,
        dialect: Dialect,
        elapsed: Duration,
        quick: Duration,
    ) -> Duration {
        match elapsed.checked_sub(quick) {
            None => pause(self.timeout(Trip::Network, dialect), elapsed, RTO_MAX),
            Some(more) => context.backoff(RTO_MAX, more),
        }
    }

    /// Tells the user, once, that the server does not answer.
    pub(super) fn tell_silence<M: Mutations>(&mut self, context: &mut Context<M>) {
        // Who is offline, and knows that, asks for nothing.
        if self.offline_told {
            return;
        }
        if !self.silence_told && !self.tell_foreign(context) {
            self.silence_told = true;
            let rounds = match self.phase {
                Phase::Hello { attempts, .. } => attempts,
                _ => 0,
            };
            let (host, addrs) = (context.config().host.clone(), self.whereabouts.tried(rounds));
            context.tell(Event::ServerNotResponding(Tried { host, addrs }));
        }
    }

    /// Tells the user that something else is where the server should be. Whether there is.
    pub(super) fn tell_foreign<M: Mutations>(&mut self, context: &mut Context<M>) -> bool {
        let Some((at, foreign)) = self.whereabouts.tell_foreign() else { return false };
        self.silence_told = true;
        let tried = Tried { host: context.config().host.clone(), addrs: vec![at] };
        context.tell(match foreign {
            Foreign::Stranger => Event::NoServer(tried),
            Foreign::Original => Event::OriginalServer(tried),
        });
        true
    }

    /// Asks where the server is now: it may have moved.
    fn look_up<M: Mutations>(&mut self, context: &mut Context<M>) {
        if self.takes_part() && self.whereabouts.take_due_look(context.time()) {
            context.tell(Event::LookUp);
        }
    }

    /// What the server's name stands for now; nothing if nobody knows.
    pub(super) fn found_at<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        addrs: &[SocketAddr],
    ) -> Option<Dispatch> {
        let changed = !addrs.is_empty() && self.whereabouts.take_on(addrs);
        if addrs.is_empty() && self.whereabouts.note_lost() {
            let host = context.config().host.clone();
            context.problem(Problem::ServerNotFound(host));
        }
        match self.phase {
            Phase::Hello { .. } if changed => self.sign_in(context, dialect),
            // Nothing but a hello may go to the others.
            Phase::Online { .. } if self.silence_told && self.whereabouts.has_others() => {
                self.sign_in(context, dialect)
            }
            _ => None,
        }
    }

    /// Something has come that no server says. If it came from where one was asked, something else
    /// is there.
    pub(super) fn heard_nonsense<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        from: SocketAddr,
        foreign: Foreign,
    ) {
        let Some(asking_since) = self.asking_since else { return };
        let is_asked = match self.phase {
            Phase::Hello { .. } => self.hellos_to(from) > 0,
            _ => from == self.whereabouts.server(),
        };
        if !is_asked {
            return;
        }
        let told = self.whereabouts.hears_foreign(from, foreign);
        // Before that a server may yet be heard of.
        if context.time() - asking_since >= SERVER_SILENT && !told {
            self.tell_foreign(context);
        }
    }

    /// Panics if something does not hold that must between two inputs.
    pub(super) fn check_invariants<M: Mutations>(&self, context: &Context<M>) {
        let asks = !self.is_offline();
        assert_eq!(context.timers.is_set(&Timer::Session), asks, "asked about {:?}", self.phase);
        assert!(self.store.is_some() == self.ever_registered, "registered without a store");
        assert!(self.id().is_none() || self.ever_registered, "here and never registered");
        assert!(!self.silence_told || self.asking_since.is_some(), "silent and not asked");
    }
}
