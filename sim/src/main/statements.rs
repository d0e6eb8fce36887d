//! The commands that end in a statement with a bound.

use std::io::{IsTerminal, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::cli::{
    Confirm, Critical, EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_USAGE, EXIT_VIOLATED, Exhaust, Explore,
    Likelihood,
};
use sim::report::Exhausted;
use sim::search::confirm::{Confirmed, Verdict};
use sim::search::exhaust::{self as search, Explored};
use sim::search::neighbours::Centre;
use sim::search::{critical as rates, likelihood as chances};
use udpchat_node::standard;

use super::{give_up, read_to_run, smallest};

pub(super) fn exhaust(asked: &Exhaust) -> u8 {
    let Some(scenario) = read_to_run(&asked.file, asked.plant.as_deref()) else {
        return EXIT_USAGE;
    };
    let (plan, scope) = (search::base(&scenario), asked.scope());
    let count = Count::of("schedules");
    let explored =
        search::exhaust(&plan, scenario.bug, scope, threads(asked.jobs), || count.one_more());
    drop(count);
    let smallest = explored
        .failing
        .as_ref()
        .and_then(|failing| smallest(&failing.plan, scenario.bug, asked.into.as_deref()));
    let kept = smallest.as_ref().and_then(|smallest| smallest.kept.as_ref());
    let (file, scenario) = (&*asked.file, &scenario);
    let told = Exhausted { file, scenario, scope, explored: &explored, kept };
    put!("{}", if asked.json { told.to_json() + "\n" } else { told.to_text() });
    let Explored { failing, .. } = explored;
    if failing.is_none() { EXIT_HELD } else { EXIT_VIOLATED }
}

pub(super) fn critical(asked: &Critical) -> u8 {
    let setting = asked.explore.setting();
    let plan = setting.plan(asked.what);
    let Some(critical) = rates::Critical::of(&plan, setting.bug) else {
        return breaks_none(&format!("seed {}", asked.what), "its rates are not critical");
    };
    let json = || critical.to_json(&plan) + "\n";
    put!("{}", if asked.explore.json { json() } else { critical.to_text(&plan) });
    EXIT_VIOLATED
}

pub(super) fn likelihood(asked: &Likelihood) -> u8 {
    let Likelihood { what, explore } = asked;
    let centre = if let Ok(seed) = what.parse() {
        let setting = explore.setting();
        Some(Centre::of_seed(setting.plan(seed), setting.bug))
    } else {
        beside(Path::new(what), explore)
    };
    let Some(centre) = centre else { return EXIT_USAGE };
    let count = Count::of("runs");
    let likelihood = chances::Likelihood::of(&centre, explore.jobs(), || count.one_more());
    drop(count);
    let Some(likelihood) = likelihood else {
        return breaks_none(what, "it is never lost");
    };
    let json = || likelihood.to_json() + "\n";
    put!("{}", if explore.json { json() } else { likelihood.to_text() });
    EXIT_VIOLATED
}

pub(super) fn confirm(asked: &Confirm) -> u8 {
    let Some(centre) = beside(&asked.file, &asked.explore) else { return EXIT_USAGE };
    let (seeds, jobs) = (asked.seeds(), asked.explore.jobs());
    let count = Count::of("runs");
    let confirmed = Confirmed::of(&centre, asked.was, seeds, jobs, || count.one_more());
    drop(count);
    let Some(confirmed) = confirmed else {
        eprintln!(
            "{}: names no bug to compare with; say how often it failed with --was SHARE, or which \
             bug it was with --plant BUG",
            asked.file.display()
        );
        return EXIT_USAGE;
    };
    let json = || confirmed.to_json() + "\n";
    put!("{}", if asked.explore.json { json() } else { confirmed.to_text(centre.bug) });
    match confirmed.verdict() {
        Verdict::Fixed => EXIT_HELD,
        Verdict::Fails => EXIT_VIOLATED,
        Verdict::TooFew => EXIT_INCONCLUSIVE,
    }
}

/// A file's run, whose neighbours meet what is asked; what is wrong goes to stderr, in a line.
fn beside(file: &Path, asked: &Explore) -> Option<Centre> {
    let rates = asked.rates_beside_a_file().map_err(|problem| eprintln!("{problem}")).ok()?;
    let scenario = read_to_run(file, asked.plant.as_deref())?;
    Some(Centre::of_scenario(&scenario, rates))
}

fn breaks_none(what: &str, so: &str) -> u8 {
    put!("HELD  {what} breaks no promise: {so}.\n");
    EXIT_HELD
}

fn threads(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    let jobs = asked.or_else(|| std::thread::available_parallelism().ok());
    jobs.unwrap_or(NonZeroUsize::MIN)
}

/// A line on the terminal that counts; none if stderr is no terminal.
struct Count {
    shown: bool,
    what: &'static str,
    done: AtomicU64,
}

/// Runs between two looks at the line.
const COUNT_EVERY: u64 = 100;

impl Count {
    fn of(what: &'static str) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { shown, what, done: AtomicU64::new(0) }
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.shown && done.is_multiple_of(COUNT_EVERY) {
            eprint!("\r{done} {} ", self.what);
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r{:40}\r", "");
        }
    }
}
