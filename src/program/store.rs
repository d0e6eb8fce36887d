//! `udpchat store`: looks after the store of a server or client that does not run.
//!
//! Knows whose stores there are, so that it can read the rows; [`udpchat_node::store`] knows the
//! rest.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use udpchat_core::client::ClientRecord;
use udpchat_core::server::ServerRecord;
use udpchat_core::store::Rows;
use udpchat_node::store::folder::{Folder, FolderError};
use udpchat_node::store::medium::Medium;
use udpchat_node::store::{Contents, OpenError};
use udpchat_node::{shortage, standard};

use super::data_dir::trusting;
use crate::cli::{StoreOptions, StoreWork};

/// Even to look at a store it takes a lock, and repairs what a crash left.
const MAKE_IT_POSSIBLE: &str =
    "make it possible, or copy the folder to a place that you can write to";

/// Does what is asked for.
///
/// # Errors
///
/// There is no store, it is in use, it is not sound, or it cannot be read.
/// [`io::ErrorKind::BrokenPipe`]: nobody reads what is printed.
pub(crate) fn run(options: &StoreOptions) -> anyhow::Result<()> {
    let StoreOptions { work, folder } = options;
    trusting(|| looked_after(*work, folder))
        .with_context(|| format!("the data folder {}", folder.display()))
}

fn looked_after(work: StoreWork, path: &Path) -> anyhow::Result<()> {
    let mut folder = Folder::take_existing(path).map_err(|error| match error {
        FolderError::InUse => anyhow!("{error}; stop that one first"),
        FolderError::NoFolder => anyhow!("{error}; give the folder that the store is in"),
        FolderError::Io(_) | FolderError::File { .. } => {
            let remedy = error.system().and_then(shortage::remedy).unwrap_or(MAKE_IT_POSSIBLE);
            anyhow!("{error}; {remedy}")
        }
        says_what_to_do => says_what_to_do.into(),
    })?;
    let file = folder.open().map_err(|error| not_writable(&error))?;
    let file = file.context("there is no store in it")?;
    let contents = match work {
        StoreWork::Check => Contents::open_checked(file)?,
        StoreWork::Stats | StoreWork::Compact | StoreWork::Export => Contents::open(file)?,
    };
    match contents.kind() {
        ServerRecord::KIND => look_after::<ServerRecord>(work, contents, &folder),
        ClientRecord::KIND => look_after::<ClientRecord>(work, contents, &folder),
        other => bail!("it belongs to a {other}, which this udpchat does not know"),
    }
}

fn not_writable(error: &io::Error) -> anyhow::Error {
    anyhow!("{error}; {}", shortage::remedy(error).unwrap_or(MAKE_IT_POSSIBLE))
}

fn look_after<R: Rows>(
    work: StoreWork,
    mut contents: Contents,
    folder: &Folder,
) -> anyhow::Result<()> {
    contents.bring_up_to_date::<R>()?;
    let mut out = io::BufWriter::new(standard::stdout());
    match work {
        StoreWork::Check => {
            contents.read::<R>()?;
            writeln!(out, "the store is sound: a {}'s, format {}", R::KIND, contents.format())?;
        }
        StoreWork::Stats => {
            let statistics = contents.statistics()?;
            writeln!(out, "a {}'s store, format {}", R::KIND, contents.format())?;
            for (table, rows) in statistics.rows {
                writeln!(out, "{rows} {table}")?;
            }
            writeln!(out, "{} bytes of data", statistics.stored_bytes)?;
            writeln!(
                out,
                "{} bytes on disk, {} of them free",
                folder.store_bytes()?,
                statistics.free_bytes
            )?;
        }
        StoreWork::Compact => {
            let before = folder.store_bytes()?;
            contents.compact()?;
            drop(contents);
            writeln!(out, "{before} bytes before, {} bytes now", folder.store_bytes()?)?;
        }
        StoreWork::Export => export::<R>(&contents, &mut out)?,
    }
    Ok(out.flush()?)
}

/// A row as it is exported.
#[derive(Serialize)]
struct ExportedRow<'a, T> {
    table: &'a str,
    #[serde(flatten)]
    row: T,
}

fn export<R: Rows>(contents: &Contents, out: &mut impl Write) -> anyhow::Result<()> {
    for table in R::TABLES {
        let exported = contents.each_row(table, |key, value| {
            let line = ExportedRow { table, row: R::tell_row(table, key, value)? };
            let written = serde_json::to_writer(&mut *out, &line).map_err(io::Error::from);
            written.and_then(|()| out.write_all(b"\n")).map_err(OpenError::Io)
        });
        match exported {
            Err(OpenError::Io(error)) => return Err(error.into()),
            result => result?,
        }
    }
    Ok(())
}
