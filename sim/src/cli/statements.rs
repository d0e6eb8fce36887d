//! What can be asked about one scenario or one seed that fails: statements with a bound.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::Explore;
use crate::faults::fate::Rates;
use crate::planning::workload::Profile;
use crate::search::exhaust::Scope;

/// Faults in a schedule beyond which no scenario is explored in a lifetime.
const FAULTS_MAX: i64 = 9;

/// Which schedules are run.
#[derive(Clone, Debug, Args)]
pub struct Exhaust {
    /// The scenario, docs/scenario.md.
    pub file: PathBuf,
    /// So many faults at most; each more takes some fifty times as long.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(0..=FAULTS_MAX))]
    pub faults: u32,
    /// Kill programs as well, after each time at which they do something, and start them again.
    #[arg(long)]
    pub kills: bool,
    /// Let hosts lose their power as well, at each sync of their disks.
    #[arg(long)]
    pub power_cuts: bool,
    /// Let keep-alives and their answers meet faults as well.
    #[arg(long)]
    pub keep_alives: bool,
    /// Where to write the schedule that fails; without it fixtures/regressions, or for a planted
    /// bug target/planted.
    #[arg(long)]
    pub into: Option<PathBuf>,
    /// Plant this bug, whatever the file says; `none`: run it without any.
    #[arg(long, value_name = "BUG", value_parser = super::bug_names_and_none())]
    pub plant: Option<String>,
    /// Schedules that are run at the same time; without it, one for each processor.
    #[arg(long)]
    pub jobs: Option<NonZeroUsize>,
    /// One JSON object on one line instead of the certificate.
    #[arg(long)]
    pub json: bool,
}

impl Exhaust {
    /// What is explored.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        let Self { faults, kills, power_cuts, keep_alives, .. } = *self;
        Scope { faults, kills, power_cuts, keep_alives }
    }
}

/// Whose smallest rates are looked for.
#[derive(Clone, Debug, Args)]
pub struct Critical {
    /// A seed that fails.
    #[arg(value_name = "SEED")]
    pub what: u64,
    /// What it was run with.
    #[command(flatten)]
    pub explore: Box<Explore>,
}

/// Whose chances are looked at.
#[derive(Clone, Debug, Args)]
pub struct Likelihood {
    /// A seed, or a scenario's file, that fails.
    #[arg(value_name = "SEED|FILE")]
    pub what: String,
    /// What the seed was run with; what may happen to datagrams of a file's neighbours.
    #[command(flatten)]
    pub explore: Box<Explore>,
}

/// How a fix is confirmed.
#[derive(Clone, Debug, Args)]
pub struct Confirm {
    /// The scenario that failed, docs/scenario.md.
    pub file: PathBuf,
    /// How often its neighbours failed before the fix, 0 to 1, if that was measured then; without
    /// it they are run with the bug that the file names.
    #[arg(long, value_name = "SHARE", value_parser = super::rate)]
    pub was: Option<f64>,
    /// What may happen to datagrams of its neighbours, and how many of those there are: 1,000
    /// without `--seeds`.
    #[command(flatten)]
    pub explore: Box<Explore>,
}

/// Neighbours of a file without `--seeds`.
const CONFIRM_SEEDS: u64 = 1_000;

impl Confirm {
    /// How many neighbours are run.
    #[must_use]
    pub fn seeds(&self) -> u64 {
        self.explore.seeds.unwrap_or(CONFIRM_SEEDS)
    }
}

impl Explore {
    /// What may happen to datagrams of a file's neighbours: a moderate amount of everything, unless
    /// something is named.
    ///
    /// # Errors
    ///
    /// Something is named that happens to no datagram: a file says itself what is done to hosts.
    pub fn rates_beside_a_file(&self) -> Result<Rates, String> {
        let of_hosts = [
            ("--cut-rate", self.cut_rate.is_some()),
            ("--crash-rate", self.crash_rate.is_some()),
            ("--pause-rate", self.pause_rate.is_some()),
            ("--clock-rate", self.clock_rate.is_some()),
            ("--mtu", self.mtu.is_some()),
            ("--disk", self.disk.is_some()),
            ("--disk-faults", self.disk_faults.is_some()),
            ("--adversary", !self.adversary.is_empty()),
            ("--swarm", self.swarm),
        ];
        if let Some((option, _)) = of_hosts.iter().find(|(_, is_there)| *is_there) {
            return Err(format!(
                "{option} is for seeds: a file says itself what is done to its hosts; beside it \
                 there are rates of datagrams, such as --drop-rate"
            ));
        }
        if self.names_no_fault() {
            return Ok(Profile::ALL.rates);
        }
        Ok(self.setting().profile.rates)
    }
}
