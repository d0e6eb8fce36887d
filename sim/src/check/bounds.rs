//! Repetition is bounded: a peer that does not answer is left alone.

use std::collections::BTreeMap;

use udpchat::client::timing::DIRECT_ATTEMPTS;
use udpchat::protocol::PacketKind;

use super::{Checker, Evidence, Violation, When};
use crate::label::Label;
use crate::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "bounded",
    promise: "no program sends a message to its recipient more often than it says it would",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut sent: BTreeMap<&Label, u32> = BTreeMap::new();
    let mut violations = Vec::new();
    for entry in &evidence.log.entries {
        match &entry.what {
            // Another program, which knows nothing of the tries before.
            What::Started { .. } => sent.retain(|label, _| label.host != entry.host),
            What::Sent { key, .. } if key.packet == PacketKind::Message => {
                let Some(label) = &key.message else { continue };
                let times = sent.entry(label).or_default();
                *times += 1;
                if *times == DIRECT_ATTEMPTS + 1 {
                    let what = format!("{label} is sent directly for the {times}th time");
                    violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
                }
            }
            _ => {}
        }
    }
    violations
}
