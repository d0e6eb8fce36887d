//! Ctrl-C and its like: the first asks a node to end, the second ends it.
//!
//! Knows no node: what to do at the first is up to the caller.

use std::io;
use std::sync::{Arc, mpsc};

use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot::{self, Receiver};

use crate::ui::terminal;

/// The exit code of a process that was not given the time to end by itself.
const EXIT_INTERRUPTED: i32 = 1;

/// What a terminal that is gone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HangUp {
    /// What it means to the operating system.
    AsUsual,
    /// The same as Ctrl-C.
    Ends,
}

/// Whether the process was started so that a terminal that is gone does not end it, as nohup does.
/// Where nobody tells, it is taken to be.
pub(crate) fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // A mask in hexadecimal, in which signal 1, SIGHUP, is the lowest bit (proc_pid_status(5)).
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 1 != 0)
}

/// Reports the first Ctrl-C or SIGTERM, and ends the process at the second.
///
/// Both are waited for in a thread of their own: a node that cannot go on, for nobody reads what
/// it prints, must still be stoppable.
///
/// # Errors
///
/// The operating system denies the signals or the thread.
pub(crate) fn first_interrupt(hang_up: HangUp) -> io::Result<Receiver<()>> {
    let (first, interrupted) = oneshot::channel();
    let (give, given) = mpsc::channel::<(Runtime, Interrupts)>();
    // First of all: a runtime that is dropped for want of a thread, in another one, panics.
    std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        let Ok((runtime, mut interrupts)) = given.recv() else { return };
        runtime.block_on(interrupts.next());
        // A node that has ended meanwhile need not know.
        let _ = first.send(());
        runtime.block_on(interrupts.next());
        terminal::leave();
        std::process::exit(EXIT_INTERRUPTED);
    })?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on a signal is not lost.
    match Interrupts::new(&runtime, hang_up) {
        Ok(interrupts) => drop(give.send((runtime, interrupts))),
        Err(error) => {
            runtime.shutdown_background();
            return Err(error);
        }
    }
    Ok(interrupted)
}

/// Lets the signals USR1 and USR2, which ask some programs for something, end nobody; before
/// anything is waited for. Who wants one has it all the same.
///
/// # Errors
///
/// The operating system denies it.
#[cfg(unix)]
pub(crate) fn ignore_user_signals() -> io::Result<()> {
    use signal_hook::consts::signal::{SIGUSR1, SIGUSR2};
    for signal in [SIGUSR1, SIGUSR2] {
        // A handler with nothing to do: nobody asks whether it ran.
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(crate) fn ignore_user_signals() -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Interrupts {
    fn new(runtime: &Runtime, hang_up: HangUp) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = runtime.enter();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match hang_up {
                HangUp::AsUsual => None,
                HangUp::Ends => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            Some(_) = received(&mut self.hang_up) => {}
        }
    }
}

#[cfg(unix)]
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(not(unix))]
struct Interrupts;

#[cfg(not(unix))]
impl Interrupts {
    fn new(_: &Runtime, _: HangUp) -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// The signal USR1, which asks a server for its counters. Elsewhere it never comes.
#[cfg(unix)]
pub(crate) struct StatsSignal(tokio::signal::unix::Signal);

#[cfg(unix)]
impl StatsSignal {
    /// From now on it is waited for. Inside a runtime only.
    ///
    /// # Errors
    ///
    /// The operating system denies it.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::user_defined1()).map(Self)
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// The signal USR1, which asks a server for its counters. Elsewhere it never comes.
#[cfg(not(unix))]
pub(crate) struct StatsSignal;

#[cfg(not(unix))]
impl StatsSignal {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
