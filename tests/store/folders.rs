//! Folders of the file system: one user at a time, and what is found in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use udpchat::store::folder::{Folder, FolderError};
use udpchat::store::medium::Medium;
use udpchat::store::{Committed, Database, Room, Store, ThreadStore};

use crate::notes::{Change, Notes};

/// Only a commit whose end is never told takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder's path that nobody has; what is there in the end is removed.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("udpchat-store-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed early has not made it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> (Database<Notes, Folder>, Notes) {
    Database::open(Folder::take(path).unwrap(), Notes::default).unwrap()
}

#[test]
fn a_folder_is_made_and_keeps_what_was_committed() {
    let place = Place::new();
    let path = place.0.join("in/there");
    let (mut database, _) = open(&path);
    let room = database.commit(&[Change::Take(1, b"one".to_vec())]).unwrap();
    assert_eq!(room, Room::Plenty);
    drop(database);
    assert_eq!(open(&path).1.0, [(1, b"one".to_vec())].into());
}

#[tokio::test]
async fn commits_that_overlap_all_end_and_are_all_kept() {
    const COMMITS: u64 = 200;
    let place = Place::new();
    let mut store = ThreadStore::start(open(&place.0).0, "there".to_owned()).unwrap();
    (0..COMMITS).for_each(|number| store.commit(vec![Change::Take(number, b"one".to_vec())]));
    let count = async {
        let mut ended = 0;
        while ended < COMMITS {
            let Committed { commits, room } = store.committed().await.unwrap();
            assert_eq!(room, Room::Plenty);
            ended += commits;
        }
        ended
    };
    let ended = tokio::time::timeout(PATIENCE, count).await;
    assert_eq!(ended, Ok(COMMITS));
    drop(store);
    assert_eq!(open(&place.0).1.0.len() as u64, COMMITS);
}

#[test]
fn a_second_user_is_refused_until_the_first_has_gone() {
    let place = Place::new();
    let database = open(&place.0);
    let refused = Folder::take(&place.0).unwrap_err();
    assert!(matches!(refused, FolderError::InUse), "{refused:?}");
    drop(database);
    Folder::take(&place.0).unwrap();
}

#[test]
fn an_unfinished_creation_is_begun_anew() {
    let place = Place::new();
    fs::create_dir(&place.0).unwrap();
    fs::write(place.0.join("store.redb.new"), "half of").unwrap();
    fs::write(place.0.join("reserve"), "half of").unwrap();
    let (mut database, notes) = open(&place.0);
    assert_eq!(notes, Notes::default());
    assert_eq!(database.commit(&[]).unwrap(), Room::Plenty);
    assert!(!place.0.join("store.redb.new").exists());
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    for text in ["", "hello", &"hello".repeat(10_000)] {
        let place = Place::new();
        fs::create_dir(&place.0).unwrap();
        fs::write(place.0.join("store.redb"), text).unwrap();
        let folder = Folder::take(&place.0).unwrap();
        let refused = Database::open(folder, Notes::default).unwrap_err().to_string();
        assert!(refused.contains("no store of udpchat"), "{refused}");
        assert_eq!(fs::read_to_string(place.0.join("store.redb")).unwrap(), text);
    }
}

#[test]
fn a_folder_without_a_store_is_not_made_by_those_who_only_look() {
    let place = Place::new();
    let refused = Folder::take_existing(&place.0).unwrap_err();
    assert!(matches!(refused, FolderError::Missing), "{refused:?}");
    assert!(!place.0.exists());
}

#[test]
fn the_reserve_takes_room_and_gives_it_back() {
    let place = Place::new();
    let mut folder = Folder::take(&place.0).unwrap();
    assert!(folder.hold_reserve().unwrap());
    assert!(fs::metadata(place.0.join("reserve")).unwrap().len() > 1 << 20);
    folder.free_reserve().unwrap();
    folder.free_reserve().unwrap();
    assert!(!place.0.join("reserve").exists());
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    drop(open(&place.0));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.0.clone()), 0o700);
    for name in ["store.redb", "lock", "reserve"] {
        assert_eq!(mode(place.0.join(name)), 0o600, "{name}");
    }
}
