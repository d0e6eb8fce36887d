//! The server: a state machine that knows who is where and keeps messages for those who are away.

mod event;
mod record;
pub mod timing;

use serde::Serialize;

pub use event::{Command, Event, GoneReason};
pub use record::{Account, Change, Letter, Progress, ServerRecord};

use crate::journal::Journal;
use crate::machine::{Datagram, Entropy, Machine, Output};
use crate::time::{Now, Time};

/// What the operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Whether clients of the original's dialect are served.
    pub original: bool,
}

/// The server's state machine.
#[derive(Debug)]
pub struct Server {
    record: ServerRecord,
    journal: Journal<Event, Change>,
}

/// The server's state as people read it: no ids, nothing random. For tests and logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// "alice: online at 192.168.0.1:5000"
    pub clients: Vec<String>,
    /// "for carol: alice #1 at <time>, 5 bytes"
    pub mail: Vec<String>,
}

impl Server {
    /// A server that goes on from `record`.
    #[must_use]
    pub fn new(_config: ServerConfig, record: ServerRecord, _entropy: Entropy) -> Self {
        Self { record, journal: Journal::new() }
    }

    /// Its state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { clients: vec![format!("{:?}", self.record)], mail: Vec::new() }
    }
}

impl Machine for Server {
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
