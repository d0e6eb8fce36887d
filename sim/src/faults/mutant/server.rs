//! The server's.

use crate::faults::bugs::Bug;
use udpchat_core::load::Load;
use udpchat_core::machine::{Datagram, Machine, Output, Transmit};
use udpchat_core::protocol::PacketKind;
use udpchat_core::server::{Change, Event, Server, Snapshot};
use udpchat_core::store::Committed;
use udpchat_core::time::{Now, Time};

use super::before;
use crate::faults::bugs::Planted;

/// A server with a planted bug, or none.
pub(crate) struct ServerMutant {
    inner: Server<Planted>,
    bugs: Planted,
}

impl ServerMutant {
    pub(crate) const fn new(inner: Server<Planted>, bugs: Planted) -> Self {
        Self { inner, bugs }
    }

    pub(crate) fn load(&self) -> Load {
        self.inner.load()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.inner.snapshot()
    }

    /// What becomes of a datagram after the server has sent it, if anything.
    fn goes(&self, mut transmit: Transmit) -> Option<Transmit> {
        let again = transmit.identity.attempt > 1;
        if again && transmit.identity.kind == PacketKind::Table && self.bugs.has(Bug::TableSentOnce)
        {
            return None;
        }
        if transmit.source.is_some() && self.bugs.has(Bug::AnswersFromAnywhere) {
            transmit.source = None;
        }
        Some(transmit)
    }

    /// What is committed.
    fn kept(&self, mut changes: Vec<Change>) -> Vec<Change> {
        changes.retain(|change| {
            let lost = match change {
                Change::Settled { .. } => self.bugs.has(Bug::ForgetsHandOver),
                Change::Joined { .. } | Change::Left { .. } => {
                    self.bugs.has(Bug::ForgetsMembership)
                }
                _ => false,
            };
            !lost
        });
        changes
    }
}

impl Machine for ServerMutant {
    type Command = <Server<Planted> as Machine>::Command;
    type Event = Event;
    type Change = Change;

    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        let changed = before(&self.bugs, datagram.bytes, |_| None);
        let bytes = changed.as_deref().unwrap_or(datagram.bytes);
        self.inner.handle_datagram(now, Datagram { bytes, ..datagram });
    }

    fn handle_command(&mut self, now: Now, command: Self::Command) {
        self.inner.handle_command(now, command);
    }

    fn takes_commands(&self) -> bool {
        self.inner.takes_commands()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.inner.handle_timeout(now);
    }

    fn handle_committed(&mut self, now: Now, committed: Committed) {
        self.inner.handle_committed(now, committed);
    }

    fn poll_at_once(&mut self) -> Option<Transmit> {
        loop {
            let transmit = self.inner.poll_at_once()?;
            let transmit = self.goes(transmit);
            if transmit.is_some() {
                return transmit;
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output<Event, Change>> {
        loop {
            let output = match self.inner.poll_output()? {
                Output::Transmit(transmit) => self.goes(transmit).map(Output::Transmit),
                Output::Event(event) => Some(Output::Event(event)),
                Output::Commit(changes) => Some(Output::Commit(self.kept(changes))),
            };
            if output.is_some() {
                return output;
            }
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.inner.next_timeout()
    }

    fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    fn check_invariants(&self) {
        // What a planted bug does is for the checkers of the promises to find.
        if !self.bugs.is_any() {
            self.inner.check_invariants();
        }
    }
}
