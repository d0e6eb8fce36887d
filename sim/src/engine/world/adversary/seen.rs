//! What an adversary sees of others' datagrams on the links that it sits on.

use std::collections::VecDeque;
use std::net::SocketAddr;

use udpchat_core::protocol::PacketKind;
use udpchat_core::protocol::envelope::open;

use crate::engine::network::Network;
use crate::faults::fate::{Target, Which};
use crate::naming::label::{HostName, Label};

/// A datagram on its way.
#[derive(Clone)]
pub(super) struct Sight {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) kind: PacketKind,
    pub(super) bytes: Vec<u8>,
    hosts: (HostName, HostName),
    label: Option<Label>,
}

/// All that it has seen, the last of it.
#[derive(Default)]
pub(super) struct Seen(VecDeque<Sight>);

/// Datagrams that it remembers: more than a run needs.
const SEEN_MAX: usize = 10_000;

impl Sight {
    pub(super) fn new(
        network: &Network,
        (from, to): (SocketAddr, SocketAddr),
        (kind, bytes): (PacketKind, &[u8]),
    ) -> Self {
        let message = open(bytes).ok().and_then(|(packet, ..)| packet.message());
        let hosts = (network.host_at(from), network.host_at(to));
        let label = message.and_then(|id| network.label(id));
        Self { from, to, kind, bytes: bytes.to_vec(), hosts, label }
    }

    /// Whether it is one of these, whichever of them.
    pub(super) fn is_of(&self, target: &Target) -> bool {
        (&target.from, &target.to, target.packet) == (&self.hosts.0, &self.hosts.1, self.kind)
            && target.message.as_ref().is_none_or(|message| Some(message) == self.label.as_ref())
    }
}

impl Seen {
    pub(super) fn add(&mut self, sight: Sight) {
        if self.0.len() == SEEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(sight);
    }

    /// Those that a target names.
    pub(super) fn of(&self, target: &Target) -> Vec<Sight> {
        let all = self.0.iter().filter(|sight| sight.is_of(target));
        (1..)
            .zip(all)
            .filter(|(nth, _)| is_meant(target.which, *nth))
            .map(|(_, it)| it.clone())
            .collect()
    }
}

/// Whether the nth of them is.
pub(super) const fn is_meant(which: Which, nth: u32) -> bool {
    match which {
        Which::Counted { first, times } => nth >= first && nth - first < times,
        Which::Attempt(attempt) => nth == attempt,
    }
}
