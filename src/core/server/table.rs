//! The table of who is where, and how its changes are cut into parts.
//!
//! Every change takes the next version number, so that "what changed after version n" is the
//! entries whose last change is later: nothing else is kept. A name that is taken out was away for
//! long.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::protocol::{Name, Packet, SessionId, TableEntry, TableId};

#[derive(Debug)]
pub(super) struct Table {
    id: TableId,
    latest: u64,
    /// The version that everybody was told of last.
    told: u64,
    rows: BTreeMap<Name, Row>,
    by_version: BTreeMap<u64, Name>,
}

#[derive(Debug)]
struct Row {
    version: u64,
    entry: TableEntry,
    /// The entry's length in JSON with the comma behind it: everybody is told of it.
    bytes: usize,
}

impl Table {
    pub(super) const fn new(id: TableId) -> Self {
        Self { id, latest: 0, told: 0, rows: BTreeMap::new(), by_version: BTreeMap::new() }
    }

    pub(super) const fn id(&self) -> TableId {
        self.id
    }

    pub(super) const fn latest(&self) -> u64 {
        self.latest
    }

    /// The version of which everybody has heard, or is hearing.
    pub(super) const fn told(&self) -> u64 {
        self.told
    }

    /// Everybody is told of all of it now.
    pub(super) const fn tell(&mut self) {
        self.told = self.latest;
    }

    /// Notes where somebody is now; nowhere if offline.
    pub(super) fn set(&mut self, name: &Name, addr: Option<SocketAddr>, original: bool) {
        let entry = TableEntry { name: name.clone(), addr, original };
        if let Some(old) = self.rows.remove(name) {
            self.by_version.remove(&old.version);
        }
        self.latest += 1;
        self.by_version.insert(self.latest, name.clone());
        let bytes = json_length(&entry);
        self.rows.insert(name.clone(), Row { version: self.latest, entry, bytes });
    }

    /// Takes out somebody who is away. Nobody is told: in a table that has them they stay so.
    pub(super) fn remove(&mut self, name: &Name) {
        if let Some(row) = self.rows.remove(name) {
            self.by_version.remove(&row.version);
        }
    }

    /// Everyone, sorted by name.
    pub(super) fn entries(&self) -> impl Iterator<Item = &TableEntry> {
        self.rows.values().map(|row| &row.entry)
    }

    /// The part that brings a client from version `from` onwards with so many bytes of entries, and
    /// where it stands then.
    pub(super) fn part(&self, session: SessionId, from: u64, room: usize) -> (Packet, u64) {
        let mut entries = Vec::new();
        let mut bytes = 0;
        // What was changed last may have been taken out.
        let mut to = self.latest;
        let mut before = from;
        for (version, name) in self.by_version.range(from + 1..) {
            let Some(row) = self.rows.get(name) else { continue };
            bytes += row.bytes;
            if bytes > room && !entries.is_empty() {
                to = before;
                break;
            }
            entries.push(row.entry.clone());
            before = *version;
        }
        let latest = self.latest;
        (Packet::Table { session, table: self.id, from, to, latest, entries }, to)
    }
}

impl Table {
    /// Every row is found by its version, and no version is later than the latest.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.by_version.len(), self.rows.len(), "a version for each row");
        for (name, row) in &self.rows {
            assert_eq!(self.by_version.get(&row.version), Some(name), "whose version it is");
            assert!(row.version <= self.latest, "{name} is later than the latest");
        }
        assert!(self.told <= self.latest, "more is told than there is");
    }
}

/// The entry's length in JSON with the comma behind it.
fn json_length(entry: &TableEntry) -> usize {
    serde_json::to_vec(entry).map_or(0, |json| json.len()) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::envelope::encode;
    use crate::protocol::limits::{DATAGRAM_MAX, TABLE_ENTRIES_BYTES_MAX};

    fn addr(port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, 1], port)))
    }

    #[test]
    fn two_hundred_names_travel_in_parts_that_fit() {
        let mut table = Table::new(TableId(1));
        for n in 0..200 {
            table.set(&format!("client-with-long-name-{n}").parse().unwrap(), addr(n), false);
        }
        let (mut at, mut seen, mut parts) = (0, 0, 0);
        while at < table.latest() {
            let (part, to) = table.part(SessionId(1), at, TABLE_ENTRIES_BYTES_MAX);
            assert!(encode(&part, b"").len() <= DATAGRAM_MAX);
            let Packet::Table { entries, .. } = part else { unreachable!() };
            (at, seen, parts) = (to, seen + entries.len(), parts + 1);
        }
        assert_eq!(seen, 200);
        assert!(parts < 25, "{parts} parts");
    }

    #[test]
    fn whoever_lacks_only_what_was_taken_out_is_brought_to_the_latest_version() {
        let mut table = Table::new(TableId(1));
        let (alice, bob) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        table.set(&alice, addr(1), false);
        table.set(&bob, None, false);
        table.remove(&bob);
        let (Packet::Table { entries, .. }, to) = table.part(SessionId(1), 1, 900) else {
            unreachable!()
        };
        assert_eq!((entries.len(), to), (0, 2));
        assert_eq!(table.part(SessionId(1), 0, 900).1, 2);
    }

    #[test]
    fn a_change_is_all_that_travels() {
        let mut table = Table::new(TableId(1));
        let (alice, bob) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        table.set(&alice, addr(1), false);
        table.set(&bob, addr(2), false);
        let (_, at) = table.part(SessionId(1), 0, TABLE_ENTRIES_BYTES_MAX);
        table.set(&alice, None, false);
        let (Packet::Table { from, to, latest, entries, .. }, _) =
            table.part(SessionId(1), at, TABLE_ENTRIES_BYTES_MAX)
        else {
            unreachable!()
        };
        assert_eq!((from, to, latest), (2, 3, 3));
        assert_eq!(entries, [TableEntry { name: alice, addr: None, original: false }]);
    }
}
