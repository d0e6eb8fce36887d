//! What somebody must have done by when, for checkers of upper bounds.
//!
//! A program that is down or stands still owes nothing meanwhile, and one whose disk is in trouble
//! nothing that waits for a commit. Draws no conclusions about what is owed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat_core::protocol::PacketKind;

use super::{Evidence, Violation};
use crate::faults::fate::{Fault, Key};
use crate::naming::label::{HostName, Label};
use crate::record::log::{Entry, What};

/// More than passes between a timer and what it causes: datagrams on their way, commits.
pub(super) const SLACK: Duration = Duration::from_millis(500);

/// After trouble with a disk, the time for which nothing is asked of its program.
const DISK_TROUBLE: Duration = Duration::from_secs(40);

/// The latest that a timer ends which is so long: clocks in scenarios lose up to a tenth.
pub(super) fn at_most(timer: Duration) -> Duration {
    timer + timer / 8 + SLACK
}

/// The earliest.
pub(super) fn at_least(timer: Duration) -> Duration {
    (timer - timer / 8).saturating_sub(Duration::from_millis(2))
}

/// Since when each program runs without standing still.
#[derive(Debug, Default)]
pub(super) struct Awake<'a>(BTreeMap<&'a str, Waking>);

#[derive(Debug, Default)]
struct Waking {
    runs: bool,
    since: Duration,
    trouble: Option<Duration>,
}

impl<'a> Awake<'a> {
    pub(super) fn note(&mut self, entry: &'a Entry) {
        let is_of_interest = matches!(
            entry.what,
            What::Started { .. }
                | What::Crashed
                | What::Ended { .. }
                | What::Panicked(_)
                | What::Paused { .. }
                | What::Disk(_)
        );
        if !is_of_interest {
            return;
        }
        let host = self.0.entry(&entry.host).or_default();
        match &entry.what {
            What::Started { .. } => (host.runs, host.since) = (true, host.since.max(entry.at)),
            What::Paused { lasts } => host.since = host.since.max(entry.at + *lasts),
            What::Disk(_) => host.trouble = Some(entry.at),
            _ => host.runs = false,
        }
    }

    /// Since when the host's program has been awake, if it is now.
    pub(super) fn since(&self, host: &str, now: Duration) -> Option<Duration> {
        let host = self.0.get(host).filter(|host| host.runs && host.since <= now)?;
        Some(host.since)
    }

    /// The same of one whose disk has been in order for long.
    pub(super) fn with_disk_since(&self, host: &str, now: Duration) -> Option<Duration> {
        let since = self.since(host, now)?;
        let trouble = self.0.get(host).and_then(|host| host.trouble);
        trouble.is_none_or(|at| at + DISK_TROUBLE < now).then_some(since)
    }
}

/// What is owed, by what it is about.
#[derive(Debug)]
pub(super) struct Duties<K>(BTreeMap<K, Duty>);

#[derive(Clone, Copy, Debug)]
struct Duty {
    since: Duration,
    within: Duration,
}

impl Duty {
    /// By how much it is late, for somebody who has been awake since then.
    fn late(self, now: Duration, awake: Option<Duration>) -> Option<Duration> {
        let late = now.checked_sub(self.since.max(awake?) + self.within)?;
        (!late.is_zero()).then_some(now - self.since)
    }
}

impl<K> Default for Duties<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Duties<K> {
    /// Something is owed from now on; if it is already, from before.
    pub(super) fn owe(&mut self, key: K, since: Duration, within: Duration) {
        self.0.entry(key).or_insert(Duty { since, within });
    }

    /// It is owed no longer. How long it took, if that was too long for somebody who has been awake
    /// since then.
    pub(super) fn done(
        &mut self,
        key: &K,
        now: Duration,
        awake: Option<Duration>,
    ) -> Option<Duration> {
        self.0.remove(key)?.late(now, awake)
    }

    pub(super) fn owes(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Whatever is not kept is owed no longer.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| keep(key));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is late in the end, and how long it has been owed.
    pub(super) fn late(
        &self,
        now: Duration,
        awake: impl Fn(&K) -> Option<Duration>,
    ) -> impl Iterator<Item = (&K, Duration)> {
        self.0.iter().filter_map(move |(key, duty)| Some((key, duty.late(now, awake(key))?)))
    }
}

/// Datagrams that a fault has damaged: those of the same kind, about the same, may arrive in vain.
#[derive(Debug, Default)]
pub(super) struct Damaged<'a>(BTreeSet<(&'a str, &'a str, PacketKind, Option<&'a Label>)>);

impl<'a> Damaged<'a> {
    pub(super) fn of(evidence: Evidence<'a>) -> Self {
        let is_damage =
            |fault: &Fault| matches!(fault, Fault::Corrupt { .. } | Fault::Truncate { .. });
        let damaged = evidence.log.entries.iter().filter_map(|entry| match &entry.what {
            What::Sent { key: Key { from, to, packet, message, .. }, faults, .. }
                if faults.iter().any(is_damage) =>
            {
                Some((&**from, &**to, *packet, message.as_ref()))
            }
            _ => None,
        });
        Self(damaged.collect())
    }

    /// Whether what arrives so is whole.
    pub(super) fn is_whole(
        &self,
        from: &'a HostName,
        to: &'a HostName,
        packet: PacketKind,
        message: Option<&'a Label>,
    ) -> bool {
        self.0.is_empty() || !self.0.contains(&(&**from, &**to, packet, message))
    }
}

/// Violations of one checker.
#[derive(Debug)]
pub(super) struct Found(&'static str, Vec<Violation>);

impl Found {
    pub(super) const fn by(checker: &'static str) -> Self {
        Self(checker, Vec::new())
    }

    pub(super) fn add(&mut self, at: Duration, what: String) {
        self.1.push(Violation { checker: self.0, at, what });
    }

    pub(super) fn all(self) -> Vec<Violation> {
        self.1
    }
}
