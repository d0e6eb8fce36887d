//! Everybody who is here has the same table, and it is right.

use std::collections::BTreeMap;

use udpchat_core::client::{Event, Listing};
use udpchat_core::protocol::Name;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::plan::Plan;
use crate::record::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "tables converge",
    promise: "when all faults are over, everyone who is there is registered and in everybody's table",
    when: When::AfterHealing,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut last: BTreeMap<&HostName, Listing> = BTreeMap::new();
    for entry in &evidence.log.entries {
        match &entry.what {
            What::Started { .. } => {
                last.remove(&entry.host);
            }
            What::Client(Event::Table(listing)) => {
                last.insert(&entry.host, of_users(evidence.plan, listing));
            }
            _ => {}
        }
    }
    let users = evidence.plan.those_who_stay().map(|(host, user)| (&host.name, user));
    let users: Vec<_> = users.collect();
    let mut everyone: Vec<_> = users.iter().map(|(_, user)| (*user).clone()).collect();
    everyone.sort();
    let right = Listing { online: everyone, offline: Vec::new() };
    let moved = users.iter().filter_map(|(host, user)| misplaced(evidence, host, user));
    let mut violations: Vec<Violation> = moved.collect();
    let wrong = users.iter().filter(|(host, _)| last.get(host) != Some(&right));
    violations.extend(wrong.map(|(host, _)| {
        let has = last.get(host).map_or_else(
            || "no table".to_owned(),
            |table| format!("a table in which {:?} are away", table.offline),
        );
        let what = format!("in the end {host} has {has}, though everybody is here");
        Violation { checker: CHECKER.name, at: evidence.end, what }
    }));
    violations
}

/// The listing without those whom an adversary has brought along.
fn of_users(plan: &Plan, listing: &Listing) -> Listing {
    let mut listing = listing.clone();
    if plan.is_attacked() {
        listing.online.retain(|name| plan.has_user(name));
        listing.offline.retain(|name| plan.has_user(name));
    }
    listing
}

/// Whether the server looks for a user elsewhere than where the program listens.
fn misplaced(evidence: Evidence<'_>, host: &HostName, user: &Name) -> Option<Violation> {
    let port = evidence.log.entries.iter().rev().find_map(|entry| match entry.what {
        What::Started { port } if entry.host == *host => Some(port),
        _ => None,
    })?;
    let (name, place) = (format!("{user}: "), format!(":{port}"));
    let row = evidence.server?.clients.iter().find(|row| row.starts_with(&name))?;
    let what = format!("{host} listens on port {port}, the server's table says {row:?}");
    let violation = Violation { checker: CHECKER.name, at: evidence.end, what };
    (!row.ends_with(&place)).then_some(violation)
}
