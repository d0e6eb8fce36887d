//! What must hold of who is here between two inputs.

use super::super::context::{Context, Timer};
use super::super::record::CHECKED_MAX;
use super::super::session::Session;
use super::Presence;
use crate::mutation::Mutations;
use crate::protocol::TableEntry;

impl Presence {
    /// The timers that it waits for.
    pub(in crate::server) fn check_invariants<M: Mutations>(
        &self,
        cx: &Context<M>,
        first_undurable: u64,
    ) -> Vec<Timer> {
        assert_eq!(self.by_session.len(), self.sessions.len(), "one id for each session");
        let known_by_address = self.sessions.values().filter_map(Session::known_by);
        assert_eq!(self.guests.len(), known_by_address.count(), "one guest at each address");
        for (name, session) in &self.sessions {
            assert_eq!(self.by_session.get(&session.id()), Some(name), "whose session it is");
            if let Some(addr) = session.known_by() {
                assert_eq!(self.guests.get(&addr), Some(name), "which guest is there");
            }
        }
        for name in self.over.keys() {
            assert!(!self.sessions.contains_key(name), "{name} is here again");
            assert!(cx.record().accounts.contains_key(name), "{name} is forgotten");
        }
        if self.everyone().count() <= CHECKED_MAX {
            self.check_table(cx);
        }
        let is_told = self.told_up_to.is_none() && self.table.told() == self.table.latest();
        let round = (!is_told).then_some(Timer::Round);
        let sessions = self.sessions.iter();
        sessions
            .flat_map(|(name, it)| {
                let waits = self.told_up_to.as_ref().is_some_and(|last| last < name);
                let told = if waits { 0 } else { self.table.told() };
                it.check_invariants(cx, name, (&self.table, told), first_undurable)
            })
            .chain(round)
            .collect()
    }

    /// The table says of everyone who ever registered where they are.
    fn check_table<M: Mutations>(&self, cx: &Context<M>) {
        self.table.check_invariants();
        let names = self.everyone().map(|entry| &entry.name);
        assert!(names.eq(cx.record().accounts.keys()), "a row for each account");
        for TableEntry { name, addr, original } in self.everyone() {
            let session = self.sessions.get(name);
            assert_eq!(*addr, session.map(Session::remote), "where {name} is");
            assert_eq!(*original, session.is_some_and(Session::is_original), "what {name} speaks");
        }
    }
}
