//! Runs a plan on turmoil: hosts, sockets and time are turmoil's, the faults are ours.
//!
//! The only place that knows turmoil. turmoil's own faults stay off: its `fail_rate` is not
//! packet loss but breaks links with everything on them. It carries each datagram to its host
//! before it is due, and the host's [`card`] gives it to the program at the very millisecond: so
//! the length of a tick has no influence on what happens (`tests/determinism.rs`).

mod address;
mod adversary;
mod card;
mod clock;
mod disk;
mod host;
mod panic;
mod program;
mod witness;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::engine::network::Network;
use crate::faults::bugs::Planted;
use crate::naming::label::HostName;
use crate::planning::moves::{ADVERSARY, Move};
use crate::planning::plan::{EPOCH_UNIX_MS, Host, LATENCY, Plan, QUIET, SERVER_PORT};
use crate::record::check::is_settled;
use crate::record::log::What;
use crate::record::outcome::Outcome;
use address::Addresses;

/// Datagrams that a socket of turmoil's buffers within one tick: more than any run sends.
const SOCKET_CAPACITY: usize = 4_096;

/// Runs the plan in ticks as long as the network's latency, the fastest there is.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    run_in_ticks(plan, LATENCY, &Planted::default())
}

/// Runs the plan with bugs in every machine.
#[must_use]
pub fn run_with(plan: &Plan, bugs: &Planted) -> Outcome {
    run_in_ticks(plan, LATENCY, bugs)
}

/// Runs the plan in ticks of this length, at most [`LATENCY`].
///
/// # Panics
///
/// If turmoil does: a bug of the simulator. A program's panic is part of the outcome.
#[must_use]
pub fn run_in_ticks(plan: &Plan, tick: Duration, bugs: &Planted) -> Outcome {
    assert!(tick <= LATENCY, "datagrams would arrive late");
    let mut sim = turmoil::Builder::new()
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_UNIX_MS))
        .simulation_duration(Duration::MAX)
        .tick_duration(tick)
        .fail_rate(0.0)
        .min_message_latency(tick)
        .max_message_latency(tick)
        .udp_capacity(SOCKET_CAPACITY)
        .rng_seed(plan.seed)
        .build();
    let mut names: BTreeMap<IpAddr, HostName> = BTreeMap::new();
    let mut hosts: BTreeMap<IpAddr, &Host> = BTreeMap::new();
    let addresses = |first, host: &Host| Addresses { first, two: host.two_addresses };
    for host in &plan.hosts {
        let first = sim.lookup(&*host.name);
        hosts.insert(first, host);
        names.insert(first, host.name.clone());
        names.extend(addresses(first, host).second().map(|second| (second, host.name.clone())));
    }
    let adversary = public(plan, &mut sim, &hosts);
    names.extend(adversary.iter().map(|it| (it.own.first, ADVERSARY.into())));
    let server = hosts.iter().find(|(_, host)| host.name == plan.hosts[0].name);
    let (first, server) = server.expect("the server has just got an address");
    let server = addresses(*first, server);
    let mut faults = plan.faults.clone();
    faults.rules.extend(plan.moves.iter().filter_map(Move::rule));
    let network = Rc::new(Network::new(plan.seed, faults, names));
    let tap = adversary.as_ref().map(adversary::Public::tap);
    let server_at = Rc::new(Cell::new(SocketAddr::new(server.asked(), SERVER_PORT)));
    let last = Rc::default();
    let looks = host::Looks::default();
    let disk_faults = Rc::new(plan.disk_faults.clone());
    for (first, host) in hosts {
        let around = host::Around {
            seed: plan.seed,
            disk: plan.disk,
            disk_faults: Rc::clone(&disk_faults),
            addresses: addresses(first, host),
            server,
            server_at: Rc::clone(&server_at),
            tap: tap.clone(),
            network: Rc::clone(&network),
            last: Rc::clone(&last),
            looks: Rc::clone(&looks),
            mail: plan.mail,
            bugs: bugs.clone(),
        };
        let host = host.clone();
        sim.host(&*host.name.clone(), move || host::run(host.clone(), around.clone()));
    }
    if let Some(adversary) = adversary {
        let network = Rc::clone(&network);
        let run = move || adversary::run(adversary.clone(), Rc::clone(&network));
        sim.host(ADVERSARY, run);
    }
    let end = run_to_the_end(&mut sim, plan, &network, &looks);
    let server = host::snapshot(&last);
    drop(sim);
    let load = network.load();
    let (mut log, mut marks) = network.finish();
    log.entries.retain(|entry| entry.at <= end);
    marks.retain(|mark| mark.at <= end);
    let disk_operations = network.disk_operations();
    Outcome { log, marks, server, load, disk_operations, end }
}

/// What an adversary knows, if there is one. Its address is the last, and changes no other.
fn public(
    plan: &Plan,
    sim: &mut turmoil::Sim<'_>,
    hosts: &BTreeMap<IpAddr, &Host>,
) -> Option<adversary::Public> {
    let moves = plan.moves.clone();
    let first = (!moves.is_empty()).then(|| sim.lookup(ADVERSARY))?;
    let at = |(first, host): (&IpAddr, &&Host)| {
        let two = host.two_addresses;
        (host.name.clone(), Addresses { first: *first, two })
    };
    let own = Addresses { first, two: false };
    let hosts = hosts.iter().map(at).chain([(ADVERSARY.into(), own)]).collect();
    Some(adversary::Public { seed: plan.seed, moves, hosts, own })
}

/// Steps until the plan's end, or until everything has settled; when that was.
fn run_to_the_end(
    sim: &mut turmoil::Sim<'_>,
    plan: &Plan,
    network: &Network,
    looks: &host::Looks,
) -> Duration {
    // What happens in the last millisecond is part of the run, what one tick adds to it is not.
    while sim.elapsed() <= plan.until {
        if let Err(error) = sim.step() {
            let host = plan.hosts[0].name.clone();
            network.record(sim.elapsed(), &host, What::Panicked(format!("simulator: {error}")));
            return sim.elapsed();
        }
        let now = sim.elapsed();
        let quiet = now.saturating_sub(network.last_talk()) > QUIET;
        let whole_second = now.subsec_nanos() == 0;
        // Asked first: the log of a long run is not looked at every second for nothing.
        if plan.healed.is_some_and(|healed| healed + QUIET < now)
            && quiet
            && whole_second
            && is_settled(plan, &network.so_far(), &network.load(), now)
        {
            // Not every host started again after its last commit.
            looks.borrow().iter().for_each(|look| look(now));
            return now;
        }
    }
    plan.until
}

#[cfg(test)]
mod tests {
    use crate::faults::bugs::Bug;

    use super::*;
    use crate::faults::disk::{DiskFault, DiskRule, Keeps, Operation};
    use crate::planning::workload::{self, Profile, Size};
    use crate::record::check::check;

    #[test]
    fn disks_are_held_to_their_promises_in_the_end_though_nobody_starts_again() {
        let size = Size { clients: 2, messages: 4, duration: Duration::from_secs(5) };
        let mut plan = workload::plan(1, &size, &Profile::default());
        // Never, but whoever has a disk that lies must fear it.
        plan.disk_faults.rules.push(DiskRule {
            host: plan.hosts[0].name.clone(),
            since: Duration::ZERO,
            kind: Operation::Sync,
            nth: u64::MAX,
            fault: DiskFault::PowerCut { keeps: Keeps::Nothing },
            restart_after: None,
        });
        let sound = run(&plan);
        let last = sound.log.entries.iter().filter(|entry| entry.at == sound.end);
        let found = last.filter(|entry| matches!(entry.what, What::Found(_)));
        assert_eq!((found.count(), check(&plan, &sound)), (3, Vec::new()));
        let lying = run_with(&plan, &Planted::new(Some(Bug::CommitsUnsynced)));
        let violations = check(&plan, &lying);
        let caught = violations.iter().filter(|violation| violation.checker == "recovery");
        assert!(caught.clone().count() > 0, "{violations:?}");
        assert!(caught.into_iter().all(|violation| violation.at == lying.end));
    }
}
