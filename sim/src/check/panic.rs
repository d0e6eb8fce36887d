//! No program panics or gives up, but for a disk that fails.

use std::collections::BTreeMap;

use super::{Checker, Evidence, Violation, When};
use crate::disk::DiskFault;
use crate::label::HostName;
use crate::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "no panic",
    promise: "no datagram, command or fault makes a program panic or fail, but for a disk that \
              fails, or has no room for a first store",
    when: When::Always,
    check,
};

/// What is known of a host's disk.
#[derive(Default)]
struct Disk {
    /// An operation has failed since the program started.
    failed: bool,
    /// It has been full.
    was_full: bool,
    /// A program has found its store.
    has_store: bool,
}

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut disks: BTreeMap<&HostName, Disk> = BTreeMap::new();
    let mut violations = Vec::new();
    for entry in &evidence.log.entries {
        let disk = disks.entry(&entry.host).or_default();
        if let Some(how) = broken(disk, entry) {
            let what = format!("{} {how}", entry.host);
            violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        }
    }
    violations
}

/// How a program broke off that had no reason to.
fn broken(disk: &mut Disk, entry: &Entry) -> Option<String> {
    match &entry.what {
        What::Started { .. } => disk.failed = false,
        What::Found(_) => disk.has_store = true,
        What::Disk(event) => match event.fault {
            DiskFault::Fails => disk.failed = true,
            DiskFault::Full { .. } => disk.was_full = true,
            DiskFault::PowerCut { .. } | DiskFault::Slow { .. } => {}
        },
        What::Panicked(text) => return Some(format!("panicked: {text}")),
        What::Ended { error: Some(error) } => {
            let excused = disk.failed || (disk.was_full && !disk.has_store);
            // Whatever a disk does, nobody may find what nobody wrote.
            let damaged = error.contains(DAMAGED);
            return (damaged || !excused).then(|| format!("failed: {error}"));
        }
        _ => {}
    }
    None
}

/// Part of what a program says that finds its store in ruins.
const DAMAGED: &str = "damaged";
