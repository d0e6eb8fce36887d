//! The terminal's settings: saved before anything changes them, restored on every way out.
//!
//! Knows the settings only. Rust code that ends a process must come by [`restore`]: a terminal that
//! stays as the line editor left it echoes nothing.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the editor may take to begin a line, so that a terminal that is stuck cannot keep the
/// process.
const BEGUN_WITHIN: Duration = Duration::from_secs(1);

/// Restores the settings when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Guard(());

/// Remembers the settings of standard input, a terminal, until the guard is dropped. A panic
/// restores them too, before it says why, and so does every signal that ends the process and can
/// be caught; but those that ask it to end by itself are [`crate::interrupt`]'s.
///
/// # Errors
///
/// The terminal does not tell them, or a thread not be started.
pub fn guard() -> io::Result<Guard> {
    imp::save()?;
    imp::restore_at_signals()?;
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        restore();
        tell(why);
    }));
    Ok(Guard(()))
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

/// Restores the settings if [`guard`] has saved any.
fn restore() {
    imp::restore();
}

/// The same at the end of the process: the editor changes them no more.
pub(crate) fn leave() {
    let gate = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_beginning = |gate: &mut Gate| {
        gate.closed = true;
        gate.beginning
    };
    // One that is stuck for so long has changed nothing yet, or all it will.
    drop(CHANGED.wait_timeout_while(gate, BEGUN_WITHIN, is_beginning));
    restore();
}

/// Whether the editor may begin a line. It does so in several steps, none of which may come between
/// the last restoring and the end.
struct Gate {
    beginning: bool,
    closed: bool,
}

static LINES: Mutex<Gate> = Mutex::new(Gate { beginning: false, closed: false });
static CHANGED: Condvar = Condvar::new();

/// The editor is about to begin a line and change the settings. Never returns once the process is
/// ending.
pub(super) fn begin_line() {
    let mut gate = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    if gate.closed {
        drop(gate);
        loop {
            thread::park();
        }
    }
    gate.beginning = true;
}

/// It has changed them.
pub(super) fn line_begun() {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).beginning = false;
    CHANGED.notify_all();
}

/// Lets only one thread be stopped by Ctrl-Z, that which calls [`take_stops`]; to be called before
/// any other thread is started. The editor sends the signal from there to the process after it
/// has restored the settings, and goes on when it believes that it was stopped. If another thread
/// took the signal it would go on at once, and leave the settings to a shell as it needs them.
pub fn deny_stops() {
    imp::stops(false);
}

/// Lets this thread, and with it the process, be stopped by Ctrl-Z.
pub(super) fn take_stops() {
    imp::stops(true);
}

#[cfg(unix)]
mod imp {
    use std::io::{self, Write};
    use std::sync::{Mutex, PoisonError};
    use std::thread;

    use nix::sys::signal::{SigSet, Signal};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::getpgrp;
    use rustix::stdio::{stdin, stdout};
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
    use signal_hook::consts::signal::{
        SIGABRT, SIGALRM, SIGIO, SIGPROF, SIGQUIT, SIGSYS, SIGTRAP, SIGVTALRM, SIGXCPU,
    };
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use udpchat_node::standard;

    /// What the editor has switched on while a line is being edited, and must be off again.
    const BRACKETED_PASTE_OFF: &str = "\u{1b}[?2004l";

    /// What ends a process that has not caught it, is no request, and leaves it in a state to do
    /// something. USR1 and USR2 end nobody here, and PIPE is ignored by Rust's runtime.
    const ENDING: [i32; 9] =
        [SIGQUIT, SIGABRT, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGIO, SIGSYS, SIGTRAP];

    /// What a shell reports of a process that a signal has ended is this and the signal's number.
    const EXIT_BY_SIGNAL: i32 = 128;

    /// How long the last bytes may wait for a terminal that takes none.
    const LAST_BYTES_WITHIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

    pub(super) fn save() -> io::Result<()> {
        let settings = tcgetattr(stdin())?;
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
        Ok(())
    }

    pub(super) fn stops(taken: bool) {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTSTP);
        let changed = if taken { signals.thread_unblock() } else { signals.thread_block() };
        // It fails for a wrong argument only.
        debug_assert_eq!(changed, Ok(()));
    }

    pub(super) fn restore() {
        // Not taken: the editor may have begun another line since the last time.
        let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(saved) = saved else { return };
        let Ok(now) = tcgetattr(stdin()) else { return };
        // In the background this would stop the process instead; and the terminal is a shell's.
        let in_front = tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp());
        let canonical = |settings: &Termios| settings.local_modes.contains(LocalModes::ICANON);
        if !in_front {
            return;
        }
        let was_editing = canonical(&saved) && !canonical(&now);
        let _ = tcsetattr(stdin(), OptionalActions::Now, &saved);
        if was_editing {
            let mut writable = [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)];
            if matches!(poll(&mut writable, Some(&LAST_BYTES_WITHIN)), Ok(1..)) {
                let last = format!("{BRACKETED_PASTE_OFF}\r\n");
                // A terminal that is gone needs no restoring.
                let _ = standard::stdout().write_all(last.as_bytes());
            }
        }
    }

    /// The process then ends as if the signal had not been caught.
    pub(super) fn restore_at_signals() -> io::Result<()> {
        let mut signals = Signals::new(ENDING)?;
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let Some(signal) = signals.forever().next() else { return };
            super::leave();
            // It returns if it does not know the signal.
            let _ = emulate_default_handler(signal);
            std::process::exit(EXIT_BY_SIGNAL + signal);
        })?;
        Ok(())
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;

    // The line editor restores what it has changed.
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn save() -> io::Result<()> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn restore_at_signals() -> io::Result<()> {
        Ok(())
    }

    pub(super) fn stops(_: bool) {}

    pub(super) fn restore() {}
}
