//! Who is told of the table, and when: in rounds, a few at a time.

use std::ops::Bound;

use super::Presence;
use crate::mutation::{Mutation, Mutations};
use crate::protocol::{Name, TableId};
use crate::server::context::{Context, Timer};
use crate::server::timing::{TABLE_CLIENTS_AT_ONCE, TABLE_CLIENTS_PAUSE};

impl Presence {
    /// Sends a client what it lacks.
    pub(in crate::server) fn sync_table<M: Mutations>(&mut self, cx: &mut Context<M>, name: &Name) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.sync_table(cx, &self.table, &mut self.guest_tables);
        }
    }

    /// A client says which version it has.
    pub(in crate::server) fn table_acked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
        version: (TableId, u64),
    ) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.table_acked(cx, &self.table, &mut self.guest_tables, version);
        }
    }

    /// The table has changed: everybody is told, now or in the next round.
    pub(in crate::server) fn tell_everyone<M: Mutations>(&mut self, cx: &mut Context<M>) {
        if self.told_up_to.is_some() {
            return; // Whoever is not told of it in this round is in the next one.
        }
        match self.rounds.next(cx.now()) {
            Some(due) if !cx.has(Mutation::TellsEachChange) => cx.timers.set(Timer::Round, due),
            _ => self.begin_round(cx),
        }
    }

    /// It is time for a round, or for the rest of one.
    pub(in crate::server) fn go_on_telling<M: Mutations>(&mut self, cx: &mut Context<M>) {
        match self.told_up_to.take() {
            None => self.begin_round(cx),
            Some(last) => self.tell_next(cx, (Bound::Excluded(last), Bound::Unbounded)),
        }
    }

    /// Everybody is told of all that has changed since the last round.
    fn begin_round<M: Mutations>(&mut self, cx: &mut Context<M>) {
        cx.timers.clear(&Timer::Round);
        self.rounds.begun(cx.now(), self.sessions.len());
        self.table.tell();
        self.tell_next(cx, (Bound::Unbounded, Bound::Unbounded));
    }

    /// Tells the next of these clients; the others a little later, so that nobody else waits.
    fn tell_next<M: Mutations>(&mut self, cx: &mut Context<M>, names: (Bound<Name>, Bound<Name>)) {
        let mut sessions = self.sessions.range_mut(names);
        for (_, session) in sessions.by_ref().take(TABLE_CLIENTS_AT_ONCE) {
            if session.hears_of_changes() {
                session.sync_table(cx, &self.table, &mut self.guest_tables);
            }
            self.told_up_to = Some(session.name().clone());
        }
        if sessions.next().is_some() {
            return cx.timers.set(Timer::Round, cx.now() + TABLE_CLIENTS_PAUSE);
        }
        self.told_up_to = None;
        if self.table.told() < self.table.latest() {
            self.tell_everyone(cx);
        }
    }
}
