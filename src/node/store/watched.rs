//! A database's file that notices when somebody else has written to it or put another in its place.
//!
//! Names can be given to other files at any time, and a file can be written to by whoever copies a
//! backup over it. What this program then writes is nobody's store any more: it must neither be
//! acknowledged nor spoil what is there now.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::medium::lost;
use super::place::{FileId, Place};

#[cfg(target_os = "linux")]
use super::preallocation::PreallocatedFile as PlainFile;
#[cfg(not(target_os = "linux"))]
use redb::backends::FileBackend as PlainFile;

/// The part of the file that every commit changes, redb's header, and a little more. Whoever else
/// writes the file changes it as well, as long as it is not the very same store.
const HEAD_BYTES: usize = 512;

/// The one file that may have a name, open and locked.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    id: FileId,
    seen: Arc<Seen>,
}

/// What this program has written last.
#[derive(Debug, Default)]
struct Seen {
    /// None if nobody knows: after an error.
    state: Mutex<Option<State>>,
    is_lost: AtomicBool,
}

#[derive(Debug, PartialEq, Eq)]
struct State {
    len: u64,
    /// The first bytes, up to [`HEAD_BYTES`].
    head: Vec<u8>,
}

impl Held {
    /// A file that was opened and locked.
    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self { id: FileId::of_file(&file)?, file, seen: Arc::default() })
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// The file for a database. It has the same lock.
    pub(super) fn open(&self) -> io::Result<WatchedFile> {
        {
            let mut state = self.seen.lock();
            if state.is_none() {
                *state = Some(State::of(&self.file)?);
            }
        }
        let file = PlainFile::new(self.file.try_clone()?).map_err(io::Error::other)?;
        Ok(WatchedFile { file, seen: Arc::clone(&self.seen) })
    }

    /// Makes sure that this is the file of that name, and that nobody else has written to it.
    pub(super) fn confirm(&self, place: &Place, name: &str) -> io::Result<()> {
        if self.seen.is_lost.load(Ordering::Acquire) {
            return Err(lost());
        }
        let is_there = match place.found(name) {
            Ok(found) => found == self.id,
            Err(error) if is_gone(&error) => false,
            Err(error) => return Err(error),
        };
        let is_ours = || {
            let state = self.seen.lock();
            let Some(state) = &*state else { return Ok(true) };
            State::of(&self.file).map(|now| now == *state)
        };
        if is_there && is_ours()? {
            return Ok(());
        }
        self.seen.is_lost.store(true, Ordering::Release);
        Err(lost())
    }
}

/// Whether a path leads nowhere.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, StaleNetworkFileHandle};
    matches!(error.kind(), NotFound | NotADirectory | StaleNetworkFileHandle)
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let mut head = vec![0; HEAD_BYTES];
        let mut read = 0;
        while read < HEAD_BYTES {
            match file.read_at(&mut head[read..], read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        head.truncate(read);
        Ok(Self { len: file.metadata()?.len(), head })
    }

    fn set_len(&mut self, len: u64) {
        self.len = len;
        let head = usize::try_from(len).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        self.head.resize(head, 0);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset.saturating_add(data.len() as u64);
        if end > self.len {
            self.set_len(end);
        }
        let Ok(offset) = usize::try_from(offset) else { return };
        if let Some(head) = self.head.get_mut(offset..) {
            let bytes = head.len().min(data.len());
            head[..bytes].copy_from_slice(&data[..bytes]);
        }
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the file, and remembers how it is then.
    fn change(
        &self,
        change: impl FnOnce() -> io::Result<()>,
        note: impl FnOnce(&mut State),
    ) -> io::Result<()> {
        if self.is_lost.load(Ordering::Acquire) {
            return Err(lost());
        }
        let mut state = self.lock();
        let changed = change();
        match (&changed, &mut *state) {
            (Ok(()), Some(state)) => note(state),
            (Ok(()), None) => {}
            (Err(_), _) => *state = None,
        }
        changed
    }
}

/// The file as a database has it.
#[derive(Debug)]
pub struct WatchedFile {
    file: PlainFile,
    seen: Arc<Seen>,
}

impl StorageBackend for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.seen.change(|| self.file.set_len(len), |state| state.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.seen.is_lost.load(Ordering::Acquire) {
            return Err(lost());
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.seen.change(|| self.file.write(offset, data), |state| state.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
