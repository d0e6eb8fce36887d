//! Stores of another kind, of an older and of a newer format.

use serde::Serialize;
use udpchat_core::store::{BadRow, Record, RowChange, Rows};
use udpchat_node::store::{Database, OpenError};

use crate::notes::{Change, Notes, number};
use crate::ram::Ram;

/// Notes with a format of one's own; from the second on their numbers count down.
#[derive(Clone, Debug, Default)]
struct Of<const FORMAT: u32>(Notes);

impl<const FORMAT: u32> Record for Of<FORMAT> {
    type Change = Change;

    fn apply(&mut self, change: &Change) {
        self.0.apply(change);
    }
}

impl<const FORMAT: u32> Rows for Of<FORMAT> {
    const KIND: &'static str = Notes::KIND;
    const FORMAT: u32 = FORMAT;
    const TABLES: &'static [&'static str] = &["later notes"];

    fn first_rows(&self) -> Vec<RowChange> {
        self.0.first_rows()
    }

    fn row_changes(change: &Change) -> Vec<RowChange> {
        Notes::row_changes(change)
    }

    fn take_row(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), BadRow> {
        self.0.take_row(table, key, value)
    }

    fn tell_row(table: &str, key: &[u8], value: &[u8]) -> Result<impl Serialize, BadRow> {
        Notes::tell_row(table, key, value)
    }

    fn newer_rows(
        format: u32,
        table: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<Vec<RowChange>, BadRow> {
        assert_eq!((format, table), (1, "notes"));
        let later = (u64::MAX - number(table, key)?).to_be_bytes().to_vec();
        Ok(vec![
            RowChange::Remove { table: "notes", key: key.to_vec() },
            RowChange::Put { table: "later notes", key: later, value: value.to_vec() },
        ])
    }
}

/// The same notes as somebody else's.
#[derive(Clone, Debug, Default)]
struct Diary;

impl Record for Diary {
    type Change = ();

    fn apply(&mut self, (): &()) {}
}

impl Rows for Diary {
    const KIND: &'static str = "diary";
    const FORMAT: u32 = 1;
    const TABLES: &'static [&'static str] = &[];

    fn first_rows(&self) -> Vec<RowChange> {
        Vec::new()
    }

    fn row_changes((): &()) -> Vec<RowChange> {
        Vec::new()
    }

    fn take_row(&mut self, _: &str, _: &[u8], _: &[u8]) -> Result<(), BadRow> {
        Ok(())
    }

    fn tell_row(_: &str, _: &[u8], _: &[u8]) -> Result<impl Serialize, BadRow> {
        Ok(())
    }
}

fn disk_with_notes() -> Ram {
    let disk = Ram::default();
    let notes = Notes([(1, b"one".to_vec()), (2, b"two".to_vec())].into());
    Database::open(disk.clone(), || notes).unwrap();
    disk
}

#[test]
fn a_newer_format_is_refused() {
    let disk = disk_with_notes();
    Database::open(disk.clone(), Of::<2>::default).unwrap();
    let refused = Database::open(disk, Notes::default).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1 }), "{refused:?}");
    assert!(refused.to_string().contains("a newer udpchat wrote it"), "{refused}");
}

#[test]
fn an_older_format_is_brought_up_to_date_once() {
    let disk = disk_with_notes();
    for _ in 0..2 {
        let (_, notes) = Database::open(disk.clone(), Of::<2>::default).unwrap();
        let later = [(u64::MAX - 2, b"two".to_vec()), (u64::MAX - 1, b"one".to_vec())];
        assert_eq!(notes.0.0, later.into());
    }
}

#[test]
fn another_kind_is_refused() {
    let refused = Database::open(disk_with_notes(), || Diary).unwrap_err();
    assert!(refused.to_string().contains("belongs to a notebook, not to a diary"), "{refused}");
}
