//! Standard output of a server, written by a thread of its own: a log that is stuck, at a full pipe
//! or at a terminal after Ctrl-S, holds up nobody but itself.
//!
//! Knows no events. Standard error goes the same way: it may be the same terminal.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, Write};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ui::operator::Printout;
use crate::ui::say;

/// How long a line waits for others: nobody sees it, and under load hundreds come together.
const LINES_WAIT: Duration = Duration::from_millis(2);

/// Lines that may wait: what the busiest server says in a blink, and about a megabyte.
const LINES_WAITING_MAX: usize = 10_000;

/// How long the last lines may take, so that an output that is stuck cannot keep the process.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// Where lines are given to the thread.
#[derive(Debug)]
pub(super) struct Out {
    lines: SyncSender<Printout>,
    /// Lines in a row for which there was no room.
    lost: Cell<u64>,
    /// Lines that the thread could not write.
    unwritten: Arc<AtomicU64>,
}

/// The end of the writing.
#[derive(Debug)]
pub(super) struct Written(Option<oneshot::Receiver<io::Result<()>>>);

impl Out {
    /// Starts to write, until this is dropped.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Written)> {
        let (lines, waiting) = sync_channel(LINES_WAITING_MAX);
        let (sender, written) = oneshot::channel();
        let unwritten = Arc::default();
        let pen = Pen { out, unwritten: Arc::clone(&unwritten), torn: false };
        thread::Builder::new().name("out".to_owned()).spawn(move || {
            // Who has stopped waiting does not want to know.
            let _ = sender.send(write_lines(&waiting, pen));
        })?;
        Ok((Self { lines, lost: Cell::new(0), unwritten }, Written(Some(written))))
    }

    /// Has something written, a little later, and before it what `lost` says of those lines for
    /// which there was no room, here or on the disk under the output. Without room for both it is
    /// lost as well.
    pub(super) fn tell(&self, told: Printout, lost: impl FnOnce(u64) -> Printout) {
        if told == Printout::Nothing {
            return;
        }
        let before = self.lost.take() + self.unwritten.swap(0, Ordering::Relaxed);
        if before > 0 && !self.give(lost(before)) {
            self.lost.set(before + 1);
        } else if !self.give(told) {
            self.lost.set(1);
        }
    }

    fn give(&self, told: Printout) -> bool {
        // A thread that has ended has told why.
        !matches!(self.lines.try_send(told), Err(TrySendError::Full(_)))
    }
}

impl Written {
    /// Waits, while there is an [`Out`], until nobody takes what is written.
    ///
    /// # Errors
    ///
    /// Always, with [`io::ErrorKind::BrokenPipe`].
    pub(super) async fn failed(&mut self) -> io::Result<()> {
        let Some(written) = &mut self.0 else { return pending().await };
        let result = written.await;
        self.0 = None;
        result.unwrap_or(Ok(()))
    }

    /// Waits until everything is written, after the [`Out`] was dropped, but not for long.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`]: nobody takes it.
    pub(super) async fn end(self) -> io::Result<()> {
        let Some(written) = self.0 else { return Ok(()) };
        match tokio::time::timeout(LAST_LINES_WITHIN, written).await {
            Ok(Ok(result)) => result,
            _ => Ok(()),
        }
    }
}

/// What writes lines, and counts those that it could not.
struct Pen<W> {
    out: W,
    unwritten: Arc<AtomicU64>,
    /// The last line was written in part.
    torn: bool,
}

impl<W: Write> Pen<W> {
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`] only: a full disk under its log must not stop a server.
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.torn {
            match self.out.write_all(b"\n") {
                Err(error) => return self.fail(error, text.as_bytes()),
                Ok(()) => self.torn = false,
            }
        }
        let mut left = text.as_bytes();
        while !left.is_empty() {
            match self.out.write(left) {
                Ok(written @ 1..) => {
                    self.torn = left[written - 1] != b'\n';
                    left = &left[written..];
                }
                Ok(_) => return self.fail(io::ErrorKind::WriteZero.into(), left),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(error, left),
            }
        }
        self.out.flush()
    }

    fn fail(&self, error: io::Error, left: &[u8]) -> io::Result<()> {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Err(error);
        }
        let lines =
            u64::try_from(left.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u64::MAX);
        self.unwritten.fetch_add(lines, Ordering::Relaxed);
        Ok(())
    }
}

fn write_lines(waiting: &Receiver<Printout>, mut pen: Pen<impl Write>) -> io::Result<()> {
    while let Ok(first) = waiting.recv() {
        #[expect(clippy::disallowed_methods, reason = "a thread for real output, and no node's")]
        thread::sleep(LINES_WAIT);
        let mut text = String::new();
        for told in iter::once(first).chain(waiting.try_iter().take(LINES_WAITING_MAX)) {
            match told {
                Printout::Out(line) => {
                    text.push_str(&line);
                    text.push('\n');
                }
                Printout::Beside(line) => say(&line),
                Printout::Nothing => {}
            }
        }
        pen.write(&text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::program::real::runtime;

    /// Hands over what is written, and is stuck until it is opened.
    struct Gate {
        opened: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            // One whose other end is gone is open.
            let _ = self.opened.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Gate, Sender<()>, Receiver<Vec<u8>>) {
        let ((open, opened), (written, read)) = (channel(), channel());
        (Gate { opened, written }, open, read)
    }

    fn tell(out: &Out, line: &str) {
        out.tell(Printout::Out(line.to_owned()), |lost| Printout::Out(format!("{lost} lost")));
    }

    #[test]
    fn what_has_no_room_is_lost_and_counted_and_the_rest_comes_in_order() {
        let (gate, open, read) = gate();
        let (out, written) = Out::start(gate).unwrap();
        let next = || String::from_utf8(read.recv().unwrap()).unwrap();
        tell(&out, "0");
        assert_eq!(next(), "0\n");
        (1..=LINES_WAITING_MAX + 5).for_each(|n| tell(&out, &n.to_string()));
        drop(open);
        let waited: String = (1..=LINES_WAITING_MAX).map(|n| format!("{n}\n")).collect();
        assert!(next() == waited);
        tell(&out, "on");
        drop(out);
        runtime().unwrap().block_on(written.end()).unwrap();
        assert_eq!(read.iter().flatten().collect::<Vec<u8>>(), b"5 lost\non\n");
    }

    /// A disk with so much room.
    struct SmallDisk<'a>(&'a mut Vec<u8>, usize);

    impl Write for SmallDisk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..fits]);
            self.1 -= fits;
            if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted_and_a_torn_line_is_ended() {
        let mut file = Vec::new();
        let mut pen = Pen { out: SmallDisk(&mut file, 6), unwritten: Arc::default(), torn: false };
        pen.write("one\ntwo\nthree\n").unwrap();
        pen.write("four\n").unwrap();
        assert_eq!(pen.unwritten.load(Ordering::Relaxed), 3);
        pen.out.1 = 99;
        pen.write("five\n").unwrap();
        pen.write("six\n").unwrap();
        assert_eq!(file, b"one\ntw\nfive\nsix\n");
    }

    #[test]
    fn an_output_that_stays_stuck_does_not_keep_the_end() {
        let (gate, _open, _read) = gate();
        let (out, written) = Out::start(gate).unwrap();
        tell(&out, "one");
        drop(out);
        runtime().unwrap().block_on(written.end()).unwrap();
    }

    #[test]
    fn an_output_that_nobody_reads_is_told() {
        let (gate, open, read) = gate();
        drop((open, read));
        let (out, mut written) = Out::start(gate).unwrap();
        tell(&out, "one");
        let failed = runtime().unwrap().block_on(written.failed()).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
        runtime().unwrap().block_on(written.end()).unwrap();
    }
}
