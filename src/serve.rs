//! Runs a server: its store, its screen, its operator's input and signals.
//!
//! Knows nothing of what the server says to its clients.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{self, Write};

use anyhow::Context;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::cli::{Data, ServerOptions};
use crate::drive::{Clock, Surroundings, drive, give};
use crate::interrupt::{HangUp, StatsSignal, first_interrupt};
use crate::keep::Keeper;
use crate::protocol::StoreId;
use crate::real::{COMMANDS_AHEAD, SystemClock, bind, entropy, give_once, runtime};
use crate::run::say;
use crate::server::{Command, Event, Server, ServerConfig, ServerRecord};
use crate::time::Now;
use crate::ui::input::{LINE_MAX, Line, stdin_lines_in_front};
use crate::ui::operator::{self, OperatorScreen, Order, Told};

/// Runs a server until it is asked to end.
///
/// # Errors
///
/// It could not begin, or not go on. [`io::ErrorKind::BrokenPipe`]: nobody reads what it prints.
pub(crate) fn run(options: &ServerOptions) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let transport = bind(options.bind, options.port).await?;
        let transport = transport
            .with_second(options.bind)
            .await
            .context("cannot open a second port for answers to the original's clients")?;
        let (sender, mut commands) = mpsc::channel(COMMANDS_AHEAD);
        let interrupted = first_interrupt(HangUp::AsUsual).context("cannot wait for Ctrl-C")?;
        let asked = StatsSignal::new().context("cannot wait for the signal USR1")?;
        let lines = stdin_lines_in_front().context("cannot read standard input")?;

        let mut entropy = entropy();
        let fresh = ServerRecord::new(StoreId(entropy.draw()));
        if options.data == Data::Nowhere {
            say("--no-store: when this server ends, its names and stored messages are gone");
        }
        let usual = format!("server-{}", options.port);
        let (mut store, record) = Keeper::open(&options.data, &usual, fresh)?;
        let config = ServerConfig { original: options.original, keep: options.keep };
        let clock = SystemClock::start();
        let screen = OperatorScreen::new(options.style, TimeZone::system(), clock.now().wall);
        let screen = RefCell::new(screen);
        print(&screen.borrow_mut().listening(transport.local_addr()))?;
        let surroundings = Surroundings {
            transport: &transport,
            store: &mut store,
            clock: &clock,
            commands: &mut commands,
        };
        let on_event = |now: Now, event: Event, _: &Server| {
            print(&screen.borrow_mut().event(now.wall, &event))
        };
        let driven = drive(Server::new(config, record, entropy), surroundings, on_event);
        tokio::select! {
            biased;
            never = give_once(interrupted, &sender, Command::Stop) => match never {},
            Err(error) = obey(lines, asked, &sender, &screen, &clock) => return Err(error.into()),
            result = driven => result?,
        };
        print(&screen.borrow_mut().stopped(clock.now().wall))?;
        Ok(())
    })
}

/// Does what is typed, and tells the counters at the signal. The end of the input ends nothing.
async fn obey(
    mut lines: Receiver<Line>,
    mut asked: StatsSignal,
    commands: &Sender<Command>,
    screen: &RefCell<OperatorScreen>,
    clock: &impl Clock,
) -> io::Result<Infallible> {
    let mut reading = true;
    loop {
        let line = tokio::select! {
            biased;
            () = asked.next() => {
                give(commands, Command::Stats).await;
                continue;
            }
            line = lines.recv(), if reading => line,
        };
        let order = match line {
            None => {
                reading = false;
                continue;
            }
            Some(Line::Text(text)) => operator::parse(&text),
            Some(Line::TooLong(bytes)) => {
                Err(format!("the line has {bytes} bytes, at most {LINE_MAX} are read"))
            }
            Some(Line::Failed(why)) => Err(format!("cannot read standard input: {why}")),
        };
        let at = clock.now().wall;
        match order {
            Ok(None) => {}
            Ok(Some(Order::Stats)) => give(commands, Command::Stats).await,
            Ok(Some(Order::Quit)) => give(commands, Command::Stop).await,
            Ok(Some(Order::Help)) => print(&screen.borrow().help(at))?,
            Err(why) => print(&screen.borrow().wrong(at, &why))?,
        }
    }
}

/// Prints what is told. A full disk under its log must not stop a server.
fn print(told: &Told) -> io::Result<()> {
    let text = match told {
        Told::Nothing => return Ok(()),
        Told::Beside(text) => {
            say(text);
            return Ok(());
        }
        Told::Out(text) => text,
    };
    let mut out = io::stdout().lock();
    match out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
