//! Runs a seed and judges it.
//!
//! A seed's run depends on the seed and the setting alone, wherever and whenever it is run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::faults::bugs::Bug;

use crate::engine::Engine;
use crate::faults::bugs::Planted;
use crate::faults::disk::DiskFault;
use crate::naming::random::hash;
use crate::planning::adversary::Classes;
use crate::planning::plan::Plan;
use crate::planning::workload;
use crate::planning::workload::{Profile, Size};
use crate::record::check::{ENGINES, Violation, check_with};
use crate::record::ledger::{Ledger, SenderTold};
use crate::record::log::{Detail, Tally, What};
use crate::record::outcome::Outcome;
use crate::record::reached::Reached;
use crate::search::attempts::Attempts;

/// What every seed is run with.
#[derive(Clone, Copy, PartialEq)]
pub struct Setting {
    /// How much is going on.
    pub size: Size,
    /// What goes wrong.
    pub profile: Profile,
    /// Whether each seed has only some of it, up to so much: other combinations find other bugs,
    /// and a fault that hides a bug is now and then absent.
    pub swarm: bool,
    /// Who attacks. If nobody is named, swarm runs have those that hold in one seed of
    /// [`ATTACKED_ONE_IN`].
    pub adversary: Classes,
    /// A bug that is planted in every machine, for this run to find.
    pub bug: Option<Bug>,
    /// What it is run on.
    pub engine: Engine,
}

/// One of so many swarm runs is attacked: most bugs need no adversary, and attacks hide some.
pub const ATTACKED_ONE_IN: u64 = 4;

impl Setting {
    /// What goes wrong in this seed's run.
    #[must_use]
    pub fn profile_of(&self, seed: u64) -> Profile {
        if self.swarm { self.profile.some(seed) } else { self.profile }
    }

    /// This seed's run.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        let profile = self.profile_of(seed);
        let mut plan = match self.swarm {
            true => workload::varied(seed, &self.size, &profile),
            false => workload::plan(seed, &self.size, &profile),
        };
        let within = plan.healed.unwrap_or(self.size.duration);
        self.adversary_of(seed).join(&mut plan, within);
        plan
    }

    const fn adversary_of(&self, seed: u64) -> Classes {
        let is_attacked = self.swarm && seed.is_multiple_of(ATTACKED_ONE_IN);
        if is_attacked && self.adversary.is_empty() { Classes::HELD_OFF } else { self.adversary }
    }
}

/// What came of one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Which.
    pub seed: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// Every promise that was broken.
    pub violations: Vec<Violation>,
    /// What was counted.
    pub counts: Counts,
    /// The hash of all that happened, every datagram included: equal runs have equal ones.
    pub trace: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every promise was kept.
    Held,
    /// At least one promise was broken.
    Violated,
    /// Nothing broke, but nothing was put to the test either.
    Inconclusive,
}

/// What was counted in one run, or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Datagrams.
    pub datagrams: Tally,
    /// Messages.
    pub messages: Messages,
    /// How often they were sent directly.
    pub attempts: Attempts,
    /// What went wrong with hosts and links.
    pub mishaps: Mishaps,
    /// The time that passed in the simulation.
    pub simulated: Duration,
    /// Which states were reached.
    pub reached: Reached,
}

/// How often hosts and links met what, and the time in which they could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mishaps {
    /// Programs that were killed.
    pub crashes: u64,
    /// Programs that stood still.
    pub pauses: u64,
    /// Calendar clocks that were set wrong.
    pub clock_steps: u64,
    /// Calendar clocks that began to go wrong.
    pub drifts: u64,
    /// Cuts of one direction of a link.
    pub cuts: u64,
    /// What went wrong with disks.
    pub disks: Disks,
    /// The time in which things went wrong, once for each host.
    pub host_time: Duration,
    /// The same for each direction of each link.
    pub link_time: Duration,
}

/// How often which disk fault was met, and by how many operations it could have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disks {
    /// Operations while random faults were on.
    pub operations: u64,
    /// Of those, the last before the power failed.
    pub power_cuts: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those from which on the disk was full.
    pub full: u64,
    /// Those that took longer.
    pub slow: u64,
}

impl Disks {
    /// All that went wrong.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.power_cuts + self.failed + self.full + self.slow
    }

    fn count(&mut self, fault: DiskFault) {
        match fault {
            DiskFault::PowerCut { .. } => self.power_cuts += 1,
            DiskFault::Fails | DiskFault::Replaced => self.failed += 1,
            DiskFault::Full { .. } => self.full += 1,
            DiskFault::Slow { .. } => self.slow += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.power_cuts += other.power_cuts;
        self.failed += other.failed;
        self.full += other.full;
        self.slow += other.slow;
    }
}

/// How many messages had which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Typed.
    pub typed: usize,
    /// Accepted by the client.
    pub sent: usize,
    /// Of those, said to be received, in the end.
    pub received: usize,
    /// Of the others, said to be saved, in the end.
    pub saved: usize,
    /// Of the others, given up or never settled.
    pub unsent: usize,
    /// Shown once.
    pub shown_once: usize,
    /// Shown more than once, and should not have been.
    pub shown_twice: usize,
    /// Never shown though it should have been.
    pub lost: usize,
}

/// Runs one seed.
#[must_use]
pub fn run_seed(seed: u64, setting: &Setting) -> Trial {
    let plan = setting.plan(seed);
    let run = |engine: Engine| engine.run(&plan, &Planted::new(setting.bug));
    let outcome = run(setting.engine);
    let mut trial = judge(seed, &plan, &outcome);
    if trial.verdict == Verdict::Violated || seed.is_multiple_of(COMPARED_ONE_IN) {
        let other = run(setting.engine.other());
        if let Some(difference) = difference(&outcome, &other) {
            trial.verdict = Verdict::Violated;
            trial.violations.push(difference);
        }
    }
    trial
}

/// Of so many seeds that keep their promises one is run on the other engine too; all others are.
pub const COMPARED_ONE_IN: u64 = 100;

/// Where two engines' runs of the same plan differ, as a broken promise of the simulator's own.
#[must_use]
pub fn difference(one: &Outcome, other: &Outcome) -> Option<Violation> {
    let [a, b] = [one, other].map(|outcome| outcome.log.to_text(Detail::Everything));
    if a == b && one.end == other.end && one.server == other.server {
        return None;
    }
    let differs = |(_, (a, b)): &(usize, (&str, &str))| a != b;
    let line = a.lines().zip(b.lines()).enumerate().find(differs);
    let (number, (a, b)) =
        line.unwrap_or_else(|| (a.lines().count().min(b.lines().count()), ("", "")));
    let entry = one.log.entries.get(number).or_else(|| other.log.entries.get(number));
    let at = entry.map_or(one.end, |entry| entry.at);
    let what = format!("the engines disagree in line {} of the log: {a:?}, {b:?}", number + 1);
    Some(Violation { checker: ENGINES.name, at, what })
}

/// Judges a run.
#[must_use]
pub fn judge(seed: u64, plan: &Plan, outcome: &Outcome) -> Trial {
    let Outcome { log, end, .. } = outcome;
    let ledger = Ledger::new(log);
    let violations = check_with(plan, outcome, &ledger);
    let datagrams = Tally::of(log, plan.faults.rates_until);
    let counts = Counts {
        datagrams,
        messages: messages(&violations, &ledger),
        attempts: Attempts::of(log, &ledger, plan.faults.rates_until),
        mishaps: mishaps(plan, outcome),
        simulated: *end,
        reached: Reached::by(plan, outcome),
    };
    let exercised = counts.messages.received + counts.messages.saved > 0;
    let verdict = match (violations.is_empty(), exercised) {
        (false, _) => Verdict::Violated,
        (true, true) => Verdict::Held,
        (true, false) => Verdict::Inconclusive,
    };
    let trace = hash(seed, &[&log.to_text(Detail::Everything)]);
    Trial { seed, verdict, violations, counts, trace }
}

fn mishaps(plan: &Plan, outcome: &Outcome) -> Mishaps {
    let until = plan.faults.rates_until;
    let hosts = u32::try_from(plan.hosts.len()).unwrap_or(u32::MAX);
    let mut mishaps = Mishaps {
        cuts: plan.faults.cuts.len() as u64,
        host_time: until * hosts,
        link_time: until * (hosts * hosts.saturating_sub(1)),
        disks: Disks { operations: outcome.disk_operations, ..Disks::default() },
        ..Mishaps::default()
    };
    for entry in outcome.log.entries.iter().take_while(|entry| entry.at < until) {
        match entry.what {
            What::Crashed => mishaps.crashes += 1,
            What::Paused { .. } => mishaps.pauses += 1,
            What::ClockStepped { .. } => mishaps.clock_steps += 1,
            What::ClockDrifts { .. } => mishaps.drifts += 1,
            What::Disk(event) => mishaps.disks.count(event.fault),
            _ => {}
        }
    }
    // A host that loses its power is not killed once more.
    mishaps.crashes = mishaps.crashes.saturating_sub(mishaps.disks.power_cuts);
    mishaps
}

fn messages(violations: &[Violation], ledger: &Ledger) -> Messages {
    // Only the checkers know whom nothing is owed: who has lost a folder, or has another's.
    let broken = |checker| violations.iter().filter(|it| it.checker == checker).count();
    let twice = broken("shown once");
    let sent = ledger.count(|message| message.accepted.is_some());
    let received = ledger.count(|message| message.was_told(SenderTold::Received));
    let saved = |message: &crate::record::ledger::Message| {
        message.was_told(SenderTold::Saved) && !message.was_told(SenderTold::Received)
    };
    let saved = ledger.count(saved);
    Messages {
        typed: ledger.messages.len(),
        sent,
        received,
        saved,
        unsent: sent - received.min(sent) - saved.min(sent - received.min(sent)),
        shown_once: ledger.count(|message| !message.shown.is_empty()).saturating_sub(twice),
        shown_twice: twice,
        lost: broken("nothing lost"),
    }
}

impl Counts {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.simulated += other.simulated;
        self.reached.add(&other.reached);
        self.attempts.messages += other.attempts.messages;
        self.attempts.tries += other.attempts.tries;
        self.mishaps.add(&other.mishaps);
        let (a, b) = (&mut self.datagrams, &other.datagrams);
        for (sum, more) in [
            (&mut a.sent, b.sent),
            (&mut a.cut, b.cut),
            (&mut a.exposed, b.exposed),
            (&mut a.dropped, b.dropped),
            (&mut a.exposed_dropped, b.exposed_dropped),
            (&mut a.burst, b.burst),
            (&mut a.duplicated, b.duplicated),
            (&mut a.exposed_duplicated, b.exposed_duplicated),
            (&mut a.delayed, b.delayed),
            (&mut a.exposed_delayed, b.exposed_delayed),
            (&mut a.delay_ms, b.delay_ms),
            (&mut a.too_long, b.too_long),
            (&mut a.corrupted, b.corrupted),
            (&mut a.truncated, b.truncated),
        ] {
            *sum += more;
        }
        let (a, b) = (&mut self.messages, &other.messages);
        for (sum, more) in [
            (&mut a.typed, b.typed),
            (&mut a.sent, b.sent),
            (&mut a.received, b.received),
            (&mut a.saved, b.saved),
            (&mut a.unsent, b.unsent),
            (&mut a.shown_once, b.shown_once),
            (&mut a.shown_twice, b.shown_twice),
            (&mut a.lost, b.lost),
        ] {
            *sum += more;
        }
    }
}

impl Mishaps {
    fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.pauses += other.pauses;
        self.clock_steps += other.clock_steps;
        self.drifts += other.drifts;
        self.cuts += other.cuts;
        self.disks.add(&other.disks);
        self.host_time += other.host_time;
        self.link_time += other.link_time;
    }
}
