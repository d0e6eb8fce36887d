//! The server's state as people read it.

use serde::Serialize;

use super::{Server, Standing};
use crate::plant::Plant;

/// A server's state without ids, tokens or anything random: for tests and for looking at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Everyone who ever registered, sorted by name.
    pub clients: Vec<String>,
    /// What is kept for whom, in the order in which it will be handed over.
    pub mail: Vec<String>,
    /// How far each stream has come that went over the server, sorted by sender and recipient.
    pub streams: Vec<String>,
}

impl<P: Plant> Server<P> {
    /// Its state now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let clients = self.table.entries().map(|entry| {
            let name = &entry.name;
            let dialect = if entry.original { ", original" } else { "" };
            match entry.addr {
                Some(addr) => format!("{name}: online at {addr}{dialect}"),
                None => format!("{name}: offline{dialect}"),
            }
        });
        let mail = self.record.mailboxes().flat_map(|(to, letters)| {
            letters.iter().map(move |letter| {
                let (from, seq, stored_at) = (&letter.from, letter.id.seq, letter.stored_at);
                format!("{from} to {to} #{seq}: {} bytes, {stored_at}", letter.body.len())
            })
        });
        let mut streams: Vec<_> = self
            .record
            .streams()
            .map(|(key, progress)| {
                let (from, stored) = (&key.from, progress.next - 1);
                let Standing { to, settled, told, .. } = &progress.standing;
                format!("{from} to {to}: stored to #{stored}, shown to #{settled}, told to #{told}")
            })
            .collect();
        streams.sort();
        Snapshot { clients: clients.collect(), mail: mail.collect(), streams }
    }
}
