//! The server: a state machine that knows who is where and keeps messages for those who are away.
//!
//! Knows no socket, clock, disk or runtime ([`crate::machine`]). Read [`registration`] first, then
//! [`mail`]. Whatever promises that something is stored waits for the journal's commit.

mod context;
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
use crate::journal::Ticket;
use crate::load::{Gauge, Load};
use crate::machine::{Datagram, Entropy, Machine, Output, Path, Transmit};
use crate::plant::{Bug, Plant, Sound};
use crate::protocol::envelope::{self, Stamps};
use crate::protocol::{MessageId, Name, Packet, SessionId, StreamId, StreamKey, TableId, hello};
use crate::store::{Committed, Room};
use crate::time::{Now, Time};
use context::{Context, Timer};
use cookie::CookieJar;
use mail::{Request, Save};
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
    cx: Context<P>,
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
    /// Whether a commit may wait for room.
    waits_for_room: bool,
    stopped: bool,
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
            guests: BTreeMap::new(),
            guest_tables: GuestTables::default(),
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
            waits_for_room: false,
            stopped: false,
            cx: Context::new(config, record, entropy, plant),
        };
        server.restore_guests();
        server.wait_for_expiry();
        server
    }

    /// What it holds in memory.
    #[must_use]
    pub fn load(&self) -> Load {
        let (held, held_streams) = self.holding.len();
        let flights = self.sessions.values().map(|session| session.flight.len());
        Load::from([
            (Gauge::Outputs, self.cx.outputs() + self.saved.len() + self.saves.len()),
            (Gauge::Timers, self.cx.timers()),
            (Gauge::Held, held),
            (Gauge::HeldStreams, held_streams),
            (Gauge::Streams, self.cx.record().streams().len()),
            (Gauge::Names, self.table.entries().count()),
            (Gauge::Sessions, self.sessions.len()),
            (Gauge::Letters, self.cx.record().letters()),
            (Gauge::Undurable, self.undurable.len()),
            (Gauge::Flights, flights.sum()),
            (Gauge::Untold, self.untold.values().map(BTreeSet::len).sum()),
        ])
    }

    fn handle_packet(&mut self, from: Path, packet: Packet, body: &[u8]) {
        match packet {
            Packet::Register { name, token, registration, cookie }
                if self.cookies.is_good(self.cx.now(), from.remote, cookie) =>
            {
                let account = Account { token, registration, original: None };
                self.register(from, name, account);
            }
            Packet::Ping { session } => {
                if let Some(name) = self.authenticate(session, from) {
                    // Says that a session is there, which no crash outlives.
                    self.cx.send_now(from, &Packet::Pong { session }, 1);
                    self.confirm(&name);
                }
            }
            Packet::Alive { session, nonce } => {
                if let Some(name) = self.authenticate(session, from) {
                    self.probe_answered(&name, nonce);
                }
            }
            Packet::Deregister { session } => {
                if let Some(name) = self.authenticate(session, from) {
                    // That the session is over is so whatever becomes of any commit.
                    self.cx.send_now(from, &Packet::Deregistered { session }, 1);
                    self.end_session(&name, GoneReason::Deregistered);
                }
            }
            Packet::TableAck { session, table, version } => {
                if let Some(name) = self.authenticate(session, from) {
                    self.table_acked(&name, table, version);
                }
            }
            Packet::Save { session, to, stream, seq, base, unreachable, group } => {
                if let Some(sender) = self.authenticate(session, from) {
                    let id = MessageId { stream, seq };
                    let save = Save { to, body: body.to_vec(), group };
                    self.ask_to_save(Request {
                        now: self.cx.both_clocks(),
                        stamp: self.cx.stamp(),
                        sender,
                        from,
                        id,
                        base,
                        save,
                        unreachable,
                    });
                }
            }
            Packet::Shown { session, from: sender, stream, seq } => {
                if let Some(reader) = self.authenticate(session, from) {
                    self.shown(&reader, &StreamKey { from: sender, stream }, seq);
                }
            }
            Packet::HandedOverAck { session, stream, seq } => {
                if let Some(sender) = self.authenticate(session, from) {
                    self.told(&StreamKey { from: sender, stream }, seq);
                }
            }
            Packet::GroupAsk { session, request, ask } => {
                if let Some(name) = self.authenticate(session, from) {
                    self.group_asked((&name, from), session, request, ask);
                }
            }
            // With a cookie that is stale or forged.
            Packet::Register { .. } => self.cx.counters.dropped.cookie += 1,
            // Not for a server.
            _ => self.cx.counters.dropped.unwanted += 1,
        }
    }

    /// Learns from an answer how long the way to a client and back takes.
    fn measure(&mut self, from: SocketAddr, packet: &Packet, stamps: Stamps) {
        let Some(trip) = packet.kind().measures() else { return };
        let Some(took) = self.cx.round_trip(stamps) else { return };
        let name = packet.session().and_then(|session| self.by_session.get(&session));
        let session = name.and_then(|name| self.sessions.get_mut(name));
        if let Some(session) = session.filter(|session| session.path.remote == from) {
            session.measured(trip, took);
        }
    }
}

/// Whether no disk need keep what comes of a packet: then whoever is here stays here while the disk
/// stands still.
const fn changes_nothing(packet: &Packet) -> bool {
    matches!(packet, Packet::Ping { .. } | Packet::Alive { .. } | Packet::TableAck { .. })
}

impl<P: Plant> Machine for Server<P> {
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
            let cookie = self.cookies.bake(now.time, from.remote);
            // Nothing is known of whoever is asked to echo it.
            self.cx.send_now(from, &Packet::Challenge { nonce, cookie }, 1);
        } else if bytes.first() == Some(&crate::original::MARK) {
            if is_full {
                self.cx.counters.dropped.busy += 1;
            } else {
                self.handle_original(socket, from, bytes);
            }
        } else {
            let decoded = match envelope::decode_stamped(bytes) {
                Err(_) if self.cx.has(Bug::NoChecksum) => envelope::open(bytes),
                decoded => decoded,
            };
            match decoded {
                // As good as lost on the way: its sender has, and repeats, what matters.
                Ok((packet, ..)) if is_full && !changes_nothing(&packet) => {
                    self.cx.counters.dropped.busy += 1;
                }
                Ok((packet, stamps, body)) => {
                    self.measure(from.remote, &packet, stamps);
                    self.cx.answer_to(stamps.sent_ms);
                    self.handle_packet(from, packet, body);
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
        self.holding.expire(now.time);
        while let Some(timer) = self.cx.pop_due() {
            match timer {
                Timer::Lease(name) => self.check_lease(&name),
                Timer::Probe(name) => self.probe_again(&name),
                Timer::Table(name) => self.sync_table(&name),
                Timer::Mail(name) => self.hand_over(&name),
                Timer::Told(key) => self.tell(&key),
                Timer::Expiry => self.expire_mail(),
                Timer::Room => self.cx.ask_for_room(),
            }
        }
    }

    fn handle_committed(&mut self, now: Now, Committed { commits, room }: Committed) {
        self.cx.begin(now);
        self.cx.counters.commits += u64::from(commits > 0);
        self.waits_for_room = commits == 0;
        match room {
            Room::Low => self.cx.set_timer(Timer::Room, now.time + ROOM_AGAIN),
            Room::Plenty => self.cx.clear_timer(&Timer::Room),
        }
        self.cx.committed(commits);
        if self.cx.set_room(room) {
            self.cx.report_now(Event::Room(room));
        }
        self.acknowledge_durable();
        self.release_letters();
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
        self.cx.next_timeout()
    }

    fn is_finished(&self) -> bool {
        // What waits for room, nobody was told of: there may be none for days.
        self.stopped && (self.cx.is_idle() || self.waits_for_room)
    }
}
