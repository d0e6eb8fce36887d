//! Errors of a socket that should receive: most pass, and one that stays must not keep the loop
//! busy, deaf to its signals, or hide that nothing arrives any more.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// So many failures in a row are taken for answers of the network to earlier datagrams.
const PASSING: u32 = 4;

/// Between two tries after that.
const PAUSE: Duration = Duration::from_millis(20);

/// So many failures in a row, 5 s of them, are for good.
const FAILURES_MAX: u32 = PASSING + 250;

/// How a socket fares.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failures: Cell<u32>,
    /// Outlives whoever waits for it, for that is cut short by every other input.
    pause: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl Trouble {
    /// The socket works.
    pub(super) fn is_over(&self) {
        self.failures.set(0);
    }

    /// The socket has failed again.
    ///
    /// # Errors
    ///
    /// It has failed so often that it always will.
    pub(super) fn goes_on(&self, error: io::Error) -> io::Result<()> {
        let failures = self.failures.get() + 1;
        self.failures.set(failures);
        if failures >= FAILURES_MAX {
            return Err(error);
        }
        if failures > PASSING {
            *self.pause.borrow_mut() = Some(Box::pin(sleep(PAUSE)));
        }
        Ok(())
    }

    /// Waits until the next try is due. Cancel safe.
    pub(super) async fn pause(&self) {
        poll_fn(|context| match self.pause.borrow_mut().as_mut() {
            Some(pause) => pause.as_mut().poll(context),
            None => std::task::Poll::Ready(()),
        })
        .await;
        *self.pause.borrow_mut() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> io::Error {
        io::ErrorKind::PermissionDenied.into()
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the paused clock of the test's runtime")]
    async fn an_error_that_lasts_is_waited_for_and_then_told() {
        let trouble = Trouble::default();
        let begin = tokio::time::Instant::now();
        while trouble.goes_on(error()).is_ok() {
            // Whoever is cut short waits on.
            let cut_short = tokio::time::timeout(PAUSE / 2, trouble.pause());
            if cut_short.await.is_err() {
                trouble.pause().await;
            }
        }
        let tried = begin.elapsed().as_secs();
        assert!((4..=6).contains(&tried), "{tried} s");
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the paused clock of the test's runtime")]
    async fn errors_that_pass_cost_no_time() {
        let trouble = Trouble::default();
        let begin = tokio::time::Instant::now();
        for _ in 0..FAILURES_MAX {
            trouble.goes_on(error()).unwrap();
            trouble.pause().await;
            trouble.is_over();
        }
        assert!(begin.elapsed().is_zero());
    }
}
