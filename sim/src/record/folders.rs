//! Whose messages may share their ids with others, for a folder was used twice.
//!
//! A client that goes on with an older copy of its folder begins new streams if the server knows a
//! later registration (docs/protocol.md, "An older copy"). Where it knows none, or two programs use
//! copies of one folder, or one ends between its first question and the end of the commit with new
//! streams, ids that were used are used again, and nobody can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat_core::server;

use crate::naming::label::HostName;
use crate::planning::plan::{Folder, SERVER};
use crate::record::log::{Log, What};

/// A host, as far as its folder goes.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    runs: bool,
    ended: Duration,
    registered: Duration,
    copied: Duration,
    /// Its programs since an older copy took the folder's place, until one is registered.
    unnoticed: Option<u32>,
}

/// Hosts that may have given an id twice, or two of which have given the same.
#[must_use]
pub fn used_twice(log: &Log) -> BTreeSet<HostName> {
    let mut hosts: BTreeMap<&HostName, Use> = BTreeMap::new();
    let mut used_twice: BTreeSet<HostName> = BTreeSet::new();
    // Hosts whose folder was copied to another, and whose program ended before.
    let mut left: BTreeMap<&HostName, &HostName> = BTreeMap::new();
    for entry in &log.entries {
        let (at, host) = (entry.at, &entry.host);
        match &entry.what {
            What::Started { .. } => {
                let it = hosts.entry(host).or_default();
                it.runs = true;
                it.unnoticed = it.unnoticed.map(|programs| programs + 1);
                if it.unnoticed.is_some_and(|programs| programs > 1) {
                    used_twice.insert(host.clone());
                }
                if let Some(other) = left.get(host) {
                    used_twice.extend([host.clone(), (*other).clone()]);
                }
            }
            What::Crashed | What::Ended { .. } | What::Panicked(_) => {
                let host = hosts.entry(host).or_default();
                (host.runs, host.ended) = (false, at);
            }
            What::Server(server::Event::Registered { addr, .. }) => {
                if let Some(host) = log.addresses.get(&addr.ip()).filter(|it| ***it != *SERVER) {
                    let it = hosts.entry(host).or_default();
                    (it.registered, it.unnoticed) = (at, None);
                }
            }
            What::Folder(Folder::Copied) => hosts.entry(host).or_default().copied = at,
            What::Folder(Folder::Replaced { by }) => {
                let of = hosts.get(by).copied().unwrap_or_default();
                let went_on = of.runs || of.ended > of.copied;
                if by != host {
                    left.insert(by, host);
                    if went_on {
                        used_twice.extend([host.clone(), by.clone()]);
                    }
                } else if went_on && of.registered <= of.copied {
                    used_twice.insert(host.clone());
                } else if went_on {
                    hosts.entry(host).or_default().unnoticed = Some(0);
                }
            }
            _ => {}
        }
    }
    used_twice
}
