//! A simulated disk for the database that ships: what is seen, what of it would survive the loss
//! of power, and what goes wrong.
//!
//! Belongs to a host and outlives its programs. A program has it through a [`Mounted`] disk, which
//! is cut off when the program is killed or the power fails: whatever the program's remains still
//! do, such as closing their files, reaches nothing. Knows no programs, no clock and no runtime.

mod fault;
mod file;
mod image;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::StorageBackend;
use udpchat_node::store::medium::{Medium, lost};

pub use fault::{DiskEvent, DiskFault, DiskFaults, DiskRule, Keeps, Operation};

use crate::naming::label::HostName;
use crate::naming::random::Stream;
use fault::DiskFates;
use file::File;
use image::parts;

/// What a program holds back of a disk's room, in pages: more than all deletions of a simulated
/// run take.
const RESERVE_PAGES: u64 = 2_048;

/// A disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<Inner>>);

#[derive(Clone, Debug)]
struct Inner {
    seed: u64,
    host: HostName,
    fates: DiskFates,
    /// The file that is found.
    published: Option<File>,
    /// The one that was found before, as long as the new one's name is not durable.
    replaced: Option<Option<File>>,
    /// A copy of it that somebody has put in its place: the next program finds that. Whoever has
    /// the file open goes on writing to one that nobody finds.
    replacement: Option<File>,
    /// The one that is being made.
    fresh: Option<File>,
    is_reserve_held: bool,
    full: Option<Full>,
    /// Programs that have had it, and power cuts. Whoever is from before is cut off.
    epoch: u64,
    now: Duration,
    /// By how much operations have taken longer.
    delay: Duration,
    events: Vec<DiskEvent>,
    /// Whether it says that it has synced and has not.
    is_lying: bool,
}

/// A disk without room.
#[derive(Clone, Copy, Debug)]
struct Full {
    /// What is in use, in pages, and may stay so.
    pages: u64,
    until: Option<Duration>,
}

/// Which of a disk's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Published,
    Fresh,
}

/// A disk as one program has it.
#[derive(Clone, Debug)]
pub struct Mounted {
    disk: SimDisk,
    epoch: u64,
}

/// One of its files.
#[derive(Debug)]
pub struct SimFile {
    mounted: Mounted,
    which: Which,
}

impl SimDisk {
    /// A host's disk, empty.
    #[must_use]
    pub fn new(seed: u64, host: &HostName, faults: &DiskFaults) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            seed,
            host: host.clone(),
            fates: DiskFates::new(seed, host.clone(), faults),
            published: None,
            replaced: None,
            replacement: None,
            fresh: None,
            is_reserve_held: false,
            full: None,
            epoch: 0,
            now: Duration::ZERO,
            delay: Duration::ZERO,
            events: Vec::new(),
            is_lying: false,
        })))
    }

    /// Gives it to a program that starts. What it was given to before is cut off.
    #[must_use]
    pub fn mount(&self) -> Mounted {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.fresh = None;
        if let Some(replacement) = inner.replacement.take() {
            inner.published = Some(replacement);
        }
        Mounted { disk: self.clone(), epoch: inner.epoch }
    }

    /// The program is killed: all that it has written stays seen.
    pub fn unmount(&self) {
        self.lock().epoch += 1;
    }

    /// The same content on a disk of which nothing goes wrong.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut copy = self.lock().clone();
        copy.fates = DiskFates::new(copy.seed, copy.host.clone(), &DiskFaults::default());
        copy.full = None;
        Self(Arc::new(Mutex::new(copy)))
    }

    /// From now on it has what the other has, or nothing, and room: it is another disk. Programs
    /// that have had it are cut off.
    pub fn become_like(&self, other: Option<&Self>) {
        let published = other.and_then(|other| other.lock().published.clone());
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.published = published;
        (inner.replaced, inner.replacement, inner.fresh) = (None, None, None);
        (inner.full, inner.is_reserve_held) = (None, false);
    }

    /// From now on it is so late.
    pub fn set_now(&self, now: Duration) {
        self.lock().now = now;
    }

    /// From now on it says that it has synced, and has not.
    pub fn lie(&self) {
        self.lock().is_lying = true;
    }

    /// The power fails, between two operations.
    pub fn lose_power(&self, keeps: Keeps) {
        self.lock().lose_power(keeps, &["power cut"]);
    }

    /// What went wrong since the last call.
    #[must_use]
    pub fn take_events(&self) -> Vec<DiskEvent> {
        std::mem::take(&mut self.lock().events)
    }

    /// By how much operations have taken longer since the last call.
    #[must_use]
    pub fn take_delay(&self) -> Duration {
        std::mem::take(&mut self.lock().delay)
    }

    /// How many operations there were while random faults were on.
    #[must_use]
    pub fn exposed(&self) -> u64 {
        self.lock().fates.exposed()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Begins an operation; what goes wrong with it.
    fn begin(&mut self, kind: Operation) -> Option<DiskEvent> {
        let event = self.fates.decide(self.now, kind)?;
        self.events.push(event);
        match event.fault {
            DiskFault::Full { lasts } => {
                let until = lasts.map(|lasts| self.now.saturating_add(lasts));
                // Whoever has not held a reserve back finds room for one: without any, no program
                // can go on.
                let room = if self.is_reserve_held { 0 } else { RESERVE_PAGES };
                self.full = Some(Full { pages: self.used() + room, until });
            }
            DiskFault::Slow { by } => self.delay += by,
            DiskFault::Replaced => self.replacement.clone_from(&self.published),
            DiskFault::PowerCut { .. } | DiskFault::Fails => {}
        }
        Some(event)
    }

    /// Ends an operation, perhaps the last one for now.
    fn end(&mut self, event: Option<DiskEvent>) -> io::Result<()> {
        match event {
            Some(DiskEvent { fault: DiskFault::PowerCut { keeps }, kind, number, .. }) => {
                self.lose_power(keeps, &["power cut", kind.name(), &number.to_string()]);
                Err(cut_off())
            }
            _ => Ok(()),
        }
    }

    fn lose_power(&mut self, keeps: Keeps, name: &[&str]) {
        let mut stream = Stream::new(self.seed, &[&[&*self.host], name].concat());
        self.epoch += 1;
        self.fresh = None;
        if let Some(before) = self.replaced.take() {
            let stays = match keeps {
                Keeps::All => true,
                Keeps::Nothing => false,
                _ => stream.fraction() < 0.5,
            };
            if !stays {
                self.published = before;
            }
        }
        if let Some(file) = &mut self.published {
            file.lose_power(keeps, &mut stream);
        }
    }

    /// Pages in use.
    fn used(&self) -> u64 {
        let files = [&self.published, &self.fresh].into_iter().flatten();
        let reserve = if self.is_reserve_held { RESERVE_PAGES } else { 0 };
        files.map(|file| file.seen().written()).sum::<u64>() + reserve
    }

    /// Whether there is room for so many pages more.
    fn has_room(&mut self, pages: u64) -> bool {
        let is_over = |full: &Full| full.until.is_some_and(|until| until <= self.now);
        if self.full.as_ref().is_some_and(is_over) {
            self.full = None;
        }
        self.full.is_none_or(|full| pages == 0 || self.used() + pages <= full.pages)
    }

    fn file(&mut self, which: Which) -> io::Result<&mut File> {
        let file = match which {
            Which::Published => &mut self.published,
            Which::Fresh => &mut self.fresh,
        };
        file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&mut self, which: Which) -> io::Result<()> {
        let event = self.begin(Operation::Sync);
        let fault = event.map(|event| event.fault);
        match fault {
            Some(DiskFault::Fails) => {
                self.file(which)?.fail_to_sync();
                return Err(failed());
            }
            Some(DiskFault::PowerCut { .. }) => {}
            _ if self.is_lying => {}
            _ => {
                self.file(which)?.sync();
                // Names are in the same journal as lengths.
                self.replaced = None;
            }
        }
        self.end(event)
    }

    fn set_len(&mut self, which: Which, len: u64) -> io::Result<()> {
        let event = self.begin(Operation::Write);
        if event.is_some_and(|event| event.fault == DiskFault::Fails) {
            return Err(failed());
        }
        self.file(which)?.set_len(len);
        self.end(event)
    }

    fn write(&mut self, which: Which, offset: u64, data: &[u8]) -> io::Result<()> {
        let event = self.begin(Operation::Write);
        if event.is_some_and(|event| event.fault == DiskFault::Fails) {
            return Err(failed());
        }
        let seen = self.file(which)?.seen();
        if offset.saturating_add(data.len() as u64) > seen.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let holes = parts(offset, data.len()).filter(|(page, ..)| seen.is_hole(*page)).count();
        if !self.has_room(holes as u64) {
            self.end(event)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file(which)?.write(offset, data);
        self.end(event)
    }

    /// Gives the file that was made its name. The name is durable after the next sync.
    fn publish(&mut self) -> io::Result<()> {
        self.sync(Which::Fresh)?;
        let event = self.begin(Operation::Sync);
        let before = self.published.take();
        self.published = self.fresh.take();
        self.replaced.get_or_insert(before);
        match event.map(|event| event.fault) {
            Some(DiskFault::Fails) => Err(failed()),
            Some(DiskFault::PowerCut { .. }) => self.end(event),
            _ if self.is_lying => Ok(()),
            _ => {
                self.replaced = None;
                Ok(())
            }
        }
    }
}

impl Mounted {
    /// Whether the program that had it has lost it.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.disk.lock().epoch != self.epoch
    }

    fn lock(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.disk.lock();
        if inner.epoch == self.epoch { Ok(inner) } else { Err(cut_off()) }
    }

    fn file(&self, which: Which) -> SimFile {
        SimFile { mounted: self.clone(), which }
    }
}

fn cut_off() -> io::Error {
    io::Error::other("the disk is gone")
}

/// What a program is told when a disk fails.
fn failed() -> io::Error {
    io::Error::other("input/output error")
}

impl Medium for Mounted {
    type File = SimFile;

    fn open(&mut self) -> io::Result<Option<SimFile>> {
        let is_there = self.lock()?.published.is_some();
        Ok(is_there.then(|| self.file(Which::Published)))
    }

    fn create(&mut self) -> io::Result<SimFile> {
        self.lock()?.fresh = Some(File::default());
        Ok(self.file(Which::Fresh))
    }

    fn publish(&mut self) -> io::Result<()> {
        self.lock()?.publish()
    }

    fn confirm(&mut self) -> io::Result<()> {
        let inner = self.lock()?;
        if inner.replacement.is_some() { Err(lost()) } else { Ok(()) }
    }

    fn hold_reserve(&mut self) -> io::Result<bool> {
        let mut inner = self.lock()?;
        if !inner.is_reserve_held && inner.has_room(RESERVE_PAGES) {
            inner.is_reserve_held = true;
        }
        Ok(inner.is_reserve_held)
    }

    fn free_reserve(&mut self) -> io::Result<()> {
        self.lock()?.is_reserve_held = false;
        Ok(())
    }
}

impl StorageBackend for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.mounted.lock()?.file(self.which)?.seen().len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inner = self.mounted.lock()?;
        if inner.file(self.which)?.seen().read(offset, out) {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.mounted.lock()?.set_len(self.which, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.mounted.lock()?.sync(self.which)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.mounted.lock()?.write(self.which, offset, data)
    }
}
