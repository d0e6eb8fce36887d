//! Assembles a node out of a machine and the real world, and runs it to its end.
//!
//! The only place that reads the clocks, draws random numbers and opens sockets. It knows nothing
//! of what the machines say to each other.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;

use crate::cli::{ClientOptions, Data, ServerOptions, Style, Task};
use crate::client::{self, Client, ClientConfig, ClientRecord};
use crate::drive::{Clock, Surroundings, drive};
use crate::interrupt::first_interrupt;
use crate::keep::Keeper;
use crate::look_after;
use crate::machine::Entropy;
use crate::protocol::{StoreId, Token};
use crate::server::{self, Server, ServerConfig, ServerRecord};
use crate::time::{Now, Time, WallTime};
use crate::transport::{self, UdpTransport};
use crate::ui::front::{self, Wishes};
use crate::ui::{Mode, server_line};

/// Commands on their way to a machine, which takes each at once: a few are plenty.
const COMMANDS_AHEAD: usize = 16;

/// Runs what was asked for, to its end. Whether everything that it was to do is done.
///
/// # Errors
///
/// It could not begin, or not go on. [`io::ErrorKind::BrokenPipe`]: nobody reads what it prints.
pub fn run(task: Task) -> anyhow::Result<bool> {
    match task {
        Task::Server(options) => run_server(&options).map(|()| true),
        Task::Client(options) => run_client(options),
        Task::Store(options) => look_after::run(&options),
    }
}

fn run_server(options: &ServerOptions) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let transport = bind(options.bind, options.port).await?;
        let transport = transport
            .with_second(options.bind)
            .await
            .context("cannot open a second port for answers to the original's clients")?;
        let (sender, mut commands) = mpsc::channel(COMMANDS_AHEAD);
        let interrupted = first_interrupt().context("cannot wait for Ctrl-C")?;

        let mut entropy = entropy();
        let fresh = ServerRecord::new(StoreId(entropy.draw()));
        if options.data == Data::Nowhere {
            say("--no-store: when this server ends, its names and stored messages are gone");
        }
        let usual = format!("server-{}", options.port);
        let (mut store, record) = Keeper::open(&options.data, &usual, fresh)?;
        let config = ServerConfig { original: options.original };
        let clock = SystemClock::start();
        log(&format!("{} listening on {}", clock.now().wall, transport.local_addr()?))?;
        let surroundings = Surroundings {
            transport: &transport,
            store: &mut store,
            clock: &clock,
            commands: &mut commands,
        };
        let on_event = |now: Now, event, _: &Server| log(&server_line(now.wall, &event));
        let driven = drive(Server::new(config, record, entropy), surroundings, on_event);
        tokio::select! {
            biased;
            never = give_once(interrupted, &sender, server::Command::Stop) => match never {},
            result = driven => result?,
        };
        Ok(())
    })
}

/// Prints a line of a server. A full disk under its log must not stop it.
fn log(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn run_client(options: ClientOptions) -> anyhow::Result<bool> {
    let server = resolve(&options.host, options.server_port)?;
    let wishes = Wishes {
        name: options.name.clone(),
        mode: options.style.map(|style| match style {
            Style::Json => Mode::Json,
            Style::Plain => Mode::Plain,
        }),
        color: options.color,
        history: options.history,
    };
    runtime()?.block_on(async {
        let transport = bind(None, options.port).await?;
        let (sender, mut commands) = mpsc::channel(COMMANDS_AHEAD);
        let interrupted = first_interrupt().context("cannot wait for Ctrl-C")?;

        let mut entropy = entropy();
        let fresh = ClientRecord::new(Token(entropy.draw()));
        if options.data == Data::Nowhere {
            say("--no-store: when this client ends, it forgets its name, what is unsent and shown");
        }
        let usual = format!("client-{}", options.name.as_str().to_ascii_lowercase());
        let (mut store, record) = Keeper::open(&options.data, &usual, fresh)?;
        let port = transport.local_addr()?.port();
        let config = ClientConfig { name: options.name, server, port };
        let (front, input) = front::open(wishes).context("cannot use the terminal")?;
        let for_people = matches!(front.mode(), Mode::Editor | Mode::Terminal);
        // Not before it says so; and a script is not done if a line of it was not understood.
        let complete = Cell::new(false);
        let understood = Cell::new(true);
        let on_event = |now: Now, mut event: client::Event, _: &Client| {
            if let client::Event::Left { complete: verdict } = &mut event {
                *verdict &= for_people || understood.get();
                complete.set(*verdict);
            }
            front.event(now, &event)
        };
        let clock = SystemClock::start();
        let surroundings = Surroundings {
            transport: &transport,
            store: &mut store,
            clock: &clock,
            commands: &mut commands,
        };
        let driven = drive(Client::new(config, record, entropy), surroundings, on_event);
        tokio::select! {
            biased;
            never = give_once(interrupted, &sender, client::Command::Quit) => match never {},
            Err(error) = front.obey(input, &sender, &understood) => return Err(error.into()),
            result = driven => result?,
        };
        front.end()?;
        Ok(complete.get())
    })
}

/// Gives the command at the interrupt, and waits for ever.
async fn give_once<C>(
    interrupted: oneshot::Receiver<()>,
    commands: &Sender<C>,
    command: C,
) -> Infallible {
    if interrupted.await.is_ok() {
        give(commands, command).await;
    }
    std::future::pending().await
}

async fn give<C>(commands: &Sender<C>, command: C) {
    // A node that has ended obeys nobody.
    let _ = commands.send(command).await;
}

fn runtime() -> anyhow::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")
}

/// Says something beside what a node says.
fn say(line: &str) {
    // Whoever closed the output does not want to know.
    let _ = writeln!(io::stderr(), "udpchat: {line}");
}

async fn bind(ip: Option<IpAddr>, port: u16) -> anyhow::Result<UdpTransport> {
    UdpTransport::bind(ip, port).await.map_err(|error| match (error.kind(), ip) {
        (io::ErrorKind::AddrInUse, _) => {
            anyhow!("port {port} is taken by another program; choose another one")
        }
        (io::ErrorKind::AddrNotAvailable, Some(ip)) => {
            anyhow!("{ip} is no address of this machine; choose one that is, or leave --bind out")
        }
        _ => anyhow!(error).context(format!("cannot open port {port}")),
    })
}

/// The server's address. A name that has several gives one of IPv4 if it can: everybody reaches
/// that, and in one family clients reach each other.
fn resolve(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let addrs: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .with_context(|| {
            format!("cannot find the host {host:?}; check the name or give an IP address")
        })?
        .map(transport::canonical)
        .collect();
    let addr = addrs.iter().find(|addr| addr.is_ipv4()).or_else(|| addrs.first());
    let addr = *addr.with_context(|| format!("the host {host:?} has no address"))?;
    if addr.ip().is_unspecified() || addr.ip().is_multicast() {
        bail!("{host} is no address of a host; for a server on this machine give 127.0.0.1");
    }
    Ok(addr)
}

/// The operating system's random numbers.
fn entropy() -> Entropy {
    #[expect(clippy::disallowed_methods, reason = "this is where randomness comes from")]
    Entropy::new(rand::random::<u64>)
}

/// The real clocks.
struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the binary's clock")]
    fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the binary's clock")]
    fn now(&self) -> Now {
        // Before 1970 only a broken clock stands.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Now { time: Time::from_start(self.start.elapsed()), wall: WallTime::from_unix_ms(unix_ms) }
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        for (host, addr) in [
            ("127.0.0.1", "127.0.0.1:9000"),
            ("::1", "[::1]:9000"),
            ("::ffff:192.0.2.1", "192.0.2.1:9000"),
            ("localhost", "127.0.0.1:9000"),
        ] {
            assert_eq!(resolve(host, 9000).unwrap().to_string(), addr, "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in ["0.0.0.0", "::", "224.0.0.1", "", "no..host"] {
            assert!(resolve(host, 9000).is_err(), "{host}");
        }
    }
}
