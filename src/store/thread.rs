//! A store that commits on a thread of its own, so that a slow disk holds nothing else up.

use std::io;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::medium::Medium;
use super::{Commit, Database, Room, Rows, Store};

/// One commit is under way at a time, so a sender never waits.
const COMMITS_AHEAD: usize = 1;

/// A [`Database`] on a thread. When this is dropped, the database is closed in peace.
#[derive(Debug)]
pub struct ThreadStore<C> {
    jobs: Option<SyncSender<Job<C>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job<C> {
    changes: Vec<C>,
    done: oneshot::Sender<io::Result<Room>>,
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
        let (sender, jobs) = mpsc::sync_channel::<Job<C>>(COMMITS_AHEAD);
        let work = move || {
            while let Ok(Job { changes, done }) = jobs.recv() {
                let result = database.commit(&changes).map_err(|error| failure(&place, &error));
                // Nobody waits for it if the node has ended meanwhile.
                let _ = done.send(result);
            }
        };
        let thread = thread::Builder::new().name("store".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }
}

/// Never of a kind that means something else to whoever drives the node.
fn failure(place: &str, error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "cannot write to the store in {place}: {error}; what was acknowledged is in it: \
         see to the disk, then start again"
    ))
}

impl<C> Store for ThreadStore<C> {
    type Change = C;

    fn commit(&mut self, changes: Vec<C>) -> Commit {
        let (done, result) = oneshot::channel();
        if let Some(jobs) = &self.jobs {
            // To a thread that has ended: then the answer never comes, which says so.
            let _ = jobs.send(Job { changes, done });
        }
        Box::pin(async {
            let gone = |_| io::Error::other("the thread that writes to the store has ended");
            result.await.map_err(gone)?
        })
    }
}

impl<C> Drop for ThreadStore<C> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It has said why, if it panicked.
            let _ = thread.join();
        }
    }
}
