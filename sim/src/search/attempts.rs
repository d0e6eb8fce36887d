//! How often messages are sent directly until they are acknowledged, beside the number that
//! follows from the loss alone.
//!
//! Counts only messages that travel alone on their stream: then each try ends in an acknowledgement
//! or not by the fates of its own two datagrams and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use udpchat_core::client::Event;
use udpchat_core::client::timing::DIRECT_PATIENCE;
use udpchat_core::protocol::PacketKind;
use udpchat_core::retransmission::attempts_within;

use crate::naming::label::{HostName, Label};
use crate::planning::workload::Profile;
use crate::record::ledger::{Ledger, Message, SenderTold};
use crate::record::log::{Log, What};

/// The direct tries of messages that travelled alone on their stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// So many messages.
    pub messages: u64,
    /// So many tries in all.
    pub tries: u64,
}

/// The time that practically all tries of a message take.
const WINDOW: Duration = DIRECT_PATIENCE;

/// A table that has changed has reached everybody after this.
const TABLE_WAY: Duration = Duration::from_millis(500);

impl Attempts {
    /// Counts those of a run whose random faults ended at `rates_until`.
    #[must_use]
    pub fn of(log: &Log, ledger: &Ledger, rates_until: Duration) -> Self {
        let each = Self::each(log, ledger, rates_until);
        Self { messages: each.len() as u64, tries: each.iter().map(|(_, tries)| tries).sum() }
    }

    /// The messages that count, and the tries of each.
    #[must_use]
    pub fn each(log: &Log, ledger: &Ledger, rates_until: Duration) -> Vec<(Label, u64)> {
        let mut tries: BTreeMap<&Label, u64> = BTreeMap::new();
        for entry in &log.entries {
            if let What::Sent { key, .. } = &entry.what
                && key.packet == PacketKind::Message
                && let Some(label) = &key.message
            {
                *tries.entry(label).or_default() += 1;
            }
        }
        let absences = absences(log);
        let mut each = Vec::new();
        for (label, message) in &ledger.messages {
            let Some(at) = message.accepted else { continue };
            let there = |host: &str| is_there(&absences, host, at);
            let counts = at + WINDOW <= rates_until
                && there(&label.host)
                && there(message.to.as_str())
                && knows(log, message.to.as_str(), &label.host, at)
                && is_alone(ledger, label, message, at);
            if let (true, Some(tries)) = (counts, tries.get(label)) {
                each.push((label.clone(), *tries));
            }
        }
        each
    }

    /// Tries a message.
    #[must_use]
    pub fn measured(&self) -> f64 {
        self.tries as f64 / self.messages as f64
    }
}

/// The tries a message that follow from the loss: (1-s^9)/(1-s), s = 1-(1-p)(1-q), where p and q
/// are the shares of messages and of acknowledgements that do not arrive whole, and 9 the tries
/// that fit into [`DIRECT_PATIENCE`]. None where more than that decides.
#[must_use]
pub fn expected(profile: &Profile, swarm: bool) -> Option<f64> {
    let rates = profile.rates;
    let others = Profile { rates: crate::faults::fate::Rates::default(), ..*profile };
    let only_loss = rates.duplicate == 0.0 && rates.burst == 0.0 && rates.delay.is_none();
    if swarm || !only_loss || others != Profile::default() {
        return None;
    }
    let arrives = (1.0 - rates.drop) * (1.0 - rates.corrupt) * (1.0 - rates.truncate);
    let repeated = 1.0 - arrives * arrives;
    let all = attempts_within(DIRECT_PATIENCE);
    if repeated >= 1.0 {
        return Some(f64::from(all));
    }
    let of_none = repeated.powi(i32::try_from(all).unwrap_or(i32::MAX));
    Some((1.0 - of_none) / (1.0 - repeated))
}

/// Whether the recipient's table has the sender by then: until it has, nothing is taken from it.
fn knows(log: &Log, recipient: &str, sender: &str, at: Duration) -> bool {
    let before = log.entries.iter().take_while(|entry| entry.at < at);
    let tables = before.filter_map(|entry| match &entry.what {
        What::Client(Event::Table(listing)) if *entry.host == *recipient => Some(listing),
        _ => None,
    });
    let last = tables.last();
    last.is_some_and(|listing| listing.online.iter().any(|name| name.as_str() == sender))
}

/// Whether nothing else went from the same sender to the same recipient meanwhile.
fn is_alone(ledger: &Ledger, label: &Label, message: &Message, at: Duration) -> bool {
    ledger.messages.iter().all(|(other, of)| {
        let Some(accepted) = of.accepted else { return true };
        if other == label || other.host != label.host || of.to != message.to {
            return true;
        }
        // One that is saved and not yet shown holds back those behind it.
        let shown = of.shown.iter().any(|shown| shown.at < at);
        let settled = |(when, told): &(Duration, SenderTold)| match told {
            SenderTold::Received
            | SenderTold::GivenUp
            | SenderTold::Expired
            | SenderTold::ReadLater => *when < at,
            SenderTold::Saved => *when < at && shown,
            SenderTold::Unsent => false,
        };
        accepted >= at + WINDOW || (accepted < at && of.told.iter().any(settled))
    })
}

/// When each host's user was not there, or about to leave: at each of these times.
fn absences(log: &Log) -> BTreeMap<&HostName, BTreeSet<(Duration, bool)>> {
    let mut absences: BTreeMap<&HostName, BTreeSet<(Duration, bool)>> = BTreeMap::new();
    for entry in &log.entries {
        let there = match &entry.what {
            What::Client(Event::Registered { .. }) => true,
            What::Started { .. } | What::Crashed | What::Ended { .. } | What::Paused { .. } => {
                false
            }
            What::Client(Event::Left { .. } | Event::Offline) => false,
            What::Typed { line, .. } if line.starts_with("dereg ") => false,
            _ => continue,
        };
        absences.entry(&entry.host).or_default().insert((entry.at, there));
    }
    absences
}

/// Whether the user is there from this time on until all tries are made.
fn is_there(
    absences: &BTreeMap<&HostName, BTreeSet<(Duration, bool)>>,
    host: &str,
    at: Duration,
) -> bool {
    let of_host = absences.iter().find(|(name, _)| &****name == host);
    let Some((_, times)) = of_host else { return false };
    // A moment after registering everybody's table says so.
    let before = times.iter().take_while(|(time, _)| *time + TABLE_WAY <= at).last();
    let meanwhile = times.iter().any(|(time, _)| (at..at + WINDOW).contains(&(*time + TABLE_WAY)));
    before.is_some_and(|(_, there)| *there) && !meanwhile
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::fate::Rates;

    #[test]
    fn the_closed_form_is_that_of_nine_tries() {
        let of = |drop| {
            let rates = Rates { drop, ..Rates::default() };
            expected(&Profile { rates, ..Profile::default() }, false).unwrap()
        };
        assert!((of(0.0) - 1.0).abs() < 1e-9);
        assert!((of(1.0) - 9.0).abs() < 1e-9);
        // s = 0.51: 1 + s + s^2 + .. + s^8.
        assert!((of(0.3) - 2.036_053_0).abs() < 1e-6, "{}", of(0.3));
        assert_eq!(expected(&Profile::ALL, false), None);
    }
}
