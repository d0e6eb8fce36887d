//! What all hosts of one run share: who is where, what happens to datagrams, what happened.
//!
//! Every engine gives each host a share of this. Knows no engine, socket or bytes; a host only
//! ever changes what is its own, so hosts that run one after the other within a tick cannot
//! disturb each other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use udpchat_core::client::{self, Wish};
use udpchat_core::load::Load;
use udpchat_core::machine::{Identity, Transmit};
use udpchat_core::protocol::{GroupTag, MessageId, StreamId};
use udpchat_core::server::Snapshot;
use udpchat_node::fault::Fate;

use super::runtime::Timeline;
use crate::faults::fate::{Fates, FaultPlan, together};
use crate::naming::label::{Audience, HostName, Label, Labels};
use crate::record::log::{Entry, Log, Miss, What};
use crate::record::outcome::{Effort, HostLoad, KEEP_ALIVE, Mark};

/// What the hosts of one run share.
pub(super) struct Network {
    timeline: Rc<dyn Timeline>,
    /// What the network does.
    plan: FaultPlan,
    hosts: BTreeMap<IpAddr, HostName>,
    state: RefCell<NetworkState>,
}

#[derive(Debug)]
struct NetworkState {
    fates: Fates,
    labels: Labels,
    log: BTreeMap<HostName, Vec<Entry>>,
    marks: Vec<Mark>,
    on_their_way: BTreeMap<Flight, Identity>,
    next_flight: BTreeMap<HostName, u64>,
    last_talk: Duration,
    load: BTreeMap<HostName, HostLoad>,
    disk_operations: BTreeMap<HostName, u64>,
}

/// A datagram on its way: its sender, and the sender's number for it.
pub(super) type Flight = (HostName, u64);

impl Network {
    /// A network of these hosts.
    pub(super) fn new(
        seed: u64,
        plan: FaultPlan,
        hosts: BTreeMap<IpAddr, HostName>,
        timeline: Rc<dyn Timeline>,
    ) -> Self {
        let state = NetworkState {
            fates: Fates::new(seed, plan.clone()),
            labels: Labels::default(),
            log: BTreeMap::new(),
            marks: Vec::new(),
            on_their_way: BTreeMap::new(),
            next_flight: BTreeMap::new(),
            last_talk: Duration::ZERO,
            load: BTreeMap::new(),
            disk_operations: BTreeMap::new(),
        };
        Self { timeline, plan, hosts, state: RefCell::new(state) }
    }

    /// The time since the run began.
    pub(super) fn now(&self) -> Duration {
        self.timeline.now()
    }

    /// The run's time, to wait in.
    pub(super) fn timeline(&self) -> &Rc<dyn Timeline> {
        &self.timeline
    }

    /// Writes something down.
    pub(super) fn record(&self, at: Duration, host: &HostName, what: What) {
        let entry = Entry { at, host: host.clone(), what };
        self.state.borrow_mut().log.entry(host.clone()).or_default().push(entry);
    }

    /// A message with this label was typed.
    pub(super) fn typed(&self, label: &Label, to: Audience, text: String) {
        self.state.borrow_mut().labels.typed(label.clone(), to, text);
    }

    /// A client writes these changes to its disk: the first time that a message's id is seen.
    pub(super) fn client_writes(&self, host: &HostName, changes: &[client::Change]) {
        let mut state = self.state.borrow_mut();
        for change in changes {
            match change {
                client::Change::Typed { to, id, text, group, .. } => {
                    state.labels.accepted(host, *id, (to, group.as_ref()), Some(text));
                }
                client::Change::Wished { wish: Wish::Say { group, cast, text }, .. } => {
                    let group = GroupTag { cast: *cast, name: Some(group.clone()) };
                    state.labels.cast(host, &group, Some(text));
                }
                _ => {}
            }
        }
    }

    /// What waits in one stream of a client's goes on in another, from its beginning up to a place.
    pub(super) fn renumbered(&self, before: StreamId, stream: StreamId, next_seq: u64) {
        self.state.borrow_mut().labels.renumbered(before, stream, next_seq);
    }

    /// Writes down what a client says.
    pub(super) fn client_says(&self, at: Duration, host: &HostName, event: client::Event) {
        let group = match &event {
            client::Event::Copy { group, .. } => Some(group),
            _ => None,
        };
        if let client::Event::Sending { id, to } = event.plain() {
            self.state.borrow_mut().labels.accepted(host, *id, (to, group), None);
        }
        self.record(at, host, What::Client(event));
    }

    /// What this message is called.
    pub(super) fn label(&self, id: MessageId) -> Option<Label> {
        self.state.borrow().labels.get(id).cloned()
    }

    /// The host's program is no more.
    pub(super) fn ended(&self, host: &HostName) {
        let mut state = self.state.borrow_mut();
        state.labels.ended(host);
        if let Some(load) = state.load.get_mut(host) {
            load.last = Load::default();
        }
    }

    /// The host's program holds so much now; `rests` if it has nothing more to do for now.
    pub(super) fn holds(&self, host: &HostName, load: Load, rests: bool) {
        let mut state = self.state.borrow_mut();
        let known = state.load.entry(host.clone()).or_default();
        known.most.raise_to(&load);
        if rests {
            known.last = load;
        }
    }

    /// The host's program does something that may lead to nothing.
    pub(super) fn works(&self, host: &HostName, what: impl FnOnce(&mut Effort)) {
        let mut state = self.state.borrow_mut();
        if !state.load.contains_key(host) {
            state.load.insert(host.clone(), HostLoad::default());
        }
        if let Some(known) = state.load.get_mut(host) {
            what(&mut known.effort);
        }
    }

    /// The host's disk has done so many operations while random faults were on.
    pub(super) fn disk_has_done(&self, host: &HostName, operations: u64) {
        self.state.borrow_mut().disk_operations.insert(host.clone(), operations);
    }

    /// What all disks have done while random faults were on.
    pub(super) fn disk_operations(&self) -> u64 {
        self.state.borrow().disk_operations.values().sum()
    }

    /// What programs have held so far.
    pub(super) fn load(&self) -> BTreeMap<HostName, HostLoad> {
        self.state.borrow().load.clone()
    }

    /// Takes the server's state down.
    pub(super) fn mark(&self, name: &str, at: Duration, state: Option<Snapshot>) {
        self.state.borrow_mut().marks.push(Mark { name: name.to_owned(), at, state });
    }

    /// Who has this address.
    pub(super) fn host_at(&self, addr: SocketAddr) -> HostName {
        self.hosts.get(&addr.ip()).cloned().unwrap_or_else(|| addr.to_string().into())
    }

    /// A datagram is sent: decides about it and writes it down.
    /// It leaves from `source`, if the host has several addresses.
    pub(super) fn sent(
        &self,
        at: Duration,
        from: &HostName,
        source: Option<IpAddr>,
        transmit: &Transmit,
    ) -> Fate {
        let to = self.host_at(transmit.to);
        let cut = self.plan.is_cut(from, &to, at);
        let mut state = self.state.borrow_mut();
        let Identity { kind, message, .. } = transmit.identity;
        let label = message.and_then(|id| state.labels.get(id)).cloned();
        if !KEEP_ALIVE.contains(&kind) {
            state.last_talk = state.last_talk.max(at);
        }
        let (key, mut faults) = state.fates.decide(at, (from, &to), kind, label.as_ref());
        let bytes = transmit.bytes.len();
        faults.extend(state.fates.by_size(at, bytes));
        drop(state);
        let fate = if cut { Fate { lost: true, ..Fate::default() } } else { together(&faults) };
        self.record(at, from, What::Sent { key, bytes, faults, cut, source });
        fate
    }

    /// One copy of a datagram is on its way; gives its number.
    pub(super) fn departed(&self, from: &HostName, identity: Identity) -> u64 {
        let mut state = self.state.borrow_mut();
        let next = state.next_flight.entry(from.clone()).or_insert(0);
        *next += 1;
        let number = *next;
        state.on_their_way.insert((from.clone(), number), identity);
        number
    }

    /// A datagram is due, at `local` if the host has several addresses. Whether it reaches whoever
    /// listens, if somebody does.
    pub(super) fn due(
        &self,
        at: Duration,
        (to, local): (&HostName, Option<IpAddr>),
        flight: &Flight,
        listens: bool,
    ) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(identity) = state.on_their_way.remove(flight) else { return false };
        let message = identity.message.and_then(|id| state.labels.get(id)).cloned();
        drop(state);
        let (from, packet) = (flight.0.clone(), identity.kind);
        let why = if self.plan.is_cut(&from, to, at) {
            Some(Miss::Cut)
        } else {
            (!listens).then_some(Miss::NobodyListens)
        };
        let what = match why {
            Some(why) => What::Missed { from, packet, message, why },
            None => What::Arrived { from, packet, message, local },
        };
        self.record(at, to, what);
        why.is_none()
    }

    /// What has happened so far.
    pub(super) fn so_far(&self) -> Log {
        let state = self.state.borrow();
        Log::new(state.log.clone(), state.labels.clone(), self.hosts.clone())
    }

    /// When something else than a keep-alive or its answer was last sent.
    pub(super) fn last_talk(&self) -> Duration {
        self.state.borrow().last_talk
    }

    /// What happened, when the run is over.
    pub(super) fn finish(&self) -> (Log, Vec<Mark>) {
        let mut state = self.state.borrow_mut();
        let log = std::mem::take(&mut state.log);
        let labels = std::mem::take(&mut state.labels);
        (Log::new(log, labels, self.hosts.clone()), std::mem::take(&mut state.marks))
    }
}
