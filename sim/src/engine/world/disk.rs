//! A host's disk with the store that its programs have on it: the database that ships, opened and
//! committed to as in the binary, on a disk that is simulated. Where nothing can go wrong with that
//! the rows are in memory, which comes to the same in a fraction of the time.
//!
//! The binary commits in a thread, here a commit is done at once in the middle of the time that it
//! takes. Who is killed before has lost it, who is killed after has it, in both cases
//! unacknowledged. When the power fails within it, the program does not take another step.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use udpchat_core::store::{Committed, DiskSpace, Rows, Store};
use udpchat_node::store::medium::is_full;
use udpchat_node::store::{Database, OpenError, ROOM_RETRY};

use super::Storage;
use super::panic::words;
use super::rows::MemoryRows;
use crate::engine::network::Network;
use crate::faults::disk::{DiskFault, DiskFaults, Keeps, Mounted, SimDisk};
use crate::faults::fate::whole_ms;
use crate::naming::label::HostName;
use crate::naming::random::Stream;
use crate::planning::plan::DiskSpeed;
use crate::record::log::What;

/// A host's disk with one record.
#[derive(Clone)]
pub(super) struct Disk<R: Rows> {
    disk: SimDisk,
    /// The store, if it is not on the disk.
    memory: Option<Rc<RefCell<MemoryRows>>>,
    /// What a store is made with if there is none.
    fresh: R,
    speed: DiskSpeed,
    /// How long commits take. Of the host, not of the program: a restart repeats no draws.
    stream: Rc<RefCell<Stream>>,
    witness: Rc<dyn Witness<R>>,
    network: Rc<Network>,
    host: HostName,
    /// How long after the last fault a program that it ended is to be started again.
    restart_after: Rc<Cell<Option<Duration>>>,
}

/// Somebody who looks on as changes are written, and as they are found again.
pub(super) trait Witness<R: Rows> {
    /// The program has asked for them to be written.
    fn writes(&self, changes: &[R::Change]);

    /// They would survive whatever happens now.
    fn has(&self, changes: &[R::Change]);

    /// The record was lost, or another has taken its place.
    fn forgets(&self);

    /// A program that starts finds this record, and whether it would find the same once more.
    fn finds(&self, at: Duration, record: &R, is_same_again: bool);
}

/// What a folder had when it was copied.
#[derive(Clone)]
pub(super) struct Copied {
    disk: SimDisk,
    memory: Option<MemoryRows>,
}

/// The loss of power, as it ends a program: like a panic, but nobody's mistake.
pub(super) struct PowerCut;

/// Why a program cannot start with what its disk holds.
pub(super) enum Unopened {
    /// The power failed meanwhile.
    PowerCut,
    /// Its first words would be its last.
    Fails(String),
    /// It has a bug.
    Panics(String),
}

impl<R: Rows + PartialEq + 'static> Disk<R> {
    /// A disk without anything on it. `fresh` is what a first program makes its store with.
    pub(super) fn new(
        fresh: R,
        (speed, faults, storage): (DiskSpeed, &DiskFaults, Storage),
        (seed, host): (u64, &HostName),
        network: &Rc<Network>,
        witness: Rc<dyn Witness<R>>,
    ) -> Self {
        let stream = Stream::new(seed, &["disk speed", host]);
        Self {
            disk: SimDisk::new(seed, host, faults),
            memory: (storage == Storage::Memory).then(Rc::default),
            fresh,
            speed,
            stream: Rc::new(RefCell::new(stream)),
            witness,
            network: Rc::clone(network),
            host: host.clone(),
            restart_after: Rc::default(),
        }
    }

    /// A copy of what is on it.
    pub(super) fn copied(&self) -> Copied {
        let memory = self.memory.as_ref().map(|rows| rows.borrow().clone());
        Copied { disk: self.disk.copy(), memory }
    }

    /// From now on it has this copy, or nothing: then a program makes its store with `fresh`.
    pub(super) fn replace(&mut self, copy: Option<&Copied>, fresh: R) {
        self.disk.become_like(copy.map(|copy| &copy.disk));
        if let Some(rows) = &self.memory {
            let copied = copy.and_then(|copy| copy.memory.clone());
            *rows.borrow_mut() = copied.unwrap_or_default();
        }
        self.fresh = fresh;
        self.witness.forgets();
    }

    /// From now on it says that it has synced, and has not.
    pub(super) fn lie(&self) {
        self.disk.lie();
    }

    /// Opens the store for a program that starts.
    pub(super) fn open(&self) -> Result<(Opened<R>, R), Unopened> {
        let (disk, asked, under_way, stuck) = (self.clone(), Vec::new(), None, Rc::default());
        if let Some(rows) = &self.memory {
            let record = rows.borrow_mut().open(|| self.fresh.clone());
            let damaged = |error| Unopened::Fails(OpenError::from(error).to_string());
            let record = record.map_err(damaged)?;
            self.witness.finds(self.network.now(), &record, true);
            let base = Base::Memory(Rc::clone(rows));
            return Ok((Opened { disk, base, asked, under_way, stuck, is_low: false }, record));
        }
        self.restart_after.set(None);
        self.disk.set_now(self.network.now());
        let mounted = self.disk.mount();
        let open = || Database::open(mounted.clone(), || self.fresh.clone());
        let result = catch_unwind(AssertUnwindSafe(open));
        self.tell_events();
        // A program that opens its store does nothing else meanwhile.
        let _ = self.disk.take_delay();
        if mounted.is_cut_off() {
            return Err(Unopened::PowerCut);
        }
        let result = result.map_err(|panic| Unopened::Panics(words(&*panic)))?;
        let (database, record) = result.map_err(|error| Unopened::Fails(error.to_string()))?;
        self.finds(self.network.now(), &record, &self.disk);
        let is_low = database.room() == DiskSpace::Low;
        let base = Base::Disk(mounted, Rc::new(RefCell::new(database)));
        Ok((Opened { disk, base, asked, under_way, stuck, is_low }, record))
    }

    /// Tells what a program would find that started now, when the power had just failed and taken
    /// along all that is not synced. The disk stays as it is.
    pub(super) fn look(&self, at: Duration) {
        if let Some(rows) = &self.memory {
            match rows.borrow_mut().open(|| self.fresh.clone()) {
                Ok(record) => self.witness.finds(at, &record, true),
                Err(error) => self.cannot_open(at, &OpenError::from(error).to_string()),
            }
            return;
        }
        let disk = self.disk.copy();
        disk.lose_power(Keeps::Nothing);
        let open = || Database::open(disk.mount(), || self.fresh.clone());
        let trouble = match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok((_database, record))) => return self.finds(at, &record, &disk),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => words(&*panic),
        };
        self.cannot_open(at, &trouble);
    }

    fn cannot_open(&self, at: Duration, trouble: &str) {
        let what = What::Panicked(format!("as it opens its store: {trouble}"));
        self.network.record(at, &self.host, what);
    }

    fn finds(&self, at: Duration, record: &R, disk: &SimDisk) {
        let again = Database::open(disk.copy().mount(), R::default);
        let is_same_again = again.is_ok_and(|(_, again)| again == *record);
        self.witness.finds(at, record, is_same_again);
    }

    /// The program is no more: what it has written stays, as far as nobody cuts the power.
    pub(super) fn close(&self) {
        self.disk.unmount();
    }

    /// How long it takes until a program that the disk ended is started again, if it is.
    pub(super) fn restart_after(&self) -> Option<Duration> {
        self.restart_after.take()
    }

    /// Writes changes, which takes so long.
    async fn write(
        &self,
        base: &Base<R>,
        changes: &[R::Change],
        takes: Duration,
    ) -> io::Result<DiskSpace> {
        wait(&self.network, takes / 2).await;
        let result = match base {
            Base::Memory(rows) => {
                rows.borrow_mut().commit::<R>(changes);
                Ok(DiskSpace::Plenty)
            }
            Base::Disk(mounted, database) => {
                self.disk.set_now(self.network.now());
                let result = database.borrow_mut().commit(changes);
                self.tell_events();
                if mounted.is_cut_off() {
                    resume_unwind(Box::new(PowerCut));
                }
                result
            }
        };
        if result.is_ok() {
            self.witness.has(changes);
        }
        wait(&self.network, takes - takes / 2 + self.disk.take_delay()).await;
        result
    }

    fn tell_events(&self) {
        self.network.disk_has_done(&self.host, self.disk.exposed());
        for event in self.disk.take_events() {
            if !matches!(event.fault, DiskFault::Slow { .. }) {
                self.restart_after.set(event.restart_after);
            }
            self.network.record(self.network.now(), &self.host, What::Disk(event));
        }
    }
}

impl<R: Rows + PartialEq + fmt::Debug + 'static> Disk<R> {
    /// Compares what a program has in memory, where all of that is durable, with what the next one
    /// would find.
    pub(super) fn compare(&self, at: Duration, durable: Option<&R>) {
        let Some(durable) = durable else { return };
        let found = match &self.memory {
            Some(rows) => rows.borrow_mut().open(|| self.fresh.clone()).ok(),
            None => Database::open(self.disk.copy().mount(), R::default).ok().map(|(_, it)| it),
        };
        if found.as_ref() != Some(durable) {
            let difference = difference(&format!("{durable:#?}"), &format!("{found:#?}"));
            let what = format!("knows what its disk does not have, or the other way: {difference}");
            self.network.record(at, &self.host, What::Panicked(what));
        }
    }
}

/// The first lines that only one of two texts has.
fn difference(known: &str, found: &str) -> String {
    let lines = |text: &str| -> BTreeSet<String> {
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    let (known, found) = (lines(known), lines(found));
    let first = |a: &BTreeSet<String>, b| a.difference(b).next().cloned().unwrap_or_default();
    format!("{:?} and {:?}", first(&known, &found), first(&found, &known))
}

type Stuck<C> = Rc<RefCell<Option<(u64, Vec<C>)>>>;

/// Where a program's store is.
enum Base<R: Rows> {
    Disk(Mounted, Rc<RefCell<Database<R, Mounted>>>),
    Memory(Rc<RefCell<MemoryRows>>),
}

impl<R: Rows> Clone for Base<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Disk(mounted, database) => Self::Disk(mounted.clone(), Rc::clone(database)),
            Self::Memory(rows) => Self::Memory(Rc::clone(rows)),
        }
    }
}

/// The store of one program.
pub(super) struct Opened<R: Rows> {
    disk: Disk<R>,
    base: Base<R>,
    /// Commits that wait for those under way.
    asked: Vec<Vec<R::Change>>,
    under_way: Option<Pin<Box<dyn Future<Output = io::Result<Committed>>>>>,
    /// What found no room: how many commits, and their changes.
    stuck: Stuck<R::Change>,
    /// Whether the program is still to be told that there is little room.
    is_low: bool,
}

impl<R: Rows + PartialEq + 'static> Opened<R> {
    /// Commits together what was asked for, as the binary's thread does: while there is no room for
    /// it, which is told once, again and again.
    fn begin(&mut self) -> impl Future<Output = io::Result<Committed>> + use<R> {
        let stuck = self.stuck.take();
        let is_again = stuck.is_some();
        let (commits, changes) = stuck.unwrap_or_else(|| {
            let asked = std::mem::take(&mut self.asked);
            (asked.len() as u64, asked.into_iter().flatten().collect())
        });
        let disk = self.disk.clone();
        let DiskSpeed { shortest, longest } = disk.speed;
        let span = whole_ms(longest.saturating_sub(shortest)) + 1;
        let takes = shortest + Duration::from_millis(disk.stream.borrow_mut().below(span));
        let (base, stuck) = (self.base.clone(), Rc::clone(&self.stuck));
        async move {
            if is_again {
                wait(&disk.network, ROOM_RETRY).await;
            }
            loop {
                match disk.write(&base, &changes, takes).await {
                    Err(error) if is_full(&error) && is_again => {
                        wait(&disk.network, ROOM_RETRY).await;
                    }
                    Err(error) if is_full(&error) => {
                        *stuck.borrow_mut() = Some((commits, changes));
                        return Ok(Committed::LITTLE_ROOM);
                    }
                    result => return result.map(|room| Committed { commits, room }),
                }
            }
        }
    }
}

impl<R: Rows + PartialEq + 'static> Store for Opened<R> {
    type Change = R::Change;

    fn commit(&mut self, changes: Vec<R::Change>) {
        self.disk.witness.writes(&changes);
        self.asked.push(changes);
    }

    async fn committed(&mut self) -> io::Result<Committed> {
        if std::mem::take(&mut self.is_low) {
            return Ok(Committed::LITTLE_ROOM);
        }
        if self.under_way.is_none() {
            if self.asked.is_empty() && self.stuck.borrow().is_none() {
                pending::<()>().await;
            }
            self.under_way = Some(Box::pin(self.begin()));
        }
        let Some(under_way) = &mut self.under_way else { return pending().await };
        let committed = under_way.await;
        self.under_way = None;
        committed
    }
}

async fn wait(network: &Network, duration: Duration) {
    // A disk that takes no time does not even yield.
    if !duration.is_zero() {
        network.timeline().sleep(duration).await;
    }
}
