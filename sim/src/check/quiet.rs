//! Talk ends: when everything is settled, only keep-alives and their answers are sent.

use std::time::Duration;

use udpchat::protocol::PacketKind;

use super::{Checker, Evidence, Violation, When};
use crate::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "quiet",
    promise: "when everything is settled, only keep-alives and their answers are sent",
    when: When::AfterHealing,
    check,
};

/// The end of the run in which it must be quiet: longer than any repetition's pause.
const QUIET: Duration = Duration::from_secs(6);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let since = evidence.plan.until.saturating_sub(QUIET);
    let noise = evidence.log.entries.iter().find_map(|entry| match &entry.what {
        What::Sent { key, .. }
            if entry.at > since && !matches!(key.packet, PacketKind::Ping | PacketKind::Pong) =>
        {
            let (from, to, packet) = (&key.from, &key.to, key.packet.name());
            Some((entry.at, format!("{from} still sends {packet} to {to}")))
        }
        _ => None,
    });
    noise.map(|(at, what)| Violation { checker: CHECKER.name, at, what }).into_iter().collect()
}
