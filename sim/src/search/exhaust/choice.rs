//! What can go wrong once in a run, and where in it: a fault of one datagram, a kill, or a loss of
//! power.

use std::fmt;
use std::time::Duration;

use crate::faults::disk::{DiskEvent, DiskFault, DiskRule, Keeps, Operation};
use crate::faults::fate::{Fault, Key, Rule, Target, Which, together, whole_ms};
use crate::naming::label::HostName;
use crate::planning::moves::ADVERSARY;
use crate::planning::plan::{Act, Action, Host, Plan};
use crate::record::log::{Entry, Log, What};
use crate::record::outcome::KEEP_ALIVE;

use super::{MOMENT, Scope};

/// How late a datagram comes that is late: longer than the pause before any repetition to whoever
/// may be there (`RTO_MAX`, 500 ms, when nothing is known of the way), and its way.
pub const LATE: Duration = Duration::from_millis(600);

/// A program that is killed is started again after this.
pub const DOWN: Duration = Duration::from_millis(100);

/// What may happen to a datagram.
const FAULTS: [Fault; 3] =
    [Fault::Drop, Fault::Duplicate { after: Duration::ZERO }, Fault::Delay { by: LATE }];

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A fault of a datagram.
    Datagram {
        /// Which.
        key: Key,
        /// What.
        fault: Fault,
    },
    /// A program is killed, and started again [`DOWN`] later.
    Kill {
        /// Whose.
        host: HostName,
        /// When.
        at: Duration,
        /// The port on which it is started again.
        port: u16,
    },
    /// A host loses its power, and all that was not synced; its program is started again [`DOWN`]
    /// later.
    PowerCut {
        /// Which host.
        host: HostName,
        /// When.
        at: Duration,
        /// At which sync of its disk, from 1.
        sync: u64,
    },
}

/// Syncs of a disk at which its power may fail.
pub const SYNCS_MAX: u64 = 4_096;

/// Marks a sync in the log, and does nothing to it.
const MARK: DiskFault = DiskFault::Slow { by: Duration::ZERO };

/// The same run with every sync in its log.
#[must_use]
pub(super) fn with_syncs(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let hosts = plan.hosts.iter();
    let syncs = hosts.flat_map(|host| (1..=SYNCS_MAX).map(|sync| rule(&host.name, sync, MARK)));
    // Of two rules for one sync the last counts.
    let own = std::mem::take(&mut plan.disk_faults.rules);
    plan.disk_faults.rules = syncs.chain(own).collect();
    plan
}

fn rule(host: &HostName, nth: u64, fault: DiskFault) -> DiskRule {
    let (since, kind, restart_after) = (Duration::ZERO, Operation::Sync, Some(DOWN));
    DiskRule { host: host.clone(), since, kind, nth, fault, restart_after }
}

/// Where in a run something goes wrong. Whatever is before it is the same without it, so that a
/// set of choices has one order in which each is found in the run that those before it cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    at: Duration,
    host: HostName,
    /// 0 for a kill or a loss of power, which keeps back whatever its host would do then; else
    /// which of those sent at that time, from 1.
    place: usize,
}

impl Choice {
    /// The plan in which this goes wrong as well.
    #[must_use]
    pub fn on(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        match self {
            Self::Datagram { key, fault } => plan.faults.rules.push(Rule {
                since: Duration::ZERO,
                until: Duration::MAX,
                target: Target {
                    from: key.from.clone(),
                    to: key.to.clone(),
                    packet: key.packet,
                    message: key.message.clone(),
                    which: Which::Attempt(key.attempt),
                },
                fault: *fault,
            }),
            Self::Kill { host, at, port } => {
                let of_host = |it: &&mut Host| it.name == *host;
                if let Some(host) = plan.hosts.iter_mut().find(of_host) {
                    let place = host.actions.partition_point(|action| action.at <= *at);
                    let start = Action { at: *at + DOWN, act: Act::Start { port: *port } };
                    host.actions.insert(place, start);
                    host.actions.insert(place, Action { at: *at, act: Act::Crash });
                }
            }
            Self::PowerCut { host, sync, .. } => {
                let fault = DiskFault::PowerCut { keeps: Keeps::Nothing };
                plan.disk_faults.rules.push(rule(host, *sync, fault));
            }
        }
        plan
    }
}

/// All that can go wrong behind a position, in their order. `log` is what happens in the run.
#[must_use]
pub(super) fn choices(
    plan: &Plan,
    log: &Log,
    behind: Option<&Position>,
    scope: Scope,
) -> Vec<(Position, Choice)> {
    let mut choices = datagrams(log, scope);
    if scope.kills {
        choices.extend(plan.hosts.iter().flat_map(|host| kills(host, log, plan.until)));
    }
    if scope.power_cuts {
        choices.extend(plan.hosts.iter().flat_map(|host| power_cuts(host, log, plan.until)));
    }
    choices.retain(|(position, _)| behind.is_none_or(|behind| position > behind));
    // Stable: the faults of one datagram stay in their order.
    choices.sort_by(|(a, _), (b, _)| a.cmp(b));
    choices
}

fn datagrams(log: &Log, scope: Scope) -> Vec<(Position, Choice)> {
    let mut choices = Vec::new();
    let mut last: Option<Position> = None;
    for Entry { at, host, what } in &log.entries {
        let What::Sent { key, faults, cut, .. } = what else { continue };
        let same = last.as_ref().filter(|last| (last.at, &last.host) == (*at, host));
        let place = 1 + same.map_or(0, |last| last.place);
        let position = Position { at: *at, host: host.clone(), place };
        last = Some(position.clone());
        let is_lost = *cut || together(faults).lost;
        let is_left_out = !scope.keep_alives && KEEP_ALIVE.contains(&key.packet);
        if is_lost || is_left_out || **host == *ADVERSARY {
            continue;
        }
        choices.extend(FAULTS.map(|fault| {
            let key = key.clone();
            (position.clone(), Choice::Datagram { key, fault })
        }));
    }
    choices
}

/// The host's program is killed a moment after each time at which it did something, unless the
/// plan does something to it before it runs again.
fn kills(host: &Host, log: &Log, until: Duration) -> Vec<(Position, Choice)> {
    let mut choices: Vec<(Position, Choice)> = Vec::new();
    let own = |entry: &&Entry| entry.host == host.name && !is_mark(&entry.what);
    let mut entries = log.entries.iter().filter(own).peekable();
    let mut runs = false;
    while let Some(Entry { at, what, .. }) = entries.next() {
        match what {
            What::Started { .. } => runs = true,
            What::Crashed | What::Ended { .. } | What::Panicked(_) => runs = false,
            _ => {}
        }
        let is_last = entries.peek().is_none_or(|next| next.at > *at);
        let at = *at + MOMENT;
        if !runs || !is_last || is_busy(host, at, until) {
            continue;
        }
        let before = host.actions.iter().take_while(|action| action.at < at);
        let ports = before.filter_map(|action| match action.act {
            Act::Start { port } => Some(port),
            _ => None,
        });
        if let Some(port) = ports.last() {
            let position = Position { at, host: host.name.clone(), place: 0 };
            choices.push((position, Choice::Kill { host: host.name.clone(), at, port }));
        }
    }
    choices
}

/// The host's power fails at each sync of its disk, unless the plan does something to it before it
/// runs again.
fn power_cuts(host: &Host, log: &Log, until: Duration) -> Vec<(Position, Choice)> {
    let cut = |entry: &Entry| {
        let What::Disk(DiskEvent { number: sync, .. }) = entry.what else { return None };
        if entry.host != host.name || !is_mark(&entry.what) || is_busy(host, entry.at, until) {
            return None;
        }
        let (host, at) = (host.name.clone(), entry.at);
        let position = Position { at, host: host.clone(), place: 0 };
        Some((position, Choice::PowerCut { host, at, sync }))
    };
    log.entries.iter().filter_map(cut).collect()
}

fn is_mark(what: &What) -> bool {
    matches!(what, What::Disk(DiskEvent { fault, .. }) if *fault == MARK)
}

/// Whether the plan does something to a host that is down from then on, or ends before it is up.
fn is_busy(host: &Host, at: Duration, until: Duration) -> bool {
    let busy = |action: &Action| (at..=at + DOWN).contains(&action.at);
    at + DOWN > until || host.actions.iter().any(busy)
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datagram { key, fault } => {
                let Key { from, to, packet, message, attempt } = key;
                let packet = packet.name();
                write!(f, "{from} -> {to} {packet}")?;
                if let Some(message) = message {
                    write!(f, " {message}")?;
                }
                if *attempt > 1 {
                    write!(f, " ({attempt})")?;
                }
                write!(f, ": {fault}")
            }
            Self::Kill { host, at, .. } => {
                let ms = whole_ms(*at);
                write!(f, "{host} is killed at {}.{:03} s", ms / 1_000, ms % 1_000)
            }
            Self::PowerCut { host, at, sync } => {
                let ms = whole_ms(*at);
                let (s, ms) = (ms / 1_000, ms % 1_000);
                write!(f, "{host} loses its power at {s}.{ms:03} s, at sync {sync}")
            }
        }
    }
}
