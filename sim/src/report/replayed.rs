//! What the user is told about a scenario that is run again: its log, in it every broken promise at
//! the line where it shows, and the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Lines;
use super::failed::{promise, replayer};
use crate::faults::bugs::name_of;
use crate::planning::scenario::Scenario;
use crate::record::check::{CHECKERS, Violation, When};
use crate::record::log::Detail;
use crate::search::replay::Replay;

/// What stands before a line that says which promise is broken there: as wide as a time.
const MARK: &str = "VIOLATED  ";

/// All of it.
#[must_use]
pub fn text(file: &Path, scenario: &Scenario, replay: &Replay, detail: Detail) -> String {
    let mut out = Lines::default();
    out.words(0, &scenario.about);
    if let Some(bug) = scenario.bug {
        out.words(0, &format!("The bug {} is planted in every program.", name_of(bug)));
    }
    out.gap();
    write_log(&mut out, replay, detail);
    out.gap();
    if replay.violations.is_empty() {
        write_held(&mut out, scenario, replay);
    } else {
        write_violated(&mut out, replay);
    }
    if detail == Detail::Story {
        out.next("more", &format!("{} --datagrams", replayer(file)));
    }
    if scenario.bug.is_some() {
        out.next("sound", &format!("{} --plant none", replayer(file)));
    }
    out.to_string()
}

/// The log, and below its lines the promises that are broken there.
fn write_log(out: &mut Lines, replay: &Replay, detail: Detail) {
    let mut marks: BTreeMap<Option<usize>, Vec<&Violation>> = BTreeMap::new();
    for violation in &replay.violations {
        marks.entry(replay.place(violation)).or_default().push(violation);
    }
    let mark = |out: &mut Lines, place: Option<usize>| {
        for Violation { checker, what, .. } in marks.get(&place).into_iter().flatten() {
            out.hanging(MARK, &format!("{checker}: {what}"));
        }
    };
    mark(out, None);
    let log = &replay.outcome.log;
    for (index, entry) in log.entries.iter().enumerate() {
        // Where a promise is broken, there is something to see in any detail.
        if entry.is_shown(detail) || marks.contains_key(&Some(index)) {
            out.line(&log.line(entry));
        }
        mark(out, Some(index));
    }
}

fn write_held(out: &mut Lines, scenario: &Scenario, replay: &Replay) {
    let healed = replay.plan.healed.is_some();
    let judged = CHECKERS.iter().filter(|checker| healed || checker.when == When::Always).count();
    let all = CHECKERS.len();
    let rest = if judged == all {
        String::new()
    } else {
        format!(" (the other {} are about the end of runs that must settle)", all - judged)
    };
    let bug = scenario.bug.map(|bug| format!(" with the bug {}", name_of(bug)));
    let bug = bug.unwrap_or_default();
    out.hanging("HELD  ", &format!("this run kept {judged} of {all} promises{bug}{rest}"));
}

fn write_violated(out: &mut Lines, replay: &Replay) {
    let kinds: BTreeSet<&str> =
        replay.violations.iter().map(|violation| violation.checker).collect();
    let count = |kind: &str| replay.violations.iter().filter(|of| of.checker == kind).count();
    for checker in CHECKERS.iter().filter(|checker| kinds.contains(checker.name)) {
        let name = checker.name;
        out.hanging(&format!("{name:?} promises: "), promise(name));
    }
    let told = kinds.iter().map(|kind| match count(kind) {
        1 => format!("{kind:?}"),
        count => format!("{kind:?} {count} times"),
    });
    let told: Vec<String> = told.collect();
    let first = replay.violations.iter().map(|violation| violation.at).min().unwrap_or_default();
    out.hanging(
        MARK,
        &format!(
            "this run broke {}, first at {:.3} s; each place is marked in the log above",
            told.join(", "),
            first.as_secs_f64()
        ),
    );
}
