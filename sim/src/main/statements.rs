//! The commands that end in a statement with a bound.

use std::io::{IsTerminal, Write as _};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::cli::{EXIT_HELD, EXIT_USAGE, EXIT_VIOLATED, Exhaust};
use sim::report::Exhausted;
use sim::search::exhaust::{self as search, Explored};
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
        Self { shown: std::io::stderr().is_terminal(), what, done: AtomicU64::new(0) }
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
