//! A program on a host: the real machine under the real loop, until it ends or is killed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use udpchat_core::command::{self, UserRequest};
use udpchat_core::load::Load;
use udpchat_core::machine::{Datagram, Entropy, Machine, Output, Socket, Transmit};
use udpchat_core::store::{Committed, DiskSpace, Store};
use udpchat_core::time::{Now, Time};
use udpchat_core::{client, server};
use udpchat_node::drive::{Environment, drive};
use udpchat_node::fault::{Faulty, Policy};

use super::card::{Card, Plug};
use super::clock::HostClock;
use super::disk::{Opened, PowerCut};
use super::effort::Effort;
use super::panic::words;
use crate::engine::network::Network;
use crate::faults::bugs::Planted;
use crate::faults::mutant::{ClientMutant, ServerMutant};
use crate::naming::label::HostName;
use crate::planning::plan::{INTERRUPT, SERVER_SECOND_PORT};
use crate::record::log::What;

/// Lines that a program has not read yet: more than any plan types at once.
const TYPED_MAX: usize = 8_192;

/// Outputs after one input beyond which a machine will never come to rest. The most that is
/// asked of one is to give up a full outbox.
const OUTPUTS_MAX: u32 = 100_000;

/// What a machine's invariants are checked for after every input that it holds no more than; one
/// that holds more is checked after as many inputs more, or a large run would do nothing else.
const CHECKED_AT_ONCE: usize = 256;

/// A running program.
pub(super) struct Program {
    /// Its execution; dropped, it is killed.
    pub(super) execution: Execution,
    /// Its user's keyboard.
    keyboard: Keyboard,
    /// The client's state, if it is one.
    pub(super) client: Option<Shared<ClientMutant>>,
    /// The server's state, if it is one.
    pub(super) server: Option<Shared<ServerMutant>>,
}

/// Ends with the program.
pub(super) type Execution = Pin<Box<dyn Future<Output = Result<io::Result<()>, Broken>>>>;

/// What breaks a program off.
pub(super) enum Broken {
    /// A bug of its own; what it says.
    Panicked(String),
    /// The loss of power.
    PowerCut,
}

/// What waits behind no line, and is taken at once: Ctrl-C, and what was found of the server.
const INTERRUPTS_MAX: usize = 2;

enum Keyboard {
    Client { lines: Sender<client::Command>, interrupts: Sender<client::Command> },
    Server(Sender<server::Command>),
}

/// What a program is started with.
pub(super) struct Setting {
    pub(super) host: HostName,
    pub(super) network: Rc<Network>,
    pub(super) card: Rc<Card>,
    pub(super) port: u16,
    pub(super) clock: HostClock,
    pub(super) entropy: Entropy,
    pub(super) bugs: Planted,
    /// How long it keeps messages, if it is a server.
    pub(super) keep: Option<Duration>,
}

impl Program {
    pub(super) fn client(
        setting: Setting,
        config: client::ClientConfig,
        whereabouts: Rc<Cell<SocketAddr>>,
        (store, record): (Opened<client::ClientRecord>, client::ClientRecord),
    ) -> Self {
        let (lines, commands) = channel(TYPED_MAX);
        let (interrupts, interrupted) = channel(INTERRUPTS_MAX);
        let commands = (commands, interrupted);
        let bugs = setting.bugs.clone();
        let machine = client::Client::with_bugs(config, record, setting.entropy, setting.bugs);
        let machine = ClientMutant::new(machine, bugs);
        let watch = watch(&setting.network, &setting.host, ClientMutant::load);
        let effort = Effort::of(&setting.network, &setting.host);
        let ports = vec![(Socket::Main, setting.port)];
        let around = (setting.card, setting.clock, setting.network, setting.host);
        let finder = interrupts.clone();
        let says = move |network: &Network, at, host: &HostName, event| {
            if event == client::Event::LookUp {
                let found = client::Command::ServerAddresses(vec![whereabouts.get()]);
                // Nothing is found by whoever has too much to do: they ask again.
                let _ = finder.try_send(found);
                return;
            }
            network.client_says(at, host, event);
        };
        let machine = Shared::new(machine, watch, effort);
        let execution = execute(machine.clone(), around, ports, (store, commands), says);
        let keyboard = Keyboard::Client { lines, interrupts };
        Self { execution, keyboard, client: Some(machine), server: None }
    }

    pub(super) fn server(
        setting: Setting,
        (store, record): (Opened<server::ServerRecord>, server::ServerRecord),
    ) -> Self {
        let (sender, commands) = channel(TYPED_MAX);
        let commands = (commands, channel(1).1);
        let config = server::ServerConfig {
            original: server::Guests::On,
            keep: setting.keep,
            shares: server::Shares::default(),
        };
        let bugs = setting.bugs.clone();
        let machine = server::Server::with_bugs(config, record, setting.entropy, setting.bugs);
        let machine = ServerMutant::new(machine, bugs);
        let watch = watch(&setting.network, &setting.host, ServerMutant::load);
        let effort = Effort::of(&setting.network, &setting.host);
        let machine = Shared::new(machine, watch, effort);
        let ports = vec![(Socket::Main, setting.port), (Socket::Second, SERVER_SECOND_PORT)];
        let around = (setting.card, setting.clock, setting.network, setting.host);
        let says = |network: &Network, at, host: &HostName, event| {
            network.record(at, host, What::Server(event));
        };
        let execution = execute(machine.clone(), around, ports, (store, commands), says);
        let keyboard = Keyboard::Server(sender);
        Self { execution, keyboard, client: None, server: Some(machine) }
    }

    /// Types a line.
    ///
    /// # Errors
    ///
    /// The line is no command; why.
    pub(super) fn type_line(&self, line: &str) -> Result<(), String> {
        let sent = match &self.keyboard {
            Keyboard::Client { interrupts, .. } if line == INTERRUPT => {
                interrupts.try_send(client::Command::Quit).is_ok()
            }
            Keyboard::Client { lines, .. } => match command::parse(line) {
                Ok(Some(UserRequest::Command(command))) => lines.try_send(command).is_ok(),
                Ok(Some(UserRequest::Help) | None) => true,
                Err(why) => return Err(why.to_string()),
            },
            Keyboard::Server(sender) if line == "stop" => {
                sender.try_send(server::Command::Stop).is_ok()
            }
            Keyboard::Server(_) => return Err("a server knows only: stop".to_owned()),
        };
        if sent { Ok(()) } else { Err("too many lines at once".to_owned()) }
    }
}

/// What is typed, and Ctrl-C.
type Commands<M> = (Receiver<<M as Machine>::Command>, Receiver<<M as Machine>::Command>);

/// The card, the clock, the network, and the host's name.
type Around = (Rc<Card>, HostClock, Rc<Network>, HostName);

fn execute<M, S>(
    machine: Shared<M>,
    (card, clock, network, host): Around,
    ports: Vec<(Socket, u16)>,
    (mut store, (mut commands, mut interrupts)): (S, Commands<M>),
    says: impl Fn(&Network, Duration, &HostName, M::Event) + 'static,
) -> Execution
where
    M: Machine + 'static,
    S: Store<Change = M::Change> + 'static,
    M::Command: 'static,
{
    let judge = Judge {
        host: host.clone(),
        ports: ports.clone(),
        card: Rc::clone(&card),
        network: Rc::clone(&network),
    };
    let transport = Faulty::new(Plug::new(card, ports), judge);
    caught(async move {
        let environment = Environment {
            transport: &transport,
            store: &mut store,
            clock: &clock,
            commands: &mut commands,
            interrupts: &mut interrupts,
        };
        let on_event = |_, event, _: &Shared<M>| {
            says(&network, network.now(), &host, event);
            Ok(())
        };
        drive(machine, environment, on_event).await.map(drop)
    })
}

/// Ends with the future, or when that panics.
fn caught(future: impl Future<Output = io::Result<()>> + 'static) -> Execution {
    let mut future = Box::pin(future);
    Box::pin(poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) if panic.is::<PowerCut>() => std::task::Poll::Ready(Err(Broken::PowerCut)),
            Err(panic) => std::task::Poll::Ready(Err(Broken::Panicked(words(&*panic)))),
        }
    }))
}

/// Decides about what one host sends.
struct Judge {
    host: HostName,
    ports: Vec<(Socket, u16)>,
    card: Rc<Card>,
    network: Rc<Network>,
}

impl Policy for Judge {
    fn fate(&self, transmit: &Transmit) -> udpchat_node::fault::Fate {
        let port = self.ports.iter().find(|(socket, _)| *socket == transmit.socket);
        if let Some((_, port)) = port {
            self.card.tap(*port, transmit);
        }
        self.network.sent(self.network.now(), &self.host, self.card.source(transmit), transmit)
    }
}

/// Told of a machine after every input, and when it comes to rest (true); says how much it holds.
type Watch<M> = Rc<dyn Fn(&M, bool) -> usize>;

fn watch<M: 'static>(network: &Rc<Network>, host: &HostName, load: fn(&M) -> Load) -> Watch<M> {
    let (network, host) = (Rc::clone(network), host.clone());
    Rc::new(move |machine, rests| {
        let load = load(machine);
        network.holds(&host, load, rests);
        load.iter().map(|(_, count)| count).sum()
    })
}

/// A machine that can be looked at from outside while the loop drives it.
pub(super) struct Shared<M> {
    machine: Rc<RefCell<M>>,
    outputs: Rc<Cell<u32>>,
    /// Inputs since its invariants were checked last.
    unchecked: Rc<Cell<usize>>,
    watch: Watch<M>,
    effort: Rc<Effort>,
}

impl<M> Shared<M> {
    fn new(machine: M, watch: Watch<M>, effort: Effort) -> Self {
        let (machine, outputs) = (Rc::new(RefCell::new(machine)), Rc::default());
        Self { machine, outputs, unchecked: Rc::default(), watch, effort: Rc::new(effort) }
    }

    fn count_output(&self) {
        self.outputs.set(self.outputs.get() + 1);
        assert!(self.outputs.get() < OUTPUTS_MAX, "never comes to rest after one input");
    }

    pub(super) fn look<R>(&self, at: impl FnOnce(&M) -> R) -> R {
        at(&self.machine.borrow())
    }
}

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        let (machine, outputs) = (Rc::clone(&self.machine), Rc::clone(&self.outputs));
        let (unchecked, watch) = (Rc::clone(&self.unchecked), Rc::clone(&self.watch));
        Self { machine, outputs, unchecked, watch, effort: Rc::clone(&self.effort) }
    }
}

impl<M: Machine> Shared<M> {
    fn input(&self, give: impl FnOnce(&mut M)) {
        self.outputs.set(0);
        self.effort.input();
        let mut machine = self.machine.borrow_mut();
        give(&mut machine);
        let size = (self.watch)(&machine, false);
        let unchecked = self.unchecked.get() + 1;
        let is_due = unchecked * CHECKED_AT_ONCE >= size;
        self.unchecked.set(if is_due { 0 } else { unchecked });
        if is_due {
            machine.check_invariants();
        }
    }
}

impl<M: Machine> Machine for Shared<M> {
    type Command = M::Command;
    type Event = M::Event;
    type Change = M::Change;

    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        self.input(|machine| machine.handle_datagram(now, datagram));
    }

    fn handle_command(&mut self, now: Now, command: M::Command) {
        self.input(|machine| machine.handle_command(now, command));
    }

    fn takes_commands(&self) -> bool {
        self.machine.borrow().takes_commands()
    }

    fn handle_timeout(&mut self, now: Now) {
        let is_due = self.next_timeout().is_some_and(|due| due <= now.time);
        self.input(|machine| machine.handle_timeout(now));
        self.effort.woken(is_due);
    }

    fn handle_committed(&mut self, now: Now, committed: Committed) {
        self.input(|machine| machine.handle_committed(now, committed));
        self.effort.has_room(committed.room == DiskSpace::Plenty);
    }

    fn poll_at_once(&mut self) -> Option<Transmit> {
        self.count_output();
        let transmit = self.machine.borrow_mut().poll_at_once();
        if transmit.is_some() {
            self.effort.does_something();
        }
        transmit
    }

    fn poll_output(&mut self) -> Option<Output<M::Event, M::Change>> {
        self.count_output();
        let mut machine = self.machine.borrow_mut();
        let output = machine.poll_output();
        match &output {
            None => {
                (self.watch)(&machine, true);
                self.effort.rests();
            }
            Some(Output::Commit(changes)) => self.effort.commits(changes.len()),
            Some(_) => self.effort.does_something(),
        }
        output
    }

    fn next_timeout(&self) -> Option<Time> {
        self.machine.borrow().next_timeout()
    }

    fn is_finished(&self) -> bool {
        self.machine.borrow().is_finished()
    }
}
