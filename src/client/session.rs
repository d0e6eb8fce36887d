//! The client's standing with its server: signing in, staying, signing out.
//!
//! docs/protocol.md, "Registration".

use std::time::Duration;

use super::commands::WaitingFor;
use super::record::Home;
use super::timing::{BACKOFF_MAX, GIVE_UP, PING, PING_RETRY, RETRY, SERVER_LOST, SERVER_SILENT};
use super::{Change, Client, Event, Problem, Timer, UnsentReason};
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
    /// The registration that was asked for last, and when, if the answer has not come.
    asked: Option<(Cookie, Time)>,
    /// The server has answered anything.
    heard: bool,
    /// The user knows that they are offline, or never was anything else.
    offline_told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not there, and not wanting to be.
    Offline,
    /// Asking for a cookie.
    Hello { nonce: Nonce, attempts: u32 },
    /// Bringing the cookie back.
    Joining { cookie: Cookie, attempts: u32 },
    /// There; so many pings have not been answered.
    Online { session: SessionId, attempts: u32 },
    /// On the way out, perhaps registered: the answer that says so is asked for.
    Withdrawing { cookie: Cookie, attempts: u32 },
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
            asked: None,
            heard: false,
            offline_told: true,
        }
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

    /// Why nothing is heard of the server, if nothing is.
    pub(super) const fn why_silent(&self) -> Option<UnsentReason> {
        match self.phase {
            Phase::Offline | Phase::Withdrawing { .. } | Phase::Leaving { .. } => {
                Some(UnsentReason::Offline)
            }
            Phase::Hello { .. } | Phase::Joining { .. } | Phase::Online { attempts: 2.., .. } => {
                Some(UnsentReason::ServerNotResponding)
            }
            Phase::Online { .. } => None,
        }
    }

    /// Whether the server answers, as far as is known.
    pub(super) fn is_answered(&self, now: Time) -> bool {
        self.heard && self.asking_since.is_none_or(|since| now - since < SERVER_SILENT)
    }
}

impl<P: Plant> Client<P> {
    pub(super) fn sign_in(&mut self, now: Now) {
        let nonce = Nonce(self.entropy.draw());
        self.session.phase = Phase::Hello { nonce, attempts: 0 };
        self.session.offline_told = false;
        self.session_timeout(now);
    }

    pub(super) fn sign_out(&mut self, now: Now) {
        match self.session.phase {
            Phase::Online { session, .. } => {
                self.session.phase = Phase::Leaving { session, attempts: 0 };
                self.session_timeout(now);
            }
            Phase::Withdrawing { .. } | Phase::Leaving { .. } => {}
            Phase::Offline | Phase::Hello { .. } | Phase::Joining { .. } => {
                match self.session.asked {
                    // It may be granted yet: then it is given back, and nobody's ghost stays here.
                    Some((cookie, at)) if now.time - at < SERVER_SILENT => {
                        self.session.phase = Phase::Withdrawing { cookie, attempts: 0 };
                        self.timers.set(Timer::Session, now.time + RETRY);
                    }
                    _ => self.signed_out(),
                }
            }
        }
    }

    /// Granted after the user has left.
    pub(super) fn give_back(&mut self, now: Now, session: SessionId) {
        self.session.phase = Phase::Leaving { session, attempts: 0 };
        (self.session.asked, self.session.asking_since) = (None, None);
        self.session_timeout(now);
    }

    /// It is over, with or without the server's word.
    pub(super) fn signed_out(&mut self) {
        self.timers.clear(&Timer::Session);
        self.session.asking_since = None;
        self.session.silence_told = false;
        self.session.asked = None;
        self.session.phase = Phase::Offline;
        let told = std::mem::replace(&mut self.session.offline_told, true);
        if !told && self.session.ever_registered {
            self.journal.event_durably(Event::Offline);
        }
    }

    /// Asks the server whatever is to be asked now.
    pub(super) fn session_timeout(&mut self, now: Now) {
        let attempts = match &mut self.session.phase {
            Phase::Offline => return,
            Phase::Hello { attempts, .. }
            | Phase::Joining { attempts, .. }
            | Phase::Online { attempts, .. }
            | Phase::Withdrawing { attempts, .. }
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
        }
        let pause = match self.session.phase {
            Phase::Offline => return,
            Phase::Hello { nonce, .. } => {
                if attempts == 1 || !self.plant.has(Bug::SignsInOnce) {
                    self.send_hello(nonce, attempts);
                }
                self.backoff(attempts.saturating_sub(REGISTER_ATTEMPTS))
            }
            Phase::Joining { .. } if attempts > REGISTER_ATTEMPTS => return self.sign_in(now),
            Phase::Withdrawing { .. } if attempts > REGISTER_ATTEMPTS => {
                self.tell_silence();
                return self.signed_out();
            }
            Phase::Joining { cookie, .. } | Phase::Withdrawing { cookie, .. } => {
                self.session.asked = Some((cookie, now.time));
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
        // Who is offline, and knows that, asks for nothing.
        if self.session.offline_told {
            return;
        }
        if !std::mem::replace(&mut self.session.silence_told, true) {
            self.journal.event_durably(Event::ServerNotResponding);
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

    fn send_hello(&mut self, nonce: Nonce, attempt: u32) {
        let identity = Identity { kind: PacketKind::Hello, message: None, attempt };
        let (to, bytes) = (self.config.server, hello::encode(nonce));
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
        self.session.heard = true;
        std::mem::replace(&mut self.session.silence_told, false)
    }

    pub(super) fn challenged(&mut self, now: Now, nonce: Nonce, cookie: Cookie) {
        let Phase::Hello { nonce: own, .. } = self.session.phase else { return };
        if nonce != own {
            return;
        }
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
        self.session.asked = None;
        let here = Home { server: self.config.server, store };
        match self.record.home {
            Some(home) if home.is_another_than(here) && self.has_kept_anything() => {
                return self.leave_for(now, home, granted);
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
    fn leave_for(&mut self, now: Now, home: Home, granted: SessionId) {
        self.journal.event_durably(Event::Error(Problem::KeptForAnother(home.server)));
        // It was about all that is kept.
        self.report_all_unsent(None);
        self.groups.told_of_all();
        self.give_back(now, granted);
        self.end_unregistered(now);
    }

    pub(super) fn refused(&mut self, now: Now, reason: Refusal) {
        if matches!(self.session.phase, Phase::Withdrawing { .. }) {
            self.signed_out();
            return self.departed(now);
        }
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
            self.end_unregistered(now);
        }
    }

    pub(super) fn ping_answered(&mut self, now: Now) {
        let Phase::Online { attempts, .. } = &mut self.session.phase else { return };
        *attempts = 0;
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
