//! How a record is written row by row, so that a commit costs what it changes and no more.
//!
//! Knows no database and no file: tables are names, keys and values are bytes. What a key or a
//! value means is for the record that writes it.

use serde::Serialize;

use super::Record;

/// A record that can be taken apart into rows and put together again.
pub trait Rows: Record + Default {
    /// Whose record it is, in one word for people and files: a store of another kind is refused.
    const KIND: &'static str;

    /// The rows' format. It rises with every change that an older program would misread.
    const FORMAT: u32;

    /// Every table, in the order in which [`Self::take_row`] wants them.
    const TABLES: &'static [&'static str];

    /// The rows of a record that has just been made, before any change.
    fn first_rows(&self) -> Vec<RowChange>;

    /// What a change does to the rows. It knows no record, so the change must say it all.
    fn row_changes(change: &Self::Change) -> Vec<RowChange>;

    /// Takes one row up into a record that began as the default one. The rows come table by table,
    /// by rising key within a table.
    ///
    /// # Errors
    ///
    /// The row is none that this format has.
    fn take_row(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), BadRow>;

    /// What to change so that a row of an older format becomes one of this format. A table that
    /// this format has no more is emptied by it.
    ///
    /// # Errors
    ///
    /// The row is none that the older format had.
    fn newer_rows(
        _format: u32,
        _table: &str,
        _key: &[u8],
        _value: &[u8],
    ) -> Result<Vec<RowChange>, BadRow> {
        Ok(Vec::new())
    }

    /// The row for people: an object whose fields say what they are, for `udpchat store export`.
    ///
    /// # Errors
    ///
    /// The row is none that this format has.
    fn tell_row(table: &str, key: &[u8], value: &[u8]) -> Result<impl Serialize, BadRow>;
}

/// One row written or taken out. Doing it twice is doing it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// The row has this value from now on.
    Put {
        /// One of [`Rows::TABLES`].
        table: &'static str,
        /// Which row. Keys are ordered as bytes: numbers in them are big-endian.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// The row is gone, if it was there.
    Remove {
        /// One of [`Rows::TABLES`].
        table: &'static str,
        /// Which row.
        key: Vec<u8>,
    },
}

/// A row that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of the table {table:?} cannot be read: {why}")]
pub struct BadRow {
    /// The table.
    pub table: String,
    /// What is wrong with the row.
    pub why: String,
}
