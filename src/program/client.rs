//! Runs a client: its store, its user's interface, its server's name.
//!
//! Knows nothing of what the client says to anybody.

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use udpchat_core::client::{self, Client, ClientConfig, ClientRecord};
use udpchat_core::protocol::Token;
use udpchat_core::time::Now;
use udpchat_node::drive::{Environment, drive};
use udpchat_node::real::{SystemClock, entropy};
use udpchat_node::store::folder::SMALL_RESERVE_BYTES;

use super::data_dir::Keeper;
use super::find;
use super::interrupt::first_interrupt;
use super::manner::{Verdict, manner};
use super::real::{COMMANDS_AHEAD, bind, give_once, runtime};
use crate::cli::{ClientOptions, Data};
use crate::ui::front::{self, Wishes};
use crate::ui::say;

/// Runs a client until its user leaves. Whether everything that it was to do is done.
///
/// # Errors
///
/// It could not begin, or not go on. [`std::io::ErrorKind::BrokenPipe`]: nobody reads what it
/// prints.
pub(crate) fn run(options: ClientOptions) -> anyhow::Result<bool> {
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
        let (mut store, record) =
            Keeper::open(&options.data, (&usual, SMALL_RESERVE_BYTES), fresh, is_own)?;
        let port = transport.local_addr().port();
        let (host, verdict) = (options.host.clone(), Verdict::new(mode));
        let (has_store, patient) = (options.data != Data::Nowhere, !verdict.for_people);
        let (name, original) = (options.name, options.original);
        let config =
            ClientConfig { name, host, server, others, port, has_store, patient, original };
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
        let environment = Environment {
            transport: &transport,
            store: &mut store,
            clock: &clock,
            commands: &mut commands,
            interrupts: &mut interrupts,
        };
        let driven = drive(Client::new(config, record, entropy), environment, on_event);
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
