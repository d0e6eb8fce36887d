//! Waiting until a terminal may be read: a process in the background that tries is stopped.
//!
//! Knows the terminal only. A server that was started with `&`, or sent to the background later,
//! must go on serving.

/// Waits until reading standard input neither blocks nor stops the process. At once if it is no
/// terminal.
#[cfg(unix)]
pub(super) fn wait() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::getpgrp;
    use rustix::stdio::stdin;
    use rustix::termios::{isatty, tcgetpgrp};

    /// Between two looks whether a process in the background is in the foreground again.
    const PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    if !isatty(stdin()) {
        return;
    }
    loop {
        // An error, or a signal, is for the read that follows, or the next round.
        let readable = poll(&mut [PollFd::new(&stdin(), PollFlags::IN)], None);
        // Whoever has no such group reads a terminal that controls nobody.
        if readable.is_ok() && tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp()) {
            return;
        }
        let _ = poll(&mut [], Some(&PAUSE));
    }
}

/// Elsewhere there is no job control.
#[cfg(not(unix))]
pub(super) fn wait() {}
