//! Assembles a node out of a machine and the real world, and runs it to its end.
//!
//! It knows nothing of what the machines say to each other. [`crate::serve`] runs servers,
//! [`crate::demo`] a whole network.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};
use tokio::sync::mpsc;

use crate::cli::{ClientOptions, Data, Style, Task};
use crate::client::{self, Client, ClientConfig, ClientRecord};
use crate::drive::{Surroundings, drive};
use crate::interrupt::{HangUp, first_interrupt};
use crate::keep::Keeper;
use crate::protocol::Token;
use crate::real::{COMMANDS_AHEAD, SystemClock, bind, entropy, give_once, runtime};
use crate::time::Now;
use crate::transport;
use crate::ui::front::{self, Wishes};
use crate::ui::{Mode, terminal};
use crate::{demo, look_after, serve};

/// Runs what was asked for, to its end. Whether everything that it was to do is done.
///
/// # Errors
///
/// It could not begin, or not go on. [`io::ErrorKind::BrokenPipe`]: nobody reads what it prints.
pub fn run(task: Task) -> anyhow::Result<bool> {
    match task {
        Task::Server(options) => serve::run(&options).map(|()| true),
        Task::Client(options) => run_client(options),
        Task::Store(options) => look_after::run(&options).map(|()| true),
        Task::Demo(options) => demo::run(&options),
    }
}

fn run_client(options: ClientOptions) -> anyhow::Result<bool> {
    let server = resolve(&options.host, options.server_port)?;
    let (mode, hang_up) = manner(options.style);
    let wishes = Wishes {
        name: options.name.clone(),
        mode,
        color: options.color,
        history: options.history,
        partner: None,
    };
    runtime()?.block_on(async {
        let transport = bind(None, options.port).await?;
        let (sender, mut commands) = mpsc::channel(COMMANDS_AHEAD);
        let (interrupter, mut interrupts) = mpsc::channel(1);
        let interrupted = first_interrupt(hang_up).context("cannot wait for Ctrl-C")?;

        let mut entropy = entropy();
        let fresh = ClientRecord::new(options.name.clone(), Token(entropy.draw()));
        if options.data == Data::Nowhere {
            say("--no-store: when this client ends, it forgets its name, what is unsent and shown");
        }
        let usual = format!("client-{}", options.name.as_str().to_ascii_lowercase());
        let is_own = |record: &ClientRecord| match &record.name {
            Some(name) if *name != options.name => {
                bail!("it is {name}'s; give each name its own with --data")
            }
            _ => Ok(()),
        };
        let (mut store, record) = Keeper::open(&options.data, &usual, fresh, is_own)?;
        let port = transport.local_addr().port();
        let verdict = Verdict::new(mode);
        let (has_store, patient) = (options.data != Data::Nowhere, !verdict.for_people);
        let config = ClientConfig { name: options.name, server, port, has_store, patient };
        let (front, input) = front::open(wishes).context("cannot use the terminal")?;
        let on_event = |now: Now, mut event: client::Event, _: &Client| {
            verdict.note(&mut event);
            front.event(now, &event)
        };
        let clock = SystemClock::start();
        let surroundings = Surroundings {
            transport: &transport,
            store: &mut store,
            clock: &clock,
            commands: &mut commands,
            interrupts: &mut interrupts,
        };
        let driven = drive(Client::new(config, record, entropy), surroundings, on_event);
        tokio::select! {
            biased;
            never = give_once(interrupted, &interrupter, client::Command::Quit) => match never {},
            Err(error) = front.obey(input, &sender, &verdict.understood) => {
                return Err(error.into());
            }
            result = driven => result?,
        };
        front.end()?;
        Ok(verdict.complete.get())
    })
}

/// Who is talked to how, and whether the node ends with their terminal.
pub(crate) fn manner(style: Option<Style>) -> (Mode, HangUp) {
    let mode = match style {
        Some(Style::Json) => Mode::Json,
        Some(Style::Plain) => Mode::Plain,
        None => front::fitting(),
    };
    if mode != Mode::Editor {
        // Whoever was started by nohup means to stay.
        return (mode, HangUp::AsUsual);
    }
    terminal::deny_stops();
    (mode, HangUp::Ends)
}

/// Whether a client has done all that it was to do.
pub(crate) struct Verdict {
    for_people: bool,
    /// Whether every line was a command.
    pub(crate) understood: Cell<bool>,
    /// Not before the client says so.
    pub(crate) complete: Cell<bool>,
}

impl Verdict {
    pub(crate) fn new(mode: Mode) -> Self {
        let for_people = matches!(mode, Mode::Editor | Mode::Terminal);
        Self { for_people, understood: Cell::new(true), complete: Cell::new(false) }
    }

    /// A script is not done if a line of it was not understood: that is told as well.
    pub(crate) fn note(&self, event: &mut client::Event) {
        if let client::Event::Left { complete } = event {
            *complete &= self.for_people || self.understood.get();
            self.complete.set(*complete);
        }
    }
}

/// Says something beside what a node says.
pub(crate) fn say(line: &str) {
    // Whoever closed the output does not want to know.
    let _ = writeln!(io::stderr(), "udpchat: {line}");
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
