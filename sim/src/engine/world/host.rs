//! A host: carries out what the plan does to it, at the very millisecond, and runs its program.
//!
//! One future for everything, so that the order within a millisecond is always the same: first
//! what the plan does, then the program. Killing the program drops its future and nothing else;
//! none of its destructors reaches the network or the disk.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use crate::faults::bugs::Bug;
use udpchat_core::client::{ClientConfig, ClientRecord};
use udpchat_core::machine::Entropy;
use udpchat_core::protocol::{Name, StoreId, Token};
use udpchat_core::server::timing::KEEP;
use udpchat_core::server::{ServerRecord, Snapshot};

use super::Storage;
use super::address::Addresses;
use super::card::{Card, Tap};
use super::clock::{HostClock, Oscillator};
use super::disk::{Copied, Disk, Unopened};
use super::program::{Broken, Program, Setting, Shared};
use super::witness::{OnClient, OnServer};
use crate::engine::network::Network;
use crate::engine::runtime::{Cable, until};
use crate::faults::bugs::Planted;
use crate::faults::disk::DiskFaults;
use crate::faults::mutant::ServerMutant;
use crate::naming::label::{HostName, Label};
use crate::naming::random::Stream;
use crate::planning::plan::{Act, Action, DiskSpeed, Folder, Host, Role, message};
use crate::record::log::What;

/// The running server, for whoever wants to look at it.
pub(super) type Last = Rc<RefCell<Option<Shared<ServerMutant>>>>;

/// Looks at each host's disk, as if its program were started at this time.
pub(super) type Looks = Rc<RefCell<Vec<Box<dyn Fn(Duration)>>>>;

/// What every host is told.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) seed: u64,
    /// When the run ends.
    pub(super) until: Duration,
    pub(super) disk: DiskSpeed,
    pub(super) disk_faults: Rc<DiskFaults>,
    pub(super) storage: Storage,
    /// The server's.
    pub(super) server: Addresses,
    /// Where the server is, or was when it ran last: what its name stands for.
    pub(super) server_at: Rc<Cell<SocketAddr>>,
    /// Who listens to what is sent.
    pub(super) tap: Option<Tap>,
    pub(super) network: Rc<Network>,
    pub(super) last: Last,
    pub(super) looks: Looks,
    pub(super) comparisons: Comparisons,
    /// Copies of folders, the last of each host.
    pub(super) copies: Rc<RefCell<BTreeMap<HostName, Copied>>>,
    pub(super) bugs: Planted,
    /// How long the server keeps messages, if not as the shipped one does.
    pub(super) mail: Option<Duration>,
}

/// The state of the server that runs, if one does.
pub(super) fn snapshot(last: &Last) -> Option<Snapshot> {
    last.borrow().as_ref().map(|server| server.look(ServerMutant::snapshot))
}

/// What a host is, from the beginning of the run on. It never ends, but what would happen after
/// the run's end does not.
pub(super) async fn run(host: Host, (own, cable): (Addresses, Rc<dyn Cable>), around: Around) {
    let network = Rc::clone(&around.network);
    let cable = (cable, around.tap.clone());
    let card = Card::new(host.name.clone(), (own, around.server), Rc::clone(&network), cable);
    let card = Rc::new(card);
    let over = around.until + Duration::from_millis(1);
    let mut script: VecDeque<Action> = host.actions.into();
    let mut place = Place {
        kept: Kept::new(&host.role, &host.name, &around),
        name: host.name,
        card,
        asked_at: own.asked(),
        around,
        oscillator: Rc::default(),
        starts: 0,
        program: None,
        port: 0,
        restart_at: None,
        paused_until: Duration::ZERO,
    };
    while network.now() < over {
        while script.front().is_some_and(|action| action.at <= network.now()) {
            if let Some(action) = script.pop_front() {
                place.carry_out(action.act);
            }
        }
        place.restart_if_due();
        let next = script.front().map(|action| action.at);
        let next = next.into_iter().chain(place.restart_at).chain([over]).min();
        tokio::select! {
            biased;
            () = until(network.timeline(), next) => {}
            () = place.live() => {}
        }
    }
    pending().await
}

/// A host at work.
struct Place {
    name: HostName,
    kept: Kept,
    card: Rc<Card>,
    /// The address at which others are to ask.
    asked_at: IpAddr,
    around: Around,
    oscillator: Rc<Cell<Oscillator>>,
    starts: u32,
    program: Option<Program>,
    /// Of its last program.
    port: u16,
    /// When somebody starts it again that its disk has ended.
    restart_at: Option<Duration>,
    paused_until: Duration,
}

/// Compares what each program that runs knows with what its disk has.
pub(super) type Comparisons = Rc<RefCell<BTreeMap<HostName, Box<dyn Fn(Duration)>>>>;

/// What survives the program.
#[derive(Clone)]
enum Kept {
    Server(Disk<ServerRecord>),
    Client(Name, Disk<ClientRecord>),
}

impl Kept {
    fn new(role: &Role, name: &HostName, around: &Around) -> Self {
        let (seed, network) = (around.seed, &around.network);
        let disk = (around.disk, &*around.disk_faults, around.storage);
        let kept = match role {
            Role::Server => {
                let id = StoreId(Stream::new(seed, &["disk", "server"]).draw());
                let witness = OnServer::new(Rc::clone(network), name.clone());
                let fresh = ServerRecord::new(id);
                Self::Server(Disk::new(fresh, disk, (seed, name), network, Rc::new(witness)))
            }
            Role::Client { user } => {
                let token = Token(Stream::new(seed, &["disk", name]).draw());
                let witness = OnClient::new(Rc::clone(network), name.clone());
                let fresh = ClientRecord::new(user.clone(), token);
                let disk = Disk::new(fresh, disk, (seed, name), network, Rc::new(witness));
                Self::Client(user.clone(), disk)
            }
        };
        // Without a power cut a disk may lie as it likes.
        if around.disk_faults.cuts_power() && around.bugs.has(Bug::CommitsUnsynced) {
            kept.lie();
        }
        around.looks.borrow_mut().push(kept.look());
        kept
    }

    /// See [`Disk::look`].
    fn look(&self) -> Box<dyn Fn(Duration)> {
        match self.clone() {
            Self::Server(disk) => Box::new(move |at| disk.look(at)),
            Self::Client(_, disk) => Box::new(move |at| disk.look(at)),
        }
    }

    /// See [`Disk::compare`].
    fn comparison(&self, program: &Program) -> Option<Box<dyn Fn(Duration)>> {
        Some(match self {
            Self::Server(disk) => {
                let (disk, machine) = (disk.clone(), program.server.clone()?);
                Box::new(move |at| machine.look(|machine| disk.compare(at, machine.durable())))
            }
            Self::Client(_, disk) => {
                let (disk, machine) = (disk.clone(), program.client.clone()?);
                Box::new(move |at| machine.look(|machine| disk.compare(at, machine.durable())))
            }
        })
    }

    fn lie(&self) {
        match self {
            Self::Server(disk) => disk.lie(),
            Self::Client(_, disk) => disk.lie(),
        }
    }

    fn close(&self) {
        match self {
            Self::Server(disk) => disk.close(),
            Self::Client(_, disk) => disk.close(),
        }
    }

    fn restart_after(&self) -> Option<Duration> {
        match self {
            Self::Server(disk) => disk.restart_after(),
            Self::Client(_, disk) => disk.restart_after(),
        }
    }
}

impl Place {
    /// Lets the program run until it ends; without one, lets datagrams pass by.
    async fn live(&mut self) {
        let is_paused = self.paused_until > self.now();
        let Some(program) = &mut self.program else { return self.card.ignore().await };
        if is_paused {
            return until(self.around.network.timeline(), Some(self.paused_until)).await;
        }
        let what = match program.execution.as_mut().await {
            Ok(result) => What::Ended { error: result.err().map(|error| error.to_string()) },
            Err(Broken::Panicked(text)) => What::Panicked(text),
            Err(Broken::PowerCut) => What::Crashed,
        };
        self.ended(what);
    }

    /// The program has ended; if its disk has ended it, somebody starts it again.
    fn ended(&mut self, what: What) {
        if matches!(what, What::Crashed | What::Ended { error: Some(_) }) {
            let after = self.kept.restart_after();
            self.restart_at = after.map(|after| self.now().saturating_add(after));
        }
        self.stop();
        self.record(what);
    }

    fn restart_if_due(&mut self) {
        if self.restart_at.is_some_and(|at| at <= self.now()) {
            self.start(self.port);
        }
    }

    fn carry_out(&mut self, act: Act) {
        match act {
            Act::Start { port } => self.start(port),
            Act::Crash => {
                if self.program.is_some() {
                    // First of all: the database would close its file in peace when it is dropped.
                    self.kept.close();
                    self.stop();
                    self.record(What::Crashed);
                }
            }
            Act::Type { line, label } => self.type_line(line, label),
            Act::Pause { lasts } => {
                self.paused_until = self.now() + lasts;
                self.record(What::Paused { lasts });
            }
            Act::StepClock { by_ms } => {
                self.oscillator.set(self.oscillator.get().step(by_ms));
                self.record(What::ClockStepped { by_ms });
            }
            Act::Drift { ppm } => {
                self.oscillator.set(self.oscillator.get().drift(ppm, self.now()));
                self.record(What::ClockDrifts { ppm });
            }
            Act::Folder(folder) => self.folder(folder),
            Act::Mark(name) => {
                self.around.network.mark(&name, self.now(), snapshot(&self.around.last));
                self.record(What::Marked(name));
            }
        }
    }

    /// Something happens to the folder, if it can now.
    fn folder(&mut self, folder: Folder) {
        let Kept::Client(user, disk) = &mut self.kept else { return };
        let mut copies = self.around.copies.borrow_mut();
        match &folder {
            Folder::Copied => {
                copies.insert(self.name.clone(), disk.copied());
            }
            _ if self.program.is_some() => return,
            Folder::Lost => {
                let starts = self.starts.to_string();
                let token = Stream::new(self.around.seed, &["disk", &self.name, &starts]).draw();
                disk.replace(None, ClientRecord::new(user.clone(), Token(token)));
            }
            Folder::Replaced { by } => {
                let Some(copy) = copies.get(by) else { return };
                // Never used: there is a store.
                disk.replace(Some(copy), ClientRecord::default());
            }
        }
        drop(copies);
        self.record(What::Folder(folder));
    }

    fn start(&mut self, port: u16) {
        if self.program.is_some() {
            return;
        }
        self.starts += 1;
        (self.port, self.restart_at) = (port, None);
        self.record(What::Started { port });
        let starts = self.starts.to_string();
        let entropy = Stream::new(self.around.seed, &["entropy", &self.name, &starts]);
        let setting = Setting {
            host: self.name.clone(),
            network: Rc::clone(&self.around.network),
            card: Rc::clone(&self.card),
            port,
            clock: HostClock::start(&self.oscillator, self.around.network.timeline()),
            entropy: Entropy::from(entropy),
            bugs: self.around.bugs.clone(),
            keep: self.around.mail.or(Some(KEEP)),
        };
        let program = match &self.kept {
            Kept::Server(disk) => disk.open().map(|kept| Program::server(setting, kept)),
            Kept::Client(user, disk) => disk.open().map(|kept| {
                let server = Rc::clone(&self.around.server_at);
                let config = ClientConfig::new(user.clone(), server.get(), port);
                let config = ClientConfig { has_store: true, patient: true, ..config };
                Program::client(setting, config, server, kept)
            }),
        };
        let program = match program {
            Ok(program) => program,
            Err(Unopened::PowerCut) => return self.ended(What::Crashed),
            Err(Unopened::Panics(text)) => return self.ended(What::Panicked(text)),
            Err(Unopened::Fails(error)) => {
                return self.ended(What::Ended { error: Some(error) });
            }
        };
        if let Some(server) = &program.server {
            self.around.server_at.set(SocketAddr::new(self.asked_at, port));
            *self.around.last.borrow_mut() = Some(server.clone());
        }
        // What a planted bug does is for the checkers of the promises to find.
        if let Some(comparison) =
            self.kept.comparison(&program).filter(|_| !self.around.bugs.is_any())
        {
            self.around.comparisons.borrow_mut().insert(self.name.clone(), comparison);
        }
        self.program = Some(program);
    }

    fn stop(&mut self) {
        self.around.comparisons.borrow_mut().remove(&self.name);
        if self.program.take().is_some_and(|program| program.server.is_some()) {
            *self.around.last.borrow_mut() = None;
        }
        self.kept.close();
        self.paused_until = Duration::ZERO;
        self.around.network.ended(&self.name);
    }

    fn type_line(&self, line: String, label: Option<Label>) {
        let Some(program) = &self.program else {
            let refused = Some("no program runs".to_owned());
            return self.record(What::Typed { line, label: None, refused });
        };
        if let (Some(label), Some((to, text))) = (&label, message(&line)) {
            self.around.network.typed(label, to, text);
        }
        let refused = program.type_line(&line).err();
        self.record(What::Typed { line, label, refused });
    }

    fn now(&self) -> Duration {
        self.around.network.now()
    }

    fn record(&self, what: What) {
        self.around.network.record(self.now(), &self.name, what);
    }
}
