//! A folder of the file system as a database's medium, locked against a second user.
//!
//! docs/storage.md, "The folder", says what is in it. Knows nothing of what is in the database.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::medium::{Medium, is_full};

#[cfg(target_os = "linux")]
use super::solid::SolidFile as StoreFile;
#[cfg(not(target_os = "linux"))]
use redb::backends::FileBackend as StoreFile;

/// The database.
const STORE: &str = "store.redb";
/// The database before it is published.
const UNPUBLISHED: &str = "store.redb.new";
/// Locked by whoever uses the folder. It stays when they go: only a lock counts.
const LOCK: &str = "lock";
/// Room held back.
const RESERVE: &str = "reserve";

/// Enough for a commit that changes two thousand rows far apart: each costs a page of 4 KiB.
const RESERVE_BYTES: usize = 8 << 20;

/// Written at a time: a full disk is noticed early.
const RESERVE_STEP_BYTES: usize = 256 << 10;

/// Room that must be free before a reserve is taken again: were it just as much as that, the next
/// commit might want it back.
const RESERVE_AGAIN_BYTES: usize = 2 * RESERVE_BYTES;

/// A folder that nobody else uses meanwhile.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    reserved: bool,
    /// Its lock ends with it.
    _lock: File,
}

/// Why a folder cannot be used. What to do about it depends on who wanted it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is none, and none was to be made.
    #[error("there is no store in it")]
    Missing,
    /// It is something else, and none was to be made.
    #[error("it is no folder; give the folder that the store is in")]
    NoFolder,
    /// Somebody uses it.
    #[error("another udpchat is using it")]
    InUse,
    /// The file system does not let it.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for FolderError {
    // It says all that the system's error says: as its source that would be told twice.
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Folder {
    /// Takes a folder, and makes it first if it is not there.
    ///
    /// # Errors
    ///
    /// It is in use, or the file system does not let it.
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        make(path)?;
        let lock = options().write(true).create(true).open(path.join(LOCK))?;
        Self::locked(path, lock)
    }

    /// Takes a folder that has a store.
    ///
    /// # Errors
    ///
    /// It has none, it is in use, or the file system does not let it.
    pub fn take_existing(path: &Path) -> Result<Self, FolderError> {
        match fs::exists(path.join(STORE)) {
            Ok(true) => Self::take(path),
            Ok(false) => Err(FolderError::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(FolderError::NoFolder)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn locked(path: &Path, lock: File) -> Result<Self, FolderError> {
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), reserved: false, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The database's size in bytes.
    ///
    /// # Errors
    ///
    /// The file system does not tell.
    pub fn store_bytes(&self) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(STORE))?.len())
    }

    fn open_for_database(&self, name: &str, options: &mut OpenOptions) -> io::Result<StoreFile> {
        let file = options.read(true).write(true).open(self.path.join(name))?;
        StoreFile::new(file).map_err(io::Error::other)
    }
}

impl Medium for Folder {
    type File = StoreFile;

    fn open(&mut self) -> io::Result<Option<StoreFile>> {
        match self.open_for_database(STORE, &mut options()) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self) -> io::Result<StoreFile> {
        self.open_for_database(UNPUBLISHED, options().create(true).truncate(true))
    }

    fn publish(&mut self) -> io::Result<()> {
        let unpublished = self.path.join(UNPUBLISHED);
        File::open(&unpublished)?.sync_all()?;
        fs::rename(unpublished, self.path.join(STORE))?;
        sync_folder(&self.path)
    }

    fn hold_reserve(&mut self) -> io::Result<bool> {
        if self.reserved {
            return Ok(true);
        }
        let path = self.path.join(RESERVE);
        if fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE_BYTES as u64) {
            self.reserved = true;
            return Ok(true);
        }
        if has_less_than(&self.path, RESERVE_AGAIN_BYTES) {
            return Ok(false);
        }
        match fill(&path) {
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
        match fs::remove_file(self.path.join(RESERVE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// Writes the reserve: no holes and no zeros, which some file systems keep for nothing.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = options().write(true).create(true).truncate(true).open(path)?;
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
    for _ in 0..RESERVE_BYTES / RESERVE_STEP_BYTES {
        file.write_all(&step)?;
    }
    file.sync_all()
}

/// Whether the file system says so. To find out by writing would for a moment take what there is
/// from everybody else.
fn has_less_than(path: &Path, bytes: usize) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) < bytes as u64)
}

/// What is kept is nobody else's business.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the folder, and those above it, so that they are there after a crash.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    for folder in missing {
        if let Some(parent) = folder.parent() {
            sync_folder(if parent == Path::new("") { Path::new(".") } else { parent })?;
        }
    }
    Ok(())
}

/// Makes the names in a folder durable. Only Unix has a way, and elsewhere it is said not to be
/// needed.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
