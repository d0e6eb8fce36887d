//! The seam to whatever keeps a node's state over a crash.
//!
//! A machine's durable state is a [`Record`], changed only by its `Change`s. The machine applies a
//! change at once and asks for a commit; everything that reveals the change waits for its end
//! ([`crate::journal`]). A store keeps what the changes do to the record's rows.
//!
//! Knows no database, file or thread.

pub(crate) mod row;
mod rows;

use std::io;

pub use rows::{BadRow, RowChange, Rows};

/// State that outlives a crash.
pub trait Record: Clone {
    /// One step from one state to the next.
    type Change;

    /// Takes the step.
    fn apply(&mut self, change: &Self::Change);
}

/// Commits have ended, or there is news of the room alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// How many more, the oldest first. Those that wait while others are carried out share one
    /// sync (group commit).
    pub commits: u64,
    /// How much room there is for more.
    pub room: DiskSpace,
}

impl Committed {
    /// There is little room: at the start, or for a commit, which waits for more.
    pub const LITTLE_ROOM: Self = Self { commits: 0, room: DiskSpace::Low };
}

/// How much room a store has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskSpace {
    /// For anything that a machine's limits allow.
    #[default]
    Plenty,
    /// Only for what a node cannot refuse: take nothing new on. What was committed is durable.
    Low,
}

/// Keeps a record.
pub trait Store {
    /// The record's steps.
    type Change;

    /// Begins to make the changes durable, all or none, after those of all commits before. Want
    /// of room is told ([`Committed::LITTLE_ROOM`]), and they wait until there is some.
    fn commit(&mut self, changes: Vec<Self::Change>);

    /// Waits until commits have ended, for ever if none is under way. Cancel safe.
    ///
    /// # Errors
    ///
    /// Whatever the medium reports; the node must stop, for it cannot know what was kept.
    fn committed(&mut self) -> impl Future<Output = io::Result<Committed>>;
}
