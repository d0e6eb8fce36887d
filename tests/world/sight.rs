//! What a rule of a world sees of a datagram, and says of it.

use std::time::Duration;

use udpchat_core::machine::Identity;
use udpchat_core::protocol::PacketKind;
use udpchat_core::time::Time;

/// A datagram as a rule sees it.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) identity: Identity,
}

impl Sight {
    /// Whether it is such a packet on such a way.
    pub(crate) fn is(&self, from: &str, kind: PacketKind, to: &str) -> bool {
        self.from == from && self.to == to && self.identity.kind == kind
    }
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Lose,
    /// Arrives so much later.
    Delay(Duration),
    /// Arrives, and once more so much later.
    Twice(Duration),
}

/// A rule that loses the first so many datagrams of a kind on a way.
pub(crate) struct LoseFirst {
    pub(crate) left: usize,
    pub(crate) from: &'static str,
    pub(crate) kind: PacketKind,
    pub(crate) to: &'static str,
}

impl LoseFirst {
    pub(crate) fn into_rule(mut self) -> impl FnMut(Time, &Sight) -> Verdict {
        move |_, sight| {
            if self.left > 0 && sight.is(self.from, self.kind, self.to) {
                self.left -= 1;
                Verdict::Lose
            } else {
                Verdict::Pass
            }
        }
    }
}
