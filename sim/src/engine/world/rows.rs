//! A store's rows in memory: what the database comes to on a disk of which nothing goes wrong.
//!
//! Rows are written and read as on a disk, so a row that is missing or wrong shows here as well.

use std::collections::BTreeMap;

use udpchat_core::store::{BadRow, RowChange, Rows};

/// The rows of a store, if there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryRows(Option<BTreeMap<&'static str, Table>>);

type Table = BTreeMap<Vec<u8>, Vec<u8>>;

impl MemoryRows {
    /// Puts the record together; without a store, makes one that holds `fresh`.
    pub(super) fn open<R: Rows>(&mut self, fresh: impl FnOnce() -> R) -> Result<R, BadRow> {
        if self.0.is_none() {
            self.0 = Some(R::TABLES.iter().map(|table| (*table, Table::new())).collect());
            self.write(fresh().first_rows());
        }
        let mut record = R::default();
        for table in R::TABLES {
            for (key, value) in self.0.iter().filter_map(|tables| tables.get(table)).flatten() {
                record.take_row(table, key, value)?;
            }
        }
        Ok(record)
    }

    /// Changes the rows.
    pub(super) fn commit<R: Rows>(&mut self, changes: &[R::Change]) {
        changes.iter().for_each(|change| self.write(R::row_changes(change)));
    }

    fn write(&mut self, changes: Vec<RowChange>) {
        let Some(tables) = &mut self.0 else { return };
        for change in changes {
            match change {
                RowChange::Put { table, key, value } => {
                    tables.entry(table).or_default().insert(key, value);
                }
                RowChange::Remove { table, key } => {
                    tables.entry(table).or_default().remove(&key);
                }
            }
        }
    }
}
