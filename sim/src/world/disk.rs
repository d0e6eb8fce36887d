//! A host's disk: what a program has made durable, kept while programs come and go.
//!
//! A commit takes time, and half of that time it is already durable without the program knowing.
//! Who is killed before has lost it, who is killed after has it, in both cases unacknowledged.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use udpchat::store::{Commit, MemoryStore, Record, Store};

use crate::fate::whole_ms;
use crate::plan::DiskSpeed;
use crate::random::Stream;

/// A host's disk with one record.
#[derive(Debug)]
pub(super) struct Disk<R> {
    kept: MemoryStore<R>,
    speed: DiskSpeed,
    /// How long commits take. Of the host, not of the program: a restart repeats no draws.
    stream: Rc<RefCell<Stream>>,
}

impl<R> Clone for Disk<R>
where
    MemoryStore<R>: Clone,
{
    fn clone(&self) -> Self {
        Self { kept: self.kept.clone(), speed: self.speed, stream: Rc::clone(&self.stream) }
    }
}

impl<R: Record> Disk<R> {
    pub(super) fn new(record: R, speed: DiskSpeed, seed: u64, host: &str) -> Self {
        let stream = Stream::new(seed, &["disk speed", host]);
        Self { kept: MemoryStore::new(record), speed, stream: Rc::new(RefCell::new(stream)) }
    }

    pub(super) fn load(&self) -> R {
        self.kept.load()
    }
}

impl<R: Record + 'static> Store for Disk<R>
where
    MemoryStore<R>: Clone,
{
    type Change = R::Change;

    fn commit(&mut self, changes: Vec<R::Change>) -> Commit {
        let DiskSpeed { shortest, longest } = self.speed;
        let span = whole_ms(longest.saturating_sub(shortest)) + 1;
        let takes = shortest + Duration::from_millis(self.stream.borrow_mut().below(span));
        let mut kept = self.kept.clone();
        Box::pin(async move {
            wait(takes / 2).await;
            let done = kept.commit(changes);
            wait(takes - takes / 2).await;
            done.await
        })
    }
}

async fn wait(duration: Duration) {
    // A disk that takes no time does not even yield.
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
