//! The client: a state machine that registers, sends, shows and keeps what it still has to send.
//!
//! Knows no socket, clock, disk or runtime ([`crate::machine`]). Read [`session`] first, then
//! [`outbox`] and [`inbox`]. Everything it says waits for the journal: what it tells a peer or the
//! user, a restart must not take back.

mod commands;
mod dispatch;
mod event;
mod fanout;
mod groups;
mod history;
mod inbox;
mod original;
mod outbox;
mod outcomes;
mod record;
mod roster;
mod rows;
mod session;
mod size;
pub mod timing;
mod whereabouts;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

pub use event::{Command, Delay, DetourReason, Event, GroupDone, Listing, Problem, UnsentReason};
pub use groups::Wish;
pub use history::{Course, History, Line, State};
pub use record::{Change, ClientRecord, Home, Outgoing, ShownStreams, Unsettled};
pub use whereabouts::Tried;

use crate::holding::Holding;
use crate::journal::{CommitTurn, Journal};
use crate::load::{Gauge, Load};
use crate::machine::{Datagram, Entropy, Identity, Machine, Output, Path, Socket, Transmit};
use crate::plant::{Bug, Plant, Sound};
use crate::protocol::envelope::{self, Stamps};
use crate::protocol::{Name, Packet};
use crate::store::{Committed, Record as _, Room};
use crate::time::{Now, Time, whole_ms};
use crate::timers::Timers;
use commands::WaitingFor;
use fanout::Fanouts;
use groups::Groups;
use inbox::Incoming;
use original::Originals;
use outbox::Lane;
use roster::Roster;
use session::Session;
use timing::{LAZY_COMMIT, ROOM_AGAIN};
use whereabouts::Whereabouts;

/// Who the client is and where its server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The user's name.
    pub name: Name,
    /// The server's host, as the user calls it.
    pub host: String,
    /// The server's address, or the one to be tried first.
    pub server: SocketAddr,
    /// Others that it may have.
    pub others: Vec<SocketAddr>,
    /// The client's own port: in the table of an original server it tells the own entry from that
    /// of another holder of the name.
    pub port: u16,
    /// Whether what it keeps outlives it: at its end it gives up nothing then.
    pub has_store: bool,
    /// Whether who types can wait, as a pipe can and a person at a terminal cannot: then what
    /// there is no room for waits until there is, where it would be refused else.
    pub patient: bool,
}

impl ClientConfig {
    /// With a server at one address, without a store, and for a person at a terminal.
    #[must_use]
    pub fn new(name: Name, server: SocketAddr, port: u16) -> Self {
        let (host, others) = (server.ip().to_string(), Vec::new());
        Self { name, host, server, others, port, has_store: false, patient: false }
    }
}

/// The client's state machine.
#[derive(Debug)]
pub struct Client<P = Sound> {
    plant: P,
    config: ClientConfig,
    record: ClientRecord,
    journal: Journal<Event, Change>,
    entropy: Entropy,
    timers: Timers<Timer>,
    session: Session,
    /// The address of this machine at which its server reaches it: peers look for it there.
    reached_at: Option<IpAddr>,
    whereabouts: Whereabouts,
    roster: Roster,
    /// What the user was shown of the table.
    listed: Option<Listing>,
    lanes: BTreeMap<Name, Lane>,
    fanouts: Fanouts,
    groups: Groups,
    /// Messages whose predecessors have not arrived.
    holding: Holding<Incoming>,
    originals: Originals,
    /// What an original server's words come to, as our server would put it.
    loopback: VecDeque<Packet>,
    /// When the input came that is being handled.
    now: Now,
    /// If it is a datagram that says when it was sent: where from, and when.
    answers: Option<(SocketAddr, u64)>,
    commands: VecDeque<Command>,
    waiting_for: Option<WaitingFor>,
    /// Nothing more is to be heard of the user.
    input_over: bool,
    /// Some send has failed for good.
    incomplete: bool,
    /// How much room the store has.
    room: Room,
    /// The user knows that what comes cannot be kept.
    full_told: bool,
    invalid_datagrams: u64,
    ended: bool,
}

/// What the client waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The beginning.
    Start,
    /// The server's answer, or the next keep-alive.
    Session,
    /// The end of the patience with which commands wait for the registration.
    GiveUp,
    /// The server's answer to a question about groups.
    Groups,
    /// The next command, of which is only said that it comes too late.
    Input,
    /// An acknowledgement from a recipient, or on its behalf.
    Lane(Name),
    /// A commit that takes along what was recorded lazily.
    Lazy,
    /// Room in the store.
    Room,
}

impl Client {
    /// A client that goes on from `record`. It signs in by itself.
    #[must_use]
    pub fn new(config: ClientConfig, record: ClientRecord, entropy: Entropy) -> Self {
        Self::with_bugs(config, record, entropy, Sound)
    }
}

impl<P: Plant> Client<P> {
    /// The same with planted bugs, for a simulator that has to find them.
    #[must_use]
    pub fn with_bugs(
        config: ClientConfig,
        record: ClientRecord,
        entropy: Entropy,
        plant: P,
    ) -> Self {
        let mut timers = Timers::new();
        timers.set(Timer::Start, Time::ZERO);
        let whereabouts = Whereabouts::new(&config, record.home.map(|home| home.server));
        let mut client = Self {
            plant,
            config,
            record,
            journal: Journal::new(CommitTurn::Last),
            entropy,
            timers,
            session: Session::new(),
            reached_at: None,
            whereabouts,
            roster: Roster::default(),
            listed: None,
            lanes: BTreeMap::new(),
            fanouts: Fanouts::default(),
            groups: Groups::default(),
            holding: Holding::new(),
            originals: Originals::default(),
            loopback: VecDeque::new(),
            now: Now::default(),
            answers: None,
            commands: VecDeque::new(),
            waiting_for: Some(WaitingFor::Arrival),
            input_over: false,
            incomplete: false,
            room: Room::Plenty,
            full_told: false,
            invalid_datagrams: 0,
            ended: false,
        };
        client.show_again();
        client.restore_outbox();
        client.restore_wishes();
        client
    }

    /// How many datagrams were dropped because they were damaged, or nobody's.
    #[must_use]
    pub const fn invalid_datagrams(&self) -> u64 {
        self.invalid_datagrams
    }

    /// What it holds in memory.
    #[must_use]
    pub fn load(&self) -> Load {
        let (held, held_streams) = self.holding.len();
        let unsettled = self.record.outgoing.values().map(|outgoing| outgoing.unsettled.len());
        Load::from([
            (Gauge::Outputs, self.journal.len()),
            (Gauge::Timers, self.timers.len()),
            (Gauge::Held, held),
            (Gauge::HeldStreams, held_streams),
            (Gauge::Streams, self.record.shown.len()),
            (Gauge::Names, self.roster.len()),
            (Gauge::Commands, self.commands.len()),
            (Gauge::Outbox, unsettled.sum()),
            (Gauge::Recipients, self.lanes.len()),
            (Gauge::Requests, self.groups.len()),
            (Gauge::Casts, self.fanouts.len()),
        ])
    }

    /// Changes the durable state.
    fn change(&mut self, change: Change) {
        self.record.apply(&change);
        let forgotten = match change {
            Change::Shown { .. } => self.plant.has(Bug::ForgetsShown),
            Change::Typed { .. } => self.plant.has(Bug::ForgetsOutbox),
            _ => false,
        };
        if !forgotten {
            self.journal.record(change);
        }
    }

    /// Changes the durable state after the user was told so. A crash in between makes it be told
    /// again, and never not at all.
    fn change_once_told(&mut self, change: Change) {
        self.record.apply(&change);
        self.journal.record_once_told(change);
    }

    /// Changes the durable state with the next commit, or after [`LAZY_COMMIT`].
    fn change_lazily(&mut self, change: Change) {
        self.record.apply(&change);
        self.journal.record_lazily(change);
        if !self.timers.is_set(&Timer::Lazy) {
            self.timers.set(Timer::Lazy, self.now.time + LAZY_COMMIT);
        }
    }

    fn send_to_server(&mut self, packet: &Packet, body: &[u8], attempt: u32) {
        self.send(self.whereabouts.server(), packet, body, attempt);
    }

    /// To its server a client speaks from whatever address the system chooses, and is answered
    /// there. To peers it speaks from there as well, unless they asked at another one.
    fn send(&mut self, to: impl Into<Path>, packet: &Packet, body: &[u8], attempt: u32) {
        let Path { remote: to, local } = to.into();
        if to == self.whereabouts.server() && self.server_is_original() {
            return self.ask_original_server(packet, body, attempt);
        }
        let source = local.or(self.reached_at).filter(|_| to != self.whereabouts.server());
        if self.roster.at(to).is_some_and(|entry| entry.original) {
            let path = Path { remote: to, local: source };
            return self.send_to_original_peer(path, packet, body, attempt);
        }
        let kind = packet.kind();
        let identity = Identity { kind, message: packet.message(), attempt };
        let stamps = Stamps {
            sent_ms: kind.is_timed().then(|| whole_ms(self.now.time.since_start())),
            echo_ms: self
                .answers
                .filter(|(from, _)| *from == to && kind.measures().is_some())
                .map(|(_, sent)| sent),
        };
        let bytes = envelope::encode_stamped(packet, stamps, body);
        self.journal.transmit_durably(Transmit {
            socket: Socket::Main,
            source,
            to,
            bytes,
            identity,
        });
    }
}

impl<P: Plant> Machine for Client<P> {
    type Command = Command;
    type Event = Event;
    type Change = Change;

    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        let (path, Datagram { from, bytes, .. }) = (datagram.path(), datagram);
        self.now = now;
        if self.journal.is_full() {
            return; // As good as lost on the way: its sender has, and repeats, what matters.
        }
        if bytes.first() == Some(&crate::original::MARK) {
            if from == self.whereabouts.server() {
                self.reached_at = path.local;
            }
            self.handle_original(now, path, bytes);
            self.drain_loopback(now);
            return self.go_on(now);
        }
        let decoded = match envelope::decode_stamped(bytes) {
            Err(_) if self.plant.has(Bug::NoChecksum) => envelope::open(bytes),
            decoded => decoded,
        };
        let Ok((packet, stamps, body)) = decoded else {
            self.invalid_datagrams += 1;
            // What begins as ours does may be a server's, and damaged; nothing is no word.
            if bytes.first().is_some_and(|first| *first != envelope::MARK) {
                self.heard_nonsense(now, from);
            }
            return;
        };
        self.answers = stamps.sent_ms.map(|sent| (from, sent));
        self.measure(now, from, &packet, stamps);
        if let Packet::Challenge { nonce, cookie } = packet {
            self.challenged(now, from, nonce, cookie);
        } else if from == self.whereabouts.server() {
            if self.is_of_own_session(&packet) {
                self.reached_at = path.local;
            }
            self.handle_server_packet(now, packet, body);
        } else {
            self.handle_peer_packet(now, path, packet, body);
        }
        // What has an outcome may have made room.
        self.go_on(now);
        self.answers = None;
    }

    fn handle_command(&mut self, now: Now, command: Command) {
        self.now = now;
        self.take_command(now, command);
        self.drain_loopback(now);
    }

    fn takes_commands(&self) -> bool {
        self.can_take_command()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        self.holding.expire(now.time);
        while let Some(timer) = self.timers.pop_due(now.time) {
            match timer {
                Timer::Start => {
                    self.set_give_up(now);
                    self.sign_in(now);
                    // What an earlier life left may be unsent before the server is there.
                    self.resume(now);
                }
                Timer::Session => {
                    self.session_timeout(now);
                    self.departed(now);
                }
                Timer::GiveUp => self.give_up(now),
                Timer::Input => self.input_ended(now),
                Timer::Groups => self.pump_groups(now),
                Timer::Lane(name) => self.pump(now, &name),
                Timer::Lazy => self.journal.hurry(),
                Timer::Room => self.journal.ask(),
            }
        }
        self.drain_loopback(now);
        self.go_on(now);
    }

    fn handle_committed(&mut self, now: Now, Committed { commits, room }: Committed) {
        self.now = now;
        self.room = room;
        match room {
            Room::Low => self.timers.set(Timer::Room, now.time + ROOM_AGAIN),
            Room::Plenty => {
                self.timers.clear(&Timer::Room);
                self.full_told = false;
            }
        }
        self.journal.committed(commits);
    }

    fn poll_at_once(&mut self) -> Option<Transmit> {
        self.journal.poll_at_once()
    }

    fn poll_output(&mut self) -> Option<Output<Event, Change>> {
        if self.ended {
            self.journal.hurry();
        }
        let output = self.journal.poll();
        if let Some(Output::Event(event)) = &output {
            self.telling(event);
        }
        output
    }

    fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    fn is_finished(&self) -> bool {
        self.ended && self.journal.is_idle()
    }
}
