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
use crate::time::{Now, Time, whole_ms};

/// Messages that expire at once; the rest soon after, so that nothing else has to wait.
const AT_ONCE_MAX: usize = 1_000;

/// Until the rest expires.
const SOON: Duration = Duration::from_millis(100);

/// Looks for old messages in the time for which they are kept: they stay hardly longer than said.
const LOOKS: u32 = 32;

impl<P: Plant> Server<P> {
    /// How long this server has run, all its lives together.
    pub(super) fn uptime(&self, now: Now) -> Duration {
        self.uptime_before.saturating_add(now.time.since_start())
    }

    /// Sets the time of the next look for messages that are too old, as long as there are any.
    pub(super) fn wait_for_expiry(&mut self, now: Time) {
        let Some(keep) = self.config.keep else { return };
        if self.record.letters() == 0 {
            self.timers.clear(&Timer::Expiry);
        } else if !self.timers.is_set(&Timer::Expiry) {
            let pause = (keep / LOOKS).clamp(EXPIRY_LOOK_MIN, EXPIRY_LOOK_MAX);
            self.timers.set(Timer::Expiry, now + pause);
        }
    }

    /// Ends the keeping of messages that are too old.
    pub(super) fn expire_mail(&mut self, now: Now) {
        let Some(keep) = self.config.keep else { return };
        let uptime = self.uptime(now);
        self.change(Change::Ran { uptime });
        let (old, more) = self.old_letters(whole_ms(uptime.saturating_sub(keep)));
        for (key, (seq, to)) in old {
            let before = self.letters_for(&to);
            self.change_if_any(self.record.settling(&key, seq, End::Expired));
            let count = before - self.letters_for(&to);
            let (id, from) = (MessageId { stream: key.stream, seq }, key.from.clone());
            self.counters.expired += count as u64;
            self.journal.event_durably(Event::Expired { id, from, to, count });
            self.has_news(now, &key);
        }
        if more {
            self.timers.set(Timer::Expiry, now.time + SOON);
        }
        self.wait_for_expiry(now.time);
    }

    /// The last place of each stream that was stored before the server had run for so long, and
    /// its reader; and whether there are more. While a reader is here nothing of theirs is too
    /// old: it is on its way.
    fn old_letters(&self, line_ms: u64) -> (BTreeMap<StreamKey, (u64, Name)>, bool) {
        let absent = |to: &Name| self.sessions.get(to).is_none_or(|session| !session.confirmed);
        let mailboxes = self.record.mailboxes().filter(|(to, _)| absent(to));
        let mut old = mailboxes.flat_map(|(to, letters)| {
            let old = letters.iter().take_while(move |letter| letter.stored_after_ms < line_ms);
            old.map(move |letter| (letter.key(), (letter.id.seq, to.clone())))
        });
        let now = old.by_ref().take(AT_ONCE_MAX).collect();
        (now, old.next().is_some())
    }
}
