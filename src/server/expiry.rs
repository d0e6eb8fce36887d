//! Messages that nobody comes for do not stay for ever.
//!
//! docs/protocol.md, "Stored messages". Their age counts in the time for which the server has run,
//! all its lives together: no set clock makes them old, and none is old because nobody could come.

use std::collections::BTreeMap;
use std::time::Duration;

use super::timing::{EXPIRY_LOOK_MAX, EXPIRY_LOOK_MIN};
use super::{Change, End, Event, Server, Timer};
use crate::plant::Plant;
use crate::protocol::{MessageId, Name, StreamKey};
use crate::time::whole_ms;

/// Messages that expire at once; the rest soon after, so that nothing else has to wait.
const AT_ONCE_MAX: usize = 1_000;

/// Until the rest expires.
const SOON: Duration = Duration::from_millis(100);

/// Looks for old messages in the time for which they are kept: they stay hardly longer than said.
const LOOKS: u32 = 32;

impl<P: Plant> Server<P> {
    /// Sets the time of the next look for messages that are too old, as long as there are any.
    pub(super) fn wait_for_expiry(&mut self) {
        let Some(keep) = self.cx.config().keep else { return };
        if self.cx.record().letters() == 0 {
            self.cx.clear_timer(&Timer::Expiry);
        } else if !self.cx.is_timer_set(&Timer::Expiry) {
            let pause = (keep / LOOKS).clamp(EXPIRY_LOOK_MIN, EXPIRY_LOOK_MAX);
            self.cx.set_timer(Timer::Expiry, self.cx.now() + pause);
        }
    }

    /// Ends the keeping of messages that are too old.
    pub(super) fn expire_mail(&mut self) {
        let Some(keep) = self.cx.config().keep else { return };
        let uptime = self.cx.uptime();
        self.cx.change(Change::Ran { uptime });
        let (old, more) = self.old_letters(whole_ms(uptime.saturating_sub(keep)));
        for (key, (seq, to)) in old {
            let before = self.letters_for(&to);
            self.cx.change_if_any(self.cx.record().settling(&key, seq, End::Expired));
            let count = before - self.letters_for(&to);
            let (id, from) = (MessageId { stream: key.stream, seq }, key.from.clone());
            self.cx.counters.expired += count as u64;
            self.cx.report(Event::Expired { id, from, to, count });
            self.has_news(&key);
        }
        if more {
            self.cx.set_timer(Timer::Expiry, self.cx.now() + SOON);
        }
        self.wait_for_expiry();
    }

    /// The last place of each stream that was stored before the server had run for so long, and
    /// its reader; and whether there are more. While a reader is here nothing of theirs is too
    /// old: it is on its way.
    fn old_letters(&self, line_ms: u64) -> (BTreeMap<StreamKey, (u64, Name)>, bool) {
        let absent = |to: &Name| self.sessions.get(to).is_none_or(|session| !session.confirmed);
        let mailboxes = self.cx.record().mailboxes().filter(|(to, _)| absent(to));
        let mut old = mailboxes.flat_map(|(to, letters)| {
            let old = letters.iter().take_while(move |letter| letter.stored_after_ms < line_ms);
            old.map(move |letter| (letter.key(), (letter.id.seq, to.clone())))
        });
        let now = old.by_ref().take(AT_ONCE_MAX).collect();
        (now, old.next().is_some())
    }
}
