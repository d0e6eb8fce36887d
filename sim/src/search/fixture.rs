//! A small run that fails, kept as a test: the scenario's file and its snapshot beside it, after
//! a last look at whether every step is needed.
//!
//! The snapshot says what every correct build must come to, so it can be written while the build
//! at hand is not correct: the test fails until the bug is gone, and holds from then on. Of a
//! planted bug, which the file names, it says which promises it breaks: that must stay so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::faults::bugs::Bug;

use crate::engine::Engine;
use crate::faults::bugs::{Planted, name_of};
use crate::faults::fate::Target;
use crate::naming::label::{HostName, Label};
use crate::planning::plan::{Act, Plan, message};
use crate::planning::scenario::{Scenario, Step, Verb};
use crate::record::check::{Violation, check};
use crate::search::replay::replay;
use crate::search::shrink::{Shrunk, freeze, to_scenario};

/// A run that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The scenario's file. Its snapshot has the same name and ends in `.snap`.
    pub path: PathBuf,
    /// How it fails.
    pub violation: Violation,
    /// Faults of the network and mishaps of hosts in it.
    pub faults: usize,
    /// Steps in it.
    pub steps: usize,
}

/// Writes a run down as a scenario into a folder, leaves out every step that it does not need,
/// reads the file again, and makes sure that it fails in the same way, and without any one of its
/// steps does not. If a bug was planted, the file names it.
///
/// # Errors
///
/// The folder or a file cannot be written, or the scenario does not say what the plan does.
pub fn keep(shrunk: &Shrunk, seed: u64, bug: Option<Bug>, folder: &Path) -> io::Result<Kept> {
    let checker = shrunk.violation.checker;
    let fails = |scenario: &Scenario| {
        // As it is read, not as it was meant: the bug as well.
        let read = Scenario::parse(&scenario.to_string()).ok()?;
        replay(&read).violations.into_iter().find(|violation| violation.checker == checker)
    };
    let outcome = Engine::default().run(&shrunk.plan, &Planted::new(bug));
    let mut scenario = to_scenario(&shrunk.plan, &outcome.log, String::new());
    scenario.bug = bug;
    while let Some(smaller) = smaller(&scenario, &fails) {
        scenario = smaller;
    }
    let holds = || io::Error::other(format!("written as a scenario it holds:\n{scenario}"));
    let violation = fails(&scenario).ok_or_else(holds)?;
    scenario.about = about(seed, bug, &violation);
    let path = write(&scenario, checker, seed, folder)?;
    let again = Scenario::parse(&std::fs::read_to_string(&path)?).map_err(io::Error::other)?;
    if fails(&again).is_none() || smaller(&again, &fails).is_some() {
        return Err(io::Error::other(format!("{} is not the smallest", path.display())));
    }
    Ok(Kept { path, violation, faults: faults(&again.steps), steps: again.steps.len() })
}

/// Writes a run that fails down as it is, every fault of it as a step, to be made small another
/// time. Takes two runs, where making it small takes hundreds.
///
/// # Errors
///
/// It breaks no promise, the folder or a file cannot be written, or the scenario does not fail in
/// the same way.
pub fn keep_whole(plan: &Plan, bug: Option<Bug>, folder: &Path) -> io::Result<Kept> {
    let outcome = Engine::default().run(plan, &Planted::new(bug));
    let violation = check(plan, &outcome).into_iter().next();
    let violation = violation.ok_or_else(|| io::Error::other("it breaks no promise"))?;
    let about = about(plan.seed, bug, &violation);
    let mut scenario = to_scenario(&freeze(plan, &outcome.log), &outcome.log, about);
    scenario.bug = bug;
    let path = write(&scenario, violation.checker, plan.seed, folder)?;
    let again = Scenario::parse(&std::fs::read_to_string(&path)?).map_err(io::Error::other)?;
    let fails = |other: Violation| other.checker == violation.checker;
    if !replay(&again).violations.into_iter().any(fails) {
        return Err(io::Error::other(format!("{} does not fail in the same way", path.display())));
    }
    Ok(Kept { path, violation, faults: faults(&scenario.steps), steps: scenario.steps.len() })
}

fn about(seed: u64, bug: Option<Bug>, violation: &Violation) -> String {
    let bug = bug.map(|bug| format!(" with the bug {}", name_of(bug))).unwrap_or_default();
    format!("found by seed {seed}{bug}, {}: {}", violation.checker, violation.what)
}

/// Writes a scenario and its snapshot; where to. The name has whatever tells two failures apart:
/// the bug, the promise, the seed.
fn write(scenario: &Scenario, checker: &str, seed: u64, folder: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let bug = scenario.bug.map(|bug| format!("{}_", name_of(bug))).unwrap_or_default();
    let path = folder.join(format!("{bug}{}_seed_{seed}.json", checker.replace(' ', "_")));
    std::fs::write(&path, scenario.to_string())?;
    // A correct build keeps every promise, one with the bug never does.
    let violations = scenario.bug.map(|_| replay(scenario).violations).unwrap_or_default();
    let snapshot = format!(
        "---\nsource: sim/tests/regressions.rs\ndescription: {}\n---\n{}",
        serde_json::to_string(&scenario.about)?,
        verdict(&scenario.plan(), &violations)
    );
    std::fs::write(path.with_extension("snap"), snapshot)?;
    Ok(path)
}

/// What a run came to, as the snapshots of regressions say it: what was to be typed, and which
/// promises were broken.
#[must_use]
pub fn verdict(plan: &Plan, violations: &[Violation]) -> String {
    let mut text = String::from("messages\n");
    for action in plan.hosts.iter().flat_map(|host| &host.actions) {
        if let Act::Type { line, label: Some(label) } = &action.act
            && let Some((to, words)) = message(line)
        {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {label} to {to}: {words:?}");
        }
    }
    text += "broken promises\n";
    for Violation { checker, what, .. } in violations {
        let _ = writeln!(text, "  {checker}: {what}");
    }
    if violations.is_empty() {
        text += "  none\n";
    }
    text
}

/// The scenario with one step less that still fails, if there is one.
fn smaller(
    scenario: &Scenario,
    fails: &dyn Fn(&Scenario) -> Option<Violation>,
) -> Option<Scenario> {
    let without = |index| without(scenario, index);
    (0..scenario.steps.len()).rev().filter_map(without).find(|smaller| fails(smaller).is_some())
}

/// The scenario without a step, and what makes no sense without that. None for a step that ends
/// what another began: a run that must settle in the end is not left broken.
fn without(scenario: &Scenario, index: usize) -> Option<Scenario> {
    let steps = &scenario.steps;
    let gone = together(steps, index, scenario.settles)?;
    let mut typed: Vec<(HostName, u32)> = Vec::new();
    let mut left = Vec::new();
    let mut renamed: Vec<(Label, Option<Label>)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Verb::Type { host, line } = &step.verb
            && message(line).is_some()
        {
            let number = |all: bool| {
                let of_host = |(of, kept): &&(HostName, u32)| of == host && (all || *kept == 1);
                1 + u32::try_from(typed.iter().filter(of_host).count()).unwrap_or(u32::MAX - 1)
            };
            let (old, new) = (number(true), number(false));
            let kept = !gone.contains(&at);
            let label = |number| Label::new(host.clone(), number);
            renamed.push((label(old), kept.then(|| label(new))));
            typed.push((host.clone(), u32::from(kept)));
        }
        if !gone.contains(&at) {
            left.push(step.clone());
        }
    }
    left.retain_mut(|step| match &mut step.verb {
        Verb::Fault { target: Target { message: Some(message), .. }, .. } => {
            match renamed.iter().find(|(old, _)| *old == message.command()) {
                Some((_, Some(new))) => message.number = new.number,
                Some((_, None)) => return false,
                None => {}
            }
            true
        }
        _ => true,
    });
    Some(Scenario { steps: left, ..scenario.clone() })
}

/// The steps that go when this one goes.
fn together(steps: &[Step], index: usize, settles: bool) -> Option<BTreeSet<usize>> {
    let mut gone = BTreeSet::from([index]);
    let after = || steps.iter().enumerate().skip(index + 1);
    let first = |is: &dyn Fn(&Verb) -> bool| after().find(|(_, step)| is(&step.verb));
    let partner = match &steps[index].verb {
        Verb::Link { cut: false, .. } | Verb::Restart { .. } if settles => return None,
        Verb::Type { line, .. } if settles && line.starts_with("reg ") => return None,
        Verb::Link { directions, cut: true } => first(
            &|verb| matches!(verb, Verb::Link { directions: d, cut: false } if d == directions),
        ),
        Verb::Crash { host } => {
            first(&|verb| matches!(verb, Verb::Restart { host: of, .. } if of == host))
        }
        Verb::Type { host, line } if line.starts_with("dereg ") => first(
            &|verb| matches!(verb, Verb::Type { host: of, line } if of == host && line.starts_with("reg ")),
        ),
        Verb::Clock { host, .. } | Verb::Drift { host, .. } => {
            let same = |step: &Step| match &step.verb {
                Verb::Clock { host: of, .. } | Verb::Drift { host: of, .. } => of == host,
                _ => false,
            };
            gone.extend((0..steps.len()).filter(|other| same(&steps[*other])));
            None
        }
        Verb::Start { host, .. } => {
            gone.extend(
                (0..steps.len()).filter(|other| steps[*other].verb.hosts().contains(&host)),
            );
            None
        }
        _ => None,
    };
    gone.extend(partner.map(|(at, _)| at));
    Some(gone)
}

/// Faults of the network and mishaps of hosts; a clock that is set and set right again is one.
fn faults(steps: &[Step]) -> usize {
    let mut clocks = BTreeSet::new();
    let is_fault = |step: &&Step| match &step.verb {
        Verb::Fault { .. } | Verb::Link { cut: true, .. } => true,
        Verb::Crash { .. } | Verb::Pause { .. } | Verb::Disk { .. } | Verb::Move { .. } => true,
        Verb::Clock { host, .. } | Verb::Drift { host, .. } => clocks.insert(host.clone()),
        _ => false,
    };
    steps.iter().filter(is_fault).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{
  "about": "",
  "seed": 1,
  "settles": true,
  "steps": [
    {"at": "0s", "start": "alice"},
    {"at": "0s", "start": "bob"},
    {"at": "0s", "drop": {"from": "alice", "to": "bob", "packet": "message", "message": "alice#1"}},
    {"at": "0s", "drop": {"from": "alice", "to": "bob", "packet": "message", "message": "alice#2"}},
    {"at": "1s", "as": "alice", "type": "send bob one"},
    {"at": "1s", "as": "alice", "type": "send bob two"},
    {"at": "2s", "cut": {"from": "alice", "to": "bob"}},
    {"at": "3s", "mend": {"from": "alice", "to": "bob"}}
  ],
  "until": "8s"
}
"#;

    #[test]
    fn a_step_goes_with_what_makes_no_sense_without_it() {
        let run = Scenario::parse(RUN).unwrap();
        let text = without(&run, 4).unwrap().to_string();
        assert!(!text.contains("one") && !text.contains("alice#2"), "{text}");
        assert_eq!(text.matches("alice#1").count(), 1, "{text}");
        assert_eq!(without(&run, 6).unwrap().steps.len(), 6);
        assert_eq!(without(&run, 7), None, "a cut that is never mended proves nothing");
        assert_eq!(without(&run, 0).unwrap().steps.len(), 1);
        assert_eq!(faults(&run.steps), 3);
    }
}
