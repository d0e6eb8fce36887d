//! The client: a state machine that registers, sends, shows and keeps what it still has to send.

mod event;
mod record;
pub mod timing;

use std::net::SocketAddr;

pub use event::{Command, DetourReason, Event, Listing, Problem, UnsentReason};
pub use record::{Change, ClientRecord, Outgoing, ShownStreams};

use crate::journal::Journal;
use crate::machine::{Datagram, Entropy, Machine, Output};
use crate::protocol::Name;
use crate::time::{Now, Time};

/// Who the client is and where its server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The user's name.
    pub name: Name,
    /// The server's address.
    pub server: SocketAddr,
}

/// The client's state machine.
#[derive(Debug)]
pub struct Client {
    journal: Journal<Event, Change>,
}

impl Client {
    /// A client that goes on from `record`. It signs in by itself.
    #[must_use]
    pub fn new(_config: ClientConfig, _record: ClientRecord, _entropy: Entropy) -> Self {
        Self { journal: Journal::new() }
    }
}

impl Machine for Client {
    type Command = Command;
    type Event = Event;
    type Change = Change;

    fn handle_datagram(&mut self, _now: Now, _datagram: Datagram<'_>) {}
    fn handle_command(&mut self, _now: Now, _command: Command) {}
    fn handle_timeout(&mut self, _now: Now) {}
    fn handle_committed(&mut self, _now: Now) {
        self.journal.committed();
    }
    fn poll_output(&mut self) -> Option<Output<Event, Change>> {
        self.journal.poll()
    }
    fn next_timeout(&self) -> Option<Time> {
        None
    }
    fn is_finished(&self) -> bool {
        false
    }
}
