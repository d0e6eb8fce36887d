//! The database that ships keeps every commit that has ended, on a disk of which anything may go
//! wrong at any operation, whatever that operation is part of: making the file, opening it after a
//! crash, or committing. And the disk is honest: what must lose commits does.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;
use std::io;
use std::panic::catch_unwind;
use std::time::Duration;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use sim::faults::disk::{DiskFault, DiskFaults, DiskRule, Keeps, Mounted, Operation, SimDisk};
use sim::naming::random::Stream;
use udpchat_node::store::medium::Medium;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

/// What a row may hold: now and then several pages.
const VALUE_MAX: u64 = 9_000;

/// Rows that one commit writes at most.
const ROWS_MAX: u64 = 4;

type Rows = BTreeMap<u64, Vec<u8>>;

/// How a program writes.
#[derive(Clone, Copy)]
struct Way {
    durability: Durability,
    two_phase: bool,
    /// How likely it is that something goes wrong with an operation.
    rate: f64,
}

const SOUND: Way = Way { durability: Durability::Immediate, two_phase: true, rate: 0.01 };

/// What became of a disk's many lives.
#[derive(Default)]
struct Lives {
    lives: u32,
    commits: u32,
    /// Commits that had ended and were gone, files that did not open.
    lost: u32,
    power_cuts: u32,
    cut_while_opening: u32,
    errors: u32,
}

fn open(mounted: &Mounted) -> Result<Database, redb::Error> {
    let mut medium = mounted.clone();
    let mut builder = Database::builder();
    builder.set_cache_size(1 << 20);
    if medium.open()?.is_none() {
        let made = builder.create_with_backend(medium.create()?)?;
        let transaction = made.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        drop(made);
        medium.publish()?;
    }
    Ok(builder.create_with_backend(medium.open()?.unwrap())?)
}

fn read(database: &Database) -> Result<Rows, redb::Error> {
    let table = database.begin_read()?.open_table(TABLE)?;
    let rows = table.iter()?.map(|row| row.map(|(key, value)| (key.value(), value.value().into())));
    Ok(rows.collect::<Result<_, _>>()?)
}

fn commit(database: &Database, way: Way, rows: &Rows, gone: u64) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(way.durability)?;
    transaction.set_two_phase_commit(way.two_phase);
    let mut table = transaction.open_table(TABLE)?;
    for (key, value) in rows {
        table.insert(key, &**value)?;
    }
    table.remove(gone)?;
    drop(table);
    transaction.commit()?;
    Ok(())
}

/// Whether the error says that the file is no longer one.
fn is_corruption(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Corrupted(_))
        || matches!(error, redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData)
}

/// One disk, from one life of its program to the next.
fn live(seed: u64, lives: u32, way: Way, lies: bool) -> Lives {
    let faults = DiskFaults { rate: way.rate, rate_until: Duration::MAX, rules: Vec::new() };
    let disk = SimDisk::new(seed, &"host".into(), &faults);
    if lies {
        disk.lie();
    }
    let mut stream = Stream::new(seed, &["test"]);
    let mut known = Rows::new();
    // What the last commit would have left, if it was cut short.
    let mut perhaps: Option<Rows> = None;
    let mut next = 0;
    let mut sum = Lives::default();
    for _ in 0..lives {
        sum.lives += 1;
        // Whatever was full has room again.
        disk.set_now(Duration::from_secs(10) * sum.lives);
        let mounted = disk.mount();
        let opened = open(&mounted).and_then(|database| Ok((read(&database)?, database)));
        match opened {
            Ok((rows, database)) => {
                let found = rows == known || perhaps.as_ref() == Some(&rows);
                sum.lost += u32::from(!found);
                (known, perhaps) = (rows, None);
                for _ in 0..stream.below(8) {
                    let length = |stream: &mut Stream| stream.below(VALUE_MAX) as usize;
                    let rows: Rows = (0..=stream.below(ROWS_MAX))
                        .map(|_| {
                            next += 1;
                            (next, vec![next as u8; length(&mut stream)])
                        })
                        .collect();
                    let gone = stream.below(next + 1);
                    let mut after = known.clone();
                    after.extend(rows.clone());
                    after.remove(&gone);
                    if commit(&database, way, &rows, gone).is_err() {
                        perhaps = Some(after);
                        break;
                    }
                    sum.commits += 1;
                    known = after;
                }
                // A program that is killed closes nothing.
                if stream.fraction() < 0.8 {
                    disk.unmount();
                }
            }
            Err(error) if is_corruption(&error) => {
                sum.lost += 1;
                return sum;
            }
            Err(_) => sum.cut_while_opening += 1,
        }
        for event in disk.take_events() {
            sum.power_cuts += u32::from(matches!(event.fault, DiskFault::PowerCut { .. }));
            sum.errors += u32::from(event.fault == DiskFault::Fails);
        }
        if stream.fraction() < 0.3 {
            sum.power_cuts += 1;
            disk.lose_power(Keeps::NAMES[stream.below(7) as usize].0);
        }
    }
    sum
}

fn sum(seeds: u64, lives: u32, way: Way, lies: bool) -> Lives {
    let mut sum = Lives::default();
    for seed in 0..seeds {
        // A file that is none any more may panic the database, most of all in a debug build.
        let one = catch_unwind(|| live(seed, lives, way, lies));
        let one = one.unwrap_or_else(|_| Lives { lost: 1, ..Lives::default() });
        sum.lives += one.lives;
        sum.commits += one.commits;
        sum.lost += u32::from(one.lost > 0);
        sum.power_cuts += one.power_cuts;
        sum.cut_while_opening += one.cut_while_opening;
        sum.errors += one.errors;
    }
    sum
}

/// `SIM_DISK_SEEDS` makes a longer run of it.
fn seeds() -> u64 {
    std::env::var("SIM_DISK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40)
}

#[test]
fn no_commit_that_has_ended_is_lost() {
    let sum = sum(seeds(), 25, SOUND, false);
    assert_eq!(sum.lost, 0, "of {} commits in {} lives", sum.commits, sum.lives);
    // That it says something.
    assert!(sum.commits > 1_000 && sum.errors > 50, "{} commits", sum.commits);
    assert!(sum.power_cuts > 100 && sum.cut_while_opening > 20, "{} cuts", sum.power_cuts);
}

#[test]
fn commits_that_are_not_synced_are_lost() {
    let way = Way { durability: Durability::None, rate: 0.0, ..SOUND };
    let sum = sum(20, 25, way, false);
    assert_eq!(sum.lost, 20);
}

#[test]
fn commits_on_a_disk_that_does_not_sync_are_lost() {
    let sum = sum(20, 25, Way { rate: 0.0, ..SOUND }, true);
    // But where by chance all that was written is left each time.
    assert!(sum.lost > 15, "{}", sum.lost);
}

#[test]
fn an_error_of_a_sync_and_a_loss_of_power_later_need_two_phases() {
    let lost = |two_phase| {
        let way = Way { two_phase, rate: 0.03, ..SOUND };
        sum(40, 25, way, false).lost
    };
    assert_eq!(lost(true), 0);
    assert!(lost(false) > 0);
}

#[test]
fn the_same_seed_is_the_same_disk() {
    let run = || {
        let lives = live(3, 40, SOUND, false);
        (lives.commits, lives.power_cuts, lives.errors, lives.cut_while_opening)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_full_disk_refuses_what_needs_room_and_has_it_again_later() {
    let full = DiskFault::Full { lasts: Some(Duration::from_secs(1)) };
    let rule = DiskRule {
        host: "host".into(),
        since: Duration::from_secs(1),
        kind: Operation::Write,
        nth: 1,
        fault: full,
        restart_after: None,
    };
    let faults = DiskFaults { rules: vec![rule], ..DiskFaults::default() };
    let disk = SimDisk::new(1, &"host".into(), &faults);
    let mounted = disk.mount();
    let database = open(&mounted).unwrap();
    // The second is more than a database takes in advance.
    let rows = |key, length| Rows::from([(key, vec![7; length])]);
    commit(&database, SOUND, &rows(1, 4_000), 0).unwrap();
    disk.set_now(Duration::from_secs(1));
    let refused = commit(&database, SOUND, &rows(2, 20_000_000), 0).unwrap_err();
    assert!(
        matches!(refused, redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull)
    );
    assert!(!mounted.clone().hold_reserve().unwrap());
    drop(database);
    disk.set_now(Duration::from_secs(3));
    assert!(mounted.clone().hold_reserve().unwrap());
    let database = open(&disk.mount()).unwrap();
    commit(&database, SOUND, &rows(3, 4_000), 0).unwrap();
    assert_eq!(read(&database).unwrap().into_keys().collect::<Vec<_>>(), [1, 3]);
}
