//! The promises of docs/protocol.md, each with the checker that holds a run to it.
//!
//! A checker sees what was planned, what happened and what was on disks. Of a machine's inside it
//! sees how much it held, and the server's state in the end.

mod addresses;
mod amplification;
mod answers;
mod bounds;
mod convergence;
mod delivered;
mod duty;
mod effort;
mod groups;
mod heals;
mod here;
mod in_time;
mod keep_alive;
mod kept;
mod loss;
mod memory;
mod model;
mod names;
mod once;
mod order;
mod panic;
mod presence;
mod prompt;
mod quiet;
mod reasons;
mod recovery;
mod repeats;
mod service;
mod sign_in;
#[cfg(test)]
mod story;
mod told;
mod truth;
mod words;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::protocol::Name;
use udpchat_core::server::Snapshot;

use crate::naming::label::HostName;
use crate::planning::moves::Move;
use crate::planning::plan::{Host, Plan, QUIET};
use crate::record::ledger::Ledger;
use crate::record::log::Log;
use crate::record::outcome::{HostLoad, Outcome};

/// What a checker sees.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// When the run ended.
    pub end: Duration,
    /// The server's state then, if it is known.
    pub server: Option<&'a Snapshot>,
    /// What programs held in memory.
    pub load: &'a BTreeMap<HostName, HostLoad>,
    /// What happened.
    pub log: &'a Log,
    /// What happened, by message.
    pub ledger: &'a Ledger,
}

impl Evidence<'_> {
    fn is_owed(&self, name: &Name) -> bool {
        self.ledger.is_owed(self.plan, name)
    }

    /// Whether another host has had the name of this one's user.
    fn has_shared_name(&self, host: &str) -> bool {
        let user = self.plan.host(host).and_then(Host::user);
        user.is_some_and(|user| self.ledger.shared.contains(user))
    }
}

/// When a promise must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At any time, whatever goes wrong.
    Always,
    /// At the end of a run whose faults have ended long ago.
    AfterHealing,
}

/// A promise and its checker.
#[derive(Clone, Copy, Debug)]
pub struct Checker {
    /// Its short name, for reports and fixtures.
    pub name: &'static str,
    /// What it promises.
    pub promise: &'static str,
    /// When.
    pub when: When,
    check: fn(Evidence<'_>) -> Vec<Violation>,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one, by the checker's name.
    pub checker: &'static str,
    /// When it showed.
    pub at: Duration,
    /// How.
    pub what: String,
}

/// All of them.
pub const CHECKERS: &[Checker] = &[
    panic::CHECKER,
    names::CHECKER,
    sign_in::CHECKER,
    amplification::CHECKER,
    service::CHECKER,
    work::CHECKER,
    addresses::CHECKER,
    once::CHECKER,
    order::CHECKER,
    words::CHECKER,
    truth::CHECKER,
    kept::CHECKER,
    delivered::CHECKER,
    recovery::CHECKER,
    loss::CHECKER,
    convergence::CHECKER,
    quiet::CHECKER,
    bounds::CHECKER,
    memory::CHECKER,
    presence::CHECKER,
    model::CHECKER,
    groups::CHECKER,
    heals::CHECKER,
    answers::CHECKER,
    told::CHECKER,
    here::CHECKER,
    prompt::CHECKER,
    in_time::CHECKER,
    keep_alive::CHECKER,
    repeats::CHECKER,
    effort::CHECKER,
    reasons::CHECKER,
];

/// The simulator's own promise, which no log of one run can show.
pub const ENGINES: Checker = Checker {
    name: "engines",
    promise: "both engines give the same run of the same plan",
    when: When::Always,
    check: |_| Vec::new(),
};

/// The checker of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Checker> {
    CHECKERS.iter().chain([&ENGINES]).find(|checker| checker.name == name)
}

/// Every promise that the run broke; if it was healed, also those that hold only then.
#[must_use]
pub fn check(plan: &Plan, outcome: &Outcome) -> Vec<Violation> {
    check_with(plan, outcome, &Ledger::new(&outcome.log))
}

/// [`check`], for whoever has the log's ledger.
#[must_use]
pub fn check_with(plan: &Plan, outcome: &Outcome, ledger: &Ledger) -> Vec<Violation> {
    let Outcome { log, server, load, end, .. } = outcome;
    let server = server.as_ref();
    violations(Evidence { plan, end: *end, server, load, log, ledger }).collect()
}

fn violations(evidence: Evidence<'_>) -> impl Iterator<Item = Violation> {
    let is_healed = evidence.plan.healed.is_some();
    let applies = move |checker: &&Checker| is_healed || checker.when == When::Always;
    CHECKERS.iter().filter(applies).flat_map(move |checker| (checker.check)(evidence))
}

/// Whether a run that has gone on until `now` has settled, so that going on would show nothing
/// new: nothing is left to be done to it, it is quiet, and every promise is kept.
#[must_use]
pub fn is_settled(
    plan: &Plan,
    log: impl FnOnce() -> Log,
    load: &BTreeMap<HostName, HostLoad>,
    now: Duration,
) -> bool {
    let actions = plan.hosts.iter().flat_map(|host| &host.actions);
    let moves = plan.moves.iter().map(Move::last);
    let last = actions.map(|action| action.at).chain(moves).max().unwrap_or_default();
    let quiet_since = now.saturating_sub(QUIET);
    if plan.healed.is_none_or(|healed| healed >= quiet_since) || last >= quiet_since {
        return false;
    }
    let log = &log();
    let ledger = &Ledger::new(log);
    violations(Evidence { plan, end: now, server: None, load, log, ledger }).next().is_none()
}
