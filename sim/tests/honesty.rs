//! What is asked is what happens: on every link, in every direction, for every kind of fault; and
//! what must follow from it follows.

use std::collections::BTreeMap;
use std::time::Duration;

use sim::engine;
use sim::faults::disk::{DiskFault, Operation};
use sim::faults::fate::{Fault, Rates};
use sim::naming::label::HostName;
use sim::planning::workload::{self, Profile, Size};
use sim::record::ledger::Ledger;
use sim::record::log::What;
use sim::search::attempts::{Attempts, expected};

/// How many standard deviations a measured rate may be off: by chance one in two million is. Runs
/// are what their seeds make them, so this never fails by chance.
const DEVIATIONS: f64 = 5.0;

const ASKED: Rates =
    Rates { drop: 0.3, duplicate: 0.1, corrupt: 0.05, truncate: 0.02, delay: None, burst: 0.0 };

#[test]
fn measured_rates_are_the_asked_ones_on_every_link() {
    let size = Size { clients: 3, messages: 100, duration: Duration::from_secs(30) };
    let profile = Profile { rates: ASKED, ..Profile::default() };
    let mut links: BTreeMap<(HostName, HostName), (u32, [u32; 4])> = BTreeMap::new();
    for seed in 0..10 {
        let outcome = engine::run(&workload::plan(seed, &size, &profile));
        for entry in &outcome.log.entries {
            let What::Sent { key, faults, .. } = &entry.what else { continue };
            if entry.at >= size.duration {
                continue;
            }
            let link = links.entry((key.from.clone(), key.to.clone())).or_default();
            link.0 += 1;
            for fault in faults {
                match fault {
                    Fault::Drop => link.1[0] += 1,
                    Fault::Duplicate { .. } => link.1[1] += 1,
                    Fault::Corrupt { .. } => link.1[2] += 1,
                    Fault::Truncate { .. } => link.1[3] += 1,
                    Fault::Burst | Fault::TooLong | Fault::Taken | Fault::Delay { .. } => {
                        unreachable!("nobody asked for it")
                    }
                }
            }
        }
    }
    assert_eq!(links.len(), 12, "four hosts, each to each other");
    let asked = [ASKED.drop, ASKED.duplicate, ASKED.corrupt, ASKED.truncate];
    for ((from, to), (sent, faults)) in links {
        assert!(sent > 300, "{from} to {to}: {sent} datagrams prove nothing");
        for (count, asked) in faults.into_iter().zip(asked) {
            let measured = f64::from(count) / f64::from(sent);
            let tolerance = DEVIATIONS * (asked * (1.0 - asked) / f64::from(sent)).sqrt();
            let off = (measured - asked).abs();
            assert!(off < tolerance, "{from} to {to}: asked {asked}, measured {measured}");
        }
    }
}

#[test]
fn disks_fail_as_often_as_asked_in_each_way_and_at_each_kind_of_operation() {
    const RATE: f64 = 0.02;
    let size = Size { clients: 3, messages: 40, duration: Duration::from_secs(10) };
    let profile = Profile { disk_faults: RATE, ..Profile::default() };
    let mut operations = 0;
    let mut faults: BTreeMap<(Operation, &str), u64> = BTreeMap::new();
    for seed in 0..40 {
        let outcome = engine::run(&workload::plan(seed, &size, &profile));
        operations += outcome.disk_operations;
        for entry in &outcome.log.entries {
            let What::Disk(event) = entry.what else { continue };
            // What befell a program that ended is told when the next one starts.
            assert!(entry.at <= size.duration, "seed {seed}: a fault after healing: {entry:?}");
            let way = match event.fault {
                DiskFault::PowerCut { .. } => "power cut",
                DiskFault::Fails => "fails",
                DiskFault::Full { .. } => "full",
                DiskFault::Slow { .. } => "slow",
                DiskFault::Replaced => "replaced",
            };
            *faults.entry((event.kind, way)).or_default() += 1;
        }
    }
    assert_eq!(faults.len(), 8, "each way at each kind: {faults:?}");
    let within = |share: f64, count: u64| {
        let expected = share * operations as f64;
        (count as f64 - expected).abs() < DEVIATIONS * (expected * (1.0 - share)).sqrt()
    };
    let sum = |way| faults.iter().filter(|((_, of), _)| *of == way).map(|(_, count)| count).sum();
    assert!(operations > 10_000, "{operations} operations prove nothing");
    assert!(within(RATE, faults.values().sum()), "{faults:?} of {operations}");
    for way in ["power cut", "fails", "full", "slow"] {
        assert!(within(RATE / 4.0, sum(way)), "{way}: {faults:?} of {operations}");
    }
}

#[test]
fn tries_a_message_are_those_that_follow_from_the_loss() {
    let size = Size { clients: 6, messages: 24, duration: Duration::from_secs(20) };
    let rates = Rates { drop: 0.3, ..Rates::default() };
    let profile = Profile { rates, ..Profile::default() };
    let mut tries = Vec::new();
    for seed in 0..100 {
        let plan = workload::plan(seed, &size, &profile);
        let log = engine::run(&plan).log;
        let each = Attempts::each(&log, &Ledger::new(&log), plan.faults.rates_until);
        tries.extend(each.into_iter().map(|(_, tries)| tries as f64));
    }
    let count = tries.len() as f64;
    assert!(count > 500.0, "{count} messages prove nothing");
    let mean = tries.iter().sum::<f64>() / count;
    let variance = tries.iter().map(|tries| (tries - mean).powi(2)).sum::<f64>() / count;
    let expected = expected(&profile, false).unwrap();
    let tolerance = DEVIATIONS * (variance / count).sqrt();
    assert!((mean - expected).abs() < tolerance, "expected {expected}, measured {mean}");
}
