//! Where a node of the shipped binary keeps its record: in a folder, or nowhere.
//!
//! Knows where users keep such things, and nothing of what is in a record.

use std::ffi::OsString;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, anyhow};
use udpchat_core::store::{Committed, DiskSpace, Rows, Store};
use udpchat_node::shortage;
use udpchat_node::store::folder::{Folder, FolderError};
use udpchat_node::store::{Database, Nowhere, OpenError, THREAD, ThreadStore};
use udpchat_node::xdg;

use crate::cli::Data;
use crate::ui::say;

/// The folder of all nodes' folders, in the user's data folder.
const ALL: &str = "udpchat";

/// The variable that names another folder of all nodes' folders.
const OURS: &str = "UDPCHAT_DATA";

/// The store of a node.
#[derive(Debug)]
pub(crate) enum Keeper<C> {
    /// In a folder.
    Folder(ThreadStore<C>),
    /// Nowhere.
    Nowhere(Nowhere<C>),
}

impl<C: Send + 'static> Keeper<C> {
    /// Opens a node's store and gives what is in it; the `fresh` record if that is nothing.
    /// `usual` is the name of the node's folder where nothing else is asked for, in which so many
    /// bytes are held back; `admit` says whether what is in it is this node's.
    pub(crate) fn open<R>(
        data: &Data,
        (usual, reserve_bytes): (&str, usize),
        fresh: R,
        admit: impl FnOnce(&R) -> anyhow::Result<()>,
    ) -> anyhow::Result<(Self, R)>
    where
        R: Rows<Change = C> + 'static,
    {
        let path = match data {
            Data::Nowhere => return Ok((Self::Nowhere(Nowhere::new()), fresh)),
            Data::Folder(path) => path.clone(),
            Data::Usual => usual_folder(usual)?,
        };
        let (database, record) = trusting(|| open_database(&path, reserve_bytes, fresh))
            .and_then(|(database, record)| admit(&record).map(|()| (database, record)))
            .with_context(|| format!("cannot use the data folder {}", path.display()))?;
        if database.room() == DiskSpace::Low {
            tell_of_the_file_size_limit(reserve_bytes);
        }
        silence_the_thread();
        let store = ThreadStore::start(database, path.display().to_string())
            .context("cannot start a thread for the store")?;
        Ok((Self::Folder(store), record))
    }
}

impl<C> Keeper<C> {
    /// Closes it, when the node has ended.
    ///
    /// # Errors
    ///
    /// What was acknowledged is not there any more.
    pub(crate) fn close(self) -> io::Result<()> {
        match self {
            Self::Folder(store) => store.close(),
            Self::Nowhere(_) => Ok(()),
        }
    }
}

/// Makes a limit on the size of files (RLIMIT_FSIZE) an error of whoever writes, which is that of
/// a full disk, and not the end of the process. To be called before any other thread is started.
pub(crate) fn bear_file_size_limit() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGXFSZ);
        let blocked = signals.thread_block();
        // It fails for a wrong argument only.
        debug_assert_eq!(blocked, Ok(()));
    }
}

/// Says so if it is that limit that leaves no room to hold in reserve: nobody finds it by looking
/// at the disk.
fn tell_of_the_file_size_limit(reserve_bytes: usize) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        let limit = getrlimit(Resource::Fsize).current;
        if let Some(limit) = limit.filter(|limit| *limit < reserve_bytes as u64) {
            say(&format!(
                "no file may have more than {limit} bytes, and the store wants {reserve_bytes} in \
                 reserve: raise the limit (ulimit -f), or nothing new is stored"
            ));
        }
    }
}

impl<C: Send + 'static> Store for Keeper<C> {
    type Change = C;

    fn commit(&mut self, changes: Vec<C>) {
        match self {
            Self::Folder(store) => store.commit(changes),
            Self::Nowhere(store) => store.commit(changes),
        }
    }

    async fn committed(&mut self) -> io::Result<Committed> {
        match self {
            Self::Folder(store) => store.committed().await,
            Self::Nowhere(store) => store.committed().await,
        }
    }
}

/// Does what reads a store whose pages are as they were written ([`OpenError::Misled`]).
///
/// # Errors
///
/// Those of `read`, or the store is damaged.
pub(crate) fn trusting<T>(read: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let done = panic::catch_unwind(AssertUnwindSafe(read));
    panic::set_hook(tell);
    done.unwrap_or_else(|_| Err(OpenError::Misled.into()))
}

/// Leaves it to a commit's error to tell of a panic on the store's thread: it says where, and what
/// to do.
fn silence_the_thread() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |why| {
        if thread::current().name() != Some(THREAD) {
            tell(why);
        }
    }));
}

fn open_database<R: Rows>(
    path: &Path,
    reserve_bytes: usize,
    fresh: R,
) -> anyhow::Result<(Database<R, Folder>, R)> {
    let folder = Folder::take(path, reserve_bytes).map_err(|error| match error {
        FolderError::InUse => {
            anyhow!("{error}; stop that one, or give another folder with --data")
        }
        FolderError::Refused(what_to_do) => anyhow!("{what_to_do}"),
        FolderError::NoFolder => anyhow!("{error}; give another one with --data"),
        FolderError::Missing | FolderError::Io(_) | FolderError::File { .. } => {
            let make_it = "make it possible, or give another folder with --data";
            let remedy = error.system().and_then(shortage::remedy).unwrap_or(make_it);
            anyhow!("{error}; {remedy}")
        }
    })?;
    Database::open(folder, || fresh).map_err(|error| match error {
        OpenError::Io(error) => {
            let see = "see to the disk, or give another folder with --data";
            anyhow!("{error}; {}", shortage::remedy(&error).unwrap_or(see))
        }
        says_what_to_do => says_what_to_do.into(),
    })
}

fn usual_folder(name: &str) -> anyhow::Result<PathBuf> {
    let variable = std::env::var_os;
    let all = folder_of_all(variable(OURS), variable("XDG_DATA_HOME"), variable("HOME"));
    let all = all.context("there is no home folder to keep data in; give a folder with --data")?;
    Ok(all.join(name))
}

/// Where the user wants it, which may be below where we are; else where users keep data.
fn folder_of_all(
    ours: Option<OsString>,
    xdg: Option<OsString>,
    home: Option<OsString>,
) -> Option<PathBuf> {
    let ours = ours.filter(|path| !path.is_empty()).map(PathBuf::from);
    ours.or_else(|| Some(xdg::folder(xdg, home, ".local/share")?.join(ALL)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn our_own_variable_goes_first() {
        let all = |ours: Option<&str>| {
            let ours = ours.map(OsString::from);
            folder_of_all(ours, Some("/data".into()), Some("/home/alice".into())).unwrap()
        };
        assert_eq!(all(Some("there")), PathBuf::from("there"));
        assert_eq!(all(Some("")), PathBuf::from("/data/udpchat"));
        assert_eq!(all(None), PathBuf::from("/data/udpchat"));
    }
}
