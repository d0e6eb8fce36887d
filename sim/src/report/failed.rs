//! What failed: which promises, in which seeds, and the smallest runs that do so.

use std::path::Path;

use super::Lines;
use crate::record::check::{CHECKERS, ENGINES, Violation, named};
use crate::search::fixture::Kept;
use crate::search::shrink::Shrunk;
use crate::search::sweep::Failure;

/// Seeds that are named for a promise; the rest is counted.
const SEEDS_SHOWN: usize = 3;

/// The smallest run that fails as a seed's does.
#[derive(Debug)]
pub struct Smallest {
    /// Whose.
    pub seed: u64,
    /// How it was found.
    pub shrunk: Shrunk,
    /// Where it is kept, if that could be done.
    pub kept: Option<Kept>,
}

impl Smallest {
    /// How many faults are left.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.kept.as_ref().map_or(self.shrunk.faults, |kept| kept.faults)
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = Lines::default();
        let Shrunk { violation, faults_before, runs, .. } = &self.shrunk;
        let (seed, faults) = (self.seed, self.faults());
        let is = if faults == 1 { "is" } else { "are" };
        let found =
            format!("Seed {seed} made small: {faults} of {faults_before} faults {is} left, after ");
        match &self.kept {
            None => out.words(0, &format!("{found}{runs} runs:")),
            Some(Kept { steps, .. }) => {
                out.words(0, &format!("{found}{runs} runs; each of its {steps} steps is needed:"));
            }
        }
        let violation = self.kept.as_ref().map_or(violation, |kept| &kept.violation);
        out.words(4, &format!("{}: {}", violation.checker, violation.what));
        if let Some(Kept { path, .. }) = &self.kept {
            out.words(4, &format!("kept as {}, with its snapshot", path.display()));
        }
        out.to_string()
    }

    /// The end of it, when it is all that was asked for.
    #[must_use]
    pub fn closing(&self) -> String {
        let mut out = Lines::default();
        let violation = self.kept.as_ref().map_or(&self.shrunk.violation, |kept| &kept.violation);
        out.hanging(
            "VIOLATED  ",
            &format!("{}: {}", violation.checker, promise(violation.checker)),
        );
        if let Some(Kept { path, .. }) = &self.kept {
            out.next("replay", &replayer(path));
        }
        out.to_string()
    }
}

/// The command that runs a file.
#[must_use]
pub fn replayer(file: &Path) -> String {
    format!("cargo run --bin sim -- replay {}", file.display())
}

/// The promise of this checker, as a sentence.
#[must_use]
pub fn promise(checker: &str) -> &'static str {
    named(checker).map_or("", |known| known.promise)
}

/// Each promise that was broken: in how many seeds, and how first.
pub(super) fn write(out: &mut Lines, failures: &[Failure]) {
    for checker in CHECKERS.iter().chain([&ENGINES]) {
        let broken = |violation: &&Violation| violation.checker == checker.name;
        let first_of = |failure: &'_ Failure| {
            failure.violations.iter().find(broken).cloned().map(|v| (failure.seed, v))
        };
        let all: Vec<(u64, Violation)> = failures.iter().filter_map(first_of).collect();
        let Some((seed, first)) = all.first() else { continue };
        let named: Vec<String> =
            all.iter().take(SEEDS_SHOWN).map(|(seed, _)| seed.to_string()).collect();
        let (count, named) = (all.len(), named.join(", "));
        let more = if count > SEEDS_SHOWN { ", ..." } else { "" };
        let seeds = if count == 1 { "seed" } else { "seeds" };
        let (name, at) = (checker.name, first.at.as_secs_f64());
        out.gap();
        out.words(
            0,
            &format!(
                "{name:?} is broken in {count} {seeds} ({named}{more}), in seed {seed} first at \
                 {at:.3} s:"
            ),
        );
        out.words(4, &first.what);
        out.hanging("    promised: ", checker.promise);
    }
}
