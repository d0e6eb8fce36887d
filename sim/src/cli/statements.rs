//! What can be asked about one scenario or one seed that fails: statements with a bound.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

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
        let Self { faults, kills, keep_alives, .. } = *self;
        Scope { faults, kills, keep_alives }
    }
}
