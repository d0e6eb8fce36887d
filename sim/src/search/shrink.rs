//! From a failed run to the smallest one that fails in the same way.
//!
//! First every fate that came of a rate is written down as a rule of its own, then delta
//! debugging takes away whatever is not needed: faults, mishaps, messages, clients. Knows no
//! engine; how a plan is run is passed in.

mod anchor;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::faults::disk::{DiskEvent, DiskFaults, DiskRule};
use crate::faults::fate::{Cut, Fault, FaultPlan, Rates, Rule, Target, Which, whole_ms};
use crate::naming::label::{HostName, Label};
use crate::planning::moves::Move;
use crate::planning::plan::{
    Act, Action, CLIENT_PORT, DiskSpeed, Host, Plan, Role, SERVER, SERVER_PORT, message,
};
use crate::planning::scenario::{Scenario, Step, Verb};
use crate::record::check::{Violation, check};
use crate::record::log::{Entry, Log, What};
use crate::record::outcome::Outcome;

/// How a plan is run.
pub type Run<'a> = &'a dyn Fn(&Plan) -> Outcome;

/// The smallest run that was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The run.
    pub plan: Plan,
    /// How it fails.
    pub violation: Violation,
    /// How many faults of the network and mishaps of hosts are left.
    pub faults: usize,
    /// How many there were.
    pub faults_before: usize,
    /// How many runs it took.
    pub runs: u32,
}

/// Something that can be left out of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Rule(usize),
    Cut(usize),
    Disk(usize),
    Move(usize),
    /// Actions of one host that belong together, such as a crash and the restart after it.
    Actions(usize, Vec<usize>),
    Host(usize),
}

/// The smallest plan that still breaks the promise that this one breaks first; none if it breaks
/// none.
#[must_use]
pub fn shrink(plan: &Plan, run: Run<'_>) -> Option<Shrunk> {
    let outcome = run(plan);
    let checker = check(plan, &outcome).first()?.checker;
    let frozen = freeze(plan, &outcome.log);
    let mut hunt = Hunt { run, checker, plan: frozen, failed: outcome.log, runs: 1 };
    // With a disk that always takes as long, less depends on what else there is.
    let steady = DiskSpeed { shortest: plan.disk.longest, ..plan.disk };
    if steady != plan.disk && hunt.still_fails(|plan| Plan { disk: steady, ..plan.clone() }) {
        hunt.plan.disk = steady;
    }
    let pieces = pieces(&hunt.plan);
    let faults_before = pieces.iter().filter(|piece| piece.is_fault(&hunt.plan)).count();
    let kept = minimise(pieces, &mut |kept| hunt.still_fails(|plan| only(plan, kept)));
    let faults = kept.iter().filter(|piece| piece.is_fault(&hunt.plan)).count();
    let mut plan = only(&hunt.plan, &kept);
    let fast = Plan { disk: DiskSpeed::default(), ..plan.clone() };
    if hunt.attempt(&fast).0.is_some() {
        plan = fast;
    }
    repeat_less(&mut plan, &mut |plan| hunt.attempt(plan).0.is_some());
    shorten(&mut plan, &mut |plan| hunt.attempt(plan).0);
    let violation = hunt.attempt(&plan).0?;
    Some(Shrunk { plan, violation, faults, faults_before, runs: hunt.runs })
}

/// The search for a smaller plan that fails in the same way.
struct Hunt<'a> {
    run: Run<'a>,
    /// Whose promise is broken.
    checker: &'static str,
    /// All that may be left out.
    plan: Plan,
    /// What happened when it failed last.
    failed: Log,
    runs: u32,
}

impl Hunt<'_> {
    fn attempt(&mut self, plan: &Plan) -> (Option<Violation>, Log) {
        self.runs += 1;
        let outcome = (self.run)(plan);
        let mut violations = check(plan, &outcome).into_iter();
        (violations.find(|violation| violation.checker == self.checker), outcome.log)
    }

    /// Whether a part of the plan fails, perhaps with its crashes at other times.
    fn still_fails(&mut self, part: impl Fn(&Plan) -> Plan) -> bool {
        let (mut violation, mut log) = self.attempt(&part(&self.plan));
        if violation.is_none()
            && let Some(moved) = anchor::follow(&self.plan, &self.failed, &log)
        {
            (violation, log) = self.attempt(&part(&moved));
            if violation.is_some() {
                self.plan = moved;
            }
        }
        if violation.is_some() {
            self.failed = log;
        }
        violation.is_some()
    }
}

/// The same run with every fate written down as a rule, and no rates.
#[must_use]
pub fn freeze(plan: &Plan, log: &Log) -> Plan {
    let mut rules = Vec::new();
    for entry in &log.entries {
        let What::Sent { key, faults, cut: false, .. } = &entry.what else { continue };
        let target = Target {
            from: key.from.clone(),
            to: key.to.clone(),
            packet: key.packet,
            message: key.message.clone(),
            which: Which::Attempt(key.attempt),
        };
        let (since, until) = (Duration::ZERO, Duration::MAX);
        // What an adversary takes, its moves say.
        let faults = faults.iter().filter(|fault| **fault != Fault::Taken);
        rules.extend(faults.map(|fault| {
            let fault = if *fault == Fault::TooLong { Fault::Drop } else { *fault };
            Rule { since, until, target: target.clone(), fault }
        }));
    }
    let rates = Rates::default();
    let (size_limit, reseed) = (None, None);
    let faults = FaultPlan { rates, rules, size_limit, reseed, ..plan.faults.clone() };
    let disk_faults = DiskFaults { rate: 0.0, rules: disk_rules(log), ..plan.disk_faults };
    Plan { faults, disk_faults, ..plan.clone() }
}

/// What went wrong with disks, each by itself.
fn disk_rules(log: &Log) -> Vec<DiskRule> {
    let rule = |entry: &Entry| {
        let What::Disk(event) = entry.what else { return None };
        let DiskEvent { kind, number, fault, restart_after } = event;
        let (host, since, nth) = (entry.host.clone(), Duration::ZERO, number);
        Some(DiskRule { host, since, kind, nth, fault, restart_after })
    };
    log.entries.iter().filter_map(rule).collect()
}

impl Piece {
    /// The actions that it has of this host.
    fn of_host(&self, host: usize) -> Vec<usize> {
        match self {
            Self::Actions(of, actions) if *of == host => actions.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn is_fault(&self, plan: &Plan) -> bool {
        match self {
            Self::Rule(_) | Self::Cut(_) | Self::Disk(_) | Self::Move(_) => true,
            Self::Host(_) => false,
            Self::Actions(host, actions) => actions.first().is_some_and(|first| {
                !matches!(plan.hosts[*host].actions[*first].act, Act::Type { .. })
            }),
        }
    }
}

/// All that can be left out.
pub(super) fn pieces(plan: &Plan) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = (0..plan.faults.rules.len()).map(Piece::Rule).collect();
    pieces.extend((0..plan.faults.cuts.len()).map(Piece::Cut));
    pieces.extend((0..plan.disk_faults.rules.len()).map(Piece::Disk));
    pieces.extend((0..plan.moves.len()).map(Piece::Move));
    for (index, host) in plan.hosts.iter().enumerate() {
        pieces.extend(action_pieces(&host.actions).into_iter().map(|of| Piece::Actions(index, of)));
    }
    let clients = plan.hosts.iter().enumerate().filter(|(_, host)| host.role != Role::Server);
    pieces.extend(clients.map(|(index, _)| Piece::Host(index)));
    pieces
}

/// The actions of one host that can be left out, those together that make sense only so. A start
/// that no crash precedes has no effect on a program that runs, and stays.
fn action_pieces(actions: &[Action]) -> Vec<Vec<usize>> {
    let mut pieces = Vec::new();
    let mut clocks = Vec::new();
    let mut open: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, action) in actions.iter().enumerate() {
        match &action.act {
            Act::Crash => open.entry("crash").or_default().push(index),
            Act::Start { .. } => {
                if let Some(mut crash) = open.remove("crash") {
                    crash.push(index);
                    pieces.push(crash);
                }
            }
            Act::StepClock { .. } | Act::Drift { .. } => clocks.push(index),
            Act::Type { line, .. } if line.starts_with("dereg ") => {
                open.entry("dereg").or_default().push(index);
            }
            Act::Type { line, .. } if line.starts_with("reg ") => {
                let mut pair = open.remove("dereg").unwrap_or_default();
                pair.push(index);
                pieces.push(pair);
            }
            Act::Type { .. } | Act::Pause { .. } | Act::Mark(_) | Act::Folder(_) => {
                pieces.push(vec![index]);
            }
        }
    }
    pieces.extend(open.into_values());
    pieces.extend((!clocks.is_empty()).then_some(clocks));
    pieces
}

/// The plan with nothing of what can be left out but these.
pub(super) fn only(plan: &Plan, kept: &[Piece]) -> Plan {
    let hosts: BTreeSet<usize> = kept
        .iter()
        .filter_map(|piece| if let Piece::Host(i) = piece { Some(*i) } else { None })
        .collect();
    let is_there = |index: usize| plan.hosts[index].role == Role::Server || hosts.contains(&index);
    let mut result = plan.clone();
    let gone: BTreeSet<&HostName> = (0..plan.hosts.len())
        .filter(|index| !is_there(*index))
        .map(|index| &plan.hosts[index].name)
        .collect();
    // An adversary is no host of the plan.
    let is_there_too = |hosts: &[&HostName]| !hosts.iter().any(|host| gone.contains(host));
    result.hosts = plan
        .hosts
        .iter()
        .enumerate()
        .filter(|(index, _)| is_there(*index))
        .map(|(index, host)| {
            let all: BTreeSet<usize> = action_pieces(&host.actions).concat().into_iter().collect();
            let kept: BTreeSet<usize> =
                kept.iter().flat_map(|piece| piece.of_host(index)).collect();
            let stays = |action: &usize| !all.contains(action) || kept.contains(action);
            let mut host = host.clone();
            let all = std::mem::take(&mut host.actions);
            let indexed = all.into_iter().enumerate().filter(|(action, _)| stays(action));
            host.actions = indexed.map(|(_, action)| action).collect();
            host
        })
        .collect();
    let rules = plan.faults.rules.iter().enumerate();
    result.faults.rules = rules
        .filter(|(index, rule)| {
            kept.contains(&Piece::Rule(*index))
                && is_there_too(&[&rule.target.from, &rule.target.to])
        })
        .map(|(_, rule)| rule.clone())
        .collect();
    let rules = plan.disk_faults.rules.iter().enumerate();
    result.disk_faults.rules = rules
        .filter(|(index, rule)| kept.contains(&Piece::Disk(*index)) && is_there_too(&[&rule.host]))
        .map(|(_, rule)| rule.clone())
        .collect();
    let moves = plan.moves.iter().enumerate();
    result.moves = moves
        .filter(|(index, it)| {
            kept.contains(&Piece::Move(*index)) && is_there_too(&it.trick.hosts())
        })
        .map(|(_, it)| it.clone())
        .collect();
    let cuts = plan.faults.cuts.iter().enumerate();
    result.faults.cuts = cuts
        .filter(|(index, cut)| {
            kept.contains(&Piece::Cut(*index)) && is_there_too(&[&cut.from, &cut.to])
        })
        .map(|(_, cut)| cut.clone())
        .collect();
    result
}

/// Delta debugging (Zeller and Hildebrandt 2002): a part of the pieces that still fails, and of
/// which no piece can be left out.
fn minimise<T: Clone>(mut pieces: Vec<T>, fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut chunks = 2;
    while !pieces.is_empty() {
        let size = pieces.len().div_ceil(chunks);
        let smaller = (0..pieces.len()).step_by(size).find_map(|start| {
            let mut rest = pieces.clone();
            rest.drain(start..(start + size).min(pieces.len()));
            fails(&rest).then_some(rest)
        });
        match smaller {
            Some(rest) => {
                pieces = rest;
                chunks = (chunks - 1).max(2);
            }
            None if size == 1 => break,
            None => chunks = (chunks * 2).min(pieces.len()),
        }
    }
    pieces
}

/// Makes each move as rarely as still fails, by halves: a move of 400 times takes 9 runs.
fn repeat_less(plan: &mut Plan, fails: &mut dyn FnMut(&Plan) -> bool) {
    for index in 0..plan.moves.len() {
        let (mut too_few, mut enough) = (0, plan.moves[index].times);
        while too_few + 1 < enough {
            let times = u32::midpoint(too_few, enough);
            let mut fewer = plan.clone();
            fewer.moves[index].times = times;
            if fails(&fewer) {
                enough = times;
                *plan = fewer;
            } else {
                too_few = times;
            }
        }
    }
}

/// Ends the run earlier if it still fails then.
fn shorten(plan: &mut Plan, fails: &mut dyn FnMut(&Plan) -> Option<Violation>) {
    if let Some(violation) = fails(plan) {
        let at = Duration::from_millis((whole_ms(violation.at) / 100 + 1) * 100);
        let shorter = Plan { healed: None, until: at, ..plan.clone() };
        if at < plan.until && fails(&shorter).is_some() {
            *plan = shorter;
            for host in &mut plan.hosts {
                host.actions.retain(|action| action.at <= at);
            }
            plan.moves.retain(|it| it.at <= at);
            return;
        }
    }
    let last = plan.hosts.iter().flat_map(|host| &host.actions).map(|action| action.at).max();
    for seconds in [12, 25, 40] {
        let until = last.unwrap_or_default() + Duration::from_secs(seconds);
        let shorter = Plan { until, ..plan.clone() };
        if until < plan.until && fails(&shorter).is_some() {
            *plan = shorter;
            return;
        }
    }
}

/// The plan as a person would write it. `log` is what happens when it is run.
#[must_use]
pub fn to_scenario(plan: &Plan, log: &Log, about: String) -> Scenario {
    let mut steps: Vec<Step> = Vec::new();
    let mut numbers: BTreeMap<Label, u32> = BTreeMap::new();
    for host in &plan.hosts {
        let mut started = false;
        let mut number = 0;
        for Action { at, act } in &host.actions {
            let name = host.name.clone();
            let verb = match act {
                Act::Start { port } => {
                    if !has(log, &name, *at, &What::Started { port: *port }) {
                        continue;
                    }
                    let again = std::mem::replace(&mut started, true);
                    start_verb(host, *port, again)
                }
                Act::Crash if !has(log, &name, *at, &What::Crashed) => continue,
                Act::Crash => Verb::Crash { host: name },
                Act::Pause { lasts } => Verb::Pause { host: name, lasts: *lasts },
                Act::StepClock { by_ms } => Verb::Clock { host: name, by_ms: *by_ms },
                Act::Drift { ppm } => Verb::Drift { host: name, ppm: *ppm },
                Act::Mark(mark) => Verb::Mark(mark.clone()),
                Act::Folder(folder) => Verb::Folder { host: name, folder: folder.clone() },
                Act::Type { line, label } => {
                    if let (Some(label), Some(_)) = (label, message(line)) {
                        number += 1;
                        numbers.insert(label.clone(), number);
                    }
                    Verb::Type { host: name, line: line.clone() }
                }
            };
            steps.push(Step { at: *at, verb });
        }
    }
    for Rule { since, target, fault, .. } in &plan.faults.rules {
        let message = target.message.clone().map(|old| {
            let number = numbers.get(&old.command()).copied().unwrap_or(old.number);
            Label { number, ..old }
        });
        let verb = Verb::Fault { target: Target { message, ..target.clone() }, fault: *fault };
        steps.push(Step { at: *since, verb });
    }
    for rule in &plan.disk_faults.rules {
        let DiskRule { host, since, kind, nth, fault, restart_after } = rule.clone();
        steps.push(Step { at: since, verb: Verb::Disk { host, kind, nth, fault, restart_after } });
    }
    steps.extend(plan.moves.iter().cloned().map(move_step));
    for Cut { from, to, since, until } in &plan.faults.cuts {
        let directions = vec![(from.clone(), to.clone())];
        steps.push(Step {
            at: *since,
            verb: Verb::Link { directions: directions.clone(), cut: true },
        });
        steps.push(Step { at: *until, verb: Verb::Link { directions, cut: false } });
    }
    // The server's own start is understood.
    let understood = |verb: &Verb| matches!(verb, Verb::Start { host, .. } if **host == *SERVER);
    steps.retain(|step| !(step.at.is_zero() && understood(&step.verb)));
    // A cut may end after the run.
    steps.retain(|step| step.at <= plan.until);
    steps.sort_by_key(|step| step.at);
    let (seed, disk) = (plan.seed, plan.disk);
    let (settles, until) = (plan.healed.is_some(), plan.until);
    let mtu = plan.faults.size_limit.map(|limit| limit.bytes);
    let mail = plan.mail;
    let two = plan.hosts.iter().filter(|host| host.two_addresses);
    let two_addresses = two.map(|host| host.name.clone()).collect();
    let bug = None;
    Scenario { about, seed, bug, disk, mtu, mail, two_addresses, settles, steps, until }
}

fn move_step(it: Move) -> Step {
    let Move { at, times, every, trick } = it;
    Step { at, verb: Verb::Move { times, every, trick } }
}

/// Whether this happened to a host then: some of what is planned has no effect.
fn has(log: &Log, host: &HostName, at: Duration, what: &What) -> bool {
    log.entries.iter().any(|entry| entry.at == at && entry.host == *host && entry.what == *what)
}

fn start_verb(host: &Host, port: u16, again: bool) -> Verb {
    let usual = if host.role == Role::Server { SERVER_PORT } else { CLIENT_PORT };
    let name = host.name.clone();
    if again {
        return Verb::Restart { host: name, port: Some(port) };
    }
    let user = host.user().filter(|user| user.as_str() != &*name).cloned();
    Verb::Start { host: name, user, port: (port != usual).then_some(port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_needed() {
        for needed in [vec![3], vec![0, 99], vec![7, 8, 50], vec![]] {
            let mut runs = 0;
            let kept = minimise((0..100).collect(), &mut |kept| {
                runs += 1;
                needed.iter().all(|piece| kept.contains(piece))
            });
            assert_eq!(kept, needed);
            assert!(runs < 120, "{runs} runs");
        }
    }

    #[test]
    fn a_move_is_made_no_more_often_than_is_needed() {
        let text = r#"{"about": "a flood", "seed": 1, "steps": [
            {"at": "0s", "start": "alice"},
            {"at": "1s", "spoof": {"as": "alice", "to": "server", "original": "ACK"},
             "times": 400, "every": "1ms"}
        ], "until": "2s"}"#;
        let plan = Scenario::parse(text).unwrap().plan();
        for needed in [1, 2, 77, 400] {
            let (mut plan, mut runs) = (plan.clone(), 0);
            repeat_less(&mut plan, &mut |plan| {
                runs += 1;
                plan.moves[0].times >= needed
            });
            assert_eq!(plan.moves[0].times, needed);
            assert!(runs <= 9, "{runs} runs");
        }
    }

    #[test]
    fn a_crash_goes_with_its_restart_and_leaving_with_coming_back() {
        let types = |line: &str| Act::Type { line: line.to_owned(), label: None };
        let start = || Act::Start { port: 1 };
        let acts = [
            start(),
            types("send a b"),
            types("dereg x"),
            Act::Crash,
            types("reg x"),
            start(),
            start(),
        ];
        let actions: Vec<_> =
            acts.into_iter().map(|act| Action { at: Duration::ZERO, act }).collect();
        assert_eq!(action_pieces(&actions), [vec![1], vec![2, 4], vec![3, 5]]);
    }
}
