//! Messages that nobody comes for do not stay for ever.
//!
//! docs/protocol.md, "Stored messages". Their age counts in the time for which the server has run,
//! all its lives together: no set clock makes them old, and none is old because nobody could come.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::{Context, Timer};
use super::timing::{EXPIRY_LOOK_MAX, EXPIRY_LOOK_MIN};
use super::{Change, ServerRecord};
use crate::mutation::Mutations;
use crate::protocol::{Name, StreamKey};
use crate::time::whole_ms;

/// Messages that expire at once; the rest soon after, so that nothing else has to wait.
const AT_ONCE_MAX: usize = 1_000;

/// Until the rest expires.
const SOON: Duration = Duration::from_millis(100);

/// Looks for old messages in the time for which they are kept: they stay hardly longer than said.
const LOOKS: u32 = 32;

/// The last place of each stream that is too old, and its reader.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) streams: BTreeMap<StreamKey, (u64, Name)>,
    /// Whether there are others.
    pub(super) more: bool,
}

/// Sets the time of the next look for messages that are too old, as long as there are any.
pub(super) fn wait<M: Mutations>(cx: &mut Context<M>) {
    let Some(keep) = cx.config().keep else { return };
    if cx.record().messages() == 0 {
        cx.timers.clear(&Timer::Expiry);
    } else if !cx.timers.is_set(&Timer::Expiry) {
        let pause = (keep / LOOKS).clamp(EXPIRY_LOOK_MIN, EXPIRY_LOOK_MAX);
        cx.timers.set(Timer::Expiry, cx.now() + pause);
    }
}

/// What is too old now. While a reader is here nothing of theirs is: it is on its way.
pub(super) fn look<M: Mutations>(
    cx: &mut Context<M>,
    is_here: impl Fn(&Name) -> bool,
) -> Option<Old> {
    let keep = cx.config().keep?;
    let uptime = cx.uptime();
    cx.change(Change::Ran { uptime });
    Some(old_messages(cx.record(), whole_ms(uptime.saturating_sub(keep)), is_here))
}

/// What was too old is gone.
pub(super) fn go_on<M: Mutations>(cx: &mut Context<M>, more: bool) {
    if more {
        cx.timers.set(Timer::Expiry, cx.now() + SOON);
    }
    wait(cx);
}

/// What was stored before the server had run for so long.
fn old_messages(record: &ServerRecord, line_ms: u64, is_here: impl Fn(&Name) -> bool) -> Old {
    let mailboxes = record.mailboxes().filter(|(to, _)| !is_here(to));
    let mut old = mailboxes.flat_map(|(to, messages)| {
        let old = messages.iter().take_while(move |message| message.stored_after_ms < line_ms);
        old.map(move |message| (message.key(), (message.id.seq, to.clone())))
    });
    let streams = old.by_ref().take(AT_ONCE_MAX).collect();
    Old { streams, more: old.next().is_some() }
}
