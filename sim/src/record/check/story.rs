//! Runs written by hand, for the tests of checkers: alice writes to bob, with a server between.

use std::net::IpAddr;
use std::time::Duration;

use udpchat_core::protocol::{MessageId, PacketKind, StreamId};

use super::{Checker, Evidence};
use crate::faults::disk::DiskFaults;
use crate::faults::fate::{FaultPlan, Key};
use crate::naming::label::{Audience, Label};
use crate::planning::plan::{DiskSpeed, Host, Plan, Role, SERVER};
use crate::record::ledger::Ledger;
use crate::record::log::{Entry, Log, What};

/// A run, healed from its beginning.
pub(super) struct Story {
    plan: Plan,
    log: Log,
    typed: u32,
}

/// The message that alice typed as her first, second, ...
pub(super) fn id(number: u32) -> MessageId {
    MessageId { stream: StreamId(7), seq: number.into() }
}

/// What it is called.
pub(super) fn label(number: u32) -> Label {
    Label::new("alice".into(), number)
}

impl Story {
    pub(super) fn new() -> Self {
        let client = |name: &str| Host::new(name, Role::Client { user: name.parse().unwrap() });
        let plan = Plan {
            seed: 1,
            hosts: vec![Host::new(SERVER, Role::Server), client("alice"), client("bob")],
            faults: FaultPlan::default(),
            disk: DiskSpeed::default(),
            disk_faults: DiskFaults::default(),
            moves: Vec::new(),
            mail: None,
            healed: Some(Duration::ZERO),
            until: Duration::MAX,
        };
        Self { plan, log: Log::default(), typed: 0 }.then(0, "alice", What::Started { port: 1 })
    }

    /// The server keeps messages for so many seconds.
    pub(super) fn keeping(mut self, seconds: u64) -> Self {
        self.plan.mail = Some(Duration::from_secs(seconds));
        self
    }

    /// This address is a host's.
    pub(super) fn at(mut self, ip: IpAddr, host: &str) -> Self {
        self.log.addresses.insert(ip, host.into());
        self
    }

    /// In this second something happens to a host.
    pub(super) fn then(mut self, second: u64, host: &str, what: What) -> Self {
        let entry = Entry { at: Duration::from_secs(second), host: host.into(), what };
        self.log.entries.push(entry);
        self
    }

    /// alice types a message to bob, and her client gives it an id.
    pub(super) fn types(mut self, second: u64, text: &str) -> Self {
        self.typed += 1;
        let (label, bob) = (label(self.typed), "bob".parse().unwrap());
        self.log.labels.typed(label.clone(), Audience::One(bob), text.to_owned());
        let bob = &"bob".parse().unwrap();
        self.log.labels.accepted(&label.host, id(self.typed), (bob, None), Some(text));
        let line = format!("send bob {text}");
        self.then(second, "alice", What::Typed { line, label: Some(label), refused: None })
    }

    /// A host sends something.
    pub(super) fn sends(self, second: u64, from: &str, to: &str, packet: PacketKind) -> Self {
        let key = Key { from: from.into(), to: to.into(), packet, message: None, attempt: 1 };
        let (bytes, faults, cut, source) = (50, Vec::new(), false, None);
        self.then(second, from, What::Sent { key, bytes, faults, cut, source })
    }

    /// Something arrives at a host.
    pub(super) fn hears(self, second: u64, host: &str, from: &str, packet: PacketKind) -> Self {
        let from = from.into();
        self.then(second, host, What::Arrived { from, packet, message: None, local: None })
    }

    /// What a checker says to it.
    pub(super) fn violations(&self, checker: &Checker) -> Vec<String> {
        let evidence = Evidence {
            plan: &self.plan,
            end: self.log.entries.last().map_or(Duration::ZERO, |entry| entry.at),
            server: None,
            load: &std::collections::BTreeMap::new(),
            log: &self.log,
            ledger: &Ledger::new(&self.log),
        };
        let violations = (checker.check)(evidence).into_iter();
        violations.map(|violation| violation.what).collect()
    }
}
