//! The server's state as people read it.

use serde::Serialize;

use super::{Server, Standing};
use crate::mutation::Mutations;
use crate::protocol::Name;

/// A server's state without ids, tokens or anything random: for tests and for looking at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Everyone who ever registered, sorted by name.
    pub clients: Vec<String>,
    /// What is kept for whom, in the order in which it will be handed over.
    pub mail: Vec<String>,
    /// How far each stream has come that went over the server, sorted by sender and recipient.
    pub streams: Vec<String>,
    /// Who belongs to which group, sorted by group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl<M: Mutations> Server<M> {
    /// Its state now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let clients = self.presence.everyone().map(|entry| {
            let name = &entry.name;
            let dialect = if entry.original { ", original" } else { "" };
            match entry.addr {
                Some(addr) => format!("{name}: online at {addr}{dialect}"),
                None => format!("{name}: offline{dialect}"),
            }
        });
        let mail = self.cx.record().mailboxes().flat_map(|(to, messages)| {
            messages.iter().map(move |message| {
                let (from, seq, stored_at) = (&message.from, message.id.seq, message.stored_at);
                let group = message.group.as_ref().map(|tag| format!(" in {tag}"));
                let (group, bytes) = (group.unwrap_or_default(), message.body.len());
                format!("{from} to {to}{group} #{seq}: {bytes} bytes, {stored_at}")
            })
        });
        let mut streams: Vec<_> = self
            .cx
            .record()
            .streams()
            .map(|(key, progress)| {
                let (from, stored) = (&key.from, progress.next - 1);
                let Standing { to, settled, told, .. } = &progress.standing;
                format!("{from} to {to}: stored to #{stored}, shown to #{settled}, told to #{told}")
            })
            .collect();
        streams.sort();
        let membership = &self.cx.record().membership;
        let groups = membership.names().filter_map(|group| {
            let members = membership.members(group)?;
            let members: Vec<&str> = members.iter().map(Name::as_str).collect();
            Some(format!("{group}: {}", members.join(", ")))
        });
        let groups = groups.collect();
        Snapshot { clients: clients.collect(), mail: mail.collect(), streams, groups }
    }
}
