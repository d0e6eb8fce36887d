//! A store that keeps nothing.

use std::future::pending;
use std::io;
use std::marker::PhantomData;

use udpchat_core::store::{Committed, DiskSpace, Store};

/// Keeps nothing: a commit is as durable as the process.
#[derive(Debug)]
pub struct Nowhere<C> {
    /// So many are asked for that nobody knows to have ended.
    commits: u64,
    changes: PhantomData<C>,
}

impl<C> Nowhere<C> {
    /// No commit is under way.
    #[must_use]
    pub const fn new() -> Self {
        Self { commits: 0, changes: PhantomData }
    }
}

impl<C> Default for Nowhere<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Store for Nowhere<C> {
    type Change = C;

    fn commit(&mut self, _: Vec<C>) {
        self.commits += 1;
    }

    async fn committed(&mut self) -> io::Result<Committed> {
        match std::mem::take(&mut self.commits) {
            0 => pending().await,
            commits => Ok(Committed { commits, room: DiskSpace::Plenty }),
        }
    }
}
