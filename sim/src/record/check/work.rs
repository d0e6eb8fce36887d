//! What an adversary sends causes no more work than it is itself.

use std::collections::BTreeMap;

use udpchat_core::protocol::PacketKind;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::moves::ADVERSARY;
use crate::planning::plan::SERVER;
use crate::record::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "work",
    promise: "where nothing goes wrong but that somebody attacks, a client is sent at most four \
              rounds of its table's parts in a second, and one part more for eight datagrams of \
              the attack",
    when: When::Always,
    check,
};

/// Parts of the table in a second, however little is sent by an adversary: four rounds, each of
/// them sent twice.
const PARTS: usize = 4 * 2;

/// Changes that one part tells of, at least.
const CHANGES_A_PART: usize = 8;

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    if !evidence.plan.is_attacked() || !evidence.plan.is_calm() {
        return Vec::new();
    }
    let mut hostile: BTreeMap<u64, usize> = BTreeMap::new();
    let mut parts: BTreeMap<(u64, &HostName), usize> = BTreeMap::new();
    for entry in &evidence.log.entries {
        let What::Sent { key, .. } = &entry.what else { continue };
        let second = entry.at.as_secs();
        if *key.from == *ADVERSARY && *key.to == *SERVER {
            *hostile.entry(second).or_default() += 1;
        } else if *key.from == *SERVER && key.packet == PacketKind::Table {
            *parts.entry((second, &key.to)).or_default() += 1;
        }
    }
    let violation = |((second, to), sent): (&(u64, &HostName), &usize)| {
        // What came at the end of the second before may be told in this one.
        let before = second.checked_sub(1).and_then(|before| hostile.get(&before));
        let caused = hostile.get(second).unwrap_or(&0) + before.unwrap_or(&0);
        let most = PARTS + caused / CHANGES_A_PART;
        let what = format!("{to} is sent {sent} tables in a second, for {caused} datagrams");
        let at = std::time::Duration::from_secs(*second);
        (*sent > most).then_some(Violation { checker: CHECKER.name, at, what })
    };
    let is_user = |to: &HostName| evidence.plan.host(to).is_some();
    parts.iter().filter(|((_, to), _)| is_user(to)).filter_map(violation).collect()
}
