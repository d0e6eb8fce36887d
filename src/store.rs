//! The seam to whatever keeps a node's state over a crash.
//!
//! A machine's durable state is a [`Record`], changed only by its `Change`s. The machine applies a
//! change at once and asks for a commit; everything that reveals the change waits for its end
//! ([`crate::journal`]). A store keeps what the changes do to the record's rows.

mod contents;
mod database;
pub mod folder;
pub mod medium;
pub(crate) mod row;
mod rows;
#[cfg(target_os = "linux")]
mod solid;
mod thread;

use std::io;
use std::pin::Pin;

pub use contents::{Contents, OpenError, Statistics};
pub use database::Database;
pub use rows::{BadRow, RowChange, Rows};
pub use thread::ThreadStore;

/// State that outlives a crash.
pub trait Record: Clone {
    /// One step from one state to the next.
    type Change;

    /// Takes the step.
    fn apply(&mut self, change: &Self::Change);
}

/// A commit under way. It ends with how much room there is for more.
pub type Commit = Pin<Box<dyn Future<Output = io::Result<Room>>>>;

/// How much room a store has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
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

    /// Makes the changes durable, all or none. They are so when the future ends with `Ok`.
    ///
    /// # Errors
    ///
    /// Whatever the medium reports; the node must stop, for it cannot know what was kept.
    fn commit(&mut self, changes: Vec<Self::Change>) -> Commit;
}
