//! How a client of ours is brought to the newest version of the table, and kept there.
//!
//! docs/protocol.md, "The table". Knows the table and the way to its client, no session.

use std::time::Duration;

use super::super::context::{Context, Timer};
use super::super::table::Table;
use super::super::timing::{NARROW_AFTER, RESEND_MAX};
use super::Client;
use crate::mutation::Mutations;
use crate::protocol::TableId;
use crate::protocol::limits::{TABLE_ENTRIES_BYTES_MAX, TABLE_ENTRIES_BYTES_NARROW, TABLE_WINDOW};
use crate::retransmission::pause;
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct TableSync {
    /// The version that the client has; what follows was sent so often, up to `sent`.
    at: u64,
    sent: u64,
    attempts: u32,
    /// When what is on its way was sent first.
    first_at: Time,
    /// Full parts of the table seem not to pass.
    narrow: bool,
}

impl TableSync {
    /// Sends what the client lacks.
    pub(super) fn sync<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        table: &Table,
        client: &Client,
        timeout: Duration,
    ) {
        let mut at = self.at;
        if at >= table.latest() {
            return;
        }
        if self.attempts == 0 {
            self.first_at = cx.now();
        }
        self.attempts += 1;
        let attempt = self.attempts;
        let pause = pause(timeout, cx.now() - self.first_at, RESEND_MAX);
        self.narrow |= attempt > NARROW_AFTER;
        let room = if self.narrow { TABLE_ENTRIES_BYTES_NARROW } else { TABLE_ENTRIES_BYTES_MAX };
        for _ in 0..TABLE_WINDOW {
            if at >= table.latest() {
                break;
            }
            let (part, to) = table.part(client.id, at, room);
            debug_assert!(to > at, "each part brings its client further");
            // Says who is here, in this life: after a crash there is another table.
            cx.send_now(client.path, &part, attempt);
            at = to;
        }
        self.sent = at;
        cx.timers.set(Timer::Table(client.name.clone()), cx.now() + pause);
    }

    /// The client says which version it has. Whether nothing is on its way any more and it lacks
    /// some of what everybody was told of: what is newer waits for the next round.
    pub(super) fn acked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        table: &Table,
        client: &Client,
        timeout: Duration,
        (id, version): (TableId, u64),
    ) -> bool {
        let is_known = id == table.id() && version <= table.latest();
        let version = if is_known { version } else { 0 };
        let is_progress = version != self.at;
        self.at = version;
        if self.attempts > 0 && version < self.sent {
            if is_progress {
                self.attempts = 1;
                self.first_at = cx.now();
                cx.timers.set(Timer::Table(client.name.clone()), cx.now() + timeout);
            }
            return false; // The rest is on its way.
        }
        self.attempts = 0;
        cx.timers.clear(&Timer::Table(client.name.clone()));
        version < table.told()
    }

    /// Whether nothing is on its way.
    pub(super) const fn is_idle(&self) -> bool {
        self.attempts == 0
    }
}

impl TableSync {
    /// What is on its way follows what the client has, and whoever is sent nothing has all that it
    /// was `told` of. The timer that it waits for.
    pub(super) fn check_invariants(
        &self,
        (table, told): (&Table, u64),
        client: &Client,
    ) -> Option<Timer> {
        if self.is_idle() {
            let has_all = (told..=table.latest()).contains(&self.at);
            assert!(has_all, "{} has {} of {table:?}", client.name, self.at);
            return None;
        }
        let is_ahead = self.at < self.sent && self.sent <= table.latest();
        assert!(is_ahead, "{} has {}, sent {}", client.name, self.at, self.sent);
        Some(Timer::Table(client.name.clone()))
    }
}
