//! Runs a server: its store, its screen, its operator's input and signals.
//!
//! Knows nothing of what the server says to its clients.

mod out;

use std::cell::RefCell;
use std::convert::Infallible;

use anyhow::{Context, anyhow};
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{self, Receiver, Sender};
use udpchat_core::protocol::StoreId;
use udpchat_core::server::{Command, Event, Guests, Server, ServerConfig, ServerRecord, Shares};
use udpchat_core::time::{Now, WallTime};
use udpchat_node::drive::{Clock, Environment, drive, give};
use udpchat_node::real::{SystemClock, entropy};
use udpchat_node::store::folder::LARGE_RESERVE_BYTES;
use udpchat_node::{shortage, standard};

use super::data_dir::Keeper;
use super::interrupt::{HangUp, StatsSignal, first_interrupt};
use super::real::{COMMANDS_AHEAD, bind, give_once, runtime};
use crate::cli::{Data, ServerOptions};
use crate::ui::input::{InputLine, LINE_MAX, NO_TEXT, stdin_lines_in_front};
use crate::ui::operator::limit::{self, Kind, Limiter};
use crate::ui::operator::{self, OperatorScreen, Order, Printout};
use crate::ui::say;
use out::Out;

/// What `--original on` means.
const FORGEABLE: &str = "--original on: clients of the original program have no keys; whoever can \
    forge an address can speak for them, and have their names and their stored messages";

/// Runs a server until it is asked to end.
///
/// # Errors
///
/// It could not begin, or not go on. [`std::io::ErrorKind::BrokenPipe`]: nobody reads what it
/// prints.
pub(crate) fn run(options: &ServerOptions) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let mut transport = bind(options.bind, options.port)?;
        if options.original != Guests::Off {
            transport = transport.with_second(options.bind).map_err(|error| {
                let without = "do without it, and without them, by --original off";
                let remedy = shortage::remedy(&error).unwrap_or(without);
                anyhow!("cannot open a second port, for clients of the original: {error}; {remedy}")
            })?;
        }
        let (sender, mut commands) = mpsc::channel(COMMANDS_AHEAD);
        let (interrupter, mut interrupts) = mpsc::channel(1);
        let interrupted = first_interrupt(HangUp::AsUsual).context("cannot wait for Ctrl-C")?;
        let asked = StatsSignal::new().context("cannot wait for the signal USR1")?;
        let lines = stdin_lines_in_front().context("cannot read standard input")?;

        let mut entropy = entropy();
        let fresh = ServerRecord::new(StoreId(entropy.draw()));
        if options.data == Data::Nowhere {
            say("--no-store: when this server ends, its names and stored messages are gone");
        }
        if options.original == Guests::On {
            say(FORGEABLE);
        }
        let usual = format!("server-{}", options.port);
        let (mut store, record) =
            Keeper::open(&options.data, (&usual, LARGE_RESERVE_BYTES), fresh, |_| Ok(()))?;
        let (original, keep, shares) = (options.original, options.keep, Shares::default());
        let config = ServerConfig { original, keep, shares };
        let clock = SystemClock::start();
        let screen = OperatorScreen::new(options.style, TimeZone::system(), clock.now().wall);
        let (screen, limiter) = (RefCell::new(screen), RefCell::new(Limiter::default()));
        let (out, mut written) = Out::start(standard::stdout()).context("cannot write")?;
        tell(&out, &screen, clock.now().wall, |screen| screen.listening(transport.local_addr()));
        let environment = Environment {
            transport: &transport,
            store: &mut store,
            clock: &clock,
            commands: &mut commands,
            interrupts: &mut interrupts,
        };
        let on_event = |now: Now, mut event: Event, _: &Server| {
            if let Event::Stats(stats) = &mut event {
                stats.counters.datagrams_lost = transport.lost();
            }
            tell_left_out(&out, &screen, now.wall, limiter.borrow_mut().left_out(now.time));
            if limiter.borrow_mut().admits(now.time, &event) {
                tell(&out, &screen, now.wall, |screen| screen.event(now.wall, &event));
            }
            Ok(())
        };
        let driven = drive(Server::new(config, record, entropy), environment, on_event);
        let ended = tokio::select! {
            biased;
            never = give_once(interrupted, &interrupter, Command::Stop) => match never {},
            never = obey(lines, asked, &sender, &screen, &out, &clock) => match never {},
            never = tell_more(&limiter, &screen, &out, &clock) => match never {},
            result = driven => result.map(drop),
            Err(error) = written.failed() => Err(error),
        };
        if ended.is_ok() {
            tell_end(&out, &screen, clock.now().wall, &limiter);
        }
        drop(out);
        written.end().await?;
        ended?;
        Ok(store.close()?)
    })
}

/// Does what is typed, and tells the counters at the signal. The end of the input ends nothing.
async fn obey(
    mut lines: Receiver<InputLine>,
    mut asked: StatsSignal,
    commands: &Sender<Command>,
    screen: &RefCell<OperatorScreen>,
    out: &Out,
    clock: &impl Clock,
) -> Infallible {
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
            Some(InputLine::Text(text)) => operator::parse(&text),
            Some(InputLine::NoText) => Err(NO_TEXT.to_owned()),
            Some(InputLine::TooLong(bytes)) => {
                Err(format!("the line has {bytes} bytes, at most {LINE_MAX} are read"))
            }
            Some(InputLine::Failed(why)) => Err(format!("cannot read standard input: {why}")),
        };
        let at = clock.now().wall;
        match order {
            Ok(None) => {}
            Ok(Some(Order::Stats)) => give(commands, Command::Stats).await,
            Ok(Some(Order::Quit)) => give(commands, Command::Stop).await,
            Ok(Some(Order::Help)) => tell(out, screen, at, |screen| screen.help(at)),
            Err(why) => tell(out, screen, at, |screen| screen.wrong(at, &why)),
        }
    }
}

/// Tells how many more lines there would have been, also when nothing else is to be told.
async fn tell_more(
    limiter: &RefCell<Limiter>,
    screen: &RefCell<OperatorScreen>,
    out: &Out,
    clock: &impl Clock,
) -> Infallible {
    loop {
        tokio::time::sleep(limit::WINDOW).await;
        let now = clock.now();
        tell_left_out(out, screen, now.wall, limiter.borrow_mut().left_out(now.time));
    }
}

/// Tells that it has ended, and how much it did not tell.
fn tell_end(out: &Out, screen: &RefCell<OperatorScreen>, at: WallTime, limiter: &RefCell<Limiter>) {
    tell_left_out(out, screen, at, limiter.borrow_mut().end());
    tell(out, screen, at, |screen| screen.stopped(at));
}

fn tell_left_out(
    out: &Out,
    screen: &RefCell<OperatorScreen>,
    at: WallTime,
    left_out: Vec<(Kind, u64)>,
) {
    for (kind, lines) in left_out {
        tell(out, screen, at, |screen| screen.left_out(at, kind, lines));
    }
}

/// Tells something at this time.
fn tell(
    out: &Out,
    screen: &RefCell<OperatorScreen>,
    at: WallTime,
    what: impl FnOnce(&mut OperatorScreen) -> Printout,
) {
    let mut screen = screen.borrow_mut();
    let told = what(&mut screen);
    out.tell(told, |lines| screen.lost(at, lines));
}
