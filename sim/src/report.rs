//! What the user is told about many seeds: for people, and for programs.
//!
//! People read it on a terminal of 80 columns and 24 lines, from its end: the verdict with its
//! numbers is the last that is printed, and behind it only how to go on.

pub mod bench;
mod exhausted;
mod failed;
mod json;
mod lines;
mod neighbours;
mod part;
mod reached;
mod replayed;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

pub use exhausted::Exhausted;
pub use failed::{Smallest, promise, replayer};
pub use lines::{COLUMNS, Lines};
pub use part::Part;
pub use replayed::text as replayed;

use crate::cli::{EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_VIOLATED, Explore};
use crate::record::check::CHECKERS;
use crate::search::chaos::{Messages, Setting, Verdict};
use crate::search::fixture::Kept;
use crate::search::sweep::Sweep;

/// Everything about one call of the simulator.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was asked.
    pub asked: &'a Explore,
    /// The first seed.
    pub first: u64,
    /// What came of it.
    pub sweep: &'a Sweep,
    /// The smallest runs that fail as some of them do, if they are known yet.
    pub smallest: &'a [Smallest],
    /// Other failures as they are kept, by seed.
    pub whole: &'a BTreeMap<u64, Kept>,
    /// How long it took, if one process did it.
    pub wall: Option<Duration>,
}

/// What is printed before the first seed is run.
#[must_use]
pub fn opening(asked: &Explore, first_seed: u64, budget: Duration) -> String {
    let Setting { size, swarm, .. } = asked.setting();
    let seeds = match asked.seeds {
        Some(1) => format!("seed {first_seed}"),
        Some(count) => format!("seeds {first_seed} to {}", last_seed(first_seed, count)),
        None => format!("seeds from {first_seed} on, for {} s,", budget.as_secs()),
    };
    let options = asked.options();
    let with = match (asked.names_no_fault(), swarm) {
        (true, _) if options.is_empty() => "with any faults, others in every seed".to_owned(),
        (true, _) => format!("with any faults, others in every seed, and{options}"),
        (false, true) => format!("with up to{options}"),
        (false, false) => format!("with{options}"),
    };
    let (clients, messages) = (size.clients, size.messages);
    let duration = humantime::format_duration(size.duration);
    let mut out = Lines::default();
    out.words(
        0,
        &format!(
            "Simulating {seeds} {with}. In each, {clients} clients type {messages} messages in \
             {duration} while things go wrong; then everything heals and must settle."
        ),
    );
    out.to_string()
}

fn last_seed(first: u64, count: u64) -> u64 {
    first.saturating_add(count.saturating_sub(1))
}

impl Report<'_> {
    /// The process's exit status.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.sweep.verdict() {
            Verdict::Held => EXIT_HELD,
            Verdict::Violated => EXIT_VIOLATED,
            Verdict::Inconclusive => EXIT_INCONCLUSIVE,
        }
    }

    /// For people, as soon as the seeds have been run: what was measured, and what failed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let counts = &self.sweep.counts;
        let Setting { profile, swarm, .. } = self.asked.setting();
        let verbose = self.asked.verbose;
        let mut out = Lines::default();
        table::write(&mut out, counts, &profile, swarm, verbose);
        let Messages { typed, sent, received, saved, unsent, .. } = counts.messages;
        out.line(&format!(
            "messages  {typed} typed, {sent} sent: {received} received, {saved} saved, {unsent} unsent"
        ));
        let simulated = counts.simulated.as_secs_f64();
        let pace = self.wall.map_or_else(String::new, |wall| {
            let wall = wall.as_secs_f64();
            format!(" in {wall:.1} s, {:.0} to 1", simulated / wall.max(0.001))
        });
        let datagrams = counts.datagrams.sent;
        out.line(&format!("time      {simulated:.0} s simulated{pace}; {datagrams} datagrams"));
        reached::write(&mut out, &counts.reached, self.sweep.seeds(), verbose);
        failed::write(&mut out, &self.sweep.failures);
        let more = self.sweep.violated - self.sweep.failures.len() as u64;
        if more > 0 {
            out.line(&format!("{more} more seeds failed and are only counted"));
        }
        if verbose {
            out.gap();
            out.words(0, "What was checked in every run:");
            for checker in CHECKERS {
                out.hanging(&format!("  {:<18} ", checker.name), checker.promise);
            }
        }
        out.gap();
        out.to_string()
    }

    /// The end of it: the verdict with its numbers, and how to go on. `smallest` are the runs that
    /// were made small.
    #[must_use]
    pub fn closing(&self, smallest: &[Smallest]) -> String {
        let mut out = Lines::default();
        let (run, violated) = (self.sweep.seeds(), self.sweep.violated);
        let Messages { sent, shown_once, shown_twice, lost, .. } = self.sweep.counts.messages;
        let seeds = if run == 1 { "seed" } else { "seeds" };
        let shown = format!("{shown_once} messages shown once, {lost} lost, {shown_twice} twice");
        match self.sweep.verdict() {
            Verdict::Held => {
                out.line(&format!("HELD  {run} {seeds}: {shown}"));
                let others = sent.saturating_sub(shown_once + shown_twice + lost);
                out.words(6, &self.explained(others));
                self.write_next(&mut out);
            }
            Verdict::Inconclusive => {
                out.line(&format!("INCONCLUSIVE  {run} {seeds}: no message got anywhere"));
                out.words(14, "Nothing was put to the test: lower the rates or raise --messages.");
            }
            Verdict::Violated => {
                out.line(&format!("VIOLATED  {violated} of {run} {seeds}: {shown}"));
                let kept: Vec<&Kept> =
                    smallest.iter().filter_map(|smallest| smallest.kept.as_ref()).collect();
                for kept in &kept {
                    out.next("replay", &replayer(&kept.path));
                }
                if let Some(first) = self.sweep.failures.first() {
                    out.next("repeat", &self.asked.reproducer(first.seed, 1));
                }
                if self.asked.plant.is_none() && !kept.is_empty() {
                    out.next("keep", "git add fixtures/regressions: `cargo test` holds you to it");
                }
            }
        }
        out.to_string()
    }

    /// What a verdict that all is well means.
    fn explained(&self, others: usize) -> String {
        let count = CHECKERS.len();
        let mut text = format!("Each of {count} promises was kept; --verbose lists them.");
        if others > 0 {
            text += &format!(" {others} more were given up or expired, as their senders know.");
        }
        match self.sweep.inconclusive {
            0 => {}
            1 => text += " In 1 seed no message got anywhere.",
            seeds => text += &format!(" In {seeds} seeds no message got anywhere."),
        }
        text
    }

    /// How to go on after a run that held.
    fn write_next(&self, out: &mut Lines) {
        let again = self.asked.reproducer(self.first, self.sweep.seeds());
        out.next("repeat", &again);
        out.next("one log", &format!("{} --log", self.asked.reproducer(self.first, 1)));
        let rates = self.asked.setting().profile.rates;
        if self.asked.plant.is_none() && (rates.drop > 0.0 || rates.duplicate > 0.0) {
            let options = self.asked.options();
            out.next("break it", &format!("cargo run --bin sim --{options} --plant {EXAMPLE}"));
        }
    }
}

/// A bug that shows wherever datagrams are lost or come twice, and soon.
const EXAMPLE: &str = "shows-copies";

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
