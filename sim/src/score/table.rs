//! The score as people and programs are told it.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::canary::Heard;
use super::full::{Cell, Full};
use super::profiles::PROFILES;
use super::short::{Row, Short, Verdict};
use super::{FIRST_SEED, FalseAlarm, Smallest, mean_faults};
use crate::faults::bugs::name_of;
use crate::report::Lines;
use crate::search::stats::wilson;

/// One call of `sim score`.
#[derive(Clone)]
pub struct Score {
    /// What was counted.
    pub result: Scored,
    /// Whether the canary was heard.
    pub canary: Heard,
    /// How long it took.
    pub wall: Duration,
}

/// In which form.
#[derive(Clone)]
pub enum Scored {
    /// Each bug where it shows best.
    Short(Short),
    /// All bugs under all profiles.
    Full(Full),
}

#[derive(Serialize)]
struct JsonBug {
    bug: &'static str,
    verdict: &'static str,
    profile: &'static str,
    seeds: u64,
    budget: u64,
    activated: u64,
    checker: Option<&'static str>,
    faults: Option<usize>,
    faults_before: Option<usize>,
}

#[derive(Serialize)]
struct JsonRow {
    bug: &'static str,
    verdict: &'static str,
    cells: Vec<JsonCell>,
}

#[derive(Serialize)]
struct JsonCell {
    profile: &'static str,
    activated: u64,
    detected: u64,
    share: f64,
    low: f64,
    high: f64,
    first: Option<u64>,
    cpu_s: f64,
    checkers: Vec<&'static str>,
    faults: Option<usize>,
    faults_before: Option<usize>,
}

impl Score {
    /// Whether every bug was caught, nothing else was reported, and the canary was.
    #[must_use]
    pub fn passed(&self) -> bool {
        let caught = |verdict| verdict == Verdict::Caught;
        let all = self.verdicts().into_iter().all(caught);
        all && self.false_alarms().is_empty() && self.canary.is_ok()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        match &self.result {
            Scored::Short(short) => short.rows.iter().map(Row::verdict).collect(),
            Scored::Full(full) => full.rows.iter().map(|(_, cells)| verdict(cells)).collect(),
        }
    }

    fn with(&self, verdict: Verdict) -> usize {
        self.verdicts().into_iter().filter(|own| *own == verdict).count()
    }

    fn false_alarms(&self) -> &[FalseAlarm] {
        match &self.result {
            Scored::Short(short) => &short.false_alarms,
            Scored::Full(full) => &full.false_alarms,
        }
    }

    fn sound_runs(&self) -> usize {
        match &self.result {
            Scored::Short(short) => short.sound_runs,
            Scored::Full(full) => full.sound_runs,
        }
    }

    fn shrunk(&self) -> Vec<Smallest> {
        match &self.result {
            Scored::Short(short) => short.rows.iter().filter_map(|row| row.smallest).collect(),
            Scored::Full(full) => full.shrunk(),
        }
    }

    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (form, bugs) = match &self.result {
            Scored::Short(short) => {
                ("short", json!(short.rows.iter().map(json_bug).collect::<Vec<_>>()))
            }
            Scored::Full(full) => {
                ("full", json!(full.rows.iter().map(json_row).collect::<Vec<_>>()))
            }
        };
        let seeds = if let Scored::Full(full) = &self.result { Some(full.seeds) } else { None };
        let alarms = self.false_alarms().iter().map(|alarm| {
            let FalseAlarm { profile, seed, checker, what } = alarm;
            json!({"profile": profile, "seed": seed.to_string(), "checker": checker, "what": what})
        });
        let profiles = PROFILES
            .iter()
            .map(|profile| json!({"name": profile.name, "options": profile.options}));
        json!({
            "form": form,
            "passed": self.passed(),
            "caught": self.with(Verdict::Caught),
            "not_caught": self.with(Verdict::NotCaught),
            "never_activated": self.with(Verdict::NeverActive),
            "false_alarms": alarms.collect::<Vec<_>>(),
            "sound_runs": self.sound_runs(),
            "canary": self.canary.is_ok(),
            "mean_faults": mean_faults(&self.shrunk()),
            "seeds": seeds,
            "bugs": bugs,
            "profiles": profiles.collect::<Vec<_>>(),
            "wall_s": self.wall.as_secs_f64(),
        })
        .to_string()
    }

    /// For people: the short form on 80 columns, the full one as Markdown; last the verdict.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = match &self.result {
            Scored::Short(short) => write_short(&mut text, short),
            Scored::Full(full) => write_full(&mut text, full),
        };
        let _ = self.write_verdict(&mut text);
        text
    }

    fn write_verdict(&self, out: &mut String) -> fmt::Result {
        let bugs = self.verdicts().len();
        let caught = self.with(Verdict::Caught);
        let (missed, never) = (self.with(Verdict::NotCaught), self.with(Verdict::NeverActive));
        writeln!(
            out,
            "\nplanted bugs      {bugs}: {caught} caught, {missed} not caught, {never} never activated"
        )?;
        let alarms = self.false_alarms();
        let (runs, wrong) = (self.sound_runs(), alarms.len());
        writeln!(
            out,
            "correct build     {runs} runs over the same seeds, {wrong} of them accused"
        )?;
        for FalseAlarm { profile, seed, checker, what } in alarms {
            writeln!(out, "                  {profile}, seed {seed}, {checker}: {what}")?;
        }
        match &self.canary {
            Ok(()) => writeln!(out, "canary            a run that must fail was reported")?,
            Err(why) => writeln!(out, "canary            NOT REPORTED: {why}")?,
        }
        let shrunk = self.shrunk();
        let (mean, count) = (mean_faults(&shrunk), shrunk.len());
        writeln!(out, "smallest runs     {mean:.1} faults on average, of {count} made small")?;
        writeln!(out, "time              {:.0} s", self.wall.as_secs_f64())?;
        let word = if self.passed() { "PASSED" } else { "FAILED" };
        writeln!(out, "\n{word}  {caught} of {bugs} planted bugs caught, {wrong} false alarms")?;
        if let Scored::Short(short) = &self.result {
            write_next(out, short)?;
        }
        Ok(())
    }
}

/// How to go on: look at a bug that was missed, if there is one, else at one that was caught.
fn write_next(out: &mut String, short: &Short) -> fmt::Result {
    let missed = short.rows.iter().find(|row| row.caught.is_none());
    let Some(Row { case, seeds, .. }) = missed.or_else(|| short.rows.first()) else {
        return Ok(());
    };
    let (bug, options) = (name_of(case.bug), case.profile.options);
    let seed = (FIRST_SEED + seeds).saturating_sub(1);
    let command = format!("cargo run --bin sim -- {options} --plant {bug} --seed {seed} --seeds 1");
    let mut lines = Lines::default();
    lines.next("look", &command);
    lines.next("count", "cargo run --release --bin sim -- score --full");
    write!(out, "{lines}")
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Caught => "caught",
        Verdict::NotCaught => "not caught",
        Verdict::NeverActive => "never activated",
    }
}

fn verdict(cells: &[Cell]) -> Verdict {
    if cells.iter().any(|cell| cell.detected > 0) {
        Verdict::Caught
    } else if cells.iter().any(|cell| cell.active > 0) {
        Verdict::NotCaught
    } else {
        Verdict::NeverActive
    }
}

fn json_bug(row: &Row) -> JsonBug {
    JsonBug {
        bug: name_of(row.case.bug),
        verdict: word(row.verdict()),
        profile: row.case.profile.name,
        seeds: row.seeds,
        budget: row.case.budget,
        activated: row.active,
        checker: row.caught,
        faults: row.smallest.map(|smallest| smallest.faults),
        faults_before: row.smallest.map(|smallest| smallest.before),
    }
}

fn json_row((bug, cells): &(crate::faults::bugs::Bug, Vec<Cell>)) -> JsonRow {
    let json_cell = |(profile, cell): (&super::profiles::Profile, &Cell)| {
        let share = wilson(cell.detected, cell.seeds);
        JsonCell {
            profile: profile.name,
            activated: cell.active,
            detected: cell.detected,
            share: share.share,
            low: share.low,
            high: share.high,
            first: cell.first,
            cpu_s: cell.cpu.as_secs_f64(),
            checkers: cell.checkers.iter().map(|(checker, _)| *checker).collect(),
            faults: cell.smallest.map(|smallest| smallest.faults),
            faults_before: cell.smallest.map(|smallest| smallest.before),
        }
    };
    let cells_json = PROFILES.iter().zip(cells).map(json_cell).collect();
    JsonRow { bug: name_of(*bug), verdict: word(verdict(cells)), cells: cells_json }
}

fn write_short(out: &mut String, short: &Short) -> fmt::Result {
    writeln!(
        out,
        "{:<24} {:<16} {:>7}  {:<18} smallest",
        "bug", "what goes wrong", "seeds", "caught by"
    )?;
    for row in &short.rows {
        let by = row.caught.unwrap_or_else(|| word(row.verdict()));
        let faults = row.smallest.map_or_else(String::new, small);
        let (bug, profile) = (name_of(row.case.bug), row.case.profile.name);
        // In how many of the seeds the bug had its chance.
        let seeds = format!("{} of {}", row.active, row.seeds);
        let line = format!("{bug:<24} {profile:<16} {seeds:>7}  {by:<18} {faults}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn small(smallest: Smallest) -> String {
    format!("{} of {}", smallest.faults, smallest.before)
}

fn write_full(out: &mut String, full: &Full) -> fmt::Result {
    writeln!(
        out,
        "Seeds of {} that caught the bug, in %; `-`: it never had its chance.\n",
        full.seeds
    )?;
    let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
    writeln!(out, "| bug | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()))?;
    for (bug, cells) in &full.rows {
        let shares: Vec<String> = cells.iter().map(percent).collect();
        writeln!(out, "| {} | {} |", name_of(*bug), shares.join(" | "))?;
    }
    writeln!(
        out,
        "\nWhere each shows best, with Wilson's 95 % interval; what the first detection took; and\n\
         how few faults were left of how many, under the profiles named.\n\n\
         | bug | profile | caught, % | seeds | CPU s | caught by | smallest |\n\
         |---|---|---|--:|--:|---|---|"
    )?;
    for (bug, cells) in &full.rows {
        write_best(out, name_of(*bug), cells)?;
    }
    Ok(())
}

fn write_best(out: &mut String, bug: &str, cells: &[Cell]) -> fmt::Result {
    let pairs = || PROFILES.iter().zip(cells);
    // Of equals the first, which has the plainer faults.
    let best = pairs().rev().max_by_key(|(_, cell)| cell.detected);
    let Some((profile, cell)) = best.filter(|(_, cell)| cell.detected > 0) else {
        return writeln!(out, "| {bug} | {} | | | | | |", word(verdict(cells)));
    };
    let share = wilson(cell.detected, cell.seeds);
    let [share, low, high] = [share.share, share.low, share.high].map(|share| 100.0 * share);
    let (first, cpu) = (cell.first.unwrap_or_default(), cell.cpu.as_secs_f64());
    let mut checkers: Vec<&str> = Vec::new();
    for (checker, _) in cells.iter().flat_map(|cell| &cell.checkers) {
        if !checkers.contains(checker) {
            checkers.push(checker);
        }
    }
    let checkers = checkers.join(", ");
    let small_ones = pairs().filter_map(|(profile, cell)| {
        Some(format!("{} ({})", small(cell.smallest?), profile.name))
    });
    let small_ones = small_ones.collect::<Vec<_>>().join(", ");
    let name = profile.name;
    writeln!(
        out,
        "| {bug} | {name} | {share:.0} ({low:.0} to {high:.0}) | {first} | {cpu:.2} | {checkers} | {small_ones} |"
    )
}

fn percent(cell: &Cell) -> String {
    if cell.active == 0 {
        return "-".to_owned();
    }
    format!("{:.0}", 100.0 * wilson(cell.detected, cell.seeds).share)
}
