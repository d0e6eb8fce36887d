//! Nobody is woken for nothing, and nothing is committed that is nothing.

use udpchat_core::server::timing::LEASE;

use super::{Checker, Evidence, Violation, When};

pub(super) const CHECKER: Checker = Checker {
    name: "effort",
    promise: "programs do nothing in vain: no commit is empty while there is room on the disk, and \
              timers that lead to nothing are few, one for each lease at most",
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
    let mut violations = Vec::new();
    for (host, load) in evidence.load {
        let mut add = |what| {
            violations.push(Violation { checker: CHECKER.name, at: evidence.end, what });
        };
        let (vain, empty) = (load.effort.woken_in_vain, load.effort.empty_commits);
        if vain > leases + BEGINNINGS {
            add(format!("{host} is woken {vain} times in vain"));
        }
        if empty > 0 {
            add(format!("{host} commits nothing {empty} times"));
        }
    }
    violations
}
