//! A record on a medium: opening it, committing changes, and going on when the medium is full.
//!
//! The start-up code of the binary and of the simulator's hosts. Everything here takes as long as
//! the medium takes; whoever must not wait for it has a thread for it ([`super::thread`]).

use std::io;
use std::marker::PhantomData;

use udpchat_core::store::{DiskSpace, RowChange, Rows};

use super::contents::{Contents, OpenError};
use super::medium::{Medium, is_full, is_lost};

/// A record's place on a medium.
#[derive(Debug)]
pub struct Database<R, M> {
    medium: M,
    /// None after an error.
    contents: Option<Contents>,
    /// Whether the error was another one than want of room.
    has_failed: bool,
    /// How much room there was last.
    room: DiskSpace,
    record: PhantomData<fn() -> R>,
}

impl<R: Rows, M: Medium> Database<R, M> {
    /// Opens the store on the medium and puts its record together; without one, makes one that
    /// holds `fresh`. A crash at any point leaves either no store or all of it.
    ///
    /// # Errors
    ///
    /// What is there is no store for `R`, or the medium fails.
    pub fn open(mut medium: M, fresh: impl FnOnce() -> R) -> Result<(Self, R), OpenError> {
        let mut contents = match open_file(&mut medium)? {
            Some(contents) => contents,
            None => {
                let file = medium.create().map_err(OpenError::Io)?;
                Contents::create(file, &fresh()).map_err(OpenError::Io)?;
                medium.publish().map_err(OpenError::Io)?;
                open_file(&mut medium)?.ok_or_else(|| OpenError::Damaged("it is gone".into()))?
            }
        };
        contents.bring_up_to_date::<R>()?;
        let record = contents.read()?;
        let room = hold_reserve(&mut medium).map_err(OpenError::Io)?;
        let contents = Some(contents);
        Ok((Self { medium, contents, has_failed: false, room, record: PhantomData }, record))
    }

    /// How much room there was when it was opened, or at the end of the last commit.
    #[must_use]
    pub const fn room(&self) -> DiskSpace {
        self.room
    }

    /// Makes the changes durable, all or none. If the medium is full, the room held in reserve is
    /// used up for it; the answer is [`DiskSpace::Low`] until that much is free again.
    ///
    /// # Errors
    ///
    /// Whatever the medium reports. Whether the changes were kept is unknown. If it is full even so
    /// ([`is_full`]), the same changes may be tried again, and nothing else before them; after any
    /// other error this is of no use any more.
    pub fn commit(&mut self, changes: &[R::Change]) -> io::Result<DiskSpace> {
        let rows: Vec<RowChange> = changes.iter().flat_map(R::row_changes).collect();
        // Before it, so that nothing is written to another's file; after it, so that nothing is
        // acknowledged that nobody finds.
        self.confirm()?;
        if !rows.is_empty() {
            match self.write(&rows) {
                Err(error) if is_full(&error) => {
                    self.medium.free_reserve()?;
                    self.write(&rows)?;
                }
                result => result?,
            }
        }
        self.confirm()?;
        self.room = hold_reserve(&mut self.medium)?;
        Ok(self.room)
    }

    /// Makes sure that the store is still there for whoever looks for it. To be asked now and then
    /// even if there is nothing to commit.
    ///
    /// # Errors
    ///
    /// It is not ([`is_lost`]): nothing more can be committed. Or the medium does not tell.
    pub fn confirm(&mut self) -> io::Result<()> {
        let confirmed = self.medium.confirm();
        if confirmed.as_ref().is_err_and(is_lost) {
            (self.contents, self.has_failed) = (None, true);
        }
        confirmed
    }

    /// After an error the contents are gone: redb answers nothing but that there was one.
    fn write(&mut self, rows: &[RowChange]) -> io::Result<()> {
        if self.has_failed {
            self.medium.confirm()?;
            return Err(io::Error::other("it failed before"));
        }
        let mut written = self.try_to_write(rows);
        if written.is_err() {
            // That the file is another one says more than what came of it.
            written = self.medium.confirm().and(written);
        }
        if let Err(error) = &written {
            self.contents = None;
            self.has_failed = !is_full(error);
        }
        written
    }

    fn try_to_write(&mut self, rows: &[RowChange]) -> io::Result<()> {
        if self.contents.is_none() {
            self.contents = open_file(&mut self.medium)?;
        }
        let contents = self.contents.as_ref().ok_or_else(|| io::Error::other("it is gone"))?;
        contents.write(rows)
    }
}

fn hold_reserve(medium: &mut impl Medium) -> io::Result<DiskSpace> {
    Ok(if medium.hold_reserve()? { DiskSpace::Plenty } else { DiskSpace::Low })
}

/// What is on the medium. To open it costs room as well: after a crash there is something to write.
fn open_file(medium: &mut impl Medium) -> Result<Option<Contents>, OpenError> {
    let mut open = || medium.open().map_err(OpenError::Io)?.map(Contents::open).transpose();
    match open() {
        Err(OpenError::Io(error)) if is_full(&error) => {}
        result => return result,
    }
    medium.free_reserve().map_err(OpenError::Io)?;
    medium.open().map_err(OpenError::Io)?.map(Contents::open).transpose()
}
