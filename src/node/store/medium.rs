//! What a disk is for a database: one file that appears whole or not at all, and a reserve.
//!
//! The real one is a folder (`super::folder`); a simulated one may lose, tear and refuse whatever
//! a real one may. Knows nothing of what is in the file.

use std::io;

use redb::StorageBackend;

/// A place for one database. Whoever has it has it alone.
pub trait Medium {
    /// The database's file. Its writes are durable after its next sync, and may be so before.
    type File: StorageBackend;

    /// The published file, none if there is none yet. Called again after an error of the file
    /// before, which has been dropped: what that one was told to write may or may not be there.
    ///
    /// # Errors
    ///
    /// The file is there but cannot be opened.
    fn open(&mut self) -> io::Result<Option<Self::File>>;

    /// A new, empty file, which nobody finds before it is published. What remains of an earlier
    /// attempt is gone.
    ///
    /// # Errors
    ///
    /// Whatever the medium reports.
    fn create(&mut self) -> io::Result<Self::File>;

    /// Publishes the file that was created last, which has been written and dropped: syncs it,
    /// then makes it the one that [`Self::open`] finds, at once and for good. After a crash
    /// meanwhile there is either none or all of it.
    ///
    /// # Errors
    ///
    /// Whatever the medium reports.
    fn publish(&mut self) -> io::Result<()>;

    /// Makes sure that who opens the published file finds the one that is open here, as it was
    /// written here. Costs little: it is asked around every commit.
    ///
    /// # Errors
    ///
    /// It is not so ([`is_lost`]), and never will be again: nothing is written to the file any
    /// more, not even as it is closed. Or nobody can tell.
    fn confirm(&mut self) -> io::Result<()>;

    /// Holds back room that nothing else can take, if there is enough of it; costs little if it is
    /// held already. Whether it is held.
    ///
    /// # Errors
    ///
    /// Something other than want of room.
    fn hold_reserve(&mut self) -> io::Result<bool>;

    /// Gives the held room to the file.
    ///
    /// # Errors
    ///
    /// Whatever the medium reports.
    fn free_reserve(&mut self) -> io::Result<()>;
}

/// Whether an error goes away once somebody makes room, or lifts a limit.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The file that was found under its name is not found there any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "while it was in use, its file was removed, moved, replaced or written to by another program; \
     what was acknowledged is in the file that was there: put that one back, then start again"
)]
struct Lost;

/// The error of a medium whose file somebody has taken away.
#[must_use]
pub fn lost() -> io::Error {
    io::Error::other(Lost)
}

/// Whether it is that error.
#[must_use]
pub fn is_lost(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Lost>())
}
