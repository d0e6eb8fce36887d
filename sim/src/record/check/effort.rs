//! Nobody is woken for nothing, and nothing is committed that is nothing.

use std::collections::BTreeSet;

use udpchat_core::server::timing::LEASE;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::record::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "effort",
    promise: "programs do nothing in vain: no commit is empty while there is room on the disk, and \
              timers that lead to nothing are few, one for each lease and message at most",
    when: When::Always,
    check,
};

/// Timers that may end in vain in each life of a program, whatever goes on.
const BEGINNINGS: u64 = 40;

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    if evidence.plan.is_attacked() {
        return Vec::new();
    }
    let users = evidence.plan.hosts.len() as u64;
    // Whoever is heard of is looked at when the lease would have ended.
    let leases = users * (1 + evidence.end.as_secs() / (LEASE.as_secs() / 3));
    // Whoever is heard of has a patience that ends later than it seemed.
    let patience = evidence.ledger.messages.len() as u64;
    let disks = evidence.log.entries.iter().filter(|entry| matches!(entry.what, What::Disk(_)));
    let troubled: BTreeSet<&HostName> = disks.map(|entry| &entry.host).collect();
    let mut violations = Vec::new();
    for (host, load) in evidence.load {
        let mut add = |what| {
            violations.push(Violation { checker: CHECKER.name, at: evidence.end, what });
        };
        let (vain, empty) = (load.effort.woken_in_vain, load.effort.empty_commits);
        if vain > leases + patience + BEGINNINGS {
            add(format!("{host} is woken {vain} times in vain"));
        }
        // Room may come while a program asks for it.
        if empty > 0 && !troubled.contains(host) {
            add(format!("{host} commits nothing {empty} times"));
        }
    }
    violations
}
