//! The client's copy of the table.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Listing;
use crate::protocol::limits::NAMES_MAX;
use crate::protocol::{Name, TableEntry, TableId};

/// Who is where, as far as the server has told, and what of it the user was shown.
#[derive(Debug, Default)]
pub(super) struct Directory {
    table: TableId,
    version: u64,
    latest: u64,
    entries: BTreeMap<Name, TableEntry>,
    by_addr: BTreeMap<SocketAddr, Name>,
    /// What the user was shown last.
    listed: Option<Listing>,
}

/// One part of a table, as it came.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) table: TableId,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) latest: u64,
    pub(super) entries: Vec<TableEntry>,
}

impl Directory {
    /// Takes in a part if it continues what is here, or begins another table. Says whether it did.
    pub(super) fn apply(&mut self, part: Part) -> bool {
        if part.table != self.table && part.from == 0 {
            let listed = self.listed.take();
            *self = Self { table: part.table, listed, ..Self::default() };
        }
        if part.table != self.table || part.from != self.version || part.to < part.from {
            return false;
        }
        self.version = part.to;
        self.latest = part.latest;
        for entry in part.entries {
            // No server of ours knows more.
            if self.entries.len() >= NAMES_MAX && !self.entries.contains_key(&entry.name) {
                continue;
            }
            // Out and in: the name is shown as it was registered last.
            let old = self.entries.remove(&entry.name).and_then(|old| old.addr);
            if let Some(addr) = old
                && self.by_addr.get(&addr) == Some(&entry.name)
            {
                self.by_addr.remove(&addr);
            }
            if let Some(addr) = entry.addr {
                let before = self.by_addr.insert(addr, entry.name.clone());
                self.forget_address(before);
            }
            self.entries.insert(entry.name.clone(), entry);
        }
        true
    }

    /// Somebody else is where this name was: whether it has moved or left comes in a later part,
    /// if the server tells the truth.
    fn forget_address(&mut self, name: Option<Name>) {
        if let Some(entry) = name.and_then(|name| self.entries.get_mut(&name)) {
            entry.addr = None;
        }
    }

    /// Where it stands.
    pub(super) const fn position(&self) -> (TableId, u64) {
        (self.table, self.version)
    }

    /// Whether it has been whole, and is.
    pub(super) const fn is_whole(&self) -> bool {
        self.version > 0 && self.version >= self.latest
    }

    pub(super) fn get(&self, name: &Name) -> Option<&TableEntry> {
        self.entries.get(name)
    }

    /// Who is at an address.
    pub(super) fn at(&self, addr: SocketAddr) -> Option<&TableEntry> {
        self.entries.get(self.by_addr.get(&addr)?)
    }

    /// How many names it has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn listing(&self) -> Listing {
        let (online, offline) =
            self.entries.values().partition::<Vec<_>, _>(|entry| entry.addr.is_some());
        let names = |entries: Vec<&TableEntry>| entries.iter().map(|e| e.name.clone()).collect();
        Listing { online: names(online), offline: names(offline) }
    }

    /// What the user is to be shown, if it is whole and something else than what they were shown.
    pub(super) fn news(&mut self) -> Option<Listing> {
        let listing = Some(self.listing()).filter(|_| self.is_whole())?;
        let is_new = self.listed.as_ref() != Some(&listing);
        is_new.then(|| self.listed.insert(listing).clone())
    }

    /// Whom a text to all goes to, but for the user: whoever they were shown last, here or away,
    /// sorted. A table that is on its way may not have everybody yet.
    pub(super) fn everybody_but(&self, user: &Name) -> Vec<Name> {
        let Listing { online, offline } = self.listed.clone().unwrap_or_default();
        let mut everybody: Vec<Name> = online.into_iter().chain(offline).collect();
        everybody.sort();
        everybody.retain(|name| name != user);
        everybody
    }

    /// Panics if something does not hold that must between two inputs.
    pub(super) fn check_invariants(&self) {
        for (addr, name) in &self.by_addr {
            let entry = self.entries.get(name).expect("only those in the table are somewhere");
            assert_eq!(entry.addr, Some(*addr), "{name} is somewhere else");
        }
        for entry in self.entries.values() {
            let somebody = entry.addr.map(|addr| self.by_addr.contains_key(&addr));
            assert_ne!(somebody, Some(false), "nobody is where {} is", entry.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(table: u64, from: u64, to: u64, name: &str) -> Part {
        let entry = TableEntry { name: name.parse().unwrap(), addr: None, original: false };
        Part { table: TableId(table), from, to, latest: 2, entries: vec![entry] }
    }

    #[test]
    fn parts_are_taken_in_order_and_once() {
        let mut directory = Directory::default();
        assert!(!directory.apply(part(1, 1, 2, "bob")));
        assert!(directory.apply(part(1, 0, 1, "alice")));
        assert!(!directory.is_whole());
        assert!(directory.apply(part(1, 1, 2, "bob")));
        assert!(directory.is_whole());
        assert!(!directory.apply(part(1, 0, 1, "old")));
        assert_eq!(directory.listing().offline.len(), 2);
    }

    #[test]
    fn an_address_is_of_one_name() {
        let mut directory = Directory::default();
        let addr: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        for (from, name) in [(0, "alice"), (1, "bob")] {
            let entries =
                vec![TableEntry { name: name.parse().unwrap(), addr: Some(addr), original: false }];
            let (table, to, latest) = (TableId(1), from + 1, 2);
            assert!(directory.apply(Part { table, from, to, latest, entries }));
            directory.check_invariants();
        }
        assert_eq!(directory.at(addr).map(|entry| entry.name.as_str()), Some("bob"));
        assert_eq!(directory.listing().offline, ["alice".parse().unwrap()]);
    }

    #[test]
    fn it_has_no_more_names_than_a_server_of_ours_knows() {
        let mut directory = Directory::default();
        for number in 0..NAMES_MAX as u64 + 10 {
            assert!(directory.apply(part(1, number, number + 1, &format!("name-{number}"))));
        }
        assert_eq!(directory.len(), NAMES_MAX);
    }

    #[test]
    fn another_table_replaces_everything() {
        let mut directory = Directory::default();
        assert!(directory.apply(part(1, 0, 2, "alice")));
        assert!(!directory.apply(part(2, 1, 2, "bob")));
        assert!(directory.apply(part(2, 0, 2, "bob")));
        assert_eq!(directory.listing().offline, ["bob".parse().unwrap()]);
    }
}
