//! The server: a state machine that knows who is where and keeps messages for those who are away.
//!
//! Knows no socket, clock, disk or runtime ([`crate::machine`]). Read [`registration`] first, then
//! [`mail`]. Whatever promises that something is stored waits for the journal's commit.

mod cookie;
mod counters;
mod event;
mod expiry;
mod groups;
mod mail;
mod membership;
mod original;
mod record;
mod registration;
mod rows;
mod saved;
mod session;
mod snapshot;
mod table;
pub mod timing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub use counters::{Counters, Dropped, Stats};
pub use event::{Command, Event, GoneReason, GroupChange};
pub use membership::{Answered, Membership};
pub use record::{Account, Change, End, Letter, Progress, ServerRecord, Standing, Turn};
pub use snapshot::Snapshot;

use crate::holding::Holding;
use crate::journal::{CommitTurn, Journal, Ticket};
use crate::load::{Gauge, Load};
use crate::machine::{Datagram, Entropy, Identity, Machine, Output, Path, Socket, Transmit};
use crate::plant::{Bug, Plant, Sound};
use crate::protocol::envelope::{self, Stamps};
use crate::protocol::{
    MessageId, Name, Packet, PacketKind, SessionId, StreamId, StreamKey, TableId, hello,
};
use crate::store::{Committed, Record as _, Room};
use crate::time::{Now, Time, whole_ms};
use crate::timers::Timers;
use cookie::CookieJar;
use mail::{Request, SAVES_MAX, Save};
use original::GuestTables;
use saved::Saved;
use session::Session;
use table::Table;
use timing::ROOM_AGAIN;

/// What the operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Whether clients of the original's dialect are served.
    pub original: bool,
    /// How long messages are kept for readers who do not come; for ever if nothing is said.
    pub keep: Option<Duration>,
}

/// The server's state machine.
#[derive(Debug)]
pub struct Server<P = Sound> {
    plant: P,
    config: ServerConfig,
    record: ServerRecord,
    journal: Journal<Event, Change>,
    entropy: Entropy,
    timers: Timers<Timer>,
    cookies: CookieJar,
    sessions: BTreeMap<Name, Session>,
    by_session: BTreeMap<SessionId, Name>,
    table: Table,
    /// Who is at which address, of those who speak the original's dialect.
    guests: BTreeMap<SocketAddr, Name>,
    guest_tables: GuestTables,
    /// Messages to be stored whose predecessors have not arrived.
    holding: Holding<Save>,
    /// Requests to store messages, which wait until nobody waits for a quick answer.
    saves: VecDeque<Request>,
    /// The number of the next letter.
    next_letter: u64,
    /// What is acknowledged when its commit has ended.
    saved: Saved,
    /// Letters whose commit has not ended, by rising number, and for whom they are: nobody hears of
    /// them yet.
    undurable: VecDeque<(Ticket, u64, Name)>,
    /// Streams whose sender does not know yet how far they were shown.
    untold: BTreeMap<Name, BTreeSet<StreamId>>,
    /// Who was refused what about groups, and has no row of it: at most one for each account.
    refused: BTreeMap<Name, Answered>,
    counters: Counters,
    /// How much room the store has.
    room: Room,
    /// Whether a commit may wait for room.
    waits_for_room: bool,
    /// How long the lives before this one have run.
    uptime_before: Duration,
    stopped: bool,
    /// When the input came that is being handled.
    now: Now,
    /// The stamp of what is being handled, if that has one: whoever sent it is answered with it.
    answers: Option<u64>,
}

/// What the server waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The end of a client's lease.
    Lease(Name),
    /// A client's answer to a question.
    Probe(Name),
    /// A client's acknowledgement of the table.
    Table(Name),
    /// A reader's acknowledgement of a stored message.
    Mail(Name),
    /// A sender's acknowledgement that it knows.
    Told(StreamKey),
    /// Messages that are too old.
    Expiry,
    /// Room in the store.
    Room,
}

impl Server {
    /// A server that goes on from `record`.
    #[must_use]
    pub fn new(config: ServerConfig, record: ServerRecord, entropy: Entropy) -> Self {
        Self::with_bugs(config, record, entropy, Sound)
    }
}

impl<P: Plant> Server<P> {
    /// The same with planted bugs, for a simulator that has to find them.
    #[must_use]
    pub fn with_bugs(
        config: ServerConfig,
        record: ServerRecord,
        mut entropy: Entropy,
        plant: P,
    ) -> Self {
        let mut table = Table::new(TableId(entropy.draw()));
        for name in record.accounts.keys() {
            table.set(name, None, false);
        }
        let mut untold: BTreeMap<Name, BTreeSet<StreamId>> = BTreeMap::new();
        for (key, progress) in record.streams() {
            if progress.standing.told < progress.standing.settled {
                untold.entry(key.from.clone()).or_default().insert(key.stream);
            }
        }
        let mut server = Self {
            plant,
            config,
            guests: BTreeMap::new(),
            guest_tables: GuestTables::default(),
            counters: Counters::default(),
            journal: Journal::new(CommitTurn::First),
            timers: Timers::new(),
            cookies: CookieJar::new(&mut entropy),
            sessions: BTreeMap::new(),
            by_session: BTreeMap::new(),
            table,
            holding: Holding::new(),
            saves: VecDeque::new(),
            next_letter: record.next_letter(),
            saved: Saved::default(),
            undurable: VecDeque::new(),
            untold,
            refused: BTreeMap::new(),
            room: Room::Plenty,
            waits_for_room: false,
            uptime_before: record.last_uptime(),
            stopped: false,
            now: Now::default(),
            answers: None,
            record,
            entropy,
        };
        server.restore_guests();
        server.wait_for_expiry(Time::ZERO);
        server
    }

    /// What it holds in memory.
    #[must_use]
    pub fn load(&self) -> Load {
        let (held, held_streams) = self.holding.len();
        let flights = self.sessions.values().map(|session| session.flight.len());
        Load::from([
            (Gauge::Outputs, self.journal.len() + self.saved.len() + self.saves.len()),
            (Gauge::Timers, self.timers.len()),
            (Gauge::Held, held),
            (Gauge::HeldStreams, held_streams),
            (Gauge::Streams, self.record.streams().len()),
            (Gauge::Names, self.table.entries().count()),
            (Gauge::Sessions, self.sessions.len()),
            (Gauge::Letters, self.record.letters()),
            (Gauge::Undurable, self.undurable.len()),
            (Gauge::Flights, flights.sum()),
            (Gauge::Untold, self.untold.values().map(BTreeSet::len).sum()),
        ])
    }

    fn handle_packet(&mut self, now: Now, from: Path, packet: Packet, body: &[u8]) {
        match packet {
            Packet::Register { name, token, registration, cookie }
                if self.cookies.is_good(now.time, from.remote, cookie) =>
            {
                let account = Account { token, registration, original: None };
                self.register(now, from, name, account);
            }
            Packet::Ping { session } => {
                if let Some(name) = self.authenticate(now, session, from) {
                    // Says that a session is there, which no crash outlives.
                    self.send_now(from, &Packet::Pong { session }, 1);
                    self.confirm(now, &name);
                }
            }
            Packet::Alive { session, nonce } => {
                if let Some(name) = self.authenticate(now, session, from) {
                    self.probe_answered(&name, nonce);
                }
            }
            Packet::Deregister { session } => {
                if let Some(name) = self.authenticate(now, session, from) {
                    // That the session is over is so whatever becomes of any commit.
                    self.send_now(from, &Packet::Deregistered { session }, 1);
                    self.end_session(now, &name, GoneReason::Deregistered);
                }
            }
            Packet::TableAck { session, table, version } => {
                if let Some(name) = self.authenticate(now, session, from) {
                    self.table_acked(now, &name, table, version);
                }
            }
            Packet::Save { session, to, stream, seq, base, unreachable, group } => {
                if let Some(sender) = self.authenticate(now, session, from) {
                    let id = MessageId { stream, seq };
                    let save = Save { to, body: body.to_vec(), group };
                    self.saves.push_back(Request {
                        now,
                        stamp: self.answers,
                        sender,
                        from,
                        id,
                        base,
                        save,
                        unreachable,
                    });
                    if self.saves.len() > SAVES_MAX {
                        self.save_first();
                    }
                }
            }
            Packet::Shown { session, from: sender, stream, seq } => {
                if let Some(reader) = self.authenticate(now, session, from) {
                    self.shown(now, &reader, &StreamKey { from: sender, stream }, seq);
                }
            }
            Packet::HandedOverAck { session, stream, seq } => {
                if let Some(sender) = self.authenticate(now, session, from) {
                    self.told(now, &StreamKey { from: sender, stream }, seq);
                }
            }
            Packet::GroupAsk { session, request, ask } => {
                if let Some(name) = self.authenticate(now, session, from) {
                    self.group_asked((&name, from), session, request, ask);
                }
            }
            // With a cookie that is stale or forged.
            Packet::Register { .. } => self.counters.dropped.cookie += 1,
            // Not for a server.
            _ => self.counters.dropped.unwanted += 1,
        }
    }

    /// Sends a packet at once. Beside each call is said why it reveals nothing that a crash could
    /// take back.
    fn send_now(&mut self, to: Path, packet: &Packet, attempt: u32) {
        let (to, stamps) = (self.leaving_from(to), self.stamps(packet.kind()));
        self.journal.transmit(transmit(to, packet, stamps, b"", attempt));
    }

    /// Sends a packet once everything recorded so far is durable.
    fn send(&mut self, to: Path, packet: &Packet, attempt: u32) {
        let (to, stamps) = (self.leaving_from(to), self.stamps(packet.kind()));
        self.journal.transmit_durably(transmit(to, packet, stamps, b"", attempt));
    }

    /// What tells how long the way there and back takes.
    fn stamps(&self, kind: PacketKind) -> Stamps {
        Stamps {
            sent_ms: kind.is_timed().then(|| whole_ms(self.now.time.since_start())),
            echo_ms: self.answers.filter(|_| kind.measures().is_some()),
        }
    }

    /// Learns from an answer how long the way to a client and back takes.
    fn measure(&mut self, from: SocketAddr, packet: &Packet, stamps: Stamps) {
        let Some(trip) = packet.kind().measures() else { return };
        let Some(took) = stamps.round_trip(whole_ms(self.now.time.since_start())) else { return };
        let name = packet.session().and_then(|session| self.by_session.get(&session));
        let session = name.and_then(|name| self.sessions.get_mut(name));
        if let Some(session) = session.filter(|session| session.path.remote == from) {
            session.measured(trip, took);
        }
    }

    /// What [`Bug::AnswersFromAnywhere`] does.
    fn leaving_from(&self, to: Path) -> Path {
        let anywhere = to.local.is_some() && self.plant.has(Bug::AnswersFromAnywhere);
        if anywhere { to.remote.into() } else { to }
    }

    /// Changes the durable state.
    fn change(&mut self, change: Change) -> Ticket {
        self.record.apply(&change);
        if matches!(change, Change::Settled { .. }) && self.plant.has(Bug::ForgetsHandOver) {
            return self.journal.commit();
        }
        self.journal.record(change)
    }

    fn change_if_any(&mut self, change: Option<Change>) {
        if let Some(change) = change {
            self.change(change);
        }
    }
}

/// Whether no disk need keep what comes of a packet: then whoever is here stays here while the disk
/// stands still.
const fn changes_nothing(packet: &Packet) -> bool {
    matches!(packet, Packet::Ping { .. } | Packet::Alive { .. } | Packet::TableAck { .. })
}

fn transmit(to: Path, packet: &Packet, stamps: Stamps, body: &[u8], attempt: u32) -> Transmit {
    let identity = Identity { kind: packet.kind(), message: packet.message(), attempt };
    let bytes = envelope::encode_stamped(packet, stamps, body);
    Transmit { socket: Socket::Main, source: to.local, to: to.remote, bytes, identity }
}

impl<P: Plant> Machine for Server<P> {
    type Command = Command;
    type Event = Event;
    type Change = Change;

    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        let (from, Datagram { socket, bytes, .. }) = (datagram.path(), datagram);
        self.now = now;
        self.counters.datagrams_in += 1;
        if self.stopped {
            self.counters.dropped.busy += 1;
            return;
        }
        let is_full = self.journal.is_full();
        if let Some(nonce) = hello::decode(bytes) {
            let cookie = self.cookies.bake(now.time, from.remote);
            // Nothing is known of whoever is asked to echo it.
            self.send_now(from, &Packet::Challenge { nonce, cookie }, 1);
        } else if bytes.first() == Some(&crate::original::MARK) {
            if is_full {
                self.counters.dropped.busy += 1;
            } else {
                self.handle_original(now, socket, from, bytes);
            }
        } else {
            let decoded = match envelope::decode_stamped(bytes) {
                Err(_) if self.plant.has(Bug::NoChecksum) => envelope::open(bytes),
                decoded => decoded,
            };
            match decoded {
                // As good as lost on the way: its sender has, and repeats, what matters.
                Ok((packet, ..)) if is_full && !changes_nothing(&packet) => {
                    self.counters.dropped.busy += 1;
                }
                Ok((packet, stamps, body)) => {
                    self.measure(from.remote, &packet, stamps);
                    self.answers = stamps.sent_ms;
                    self.handle_packet(now, from, packet, body);
                    self.answers = None;
                }
                Err(_) => self.counters.dropped.damaged += 1,
            }
        }
    }

    fn handle_command(&mut self, now: Now, command: Command) {
        self.now = now;
        match command {
            Command::Stats => self.journal.event_durably(Event::Stats(self.stats())),
            Command::Stop => self.stopped = true,
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        self.holding.expire(now.time);
        while let Some(timer) = self.timers.pop_due(now.time) {
            match timer {
                Timer::Lease(name) => self.check_lease(now, &name),
                Timer::Probe(name) => self.probe_again(now, &name),
                Timer::Table(name) => self.sync_table(now, &name),
                Timer::Mail(name) => self.hand_over(now, &name),
                Timer::Told(key) => self.tell(now, &key),
                Timer::Expiry => self.expire_mail(now),
                Timer::Room => self.journal.ask(),
            }
        }
    }

    fn handle_committed(&mut self, now: Now, Committed { commits, room }: Committed) {
        self.now = now;
        self.counters.commits += u64::from(commits > 0);
        self.waits_for_room = commits == 0;
        match room {
            Room::Low => self.timers.set(Timer::Room, now.time + ROOM_AGAIN),
            Room::Plenty => self.timers.clear(&Timer::Room),
        }
        self.journal.committed(commits);
        if self.room != room {
            self.room = room;
            self.journal.event(Event::Room(room));
        }
        self.acknowledge_durable();
        self.release_letters(now);
    }

    fn poll_at_once(&mut self) -> Option<Transmit> {
        let transmit = self.journal.poll_at_once()?;
        self.counters.datagrams_out += 1;
        Some(transmit)
    }

    fn poll_output(&mut self) -> Option<Output<Event, Change>> {
        let mut output = self.journal.poll_transmit().map(Output::Transmit);
        if output.is_none() {
            self.save_first();
            output = self.journal.poll();
        }
        while output.is_none() && self.save_first() {
            output = self.journal.poll();
        }
        if let Some(Output::Transmit(_)) = output {
            self.counters.datagrams_out += 1;
        }
        output
    }

    fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    fn is_finished(&self) -> bool {
        // What waits for room, nobody was told of: there may be none for days.
        self.stopped && (self.journal.is_idle() || self.waits_for_room)
    }
}
