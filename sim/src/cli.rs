//! The command line: what can be asked, and the command that asks for one seed again.

mod statements;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::Engine;
use crate::faults::bugs;
use crate::faults::fate::Rates;
use crate::planning::adversary::{Class, Classes};
use crate::planning::workload::{Profile, Size};
use crate::search::chaos::Setting;
use crate::search::sweep::Shard;
pub use statements::Exhaust;

/// Every promise was kept.
pub const EXIT_HELD: u8 = 0;
/// A promise was broken.
pub const EXIT_VIOLATED: u8 = 1;
/// Wrong use, or a file that is no scenario.
pub const EXIT_USAGE: u8 = 2;
/// Nothing was put to the test.
pub const EXIT_INCONCLUSIVE: u8 = 3;

/// Where runs that failed are kept as tests.
pub const REGRESSIONS: &str = "fixtures/regressions";

/// Where runs that failed because of a planted bug are put.
pub const PLANTED: &str = "target/planted";

/// Where runs that failed as others before them are kept as they are: not worth a test each.
pub const FAILURES: &str = "target/failures";

/// Without `--seeds`, seeds are run for so long.
pub const BUDGET: Duration = Duration::from_secs(10);

/// Seeds for each bug and profile unless told otherwise.
pub const SCORE_SEEDS: u64 = 30;

/// Seeds of five hosts in a series of `sim bench`: some two minutes in all.
pub const BENCH_SEEDS: u64 = 40;

/// Tries to break udpchat in a simulated network, and tells whether it kept its promises.
///
/// Runs a random chat while things go wrong, lets everything heal, and checks that each message
/// was shown once, in order, unaltered, and that none was lost. A seed decides everything: the
/// same seed and options give the same run on every machine.
#[derive(Clone, Debug, Parser)]
#[command(name = "sim", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// Something else than exploring seeds.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to explore.
    #[command(flatten)]
    pub explore: Explore,
}

const AFTER_HELP: &str = "\
Examples:
  sim --drop-rate 0.3                    a chat that loses 30 % of all datagrams
  sim                                    anything may go wrong: other faults in every seed
  sim --faults all --seed 7 --seeds 1    everything goes wrong at once, one seed
  sim replay fixtures/scenarios/lost_ack_is_resent_and_shown_once.json
  sim exhaust FILE --faults 2            every schedule of at most two faults over a scenario

Exit status: 0 every promise was kept, 1 one was broken, 2 wrong use or bad file,
3 inconclusive (no message got anywhere).";

/// Something else than exploring seeds.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the man page: man -l shows it.
    Man,
    /// Run a scenario, print its log, and mark in it every promise that is broken.
    Replay {
        /// The scenario, docs/scenario.md.
        file: PathBuf,
        /// Print every datagram.
        #[arg(long)]
        datagrams: bool,
        /// Plant this bug, whatever the file says; `none`: run it without any.
        #[arg(long, value_name = "BUG", value_parser = bug_names_and_none())]
        plant: Option<String>,
    },
    /// Find the smallest run that fails as a seed or a scenario does, and write it down.
    Shrink {
        /// A seed, or a scenario's file.
        what: String,
        /// Where to write it; without it fixtures/regressions, or for a planted bug
        /// target/planted.
        #[arg(long)]
        into: Option<PathBuf>,
        /// What the seed was run with.
        #[command(flatten)]
        explore: Box<Explore>,
    },
    /// Run every schedule of at most so many faults over a scenario: a certificate, or the smallest
    /// schedule that fails, written down as shrink does.
    Exhaust(Exhaust),
    /// Test the simulator: is every planted bug caught, and nothing else reported?
    Score(Score),
    /// Put the parts of a sweep together that several processes ran, each with --shard: the report
    /// is the one that a single process would have given.
    Merge {
        /// What each of them printed.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// One JSON object on one line instead of the report.
        #[arg(long)]
        json: bool,
    },
    /// Measure both engines on the same seeds: per second of processor time, and as ratios.
    Bench {
        /// Seeds of five hosts for each series; the fewer the more hosts.
        #[arg(long, default_value_t = BENCH_SEEDS)]
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
    },
    /// Say whether files are scenarios, and if not, where and why.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// How the simulator is tested.
#[derive(Clone, Debug, Args)]
pub struct Score {
    /// All bugs under all profiles, counted; without it each bug where it shows best, until found.
    #[arg(long)]
    pub full: bool,
    /// Seeds for each bug and profile.
    #[arg(long, requires = "full", default_value_t = SCORE_SEEDS)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Seeds that are run at the same time; without it, one for each processor.
    #[arg(long)]
    pub jobs: Option<NonZeroUsize>,
    /// One JSON object on one line instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// What to explore.
#[derive(Clone, Debug, Args)]
pub struct Explore {
    /// Share of datagrams that are lost, 0 to 1.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub drop_rate: Option<f64>,
    /// Share of datagrams that arrive twice.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub dup_rate: Option<f64>,
    /// Share of datagrams in which a bit is flipped.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub corrupt_rate: Option<f64>,
    /// Share of datagrams of which only the beginning arrives.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub truncate_rate: Option<f64>,
    /// What each datagram takes longer, anything between the two, such as 0ms..200ms.
    #[arg(long, value_name = "MIN..MAX", value_parser = span)]
    pub delay: Option<Span>,
    /// Share of time in which a direction of a link loses nearly everything, 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = rate)]
    pub burst_rate: Option<f64>,
    /// Cuts a minute, for each direction of each link.
    #[arg(long, value_name = "PER MINUTE", value_parser = per_minute)]
    pub cut_rate: Option<f64>,
    /// Crashes a minute, for each host.
    #[arg(long, value_name = "PER MINUTE", value_parser = per_minute)]
    pub crash_rate: Option<f64>,
    /// Times a minute that a program stands still, for each host.
    #[arg(long, value_name = "PER MINUTE", value_parser = per_minute)]
    pub pause_rate: Option<f64>,
    /// Times a minute that a calendar clock is set wrong, and that clocks begin to go wrong, for
    /// each host.
    #[arg(long, value_name = "PER MINUTE", value_parser = per_minute)]
    pub clock_rate: Option<f64>,
    /// Datagrams of more bytes than this are lost; with --swarm, than this or anything above.
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<usize>,
    /// The longest time that a commit to a disk takes.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub disk: Option<Duration>,
    /// Share of disk operations at which something goes wrong: the power fails, the operation
    /// fails, is slow, or the disk is full from then on.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub disk_faults: Option<f64>,
    /// A moderate amount of every fault.
    #[arg(long, value_name = "WHICH")]
    pub faults: Option<Faults>,
    /// In each seed only some of the faults, up to as much as was given.
    #[arg(long)]
    pub swarm: bool,
    /// Who attacks, and what they can see and do: off-path sees nothing and lies about where it
    /// is, insider is a user as well, on-path sees and alters what passes, server is the server
    /// itself, which lies. Of several, each seed has one.
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = class_names())]
    pub adversary: Vec<String>,
    /// A bug that is planted, to see whether it is caught.
    #[arg(long, value_name = "BUG", value_parser = bug_names())]
    pub plant: Option<String>,
    /// Clients.
    #[arg(long, default_value_t = DEFAULT_CLIENTS)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=CLIENTS_MAX))]
    pub clients: u32,
    /// Messages that they type while things go wrong; each types one more after healing.
    #[arg(long, default_value_t = DEFAULT_MESSAGES)]
    pub messages: u32,
    /// How long they talk while things go wrong.
    #[arg(long, default_value = DEFAULT_DURATION, value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// The first seed; a new one each time if not given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many seeds; without it, as many as can be run in 10 seconds.
    #[arg(long)]
    pub seeds: Option<u64>,
    /// Seeds that are run at the same time; without it, one for each processor.
    #[arg(long)]
    pub jobs: Option<NonZeroUsize>,
    /// What seeds are run on: the engine that explores, or turmoil, the reference. Both give the
    /// same runs; failures and one in a hundred of the others are run on the other engine too.
    #[arg(long, value_name = "ENGINE", default_value_t)]
    pub engine: Engine,
    /// Run only every N-th of the seeds, as the I-th of N processes, and print what `sim merge`
    /// puts together.
    #[arg(long, value_name = "I/N", value_parser = shard, requires_all = ["seed", "seeds"])]
    #[arg(conflicts_with_all = ["json", "log", "verbose"])]
    pub shard: Option<Shard>,
    /// Print the first seed's log, with every datagram.
    #[arg(long, conflicts_with = "json")]
    pub log: bool,
    /// Say what was checked, and what stands behind the numbers.
    #[arg(long, conflicts_with = "json")]
    pub verbose: bool,
    /// One JSON object on one line instead of the report.
    #[arg(long)]
    pub json: bool,
}

/// As many as a run of a few minutes can have.
const CLIENTS_MAX: i64 = 1_000;

const DEFAULT_CLIENTS: u32 = 4;
const DEFAULT_MESSAGES: u32 = 40;
const DEFAULT_DURATION: &str = "20s";

/// Sets of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Faults {
    /// Every kind.
    All,
}

/// From one duration to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration, pub Duration);

fn bug_names() -> PossibleValuesParser {
    PossibleValuesParser::new(bugs::BUGS.iter().map(|(_, name)| *name))
}

fn class_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Class::ALL.map(Class::name))
}

/// What stands for no bug.
const NO_BUG: &str = "none";

fn bug_names_and_none() -> PossibleValuesParser {
    let names = bugs::BUGS.iter().map(|(_, name)| *name);
    PossibleValuesParser::new(names.chain([NO_BUG]))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&rate) {
        return Ok(rate);
    }
    Err(format!("expected a share from 0 to 1; 30 % is 0.3, not {text}"))
}

fn shard(text: &str) -> Result<Shard, String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let parts = text.split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?)));
    match parts {
        Some((index, of)) if 1 <= index && index <= of => Ok(Shard { index: index - 1, of }),
        _ => Err("expected such as 2/8, the second of eight".to_owned()),
    }
}

fn per_minute(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=600.0).contains(&rate) { Ok(rate) } else { Err("expected 0 to 600".to_owned()) }
}

fn span(text: &str) -> Result<Span, String> {
    let wrong = || "expected two durations such as 0ms..200ms, the shorter first".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let read = |text| humantime::parse_duration(text).map_err(|_| wrong());
    let (from, to) = (read(from)?, read(to)?);
    if from <= to { Ok(Span(from, to)) } else { Err(wrong()) }
}

impl Explore {
    /// Threads.
    #[must_use]
    pub fn jobs(&self) -> NonZeroUsize {
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok());
        jobs.unwrap_or(NonZeroUsize::MIN)
    }

    /// What every seed is run with.
    #[must_use]
    pub fn setting(&self) -> Setting {
        let size = Size { clients: self.clients, messages: self.messages, duration: self.duration };
        let base = match self.faults {
            Some(Faults::All) => Profile::ALL,
            None if self.names_no_fault() => Profile::MOST,
            None => Profile::default(),
        };
        let profile = Profile {
            rates: Rates {
                drop: self.drop_rate.unwrap_or(base.rates.drop),
                duplicate: self.dup_rate.unwrap_or(base.rates.duplicate),
                corrupt: self.corrupt_rate.unwrap_or(base.rates.corrupt),
                truncate: self.truncate_rate.unwrap_or(base.rates.truncate),
                delay: self.delay.map(|Span(from, to)| (from, to)).or(base.rates.delay),
                burst: self.burst_rate.unwrap_or(base.rates.burst),
            },
            cuts: self.cut_rate.unwrap_or(base.cuts),
            crashes: self.crash_rate.unwrap_or(base.crashes),
            pauses: self.pause_rate.unwrap_or(base.pauses),
            clock_steps: self.clock_rate.unwrap_or(base.clock_steps),
            disk: self.disk.unwrap_or(base.disk),
            disk_faults: self.disk_faults.unwrap_or(base.disk_faults),
            mtu: self.mtu.or(base.mtu),
        };
        let bug = self.plant.as_deref().and_then(bugs::named);
        let (swarm, adversary) = (self.swarm || self.names_no_fault(), self.classes());
        Setting { size, profile, swarm, adversary, bug, engine: self.engine }
    }

    /// Who attacks.
    fn classes(&self) -> Classes {
        self.adversary.iter().filter_map(|name| name.parse::<Class>().ok()).collect()
    }

    /// Whether no fault is asked for: then there may be any.
    #[must_use]
    pub const fn names_no_fault(&self) -> bool {
        self.drop_rate.is_none()
            && self.dup_rate.is_none()
            && self.corrupt_rate.is_none()
            && self.truncate_rate.is_none()
            && self.delay.is_none()
            && self.burst_rate.is_none()
            && self.cut_rate.is_none()
            && self.crash_rate.is_none()
            && self.pause_rate.is_none()
            && self.clock_rate.is_none()
            && self.disk.is_none()
            && self.disk_faults.is_none()
            && self.mtu.is_none()
            && self.faults.is_none()
    }

    /// The options that are not as by default and change what a seed does.
    #[must_use]
    pub fn options(&self) -> String {
        let mut options = String::new();
        let mut add = |name: &str, value: Option<&dyn fmt::Display>| {
            if let Some(value) = value {
                options += &format!(" --{name} {value}");
            }
        };
        fn shown<T: fmt::Display>(value: &Option<T>) -> Option<&dyn fmt::Display> {
            value.as_ref().map(|value| value as &dyn fmt::Display)
        }
        add("faults", self.faults.map(|_| &"all" as &dyn fmt::Display));
        add("drop-rate", shown(&self.drop_rate));
        add("dup-rate", shown(&self.dup_rate));
        add("corrupt-rate", shown(&self.corrupt_rate));
        add("truncate-rate", shown(&self.truncate_rate));
        add("delay", shown(&self.delay));
        add("burst-rate", shown(&self.burst_rate));
        add("cut-rate", shown(&self.cut_rate));
        add("crash-rate", shown(&self.crash_rate));
        add("pause-rate", shown(&self.pause_rate));
        add("clock-rate", shown(&self.clock_rate));
        add("mtu", shown(&self.mtu));
        let disk = self.disk.map(|disk| humantime::format_duration(disk).to_string());
        add("disk", shown(&disk.map(|disk| disk.replace(' ', ""))));
        add("disk-faults", shown(&self.disk_faults));
        add("clients", shown(&(self.clients != DEFAULT_CLIENTS).then_some(self.clients)));
        add("messages", shown(&(self.messages != DEFAULT_MESSAGES).then_some(self.messages)));
        let duration = humantime::format_duration(self.duration).to_string();
        add("duration", shown(&(duration != DEFAULT_DURATION).then_some(duration)));
        let adversary = Some(self.classes()).filter(|classes| !classes.is_empty());
        add("adversary", shown(&adversary));
        add("plant", shown(&self.plant));
        if self.swarm {
            options += " --swarm";
        }
        options
    }

    /// What was asked for by these [`Self::options`]; none if they are none.
    #[must_use]
    pub fn parse(options: &str) -> Option<Self> {
        let words = ["sim"].into_iter().chain(options.split_whitespace());
        Cli::try_parse_from(words).ok().map(|cli| cli.explore)
    }

    /// The command that runs this seed, and those after it, again.
    #[must_use]
    pub fn reproducer(&self, seed: u64, seeds: u64) -> String {
        format!("cargo run --bin sim --{} --seed {seed} --seeds {seeds}", self.options())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |duration| humantime::format_duration(duration).to_string().replace(' ', "");
        write!(f, "{}..{}", text(self.0), text(self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explore(words: &str) -> Explore {
        Cli::try_parse_from(words.split(' ')).unwrap().explore
    }

    #[test]
    fn a_reproducer_asks_for_the_same_run() {
        let asked = "sim --drop-rate 0.3 --delay 0s..1s200ms --mtu 90 --clients 3 --duration 5s \
             --adversary off-path,insider --swarm";
        let again = explore(asked).reproducer(7, 1);
        assert_eq!(
            again,
            format!("cargo run --bin {} --seed 7 --seeds 1", asked.replace("sim", "sim --"))
        );
        let again = explore(
            again
                .trim_start_matches("cargo run --bin sim -- ")
                .replace("--drop", "sim --drop")
                .as_str(),
        );
        assert!(again.setting() == explore(asked).setting());
    }

    #[test]
    fn without_a_fault_option_it_is_a_swarm_of_all() {
        assert_eq!(explore("sim").setting().profile, Profile::MOST);
        assert!(explore("sim --messages 3").setting().swarm);
        let exact = explore("sim --drop-rate 0.3").setting();
        assert!(!exact.swarm);
        let rates = Rates { drop: 0.3, ..Rates::default() };
        assert_eq!(exact.profile, Profile { rates, ..Profile::default() });
        assert!(explore("sim --faults all --swarm").setting().swarm);
    }

    #[test]
    fn wrong_use_is_told_what_would_be_right() {
        for wrong in
            ["--drop-rate 30", "--drop-rate x", "--delay 5", "--clients 1", "--delay 2s..1s"]
        {
            let words = format!("sim {wrong}");
            let error = Cli::try_parse_from(words.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{wrong}");
        }
    }
}
