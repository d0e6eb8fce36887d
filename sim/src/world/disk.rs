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
pub(super) struct Disk<R: Record> {
    kept: MemoryStore<R>,
    speed: DiskSpeed,
    /// How long commits take. Of the host, not of the program: a restart repeats no draws.
    stream: Rc<RefCell<Stream>>,
    /// Is told what is written.
    watch: Watch<R>,
}

/// Somebody who looks on as changes are written, and again when they are durable.
pub(super) type Watch<R> = Rc<dyn Fn(&[<R as Record>::Change], Written)>;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The program has asked for it.
    Asked,
    /// It would survive a crash now.
    Durable,
}

impl<R: Record> Clone for Disk<R> {
    fn clone(&self) -> Self {
        Self {
            kept: self.kept.clone(),
            speed: self.speed,
            stream: Rc::clone(&self.stream),
            watch: Rc::clone(&self.watch),
        }
    }
}

impl<R: Record> Disk<R> {
    pub(super) fn new(
        record: R,
        speed: DiskSpeed,
        (seed, host): (u64, &str),
        watch: Watch<R>,
    ) -> Self {
        let stream = Stream::new(seed, &["disk speed", host]);
        let stream = Rc::new(RefCell::new(stream));
        Self { kept: MemoryStore::new(record), speed, stream, watch }
    }

    pub(super) fn load(&self) -> R {
        self.kept.load()
    }
}

impl<R: Record + 'static> Store for Disk<R> {
    type Change = R::Change;

    fn commit(&mut self, changes: Vec<R::Change>) -> Commit {
        (self.watch)(&changes, Written::Asked);
        let DiskSpeed { shortest, longest } = self.speed;
        let span = whole_ms(longest.saturating_sub(shortest)) + 1;
        let takes = shortest + Duration::from_millis(self.stream.borrow_mut().below(span));
        let mut kept = self.kept.clone();
        let watch = Rc::clone(&self.watch);
        Box::pin(async move {
            wait(takes / 2).await;
            watch(&changes, Written::Durable);
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
