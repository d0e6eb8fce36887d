//! The simulator's command: parse, run, print, exit status.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{CommandFactory as _, Parser as _};
use sim::cli::{
    BUDGET, Cli, Command, EXIT_HELD, EXIT_USAGE, EXIT_VIOLATED, Explore, FAILURES, PLANTED,
    REGRESSIONS, Score,
};
use sim::engine::Engine;
use sim::faults::bugs::Bug;
use sim::faults::bugs::{self, Planted};
use sim::planning::plan::Plan;
use sim::planning::scenario::Scenario;
use sim::record::log::Detail;
use sim::report::{Part, Report, Smallest, bench, opening, replayed};
use sim::score::table::Scored;
use sim::search::bench::{HOSTS, Kind, series};
use sim::search::chaos::{Trial, Verdict};
use sim::search::fixture::{Kept, keep_whole};
use sim::search::replay::replay as run_again;
use sim::search::sweep::{Failure, Shard, Sweep, run_seeds};
use udpchat_node::standard;

/// `print!`, for an output that nobody may read any more: then there is nothing left to do.
macro_rules! put {
    ($($text:tt)*) => {
        if let Err(error) = write!(standard::stdout(), $($text)*) {
            give_up(&error);
        }
    };
}

#[path = "main/statements.rs"]
mod statements;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap takes no notice of whether it could write.
        Err(answer) if !answer.use_stderr() => {
            require_output();
            put!("{answer}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => wrong.exit(),
    };
    require_output();
    ExitCode::from(match &cli.command {
        None => explore(&cli.explore),
        Some(Command::Man) => man(),
        Some(Command::Replay { file, datagrams, plant }) => {
            let detail = if *datagrams { Detail::Everything } else { Detail::Story };
            replay(file, detail, plant.as_deref())
        }
        Some(Command::Shrink { what, into, explore }) => shrink(what, into.as_deref(), explore),
        Some(Command::Exhaust(asked)) => statements::exhaust(asked),
        Some(Command::Score(asked)) => score(asked),
        Some(Command::Merge { files, json }) => merge(files, *json),
        Some(Command::Bench { seeds }) => measure(*seeds),
        Some(Command::Check { files }) => {
            files.iter().map(|file| u8::from(read(file).is_none()) * EXIT_USAGE).max().unwrap_or(0)
        }
    })
}

/// A verdict that nobody can read is none.
fn require_output() {
    if let Err(error) = standard::output() {
        eprintln!("{error}");
        std::process::exit(EXIT_USAGE.into());
    }
}

/// A broken pipe needs no words.
fn give_up(error: &std::io::Error) -> ! {
    if error.kind() != ErrorKind::BrokenPipe {
        eprintln!("{error}");
    }
    std::process::exit(EXIT_USAGE.into());
}

/// Prints the man page.
fn man() -> u8 {
    let page = clap_mangen::Man::new(Cli::command());
    let mut text = Vec::new();
    page.render(&mut text).expect("a memory can be written to");
    put!("{}", String::from_utf8_lossy(&text));
    EXIT_HELD
}

fn score(asked: &Score) -> u8 {
    let jobs = asked.jobs.or_else(|| std::thread::available_parallelism().ok());
    let jobs = jobs.unwrap_or(NonZeroUsize::MIN);
    let begun = now();
    let canary = std::env::current_exe()
        .map_err(|error| error.to_string())
        .and_then(|program| sim::score::canary::run(&program));
    let result = if asked.full {
        let shown = std::io::stderr().is_terminal();
        let done = |profile: &str| {
            if shown {
                eprintln!("{profile}: done");
            }
        };
        Scored::Full(sim::score::full::run(jobs, asked.seeds, done))
    } else {
        let bugs = bugs::BUGS.len();
        let done = AtomicU64::new(0);
        let note = |_: &_| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if std::io::stderr().is_terminal() {
                eprint!("\r{done} of {bugs} bugs looked for ");
            }
        };
        let short = sim::score::short::run(jobs, note);
        if std::io::stderr().is_terminal() {
            eprint!("\r{:40}\r", "");
        }
        Scored::Short(short)
    };
    let score = sim::score::table::Score { result, canary, wall: begun.elapsed() };
    if asked.json {
        put!("{}\n", score.to_json());
    } else {
        put!("{}", score.to_text());
    }
    if score.passed() { EXIT_HELD } else { EXIT_VIOLATED }
}

fn explore(asked: &Explore) -> u8 {
    // Any number will do; printed first, so that the run can be had again.
    let first = asked.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 32);
    if !asked.json && asked.shard.is_none() {
        put!("{}", opening(asked, first, BUDGET));
    }
    if asked.log {
        let setting = asked.setting();
        let plan = setting.plan(first);
        put!(
            "\n{}",
            setting.engine.run(&plan, &Planted::new(setting.bug)).log.to_text(Detail::Everything)
        );
    }
    let begun = now();
    let shard = asked.shard.unwrap_or(Shard::WHOLE);
    let more = |seed| match asked.seeds {
        Some(seeds) => seed - first < seeds,
        // At least one, however slow the machine.
        None => seed == first || begun.elapsed() < BUDGET,
    };
    let progress = Progress::new(asked.seeds);
    let done = |trial: &Trial| progress.note(trial, begun.elapsed());
    let sweep = run_seeds((first, shard), asked.jobs(), &asked.setting(), more, done);
    progress.clear();
    let wall = begun.elapsed();
    let for_programs = asked.json || asked.shard.is_some();
    let smallest = if for_programs { shrink_failures(asked, &sweep) } else { Vec::new() };
    let whole = if for_programs { keep_others(asked, &sweep, &smallest) } else { BTreeMap::new() };
    let report = Report {
        asked,
        first,
        sweep: &sweep,
        smallest: &smallest,
        whole: &whole,
        wall: Some(wall),
    };
    if let (Some(shard), Some(seeds)) = (asked.shard, asked.seeds) {
        put!("{}\n", Part::new(asked.options(), (first, seeds), shard, &sweep).to_json());
    } else if asked.json {
        put!("{}\n", report.to_json());
    } else {
        put!("{}", report.to_text());
        let smallest = shrink_failures(asked, &sweep);
        for smallest in &smallest {
            put!("{}\n", smallest.to_text());
        }
        put!("{}", report.closing(&smallest));
    }
    report.exit_code()
}

/// Prints how fast both engines are, as it is measured.
fn measure(seeds: u64) -> u8 {
    put!("{}", bench::head());
    let small = [Kind::Swarm, Kind::LossAndDisks].map(|kind| (kind, HOSTS[0]));
    for (kind, hosts) in small.into_iter().chain(HOSTS.map(|hosts| (Kind::Loss, hosts))) {
        put!("{}", bench::rows(&series(kind, hosts, seeds)));
    }
    EXIT_HELD
}

/// Prints what parts of a sweep come to together.
fn merge(files: &[PathBuf], json: bool) -> u8 {
    let mut parts = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        match text.and_then(|text| Part::parse(&text).map_err(|bad| bad.to_string())) {
            Ok(part) => parts.push(part),
            Err(why) => {
                eprintln!("{}: {why}", file.display());
                return EXIT_USAGE;
            }
        }
    }
    let (asked, first, sweep) = match Part::join(&parts) {
        Ok(joined) => joined,
        Err(bad) => {
            eprintln!("{bad}");
            return EXIT_USAGE;
        }
    };
    let (asked, whole) = (&asked, &BTreeMap::new());
    let report = Report { asked, first, sweep: &sweep, smallest: &[], whole, wall: None };
    if json {
        put!("{}\n", report.to_json());
    } else {
        put!("{}{}", report.to_text(), report.closing(&[]));
    }
    report.exit_code()
}

/// Failures that are made small without being asked.
const SHRUNK_MAX: usize = 3;

/// Makes the first failures of different kinds small.
fn shrink_failures(asked: &Explore, sweep: &Sweep) -> Vec<Smallest> {
    let mut kinds = BTreeSet::new();
    let mut first_of_kind = |failure: &&Failure| {
        let violation = failure.violations.first();
        kinds.len() < SHRUNK_MAX && violation.is_some_and(|first| kinds.insert(first.checker))
    };
    let setting = asked.setting();
    let small = |failure: &Failure| {
        let plan = setting.plan(failure.seed);
        smallest(&plan, setting.bug, None)
    };
    sweep.failures.iter().filter(|failure| first_of_kind(failure)).filter_map(small).collect()
}

/// Keeps every other failure as it is, with every fault of its run.
fn keep_others(asked: &Explore, sweep: &Sweep, smallest: &[Smallest]) -> BTreeMap<u64, Kept> {
    let small = smallest.iter().filter(|smallest| smallest.kept.is_some());
    let known: BTreeSet<u64> = small.map(|smallest| smallest.seed).collect();
    let failed = sweep.failures.iter().map(|failure| failure.seed);
    let seeds: Vec<u64> = failed.filter(|seed| !known.contains(seed)).collect();
    let setting = asked.setting();
    let folder = Path::new(if asked.plant.is_some() { PLANTED } else { FAILURES });
    let keep = |seed: &u64| {
        let plan = setting.plan(*seed);
        keep_whole(&plan, setting.bug, folder)
    };
    let mut kept = BTreeMap::new();
    for (seed, result) in seeds.iter().zip(sim::search::work::each(asked.jobs(), &seeds, keep)) {
        match result {
            Ok(of_seed) => {
                kept.insert(*seed, of_seed);
            }
            Err(error) => eprintln!("cannot keep the run of seed {seed}: {error}"),
        }
    }
    kept
}

/// Makes a run small and keeps it; none if it breaks no promise.
fn smallest(plan: &Plan, bug: Option<Bug>, into: Option<&Path>) -> Option<Smallest> {
    let usual = if bug.is_some() { PLANTED } else { REGRESSIONS };
    let into = into.unwrap_or_else(|| Path::new(usual));
    let run = |plan: &Plan| Engine::default().run(plan, &Planted::new(bug));
    let note = Note::shown(&format!("making the run of seed {} small ...", plan.seed));
    let shrunk = sim::search::shrink::shrink(plan, &run)?;
    let kept = sim::search::fixture::keep(&shrunk, plan.seed, bug, into);
    drop(note);
    if let Err(error) = &kept {
        eprintln!("cannot write it to {}: {error}", into.display());
    }
    Some(Smallest { seed: plan.seed, shrunk, kept: kept.ok() })
}

fn shrink(what: &str, into: Option<&Path>, asked: &Explore) -> u8 {
    let setting = asked.setting();
    let (plan, bug) = if let Ok(seed) = what.parse() {
        (setting.plan(seed), setting.bug)
    } else {
        let Some(scenario) = read_to_run(Path::new(what), asked.plant.as_deref()) else {
            return EXIT_USAGE;
        };
        (scenario.plan(), scenario.bug)
    };
    let Some(smallest) = smallest(&plan, bug, into) else {
        put!("HELD  {what} breaks no promise; there is nothing to shrink.\n");
        return EXIT_HELD;
    };
    put!("{}\n{}", smallest.to_text(), smallest.closing());
    EXIT_VIOLATED
}

/// A passing word on the terminal for those who wait; none if stderr is no terminal.
struct Note(usize);

impl Note {
    fn shown(text: &str) -> Option<Self> {
        std::io::stderr().is_terminal().then(|| {
            eprint!("{text}");
            Self(text.chars().count())
        })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        eprint!("\r{:1$}\r", "", self.0);
    }
}

/// A line on the terminal that tells how far it is; none if stderr is no terminal.
struct Progress {
    shown: bool,
    seeds: Option<u64>,
    done: AtomicU64,
    failed: AtomicU64,
}

/// Seeds between two looks at the line.
const PROGRESS_EVERY: u64 = 10;

impl Progress {
    fn new(seeds: Option<u64>) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { shown, seeds, done: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    fn note(&self, trial: &Trial, elapsed: Duration) {
        let failed = u64::from(trial.verdict == Verdict::Violated);
        let failed = self.failed.fetch_add(failed, Ordering::Relaxed) + failed;
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.shown || !done.is_multiple_of(PROGRESS_EVERY) {
            return;
        }
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
        let left = match self.seeds {
            Some(seeds) => seeds.saturating_sub(done) as f64 / rate,
            None => BUDGET.saturating_sub(elapsed).as_secs_f64(),
        };
        eprint!("\r{done} seeds, {rate:.0} a second, {failed} failed, {left:.0} s to go   ");
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r{:60}\r", "");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long the simulator itself takes")]
fn now() -> Instant {
    Instant::now()
}

fn replay(file: &Path, detail: Detail, plant: Option<&str>) -> u8 {
    let Some(scenario) = read_to_run(file, plant) else { return EXIT_USAGE };
    let again = run_again(&scenario);
    put!("{}", replayed(file, &scenario, &again, detail));
    if again.violations.is_empty() { EXIT_HELD } else { EXIT_VIOLATED }
}

/// The file's scenario with this bug instead of its own, if one is named.
///
/// A file of a planted bug that names none would hold, and accuse nobody: it is refused.
fn read_to_run(file: &Path, plant: Option<&str>) -> Option<Scenario> {
    let mut scenario = read(file)?;
    match plant {
        // Of no bug, if it is the word for none.
        Some(name) => scenario.bug = bugs::named(name),
        None if scenario.bug.is_none() && is_planted(file) => {
            eprintln!(
                "{}: names no `bug`: an older sim has written it; say which with --plant BUG, or \
                 run its seed again",
                file.display()
            );
            return None;
        }
        None => {}
    }
    Some(scenario)
}

/// Whether the file is where runs of planted bugs are put.
fn is_planted(file: &Path) -> bool {
    let folder = file.parent().and_then(Path::file_name);
    folder.is_some() && folder == Path::new(PLANTED).file_name()
}

/// The file's scenario; what is wrong with it goes to stderr, in a line.
fn read(file: &Path) -> Option<Scenario> {
    let name = file.display();
    match std::fs::read_to_string(file) {
        Err(error) => match error.kind() {
            ErrorKind::NotFound => eprintln!("{name}: there is no such file"),
            ErrorKind::IsADirectory => eprintln!("{name}: is a folder; name a file in it"),
            ErrorKind::InvalidData => eprintln!("{name}: is no text, so it is no scenario"),
            _ => eprintln!("{name}: cannot be read: {error}"),
        },
        Ok(_) if file.extension().is_some_and(|end| end == "snap") => {
            let scenario = file.with_extension("json");
            eprintln!("{name}: is a snapshot; its scenario is {}", scenario.display());
        }
        Ok(text) => match Scenario::parse(&text) {
            Err(bad) => eprintln!("{name}:{bad}"),
            Ok(scenario) => return Some(scenario),
        },
    }
    None
}
