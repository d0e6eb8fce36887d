//! The terminal's settings: saved before anything changes them, restored on every way out.
//!
//! Knows the settings only. Rust code that ends a process must come by [`restore`]: a terminal that
//! stays as the line editor left it echoes nothing.

use std::io;

/// Restores the settings when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Guard(());

/// Remembers the settings of standard input, a terminal, until the guard is dropped. A panic
/// restores them too, before it says why.
///
/// # Errors
///
/// The terminal does not tell them.
pub fn guard() -> io::Result<Guard> {
    imp::save()?;
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        restore();
        tell(why);
    }));
    Ok(Guard(()))
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the settings if [`guard`] has saved any.
pub fn restore() {
    imp::restore();
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

    use nix::sys::signal::{SigSet, Signal};
    use rustix::process::getpgrp;
    use rustix::stdio::stdin;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

    /// What the editor has switched on while a line is being edited, and must be off again.
    const BRACKETED_PASTE_OFF: &str = "\u{1b}[?2004l";

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
        if in_front && canonical(&saved) && !canonical(&now) {
            let mut out = io::stdout();
            // A terminal that is gone needs no restoring.
            let _ = out.write_all(format!("{BRACKETED_PASTE_OFF}\r\n").as_bytes());
            let _ = out.flush();
        }
        if in_front {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &saved);
        }
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

    pub(super) fn stops(_: bool) {}

    pub(super) fn restore() {}
}
