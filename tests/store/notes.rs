//! A record small enough to see through: numbered notes.

use std::collections::BTreeMap;

use serde::Serialize;
use udpchat_core::store::{BadRow, Record, RowChange, Rows};

/// The table of the notes.
const NOTES: &str = "notes";

/// Notes by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(pub(crate) BTreeMap<u64, Vec<u8>>);

/// A note is taken, or thrown away.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Take(u64, Vec<u8>),
    ThrowAway(u64),
}

impl Record for Notes {
    type Change = Change;

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Take(number, text) => self.0.insert(*number, text.clone()),
            Change::ThrowAway(number) => self.0.remove(number),
        };
    }
}

impl Rows for Notes {
    const KIND: &'static str = "notebook";
    const FORMAT: u32 = 1;
    const TABLES: &'static [&'static str] = &[NOTES];

    fn first_rows(&self) -> Vec<RowChange> {
        self.0.iter().map(|(number, text)| put(*number, text.clone())).collect()
    }

    fn row_changes(change: &Change) -> Vec<RowChange> {
        vec![match change {
            Change::Take(number, text) => put(*number, text.clone()),
            Change::ThrowAway(number) => {
                RowChange::Remove { table: NOTES, key: number.to_be_bytes().to_vec() }
            }
        }]
    }

    fn take_row(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), BadRow> {
        self.0.insert(number(table, key)?, value.to_vec());
        Ok(())
    }

    fn tell_row(table: &str, key: &[u8], value: &[u8]) -> Result<impl Serialize, BadRow> {
        Ok((number(table, key)?, value.to_vec()))
    }
}

pub(crate) fn put(number: u64, value: Vec<u8>) -> RowChange {
    RowChange::Put { table: NOTES, key: number.to_be_bytes().to_vec(), value }
}

pub(crate) fn number(table: &str, key: &[u8]) -> Result<u64, BadRow> {
    let wrong = |_| BadRow { table: table.to_owned(), why: format!("the key is {key:?}") };
    Ok(u64::from_be_bytes(key.try_into().map_err(wrong)?))
}
