//! The client's standing with its server: signing in, staying, signing out.
//!
//! docs/protocol.md, "Registration".

use std::net::SocketAddr;
use std::time::Duration;

use super::commands::WaitingFor;
use super::record::Home;
use super::timing::{
    BACKOFF_MAX, GIVE_UP, HELLO_NEXT, PING, SERVER_LOST, SERVER_SILENT, SIGN_PATIENCE,
};
use super::{Change, Client, Event, Problem, Timer, UnsentReason};
use crate::machine::{Identity, Socket, Transmit};
use crate::plant::{Bug, Plant};
use crate::protocol::{
    Cookie, Nonce, Packet, PacketKind, Refusal, SessionId, StoreId, Trip, hello,
};
use crate::retransmission::{RTO_MAX, RoundTrip, RoundTrips, pause};
use crate::time::{Now, Time, whole_ms};

/// The standing with the server.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    /// Since when an answer is owed.
    asking_since: Option<Time>,
    /// When what is asked now was asked first.
    first_try: Time,
    /// The round trip to the server, and the same with a commit of its.
    trips: RoundTrips,
    /// The user knows that none comes.
    silence_told: bool,
    /// Whether it was granted the name at any time.
    pub(super) ever_registered: bool,
    /// The life of the store that knows what was saved.
    pub(super) store: Option<StoreId>,
    /// How many pings were answered.
    pongs: u64,
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
    /// Asking for a cookie, so many times at each of the server's addresses.
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
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Offline,
            asking_since: None,
            first_try: Time::ZERO,
            trips: RoundTrips::default(),
            silence_told: false,
            ever_registered: false,
            store: None,
            pongs: 0,
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

    /// The server's answer took so long.
    pub(super) fn measured(&mut self, trip: Trip, took: Duration) {
        self.trips.sample(trip, took);
    }

    /// The round trip to the server's disk.
    pub(super) const fn disk_trip(&self) -> RoundTrip {
        self.trips.disk()
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
        matches!(self.phase, Phase::Hello { .. } | Phase::Joining { .. } | Phase::Online { .. })
    }

    /// Why nothing is heard of the server, if nothing is.
    pub(super) fn why_silent(&self, now: Time) -> Option<UnsentReason> {
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
}

impl<P: Plant> Client<P> {
    pub(super) fn sign_in(&mut self, now: Now) {
        let nonce = Nonce(self.entropy.draw());
        self.session.phase = Phase::Hello { nonce, attempts: 0 };
        self.whereabouts.start_over();
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
                        let pause = self.server_timeout(Trip::Disk);
                        self.timers.set(Timer::Session, now.time + pause);
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
        let attempts_before = self.session.attempts();
        let attempts = match &mut self.session.phase {
            Phase::Offline => return,
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
        if attempts_before == 0 {
            self.session.first_try = now.time;
        }
        let elapsed = now.time - self.session.first_try;
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
                match self.whereabouts.is_within_round() {
                    true => HELLO_NEXT,
                    false => self.quick_then_slow(Trip::Network, elapsed, SIGN_PATIENCE),
                }
            }
            Phase::Joining { .. } if elapsed >= SIGN_PATIENCE => {
                self.whereabouts.put_last();
                return self.sign_in(now);
            }
            Phase::Withdrawing { .. } if elapsed >= SIGN_PATIENCE => {
                self.tell_silence();
                return self.signed_out();
            }
            Phase::Joining { cookie, .. } | Phase::Withdrawing { cookie, .. } => {
                self.session.asked = Some((cookie, now.time));
                self.send_register(cookie, attempts);
                pause(self.server_timeout(Trip::Disk), elapsed, RTO_MAX)
            }
            Phase::Online { session, .. } => {
                self.send_to_server(&Packet::Ping { session }, b"", attempts);
                self.quick_then_slow(Trip::Network, elapsed, SERVER_LOST)
            }
            Phase::Leaving { .. } if elapsed >= SIGN_PATIENCE => {
                self.tell_silence();
                return self.signed_out();
            }
            Phase::Leaving { session, .. } => {
                self.send_to_server(&Packet::Deregister { session }, b"", attempts);
                pause(self.server_timeout(Trip::Network), elapsed, RTO_MAX)
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
        if !self.session.silence_told && !self.tell_foreign() {
            self.session.silence_told = true;
            let tried = self.tried();
            self.journal.event_durably(Event::ServerNotResponding(tried));
        }
    }

    /// How long an answer of the server is waited for before it is asked again.
    pub(super) fn server_timeout(&self, trip: Trip) -> Duration {
        if self.server_is_original() { RTO_MAX } else { self.session.trips.timeout(trip) }
    }

    /// The pause after a question that was asked first so long ago: short ones for a while, for
    /// what got lost, then ever longer ones, for the server may be down.
    fn quick_then_slow(&mut self, trip: Trip, elapsed: Duration, quick: Duration) -> Duration {
        match elapsed.checked_sub(quick) {
            None => pause(self.server_timeout(trip), elapsed, RTO_MAX),
            Some(more) => self.backoff(RTO_MAX, more),
        }
    }

    /// A pause that doubles up to [`BACKOFF_MAX`], all but the first with up to a quarter of
    /// jitter, so that many clients of a server that was away do not come back in step.
    pub(super) fn backoff(&mut self, timeout: Duration, elapsed: Duration) -> Duration {
        let longest = BACKOFF_MAX.max(timeout);
        let unbounded = elapsed + timeout > longest && self.plant.has(Bug::BackoffUnbounded);
        let longest = if unbounded { Duration::MAX } else { longest };
        let pause = pause(timeout, elapsed, longest);
        if pause <= timeout {
            return pause;
        }
        let jitter_ms = self.entropy.draw() % (whole_ms(pause) / 4).max(1);
        pause.saturating_sub(Duration::from_millis(jitter_ms)).max(timeout)
    }

    fn send_hello(&mut self, to: SocketAddr, nonce: Nonce, attempt: u32) {
        let identity = Identity { kind: PacketKind::Hello, message: None, attempt };
        let bytes = hello::encode(nonce);
        self.journal.transmit_durably(Transmit {
            socket: Socket::Main,
            source: None,
            to,
            bytes,
            identity,
        });
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
        self.session.heard = true;
        std::mem::replace(&mut self.session.silence_told, false)
    }

    pub(super) fn challenged(&mut self, now: Now, from: SocketAddr, nonce: Nonce, cookie: Cookie) {
        if from == self.whereabouts.server() {
            self.server_is_ours();
            self.size_passes(nonce);
        }
        let Phase::Hello { nonce: own, attempts } = self.session.phase else { return };
        if nonce == own && self.hellos_to(from) > 0 {
            if attempts == 1 && !self.whereabouts.has_others() {
                // Of more than one it would not be known which is answered (Karn's algorithm).
                self.session.measured(Trip::Network, now.time - self.session.first_try);
            }
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
    pub(super) fn told_to_wait(&mut self, now: Now, registration: u64) {
        if let Phase::Joining { attempts, .. } = &mut self.session.phase
            && registration == self.record.registrations
        {
            *attempts = 1;
            self.session.first_try = now.time;
            self.server_answers();
        }
    }

    pub(super) fn registered(&mut self, now: Now, granted: SessionId, store: StoreId, back: bool) {
        if !matches!(self.session.phase, Phase::Joining { .. }) {
            return;
        }
        self.server_answers();
        self.session.asked = None;
        let here = Home { server: self.whereabouts.server(), store };
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
