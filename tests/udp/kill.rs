//! SIGKILL at any moment, to servers and clients that keep stores: nothing that was acknowledged
//! is lost, nothing is shown twice unmarked, and everything is in order.
//!
//! What dies next, and after how much progress, is decided by a seed; where in its work that finds
//! a process is not, for the processes are real.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::common::{DEADLINE, Process, Scratch, client_in, free_port, json, now, server_in};

/// How often the server is killed, unless the environment wants otherwise.
const ROUNDS: usize = 8;
const ROUNDS_VARIABLE: &str = "UDPCHAT_KILL_ROUNDS";
const SEED: u64 = 4;

const SENDERS: [&str; 2] = ["alice", "bob"];
const READERS: [&str; 3] = ["carol", "dave", "erin"];
/// Messages that are typed in a round, at most.
const BURST_MAX: usize = 40;
/// After so long without progress a round goes on: whoever could make any may be away.
const QUIET: Duration = Duration::from_secs(3);
/// How long one process is listened to while the others wait.
const LISTEN: Duration = Duration::from_millis(1);
const AWAY: f64 = 0.5;
const READER_DIES: f64 = 0.6;
const SENDER_DIES: f64 = 0.4;
const DIES_IN_RECOVERY: f64 = 0.3;

/// What everybody said, over all their lives.
#[derive(Default)]
struct Tally {
    /// Ids that a sender was told will be sent.
    accepted: BTreeSet<String>,
    /// Ids that a sender was told are received or saved.
    settled: BTreeSet<String>,
    /// Ids that a sender was told their reader has seen, and the reader.
    read: BTreeMap<String, String>,
    /// Those of which that was told before their reader was killed: never to be shown again.
    sealed: BTreeSet<String>,
    /// How often each id was shown.
    shown: BTreeMap<String, usize>,
    /// The last number shown, by sender and reader.
    last: BTreeMap<(String, String), u64>,
    /// Lines that break a promise.
    wrong: Vec<String>,
    /// Messages shown once more, and marked.
    marked: usize,
    /// Outcomes and messages: the points of the run that kills are counted by.
    progress: usize,
}

impl Tally {
    fn note(&mut self, name: &str, line: &str) {
        let event = json(line);
        let id = || event["id"].as_str().unwrap().to_owned();
        match event["event"].as_str().unwrap() {
            "sending" => {
                self.accepted.insert(id());
            }
            what @ ("received" | "saved" | "read_later") => {
                self.settled.insert(id());
                self.progress += 1;
                if what != "saved" {
                    self.read.insert(id(), event["to"].as_str().unwrap().to_owned());
                }
            }
            "message" => {
                self.progress += 1;
                self.show(name, id(), &event);
            }
            "unsent" if event["kept"] != true => self.wrong.push(format!("given up: {line}")),
            "error" | "expired" => self.wrong.push(line.to_owned()),
            _ => {}
        }
    }

    /// A reader is dead, and everything is known that it said.
    fn seal(&mut self, reader: &str) {
        let read = self.read.iter().filter(|(_, by)| *by == reader);
        self.sealed.extend(read.map(|(id, _)| id.clone()));
    }

    fn show(&mut self, reader: &str, id: String, event: &Value) {
        if self.sealed.contains(&id) {
            self.wrong.push(format!("acknowledged, and shown again: {event}"));
        }
        let times = self.shown.entry(id).or_default();
        *times += 1;
        if *times > 1 {
            match event["again"] == true {
                true => self.marked += 1,
                false => self.wrong.push(format!("twice: {event}")),
            }
            return;
        }
        let number = event["text"].as_str().unwrap().parse().unwrap();
        let lane = (event["from"].as_str().unwrap().to_owned(), reader.to_owned());
        if self.last.insert(lane, number).is_some_and(|last| last >= number) {
            self.wrong.push(format!("out of order: {event}"));
        }
    }

    /// What was acknowledged, or only promised, and not shown.
    fn missing(&self) -> Vec<&String> {
        let promised = self.accepted.union(&self.settled);
        promised.filter(|id| !self.shown.contains_key(*id)).collect()
    }
}

/// The server, the clients that live, and the folders of all.
struct Town {
    scratch: Scratch,
    port: u16,
    server: Option<Process>,
    people: BTreeMap<&'static str, Process>,
    tally: Tally,
    kills: usize,
}

impl Town {
    fn new() -> Self {
        let (scratch, port) = (Scratch::new(), free_port());
        let mut town = Self {
            scratch,
            port,
            server: None,
            people: BTreeMap::new(),
            tally: Tally::default(),
            kills: 0,
        };
        town.start_server();
        for name in SENDERS.iter().chain(&READERS) {
            town.wake(name);
            // A name that the server has never heard of has no mailbox.
            town.people.get_mut(name).unwrap().event("registered");
        }
        town
    }

    fn start_server(&mut self) {
        self.server = Some(server_in(&self.scratch.path("server"), self.port));
    }

    fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
        self.kills += 1;
    }

    /// Starts this client again if it does not live.
    fn wake(&mut self, name: &'static str) {
        let folder = self.scratch.path(name);
        self.people.entry(name).or_insert_with(|| client_in(&folder, name, self.port));
    }

    fn kill(&mut self, name: &str) {
        if let Some(process) = self.people.remove(name) {
            for line in process.kill_and_read() {
                self.tally.note(name, &line);
            }
            self.tally.seal(name);
            self.kills += 1;
        }
    }

    /// Listens to all until this is so, or until there is no progress for so long.
    fn listen(&mut self, quiet: Duration, enough: impl Fn(&Tally) -> bool) {
        let (mut progress, mut since) = (self.tally.progress, now());
        while !enough(&self.tally) && since.elapsed() < quiet {
            for (name, process) in &mut self.people {
                while let Some(line) = process.next_line(LISTEN) {
                    self.tally.note(name, &line);
                }
            }
            if self.tally.progress > progress {
                (progress, since) = (self.tally.progress, now());
            }
        }
    }

    /// Types something, and kills the server and perhaps others while it is on its way.
    fn round(&mut self, chance: &mut StdRng, number: &mut u64) {
        for sender in SENDERS {
            self.wake(sender);
        }
        for reader in READERS {
            if chance.random_bool(1.0 - AWAY) {
                self.wake(reader);
            }
        }
        let burst = chance.random_range(BURST_MAX / 4..=BURST_MAX);
        for _ in 0..burst {
            let sender = SENDERS[chance.random_range(0..SENDERS.len())];
            let reader = READERS[chance.random_range(0..READERS.len())];
            *number += 1;
            self.people.get_mut(sender).unwrap().say(&format!("send {reader} {number}"));
        }
        if chance.random_bool(READER_DIES) {
            self.advance(chance, burst);
            self.kill(READERS[chance.random_range(0..READERS.len())]);
        }
        if chance.random_bool(SENDER_DIES) {
            self.advance(chance, burst);
            self.kill(SENDERS[chance.random_range(0..SENDERS.len())]);
        }
        self.advance(chance, burst);
        self.kill_server();
        if chance.random_bool(DIES_IN_RECOVERY) {
            let (folder, port) = (self.scratch.path("server"), self.port.to_string());
            self.server = Some(Process::start(&["-s", &port, "--data", &folder]));
            self.kill_server();
        }
        self.start_server();
    }

    /// Listens until there is as much progress more as chance wants, none perhaps.
    fn advance(&mut self, chance: &mut StdRng, most: usize) {
        let goal = self.tally.progress + chance.random_range(0..most);
        self.listen(QUIET, |tally| tally.progress >= goal);
    }

    /// Lets all senders finish, then all readers.
    fn drain(&mut self) {
        for name in SENDERS.iter().chain(&READERS) {
            self.wake(name);
        }
        self.listen(DEADLINE, |tally| tally.missing().is_empty());
        for name in SENDERS {
            self.end(name);
        }
        // Of what was typed just before its sender died, only the outcome may be known.
        self.listen(DEADLINE, |tally| tally.missing().is_empty());
        for name in READERS {
            self.end(name);
        }
    }

    fn end(&mut self, name: &str) {
        let mut process = self.people.remove(name).unwrap();
        process.end_input();
        let ended = process.ended();
        if (ended.code, ended.errors.as_str()) != (Some(0), "") {
            self.tally.wrong.push(format!("{name} ended with {:?}: {}", ended.code, ended.errors));
        }
        for line in ended.lines {
            self.tally.note(name, &line);
        }
    }
}

fn rounds() -> usize {
    std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |number| number.parse().unwrap())
}

#[test]
fn kills_lose_nothing_acknowledged_and_repeat_nothing_unmarked() {
    let begin = now();
    let mut chance = StdRng::seed_from_u64(SEED);
    let mut town = Town::new();
    let mut number = 0;
    let rounds = rounds();
    for _ in 0..rounds {
        town.round(&mut chance, &mut number);
    }
    town.drain();
    let tally = &town.tally;
    let lost: Vec<_> = tally.settled.iter().filter(|id| !tally.shown.contains_key(*id)).collect();
    println!(
        "{rounds} rounds, {} kills in {:.0?}: {number} typed, {} accepted, {} acknowledged, \
        {} shown, {} once more and marked; {} acknowledged and lost",
        town.kills,
        begin.elapsed(),
        tally.accepted.len(),
        tally.settled.len(),
        tally.shown.len(),
        tally.marked,
        lost.len(),
    );
    assert!(lost.is_empty(), "acknowledged and never shown: {lost:?}");
    assert!(tally.missing().is_empty(), "accepted and never shown: {:?}", tally.missing());
    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
    assert!(tally.shown.len() > rounds, "next to nothing was tested");
}
