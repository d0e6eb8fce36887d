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

/// Whether an error goes away once somebody makes room.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
