//! No program panics or gives up, but for a disk that fails; then it ends, and says why.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Checker, Evidence, Violation, When};
use crate::faults::disk::DiskFault;
use crate::naming::label::HostName;
use crate::planning::plan::Folder;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "no panic",
    promise: "no datagram, command or fault makes a program panic or fail, but for a disk that \
              fails: then it fails too, and makes nothing durable any more; or for one that is \
              full before there is a store; none finds a damaged store",
    when: When::Always,
    check,
};

/// How long a program may go on whose disk has failed: longer than a slow disk holds up the end of
/// a commit, and than a program stands still.
const GOES_ON_MAX: Duration = Duration::from_secs(10);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut disks = BTreeMap::new();
    let mut violations = Vec::new();
    for entry in &evidence.log.entries {
        if let Some(how) = broken(disks.entry(&entry.host).or_default(), entry) {
            let what = format!("{} {how}", entry.host);
            violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        }
    }
    for (host, at) in went_on(&disks, evidence.end) {
        let what = format!("{host} goes on after its disk has failed");
        violations.push(Violation { checker: CHECKER.name, at, what });
    }
    violations
}

/// A disk, as far as a program may fail because of it.
#[derive(Default)]
struct Disk {
    /// When it failed first while the program runs that does, if it did.
    failed: Option<Duration>,
    /// Whether it has a store, for which room is held in reserve.
    has_store: bool,
}

fn went_on<'a>(
    disks: &BTreeMap<&'a HostName, Disk>,
    end: Duration,
) -> impl Iterator<Item = (&'a HostName, Duration)> {
    let failed = disks.iter().filter_map(|(host, disk)| Some((*host, disk.failed?)));
    failed.filter(move |(_, at)| end.saturating_sub(*at) > GOES_ON_MAX)
}

/// How a program broke off that had no reason to, or goes on that has one to break off.
fn broken(disk: &mut Disk, entry: &Entry) -> Option<String> {
    let Disk { failed, has_store } = disk;
    match &entry.what {
        // While a store is made or opened the database passes over some failures, and what it then
        // finds is right, or it does not open.
        What::Started { .. } => *failed = None,
        What::Found(_) => (*failed, *has_store) = (None, true),
        What::Folder(Folder::Lost) => *has_store = false,
        What::Folder(Folder::Replaced { .. }) => *has_store = true,
        What::Disk(event) if matches!(event.fault, DiskFault::Fails | DiskFault::Replaced) => {
            failed.get_or_insert(entry.at);
        }
        What::Durable(durable) if failed.is_some() => {
            return Some(format!("{durable}, after the disk had failed"));
        }
        What::Panicked(text) => return Some(format!("panicked: {text}")),
        What::Ended { error } => {
            let disk_failed = failed.take().is_some();
            return match error {
                Some(error) if error.contains(FULL) && !*has_store => None,
                // Whatever a disk does, nobody may find what nobody wrote.
                Some(error) if error.contains(DAMAGED) || !disk_failed => {
                    Some(format!("failed: {error}"))
                }
                None if disk_failed => Some("ended as if its disk had not failed".to_owned()),
                _ => None,
            };
        }
        What::Crashed => {
            let since = failed.take()?;
            let late = entry.at.saturating_sub(since) > GOES_ON_MAX;
            return late.then(|| "went on after its disk had failed".to_owned());
        }
        _ => {}
    }
    None
}

/// Part of what a program says that finds no room.
const FULL: &str = "no storage space";

/// Part of what a program says that finds its store in ruins.
const DAMAGED: &str = "damaged";

#[cfg(test)]
mod tests {
    use super::super::story::{Story, label};
    use super::*;
    use crate::faults::disk::{DiskEvent, Operation};
    use crate::record::log::{Durable, Found};

    /// The server's disk fails in the third second.
    fn failed() -> Story {
        let (kind, number, restart_after) = (Operation::Sync, 1, None);
        let event = DiskEvent { fault: DiskFault::Fails, kind, number, restart_after };
        let story = Story::new().then(0, "server", What::Started { port: 1 });
        story.then(3, "server", What::Disk(event))
    }

    fn violations(story: &Story) -> usize {
        story.violations(&CHECKER).len()
    }

    #[test]
    fn a_program_whose_disk_fails_ends_with_an_error() {
        let ends = |error: Option<&str>| What::Ended { error: error.map(str::to_owned) };
        assert_eq!(violations(&failed().then(3, "server", ends(Some("no disk")))), 0);
        assert_eq!(violations(&failed().then(3, "server", ends(Some("damaged")))), 1);
        assert_eq!(violations(&failed().then(3, "server", ends(None))), 1);
        assert_eq!(violations(&failed().then(4, "server", What::Crashed)), 0);
        assert_eq!(violations(&failed().then(20, "server", What::Crashed)), 1);
        assert_eq!(violations(&failed().then(20, "alice", What::Crashed)), 1);
    }

    #[test]
    fn a_program_whose_disk_has_failed_makes_nothing_durable() {
        let stored = || What::Durable(Durable::Stored(label(1)));
        assert_eq!(violations(&failed().then(3, "server", stored())), 1);
        let ended = failed().then(3, "server", What::Ended { error: Some("no disk".to_owned()) });
        let started = ended.then(4, "server", What::Started { port: 1 });
        assert_eq!(violations(&started.then(5, "server", stored())), 0);
        let opened = failed().then(3, "server", What::Found(Found::default()));
        assert_eq!(violations(&opened.then(5, "server", stored())), 0);
    }
}
