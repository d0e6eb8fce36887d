//! Standard input, output and error, as the process was given them.
//!
//! Knows descriptors, and nothing of what goes through them. The standard library hides two things
//! that matter to a program which says what was seen: it opens `/dev/null` in the place of an
//! output that is closed, and it takes an output that cannot be written to for one that was. And
//! it fails where another program, which shares a pipe or a terminal with this one, has made them
//! non-blocking: that is waited for here.

use std::io::{self, Write};

/// Why what is printed would be seen by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOutput {
    /// There was none at the start.
    #[error("standard output is closed; send it somewhere, to /dev/null if nobody needs it")]
    Closed,
    /// It is open for reading only.
    #[error("standard output is open for reading only; send it somewhere that can be written to")]
    ReadOnly,
}

/// Whether there is a standard output. One that was sent to `/dev/null` on purpose is one.
///
/// # Errors
///
/// There is none.
pub fn output() -> Result<(), NoOutput> {
    imp::output()
}

/// Standard output: unbuffered, so that what was written is out. It waits where it is non-blocking.
#[derive(Clone, Copy, Debug)]
pub struct Stdout(());

/// Standard error, in the same way.
#[derive(Clone, Copy, Debug)]
pub struct Stderr(());

/// A handle to standard output.
#[must_use]
pub const fn stdout() -> Stdout {
    Stdout(())
}

/// A handle to standard error.
#[must_use]
pub const fn stderr() -> Stderr {
    Stderr(())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        imp::write_out(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        imp::flush_out()
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        imp::write_beside(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until standard input, which is non-blocking, has something or has ended.
pub fn wait_for_input() {
    imp::wait_for_input();
}

/// Makes standard input and output, both terminals, this process's own: no flag that another
/// program sets, or has set, at the same terminal is met here, and none that is set here is met
/// there.
pub fn own_terminal() {
    imp::own_terminal();
}

#[cfg(unix)]
mod imp {
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
    use rustix::io::{Errno, fcntl_getfd, write};
    use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
    use rustix::termios::isatty;

    use super::NoOutput;

    static CLOSED: AtomicBool = AtomicBool::new(false);

    /// Before the standard library fills the gap. Once it has, nothing tells its `/dev/null` from
    /// one that Python's `DEVNULL` or a daemon's start gave: all are open for reading and writing.
    #[static_init::constructor]
    extern "C" fn look() {
        let closed = fcntl_getfd(stdout()) == Err(Errno::BADF);
        CLOSED.store(closed, Ordering::Relaxed);
    }

    pub(super) fn output() -> Result<(), NoOutput> {
        if CLOSED.load(Ordering::Relaxed) {
            return Err(NoOutput::Closed);
        }
        match fcntl_getfl(stdout()) {
            Ok(flags) if flags & OFlags::RWMODE == OFlags::RDONLY => Err(NoOutput::ReadOnly),
            // What else may be wrong with it, writing will tell.
            _ => Ok(()),
        }
    }

    pub(super) fn write_out(bytes: &[u8]) -> io::Result<usize> {
        write_patiently(stdout(), "standard output", bytes)
    }

    pub(super) fn write_beside(bytes: &[u8]) -> io::Result<usize> {
        write_patiently(stderr(), "standard error", bytes)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn flush_out() -> io::Result<()> {
        Ok(())
    }

    fn write_patiently(to: BorrowedFd<'_>, what: &str, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match write(to, bytes) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait(to, PollFlags::OUT),
                Err(Errno::PIPE) => return Err(Errno::PIPE.into()),
                Err(why) => {
                    let why = io::Error::from(why);
                    return Err(io::Error::new(
                        why.kind(),
                        format!("cannot write to {what}: {why}"),
                    ));
                }
                Ok(written) => return Ok(written),
            }
        }
    }

    pub(super) fn wait_for_input() {
        wait(stdin(), PollFlags::IN);
    }

    /// An error, or a signal, is for the next attempt.
    fn wait(on: BorrowedFd<'_>, what: PollFlags) {
        let _ = poll(&mut [PollFd::from_borrowed_fd(on, what)], None);
    }

    pub(super) fn own_terminal() {
        for (fd, path, replace) in [
            (stdin(), "/dev/fd/0", (|new| dup2_stdin(new)) as fn(_) -> _),
            (stdout(), "/dev/fd/1", |new| dup2_stdout(new)),
        ] {
            if isatty(fd) && own(fd, path, replace).is_err() {
                // It may be another user's terminal. Others who share it get it as shells give it.
                let _ = set_blocking(fd);
            }
        }
    }

    /// Opens the terminal once more: flags belong to what was opened, not to the terminal.
    fn own(
        fd: BorrowedFd<'_>,
        path: &str,
        replace: fn(std::os::fd::OwnedFd) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        let how = fcntl_getfl(fd)? & OFlags::RWMODE;
        // Opening must not wait for a modem.
        let new = open(path, how | OFlags::NOCTTY | OFlags::NONBLOCK, Mode::empty())?;
        set_blocking(&new)?;
        if !isatty(&new) || fstat(&new)?.st_rdev != fstat(fd)?.st_rdev {
            return Err(Errno::NOTTY);
        }
        replace(new)
    }

    fn set_blocking(fd: impl std::os::fd::AsFd) -> rustix::io::Result<()> {
        let flags = fcntl_getfl(&fd)?;
        if flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(&fd, flags - OFlags::NONBLOCK)?;
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io::{self, Write};

    use super::NoOutput;

    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn output() -> Result<(), NoOutput> {
        Ok(())
    }

    pub(super) fn write_out(bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes)
    }

    pub(super) fn flush_out() -> io::Result<()> {
        io::stdout().flush()
    }

    pub(super) fn write_beside(bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write(bytes)
    }

    pub(super) fn wait_for_input() {}

    pub(super) fn own_terminal() {}
}
