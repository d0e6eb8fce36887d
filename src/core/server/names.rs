//! Names that nobody comes back for do not stay for ever.
//!
//! docs/protocol.md, "Shares". When somebody was here last counts in the time for which the server
//! has run, all its lives together, as the age of messages does. Knows nothing of sessions.

use std::time::Duration;

use super::Change;
use super::context::{Context, Timer};
use super::timing::{NAME_KEEP, NAMES_LOOK, SEEN_EVERY};
use crate::mutation::{Mutation, Mutations};
use crate::protocol::Name;

/// Names that are forgotten in one look: nothing else has to wait for long.
const AT_ONCE_MAX: usize = 1_000;

/// Sets the time of the next look.
pub(super) fn wait<M: Mutations>(cx: &mut Context<M>) {
    cx.timers.set(Timer::Names, cx.now() + NAMES_LOOK);
}

/// A name's holder is here: that is noted now and then.
pub(super) fn see<M: Mutations>(cx: &mut Context<M>, name: &Name) {
    let uptime = cx.uptime();
    if cx.record().seen(name) + SEEN_EVERY <= uptime {
        cx.change(Change::Seen { name: name.clone(), uptime });
    }
}

/// Notes how long the server has run, and who is to be forgotten.
pub(super) fn look<M: Mutations>(
    cx: &mut Context<M>,
    is_here: impl Fn(&Name) -> bool,
) -> Vec<Name> {
    let uptime = cx.uptime();
    cx.change(Change::Ran { uptime });
    wait(cx);
    let line = uptime.saturating_sub(NAME_KEEP);
    let record = cx.record();
    let is_old = |name: &&Name| {
        let kept = record.messages_for(name) + record.messages_of(name);
        line > Duration::ZERO && record.seen(name) <= line && kept == 0 && !is_here(name)
    };
    let old: Vec<Name> = record.accounts.keys().filter(is_old).take(AT_ONCE_MAX).cloned().collect();
    if old.is_empty() || cx.has(Mutation::KeepsNames) { Vec::new() } else { old }
}
