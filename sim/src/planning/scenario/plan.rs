//! What makes sense as a scenario, and what it means to those who run it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::client::timing::GIVE_UP;
use udpchat_core::command;
use udpchat_core::protocol::Name;

use super::{Scenario, Step, Verb};
use crate::faults::disk::{DiskFault, DiskFaults, DiskRule};
use crate::faults::fate::{Cut, FaultPlan, Rule, SizeLimit};
use crate::naming::label::HostName;
use crate::planning::moves::{ADVERSARY, Move};
use crate::planning::plan::{
    Act, CLIENT_PORT, Host, INTERRUPT, Plan, Role, SERVER, SERVER_PORT, ends,
};

/// A problem with a step, by the step's index.
type Bad = (usize, String);

/// Checks what the steps have to do with each other.
pub(super) fn check(scenario: &Scenario) -> Result<(), Bad> {
    let (steps, until) = (&*scenario.steps, scenario.until);
    let mut everyone: BTreeSet<&str> = steps.iter().filter_map(started).collect();
    everyone.insert(SERVER);
    let attacked = steps.iter().any(|step| step.as_move().is_some());
    if attacked && everyone.contains(ADVERSARY) {
        return Err((0, format!("{ADVERSARY:?} is the adversary's host; call yours otherwise")));
    }
    let several: Vec<&HostName> = scenario.two_addresses.iter().collect();
    if !steps.is_empty() {
        known(&everyone, &several).map_err(|problem| (0, problem))?;
    }
    let mut running: BTreeMap<&str, bool> = BTreeMap::new();
    if server_starts_by_itself(steps) {
        running.insert(SERVER, true);
    }
    // Whose program may be ended by its disk, or has been told to end, which takes as long as it
    // takes: what is typed meanwhile is for nobody.
    let mut failing: BTreeSet<&str> = BTreeSet::new();
    let mut before = Duration::ZERO;
    for (index, step) in steps.iter().enumerate() {
        let bad = |problem: &str| Err((index, problem.to_owned()));
        if step.at < before {
            return bad("this is before the step above it; steps go forward in time");
        }
        if step.at > until {
            return bad("this is after the end of the scenario, `until`");
        }
        before = step.at;
        if let Verb::Disk { host, fault, .. } = &step.verb
            && !matches!(fault, DiskFault::Slow { .. })
        {
            failing.insert(host);
        }
        if let Verb::Type { host, line } = &step.verb
            && ends(line)
        {
            failing.insert(host);
        }
        let may_have_ended = match &step.verb {
            Verb::Restart { host, .. } | Verb::Crash { host } => {
                step.at > GIVE_UP || failing.contains(&**host)
            }
            _ => false,
        };
        if attacked {
            // Programs may end at any time, and datagrams go where nobody is.
            let ours: Vec<&HostName> =
                step.verb.hosts().into_iter().filter(|it| !is_strange(it)).collect();
            known(&everyone, &ours).map_err(|problem| (index, problem))?;
        } else {
            check_hosts(&step.verb, &mut running, &everyone, may_have_ended)
                .map_err(|problem| (index, problem))?;
        }
        check_words(&step.verb).map_err(|problem| (index, problem))?;
    }
    Ok(())
}

/// Whether it is an adversary's host, or an address at which nobody is.
fn is_strange(host: &str) -> bool {
    *host == *ADVERSARY || host.parse::<SocketAddr>().is_ok()
}

fn started(step: &Step) -> Option<&str> {
    match &step.verb {
        Verb::Start { host, .. } => Some(host),
        _ => None,
    }
}

fn server_starts_by_itself(steps: &[Step]) -> bool {
    !steps.iter().any(|step| started(step) == Some(SERVER))
}

/// Whether the step's hosts are there and in a state in which it can be done.
fn check_hosts<'a>(
    verb: &'a Verb,
    running: &mut BTreeMap<&'a str, bool>,
    everyone: &BTreeSet<&str>,
    may_have_ended: bool,
) -> Result<(), String> {
    match verb {
        Verb::Start { host, .. } => match running.insert(host, true) {
            None => Ok(()),
            Some(_) => Err(format!("{host:?} has been started before; use restart")),
        },
        Verb::Restart { host, .. } => match running.insert(host, true) {
            Some(false) => Ok(()),
            // A client that cannot reach the server ends by itself, any program whose disk fails;
            // restarting what runs does nothing.
            Some(true) if may_have_ended => Ok(()),
            Some(true) => Err(format!("{host:?} is running; crash it or let it quit first")),
            None => Err(format!("no host {host:?} has been started")),
        },
        Verb::Crash { host } => match running.insert(host, false) {
            Some(true) => Ok(()),
            Some(false) if may_have_ended => Ok(()),
            Some(false) => Err(format!("{host:?} is not running")),
            None => Err(format!("no host {host:?} has been started")),
        },
        Verb::Type { host, .. } | Verb::Pause { host, .. } => must_run(running, host),
        // A clock goes on while no program runs.
        Verb::Clock { host, .. } | Verb::Drift { host, .. } => known(everyone, &[host]),
        Verb::Fault { target, .. } => known(everyone, &[&target.from, &target.to]),
        Verb::Link { directions, .. } => {
            directions.iter().try_for_each(|(from, to)| known(everyone, &[from, to]))
        }
        Verb::Disk { host, .. } => known(everyone, &[host]),
        Verb::Move { trick, .. } => known(everyone, &trick.hosts()),
        Verb::Folder { .. } => known(everyone, &verb.hosts()),
        Verb::Mark(_) => Ok(()),
    }
}

/// The most that a scenario's clocks may gain or lose: the checkers' bounds on repetition have a
/// quarter in hand.
const DRIFT_MAX_PPM: i64 = 100_000;

fn must_run(running: &BTreeMap<&str, bool>, host: &str) -> Result<(), String> {
    match running.get(host) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("{host:?} is not running")),
        None => Err(format!("no host {host:?} has been started")),
    }
}

fn known(everyone: &BTreeSet<&str>, hosts: &[&HostName]) -> Result<(), String> {
    match hosts.iter().find(|host| !everyone.contains::<str>(host)) {
        None => Ok(()),
        Some(host) => Err(format!("no host {host:?} is ever started")),
    }
}

/// Whether names and lines are what they must be.
fn check_words(verb: &Verb) -> Result<(), String> {
    match verb {
        Verb::Start { host, user: None, .. } if **host != *SERVER => host
            .parse::<Name>()
            .map(drop)
            .map_err(|why| format!("{host:?} is no user's name ({why}); add `user`")),
        Verb::Mark(name) if name.is_empty() => Err("a mark needs a name".to_owned()),
        Verb::Drift { ppm, .. } if !(-DRIFT_MAX_PPM..=DRIFT_MAX_PPM).contains(ppm) => {
            Err(format!("`ppm` is from -{DRIFT_MAX_PPM} to {DRIFT_MAX_PPM}, not {ppm}"))
        }
        Verb::Type { host, line } if **host == *SERVER => match line.as_str() {
            "stop" => Ok(()),
            _ => Err("the server's operator can only type: stop".to_owned()),
        },
        Verb::Type { line, .. } => {
            let is_key = line == INTERRUPT;
            let parsed = if is_key { Ok(()) } else { command::parse(line).map(drop) };
            parsed.map_err(|why| format!("{line:?}: {why}"))
        }
        Verb::Folder { host, .. } if **host == *SERVER => {
            Err("only a client's folder is copied, lost or restored".to_owned())
        }
        _ => Ok(()),
    }
}

impl Step {
    /// The adversary's move that it is, if it is one.
    fn as_move(&self) -> Option<Move> {
        let Verb::Move { times, every, trick } = self.verb.clone() else { return None };
        Some(Move { at: self.at, times, every, trick })
    }
}

impl Scenario {
    /// What engines run.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut server = Host::new(SERVER, Role::Server);
        if server_starts_by_itself(&self.steps) {
            server.then(Duration::ZERO, Act::Start { port: SERVER_PORT });
        }
        let mut builder = Builder {
            hosts: vec![server],
            faults: FaultPlan {
                size_limit: self.mtu.map(|bytes| SizeLimit { bytes, until: Duration::MAX }),
                ..FaultPlan::default()
            },
            disk_faults: DiskFaults::default(),
            ports: BTreeMap::new(),
            until: self.until,
        };
        for step in &self.steps {
            builder.add(step);
        }
        let Builder { mut hosts, faults, disk_faults, until, .. } = builder;
        for host in &mut hosts {
            host.two_addresses = self.two_addresses.contains(&host.name);
        }
        let moves: Vec<Move> = self.steps.iter().filter_map(Step::as_move).collect();
        let steps = self.steps.last().map(|step| step.at);
        let last = steps.into_iter().chain(moves.iter().map(Move::last)).max().unwrap_or_default();
        let healed = self.settles.then_some(last);
        let Self { seed, disk, mail, .. } = *self;
        Plan { seed, hosts, faults, disk, disk_faults, moves, mail, healed, until }
    }
}

struct Builder {
    hosts: Vec<Host>,
    faults: FaultPlan,
    disk_faults: DiskFaults,
    ports: BTreeMap<HostName, u16>,
    until: Duration,
}

impl Builder {
    fn add(&mut self, step: &Step) {
        let at = step.at;
        match &step.verb {
            Verb::Start { host, user, port } => {
                let usual = if **host == *SERVER { SERVER_PORT } else { CLIENT_PORT };
                let user = user.clone().or_else(|| host.parse().ok());
                if let (true, Some(user)) = (**host != *SERVER, user) {
                    self.hosts.push(Host::new(host, Role::Client { user }));
                }
                self.start(at, host, port.unwrap_or(usual));
            }
            Verb::Restart { host, port } => {
                let usual = if **host == *SERVER { SERVER_PORT } else { CLIENT_PORT };
                let before = self.ports.get(host).copied().unwrap_or(usual);
                self.start(at, host, port.unwrap_or(before));
            }
            Verb::Crash { host } => self.act(at, host, Act::Crash),
            Verb::Type { host, line } => {
                if let Some(host) = self.host(host) {
                    host.then_type(at, line);
                }
            }
            Verb::Pause { host, lasts } => self.act(at, host, Act::Pause { lasts: *lasts }),
            Verb::Clock { host, by_ms } => self.act(at, host, Act::StepClock { by_ms: *by_ms }),
            Verb::Drift { host, ppm } => self.act(at, host, Act::Drift { ppm: *ppm }),
            Verb::Fault { target, fault } => {
                let (since, until) = (at, Duration::MAX);
                let rule = Rule { since, until, target: target.clone(), fault: *fault };
                self.faults.rules.push(rule);
            }
            Verb::Link { directions, cut } => {
                for (from, to) in directions {
                    self.link(at, from, to, *cut);
                }
            }
            Verb::Disk { host, kind, nth, fault, restart_after } => {
                self.disk_faults.rules.push(DiskRule {
                    host: host.clone(),
                    since: at,
                    kind: *kind,
                    nth: *nth,
                    fault: *fault,
                    restart_after: *restart_after,
                });
            }
            Verb::Folder { host, folder } => self.act(at, host, Act::Folder(folder.clone())),
            // See `Step::as_move`.
            Verb::Move { .. } => {}
            Verb::Mark(name) => self.act(at, &SERVER.into(), Act::Mark(name.clone())),
        }
    }

    fn start(&mut self, at: Duration, host: &HostName, port: u16) {
        self.ports.insert(host.clone(), port);
        self.act(at, host, Act::Start { port });
    }

    fn act(&mut self, at: Duration, host: &HostName, act: Act) {
        if let Some(host) = self.host(host) {
            host.then(at, act);
        }
    }

    fn host(&mut self, name: &HostName) -> Option<&mut Host> {
        self.hosts.iter_mut().find(|host| host.name == *name)
    }

    fn link(&mut self, at: Duration, from: &HostName, to: &HostName, cut: bool) {
        let end = self.until.saturating_add(Duration::from_millis(1));
        let cuts = &mut self.faults.cuts;
        let open =
            cuts.iter_mut().find(|cut| cut.from == *from && cut.to == *to && cut.until == end);
        match (open, cut) {
            (None, true) => {
                let (from, to) = (from.clone(), to.clone());
                cuts.push(Cut { from, to, since: at, until: end });
            }
            (Some(open), false) => open.until = at,
            _ => {}
        }
    }
}
