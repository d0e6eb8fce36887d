//! The report for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::failed::Smallest;
use super::{Report, share};
use crate::search::chaos::{Counts, Trial, Verdict};

impl Report<'_> {
    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Counts { datagrams, messages, simulated, mishaps, reached, .. } = self.counts();
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
            reached: reached.counts().collect(),
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
    /// In how many runs each state was reached.
    reached: BTreeMap<&'static str, u64>,
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
