//! What the user is told about many seeds: for people, and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::attempts::{Attempts, expected};
use crate::chaos::{Counts, Disks, Mishaps, Setting, Trial, Verdict};
use crate::check::CHECKERS;
use crate::cli::{EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_VIOLATED, Explore};
use crate::keep::Kept;
use crate::log::Tally;
use crate::random;
use crate::shrink::Shrunk;
use crate::workload::Profile;

/// Failures that are printed one by one; the rest is counted.
const FAILURES_SHOWN: usize = 10;

/// Everything about one call of the simulator.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was asked.
    pub asked: &'a Explore,
    /// What came of it, in the order of seeds.
    pub trials: &'a [Trial],
    /// The smallest runs that fail as some of them do, if they are known yet.
    pub smallest: &'a [Smallest],
    /// Other failures as they are kept, by seed.
    pub whole: &'a BTreeMap<u64, Kept>,
    /// How long it took.
    pub wall: Duration,
}

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
}

impl fmt::Display for Smallest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shrunk { violation, faults_before, runs, .. } = &self.shrunk;
        let (checker, faults) = (violation.checker, self.faults());
        writeln!(f, "\nSmallest run that breaks {checker:?}: {faults} of {faults_before} faults,")?;
        writeln!(f, "after {runs} runs.")?;
        let Some(Kept { path, violation, steps, .. }) = &self.kept else {
            return write!(f, "{}.", violation.what);
        };
        writeln!(f, "{}.", violation.what)?;
        let (file, snapshot) = (path.display(), path.with_extension("snap"));
        writeln!(f, "Written to {file}")?;
        writeln!(f, "and beside it {}.", snapshot.display())?;
        writeln!(
            f,
            "Run again from there: it fails in the same way. It is 1-minimal: without any one"
        )?;
        writeln!(f, "of its {steps} steps it holds, or fails differently. Look at it with:")?;
        write!(f, "cargo run --bin sim -- replay {file}")
    }
}

/// What is printed before the first seed is run.
#[must_use]
pub fn opening(asked: &Explore, first_seed: u64, budget: Duration) -> String {
    let Setting { size, swarm, .. } = asked.setting();
    let seeds = match asked.seeds {
        Some(1) => format!("{first_seed}"),
        Some(count) => format!("{first_seed} and the {} after it", count.saturating_sub(1)),
        None => format!("{first_seed} and those after it, for {} s", budget.as_secs()),
    };
    let options = asked.options();
    let options = if options.is_empty() { " none" } else { &options };
    let faults = if swarm { "other faults in every seed" } else { "the same faults in every seed" };
    let (clients, messages) = (size.clients, size.messages);
    let duration = humantime::format_duration(size.duration);
    format!(
        "seed       {seeds}\n\
         options   {options}\n\
         each run   {clients} clients type {messages} messages in {duration}, {faults};\n\
         \u{20}          then everything heals and must settle\n"
    )
}

impl Report<'_> {
    /// The process's exit status.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict() {
            Verdict::Held => EXIT_HELD,
            Verdict::Violated => EXIT_VIOLATED,
            Verdict::Inconclusive => EXIT_INCONCLUSIVE,
        }
    }

    fn verdict(&self) -> Verdict {
        if self.with(Verdict::Violated) > 0 {
            Verdict::Violated
        } else if self.with(Verdict::Held) > 0 {
            Verdict::Held
        } else {
            Verdict::Inconclusive
        }
    }

    fn with(&self, verdict: Verdict) -> usize {
        self.trials.iter().filter(|trial| trial.verdict == verdict).count()
    }

    /// All that happened in all seeds, in their order.
    fn trace_hash(&self) -> u64 {
        let of_seed = |hash, trial: &Trial| random::hash(hash, &[&trial.trace.to_string()]);
        self.trials.iter().fold(0, of_seed)
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for trial in self.trials {
            counts.add(&trial.counts);
        }
        counts
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let counts = self.counts();
        let Setting { profile, swarm, .. } = self.asked.setting();
        let (held, violated) = (self.with(Verdict::Held), self.with(Verdict::Violated));
        let (run, inconclusive) = (self.trials.len(), self.with(Verdict::Inconclusive));
        writeln!(
            out,
            "\nseeds      {run} run: {held} held, {violated} violated, {inconclusive} inconclusive"
        )?;
        let messages = counts.messages;
        writeln!(
            out,
            "messages   {} typed, {} sent: {} received, {} saved, {} unsent",
            messages.typed, messages.sent, messages.received, messages.saved, messages.unsent
        )?;
        writeln!(
            out,
            "           {} shown once, {} twice, {} lost",
            messages.shown_once, messages.shown_twice, messages.lost
        )?;
        let datagrams = counts.datagrams;
        writeln!(
            out,
            "datagrams  {} sent, {} of them while things went wrong",
            datagrams.sent, datagrams.exposed
        )?;
        write_datagram_faults(out, &datagrams, &profile, swarm)?;
        write_mishaps(out, &counts.mishaps, &profile, swarm)?;
        write_attempts(out, &counts.attempts, &profile, swarm)?;
        let (simulated, wall) = (counts.simulated.as_secs_f64(), self.wall.as_secs_f64());
        let speed = simulated / wall.max(0.001);
        writeln!(
            out,
            "time       {simulated:.0} s simulated in {wall:.1} s on the wall, {speed:.0} to 1\n"
        )?;
        self.write_verdict(out)
    }

    fn write_verdict(&self, out: &mut String) -> std::fmt::Result {
        let (run, violated) = (self.trials.len(), self.with(Verdict::Violated));
        match self.verdict() {
            Verdict::Held => {
                writeln!(out, "HELD       every promise was kept in every run:")?;
                for checker in CHECKERS {
                    writeln!(out, "           - {}: {}", checker.name, checker.promise)?;
                }
            }
            Verdict::Inconclusive => {
                writeln!(
                    out,
                    "INCONCLUSIVE: no message got anywhere; lower the rates or raise --messages"
                )?;
            }
            Verdict::Violated => {
                writeln!(out, "VIOLATED   {violated} of {run} runs broke a promise:")?;
                let failed =
                    || self.trials.iter().filter(|trial| trial.verdict == Verdict::Violated);
                for trial in failed().take(FAILURES_SHOWN) {
                    for violation in trial.violations.iter().take(2) {
                        let at = violation.at.as_secs_f64();
                        let (seed, checker, what) =
                            (trial.seed, violation.checker, &violation.what);
                        writeln!(out, "           seed {seed} at {at:.3} s, {checker}: {what}")?;
                    }
                }
                if let Some(rest) = violated.checked_sub(FAILURES_SHOWN).filter(|rest| *rest > 0) {
                    writeln!(out, "           and {rest} more")?;
                }
            }
        }
        Ok(())
    }

    /// The last line after a failure: the command that runs it again.
    #[must_use]
    pub fn closing(&self) -> String {
        let first = self.trials.iter().find(|trial| trial.verdict == Verdict::Violated);
        let command = first.map(|first| self.asked.reproducer(first.seed));
        command
            .map(|command| format!("\nThis runs the first failure again:\n{command}\n"))
            .unwrap_or_default()
    }

    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Counts { datagrams, messages, simulated, mishaps, .. } = self.counts();
        let failed = self.trials.iter().filter(|trial| trial.verdict == Verdict::Violated);
        let json = Json {
            seeds: self.trials.len(),
            passed: self.with(Verdict::Held),
            failed: self.with(Verdict::Violated),
            inconclusive: self.with(Verdict::Inconclusive),
            failures: failed.map(|trial| self.json_failure(trial)).collect(),
            datagrams: JsonDatagrams {
                sent: datagrams.sent,
                dropped: datagrams.dropped,
                duplicated: datagrams.duplicated,
                delayed: datagrams.delayed,
                corrupted: datagrams.corrupted,
                truncated: datagrams.truncated,
            },
            drop_rate: JsonRate {
                asked: self.asked.setting().profile.rates.drop,
                measured: share(datagrams.exposed_dropped, datagrams.exposed),
            },
            disk_faults: JsonRate {
                asked: self.asked.setting().profile.disk_faults,
                measured: share(mishaps.disks.faults(), mishaps.disks.operations),
            },
            messages: JsonMessages {
                sent: messages.sent,
                received: messages.received,
                saved: messages.saved,
                unsent: messages.unsent,
                shown_once: messages.shown_once,
                shown_twice: messages.shown_twice,
                lost: messages.lost,
            },
            simulated_s: simulated.as_secs_f64(),
            wall_s: self.wall.as_secs_f64(),
            trace_hash: format!("{:016x}", self.trace_hash()),
        };
        serde_json::to_string(&json).unwrap_or_default()
    }

    fn json_failure<'b>(&'b self, trial: &'b Trial) -> JsonFailure<'b> {
        let violation = trial.violations.first();
        let smallest = self.smallest.iter().find(|smallest| smallest.seed == trial.seed);
        let whole = self.whole.get(&trial.seed);
        let kept = smallest.and_then(|smallest| smallest.kept.as_ref()).or(whole);
        JsonFailure {
            seed: trial.seed.to_string(),
            checker: violation.map_or("", |violation| violation.checker),
            what: violation.map_or("", |violation| &violation.what),
            faults: smallest.map(Smallest::faults).or_else(|| whole.map(|whole| whole.faults)),
            fixture: kept.map(|kept| kept.path.display().to_string()),
        }
    }
}

/// Each fault of datagrams: its measured share beside the one that was asked for.
fn write_datagram_faults(
    out: &mut String,
    datagrams: &Tally,
    profile: &Profile,
    swarm: bool,
) -> fmt::Result {
    let (rates, exposed) = (profile.rates, datagrams.exposed);
    let most = if swarm { "at most " } else { "" };
    let lines = [
        ("lost", datagrams.exposed_dropped, rates.drop),
        ("twice", datagrams.exposed_duplicated, rates.duplicate),
        ("damaged", datagrams.corrupted, rates.corrupt),
        ("shortened", datagrams.truncated, rates.truncate),
    ];
    for (what, count, asked) in lines {
        if count > 0 || asked > 0.0 {
            let measured = percent(share(count, exposed));
            writeln!(out, "           {what:<9} {measured} (asked: {most}{})", percent(asked))?;
        }
    }
    if rates.burst > 0.0 {
        let (measured, asked) = (percent(share(datagrams.burst, exposed)), percent(rates.burst));
        writeln!(out, "           in bursts {measured} lost (asked: {most}{asked} of the time)")?;
    }
    if let Some(span) = rates.delay {
        let measured = percent(share(datagrams.exposed_delayed, exposed));
        let mean = share(datagrams.delay_ms, exposed);
        let (from, to) = (span.0.as_millis(), span.1.as_millis());
        let asked = format!("{most}{from} to {to} ms, {} on average", (from + to) as f64 / 2.0);
        writeln!(out, "           late      {measured}, by {mean:.1} ms (asked: {asked})")?;
    }
    if let Some(bytes) = profile.mtu {
        let measured = percent(share(datagrams.too_long, exposed));
        writeln!(out, "           too long  {measured} lost (asked: those above {bytes} bytes)")?;
    }
    if datagrams.cut > 0 {
        writeln!(out, "           cut off   {}", datagrams.cut)?;
    }
    Ok(())
}

/// The same for hosts and links.
fn write_mishaps(
    out: &mut String,
    mishaps: &Mishaps,
    profile: &Profile,
    swarm: bool,
) -> fmt::Result {
    let (hosts, links) = (mishaps.host_time, mishaps.link_time);
    let most = if swarm { "at most " } else { "" };
    let lines = [
        ("crashes", "host that runs", mishaps.crashes, hosts, profile.crashes),
        ("pauses", "host that runs", mishaps.pauses, hosts, profile.pauses),
        ("clock set", "host", mishaps.clock_steps, hosts, profile.clock_steps),
        ("drifts", "host", mishaps.drifts, hosts, profile.clock_steps),
        ("cuts", "direction, half of them of both", mishaps.cuts, links, profile.cuts),
    ];
    let mut title = "mishaps";
    for (what, each, count, time, asked) in lines {
        if count > 0 || asked > 0.0 {
            let measured = count as f64 * 60.0 / time.as_secs_f64().max(0.001);
            let asked = format!("asked: {most}{asked:.2} a minute and {each}");
            writeln!(out, "{title:<10} {what:<9} {count}, {measured:.2} ({asked})")?;
            title = "";
        }
    }
    write_disks(out, &mishaps.disks, profile, most)
}

/// The same for disks.
fn write_disks(out: &mut String, disks: &Disks, profile: &Profile, most: &str) -> fmt::Result {
    if disks.faults() == 0 && profile.disk_faults == 0.0 {
        return Ok(());
    }
    let Disks { operations, power_cuts, failed, full, slow } = disks;
    let measured = percent(share(disks.faults(), *operations));
    let asked = percent(profile.disk_faults);
    let faults = disks.faults();
    writeln!(out, "disks      {faults} faults, {measured} of operations (asked: {most}{asked}):")?;
    writeln!(
        out,
        "           {power_cuts} power cuts, {failed} errors, {full} times full, {slow} slow"
    )
}

/// Direct tries a message, beside the number that follows from the loss.
fn write_attempts(
    out: &mut String,
    attempts: &Attempts,
    profile: &Profile,
    swarm: bool,
) -> fmt::Result {
    if attempts.messages == 0 {
        return Ok(());
    }
    let (measured, messages) = (attempts.measured(), attempts.messages);
    writeln!(
        out,
        "tries      {measured:.3} direct ones a message, of {messages} that travelled alone on their stream"
    )?;
    match expected(profile, swarm) {
        Some(expected) => writeln!(
            out,
            "           ({expected:.3} = (1-s^9)/(1-s), s = 1-(1-p)(1-q), for the asked loss p = q)"
        ),
        None => writeln!(out, "           (no closed form: other faults than loss decide as well)"),
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[derive(Serialize)]
struct Json<'a> {
    seeds: usize,
    passed: usize,
    failed: usize,
    inconclusive: usize,
    failures: Vec<JsonFailure<'a>>,
    datagrams: JsonDatagrams,
    drop_rate: JsonRate,
    disk_faults: JsonRate,
    messages: JsonMessages,
    simulated_s: f64,
    wall_s: f64,
    trace_hash: String,
}

#[derive(Serialize)]
struct JsonFailure<'a> {
    seed: String,
    checker: &'a str,
    what: &'a str,
    /// Of what is kept: the smallest run for the first failure of a kind, else the run as it was.
    faults: Option<usize>,
    /// Where that is; none only if it could not be written.
    fixture: Option<String>,
}

#[derive(Serialize)]
struct JsonDatagrams {
    sent: u64,
    dropped: u64,
    duplicated: u64,
    delayed: u64,
    corrupted: u64,
    truncated: u64,
}

#[derive(Serialize)]
struct JsonRate {
    asked: f64,
    measured: f64,
}

#[derive(Serialize)]
struct JsonMessages {
    sent: usize,
    received: usize,
    saved: usize,
    unsent: usize,
    shown_once: usize,
    shown_twice: usize,
    lost: usize,
}
