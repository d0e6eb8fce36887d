//! The server's.

use udpchat_core::load::Load;
use udpchat_core::machine::Transmit;
use udpchat_core::protocol::PacketKind;
use udpchat_core::server::{Change, Server, ServerRecord, Snapshot};

use super::{Around, Mutant};
use crate::faults::bugs::{Planted, Tampering};

/// What planted bugs make of a server's inputs and outputs.
pub(crate) struct ServerBugs {
    bugs: Planted,
}

impl Mutant<ServerBugs> {
    pub(crate) const fn new(inner: Server<Planted>, bugs: Planted) -> Self {
        Self { inner, around: ServerBugs { bugs } }
    }

    pub(crate) fn load(&self) -> Load {
        self.inner.load()
    }

    pub(crate) fn durable(&self) -> Option<&ServerRecord> {
        self.inner.durable()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.inner.snapshot()
    }
}

impl Around for ServerBugs {
    type Machine = Server<Planted>;

    fn bugs(&self) -> &Planted {
        &self.bugs
    }

    fn goes(&mut self, mut transmit: Transmit) -> Option<Transmit> {
        let again = transmit.identity.attempt > 1;
        if again
            && transmit.identity.kind == PacketKind::Table
            && self.bugs.tampers(Tampering::TableSentOnce)
        {
            return None;
        }
        if transmit.source.is_some() && self.bugs.tampers(Tampering::AnswersFromAnywhere) {
            transmit.source = None;
        }
        Some(transmit)
    }

    fn kept(&self, mut changes: Vec<Change>) -> Vec<Change> {
        changes.retain(|change| {
            let lost = match change {
                Change::Settled { .. } => self.bugs.tampers(Tampering::ForgetsHandOver),
                Change::Joined { .. } | Change::Left { .. } => {
                    self.bugs.tampers(Tampering::ForgetsMembership)
                }
                _ => false,
            };
            !lost
        });
        changes
    }
}
