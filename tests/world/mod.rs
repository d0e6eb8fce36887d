//! A world of machines without a runtime: datagrams and timers are moved by hand.
//!
//! Every datagram takes [`LATENCY`]; a rule may lose it, keep it back, or let it pass. One rule
//! decides by the identity of what our machines send, the other by the bytes of anything.

mod feed;
mod foreign;
pub(crate) mod sight;
mod tallies;
mod wide;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::client::{Client, ClientConfig, ClientRecord, Command, Event};
use udpchat_core::command::{self, UserRequest};
use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket, Transmit};
use udpchat_core::protocol::{Name, PacketKind, StoreId, Token};
use udpchat_core::server::{self, Guests, Server, ServerConfig, ServerRecord, Shares, Snapshot};
use udpchat_core::store::{Committed, DiskSpace, Record};
use udpchat_core::time::{Now, Time, WallTime};

use foreign::ForeignNode;
pub(crate) use foreign::{Foreign, Shared, Wire};
pub(crate) use sight::{Sight, Verdict};

/// What every datagram takes from node to node.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

/// More inputs than any test needs: catches endless talk.
const INPUTS_MAX: u32 = 200_000;

/// Where the server listens.
pub(crate) fn server_addr() -> SocketAddr {
    ([192, 0, 2, 1], 9_000).into()
}

/// Where the server's other socket is.
pub(crate) fn second_addr() -> SocketAddr {
    ([192, 0, 2, 1], 9_001).into()
}

/// The day on which every world begins.
const EPOCH_UNIX_MS: u64 = 1_767_361_500_000;

/// Whom a node is: several may have the same name, as "alice" and "alice.2".
fn label(node: &str) -> Name {
    node.split('.').next().unwrap_or(node).parse().expect("a name")
}

type Rule = Box<dyn FnMut(Time, &Sight) -> Verdict>;
type WireRule = Box<dyn FnMut(&Wire) -> Verdict>;

struct InFlight {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct ClientNode {
    machine: Client,
    record: ClientRecord,
    addr: SocketAddr,
    events: Vec<Event>,
    dies: Option<Moment>,
}

/// A moment in a client's life between remembering a message and acknowledging it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The store has the message, the screen does not.
    BeforeShowing,
    /// The screen has it, and the client does not know that yet.
    AfterShowing,
}

/// One server, some clients, perhaps foreign nodes, and the network between them.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) server: Option<Server>,
    server_at: SocketAddr,
    /// What the server's name stands for; the first is where clients begin.
    pub(crate) known_at: Vec<SocketAddr>,
    pub(crate) server_record: ServerRecord,
    /// How long the server keeps messages, from its next start on.
    pub(crate) keep: Duration,
    /// What one may have, from then on too: all that there is, unless a test says otherwise.
    pub(crate) shares: Shares,
    /// How much room the server's disk has, and the clients whose disks have little.
    pub(crate) server_room: DiskSpace,
    pub(crate) low: Vec<&'static str>,
    /// Whether clients that are started have a store, and type what can wait.
    pub(crate) have_stores: bool,
    pub(crate) patient: bool,
    /// Whether clients that are started speak the original's dialect to its servers.
    pub(crate) original: bool,
    pub(crate) server_events: Vec<server::Event>,
    clients: BTreeMap<String, ClientNode>,
    /// What those left that died at a [`Moment`].
    dead: BTreeMap<String, ClientNode>,
    foreign: BTreeMap<String, ForeignNode>,
    network: BTreeMap<(Time, u64), InFlight>,
    sent: u64,
    pub(crate) log: Vec<(Time, Sight)>,
    /// Everything that was sent, as bytes.
    pub(crate) wire: Vec<Wire>,
    rule: Rule,
    wire_rule: WireRule,
    lives: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self::without_server();
        world.start_server();
        world
    }

    /// A world in which a foreign server may be put.
    pub(crate) fn without_server() -> Self {
        Self {
            now: Time::ZERO,
            server: None,
            server_at: server_addr(),
            known_at: vec![server_addr()],
            server_record: ServerRecord::new(StoreId(1)),
            keep: server::timing::KEEP,
            shares: wide::shares(),
            server_room: DiskSpace::Plenty,
            low: Vec::new(),
            have_stores: true,
            patient: false,
            original: false,
            server_events: Vec::new(),
            clients: BTreeMap::new(),
            dead: BTreeMap::new(),
            foreign: BTreeMap::new(),
            network: BTreeMap::new(),
            sent: 0,
            log: Vec::new(),
            wire: Vec::new(),
            rule: Box::new(|_, _| Verdict::Pass),
            wire_rule: Box::new(|_| Verdict::Pass),
            lives: 0,
        }
    }

    /// A world with these clients, registered.
    pub(crate) fn with(names: &[&str]) -> Self {
        let mut world = Self::new();
        for (name, port) in names.iter().zip(5_000..) {
            world.start(name, port, 0);
        }
        world.run(Duration::from_secs(1));
        world
    }

    pub(crate) fn rule(&mut self, rule: impl FnMut(Time, &Sight) -> Verdict + 'static) {
        self.rule = Box::new(rule);
    }

    /// A rule that loses every packet of a kind, and no other.
    pub(crate) fn loses_every(&mut self, kind: PacketKind) {
        self.rule(
            move |_, sight| {
                if sight.identity.kind == kind { Verdict::Lose } else { Verdict::Pass }
            },
        );
    }

    /// A rule for the datagrams of all nodes, after the other rule has let them pass.
    pub(crate) fn wire_rule(&mut self, rule: impl FnMut(&Wire) -> Verdict + 'static) {
        self.wire_rule = Box::new(rule);
    }

    /// Puts a foreign node at an address, in place of an older one of the name.
    pub(crate) fn add_foreign(&mut self, name: &str, addr: SocketAddr, node: Shared<dyn Foreign>) {
        self.foreign.insert(name.to_owned(), ForeignNode { node, addr });
        self.drain();
    }

    /// Starts a client with an empty memory on a port; `token` 0 draws one.
    pub(crate) fn start(&mut self, name: &str, port: u16, token: u64) {
        self.lives += 1;
        let token = if token == 0 { self.lives } else { token };
        let record = ClientRecord::new(label(name), Token(token));
        let addr = SocketAddr::from(([192, 0, 2, 2], port));
        self.place(name, addr, record);
    }

    /// Kills a client and starts it again with what its store holds.
    pub(crate) fn restart(&mut self, name: &str) {
        self.restart_with(name, |_| ());
    }

    /// The same with something else in its store.
    pub(crate) fn restart_with(&mut self, name: &str, change: impl FnOnce(&mut ClientRecord)) {
        let node = self.clients.remove(name).or_else(|| self.dead.remove(name));
        let mut node = node.expect("a client that runs, or has died");
        change(&mut node.record);
        self.place(name, node.addr, node.record);
    }

    fn place(&mut self, name: &str, addr: SocketAddr, record: ClientRecord) {
        let mut config = ClientConfig::new(label(name), self.known_at[0], addr.port());
        config.others.extend(&self.known_at[1..]);
        (config.has_store, config.patient) = (self.have_stores, self.patient);
        config.original = self.original;
        let machine = Client::new(config, record.clone(), self.entropy());
        let (events, dies) = (Vec::new(), None);
        self.clients.insert(name.to_owned(), ClientNode { machine, record, addr, events, dies });
        self.drain();
    }

    /// Lets a client die when it shows its next message.
    pub(crate) fn dies(&mut self, name: &str, moment: Moment) {
        self.clients.get_mut(name).expect("a client").dies = Some(moment);
    }

    /// What a client's store holds, whether it runs or has died.
    pub(crate) fn client_record(&self, name: &str) -> &ClientRecord {
        let node = self.clients.get(name).or_else(|| self.dead.get(name));
        &node.expect("a client").record
    }

    /// Kills a client, ours or foreign, without a word.
    pub(crate) fn kill(&mut self, name: &str) {
        self.clients.remove(name);
        self.foreign.remove(name);
    }

    /// The server ends here and starts there, with its memory.
    pub(crate) fn move_server(&mut self, to: SocketAddr) {
        self.server_at = to;
        self.start_server();
    }

    pub(crate) fn kill_server(&mut self) {
        self.server = None;
    }

    pub(crate) fn start_server(&mut self) {
        let config =
            ServerConfig { original: Guests::On, keep: Some(self.keep), shares: self.shares };
        self.server = Some(Server::new(config, self.server_record.clone(), self.entropy()));
    }

    /// The next server knows nothing of this one.
    pub(crate) fn lose_server_memory(&mut self) {
        let StoreId(life) = self.server_record.store;
        self.server_record = ServerRecord::new(StoreId(life + 1));
    }

    fn entropy(&mut self) -> Entropy {
        self.lives += 1;
        let mut state = self.lives << 32;
        Entropy::new(move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 27)
        })
    }

    pub(crate) fn reading(&self) -> Now {
        let since_start_ms =
            u64::try_from(self.now.since_start().as_millis()).expect("a short test");
        Now { time: self.now, wall: WallTime::from_unix_ms(EPOCH_UNIX_MS + since_start_ms) }
    }

    /// A client's user types a line.
    pub(crate) fn types(&mut self, name: &str, line: &str) {
        let Ok(Some(UserRequest::Command(command))) = command::parse(line) else {
            panic!("{line:?} is no command");
        };
        self.commands(name, command);
    }

    pub(crate) fn commands(&mut self, name: &str, command: Command) {
        let now = self.reading();
        let machine = &mut self.clients.get_mut(name).expect("a client").machine;
        machine.handle_command(now, command);
        machine.check_invariants();
        self.drain();
    }

    /// A datagram from anywhere.
    pub(crate) fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.sent += 1;
        self.network.insert((self.now + LATENCY, self.sent), InFlight { from, to, bytes });
    }

    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..INPUTS_MAX {
            let timeouts = self.clients.values().filter_map(|node| node.machine.next_timeout());
            let server = self.server.as_ref().and_then(Machine::next_timeout);
            let foreign = self.foreign.values().filter_map(|it| it.node.borrow().next_timeout());
            let arrival = self.network.keys().next().map(|(due, _)| *due);
            let next = timeouts.chain(server).chain(foreign).chain(arrival).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.step();
        }
        panic!("more than {INPUTS_MAX} inputs: somebody talks without end");
    }

    fn step(&mut self) {
        let now = self.reading();
        if let Some(entry) = self.network.first_entry().filter(|entry| entry.key().0 <= now.time) {
            let datagram = entry.remove();
            self.deliver(now, &datagram);
        } else {
            for machine in self.server.iter_mut() {
                time_passes(machine, now);
            }
            for node in self.clients.values_mut() {
                time_passes(&mut node.machine, now);
            }
            for foreign in self.foreign.values() {
                foreign.node.borrow_mut().handle_timeout(now);
            }
        }
        self.drain();
    }

    fn deliver(&mut self, now: Now, InFlight { from, to, bytes }: &InFlight) {
        if let Some(foreign) = self.foreign.values().find(|foreign| foreign.addr == *to) {
            foreign.node.borrow_mut().handle_datagram(now, *from, bytes);
        } else if *to == self.server_at || *to == second_addr() {
            let socket = if *to == self.server_at { Socket::Main } else { Socket::Second };
            if let Some(server) = &mut self.server {
                server.handle_datagram(now, Datagram { socket, local: None, from: *from, bytes });
                server.check_invariants();
            }
        } else if let Some(node) = self.clients.values_mut().find(|node| node.addr == *to) {
            let socket = Socket::Main;
            node.machine.handle_datagram(now, Datagram { socket, local: None, from: *from, bytes });
            node.machine.check_invariants();
        }
    }

    /// Takes from every node what it has to say. To be called after every input.
    pub(crate) fn drain(&mut self) {
        let now = self.reading();
        let mut out: Vec<(SocketAddr, Transmit)> = Vec::new();
        if let Some(server) = &mut self.server {
            while let Some(output) = server.poll_output() {
                match output {
                    Output::Transmit(t) => match t.socket {
                        Socket::Main => out.push((self.server_at, t)),
                        Socket::Second => out.push((second_addr(), t)),
                    },
                    Output::Event(event) => self.server_events.push(event),
                    Output::Commit(changes) => {
                        changes.iter().for_each(|change| self.server_record.apply(change));
                        let room = self.server_room;
                        server.handle_committed(now, Committed { commits: 1, room });
                    }
                }
            }
        }
        let mut died = Vec::new();
        for (name, node) in &mut self.clients {
            let low = self.low.contains(&name.as_str());
            let room = if low { DiskSpace::Low } else { DiskSpace::Plenty };
            while let Some(output) = node.machine.poll_output() {
                match output {
                    Output::Transmit(t) => out.push((node.addr, t)),
                    Output::Event(Event::Message { .. })
                        if node.dies == Some(Moment::BeforeShowing) =>
                    {
                        died.push(name.clone());
                        break;
                    }
                    Output::Event(Event::LookUp) => {
                        let found = Command::ServerAddresses(self.known_at.clone());
                        node.machine.handle_command(now, found);
                    }
                    Output::Event(event) => {
                        let shows = matches!(event, Event::Message { .. });
                        node.events.push(event);
                        if shows && node.dies == Some(Moment::AfterShowing) {
                            died.push(name.clone());
                            break;
                        }
                    }
                    Output::Commit(changes) => {
                        changes.iter().for_each(|change| node.record.apply(change));
                        node.machine.handle_committed(now, Committed { commits: 1, room });
                    }
                }
            }
        }
        for (addr, transmit) in out {
            self.carry(addr, transmit);
        }
        for name in died {
            let node = self.clients.remove(&name);
            self.dead.extend(node.map(|node| (name, node)));
        }
        let mut foreign = Vec::new();
        for ForeignNode { node, addr } in self.foreign.values() {
            while let Some((to, bytes)) = node.borrow_mut().poll_transmit() {
                foreign.push((*addr, to, bytes));
            }
        }
        for (from, to, bytes) in foreign {
            self.carry_bytes(from, to, bytes, Verdict::Pass);
        }
    }

    fn carry(&mut self, addr: SocketAddr, transmit: Transmit) {
        let (from, to) = (self.name_of(addr), self.name_of(transmit.to));
        let sight = Sight { from, to, identity: transmit.identity };
        let verdict = (self.rule)(self.now, &sight);
        self.log.push((self.now, sight));
        self.carry_bytes(addr, transmit.to, transmit.bytes, verdict);
    }

    fn carry_bytes(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>, so_far: Verdict) {
        let names = (self.name_of(from), self.name_of(to));
        let wire = Wire { at: self.now, from: names.0, to: names.1, bytes: bytes.clone() };
        let verdict = match so_far {
            Verdict::Pass => (self.wire_rule)(&wire),
            decided => decided,
        };
        self.wire.push(wire);
        let delays = match verdict {
            Verdict::Pass => vec![Duration::ZERO],
            Verdict::Lose => vec![],
            Verdict::Delay(delay) => vec![delay],
            Verdict::Twice(delay) => vec![Duration::ZERO, delay],
        };
        for delay in delays {
            self.sent += 1;
            let due = self.now + LATENCY + delay;
            self.network.insert((due, self.sent), InFlight { from, to, bytes: bytes.clone() });
        }
    }

    fn name_of(&self, addr: SocketAddr) -> String {
        if addr == self.server_at {
            return "server".to_owned();
        }
        if addr == second_addr() {
            return "second".to_owned();
        }
        let ours = self.clients.iter().map(|(name, node)| (name, node.addr));
        let foreign = self.foreign.iter().map(|(name, node)| (name, node.addr));
        let mut named = ours.chain(foreign).filter(|(_, at)| *at == addr);
        named.next().map_or_else(|| addr.to_string(), |(name, _)| name.clone())
    }

    pub(crate) fn addr(&self, name: &str) -> SocketAddr {
        self.clients.get(name).map_or_else(|| self.foreign[name].addr, |node| node.addr)
    }

    pub(crate) fn events(&self, name: &str) -> &[Event] {
        &self.clients[name].events
    }

    pub(crate) fn is_finished(&self, name: &str) -> bool {
        self.clients[name].machine.is_finished()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.server.as_ref().expect("a server that runs").snapshot()
    }

    /// What a client was shown: (sender, text).
    pub(crate) fn shown(&self, name: &str) -> Vec<(String, String)> {
        let shown = self.events(name).iter().filter_map(|event| match event {
            Event::Message { from, text, .. } => Some((from.to_string(), text.clone())),
            _ => None,
        });
        shown.collect()
    }
}

fn time_passes(machine: &mut impl Machine, now: Now) {
    let is_due = machine.next_timeout().is_some_and(|due| due <= now.time);
    machine.handle_timeout(now);
    if is_due {
        machine.check_invariants();
    }
}
