//! A folder of the file system as a database's medium, locked against a second user.
//!
//! docs/storage.md, "The folder", says what is in it. Knows nothing of what is in the database.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::medium::{Medium, is_full, lost};
pub use super::place::FolderError;
use super::place::{self, FileId, Place, Whose};
use super::watched::{Held, WatchedFile};

/// The database.
const STORE: &str = "store.redb";
/// The database before it is published.
const UNPUBLISHED: &str = "store.redb.new";
/// Locked by whoever uses the folder, before there is a database as well, which is locked too:
/// this one may be removed by somebody who takes it for a leftover. It stays when they go.
const LOCK: &str = "lock";
/// Room held back.
const RESERVE: &str = "reserve";
/// All of them.
const NAMES: [&str; 4] = [STORE, UNPUBLISHED, LOCK, RESERVE];

/// A reserve for a store of many users, in bytes: enough for a commit that changes two thousand
/// rows far apart, for each costs a page of 4 KiB.
pub const LARGE_RESERVE_BYTES: usize = 8 << 20;

/// A reserve for a store of one user, in bytes: enough for two hundred and fifty such rows.
pub const SMALL_RESERVE_BYTES: usize = 1 << 20;

/// Written at a time: a full disk is noticed early.
const RESERVE_STEP_BYTES: usize = 256 << 10;

/// So many times the reserve must be free before it is taken again: were it just as much as that,
/// the next commit might want it back.
const RESERVE_AGAIN: usize = 2;

/// A folder that nobody else uses meanwhile.
#[derive(Debug)]
pub struct Folder {
    place: Place,
    /// How much room is held back.
    reserve_bytes: usize,
    reserved: bool,
    /// The database, if there is one.
    store: Option<Held>,
    /// The one that is being made.
    unpublished: Option<Held>,
    /// Its lock ends with it.
    _lock: fs::File,
}

impl Folder {
    /// Takes a folder, and makes it first if it is not there. So many bytes are held back in it, a
    /// multiple of 256 KiB ([`LARGE_RESERVE_BYTES`], [`SMALL_RESERVE_BYTES`]).
    ///
    /// # Errors
    ///
    /// It is in use, or the file system does not let it.
    pub fn take(path: &Path, reserve_bytes: usize) -> Result<Self, FolderError> {
        place::make(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FolderError::NoFolder,
            _ => error.into(),
        })?;
        Self::locked(path, Whose::Own, reserve_bytes)
    }

    /// Takes a folder that has a store, to look after it: root may take everybody's.
    ///
    /// # Errors
    ///
    /// It has none, it is in use, or the file system does not let it.
    pub fn take_existing(path: &Path) -> Result<Self, FolderError> {
        match fs::symlink_metadata(path.join(STORE)) {
            Ok(_) => Self::locked(path, Whose::RootsAreAll, LARGE_RESERVE_BYTES),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FolderError::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(FolderError::NoFolder)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn locked(path: &Path, whose: Whose, reserve_bytes: usize) -> Result<Self, FolderError> {
        let place = Place::open(path, whose, &NAMES)?;
        let lock = place.lock(LOCK, whose, true)?.ok_or(FolderError::InUse)?;
        let store = place.lock(STORE, whose, false)?.map(Held::new).transpose()?;
        let reserved = place.holds_written(RESERVE, whose, reserve_bytes as u64)?;
        Ok(Self { place, reserve_bytes, reserved, store, unpublished: None, _lock: lock })
    }

    /// The database's size in bytes.
    ///
    /// # Errors
    ///
    /// The file system does not tell.
    pub fn store_bytes(&self) -> io::Result<u64> {
        let store = self.store.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(store.file().metadata()?.len())
    }
}

impl Medium for Folder {
    type File = WatchedFile;

    fn open(&mut self) -> io::Result<Option<WatchedFile>> {
        self.confirm()?;
        self.store.as_ref().map(Held::open).transpose()
    }

    fn create(&mut self) -> io::Result<WatchedFile> {
        let file = self.place.make_anew(UNPUBLISHED)?;
        // From its first moment on, so that there is none in which it has its name and no lock.
        place::lock(&file)?;
        self.unpublished.insert(Held::new(file)?).open()
    }

    fn publish(&mut self) -> io::Result<()> {
        let file = self.unpublished.take().ok_or(io::ErrorKind::NotFound)?;
        file.file().sync_all()?;
        if self.place.found(UNPUBLISHED)? != FileId::of_file(file.file())? {
            return Err(lost());
        }
        self.place.rename(UNPUBLISHED, STORE)?;
        self.place.sync()?;
        self.store = Some(file);
        Ok(())
    }

    fn confirm(&mut self) -> io::Result<()> {
        self.store.as_ref().map_or(Ok(()), |store| store.confirm(&self.place, STORE))
    }

    fn hold_reserve(&mut self) -> io::Result<bool> {
        if self.reserved {
            return Ok(true);
        }
        if has_less_than(self.place.folder(), RESERVE_AGAIN * self.reserve_bytes) {
            return Ok(false);
        }
        match self.place.make_anew(RESERVE).and_then(|file| fill(file, self.reserve_bytes)) {
            Ok(()) => {
                self.reserved = true;
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                // It may not even have been made.
                self.free_reserve()?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn free_reserve(&mut self) -> io::Result<()> {
        self.reserved = false;
        self.place.remove(RESERVE)
    }
}

/// Writes the reserve: no holes and no zeros, which some file systems keep for nothing.
fn fill(mut file: fs::File, bytes: usize) -> io::Result<()> {
    let mut word = 1_u64;
    let step: Vec<u8> = std::iter::repeat_with(|| {
        // An xorshift: nothing shorter says the same.
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_be_bytes()
    })
    .take(RESERVE_STEP_BYTES / size_of::<u64>())
    .flatten()
    .collect();
    for _ in 0..bytes / RESERVE_STEP_BYTES {
        file.write_all(&step)?;
    }
    file.sync_all()
}

/// Whether the file system says so. To find out by writing would for a moment take what there is
/// from everybody else.
fn has_less_than(folder: &fs::File, bytes: usize) -> bool {
    rustix::fs::fstatvfs(folder)
        .is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) < bytes as u64)
}
