//! What happens to which datagram: rates, rules and cuts.
//!
//! A fate belongs to a datagram, not to a place in a stream of random numbers: it depends on the
//! seed, the kind of fault and the datagram's [`Key`] alone (bursts: and on the time). So one
//! datagram more or less changes nothing for the others, and a higher rate only adds faults. Knows
//! no network, bytes or ids.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use udpchat_core::protocol::PacketKind;
use udpchat_node::fault::{Damage, Fate};

use crate::naming::label::{HostName, Label};
use crate::naming::random::{fraction, hash};

/// What a datagram is, in names that mean the same in every run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Who sends it.
    pub from: HostName,
    /// Whom it is for.
    pub to: HostName,
    /// What it is.
    pub packet: PacketKind,
    /// Which message it is about.
    pub message: Option<Label>,
    /// How often something with the same four properties has been sent, this time included.
    pub attempt: u32,
}

/// Everything that the network does to datagrams in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPlan {
    /// Random faults, at any time before [`Self::rates_until`].
    pub rates: Rates,
    /// The end of the random faults.
    pub rates_until: Duration,
    /// Faults for certain datagrams.
    pub rules: Vec<Rule>,
    /// Links that are cut for a while.
    pub cuts: Vec<Cut>,
    /// Datagrams that are longer are lost.
    pub size_limit: Option<SizeLimit>,
    /// From some time on other fates than these rates and rules have.
    pub reseed: Option<Reseed>,
}

/// Other fates from some time on: until then the run is the same, and what comes of it then is
/// left to chance once more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reseed {
    /// For datagrams sent at this time or later.
    pub from: Duration,
    /// What decides about them. Rules do no longer, but those of an adversary.
    pub seed: u64,
    /// How likely each fault is from then on.
    pub rates: Rates,
}

/// What the network carries at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimit {
    /// So many bytes of a datagram, without IP's and UDP's.
    pub bytes: usize,
    /// From then on it carries everything.
    pub until: Duration,
}

/// How likely each kind of random fault is, per datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// It is lost.
    pub drop: f64,
    /// It arrives twice.
    pub duplicate: f64,
    /// One bit of it is flipped.
    pub corrupt: f64,
    /// It arrives shortened.
    pub truncate: f64,
    /// It takes longer, by anything between these two.
    pub delay: Option<(Duration, Duration)>,
    /// The share of time in which a direction of a link loses nearly everything.
    pub burst: f64,
}

/// A fault for certain datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For datagrams sent at this time or later,
    pub since: Duration,
    /// and before this one.
    pub until: Duration,
    /// Which of them.
    pub target: Target,
    /// What happens to them.
    pub fault: Fault,
}

/// Which datagrams a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who sends them.
    pub from: HostName,
    /// Whom they are for.
    pub to: HostName,
    /// What they are.
    pub packet: PacketKind,
    /// Which message they are about, if that matters.
    pub message: Option<Label>,
    /// Which of those.
    pub which: Which,
}

/// Which of several datagrams of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// So many of them, counted since the rule holds.
    Counted {
        /// The first, from 1.
        first: u32,
        /// How many.
        times: u32,
    },
    /// The one with this [`Key::attempt`].
    Attempt(u32),
}

/// What happens to one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is lost.
    Drop,
    /// It is lost with nearly everything around it.
    Burst,
    /// It is lost because it is longer than the network carries.
    TooLong,
    /// An adversary keeps it.
    Taken,
    /// It arrives a second time.
    Duplicate {
        /// So long after the first.
        after: Duration,
    },
    /// It takes longer.
    Delay {
        /// By so much.
        by: Duration,
    },
    /// One bit is flipped.
    Corrupt {
        /// Which; see [`Damage::Flip`].
        bit: u64,
    },
    /// It is shortened.
    Truncate {
        /// To so many bytes.
        keep: usize,
    },
}

/// A direction of a link that carries nothing for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Nothing from here ...
    pub from: HostName,
    /// ... arrives here,
    pub to: HostName,
    /// from this time on
    pub since: Duration,
    /// until this one. What is sent or due in between is lost.
    pub until: Duration,
}

impl FaultPlan {
    /// Whether the direction is cut at this time.
    #[must_use]
    pub fn is_cut(&self, from: &str, to: &str, at: Duration) -> bool {
        let here = |cut: &Cut| *cut.from == *from && *cut.to == *to;
        self.cuts.iter().any(|cut| here(cut) && (cut.since..cut.until).contains(&at))
    }
}

/// The longest time by which a random duplicate follows its original.
const DUPLICATE_AFTER_MAX_MS: u64 = 50;

/// One of so many second copies went astray and comes when its sender may have moved on.
const STRAGGLER_ONE_IN: u64 = 8;

/// A straggler comes this late at most.
const STRAGGLER_AFTER_MAX_MS: u64 = 3_000;

/// Bursts begin and end at multiples of this: the shortest loses one try of a message, those that
/// follow each other by chance more.
const BURST_SLOT_MS: u64 = 500;

/// The share of datagrams that are lost in a burst.
const BURST_LOSS: f64 = 0.9;

impl Rates {
    /// The random faults of one datagram that is sent at this time.
    fn faults(&self, seed: u64, key: &Key, at: Duration) -> Vec<Fault> {
        let draw = |what: &str| {
            let message = key.message.as_ref().map(Label::to_string).unwrap_or_default();
            let (packet, attempt) = (key.packet.name(), key.attempt.to_string());
            hash(seed, &[what, &key.from, &key.to, packet, &message, &attempt])
        };
        let hits = |what: &str, rate: f64| rate > 0.0 && fraction(draw(what)) < rate;
        let mut faults = Vec::new();
        if hits("drop", self.drop) {
            faults.push(Fault::Drop);
        }
        let slot = (whole_ms(at) / BURST_SLOT_MS).to_string();
        let in_burst = || fraction(hash(seed, &["burst", &key.from, &key.to, &slot])) < self.burst;
        if self.burst > 0.0 && in_burst() && hits("burst loss", BURST_LOSS) {
            faults.push(Fault::Burst);
        }
        if hits("duplicate", self.duplicate) {
            let is_straggler = draw("straggler").is_multiple_of(STRAGGLER_ONE_IN);
            let most = if is_straggler { STRAGGLER_AFTER_MAX_MS } else { DUPLICATE_AFTER_MAX_MS };
            let after = Duration::from_millis(draw("duplicate after") % (most + 1));
            faults.push(Fault::Duplicate { after });
        }
        if let Some((shortest, longest)) = self.delay {
            let span = whole_ms(longest.saturating_sub(shortest)) + 1;
            let by = shortest + Duration::from_millis(draw("delay") % span);
            if !by.is_zero() {
                faults.push(Fault::Delay { by });
            }
        }
        if hits("corrupt", self.corrupt) {
            faults.push(Fault::Corrupt { bit: draw("corrupt bit") % CORRUPT_BITS });
        }
        if hits("truncate", self.truncate) {
            let keep = draw("truncate keep") % udpchat_core::protocol::limits::DATAGRAM_MAX as u64;
            faults.push(Fault::Truncate { keep: usize::try_from(keep).unwrap_or_default() });
        }
        faults
    }
}

/// Random bit flips hit anywhere in the largest of our datagrams.
const CORRUPT_BITS: u64 = 8 * udpchat_core::protocol::limits::DATAGRAM_MAX as u64;

/// In whole milliseconds, the resolution of simulated time.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Target {
    fn covers(&self, key: &Key) -> bool {
        (&self.from, &self.to, self.packet) == (&key.from, &key.to, key.packet)
            && self.message.as_ref().is_none_or(|message| Some(message) == key.message.as_ref())
    }
}

/// The faults of one run as they fall due: a [`FaultPlan`] and how often it was asked about what.
#[derive(Debug)]
pub struct Fates {
    seed: u64,
    plan: FaultPlan,
    attempts: BTreeMap<(HostName, HostName, PacketKind, Option<Label>), u32>,
    counted: Vec<u32>,
}

impl Fates {
    /// The faults of this plan under this seed.
    #[must_use]
    pub fn new(seed: u64, plan: FaultPlan) -> Self {
        let counted = vec![0; plan.rules.len()];
        Self { seed, plan, attempts: BTreeMap::new(), counted }
    }

    /// What happens to the datagram that is sent now, and what its key is.
    pub fn decide(
        &mut self,
        at: Duration,
        (from, to): (&HostName, &HostName),
        packet: PacketKind,
        message: Option<&Label>,
    ) -> (Key, Vec<Fault>) {
        let group = (from.clone(), to.clone(), packet, message.cloned());
        let attempt = self.attempts.entry(group).or_insert(0);
        *attempt += 1;
        let (from, to, message) = (from.clone(), to.clone(), message.cloned());
        let key = Key { from, to, packet, message, attempt: *attempt };
        let mut faults = Vec::new();
        let reseed = self.plan.reseed.as_ref().filter(|reseed| reseed.from <= at);
        if at < self.plan.rates_until {
            faults = match reseed {
                Some(Reseed { seed, rates, .. }) => rates.faults(*seed, &key, at),
                None => self.plan.rates.faults(self.seed, &key, at),
            };
        }
        for (rule, count) in self.plan.rules.iter().zip(&mut self.counted) {
            if reseed.is_some() && rule.fault != Fault::Taken {
                continue;
            }
            if (rule.since..rule.until).contains(&at) && rule.target.covers(&key) {
                *count += 1;
                let hit = match rule.target.which {
                    Which::Counted { first, times } => *count >= first && *count - first < times,
                    Which::Attempt(attempt) => key.attempt == attempt,
                };
                if hit {
                    faults.push(rule.fault);
                }
            }
        }
        (key, faults)
    }

    /// What happens to it because of its size.
    #[must_use]
    pub fn by_size(&self, at: Duration, bytes: usize) -> Option<Fault> {
        let limit = self.plan.size_limit?;
        (bytes > limit.bytes && at < limit.until).then_some(Fault::TooLong)
    }
}

/// What the faults do together.
#[must_use]
pub fn together(faults: &[Fault]) -> Fate {
    let mut fate = Fate::default();
    for fault in faults {
        match *fault {
            Fault::Drop | Fault::Burst | Fault::TooLong | Fault::Taken => fate.lost = true,
            Fault::Duplicate { after } => fate.again = Some(after),
            Fault::Delay { by } => fate.delay += by,
            Fault::Corrupt { bit } => fate.damage = Some(Damage::Flip { bit }),
            Fault::Truncate { keep } => fate.damage = Some(Damage::Truncate { keep }),
        }
    }
    if let Some(after) = &mut fate.again {
        *after += fate.delay;
    }
    fate
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop | Self::Burst | Self::TooLong | Self::Taken => f.write_str("lost"),
            Self::Duplicate { after } => write!(f, "again {} ms later", after.as_millis()),
            Self::Delay { by } => write!(f, "{} ms late", by.as_millis()),
            Self::Corrupt { bit } => write!(f, "bit {bit} flipped"),
            Self::Truncate { keep } => write!(f, "cut to {keep} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATAGRAMS: u32 = 20_000;

    fn lost(rate: f64, seed: u64) -> Vec<u32> {
        let rates = Rates { drop: rate, ..Rates::default() };
        let plan = FaultPlan { rates, rates_until: Duration::MAX, ..FaultPlan::default() };
        let mut fates = Fates::new(seed, plan);
        let (alice, bob) = ("alice".into(), "bob".into());
        (0..DATAGRAMS)
            .filter(|_| {
                let link = (&alice, &bob);
                let (_, faults) = fates.decide(Duration::ZERO, link, PacketKind::Ping, None);
                faults.contains(&Fault::Drop)
            })
            .collect()
    }

    #[test]
    fn what_is_asked_is_what_happens() {
        for (seed, rate) in [(1, 0.05), (2, 0.3), (3, 0.9)] {
            let measured = lost(rate, seed).len() as f64 / f64::from(DATAGRAMS);
            // Five standard deviations: wrong once in two million seeds, and these are fixed.
            let tolerance = 5.0 * (rate * (1.0 - rate) / f64::from(DATAGRAMS)).sqrt();
            assert!((measured - rate).abs() < tolerance, "asked {rate}, measured {measured}");
        }
        assert!(lost(0.0, 1).is_empty());
        assert_eq!(lost(1.0, 1).len(), DATAGRAMS as usize);
    }

    #[test]
    fn a_higher_rate_only_adds_faults() {
        let few = lost(0.1, 7);
        let many = lost(0.2, 7);
        assert!(few.iter().all(|datagram| many.binary_search(datagram).is_ok()));
    }

    #[test]
    fn other_datagrams_change_no_fate() {
        let rates = Rates { drop: 0.5, ..Rates::default() };
        let plan = FaultPlan { rates, rates_until: Duration::MAX, ..FaultPlan::default() };
        let (alice, bob): (HostName, HostName) = ("alice".into(), "bob".into());
        let mut quiet = Fates::new(1, plan.clone());
        let mut busy = Fates::new(1, plan);
        for number in 1..100 {
            let message = Label::new(alice.clone(), number);
            let decide = |fates: &mut Fates, kind| {
                fates.decide(Duration::ZERO, (&alice, &bob), kind, Some(&message))
            };
            decide(&mut busy, PacketKind::Save);
            assert_eq!(
                decide(&mut quiet, PacketKind::Message),
                decide(&mut busy, PacketKind::Message)
            );
        }
    }

    #[test]
    fn a_rule_counts_from_its_time_on() {
        let (alice, bob): (HostName, HostName) = ("alice".into(), "bob".into());
        let target = Target {
            from: alice.clone(),
            to: bob.clone(),
            packet: PacketKind::Ack,
            message: None,
            which: Which::Counted { first: 2, times: 2 },
        };
        let rule = Rule {
            since: Duration::from_secs(1),
            until: Duration::MAX,
            target,
            fault: Fault::Drop,
        };
        let plan = FaultPlan { rules: vec![rule], ..FaultPlan::default() };
        let mut fates = Fates::new(1, plan);
        let mut lost = |seconds| {
            let at = Duration::from_secs(seconds);
            !fates.decide(at, (&alice, &bob), PacketKind::Ack, None).1.is_empty()
        };
        assert_eq!([0, 0, 1, 2, 3, 4].map(&mut lost), [false, false, false, true, true, false]);
    }

    #[test]
    fn a_cut_has_one_direction_and_an_end() {
        let since = Duration::from_secs(1);
        let until = Duration::from_secs(2);
        let cut = Cut { from: "a".into(), to: "b".into(), since, until };
        let plan = FaultPlan { cuts: vec![cut], ..FaultPlan::default() };
        let half = Duration::from_millis(500);
        assert!(!plan.is_cut("a", "b", half) && plan.is_cut("a", "b", since));
        assert!(plan.is_cut("a", "b", since + half) && !plan.is_cut("a", "b", until));
        assert!(!plan.is_cut("b", "a", since));
    }
}
