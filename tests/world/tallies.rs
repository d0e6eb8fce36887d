//! What nodes were shown and sent, counted.

use udpchat_core::client::Event;
use udpchat_core::protocol::PacketKind;

use super::World;

impl World {
    /// The texts that a client was shown.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.shown(name).into_iter().map(|(_, text)| text).collect()
    }

    /// How many of a client's events a filter likes.
    pub(crate) fn count(&self, name: &str, filter: impl Fn(&Event) -> bool) -> usize {
        self.events(name).iter().filter(|event| filter(event)).count()
    }

    /// How often such a packet was sent on such a way.
    pub(crate) fn sent(&self, from: &str, kind: PacketKind, to: &str) -> usize {
        self.log.iter().filter(|(_, sight)| sight.is(from, kind, to)).count()
    }
}
