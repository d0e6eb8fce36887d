//! `udpchat demo`: a server, a user and a partner that echoes, in one process on the loopback
//! interface, with a bad network between them. For a newcomer's first minute.
//!
//! Everything is real but the faults: the machines, the loop, UDP, the user's screen. It opens
//! ports of its own and keeps nothing.

mod course;
mod network;
mod pace;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use anyhow::Context;
use tokio::sync::mpsc::{self, Sender};
use udpchat_core::client::{Client, ClientConfig, ClientRecord, Command, Event};
use udpchat_core::protocol::{Name, StoreId, Token};
use udpchat_core::server::{Guests, Server, ServerConfig, ServerRecord, Shares};
use udpchat_core::time::Now;
use udpchat_node::drive::{Environment, drive};
use udpchat_node::fault::{Faulty, HoldBack};
use udpchat_node::real::{SystemClock, entropy};
use udpchat_node::store::Nowhere;
use udpchat_node::transport::{Transport, UdpTransport};

use super::interrupt::first_interrupt;
use super::manner::{Verdict, manner};
use super::real::{COMMANDS_AHEAD, bind, give_once, runtime};
use crate::cli::DemoOptions;
use crate::ui::Mode;
use crate::ui::front::{self, Front, Wishes};
use course::Courses;
use network::{Host, Network};
use pace::Pace;

/// The user's name.
const USER: &str = "you";

/// The partner's.
const ECHO: &str = "echo";

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A port of a demo, with the bad network before it.
type Wire = Faulty<HoldBack<UdpTransport, SystemClock>, Network>;

/// Runs a demo until the user leaves. Whether everything was delivered.
///
/// # Errors
///
/// It could not begin, or not go on. [`io::ErrorKind::BrokenPipe`]: nobody reads what it prints.
pub(crate) fn run(options: &DemoOptions) -> anyhow::Result<bool> {
    let (mode, hang_up) = manner(options.style);
    runtime()?.block_on(async {
        let interrupted = first_interrupt(hang_up).context("cannot wait for Ctrl-C")?;
        let clock = SystemClock::start();
        let seed = options.seed.unwrap_or_else(|| u64::from(entropy().draw() as u16));
        let courses = Rc::new(RefCell::new(Courses::default()));
        let network = Network::new(seed, options.rates, &courses);
        let server = open(&network, Host::Server, clock)?;
        let user = open(&network, Host::User, clock)?;
        let echo = open(&network, Host::Echo, clock)?;
        let (front, input) =
            front::open(wishes(options, mode)).context("cannot use the terminal")?;
        front.notice(&greeting(options, seed))?;

        let (user_sender, mut user_commands) = mpsc::channel(COMMANDS_AHEAD);
        let (interrupter, mut interrupts) = mpsc::channel(1);
        let (typed_sender, typed) = mpsc::channel(COMMANDS_AHEAD);
        // The partner is never behind by more than the user may be ahead.
        let (echo_sender, mut echo_commands) = mpsc::channel(pace::AHEAD_MAX);
        let (_nobody, mut server_commands) = mpsc::channel(1);
        let pace = Pace::default();
        let verdict = Verdict::new(mode);
        let on_event = |now: Now, mut event: Event, _: &Client| {
            verdict.note(&mut event);
            show(&front, &courses, now, &event)?;
            pace.note(&event);
            Ok(())
        };
        let on_echo_event = |now: Now, event: Event, _: &Client| {
            answer(&echo_sender, &event);
            courses.borrow_mut().note_echo(now.time, &event);
            Ok(())
        };
        let at = server.1;
        let echo_told = (&mut echo_commands, &mut mpsc::channel(1).1);
        let user_told = (&mut user_commands, &mut interrupts);
        tokio::select! {
            biased;
            never = give_once(interrupted, &interrupter, Command::Quit) => match never {},
            Err(error) = front.obey(input, &typed_sender, &verdict.understood) => {
                return Err(error.into());
            }
            never = pace.keep(typed, &user_sender, &courses) => match never {},
            result = run_server(&server.0, &clock, &mut server_commands) => result?,
            result = run_client(ECHO, &echo, at, &clock, echo_told, on_echo_event) => result?,
            result = run_client(USER, &user, at, &clock, user_told, on_event) => result?,
        };
        front.end()?;
        Ok(verdict.complete.get())
    })
}

fn wishes(options: &DemoOptions, mode: Mode) -> Wishes {
    Wishes {
        name: name(USER),
        mode,
        color: options.color,
        history: false,
        partner: Some(name(ECHO)),
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// What a newcomer must know.
fn greeting(options: &DemoOptions, seed: u64) -> String {
    format!(
        "a server, you and {ECHO}, who answers everything; {}; seed {seed}. Type something; \
         commands begin with /, and /quit ends it",
        options.rates
    )
}

/// Shows an event, and what the network had done to the message that it is about.
fn show(front: &Front, courses: &RefCell<Courses>, now: Now, event: &Event) -> io::Result<()> {
    front.event(now, event)?;
    let lines = courses.borrow_mut().note_user(now.time, event);
    lines.iter().try_for_each(|line| front.notice(line))
}

/// The partner says what it hears.
fn answer(commands: &Sender<Command>, event: &Event) {
    if let Event::Message { from, text, .. } = event {
        // There is room: see where the channel is made.
        let _ = commands.try_send(Command::Send { to: from.clone(), text: text.clone() });
    }
}

/// A port of a host, which the network then knows.
fn open(network: &Network, host: Host, clock: SystemClock) -> anyhow::Result<(Wire, SocketAddr)> {
    let transport = bind(Some(LOOPBACK), 0)?;
    let addr = transport.local_addr();
    network.place(host, addr);
    Ok((Faulty::new(HoldBack::new(transport, clock), network.seen_from(host)), addr))
}

async fn run_server(
    transport: &impl Transport,
    clock: &SystemClock,
    commands: &mut mpsc::Receiver<udpchat_core::server::Command>,
) -> io::Result<()> {
    let mut entropy = entropy();
    let record = ServerRecord::new(StoreId(entropy.draw()));
    let mut store = Nowhere::new();
    let server = Server::new(
        ServerConfig { original: Guests::Off, keep: None, shares: Shares::default() },
        record,
        entropy,
    );
    let interrupts = &mut mpsc::channel(1).1;
    let environment = Environment { transport, store: &mut store, clock, commands, interrupts };
    drive(server, environment, |_, _, _: &Server| Ok(())).await.map(|_| ())
}

async fn run_client(
    who: &str,
    (transport, addr): &(Wire, SocketAddr),
    server: SocketAddr,
    clock: &SystemClock,
    (commands, interrupts): (&mut mpsc::Receiver<Command>, &mut mpsc::Receiver<Command>),
    on_event: impl FnMut(Now, Event, &Client) -> io::Result<()>,
) -> io::Result<()> {
    let mut entropy = entropy();
    let record = ClientRecord::new(name(who), Token(entropy.draw()));
    let mut store = Nowhere::new();
    let config = ClientConfig::new(name(who), server, addr.port());
    let environment = Environment { transport, store: &mut store, clock, commands, interrupts };
    drive(Client::new(config, record, entropy), environment, on_event).await.map(|_| ())
}
