//! The client's standing with its server: signing in, staying, signing out.
//!
//! docs/protocol.md, "Registration".

use std::net::SocketAddr;
use std::time::Duration;

use super::commands::WaitingFor;
use super::record::Home;
use super::timing::{
    BACKOFF_MAX, GIVE_UP, HELLO_NEXT, PING, PING_RETRY, RETRY, SERVER_LOST, SERVER_SILENT,
};
use super::{Change, Client, Event, Problem, Timer};
use crate::machine::{Identity, Socket, Transmit};
use crate::plant::{Bug, Plant};
use crate::protocol::{Cookie, Nonce, Packet, PacketKind, Refusal, SessionId, StoreId, hello};
use crate::time::{Now, Time};

/// Transmissions of a request while signing in before starting over with a new hello: the server
/// may have restarted, and the cookie with it.
const REGISTER_ATTEMPTS: u32 = 5;

/// Transmissions of a ping, [`PING_RETRY`] apart, before the pauses grow.
const PING_ATTEMPTS: u32 = 10;

/// Transmissions of `deregister` before leaving without an answer; the lease does the rest.
const DEREGISTER_ATTEMPTS: u32 = 5;

/// The standing with the server.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    /// Since when an answer is owed.
    asking_since: Option<Time>,
    /// The user knows that none comes.
    silence_told: bool,
    /// Whether it was granted the name at any time.
    pub(super) ever_registered: bool,
    /// The life of the store that knows what was saved.
    pub(super) store: Option<StoreId>,
    /// How many pings were answered.
    pongs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not there, and not wanting to be.
    Offline,
    /// Asking for a cookie, so many times at each of the server's addresses.
    Hello { nonce: Nonce, attempts: u32 },
    /// Bringing the cookie back.
    Joining { cookie: Cookie, attempts: u32 },
    /// There; so many pings have not been answered.
    Online { session: SessionId, attempts: u32 },
    /// On the way out.
    Leaving { session: SessionId, attempts: u32 },
}

impl Session {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Offline,
            asking_since: None,
            silence_told: false,
            ever_registered: false,
            store: None,
            pongs: 0,
        }
    }

    pub(super) const fn id(&self) -> Option<SessionId> {
        match self.phase {
            Phase::Online { session, .. } => Some(session),
            _ => None,
        }
    }

    /// How many pings were answered.
    pub(super) const fn pongs(&self) -> u64 {
        self.pongs
    }

    /// Since when an answer is owed.
    pub(super) const fn asking_since(&self) -> Option<Time> {
        self.asking_since
    }

    /// Whether the user knows that none comes.
    pub(super) const fn is_silent(&self) -> bool {
        self.silence_told
    }

    /// The user was told of the silence, in other words.
    pub(super) const fn silence_is_told(&mut self) {
        self.silence_told = true;
    }

    /// Whether the user takes part: here, or on the way (back) in.
    pub(super) const fn takes_part(&self) -> bool {
        !matches!(self.phase, Phase::Offline | Phase::Leaving { .. })
    }
}

impl<P: Plant> Client<P> {
    pub(super) fn sign_in(&mut self, now: Now) {
        let nonce = Nonce(self.entropy.draw());
        self.session.phase = Phase::Hello { nonce, attempts: 0 };
        self.whereabouts.start_over();
        self.session_timeout(now);
    }

    pub(super) fn sign_out(&mut self, now: Now) {
        match self.session.phase {
            Phase::Online { session, .. } => {
                self.session.phase = Phase::Leaving { session, attempts: 0 };
                self.session_timeout(now);
            }
            Phase::Leaving { .. } => {}
            Phase::Offline | Phase::Hello { .. } | Phase::Joining { .. } => self.signed_out(),
        }
    }

    /// It is over, with or without the server's word.
    pub(super) fn signed_out(&mut self) {
        self.timers.clear(&Timer::Session);
        self.session.asking_since = None;
        self.session.silence_told = false;
        let was_there = self.session.phase != Phase::Offline && self.session.ever_registered;
        self.session.phase = Phase::Offline;
        if was_there {
            self.journal.event_durably(Event::Offline);
        }
    }

    /// Asks the server whatever is to be asked now.
    pub(super) fn session_timeout(&mut self, now: Now) {
        let attempts = match &mut self.session.phase {
            Phase::Offline => return,
            Phase::Hello { attempts, .. } if self.whereabouts.is_within_round() => *attempts,
            Phase::Hello { attempts, .. }
            | Phase::Joining { attempts, .. }
            | Phase::Online { attempts, .. }
            | Phase::Leaving { attempts, .. } => {
                *attempts += 1;
                *attempts
            }
        };
        let asking_since = *self.session.asking_since.get_or_insert(now.time);
        let patience = match self.session.phase {
            Phase::Online { .. } => SERVER_LOST,
            _ => SERVER_SILENT,
        };
        if now.time - asking_since >= patience {
            self.tell_silence();
            self.look_up(now);
        }
        let pause = match self.session.phase {
            Phase::Offline => return,
            Phase::Hello { nonce, .. } => {
                let to = self.whereabouts.next();
                if attempts == 1 || !self.plant.has(Bug::SignsInOnce) {
                    self.send_hello(to, nonce, attempts);
                }
                if self.whereabouts.is_within_round() {
                    HELLO_NEXT
                } else {
                    self.backoff(attempts.saturating_sub(REGISTER_ATTEMPTS))
                }
            }
            Phase::Joining { .. } if attempts > REGISTER_ATTEMPTS => {
                self.whereabouts.put_last();
                return self.sign_in(now);
            }
            Phase::Joining { cookie, .. } => {
                self.send_register(cookie, attempts);
                RETRY
            }
            Phase::Online { session, .. } => {
                self.send_to_server(&Packet::Ping { session }, b"", attempts);
                match attempts.checked_sub(PING_ATTEMPTS) {
                    Some(more) => self.backoff(more),
                    None => PING_RETRY,
                }
            }
            Phase::Leaving { .. } if attempts > DEREGISTER_ATTEMPTS => {
                self.tell_silence();
                return self.signed_out();
            }
            Phase::Leaving { session, .. } => {
                self.send_to_server(&Packet::Deregister { session }, b"", attempts);
                RETRY
            }
        };
        self.timers.set(Timer::Session, now.time + pause);
    }

    /// Tells the user, once, that the server does not answer.
    pub(super) fn tell_silence(&mut self) {
        if !self.session.silence_told && !self.tell_foreign() {
            self.session.silence_told = true;
            let tried = self.tried();
            self.journal.event_durably(Event::ServerNotResponding(tried));
        }
    }

    /// A pause that doubles up to [`BACKOFF_MAX`], with up to a quarter of jitter, so that many
    /// clients of a server that was away do not come back in step.
    pub(super) fn backoff(&mut self, attempts: u32) -> Duration {
        let doubled = RETRY * 2_u32.pow(attempts.min(8));
        let unbounded = doubled > BACKOFF_MAX && self.plant.has(Bug::BackoffUnbounded);
        let pause = if unbounded { doubled } else { doubled.min(BACKOFF_MAX) };
        let jitter_ms = self.entropy.draw() % (u64::try_from(pause.as_millis()).unwrap_or(0) / 4);
        pause.saturating_sub(Duration::from_millis(jitter_ms))
    }

    fn send_hello(&mut self, to: SocketAddr, nonce: Nonce, attempt: u32) {
        let identity = Identity { kind: PacketKind::Hello, message: None, attempt };
        let bytes = hello::encode(nonce);
        self.journal.transmit_durably(Transmit { socket: Socket::Main, to, bytes, identity });
    }

    fn send_register(&mut self, cookie: Cookie, attempt: u32) {
        let (name, token) = (self.config.name.clone(), self.record.token);
        let registration = self.record.registrations;
        let packet = Packet::Register { name, token, registration, cookie };
        self.send_to_server(&packet, b"", attempt);
    }

    /// The server has been heard of.
    fn server_answers(&mut self) -> bool {
        self.session.asking_since = None;
        self.whereabouts.is_heard();
        std::mem::replace(&mut self.session.silence_told, false)
    }

    pub(super) fn challenged(&mut self, now: Now, from: SocketAddr, nonce: Nonce, cookie: Cookie) {
        if from == self.whereabouts.server() {
            self.server_is_ours();
            self.size_passes(nonce);
        }
        let Phase::Hello { nonce: own, .. } = self.session.phase else { return };
        if nonce == own && self.hellos_to(from) > 0 {
            self.hello_answered(now, from, cookie);
        }
    }

    /// One of the addresses that were asked has a server.
    pub(super) fn hello_answered(&mut self, now: Now, from: SocketAddr, cookie: Cookie) {
        self.settle_on(from);
        self.server_answers();
        let registration = self.record.registrations + 1;
        self.change(Change::Registering { registration });
        self.session.phase = Phase::Joining { cookie, attempts: 0 };
        self.session_timeout(now);
    }

    /// The name's holder is being asked: no silence, and no reason to start over.
    pub(super) fn told_to_wait(&mut self, registration: u64) {
        if let Phase::Joining { attempts, .. } = &mut self.session.phase
            && registration == self.record.registrations
        {
            *attempts = 1;
            self.server_answers();
        }
    }

    pub(super) fn registered(&mut self, now: Now, granted: SessionId, store: StoreId, back: bool) {
        if !matches!(self.session.phase, Phase::Joining { .. }) {
            return;
        }
        self.server_answers();
        let here = Home { server: self.whereabouts.server(), store };
        match self.record.home {
            Some(home) if home.is_another_than(here) && self.has_kept_anything() => {
                return self.leave_for(home, granted);
            }
            Some(home) if home == here => {}
            // With what is typed next, at the latest: nothing is sent before that is durable.
            _ => self.change_lazily(Change::Arrived { home: here }),
        }
        self.session.ever_registered = true;
        self.session.phase = Phase::Online { session: granted, attempts: 0 };
        let name = self.config.name.clone();
        self.journal.event_durably(Event::Registered { name, back });
        self.acknowledge_table();
        self.session_timeout(now);
        if self.session.store.replace(store).is_some_and(|old| old != store) {
            self.forget_what_was_saved();
        }
        self.resume(now);
    }

    /// What is kept here is another server's users' business: nobody here is to get it.
    fn leave_for(&mut self, home: Home, granted: SessionId) {
        self.send_to_server(&Packet::Deregister { session: granted }, b"", 1);
        self.journal.event_durably(Event::Error(Problem::KeptForAnother(home.server)));
        self.signed_out();
        self.drop_commands();
        self.leave(false);
    }

    pub(super) fn refused(&mut self, reason: Refusal) {
        if !matches!(self.session.phase, Phase::Joining { .. }) {
            return;
        }
        self.server_answers();
        self.journal.event_durably(Event::Error(match reason {
            Refusal::NameInUse => Problem::NameInUse(self.config.name.clone()),
            Refusal::ServerFull => Problem::ServerFull,
            Refusal::DiskFull => Problem::ServerDiskFull,
        }));
        self.signed_out();
        if self.waiting_for == Some(WaitingFor::Arrival) {
            self.waiting_for = None;
            self.timers.clear(&Timer::GiveUp);
        }
        if !self.session.ever_registered {
            self.drop_commands();
            self.leave(false);
        }
    }

    pub(super) fn ping_answered(&mut self, now: Now) {
        let Phase::Online { attempts, .. } = &mut self.session.phase else { return };
        *attempts = 0;
        self.session.pongs += 1;
        self.timers.set(Timer::Session, now.time + PING);
        if self.server_answers() {
            self.resume(now);
        }
    }

    /// The server knows this session no more: it has restarted, or the lease has ended.
    pub(super) fn unknown(&mut self, now: Now, session: SessionId) {
        match self.session.phase {
            Phase::Online { session: own, .. } if own == session => self.sign_in(now),
            Phase::Leaving { session: own, .. } if own == session => self.signed_out(),
            _ => {}
        }
    }

    pub(super) fn deregistered(&mut self, session: SessionId) {
        if matches!(self.session.phase, Phase::Leaving { session: own, .. } if own == session) {
            self.signed_out();
        }
    }

    pub(super) fn set_give_up(&mut self, now: Now) {
        self.timers.set(Timer::GiveUp, now.time + GIVE_UP);
    }
}
