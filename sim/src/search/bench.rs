//! How fast both engines are, on the same plans, in the same process: ratios mean something,
//! seconds are this machine's.

use std::time::Duration;

use crate::engine::Engine;
use crate::faults::bugs::Planted;
use crate::faults::fate::Rates;
use crate::planning::adversary::Classes;
use crate::planning::workload::{Profile, Size};
use crate::search::chaos::{Setting, judge};
use crate::search::work::Stopwatch;

/// Numbers of hosts that are measured, the server among them.
pub const HOSTS: [u32; 5] = [5, 20, 50, 100, 500];

/// turmoil takes minutes for a seed with more.
const TURMOIL_HOSTS_MAX: u32 = 100;

/// What each client types: as much whatever the number of clients, so that what a datagram costs
/// can be compared.
const MESSAGES_A_CLIENT: u32 = 10;

const DURATION: Duration = Duration::from_secs(20);

/// What goes wrong in a measured series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One datagram in ten is lost.
    Loss,
    /// So it is, and disks fail.
    LossAndDisks,
    /// What `sim` does without options.
    Swarm,
}

/// What an engine needed for a series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Seeds run.
    pub seeds: u64,
    /// The time that passed in them.
    pub simulated: Duration,
    /// Datagrams sent in them.
    pub datagrams: u64,
    /// Processor time for the runs.
    pub running: Duration,
    /// Processor time for the checkers, the hash of the log included.
    pub checking: Duration,
}

/// One series on both engines.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// What goes wrong.
    pub kind: Kind,
    /// How many hosts.
    pub hosts: u32,
    /// On the engine that explores.
    pub direct: Cost,
    /// On turmoil, unless that would take too long.
    pub turmoil: Option<Cost>,
}

impl Cost {
    /// So much of something for each second of processor time, checkers included.
    #[must_use]
    pub fn per_second(&self, count: f64) -> f64 {
        count / (self.running + self.checking).as_secs_f64().max(1e-9)
    }

    /// The checkers' share of the processor time.
    #[must_use]
    pub fn checkers(&self) -> f64 {
        self.checking.as_secs_f64() / (self.running + self.checking).as_secs_f64().max(1e-9)
    }
}

impl Series {
    /// How many times as many seeds a second as turmoil, with the checkers and without.
    #[must_use]
    pub fn ratio(&self) -> Option<(f64, f64)> {
        let turmoil = self.turmoil?;
        let a_seed = |cost: Duration, of: Cost| cost.as_secs_f64() / of.seeds.max(1) as f64;
        let whole = |of: Cost| a_seed(of.running + of.checking, of);
        let running = |of: Cost| a_seed(of.running, of);
        Some((whole(turmoil) / whole(self.direct), running(turmoil) / running(self.direct)))
    }
}

/// Runs so many seeds of five hosts, and the fewer the more hosts there are.
#[must_use]
pub fn series(kind: Kind, hosts: u32, seeds: u64) -> Series {
    let setting = setting(kind, hosts);
    let smallest = u64::from(HOSTS[0]);
    let seeds = (seeds * smallest / u64::from(hosts)).max(1);
    let cost = |engine: Engine| {
        (1..=seeds).fold(Cost::default(), |cost, seed| add(cost, engine, &setting, seed))
    };
    let turmoil = (hosts <= TURMOIL_HOSTS_MAX).then(|| cost(Engine::Turmoil));
    Series { kind, hosts, direct: cost(Engine::Direct), turmoil }
}

fn setting(kind: Kind, hosts: u32) -> Setting {
    let clients = hosts - 1;
    let size = Size { clients, messages: clients * MESSAGES_A_CLIENT, duration: DURATION };
    let loss = Profile { rates: Rates { drop: 0.1, ..Rates::default() }, ..Profile::default() };
    let (profile, swarm) = match kind {
        Kind::Loss => (loss, false),
        Kind::LossAndDisks => (Profile { disk_faults: Profile::ALL.disk_faults, ..loss }, false),
        Kind::Swarm => (Profile::MOST, true),
    };
    let (adversary, engine) = (Classes::default(), Engine::default());
    Setting { size, profile, swarm, adversary, bug: None, engine }
}

fn add(mut cost: Cost, engine: Engine, setting: &Setting, seed: u64) -> Cost {
    let plan = setting.plan(seed);
    let watch = Stopwatch::start();
    let outcome = engine.run(&plan, &Planted::default());
    cost.running += watch.elapsed();
    let watch = Stopwatch::start();
    let trial = judge(seed, &plan, &outcome);
    cost.checking += watch.elapsed();
    cost.seeds += 1;
    cost.simulated += trial.counts.simulated;
    cost.datagrams += trial.counts.datagrams.sent;
    cost
}
