//! Assembles a node out of a machine and the real world, and runs it to its end.
//!
//! It knows nothing of what the machines say to each other. [`crate::serve`] runs servers,
//! [`crate::demo`] a whole network.

use std::cell::Cell;
use std::io::Write;

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use udpchat_core::client::{self, Client, ClientConfig, ClientRecord};
use udpchat_core::protocol::Token;
use udpchat_core::time::Now;
use udpchat_node::drive::{Surroundings, drive};
use udpchat_node::real::{SystemClock, entropy};
use udpchat_node::standard;

use crate::cli::{ClientOptions, Data, Style, Task};
use crate::interrupt::{HangUp, first_interrupt, ignore_user_signals, is_hang_up_ignored};
use crate::keep::{self, Keeper};
use crate::real::{COMMANDS_AHEAD, bind, give_once, runtime};
use crate::ui::front::{self, Wishes};
use crate::ui::{Mode, terminal};
use crate::{demo, find, look_after, serve};

/// Runs what was asked for, to its end. Whether everything that it was to do is done.
///
/// # Errors
///
/// It could not begin, or not go on. [`std::io::ErrorKind::BrokenPipe`]: nobody reads what it
/// prints.
pub fn run(task: Task) -> anyhow::Result<bool> {
    keep::bear_file_size_limit();
    ignore_user_signals().context("cannot ignore the signals USR1 and USR2")?;
    match task {
        Task::Server(options) => serve::run(&options).map(|()| true),
        Task::Client(options) => run_client(options),
        Task::Store(options) => look_after::run(&options).map(|()| true),
        Task::Demo(options) => demo::run(&options),
    }
}

fn run_client(options: ClientOptions) -> anyhow::Result<bool> {
    let (server, others) = find::server(&options.host, options.server_port)?;
    let (mode, hang_up) = manner(options.style);
    let wishes = Wishes {
        name: options.name.clone(),
        mode,
        color: options.color,
        history: options.history,
        partner: None,
    };
    runtime()?.block_on(async {
        let transport = bind(None, options.port)?;
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
        let host = options.host.clone();
        let verdict = Verdict::new(mode);
        let (has_store, patient) = (options.data != Data::Nowhere, !verdict.for_people);
        let name = options.name;
        let config = ClientConfig { name, host, server, others, port, has_store, patient };
        let (front, input) = front::open(wishes).context("cannot use the terminal")?;
        let finder = find::Finder::new(options.host, options.server_port);
        let on_event = |now: Now, mut event: client::Event, _: &Client| {
            if event == client::Event::LookUp {
                finder.look_up();
                return Ok(());
            }
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
            // Not behind what is typed: that may wait until the server is found.
            never = finder.tell(&interrupter) => match never {},
            Err(error) = front.obey(input, &sender, &verdict.understood) => {
                return Err(error.into());
            }
            result = driven => result?,
        };
        front.end()?;
        store.close()?;
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
        let hang_up = if is_hang_up_ignored() { HangUp::AsUsual } else { HangUp::Ends };
        return (mode, hang_up);
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
    let _ = writeln!(standard::stderr(), "udpchat: {line}");
}
