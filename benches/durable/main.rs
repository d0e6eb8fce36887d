//! How fast messages are stored durably, each figure beside what the machine can do at most.
//!
//! `cargo bench --bench durable [-- <folder on the disk to measure>]`. A real server with a real
//! folder, and a client made of sockets only; docs/performance.md has the results.

#![expect(clippy::unwrap_used, reason = "what cannot be measured has no figure to give")]

mod database;
mod raw;
mod traffic;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use udpchat_core::protocol::Name;
use udpchat_core::server::Change;

use database::{big_store, engine, open, reader};
use raw::{raw_append, raw_echo};
use traffic::{Client, Server, median_ping, saves};

/// As in the measurements that the engine was chosen by.
const TEXT: [u8; 200] = [b'x'; 200];
/// One stream each: more than are ever outstanding at once.
const READERS: usize = 2_048;
const MEASURED: Duration = Duration::from_secs(2);
/// Each figure's middle is told. Odd, so that there is one.
const ROUNDS: usize = 7;
/// A datagram that has not been answered by then is taken for lost.
const PATIENCE: Duration = Duration::from_millis(200);

fn main() {
    let folder = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("udpchat-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    throughput(&folder);
    engine(&folder);
    big_store(&folder);
    fs::remove_dir_all(&folder).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn per_second(count: usize, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

fn name(number: u64) -> Name {
    format!("r{number}").parse().unwrap()
}

/// Saves per second over UDP, and what other traffic waits meanwhile.
fn throughput(folder: &Path) {
    println!(
        "medians (and ranges) of {ROUNDS} rounds\n\noutstanding | saves/s | to a commit \
        | of raw append/s, as many to a sync | of raw echo/s | ping idle, loaded | times as long"
    );
    for outstanding in [1, 32, 64, 256, 1_024] {
        let rounds: Vec<Round> = (0..ROUNDS).map(|_| Round::run(folder, outstanding)).collect();
        let over = |figure: fn(&Round) -> f64| Spread::of(rounds.iter().map(figure).collect());
        println!(
            "{outstanding} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0}, {:.0} µs | {:.1}",
            over(|round| round.rate),
            over(|round| round.batch as f64).median,
            over(|round| round.rate / round.append),
            over(|round| round.rate / round.echo),
            over(|round| round.idle).median,
            over(|round| round.loaded).median,
            over(|round| round.loaded / round.idle),
        );
    }
}

/// What was measured of one server, and beside it: the machine differs from minute to minute.
struct Round {
    rate: f64,
    /// Messages to a commit.
    batch: usize,
    /// Raw append of such batches, messages per second.
    append: f64,
    echo: f64,
    /// What a ping took, in microseconds.
    idle: f64,
    loaded: f64,
}

impl Round {
    fn run(folder: &Path, outstanding: usize) -> Self {
        let echo = raw_echo(outstanding);
        let path = folder.join(format!("server-{outstanding}"));
        let (mut database, _) = open(&path);
        let readers: Vec<Change> = (0..READERS as u64).map(reader).collect();
        database.commit(&readers).unwrap();
        drop(database);
        let server = Server::start(&path);
        let mut pinger = Client::register(server.address, "pinger");
        let idle = median_ping(&mut pinger, &AtomicBool::new(false));
        let busy = AtomicBool::new(true);
        let (rate, batch, loaded) = thread::scope(|scope| {
            let pinging = scope.spawn(|| median_ping(&mut pinger, &busy));
            let (rate, batch) = saves(&server, outstanding);
            busy.store(false, Ordering::Relaxed);
            (rate, batch, pinging.join().unwrap())
        });
        drop(server);
        fs::remove_dir_all(path).unwrap();
        let append = raw_append(&folder.join("raw"), batch);
        Self { rate, batch, append, echo, idle, loaded }
    }
}

/// A figure of several rounds. `{:.2}` gives each number two decimals.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let last = figures.len() - 1;
        Self { median: figures[last / 2], least: figures[0], most: figures[last] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, least, most } = self;
        let decimals = f.precision().unwrap_or(0);
        write!(f, "{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
    }
}
