//! No program panics or gives up, but for a disk that fails.

use std::collections::BTreeMap;

use super::{Checker, Evidence, Violation, When};
use crate::disk::DiskFault;
use crate::label::HostName;
use crate::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "no panic",
    promise: "no datagram, command or fault makes a program panic or fail, but for a disk that \
              fails; none finds a damaged store",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    // Whose disk has failed since the program started.
    let mut failed: BTreeMap<&HostName, bool> = BTreeMap::new();
    let mut violations = Vec::new();
    for entry in &evidence.log.entries {
        if let Some(how) = broken(failed.entry(&entry.host).or_default(), entry) {
            let what = format!("{} {how}", entry.host);
            violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        }
    }
    violations
}

/// How a program broke off that had no reason to.
fn broken(disk_failed: &mut bool, entry: &Entry) -> Option<String> {
    match &entry.what {
        What::Started { .. } => *disk_failed = false,
        What::Disk(event) => *disk_failed |= event.fault == DiskFault::Fails,
        What::Panicked(text) => return Some(format!("panicked: {text}")),
        What::Ended { error: Some(error) } => {
            // Whatever a disk does, nobody may find what nobody wrote.
            let damaged = error.contains(DAMAGED);
            return (damaged || !*disk_failed).then(|| format!("failed: {error}"));
        }
        _ => {}
    }
    None
}

/// Part of what a program says that finds its store in ruins.
const DAMAGED: &str = "damaged";
