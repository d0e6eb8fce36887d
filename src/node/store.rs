//! Where records are kept: a database on a medium, whose commits a thread makes, or nowhere.
//!
//! Knows rows, and of no record what they mean.

mod contents;
mod database;
pub mod folder;
pub mod medium;
mod nowhere;
mod place;
#[cfg(target_os = "linux")]
mod preallocation;
mod thread;
mod watched;

use std::time::Duration;

pub use contents::{Contents, OpenError, Statistics};
pub use database::Database;
pub use nowhere::Nowhere;
pub use thread::{THREAD, ThreadStore};

/// Between two attempts at a commit for which there is no room: soon enough for whoever makes room,
/// and seldom enough for a file that is opened each time.
pub const ROOM_RETRY: Duration = Duration::from_secs(1);
