//! What goes wrong with disks: rates and rules, and what they decide about one operation.
//!
//! As with datagrams a fate belongs to an operation: it depends on the seed, the host, the kind of
//! operation and its number on that host's disk. A higher rate only adds faults.

use std::fmt;
use std::time::Duration;

use crate::naming::label::HostName;
use crate::naming::random::{fraction, hash};

/// Everything that goes wrong with the disks of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskFaults {
    /// The share of operations at which something random goes wrong.
    pub rate: f64,
    /// The end of the random faults: from then on every disk has room.
    pub rate_until: Duration,
    /// Faults of certain operations.
    pub rules: Vec<DiskRule>,
}

impl DiskFaults {
    /// Whether nothing goes wrong with any disk.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.rate == 0.0 && self.rules.is_empty()
    }

    /// Whether any disk may lose its power.
    #[must_use]
    pub fn cuts_power(&self) -> bool {
        let cuts = |rule: &DiskRule| matches!(rule.fault, DiskFault::PowerCut { .. });
        self.rate > 0.0 || self.rules.iter().any(cuts)
    }
}

/// A fault of a certain operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRule {
    /// On whose disk.
    pub host: HostName,
    /// Operations are counted from this time on.
    pub since: Duration,
    /// Of which kind it is.
    pub kind: Operation,
    /// Which of them, from 1.
    pub nth: u64,
    /// What happens at it.
    pub fault: DiskFault,
    /// How long after it a program that it has ended is started again, if it is.
    pub restart_after: Option<Duration>,
}

/// What a program does to its disk that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It writes, or sets the length of a file.
    Write,
    /// It asks for what it has written to be durable.
    Sync,
}

impl Operation {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sync => "sync",
        }
    }
}

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// The host loses its power.
    PowerCut {
        /// What is left of what was not durable.
        keeps: Keeps,
    },
    /// The operation fails. A sync that does leaves nobody knowing what is durable.
    Fails,
    /// From now on the disk has no more room.
    Full {
        /// For so long; without it, to the end.
        lasts: Option<Duration>,
    },
    /// Just before it somebody puts a copy of the store's file in its place, and a program that
    /// starts finds that one.
    Replaced,
    /// The operation takes longer.
    Slow {
        /// By so much.
        by: Duration,
    },
}

/// What the loss of power leaves of what was written and is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// The first so many writes.
    First,
    /// Some sectors of each write.
    Sectors,
    /// Some bytes of each write.
    Bytes,
    /// One write.
    One,
    /// All writes but one.
    AllButOne,
}

impl Keeps {
    /// All of them, by name.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::All, "all"),
        (Self::Nothing, "nothing"),
        (Self::First, "first"),
        (Self::Sectors, "sectors"),
        (Self::Bytes, "bytes"),
        (Self::One, "one"),
        (Self::AllButOne, "all_but_one"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(keeps, _)| *keeps == self).map_or("", |(_, name)| name)
    }
}

/// What happened to a disk, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskEvent {
    /// At which operation,
    pub kind: Operation,
    /// counted since the run began.
    pub number: u64,
    /// What went wrong.
    pub fault: DiskFault,
    /// How long after it a program that it has ended is started again, if it is.
    pub restart_after: Option<Duration>,
}

impl fmt::Display for DiskEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, number) = (self.kind.name(), self.number);
        match self.fault {
            DiskFault::PowerCut { keeps } => {
                let keeps = keeps.name();
                write!(
                    f,
                    "loses its power at {kind} {number}, of what was not durable is left: {keeps}"
                )
            }
            DiskFault::Fails => write!(f, "has a disk that fails at {kind} {number}"),
            DiskFault::Full { lasts: Some(lasts) } => {
                write!(f, "has a full disk from {kind} {number} on for {} ms", lasts.as_millis())
            }
            DiskFault::Full { lasts: None } => write!(f, "has a full disk from {kind} {number} on"),
            DiskFault::Replaced => {
                write!(f, "has a copy put in its store's place at {kind} {number}")
            }
            DiskFault::Slow { by } => {
                write!(f, "has a slow disk at {kind} {number}: {} ms longer", by.as_millis())
            }
        }
    }
}

/// A program that a random fault has ended is started again after this at the latest; half of
/// them as quickly as a supervisor does it.
const DOWN_MAX_MS: u64 = 4_000;
const QUICK_RESTART_MAX_MS: u64 = 200;

/// The longest time for which a random fault leaves a disk full.
const FULL_MAX_MS: u64 = 4_000;

/// The longest time by which a random fault slows an operation down.
const SLOW_MAX_MS: u64 = 1_000;

/// Which faults one disk meets.
#[derive(Clone, Debug)]
pub(super) struct DiskFates {
    seed: u64,
    host: HostName,
    rate: f64,
    rate_until: Duration,
    /// Each with how often it was counted.
    rules: Vec<(DiskRule, u64)>,
    /// How often each kind of operation was done.
    writes: u64,
    syncs: u64,
    /// How many of them met a rate.
    exposed: u64,
}

impl DiskFates {
    pub(super) fn new(seed: u64, host: HostName, faults: &DiskFaults) -> Self {
        let rules = faults.rules.iter().filter(|rule| rule.host == host);
        let rules = rules.map(|rule| (rule.clone(), 0)).collect();
        let (rate, rate_until) = (faults.rate, faults.rate_until);
        Self { seed, host, rate, rate_until, rules, writes: 0, syncs: 0, exposed: 0 }
    }

    /// How many operations there were while random faults were on.
    pub(super) const fn exposed(&self) -> u64 {
        self.exposed
    }

    /// What goes wrong with an operation that is done now.
    pub(super) fn decide(&mut self, now: Duration, kind: Operation) -> Option<DiskEvent> {
        let count = match kind {
            Operation::Write => &mut self.writes,
            Operation::Sync => &mut self.syncs,
        };
        *count += 1;
        let number = *count;
        let mut decided = None;
        for (rule, counted) in &mut self.rules {
            if rule.kind == kind && now >= rule.since {
                *counted += 1;
                if *counted == rule.nth {
                    let (fault, restart_after) = (rule.fault, rule.restart_after);
                    decided = Some(DiskEvent { kind, number, fault, restart_after });
                }
            }
        }
        if self.rate > 0.0 && now < self.rate_until {
            self.exposed += 1;
            decided = decided.or_else(|| self.by_rate(now, kind, number));
        }
        decided
    }

    fn by_rate(&self, now: Duration, kind: Operation, number: u64) -> Option<DiskEvent> {
        let at = number.to_string();
        let draw = |what: &str| hash(self.seed, &[what, &self.host, kind.name(), &at]);
        if fraction(draw("disk fault")) >= self.rate {
            return None;
        }
        let up_to = |what: &str, most: u64| Duration::from_millis(1 + draw(what) % most);
        let until = |lasts: Duration| lasts.min(self.rate_until.saturating_sub(now));
        let fault = match draw("disk fault kind") % 4 {
            0 => DiskFault::PowerCut { keeps: pick(draw("keeps")) },
            1 => DiskFault::Fails,
            2 => DiskFault::Full { lasts: Some(until(up_to("full", FULL_MAX_MS))) },
            _ => DiskFault::Slow { by: up_to("slow", SLOW_MAX_MS) },
        };
        let is_quick = fraction(draw("quick restart")) < 0.5;
        let most = if is_quick { QUICK_RESTART_MAX_MS } else { DOWN_MAX_MS };
        Some(DiskEvent { kind, number, fault, restart_after: Some(up_to("restart", most)) })
    }
}

fn pick(number: u64) -> Keeps {
    let index = usize::try_from(number % Keeps::NAMES.len() as u64).unwrap_or_default();
    Keeps::NAMES[index].0
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: u64 = 20_000;

    fn hit(rate: f64) -> Vec<u64> {
        let faults = DiskFaults { rate, rate_until: Duration::MAX, rules: Vec::new() };
        let mut fates = DiskFates::new(7, "alice".into(), &faults);
        let decide = |_| fates.decide(Duration::ZERO, Operation::Write);
        (0..OPERATIONS).filter_map(decide).map(|event| event.number).collect()
    }

    #[test]
    fn what_is_asked_is_what_happens() {
        for rate in [0.01, 0.3] {
            let measured = hit(rate).len() as f64 / OPERATIONS as f64;
            let tolerance = 5.0 * (rate * (1.0 - rate) / OPERATIONS as f64).sqrt();
            assert!((measured - rate).abs() < tolerance, "asked {rate}, measured {measured}");
        }
        assert!(hit(0.0).is_empty());
    }

    #[test]
    fn a_higher_rate_only_adds_faults() {
        let many = hit(0.2);
        assert!(hit(0.1).iter().all(|operation| many.binary_search(operation).is_ok()));
    }

    #[test]
    fn other_kinds_of_operations_change_no_fate() {
        let faults = DiskFaults { rate: 0.5, rate_until: Duration::MAX, rules: Vec::new() };
        let mut quiet = DiskFates::new(1, "alice".into(), &faults);
        let mut busy = quiet.clone();
        for _ in 0..100 {
            busy.decide(Duration::ZERO, Operation::Write);
            let decide = |fates: &mut DiskFates| fates.decide(Duration::ZERO, Operation::Sync);
            assert_eq!(decide(&mut quiet), decide(&mut busy));
        }
    }

    #[test]
    fn a_rule_counts_from_its_time_on() {
        let rule = DiskRule {
            host: "alice".into(),
            since: Duration::from_secs(1),
            kind: Operation::Sync,
            nth: 2,
            fault: DiskFault::Fails,
            restart_after: None,
        };
        let faults = DiskFaults { rules: vec![rule], ..DiskFaults::default() };
        let mut fates = DiskFates::new(1, "alice".into(), &faults);
        let mut hits = |at| fates.decide(Duration::from_secs(at), Operation::Sync).is_some();
        assert_eq!([0, 0, 1, 2, 3].map(&mut hits), [false, false, false, true, false]);
        let mut others = DiskFates::new(1, "bob".into(), &faults);
        assert!((1..9).all(|at| others.decide(Duration::from_secs(at), Operation::Sync).is_none()));
    }
}
