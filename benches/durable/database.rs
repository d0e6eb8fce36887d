//! The database without a server: commits, and opening a big store.

use std::fs;
use std::path::Path;

use udpchat_core::protocol::{MessageId, StoreId, StreamId, Token};
use udpchat_core::server::{Account, Change, ServerRecord, StoredMessage};
use udpchat_core::store::Record;
use udpchat_core::time::WallTime;
use udpchat_node::store::Database;
use udpchat_node::store::folder::{Folder, LARGE_RESERVE_BYTES};

use crate::raw::raw_append;
#[cfg(target_os = "linux")]
use crate::traffic::{Client, Server};
use crate::{MEASURED, ROUNDS, Spread, TEXT, name, now, per_second};

/// The requirement of the big store.
const MANY_MESSAGES: u64 = 1_000_000;
const MANY_READERS: u64 = 100_000;

pub(crate) fn open(path: &Path) -> (Database<ServerRecord, Folder>, ServerRecord) {
    Database::open(Folder::take(path, LARGE_RESERVE_BYTES).unwrap(), || {
        ServerRecord::new(StoreId(1))
    })
    .unwrap()
}

pub(crate) fn reader(number: u64) -> Change {
    let account = Account { token: Token(number), registration: 1, original: None };
    Change::Registered { name: name(number), account }
}

fn message(number: u64, reader: u64, seq: u64) -> Change {
    let id = MessageId { stream: StreamId(reader), seq };
    let from = name(0);
    let stored_at = WallTime::from_unix_ms(1_767_361_541_000);
    let message = StoredMessage {
        number,
        id,
        from,
        stored_at,
        stored_after_ms: 0,
        group: None,
        body: TEXT.as_slice().into(),
    };
    Change::Stored { to: name(reader), message }
}

/// The database alone: commits of a batch each.
pub(crate) fn engine(folder: &Path) {
    println!("\nbatch | the database alone, messages/s | of raw append/s");
    for batch in [1, 8, 64, 256, 1_024] {
        let (rates, ratios) = (0..ROUNDS)
            .map(|_| {
                let append = raw_append(&folder.join("raw"), batch);
                let rate = engine_rate(&folder.join("engine"), batch);
                (rate, rate / append)
            })
            .unzip();
        println!("{batch} | {:.0} | {:.2}", Spread::of(rates), Spread::of(ratios));
    }
}

fn engine_rate(path: &Path, batch: usize) -> f64 {
    let (mut database, _) = open(path);
    let begin = now();
    let mut count = 0;
    while begin.elapsed() < MEASURED {
        let numbers = count as u64..(count + batch) as u64;
        let changes: Vec<Change> =
            numbers.map(|number| message(number, number % MANY_READERS, 1)).collect();
        database.commit(&changes).unwrap();
        count += batch;
    }
    let rate = per_second(count, begin);
    drop(database);
    fs::remove_dir_all(path).unwrap();
    rate
}

/// Opens a million messages, after a clean end and after a kill.
pub(crate) fn big_store(folder: &Path) {
    let path = folder.join("big");
    let (mut database, mut record) = open(&path);
    let readers: Vec<Change> = (0..MANY_READERS).map(reader).collect();
    database.commit(&readers).unwrap();
    for first in (0..MANY_MESSAGES).step_by(10_000) {
        let numbers = first..first + 10_000;
        let changes: Vec<Change> = numbers
            .map(|number| message(number, number % MANY_READERS, number / MANY_READERS + 1))
            .collect();
        database.commit(&changes).unwrap();
        changes.iter().for_each(|change| record.apply(change));
    }
    drop(record);
    let file = path.join("store.redb");
    let killed = fs::read(&file).unwrap();
    drop(database);
    for end in ["a clean end", "a kill"] {
        if end == "a kill" {
            fs::write(&file, &killed).unwrap();
        }
        let begin = now();
        let bytes = fs::read(&file).unwrap().len();
        let reading = begin.elapsed();
        let begin = now();
        let (database, record) = open(&path);
        let opening = begin.elapsed();
        assert_eq!(record.messages() as u64, MANY_MESSAGES);
        println!(
            "\n{MANY_MESSAGES} messages for {MANY_READERS} after {end}: {} MB read in {reading:.1?}, \
            opened in {opening:.1?}, ratio {:.1}",
            bytes >> 20,
            opening.as_secs_f64() / reading.as_secs_f64(),
        );
        drop((database, record));
    }
    #[cfg(target_os = "linux")]
    memory(&path, &folder.join("empty"));
}

/// What a server needs for each stored message, by what it needs more than one without any.
#[cfg(target_os = "linux")]
fn memory(big: &Path, empty: &Path) {
    let resident = |folder| {
        let server = Server::start(folder);
        Client::reach(server.address);
        let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    let bytes = resident(big) - resident(empty);
    let beside = bytes / MANY_MESSAGES - TEXT.len() as u64;
    println!("\nmemory: {} MB, {beside} bytes a message beyond its text", bytes >> 20);
}
