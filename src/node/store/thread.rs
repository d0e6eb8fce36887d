//! A store that commits on a thread of its own, so that a slow disk holds nothing else up.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use udpchat_core::store::{Committed, DiskSpace, Rows, Store};

use super::medium::{Medium, is_full, is_lost};
use super::{Database, OpenError, ROOM_RETRY};
use crate::shortage;

/// The name of the thread. When it panics, a commit's error says so.
pub const THREAD: &str = "store";

/// By how much the thread stands back, on the scale of setpriority(2): it gets a tenth of a
/// processor that others want all of, and who answers datagrams need not wait until it is done.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// How often somebody looks whether the store is still there while there is nothing to commit:
/// soon enough for a person who has moved it by mistake, and next to nothing for the machine.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

/// A [`Database`] on a thread. When this is dropped, the database is closed in peace.
///
/// What is to be committed while the thread is busy, it commits together as soon as it is free: it
/// need not be woken for that, and nobody who is busy himself has to see to it.
#[derive(Debug)]
pub struct ThreadStore<C> {
    /// A machine bounds how much it has under way.
    jobs: Option<Sender<Vec<C>>>,
    /// Says that it is closed by being dropped.
    open: Option<Sender<Infallible>>,
    /// What has come of commits, and their changes: who has made them drops them, for two threads
    /// that take and give memory to each other wait for each other.
    ended: UnboundedReceiver<(io::Result<Committed>, Vec<C>)>,
    /// Ends with an error if the store is lost at the very end.
    thread: Option<JoinHandle<io::Result<()>>>,
    place: String,
}

impl<C: Send + 'static> ThreadStore<C> {
    /// Starts the thread. When a commit fails, its error names the `place`.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn start<R, M>(mut database: Database<R, M>, place: String) -> io::Result<Self>
    where
        R: Rows<Change = C> + 'static,
        M: Medium + Send + 'static,
    {
        let (sender, jobs) = mpsc::channel::<Vec<C>>();
        let (open, closed) = mpsc::channel();
        let (done, ended) = unbounded_channel();
        if database.room() == DiskSpace::Low {
            // Before the first commit is asked for.
            let _ = done.send((Ok(Committed::LITTLE_ROOM), Vec::new()));
        }
        let there = place.clone();
        let work = move || {
            stand_back();
            loop {
                let mut changes = match jobs.recv_timeout(CONFIRM_EVERY) {
                    Ok(changes) => changes,
                    Err(RecvTimeoutError::Timeout) => match database.confirm() {
                        Err(error) if is_lost(&error) => {
                            let _ = done.send((Err(failure(&there, &error)), Vec::new()));
                            return Ok(());
                        }
                        // What else is wrong shows at the next commit, if it still is.
                        _ => continue,
                    },
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let mut commits = 1;
                for more in jobs.try_iter() {
                    changes.extend(more);
                    commits += 1;
                }
                let commit = || database.commit(&changes);
                let tell = |news| drop(done.send((Ok(news), Vec::new())));
                let committed = catch_unwind(AssertUnwindSafe(|| persist(commit, tell, &closed)));
                let Ok(result) = committed else {
                    let misled = || OpenError::Misled.into();
                    let error = database.confirm().err().unwrap_or_else(misled);
                    let _ = done.send((Err(failure(&there, &error)), changes));
                    // What has misled the database does so again, and worse, when it is closed.
                    std::mem::forget(database);
                    return Ok(());
                };
                let result = result.map_err(|error| failure(&there, &error));
                let is_over = result.is_err();
                // Nobody waits for it if the node has ended meanwhile.
                let _ = done.send((result.map(|room| Committed { commits, room }), changes));
                if is_over {
                    return Ok(()); // What comes after it may rest on it.
                }
            }
            match database.confirm() {
                Err(error) if is_lost(&error) => Err(failure(&there, &error)),
                _ => Ok(()),
            }
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(work)?;
        let (jobs, open) = (Some(sender), Some(open));
        Ok(Self { jobs, open, ended, thread: Some(thread), place })
    }
}

impl<C> ThreadStore<C> {
    /// Closes the database in peace.
    ///
    /// # Errors
    ///
    /// The store has been lost since the last commit, and what was acknowledged with it.
    pub fn close(mut self) -> io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        (self.jobs, self.open) = (None, None);
        // What was committed is safe, even if closing made it panic.
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(())))
    }
}

/// Commits, and as long as there is no room for it tries again, unless the store is closed. Tells
/// of the first time.
fn persist(
    mut commit: impl FnMut() -> io::Result<DiskSpace>,
    tell: impl FnOnce(Committed),
    closed: &Receiver<Infallible>,
) -> io::Result<DiskSpace> {
    let mut tell = Some(tell);
    loop {
        match commit() {
            Err(error) if is_full(&error) => {
                if let Some(tell) = tell.take() {
                    tell(Committed::LITTLE_ROOM);
                }
                if closed.recv_timeout(ROOM_RETRY) != Err(RecvTimeoutError::Timeout) {
                    return Err(error);
                }
            }
            result => return result,
        }
    }
}

/// Lets everybody else go first: a commit waits for the disk most of the time anyway.
fn stand_back() {
    // Where priorities are of processes, everybody would stand back.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Never of a kind that means something else to whoever drives the node.
fn failure(place: &str, error: &io::Error) -> io::Error {
    let what_failed = format!("cannot write to the store in {place}: {error}");
    // They say what to do.
    if error.kind() == io::ErrorKind::InvalidData || is_lost(error) {
        return io::Error::other(what_failed);
    }
    let remedy = shortage::remedy(error).unwrap_or("see to the disk");
    let kept = "what was acknowledged is in it";
    io::Error::other(format!("{what_failed}; {kept}: {remedy}, then start again"))
}

impl<C> Store for ThreadStore<C> {
    type Change = C;

    fn commit(&mut self, changes: Vec<C>) {
        if let Some(jobs) = &self.jobs {
            // To a thread that has ended: then nothing ends any more, which says so.
            let _ = jobs.send(changes);
        }
    }

    async fn committed(&mut self) -> io::Result<Committed> {
        let place = &self.place;
        let gone = || failure(place, &io::Error::other("the thread for it has ended"));
        let (result, _) = self.ended.recv().await.ok_or_else(gone)?;
        result
    }
}

impl<C> Drop for ThreadStore<C> {
    fn drop(&mut self) {
        // Who wants to know closes it.
        let _ = self.join();
    }
}
