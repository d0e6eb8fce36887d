//! Folders of the file system: one user at a time, and what is found in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use udpchat_core::store::{Committed, DiskSpace, Store};
use udpchat_node::store::folder::{Folder, FolderError, LARGE_RESERVE_BYTES, SMALL_RESERVE_BYTES};
use udpchat_node::store::medium::{Medium, is_lost};
use udpchat_node::store::{Database, ThreadStore};

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
    Database::open(Folder::take(path, LARGE_RESERVE_BYTES).unwrap(), Notes::default).unwrap()
}

#[test]
fn a_folder_is_made_and_keeps_what_was_committed() {
    let place = Place::new();
    let path = place.0.join("in/there");
    let (mut database, _) = open(&path);
    let room = database.commit(&[Change::Take(1, b"one".to_vec())]).unwrap();
    assert_eq!(room, DiskSpace::Plenty);
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
            assert_eq!(room, DiskSpace::Plenty);
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
    let refused = Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap_err();
    assert!(matches!(refused, FolderError::InUse), "{refused:?}");
    drop(database);
    Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap();
}

#[test]
fn an_unfinished_creation_is_begun_anew() {
    let place = Place::new();
    fs::create_dir(&place.0).unwrap();
    fs::write(place.0.join("store.redb.new"), "half of").unwrap();
    fs::write(place.0.join("reserve"), "half of").unwrap();
    let (mut database, notes) = open(&place.0);
    assert_eq!(notes, Notes::default());
    assert_eq!(database.commit(&[]).unwrap(), DiskSpace::Plenty);
    assert!(!place.0.join("store.redb.new").exists());
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    for text in ["", "hello", &"hello".repeat(10_000)] {
        let place = Place::new();
        fs::create_dir(&place.0).unwrap();
        fs::write(place.0.join("store.redb"), text).unwrap();
        let folder = Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap();
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
    let bytes = || fs::metadata(place.0.join("reserve")).unwrap().len();
    let mut folder = Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap();
    assert!(folder.hold_reserve().unwrap());
    assert_eq!(bytes(), LARGE_RESERVE_BYTES as u64);
    drop(folder);
    let mut folder = Folder::take(&place.0, SMALL_RESERVE_BYTES).unwrap();
    assert!(folder.hold_reserve().unwrap());
    assert_eq!(bytes(), SMALL_RESERVE_BYTES as u64);
    folder.free_reserve().unwrap();
    folder.free_reserve().unwrap();
    assert!(!place.0.join("reserve").exists());
}

/// As `truncate` makes one, or a copy that keeps holes.
#[cfg(unix)]
#[test]
fn a_reserve_of_holes_is_written_anew() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    fs::create_dir(&place.0).unwrap();
    let path = place.0.join("reserve");
    fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    assert!(Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap().hold_reserve().unwrap());
    let reserve = fs::metadata(&path).unwrap();
    assert!(reserve.blocks() * 512 >= 8 << 20, "{reserve:?}");
    // What holds room is left as it is.
    assert!(Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap().hold_reserve().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().ino(), reserve.ino());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_in_a_files_place_is_refused_by_its_name() {
    use std::os::unix::net::UnixListener;
    for name in ["store.redb", "lock", "reserve"] {
        let place = Place::new();
        fs::create_dir(&place.0).unwrap();
        let path = place.0.join(name);
        let refused = || Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap_err().to_string();
        fs::create_dir(&path).unwrap();
        assert_eq!(refused(), format!("{name} in it is no file: remove it"));
        fs::remove_dir(&path).unwrap();
        let _socket = UnixListener::bind(&path).unwrap();
        assert_eq!(refused(), format!("{name} in it is no file: remove it"));
    }
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

#[cfg(unix)]
#[test]
fn what_others_could_read_or_write_is_mended_or_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    drop(open(&place.0));
    let set = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    set(&place.0, 0o777).unwrap();
    for name in ["store.redb", "lock", "reserve"] {
        set(&place.0.join(name), 0o666).unwrap();
    }
    drop(open(&place.0));
    assert_eq!(mode(place.0.clone()), 0o700);
    for name in ["store.redb", "lock", "reserve"] {
        assert_eq!(mode(place.0.join(name)), 0o600, "{name}");
    }
    // Whose folder holds other things as well is asked first.
    fs::write(place.0.join("letter"), "").unwrap();
    set(&place.0, 0o777).unwrap();
    let refused = Folder::take(&place.0, LARGE_RESERVE_BYTES).unwrap_err().to_string();
    assert!(refused.contains("chmod go-w"), "{refused}");
    set(&place.0, 0o755).unwrap();
    drop(open(&place.0));
    assert_eq!(mode(place.0.clone()), 0o755);
}

#[cfg(unix)]
#[test]
fn no_link_is_followed_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let elsewhere = Place::new();
    fs::create_dir(&elsewhere.0).unwrap();
    let letter = elsewhere.0.join("letter");
    for name in ["store.redb", "store.redb.new", "reserve", "lock"] {
        fs::write(&letter, "dear").unwrap();
        let place = Place::new();
        fs::create_dir(&place.0).unwrap();
        symlink(&letter, place.0.join(name)).unwrap();
        match Folder::take(&place.0, LARGE_RESERVE_BYTES) {
            Ok(folder) => drop(Database::open(folder, Notes::default).unwrap()),
            Err(refused) => assert!(refused.to_string().contains("is a link"), "{refused}"),
        }
        assert_eq!(fs::read_to_string(&letter).unwrap(), "dear", "{name}");
    }
}

#[test]
fn nothing_is_committed_to_a_store_that_is_not_found_any_more() {
    let ways: [fn(&Path, &Path); 4] = [
        |there, _| fs::remove_file(there.join("store.redb")).unwrap(),
        |there, aside| fs::rename(there, aside).unwrap(),
        // A copy in its place; and over it.
        |there, _| {
            fs::copy(there.join("store.redb"), there.join("copy")).unwrap();
            fs::rename(there.join("copy"), there.join("store.redb")).unwrap();
        },
        |there, aside| {
            fs::copy(aside.join("store.redb"), there.join("store.redb")).unwrap();
        },
    ];
    for (at, way) in ways.into_iter().enumerate() {
        let (place, aside) = (Place::new(), Place::new());
        drop(open(&place.0));
        if at == 3 {
            fs::create_dir(&aside.0).unwrap();
            fs::copy(place.0.join("store.redb"), aside.0.join("store.redb")).unwrap();
        }
        let mut database = open(&place.0).0;
        database.commit(&[Change::Take(1, b"one".to_vec())]).unwrap();
        database.confirm().unwrap();
        way(&place.0, &aside.0);
        let refused = database.commit(&[Change::Take(2, b"two".to_vec())]).unwrap_err();
        assert!(is_lost(&refused), "{at}: {refused}");
        let again = database.commit(&[]).unwrap_err();
        assert!(is_lost(&again), "{at}: {again}");
        // Where it was moved to it is locked, and after that all that was committed is there.
        if at == 1 {
            let locked = Folder::take(&aside.0, LARGE_RESERVE_BYTES).unwrap_err();
            assert!(matches!(locked, FolderError::InUse), "{locked:?}");
            drop(database);
            assert_eq!(open(&aside.0).1.0, [(1, b"one".to_vec())].into());
        } else if at == 3 {
            drop(database);
            let read = |place: &Place| fs::read(place.0.join("store.redb")).unwrap();
            assert!(read(&place) == read(&aside));
        }
    }
}
