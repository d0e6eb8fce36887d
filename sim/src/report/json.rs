//! The report for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::failed::Smallest;
use super::{Report, share};
use crate::search::chaos::Counts;
use crate::search::sweep::Failure;

impl Report<'_> {
    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Counts { datagrams, messages, simulated, mishaps, reached, .. } = self.sweep.counts;
        let json = Json {
            seeds: self.sweep.seeds(),
            passed: self.sweep.held,
            failed: self.sweep.violated,
            inconclusive: self.sweep.inconclusive,
            failures: self.sweep.failures.iter().map(|it| self.json_failure(it)).collect(),
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
            wall_s: self.wall.map(|wall| wall.as_secs_f64()),
            trace_hash: format!("{:016x}", self.sweep.trace),
        };
        serde_json::to_string(&json).unwrap_or_default()
    }

    fn json_failure<'b>(&'b self, failure: &'b Failure) -> JsonFailure<'b> {
        let violation = failure.violations.first();
        let smallest = self.smallest.iter().find(|smallest| smallest.seed == failure.seed);
        let whole = self.whole.get(&failure.seed);
        let kept = smallest.and_then(|smallest| smallest.kept.as_ref()).or(whole);
        JsonFailure {
            seed: failure.seed.to_string(),
            checker: violation.map_or("", |violation| violation.checker),
            what: violation.map_or("", |violation| &violation.what),
            faults: smallest.map(Smallest::faults).or_else(|| whole.map(|whole| whole.faults)),
            fixture: kept.map(|kept| kept.path.display().to_string()),
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    seeds: u64,
    passed: u64,
    failed: u64,
    inconclusive: u64,
    failures: Vec<JsonFailure<'a>>,
    datagrams: JsonDatagrams,
    drop_rate: JsonRate,
    disk_faults: JsonRate,
    messages: JsonMessages,
    /// In how many runs each state was reached.
    reached: BTreeMap<&'static str, u64>,
    simulated_s: f64,
    /// None of a sweep that several processes ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_s: Option<f64>,
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
