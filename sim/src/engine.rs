//! Runs a plan: the network that its hosts share, the hosts, and two engines that let them live.
//!
//! Knows nothing of where plans come from.

mod direct;
mod network;
mod on_turmoil;
mod runtime;
mod world;

use std::fmt;
use std::time::Duration;

use crate::faults::bugs::Planted;
use crate::planning::plan::{LATENCY, Plan};
use crate::record::outcome::Outcome;

/// What lets the hosts of a run live. Both give the same run of the same plan, byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// A list of when each host is due: fast, for exploring.
    #[default]
    Direct,
    /// turmoil, which others have tried: the reference.
    Turmoil,
}

impl Engine {
    /// The other one, to compare with.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Direct => Self::Turmoil,
            Self::Turmoil => Self::Direct,
        }
    }

    /// Runs the plan with these bugs in every machine.
    #[must_use]
    pub fn run(self, plan: &Plan, bugs: &Planted) -> Outcome {
        match self {
            Self::Direct => direct::run(plan, bugs),
            Self::Turmoil => on_turmoil::run(plan, LATENCY, bugs),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Turmoil => "turmoil",
        })
    }
}

/// Runs the plan on turmoil in ticks of this length, at most [`LATENCY`]; usual are ticks of that.
///
/// # Panics
///
/// If turmoil does: a bug of the simulator. A program's panic is part of the outcome.
#[must_use]
pub fn run_in_ticks(plan: &Plan, tick: Duration, bugs: &Planted) -> Outcome {
    on_turmoil::run(plan, tick, bugs)
}

/// Runs the plan with correct machines on the engine that explores.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    Engine::default().run(plan, &Planted::default())
}
