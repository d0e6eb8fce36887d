//! The hosts of a run, each a future that an engine polls, and what became of them.

mod address;
mod adversary;
mod card;
mod clock;
mod disk;
mod effort;
mod host;
mod panic;
mod program;
mod rows;
mod witness;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::runtime::{Cable, Timeline, Waiting};
use crate::engine::network::Network;
use crate::faults::bugs::Planted;
use crate::naming::label::HostName;
use crate::planning::moves::{ADVERSARY, Move};
use crate::planning::plan::{Plan, QUIET, SERVER_PORT};
use crate::record::check::is_settled;
use crate::record::log::What;
use crate::record::outcome::Outcome;
use address::Addresses;

/// Where a host's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In the database that ships, on a simulated disk.
    Disk,
    /// In memory: if nothing goes wrong with any disk.
    Memory,
}

/// Everything of a run but time and cables.
pub(super) struct World {
    plan: Plan,
    network: Rc<Network>,
    sites: Vec<Site>,
    around: host::Around,
    /// Beside the plan's hosts, if there is one.
    adversary: Option<adversary::Public>,
}

/// Where a host is.
pub(super) struct Site {
    pub(super) name: HostName,
    pub(super) address: IpAddr,
    /// The ports that its card has.
    pub(super) ports: Vec<u16>,
}

impl World {
    /// The hosts of a plan, with bugs in every machine.
    pub(super) fn new(
        plan: &Plan,
        bugs: &Planted,
        timeline: Rc<dyn Timeline>,
        storage: Storage,
    ) -> Self {
        let mut names: BTreeMap<IpAddr, HostName> = BTreeMap::new();
        let mut addresses: BTreeMap<HostName, Addresses> = BTreeMap::new();
        let mut sites = Vec::new();
        for (index, host) in plan.hosts.iter().enumerate() {
            let own = Addresses { first: address::of_host(index), two: host.two_addresses };
            names.insert(own.first, host.name.clone());
            names.extend(own.second().map(|second| (second, host.name.clone())));
            addresses.insert(host.name.clone(), own);
            sites.push(Site { name: host.name.clone(), address: own.first, ports: host.ports() });
        }
        let server = addresses[&plan.hosts[0].name];
        // Its address is the last, and changes no other.
        let own = Addresses { first: address::of_host(plan.hosts.len()), two: false };
        let adversary = (!plan.moves.is_empty()).then(|| {
            names.insert(own.first, ADVERSARY.into());
            addresses.insert(ADVERSARY.into(), own);
            adversary::Public { seed: plan.seed, moves: plan.moves.clone(), hosts: addresses, own }
        });
        sites.extend(adversary.as_ref().map(|adversary| Site {
            name: ADVERSARY.into(),
            address: own.first,
            ports: adversary.ports(),
        }));
        let mut faults = plan.faults.clone();
        faults.rules.extend(plan.moves.iter().filter_map(Move::rule));
        let network = Rc::new(Network::new(plan.seed, faults, names, timeline));
        let around = host::Around {
            seed: plan.seed,
            until: plan.until,
            disk: plan.disk,
            disk_faults: Rc::new(plan.disk_faults.clone()),
            storage,
            server,
            server_at: Rc::new(Cell::new(SocketAddr::new(server.asked(), SERVER_PORT))),
            tap: adversary.as_ref().map(adversary::Public::tap),
            network: Rc::clone(&network),
            last: Rc::default(),
            looks: Rc::default(),
            comparisons: Rc::default(),
            copies: Rc::default(),
            mail: plan.mail,
            bugs: bugs.clone(),
        };
        Self { plan: plan.clone(), network, sites, around, adversary }
    }

    /// Where the hosts are, in the order of their addresses.
    pub(super) fn hosts(&self) -> &[Site] {
        &self.sites
    }

    /// A host, from the beginning of the run on; it never ends.
    pub(super) fn host(&self, index: usize, cable: Rc<dyn Cable>) -> Waiting<'static> {
        let network = Rc::clone(&self.network);
        match self.plan.hosts.get(index) {
            Some(host) => {
                let first = self.sites[index].address;
                let addresses = Addresses { first, two: host.two_addresses };
                Box::pin(host::run(host.clone(), (addresses, cable), self.around.clone()))
            }
            None => match self.adversary.clone() {
                Some(adversary) => Box::pin(adversary::run(adversary, cable, network)),
                None => Box::pin(std::future::pending()),
            },
        }
    }

    /// The engine itself fails: no promise of a program, but no run either.
    pub(super) fn breaks_down(&self, at: Duration, why: &str) {
        let host = &self.plan.hosts[0].name;
        self.network.record(at, host, What::Panicked(format!("simulator: {why}")));
    }

    /// Whether everything has settled at a whole second. If it has, hosts' disks are looked at:
    /// not every host started again after its last commit.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        let is_quiet = now.saturating_sub(self.network.last_talk()) > QUIET;
        let is_settled = self.plan.healed.is_some()
            && is_quiet
            && is_settled(&self.plan, || self.network.so_far(), &self.network.load(), now);
        if is_settled {
            self.around.looks.borrow().iter().for_each(|look| look(now));
            self.around.comparisons.borrow().values().for_each(|compare| compare(now));
        }
        is_settled
    }

    /// What came of it, when it ended at this time.
    pub(super) fn finish(&self, end: Duration) -> Outcome {
        let server = host::snapshot(&self.around.last);
        let load = self.network.load();
        let (mut log, mut marks) = self.network.finish();
        log.entries.retain(|entry| entry.at <= end);
        marks.retain(|mark| mark.at <= end);
        let disk_operations = self.network.disk_operations();
        Outcome { log, marks, server, load, disk_operations, end }
    }
}
#[cfg(test)]
mod tests {
    use crate::faults::bugs::Bug;

    use super::*;
    use crate::engine::{self, Engine};
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
        let sound = engine::run(&plan);
        let last = sound.log.entries.iter().filter(|entry| entry.at == sound.end);
        let found = last.filter(|entry| matches!(entry.what, What::Found(_)));
        assert_eq!((found.count(), check(&plan, &sound)), (3, Vec::new()));
        let bugs = Planted::new(Some(Bug::CommitsUnsynced));
        let lying = Engine::default().run(&plan, &bugs);
        let violations = check(&plan, &lying);
        let caught = violations.iter().filter(|violation| violation.checker == "recovery");
        assert!(caught.clone().count() > 0, "{violations:?}");
        assert!(caught.into_iter().all(|violation| violation.at == lying.end));
    }
}
