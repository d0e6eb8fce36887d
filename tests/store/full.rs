//! A medium that is full, or that fails.

use std::io::ErrorKind;

use udpchat_core::store::{Committed, DiskSpace, Store};
use udpchat_node::store::medium::is_lost;
use udpchat_node::store::{Database, ThreadStore};

use crate::notes::{Change, Notes};
use crate::ram::Ram;

const TEXT_BYTES: usize = 4_000;
/// A small disk.
const BLOCKS: usize = 1_000;

fn open(disk: &Ram) -> (Database<Notes, Ram>, Notes) {
    Database::open(disk.clone(), Notes::default).unwrap()
}

fn take(number: u64) -> Vec<Change> {
    vec![Change::Take(number, vec![b'x'; TEXT_BYTES])]
}

/// Takes notes until there is little room; how many there are then.
fn fill(database: &mut Database<Notes, Ram>) -> u64 {
    for number in 0.. {
        if database.commit(&take(number)).unwrap() == DiskSpace::Low {
            return number + 1;
        }
        assert!(number < 100_000, "never full");
    }
    unreachable!()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let disk = Ram::default();
    let (mut database, notes) = open(&disk);
    assert_eq!(notes, Notes::default());
    database.commit(&take(7)).unwrap();
    database.commit(&[Change::Take(8, b"eight".to_vec()), Change::ThrowAway(7)]).unwrap();
    drop(database);
    assert_eq!(open(&disk).1.0, [(8, b"eight".to_vec())].into());
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let disk = Ram::default();
    disk.state().blocks_max = Some(BLOCKS);
    let (mut database, _) = open(&disk);
    let count = fill(&mut database);
    assert!(!disk.state().is_reserve_held());
    assert_eq!(database.commit(&[]).unwrap(), DiskSpace::Low);
    drop(database);
    let (mut database, notes) = open(&disk);
    assert_eq!(notes.0.len() as u64, count);
    assert_eq!(database.commit(&[]).unwrap(), DiskSpace::Low);
}

#[test]
fn on_a_full_disk_things_can_be_thrown_away_until_there_is_room_again() {
    let disk = Ram::default();
    disk.state().blocks_max = Some(BLOCKS);
    let (mut database, _) = open(&disk);
    let count = fill(&mut database);
    for number in 0..count {
        database.commit(&[Change::ThrowAway(number)]).unwrap();
    }
    drop(database);
    disk.state().blocks_max = Some(2 * BLOCKS);
    let (mut database, notes) = open(&disk);
    assert_eq!(notes, Notes::default());
    assert_eq!(database.commit(&[]).unwrap(), DiskSpace::Plenty);
}

#[test]
fn room_made_by_others_is_noticed_without_a_restart() {
    let disk = Ram::default();
    disk.state().blocks_max = Some(BLOCKS);
    let (mut database, _) = open(&disk);
    fill(&mut database);
    disk.state().blocks_max = Some(BLOCKS + 32);
    assert_eq!(
        database.commit(&[]).unwrap(),
        DiskSpace::Low,
        "less than twice the reserve is free"
    );
    disk.state().blocks_max = Some(2 * BLOCKS);
    assert_eq!(database.commit(&[]).unwrap(), DiskSpace::Plenty);
    assert!(disk.state().is_reserve_held());
}

/// A store with a note on a disk that has no room any more, not even a reserve.
fn without_any_room() -> (Ram, Database<Notes, Ram>) {
    let disk = Ram::default();
    let (mut database, _) = open(&disk);
    database.commit(&take(0)).unwrap();
    disk.state().blocks_max = Some(0);
    (disk, database)
}

/// More notes than there is room for, whatever is free in the file.
fn take_many() -> Vec<Change> {
    (1..200).flat_map(take).collect()
}

#[test]
fn what_finds_no_room_even_in_the_reserve_can_be_committed_again() {
    let (disk, mut database) = without_any_room();
    for _ in 0..2 {
        let error = database.commit(&take_many()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
    disk.state().blocks_max = None;
    assert_eq!(database.commit(&take_many()).unwrap(), DiskSpace::Plenty);
    drop(database);
    assert_eq!(open(&disk).1.0.len(), 200);
}

/// A store with a commit that waits for room, and another behind it, as there is some again.
async fn with_room_again() -> (Ram, ThreadStore<Change>) {
    let (disk, database) = without_any_room();
    let mut store = ThreadStore::start(database, "/there".to_owned()).unwrap();
    store.commit(take_many());
    assert_eq!(store.committed().await.unwrap(), Committed::LITTLE_ROOM);
    store.commit(take(200));
    disk.state().blocks_max = None;
    (disk, store)
}

#[tokio::test]
async fn a_commit_that_finds_no_room_is_told_and_made_when_there_is_some() {
    let (disk, mut store) = with_room_again().await;
    let mut ended = 0;
    while ended < 2 {
        let Committed { commits, room } = store.committed().await.unwrap();
        assert_eq!(room, DiskSpace::Plenty);
        ended += commits;
    }
    drop(store);
    assert_eq!(open(&disk).1.0.len(), 201);
}

#[tokio::test]
async fn a_store_that_waits_for_room_can_be_closed_and_nothing_overtakes_what_waits() {
    let (disk, store) = with_room_again().await;
    drop(store);
    let Notes(notes) = open(&disk).1;
    assert_eq!(notes.contains_key(&200), notes.contains_key(&1));
}

#[tokio::test]
async fn that_there_is_little_room_is_told_before_anything_is_committed() {
    let disk = Ram::default();
    drop(open(&disk));
    disk.state().blocks_max = Some(0);
    disk.state().lose_reserve();
    let mut store = ThreadStore::start(open(&disk).0, "/there".to_owned()).unwrap();
    store.commit(Vec::new());
    for commits in [0, 1] {
        let told = Committed { commits, room: DiskSpace::Low };
        assert_eq!(store.committed().await.unwrap(), told);
    }
}

#[test]
fn after_a_failure_nothing_more_is_committed_and_a_restart_goes_on() {
    // Every operation of a commit fails once, and all after it.
    for at in 0..100 {
        let disk = Ram::default();
        let (mut database, _) = open(&disk);
        database.commit(&take(0)).unwrap();
        disk.state().fails_after = Some((at, ErrorKind::Other));
        let committed = database.commit(&take(1)).is_ok();
        if !committed {
            assert!(database.commit(&take(2)).is_err(), "at {at}");
        }
        drop(database);
        disk.state().fails_after = None;
        let (mut database, notes) = open(&disk);
        assert!(notes.0.contains_key(&0), "at {at}");
        assert!(!committed || notes.0.contains_key(&1), "at {at}");
        assert!(!notes.0.contains_key(&2), "at {at}");
        database.commit(&take(3)).unwrap();
        if committed {
            assert!(at > 3, "a commit takes a few operations");
            return;
        }
    }
    panic!("a commit takes more than 100 operations");
}

#[test]
fn a_creation_that_fails_anywhere_leaves_nothing_or_all() {
    let disk = Ram::default();
    drop(open(&disk));
    let operations = disk.state().operations;
    assert!(operations > 10, "{operations}");
    for at in 0..operations {
        let disk = Ram::default();
        disk.state().fails_after = Some((at, ErrorKind::Other));
        let first = || Notes([(1, b"first".to_vec())].into());
        // Closing it at the end fails in peace.
        drop(Database::open(disk.clone(), first));
        disk.state().fails_after = None;
        let again = || Notes([(2, b"second".to_vec())].into());
        let (_, notes) = Database::open(disk.clone(), again).unwrap();
        assert_eq!(notes.0.len(), 1, "at {at}: {notes:?}");
    }
}

/// What is said of a commit that fails in the folder `/there`.
async fn told(fails: impl FnOnce(&Ram)) -> [String; 2] {
    let disk = Ram::default();
    let mut store = ThreadStore::start(open(&disk).0, "/there".to_owned()).unwrap();
    fails(&disk);
    store.commit(take(1));
    let first = store.committed().await.unwrap_err().to_string();
    store.commit(take(2));
    [first, store.committed().await.unwrap_err().to_string()]
}

#[tokio::test]
async fn a_commit_that_fails_says_where_and_what_to_do() {
    let fails = |disk: &Ram| disk.state().fails_after = Some((0, ErrorKind::Other));
    for error in told(fails).await {
        assert!(error.starts_with("cannot write to the store in /there: "), "{error}");
        assert!(error.ends_with("see to the disk, then start again"), "{error}");
    }
}

#[tokio::test]
async fn a_store_that_misleads_its_database_is_told_as_any_other_damage() {
    let [first, second] = told(|disk| disk.state().misleads = true).await;
    assert_eq!(
        first,
        "cannot write to the store in /there: the store is damaged; put a backup in its place, or \
         give another folder with --data"
    );
    assert!(second.starts_with("cannot write to the store in /there: "), "{second}");
}

#[test]
fn a_store_that_is_taken_away_within_a_commit_is_not_said_to_be_kept() {
    // Before the commit, and after it.
    for questions in [0, 1] {
        let disk = Ram::default();
        let mut database = open(&disk).0;
        disk.state().taken_after = Some(questions);
        let refused = database.commit(&[Change::Take(1, b"one".to_vec())]).unwrap_err();
        assert!(is_lost(&refused), "{refused}");
        let operations = disk.state().operations;
        assert!(is_lost(&database.commit(&[Change::Take(2, Vec::new())]).unwrap_err()));
        assert_eq!(disk.state().operations, operations);
    }
}
