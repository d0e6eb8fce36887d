//! The server: a state machine that knows who is where and keeps messages for those who are away.
//!
//! Knows no socket, clock, disk or runtime ([`crate::machine`]). It has parts, each with a state
//! that only that part touches: [`presence`] with its [`session`]s, [`mail`] with its [`receipts`],
//! [`groups`]. Beside its own state a part has the [`context`]; none has another part, or the
//! server. What follows from one for the others is carried out in [`flow`], to be read first.

mod bucket;
mod contender;
mod context;
mod cookie;
mod counters;
mod event;
mod expiry;
mod flow;
mod groups;
mod guest_stream;
mod mail;
mod membership;
mod names;
mod new_names;
mod next;
mod original;
mod presence;
mod receipts;
mod record;
mod rounds;
mod rows;
mod saved;
mod session;
mod shares;
mod snapshot;
mod table;
pub mod timing;
mod unproven;

use std::net::SocketAddr;
use std::time::Duration;

pub use counters::{Counters, Dropped, Stats};
pub use event::{Command, Event, GoneReason, GroupChange};
pub use membership::{Answered, Membership};
pub use record::{Account, Change, End, Progress, ServerRecord, Standing, StoredMessage, Turn};
pub use shares::Shares;
pub use snapshot::Snapshot;

use crate::load::{Gauge, Load};
use crate::machine::{Datagram, Entropy, Machine, Output, Path, Transmit};
use crate::mutation::{Mutations, NoMutations};
use crate::original::Owed;
use crate::protocol::{
    Audience, Cookie, MessageId, Name, Packet, SessionId, StreamKey, ToServer, envelope, hello,
};
use crate::store::{Committed, DiskSpace};
use crate::time::{Now, Time};
use contender::Contender;
use context::{Context, Timer};
use groups::Groups;
use mail::{Mail, Request, Save};
use next::Next;
use presence::Presence;
use timing::ROOM_AGAIN;
use unproven::Unproven;

/// Which clients of the original's dialect are served. They have no keys: anybody who can send from
/// an address, or pretends to, can speak for the one there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guests {
    /// None.
    Off,
    /// Those on this machine.
    #[default]
    Loopback,
    /// All.
    On,
}

impl Guests {
    /// Whether one at this address is.
    #[must_use]
    pub const fn include(self, addr: SocketAddr) -> bool {
        match self {
            Self::Off => false,
            Self::Loopback => addr.ip().to_canonical().is_loopback(),
            Self::On => true,
        }
    }
}

/// What the operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Which clients of the original's dialect are served.
    pub original: Guests,
    /// How long messages are kept for readers who do not come; for ever if nothing is said.
    pub keep: Option<Duration>,
    /// How much one name, or one address, may have.
    pub shares: Shares,
}

/// The server's state machine.
#[derive(Debug)]
pub struct Server<M = NoMutations> {
    cx: Context<M>,
    presence: Presence,
    mail: Mail,
    groups: Groups,
    unproven: Unproven,
    /// Whether a commit may wait for room.
    waits_for_room: bool,
    stopped: bool,
}

impl Server {
    /// A server that goes on from `record`.
    #[must_use]
    pub fn new(config: ServerConfig, record: ServerRecord, entropy: Entropy) -> Self {
        Self::with_bugs(config, record, entropy, NoMutations)
    }
}

impl<M: Mutations> Server<M> {
    /// The same with planted bugs, for a simulator that has to find them.
    #[must_use]
    pub fn with_bugs(
        config: ServerConfig,
        record: ServerRecord,
        entropy: Entropy,
        mutations: M,
    ) -> Self {
        let mut cx = Context::new(config, record, entropy, mutations);
        let mut server = Self {
            presence: Presence::new(&mut cx),
            mail: Mail::new(&mut cx),
            groups: Groups::default(),
            unproven: Unproven::default(),
            waits_for_room: false,
            stopped: false,
            cx,
        };
        names::wait(&mut server.cx);
        server.restore_guests();
        server
    }

    /// What it holds in memory.
    #[must_use]
    pub fn load(&self) -> Load {
        let own = [
            (Gauge::Outputs, self.cx.outputs() + self.mail.waiting()),
            (Gauge::Timers, self.cx.timers.len()),
            (Gauge::Streams, self.cx.record().streams().len()),
            (Gauge::StoredMessages, self.cx.record().messages()),
        ];
        own.into_iter().chain(self.presence.load()).chain(self.mail.load()).collect()
    }

    /// All that it keeps, if its store has all of it: for whoever compares the two.
    #[must_use]
    pub fn durable(&self) -> Option<&ServerRecord> {
        self.cx.is_idle().then(|| self.cx.record())
    }

    fn handle_packet(&mut self, from: Path, packet: ToServer, body: &[u8]) {
        match packet {
            ToServer::Register { name, token, registration, nonce, cookie } => {
                let account = Account { token, registration, original: None };
                let owed = Owed::default();
                self.register(Contender { name, path: from, account, nonce, owed }, cookie);
            }
            ToServer::Ping { session } => {
                if let Some(name) = self.heard_of(session, from) {
                    self.ping(&name, session, from);
                }
            }
            ToServer::Alive { session, nonce } => {
                if let Some(name) = self.heard_of(session, from) {
                    self.presence.probe_answered(&mut self.cx, &name, nonce);
                }
            }
            ToServer::Deregister { session } => {
                if let Some(name) = self.heard_of(session, from) {
                    self.deregister(&name, session, from);
                }
            }
            ToServer::TableAck { session, table, version } => {
                if let Some(name) = self.heard_of(session, from) {
                    self.presence.table_acked(&mut self.cx, &name, (table, version));
                }
            }
            ToServer::Save { session, to, stream, seq, base, unreachable, group } => {
                if let Some(sender) = self.heard_of(session, from) {
                    let (id, came) = (MessageId { stream, seq }, self.cx.came());
                    let save = Save { to, body: body.to_vec(), group };
                    self.ask_to_save(Request { came, sender, from, id, base, save, unreachable });
                }
            }
            ToServer::Shown { session, from: sender, stream, seq } => {
                if let Some(reader) = self.heard_of(session, from) {
                    self.shown(&reader, &StreamKey { from: sender, stream }, seq);
                }
            }
            ToServer::HandedOverAck { session, stream, seq } => {
                if let Some(sender) = self.heard_of(session, from) {
                    self.told(&StreamKey { from: sender, stream }, seq);
                }
            }
            ToServer::GroupAsk { session, request, ask } => {
                if let Some(name) = self.heard_of(session, from) {
                    self.groups.asked(&mut self.cx, (&name, from), (session, request), ask);
                }
            }
        }
    }

    /// Whoever shows a session, if it is theirs: that renews their lease. Anybody else is told to
    /// register.
    fn heard_of(&mut self, session: SessionId, from: Path) -> Option<Name> {
        let Some(name) = self.presence.authenticate(session, from).cloned() else {
            self.cx.counters.dropped.unknown += 1;
            // A session that is not here is none after a crash either.
            self.cx.send_now(from, &Packet::Unknown { session }, 1);
            return None;
        };
        self.presence.renew(&self.cx, &name, from);
        Some(name)
    }

    fn register(&mut self, contender: Contender, cookie: Cookie) {
        if self.presence.is_good(&self.cx, contender.path, (contender.nonce, cookie)) {
            let next = self.presence.register(&mut self.cx, contender);
            self.follow(next);
        } else {
            self.cx.counters.dropped.cookie += 1; // Stale or forged.
        }
    }

    fn ping(&mut self, name: &Name, session: SessionId, from: Path) {
        // Says that a session is there, which outlives no crash.
        self.cx.send_now(from, &Packet::Pong { session }, 1);
        self.confirm(name);
    }

    fn deregister(&mut self, name: &Name, session: SessionId, from: Path) {
        // That the session is over is so whatever becomes of any commit.
        self.cx.send_now(from, &Packet::Deregistered { session }, 1);
        self.end_session(name, GoneReason::Deregistered);
    }
}

/// Whether no disk need keep what comes of a packet: then whoever is here stays here while the disk
/// stands still.
const fn changes_nothing(packet: &Packet) -> bool {
    matches!(packet, Packet::Ping { .. } | Packet::Alive { .. } | Packet::TableAck { .. })
}

impl<M: Mutations> Machine for Server<M> {
    type Command = Command;
    type Event = Event;
    type Change = Change;

    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        let (from, Datagram { socket, bytes, .. }) = (datagram.path(), datagram);
        self.cx.begin(now);
        self.cx.counters.datagrams_in += 1;
        if self.stopped {
            self.cx.counters.dropped.busy += 1;
            return;
        }
        let is_full = self.cx.is_full();
        if let Some(nonce) = hello::decode(bytes) {
            self.presence.challenge(&mut self.cx, from, nonce);
        } else if bytes.first() == Some(&crate::original::MARK) {
            if is_full {
                self.cx.counters.dropped.busy += 1;
            } else {
                self.handle_original(socket, from, bytes);
            }
        } else {
            match envelope::decode_stamped(bytes) {
                // As good as lost on the way: its sender has, and repeats, what matters.
                Ok((packet, ..)) if is_full && !changes_nothing(&packet) => {
                    self.cx.counters.dropped.busy += 1;
                }
                Ok((packet, stamps, body)) => {
                    self.presence.measure(&self.cx, from.remote, &packet, stamps);
                    self.cx.answer_to(stamps.sent_ms);
                    match packet.into_audience() {
                        Audience::Server(packet) => self.handle_packet(from, packet, body),
                        Audience::Client(_) | Audience::Peer(_) => {
                            self.cx.counters.dropped.unwanted += 1;
                        }
                    }
                    self.cx.answer_to(None);
                }
                Err(_) => self.cx.counters.dropped.damaged += 1,
            }
        }
    }

    fn handle_command(&mut self, now: Now, command: Command) {
        self.cx.begin(now);
        match command {
            Command::Stats => self.cx.report(Event::Stats(self.stats())),
            Command::Stop => self.stopped = true,
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.cx.begin(now);
        self.mail.expire_held(&self.cx);
        while let Some(timer) = self.cx.timers.pop_due(self.cx.now()) {
            let next = match timer {
                Timer::Lease(name) => self.presence.check_lease(&mut self.cx, &name),
                Timer::Probe(name) => self.presence.probe_again(&mut self.cx, &name),
                Timer::Table(name) => {
                    self.presence.sync_table(&mut self.cx, &name);
                    None
                }
                Timer::Round => {
                    self.presence.go_on_telling(&mut self.cx);
                    None
                }
                Timer::Mail(reader) => Some(Next::HandOver(reader)),
                Timer::Told(key) => {
                    self.tell(&key);
                    None
                }
                Timer::Expiry => {
                    self.expire_mail();
                    None
                }
                Timer::Names => {
                    self.look_at_names();
                    None
                }
                Timer::DiskSpace => {
                    self.cx.ask_for_room();
                    None
                }
            };
            self.follow(next);
        }
    }

    fn handle_committed(&mut self, now: Now, Committed { commits, room }: Committed) {
        self.cx.begin(now);
        self.cx.counters.commits += u64::from(commits > 0);
        self.waits_for_room = commits == 0;
        match room {
            DiskSpace::Low => self.cx.timers.set(Timer::DiskSpace, now.time + ROOM_AGAIN),
            DiskSpace::Plenty => self.cx.timers.clear(&Timer::DiskSpace),
        }
        self.cx.committed(commits);
        if self.cx.set_room(room) {
            self.cx.report_now(Event::DiskSpace(room));
        }
        self.go_on();
    }

    fn poll_at_once(&mut self) -> Option<Transmit> {
        let transmit = self.cx.poll_at_once()?;
        self.cx.counters.datagrams_out += 1;
        Some(transmit)
    }

    fn poll_output(&mut self) -> Option<Output<Event, Change>> {
        let mut output = self.cx.poll_transmit().map(Output::Transmit);
        if output.is_none() {
            self.save_first();
            output = self.cx.poll();
        }
        while output.is_none() && self.save_first() {
            output = self.cx.poll();
        }
        if let Some(Output::Transmit(_)) = output {
            self.cx.counters.datagrams_out += 1;
        }
        output
    }

    fn next_timeout(&self) -> Option<Time> {
        self.cx.timers.next()
    }

    fn is_finished(&self) -> bool {
        // What waits for room, nobody was told of: there may be none for days.
        self.stopped && (self.cx.is_idle() || self.waits_for_room)
    }

    fn check_invariants(&self) {
        let first_undurable = self.mail.first_undurable();
        let is_here = |name: &Name| self.presence.is_confirmed(name);
        self.groups.check_invariants(&self.cx);
        self.unproven.check_invariants();
        let mut waits_for = self.cx.check_invariants();
        waits_for.extend(self.presence.check_invariants(&self.cx, first_undurable));
        waits_for.extend(self.mail.check_invariants(&self.cx, is_here));
        for timer in &waits_for {
            assert!(self.cx.timers.is_set(timer), "nothing will come of {timer:?}");
        }
        assert_eq!(
            waits_for.len(),
            self.cx.timers.len(),
            "a timer for nothing beside {waits_for:?}"
        );
    }
}
