//! Repetition is bounded: a peer that does not answer is left alone, a server is not forgotten.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::client;
use udpchat_core::client::timing::{BACKOFF_MAX, DIRECT_PATIENCE, DIRECT_PATIENCE_MAX};
use udpchat_core::protocol::PacketKind;
use udpchat_core::protocol::limits::DATAGRAM_MAX;
use udpchat_core::retransmission::attempts_within;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::planning::moves::ADVERSARY;
use crate::planning::plan::{Host, Plan};
use crate::record::ledger::Ledger;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "bounded",
    promise: "no datagram is too long, no message sent to its recipient more often than the timers \
              say, no server that is silent asked less often",
    when: When::Always,
    check,
};

/// More than a disk takes that must end its commit before a datagram may leave.
const SLACK: Duration = Duration::from_secs(1);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut bounds = Bounds::new(evidence.plan, evidence.ledger);
    for entry in &evidence.log.entries {
        bounds.note(entry);
    }
    bounds.violations
}

struct Bounds<'a> {
    plan: &'a Plan,
    ledger: &'a Ledger,
    /// How often each message was sent directly by the program that runs now, and when first.
    direct: BTreeMap<(&'a HostName, &'a Label), (u32, Duration)>,
    /// When anything from the second host came to the first last.
    heard: BTreeMap<(&'a HostName, &'a HostName), Duration>,
    /// Since when a client that wants to sign in has sent nothing to the server.
    silent: BTreeMap<&'a HostName, Duration>,
    violations: Vec<Violation>,
}

impl<'a> Bounds<'a> {
    const fn new(plan: &'a Plan, ledger: &'a Ledger) -> Self {
        Self {
            plan,
            ledger,
            direct: BTreeMap::new(),
            heard: BTreeMap::new(),
            silent: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    fn note(&mut self, entry: &'a Entry) {
        if *entry.host == *ADVERSARY {
            return;
        }
        if let What::Sent { key, bytes, .. } = &entry.what
            && *bytes > DATAGRAM_MAX
            // Guests' tables are as long as the original reads.
            && key.to.parse::<SocketAddr>().is_err()
        {
            let (from, packet) = (&entry.host, key.packet.name());
            self.violate(entry.at, format!("{from} sends a {packet} of {bytes} bytes"));
        }
        match &entry.what {
            What::Started { .. } => {
                // Another program, which knows nothing of the tries before.
                self.direct.retain(|(host, _), _| **host != entry.host);
                self.silent.remove(&entry.host);
            }
            What::Sent { key, .. } if key.packet == PacketKind::Message => {
                if let Some(label) = &key.message {
                    self.sent_directly(entry.at, &entry.host, label);
                }
            }
            What::Arrived { from, .. } => {
                self.heard.insert((&entry.host, from), entry.at);
            }
            What::Sent { key, .. } if key.packet == PacketKind::Hello => {
                let before = self.silent.insert(&entry.host, entry.at);
                let longest = BACKOFF_MAX + SLACK;
                if before.is_some_and(|before| entry.at - before > longest) {
                    let what = format!("{} waited too long to say hello again", entry.host);
                    self.violate(entry.at, what);
                }
            }
            What::Client(client::Event::Registered { .. } | client::Event::Offline)
            | What::Paused { .. }
            | What::Crashed
            | What::Ended { .. } => {
                self.silent.remove(&entry.host);
            }
            What::Sent { .. } => {
                self.silent.remove(&entry.host);
            }
            _ => {}
        }
    }

    fn sent_directly(&mut self, at: Duration, sender: &'a HostName, label: &'a Label) {
        let (times, first) = self.direct.entry((sender, label)).or_insert((0, at));
        *times += 1;
        let Some(message) = self.ledger.messages.get(label) else { return };
        // What came while the first one waited for a commit counts as well.
        let since = message.accepted.unwrap_or(*first).min(*first);
        // A name may be another host's, later or at the same time.
        let speaks = |from: &HostName| {
            let user = self.plan.host(from).and_then(Host::user);
            user == Some(&message.to) || **from == *message.to.as_str()
        };
        let heard = self.heard.iter().filter(|((host, from), _)| *host == sender && speaks(from));
        let is_silent = heard.map(|(_, heard)| *heard).max().is_none_or(|heard| heard < since);
        let patience = if is_silent { DIRECT_PATIENCE } else { DIRECT_PATIENCE_MAX };
        if *times == attempts_within(patience) + 1 {
            let what = format!("{label} is sent directly for the {times}th time");
            self.violate(at, what);
        }
    }

    fn violate(&mut self, at: Duration, what: String) {
        self.violations.push(Violation { checker: CHECKER.name, at, what });
    }
}
