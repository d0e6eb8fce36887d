//! A database's file as rows in tables, and the two lines of its head: what it is and how it is
//! written.
//!
//! Knows redb, and no medium: it is given an open file. Rows are bytes to it.

use std::collections::BTreeMap;
use std::io;

use redb::{
    Builder, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend,
    TableDefinition, TableError, TableHandle,
};
use udpchat_core::store::{BadRow, RowChange, Rows};

/// Memory for pages read and pages to be written. A record is in memory anyway, so the database
/// is read once, at the start; afterwards this must hold what the commits touch again and again.
const CACHE_BYTES: usize = 8 << 20;

/// The head: what the file says of itself. Never changed by a format.
const HEAD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("head");
/// Of [`HEAD`]: [`Rows::KIND`] as text.
const KIND: &str = "kind";
/// Of [`HEAD`]: [`Rows::FORMAT`], four bytes, big-endian.
const FORMAT: &str = "format";

/// What whoever keeps a damaged store can do.
const REMEDY: &str = "put a backup in its place, or give another folder with --data";

/// An open database.
#[derive(Debug)]
pub struct Contents {
    file: redb::Database,
    kind: String,
    format: u32,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program wrote the file, or part of it is gone.
    #[error("it holds no store of udpchat, or a damaged one: {0}; {REMEDY}")]
    Damaged(String),
    /// The store is of another kind.
    #[error("it belongs to a {found}, not to a {wanted}; give each its own with --data")]
    OtherKind {
        /// The file's kind.
        found: String,
        /// The kind that was to be opened.
        wanted: &'static str,
    },
    /// The store is of a later format than any that is known here.
    #[error(
        "a newer udpchat wrote it (format {found}, this one knows up to {known}); use that one"
    )]
    Newer {
        /// The file's format.
        found: u32,
        /// The latest that is known.
        known: u32,
    },
    /// A row is none.
    #[error("it is damaged: {0}; {REMEDY}")]
    Row(BadRow),
    /// The database compares few pages with their checksums, and panics where a damaged one
    /// misleads it.
    #[error("the store is damaged; {REMEDY}")]
    Misled,
    /// The medium fails.
    #[error("{0}")]
    Io(io::Error),
}

impl From<BadRow> for OpenError {
    // It says all that the row's error says: as its source that would be told twice.
    fn from(bad: BadRow) -> Self {
        Self::Row(bad)
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => error,
            damage => Self::new(io::ErrorKind::InvalidData, damage),
        }
    }
}

/// Sizes, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// How many rows each table has, by name.
    pub rows: BTreeMap<String, u64>,
    /// Bytes of the keys and values.
    pub stored_bytes: u64,
    /// Bytes of the file that hold nothing: compacting may give most of them back.
    pub free_bytes: u64,
}

impl Contents {
    /// Writes a first state into an empty file, durably, and closes it.
    ///
    /// # Errors
    ///
    /// Whatever the file reports.
    pub fn create<R: Rows>(file: impl StorageBackend, record: &R) -> io::Result<()> {
        let file = builder().create_with_backend(file).map_err(io_error)?;
        transact(&file, |transaction| {
            set_format::<R>(transaction)?;
            for table in R::TABLES {
                transaction.open_table(table_named(table))?;
            }
            change_rows(transaction, &record.first_rows())
        })?;
        // Dropped, it would keep to itself what fails as it is closed.
        file.close().map_err(io_error)
    }

    /// Opens a file that was created, and repairs what a crash left behind. Written by whom: see
    /// [`Self::kind`] and [`Self::format`].
    ///
    /// # Errors
    ///
    /// It is no such file, or the medium fails.
    pub fn open(file: impl StorageBackend) -> Result<Self, OpenError> {
        Self::begin(&mut builder(), file)
    }

    /// Opens a file as [`Self::open`] does, after every byte of it was compared with its checksum.
    ///
    /// # Errors
    ///
    /// It is no such file, it is damaged, or the medium fails.
    pub fn open_checked(file: impl StorageBackend) -> Result<Self, OpenError> {
        Self::begin(builder().set_check_integrity_on_open(true), file)
    }

    fn begin(builder: &mut Builder, file: impl StorageBackend) -> Result<Self, OpenError> {
        // redb would make a new database of it.
        if file.len().map_err(OpenError::Io)? == 0 {
            return Err(OpenError::Damaged("it is empty".to_owned()));
        }
        let file = builder.create_with_backend(file).map_err(open_error)?;
        let transaction = file.begin_read().map_err(open_error)?;
        let head = transaction.open_table(HEAD).map_err(open_error)?;
        let value = |key| match head.get(key) {
            Ok(Some(value)) => Ok(value.value().to_vec()),
            Ok(None) => Err(OpenError::Damaged(format!("it does not say its {key}"))),
            Err(error) => Err(open_error(error)),
        };
        let kind = String::from_utf8_lossy(&value(KIND)?).into_owned();
        let format = value(FORMAT)?;
        let format = format
            .try_into()
            .map_err(|bytes| OpenError::Damaged(format!("its format is {bytes:?}")))?;
        Ok(Self { file, kind, format: u32::from_be_bytes(format) })
    }

    /// The [`Rows::KIND`] that it was created with.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The [`Rows::FORMAT`] of its rows.
    #[must_use]
    pub const fn format(&self) -> u32 {
        self.format
    }

    /// Makes sure that the rows are such as `R` reads: brings older ones up to date, in one step
    /// that a crash undoes.
    ///
    /// # Errors
    ///
    /// They are not: of another kind or a later format. Or a row is none, or the medium fails.
    pub fn bring_up_to_date<R: Rows>(&mut self) -> Result<(), OpenError> {
        if self.kind != R::KIND {
            return Err(OpenError::OtherKind { found: self.kind.clone(), wanted: R::KIND });
        }
        if self.format > R::FORMAT {
            return Err(OpenError::Newer { found: self.format, known: R::FORMAT });
        }
        if self.format == R::FORMAT {
            return Ok(());
        }
        let mut changes = Vec::new();
        for table in self.tables()? {
            self.each_row(&table, |key, value| {
                changes.extend(R::newer_rows(self.format, &table, key, value)?);
                Ok(())
            })?;
        }
        transact(&self.file, |transaction| {
            set_format::<R>(transaction)?;
            change_rows(transaction, &changes)
        })
        .map_err(OpenError::Io)?;
        self.format = R::FORMAT;
        Ok(())
    }

    /// Puts the record together. The rows are of `R`'s format.
    ///
    /// # Errors
    ///
    /// A row is none, or the medium fails.
    pub fn read<R: Rows>(&self) -> Result<R, OpenError> {
        let mut record = R::default();
        for table in R::TABLES {
            self.each_row(table, |key, value| Ok(record.take_row(table, key, value)?))?;
        }
        Ok(record)
    }

    /// Hands over every row of a table by rising key; a table that is not there has none.
    ///
    /// # Errors
    ///
    /// Those of `take`, or the medium's.
    pub fn each_row(
        &self,
        table: &str,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let transaction = self.file.begin_read().map_err(open_error)?;
        let table = match transaction.open_table(table_named(table)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(open_error(error)),
        };
        for row in table.iter().map_err(open_error)? {
            let (key, value) = row.map_err(open_error)?;
            take(key.value(), value.value())?;
        }
        Ok(())
    }

    /// Makes the changes durable, all or none.
    ///
    /// # Errors
    ///
    /// Whatever the file reports: then nothing is possible but to drop this and open it again.
    pub fn write(&self, changes: &[RowChange]) -> io::Result<()> {
        transact(&self.file, |transaction| change_rows(transaction, changes))
    }

    /// Gives back what the file holds and does not need.
    ///
    /// # Errors
    ///
    /// Whatever the file reports.
    pub fn compact(&mut self) -> io::Result<()> {
        while self.file.compact().map_err(io_error)? {}
        Ok(())
    }

    /// What there is of everything.
    ///
    /// # Errors
    ///
    /// Whatever the file reports.
    pub fn statistics(&self) -> Result<Statistics, OpenError> {
        let mut rows = BTreeMap::new();
        let reading = self.file.begin_read().map_err(open_error)?;
        for name in self.tables()? {
            let table = reading.open_table(table_named(&name)).map_err(open_error)?;
            rows.insert(name, table.len().map_err(open_error)?);
        }
        // Only who may write is told; nothing is written.
        let transaction = self.file.begin_write().map_err(open_error)?;
        let sizes = transaction.stats().map_err(open_error)?;
        transaction.abort().map_err(open_error)?;
        Ok(Statistics {
            rows,
            stored_bytes: sizes.stored_bytes(),
            free_bytes: sizes.fragmented_bytes(),
        })
    }

    /// The tables that hold rows, by name.
    fn tables(&self) -> Result<Vec<String>, OpenError> {
        let transaction = self.file.begin_read().map_err(open_error)?;
        let tables = transaction.list_tables().map_err(open_error)?;
        let names = tables.map(|table| table.name().to_owned());
        Ok(names.filter(|name| name != HEAD.name()).collect())
    }
}

fn builder() -> Builder {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

const fn table_named(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

fn set_format<R: Rows>(transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
    let mut head = transaction.open_table(HEAD)?;
    head.insert(KIND, R::KIND.as_bytes())?;
    head.insert(FORMAT, R::FORMAT.to_be_bytes().as_slice())?;
    Ok(())
}

fn transact(
    file: &redb::Database,
    change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
) -> io::Result<()> {
    let committed = || -> Result<(), redb::Error> {
        let mut transaction = file.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        // With one phase, a failed sync, a restart and then a power cut damage the file.
        transaction.set_two_phase_commit(true);
        change(&transaction)?;
        transaction.commit()?;
        Ok(())
    };
    committed().map_err(io_error)
}

fn change_rows(
    transaction: &redb::WriteTransaction,
    changes: &[RowChange],
) -> Result<(), redb::Error> {
    let mut tables = BTreeMap::new();
    for change in changes {
        let (RowChange::Put { table: name, .. } | RowChange::Remove { table: name, .. }) = change;
        if !tables.contains_key(name) {
            tables.insert(*name, transaction.open_table(table_named(name))?);
        }
        let Some(table) = tables.get_mut(name) else { continue };
        match change {
            RowChange::Put { key, value, .. } => {
                table.insert(key.as_slice(), value.as_slice())?;
            }
            RowChange::Remove { key, .. } => {
                table.remove(key.as_slice())?;
            }
        }
    }
    Ok(())
}

/// An error of the medium as it was; damage as such; anything else with its kind lost.
fn io_error(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(error) => error,
        damage @ redb::Error::Corrupted(_) => OpenError::Damaged(damage.to_string()).into(),
        other => io::Error::other(other),
    }
}

fn open_error(error: impl Into<redb::Error>) -> OpenError {
    match error.into() {
        redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged("a part of it is missing".to_owned())
        }
        redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io(error)
        }
        other => OpenError::Damaged(other.to_string()),
    }
}
