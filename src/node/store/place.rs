//! A folder by its descriptor, and the files in it: opened, made, renamed and removed where the
//! folder is, wherever its path leads meanwhile; never through a link, and for nobody else to read.
//!
//! Knows files and who owns them, and nothing of what is in them.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, openat, statat};
use rustix::fs::{renameat, unlinkat};
use rustix::io::Errno;

/// What everybody but the owner may do.
const OTHERS: u32 = 0o077;
/// Of that, what changes something.
const OTHERS_WRITE: u32 = 0o022;

/// Of `st_blocks`, whatever the file system's are.
const BLOCK_BYTES: u64 = 512;

const OWN_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const OWN_FOLDER: Mode = Mode::RWXU;

/// How often a file may be taken away between its opening and its locking: whoever does that once
/// is a program that ends, or a person; more often, it is something else.
const ATTEMPTS: u32 = 8;

/// Why a folder cannot be used. What to do about it depends on who wanted it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is none, and none was to be made.
    #[error("there is no store in it")]
    Missing,
    /// It is something else.
    #[error("it is no folder")]
    NoFolder,
    /// Somebody uses it.
    #[error("another udpchat is using it")]
    InUse,
    /// It is not as safe as a store must be; says what to do.
    #[error("{0}")]
    Refused(String),
    /// The file system does not let it.
    #[error("{0}")]
    Io(io::Error),
    /// The file system does not let it with one of its files.
    #[error("{name} in it: {error}")]
    File {
        /// Which one.
        name: String,
        /// What the system says.
        error: io::Error,
    },
}

impl FolderError {
    /// What the system says, if it is the system that says it.
    #[must_use]
    pub const fn system(&self) -> Option<&io::Error> {
        match self {
            Self::Io(error) | Self::File { error, .. } => Some(error),
            Self::Missing | Self::NoFolder | Self::InUse | Self::Refused(_) => None,
        }
    }
}

impl From<io::Error> for FolderError {
    // It says all that the system's error says: as its source that would be told twice.
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for FolderError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<FolderError> for io::Error {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// Whose folders are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// One's own only: what is made in another's he could not use any more.
    Own,
    /// To root, everybody's.
    RootsAreAll,
}

/// Which file something is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    number: u64,
}

/// A folder.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    folder: File,
    /// Whoever looks after another's folder leaves him what is made in it.
    owner: Option<(u32, u32)>,
}

impl Place {
    /// Takes a folder that is there. Others must not be able to change what is in it: that right
    /// is taken from them if nothing but `names` is there, else the folder is refused.
    pub(super) fn open(path: &Path, whose: Whose, names: &[&str]) -> Result<Self, FolderError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = File::from(openat(CWD, path, flags, Mode::empty())?);
        let stat = fstat(&folder)?;
        let owner = owned(&stat, whose, "it")?;
        let place = Self { path: path.to_owned(), folder, owner };
        if others(&stat) != 0 && place.holds_only(names)? {
            // Where that fails, what counts is how it is afterwards.
            let _ = fchmod(&place.folder, OWN_FOLDER);
        }
        if others(&fstat(&place.folder)?) & OTHERS_WRITE != 0 {
            return Err(FolderError::Refused(
                "others can write to it: take that from them (chmod go-w), or use a folder that \
                 holds nothing but the store, on a file system that knows whose it is"
                    .to_owned(),
            ));
        }
        Ok(place)
    }

    fn holds_only(&self, names: &[&str]) -> io::Result<bool> {
        for entry in self.path.read_dir()? {
            let name = entry?.file_name();
            if !names.iter().any(|known| name == OsStr::new(known)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The descriptor.
    pub(super) const fn folder(&self) -> &File {
        &self.folder
    }

    /// Which file has this name in the folder that the path leads to now.
    pub(super) fn found(&self, name: &str) -> io::Result<FileId> {
        Ok(FileId::of(&fs::symlink_metadata(self.path.join(name))?))
    }

    /// Whether there is a file of this name and size, and written: holes take no room.
    pub(super) fn holds_written(
        &self,
        name: &str,
        whose: Whose,
        bytes: u64,
    ) -> Result<bool, FolderError> {
        let Some(file) = self.existing(name, whose)? else { return Ok(false) };
        let metadata = file.metadata()?;
        Ok(metadata.len() == bytes && metadata.blocks().saturating_mul(BLOCK_BYTES) >= bytes)
    }

    /// A file that is there, none if there is none.
    fn existing(&self, name: &str, whose: Whose) -> Result<Option<File>, FolderError> {
        // Nobody can make it wait, with a pipe in the file's place.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::MLINK) => {
                return Err(FolderError::Refused(format!(
                    "{name} in it is a link: put the file itself in its place, or remove it"
                )));
            }
            // A folder, or a socket.
            Err(Errno::ISDIR | Errno::NXIO) => return Err(no_file(name)),
            Err(error) => return Err(of_file(name, error.into())),
        };
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(no_file(name));
        }
        owned(&stat, whose, name)?;
        if others(&stat) != 0 {
            let _ = fchmod(&file, OWN_FILE);
            if others(&fstat(&file)?) != 0 {
                return Err(FolderError::Refused(format!(
                    "others can read or write {name} in it, and that cannot be changed: use a \
                     file system with rights, or mount this one for its owner only"
                )));
            }
        }
        Ok(Some(file))
    }

    /// A new file. None if there is one of that name.
    fn made(&self, name: &str) -> io::Result<Option<File>> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.folder, name, flags, OWN_FILE) {
            Ok(file) => File::from(file),
            Err(Errno::EXIST) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Some((owner, group)) = self.owner {
            std::os::unix::fs::fchown(&file, Some(owner), Some(group))?;
        }
        Ok(Some(file))
    }

    /// A new file in the place of whatever has its name.
    pub(super) fn make_anew(&self, name: &str) -> io::Result<File> {
        for _ in 0..ATTEMPTS {
            self.remove(name)?;
            if let Some(file) = self.made(name)? {
                return Ok(file);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Opens a file and locks it; the lock ends with the last descriptor. It may be one that has
    /// just lost its name: then again with the one that has it now. None if there is none, and
    /// none `is_made`.
    pub(super) fn lock(
        &self,
        name: &str,
        whose: Whose,
        is_made: bool,
    ) -> Result<Option<File>, FolderError> {
        for _ in 0..ATTEMPTS {
            let file = match self.existing(name, whose)? {
                Some(file) => file,
                None if !is_made => return Ok(None),
                None => match self.made(name).map_err(|error| of_file(name, error))? {
                    Some(file) => file,
                    None => continue,
                },
            };
            lock(&file)?;
            let id = FileId::of_file(&file)?;
            if self.found(name).is_ok_and(|found| found == id) {
                return Ok(Some(file));
            }
        }
        Err(FolderError::InUse)
    }

    /// Gives a file a name that nothing has.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            let flags = RenameFlags::NOREPLACE;
            match renameat_with(&self.folder, from, &self.folder, to, flags) {
                // Not every file system can.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                result => return Ok(result?),
            }
        }
        match statat(&self.folder, to, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(renameat(&self.folder, from, &self.folder, to)?),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(no_file(name).into()),
            result => Ok(result?),
        }
    }

    /// Makes the names in it durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }
}

impl FileId {
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&file.metadata()?))
    }

    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

fn no_file(name: &str) -> FolderError {
    FolderError::Refused(format!("{name} in it is no file: remove it"))
}

fn of_file(name: &str, error: io::Error) -> FolderError {
    FolderError::File { name: name.to_owned(), error }
}

/// Locks a file, whatever its name, against every other program.
pub(super) fn lock(file: &File) -> Result<(), FolderError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Makes a folder, and those above it, so that they are there after a crash.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in missing {
        if let Some(parent) = folder.parent() {
            let parent = if parent == Path::new("") { Path::new(".") } else { parent };
            sync_folder(&File::open(parent)?)?;
        }
    }
    Ok(())
}

/// Makes the names in a folder durable, where the file system has a way: some that are not of
/// Unix (CIFS, vboxsf) know no sync of a folder, and have nothing to do for it.
fn sync_folder(folder: &File) -> io::Result<()> {
    let has_no_way = |error: &io::Error| {
        let known = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::BADF];
        Errno::from_io_error(error).is_some_and(|error| known.contains(&error))
    };
    match folder.sync_all() {
        Err(error) if has_no_way(&error) => Ok(()),
        result => result,
    }
}

fn others(stat: &Stat) -> u32 {
    Mode::from_raw_mode(stat.st_mode).bits() & OTHERS
}

/// Refuses what belongs to somebody else. Whom it belongs to, if root may have it all the same.
fn owned(stat: &Stat, whose: Whose, what: &str) -> Result<Option<(u32, u32)>, FolderError> {
    let (owner, user) = (stat.st_uid, rustix::process::geteuid());
    if owner == user.as_raw() {
        return Ok(None);
    }
    if whose == Whose::RootsAreAll && user.is_root() {
        return Ok(Some((owner, stat.st_gid)));
    }
    let user = user.as_raw();
    Err(FolderError::Refused(format!(
        "{what} belongs to another user, {owner} (this is {user}): run udpchat as that one, or \
         give the folder and all in it to this one (chown -R {user})"
    )))
}
