//! The client: a state machine that registers, sends, shows and keeps what it still has to send.
//!
//! Knows no socket, clock, disk or runtime ([`crate::machine`]). Made of parts that own their
//! state: [`session`] (read it first), [`directory`], [`outbox`], [`inbox`], [`groups`],
//! [`commands`], [`original`] and [`wire`]. A part touches nothing but itself and the
//! [`context`]; what follows for others it returns, and only [`Client`] wires them
//! ([`dispatch`], [`wiring`]). Each input ends in one [`Client::advance`], which decides what
//! comes next: nothing re-enters. Everything that a client says waits for the journal: what it
//! tells a peer or the user, a restart must not take back.

mod commands;
mod context;
mod directory;
mod dispatch;
mod event;
mod groups;
mod history;
mod inbox;
mod original;
mod outbox;
mod readiness;
mod record;
mod rows;
mod session;
pub mod timing;
mod wire;
mod wiring;

use std::net::SocketAddr;

pub use event::{Command, Delay, DetourReason, Event, GroupDone, Listing, Problem, UnsentReason};
pub use history::{Course, History, HistoryEntry, SentState};
pub use record::{Change, ClientRecord, Home, Outgoing, ShownStreams, Unsettled, Wish};
pub use session::Tried;

use crate::load::{Gauge, Load};
use crate::machine::{Datagram, Entropy, Machine, Output, Transmit};
use crate::mutation::{Mutations, NoMutations};
use crate::protocol::Name;
use crate::protocol::envelope;
use crate::store::{Committed, DiskSpace};
use crate::time::{Now, Time};
use commands::{Commands, Step};
use context::Context;
use directory::Directory;
use groups::Requests;
use inbox::Inbox;
use original::Originals;
use outbox::Outbox;
use readiness::Readiness;
use session::{Foreign, Session};
use wire::Wire;

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
    /// Whether a server of the original's dialect is spoken to: nothing that it says can be told
    /// from what somebody else says in its name.
    pub original: bool,
}

impl ClientConfig {
    /// With a server of our dialect at one address, without a store, and for a person at a
    /// terminal.
    #[must_use]
    pub fn new(name: Name, server: SocketAddr, port: u16) -> Self {
        let (host, others) = (server.ip().to_string(), Vec::new());
        Self { name, host, server, others, port, has_store: false, patient: false, original: false }
    }
}

/// The client's state machine.
#[derive(Debug)]
pub struct Client<M = NoMutations> {
    context: Context<M>,
    session: Session,
    directory: Directory,
    outbox: Outbox,
    inbox: Inbox,
    requests: Requests,
    commands: Commands,
    originals: Originals,
    wire: Wire,
}

/// What the client waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The beginning.
    Start,
    /// The server's answer, or the next keep-alive.
    Session,
    /// The end of the patience with which commands wait for the registration, or for the end of
    /// what is typed.
    GiveUp,
    /// The server's answer to a question about groups.
    Groups,
    /// The next command, of which is only said that it comes too late.
    Input,
    /// An acknowledgement from a recipient, or on its behalf.
    Recipient(Name),
    /// A commit that takes along what was recorded lazily.
    Lazy,
    /// Room in the store.
    DiskSpace,
}

impl Client {
    /// A client that goes on from `record`. It signs in by itself.
    #[must_use]
    pub fn new(config: ClientConfig, record: ClientRecord, entropy: Entropy) -> Self {
        Self::with_bugs(config, record, entropy, NoMutations)
    }
}

impl<M: Mutations> Client<M> {
    /// The same with planted bugs, for a simulator that has to find them.
    #[must_use]
    pub fn with_bugs(
        config: ClientConfig,
        record: ClientRecord,
        entropy: Entropy,
        mutations: M,
    ) -> Self {
        let mut context = Context::new(config, record, entropy, mutations);
        context.show_again();
        Self {
            session: Session::new(context.config(), context.record().home),
            directory: Directory::default(),
            outbox: Outbox::restored(&context),
            inbox: Inbox::new(),
            requests: Requests::restored(&context),
            commands: Commands::new(),
            originals: Originals::default(),
            wire: Wire::default(),
            context,
        }
    }

    /// How many datagrams were dropped because they were damaged, or nobody's.
    #[must_use]
    pub const fn invalid_datagrams(&self) -> u64 {
        self.wire.invalid_datagrams()
    }

    /// What it holds in memory.
    #[must_use]
    pub fn load(&self) -> Load {
        let (held, held_streams) = self.inbox.len();
        Load::from([
            (Gauge::Outputs, self.context.outputs()),
            (Gauge::Timers, self.context.timers.len()),
            (Gauge::Held, held),
            (Gauge::HeldStreams, held_streams),
            (Gauge::Streams, self.context.record().shown.len()),
            (Gauge::Names, self.directory.len()),
            (Gauge::Commands, self.commands.len()),
            (Gauge::Outbox, self.outbox.len()),
            (Gauge::Recipients, self.outbox.recipients_len()),
            (Gauge::Requests, self.requests.len()),
            (Gauge::Casts, self.outbox.broadcasts_len()),
        ])
    }

    /// All that it keeps, if its store has all of it: for whoever compares the two.
    #[must_use]
    pub fn durable(&self) -> Option<&ClientRecord> {
        self.context.is_idle().then(|| self.context.record())
    }

    /// Does whatever the input that was handled lets go on, one thing after the other: each is
    /// done with before the next is chosen.
    fn advance(&mut self) {
        loop {
            while let Some(packet) = self.originals.poll_packet() {
                self.handle_server_packet(packet, b"");
            }
            let readiness =
                Readiness::of((&self.session, &self.directory), (&self.outbox, &self.requests));
            match self.commands.next(&mut self.context, &readiness) {
                Some(Step::Do(command)) => self.do_command(command),
                Some(Step::SignOut) => self.sign_out(),
                Some(Step::End) => self.end(),
                None => return,
            }
        }
    }
}

impl<M: Mutations> Machine for Client<M> {
    type Command = Command;
    type Event = Event;
    type Change = Change;

    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        self.context.set_now(now);
        if self.context.is_full() {
            return; // As good as lost on the way: its sender has, and repeats, what matters.
        }
        let (path, Datagram { from, bytes, .. }) = (datagram.path(), datagram);
        if bytes.first() == Some(&crate::original::MARK) {
            if from == self.session.server() {
                self.wire.note_local(path.local);
            }
            self.handle_original(path, bytes);
        } else if let Ok((packet, stamps, body)) = envelope::decode_stamped(bytes) {
            self.wire.begin_answer(from, stamps);
            self.handle_packet(path, packet, stamps, body);
        } else {
            self.wire.count_invalid();
            // What begins as ours does may be a server's, and damaged; nothing is no word.
            if bytes.first().is_some_and(|first| *first != envelope::MARK) {
                self.session.heard_nonsense(&mut self.context, from, Foreign::Stranger);
            }
        }
        // What has an outcome may have made room.
        self.advance();
        self.wire.end_answer();
    }

    fn handle_command(&mut self, now: Now, command: Command) {
        self.context.set_now(now);
        if let Some(command) = self.commands.take(&mut self.context, command) {
            self.do_command(command);
        }
        self.advance();
    }

    fn takes_commands(&self) -> bool {
        self.commands.have_room(&self.context)
    }

    fn handle_timeout(&mut self, now: Now) {
        self.context.set_now(now);
        self.inbox.expire(now.time);
        while let Some(timer) = self.context.timers.pop_due(now.time) {
            match timer {
                Timer::Start => {
                    self.commands.wait_for_arrival(&mut self.context);
                    self.sign_in();
                    // What an earlier life left may be unsent before the server is there.
                    self.resume();
                }
                Timer::Session => self.ask_server(),
                Timer::GiveUp => self.give_up(),
                Timer::Input => self.commands.input_ended(&mut self.context),
                Timer::Groups => self.poll_requests(),
                Timer::Recipient(name) => self.poll_queue(&name),
                Timer::Lazy => self.context.hurry_commit(),
                Timer::DiskSpace => self.context.ask_for_commit(),
            }
        }
        self.advance();
    }

    fn handle_committed(&mut self, now: Now, committed: Committed) {
        self.context.set_now(now);
        if committed.room == DiskSpace::Plenty {
            self.inbox.note_room();
        }
        self.context.committed(committed);
        self.advance();
    }

    fn poll_at_once(&mut self) -> Option<Transmit> {
        self.context.poll_at_once()
    }

    fn poll_output(&mut self) -> Option<Output<Event, Change>> {
        if self.commands.is_over() {
            self.context.hurry_commit();
        }
        let output = self.context.poll();
        if let Some(Output::Event(event)) = &output {
            self.context.telling(event);
        }
        output
    }

    fn next_timeout(&self) -> Option<Time> {
        self.context.timers.next()
    }

    fn is_finished(&self) -> bool {
        self.commands.is_over() && self.context.is_idle()
    }

    fn check_invariants(&self) {
        if self.context.timers.is_set(&Timer::Start) {
            return; // Nothing has its timers before it has begun.
        }
        let readiness =
            Readiness::of((&self.session, &self.directory), (&self.outbox, &self.requests));
        self.session.check_invariants(&self.context);
        self.directory.check_invariants();
        self.outbox.check_invariants(&self.context, self.session.id().is_some());
        self.inbox.check_invariants(&self.context);
        self.requests.check_invariants(&self.context, self.commands.is_over());
        self.commands.check_invariants(&self.context, &readiness);
        self.originals.check_invariants();
    }
}
