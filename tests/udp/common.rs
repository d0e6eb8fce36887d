//! Processes to start, talk to and wait for. Every wait has an end.
//!
//! Each process has a data folder of its own, unless a test says which: none reads or writes what
//! belongs to the user.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take: far more than it does, for a machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Ports are taken from below what systems give to those who ask for any.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A running udpchat. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    /// Every line so far, for whoever wants to know why a test failed.
    pub(crate) seen: Vec<String>,
    /// Dropped after it has ended.
    home: Scratch,
}

/// A folder that is gone afterwards.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("udpchat-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Its own path.
    pub(crate) fn home(&self) -> &Path {
        &self.0
    }

    /// The path of something in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path that can be typed").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A process that was killed a moment ago may still be there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A table put together of the events that tell its changes, so that a test may ask for all of it.
#[derive(Default)]
struct WholeTable {
    online: BTreeSet<String>,
    offline: BTreeSet<String>,
}

impl WholeTable {
    /// The line, or the whole table if it tells what has changed.
    fn in_place_of_changes(&mut self, line: String) -> String {
        if !line.starts_with(r#"{"event":"table"#) {
            return line;
        }
        let told = json(&line);
        let names = |key: &str| -> BTreeSet<String> {
            let names = told[key].as_array().into_iter().flatten();
            names.map(|name| name.as_str().expect("a name").to_owned()).collect()
        };
        let (online, offline) = (names("online"), names("offline"));
        if told["event"] == "table" {
            (self.online, self.offline) = (online, offline);
            return line;
        }
        let gone = names("gone");
        self.online.retain(|name| !offline.contains(name) && !gone.contains(name));
        self.offline.retain(|name| !online.contains(name) && !gone.contains(name));
        self.online.extend(online);
        self.offline.extend(offline);
        let list = |names: &BTreeSet<String>| Value::from_iter(names.iter().cloned());
        let (online, offline) = (list(&self.online), list(&self.offline));
        format!(r#"{{"event":"table","online":{online},"offline":{offline}}}"#)
    }
}

/// How a process has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code, none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard error.
    pub(crate) errors: String,
    /// Everything it printed.
    pub(crate) lines: Vec<String>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let home = Scratch::new();
        Self::of(command(arguments, &home), home)
    }

    /// A command as [`command`] makes it, perhaps with another output, which is not read then.
    pub(crate) fn of(mut command: Command, home: Scratch) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take();
        let mut stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut table = WholeTable::default();
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                let Ok(line) = line else { break };
                if sender.send(table.in_place_of_changes(line)).is_err() {
                    break;
                }
            }
        });
        let errors = thread::spawn(move || {
            let mut text = String::new();
            // What is not text is found missing by the test.
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, errors: Some(errors), seen: Vec::new(), home }
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.say_bytes(line.as_bytes());
        self.say_bytes(b"\n");
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("the input has not ended").write_all(bytes).unwrap();
    }

    /// Writes all of this as fast as it is read, beside everything else, and ends the input.
    pub(crate) fn feed(&mut self, text: String) {
        let mut stdin = self.stdin.take().expect("the input has not ended");
        thread::spawn(move || {
            // Whoever ends reads no more.
            let _ = stdin.write_all(text.as_bytes());
        });
    }

    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The next line for which `found` gives something, and that.
    pub(crate) fn find<T>(&mut self, what: &str, found: impl FnMut(&str) -> Option<T>) -> T {
        self.find_within(DEADLINE, what, found)
    }

    pub(crate) fn find_within<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut found: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let end = now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(now())) {
                Ok(line) => {
                    let result = found(&line);
                    self.seen.push(line);
                    if let Some(result) = result {
                        return result;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {what} within {limit:?} after {:#?}", self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended without {what} after {:#?}", self.seen)
                }
            }
        }
    }

    /// Waits for exactly this line.
    pub(crate) fn line(&mut self, line: &str) {
        self.find(line, |got| (got == line).then_some(()));
    }

    /// Waits for an event of this kind and gives its object.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        self.event_where(kind, |_| true)
    }

    pub(crate) fn event_where(&mut self, kind: &str, accept: impl Fn(&Value) -> bool) -> Value {
        self.event_within(DEADLINE, kind, accept)
    }

    pub(crate) fn event_within(
        &mut self,
        limit: Duration,
        kind: &str,
        accept: impl Fn(&Value) -> bool,
    ) -> Value {
        self.find_within(limit, kind, |line| {
            let value = json(line);
            (value["event"] == kind && accept(&value)).then_some(value)
        })
    }

    /// Waits for a table in which exactly these are online.
    pub(crate) fn table(&mut self, online: &[&str]) -> Value {
        self.event_where("table", |table| table["online"] == Value::from(online.to_vec()))
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its data folder would be.
    pub(crate) fn home(&self) -> &Path {
        &self.home.0
    }

    /// Ends it without asking: SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGKILL and gives what it wrote that nobody has read.
    pub(crate) fn kill_and_read(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    /// The next line, if there is one within so long.
    pub(crate) fn next_line(&mut self, limit: Duration) -> Option<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("it has ended by itself"),
        }
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let end = now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("still there after {DEADLINE:?}: {:#?}", self.seen)
                }
            }
        }
        let code = self.child.wait().unwrap().code();
        let errors = self.errors.take().unwrap().join().unwrap();
        Ended { code, errors, lines: std::mem::take(&mut self.seen) }
    }

    /// Waits for its end and sees to it that it is the wanted one, without complaints.
    pub(crate) fn ends_with(self, code: i32) -> Vec<String> {
        let ended = self.ended();
        assert_eq!((ended.code, ended.errors.as_str()), (Some(code), ""), "{:#?}", ended.lines);
        ended.lines
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(arguments: &[&str], home: &Scratch) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_udpchat"));
    command
        .env("XDG_DATA_HOME", &home.0)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A server that listens, and its port.
pub(crate) fn server() -> (Process, u16) {
    loop {
        let port = free_port();
        if let Some(server) = server_on(port) {
            return (server, port);
        }
    }
}

/// A server that listens on this port, if nobody else does.
pub(crate) fn server_on(port: u16) -> Option<Process> {
    server_with(port, &[])
}

/// A server that listens on this port, if nobody else does, started with these options.
pub(crate) fn server_with(port: u16, options: &[&str]) -> Option<Process> {
    let mut server = Process::start(&[&["-s", &port.to_string()], options].concat());
    // The end of its input must not stop a server.
    server.end_input();
    let end = now() + DEADLINE;
    match server.lines.recv_timeout(end.saturating_duration_since(now())) {
        Ok(line) => {
            assert!(line.contains("listening on") && line.contains(&format!(":{port}")), "{line}");
            Some(server)
        }
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("a server neither listens nor ends"),
    }
}

/// A server that keeps its data here, on a port that nobody else wants; again after it was killed.
pub(crate) fn server_in(folder: &str, port: u16) -> Process {
    loop {
        // Only a search of another test for a free port may hold it a moment.
        if let Some(server) = server_with(port, &["--data", folder]) {
            return server;
        }
    }
}

/// A client with the JSON interface that keeps its data here.
pub(crate) fn client_in(folder: &str, name: &str, port: u16) -> Process {
    let port = port.to_string();
    Process::start(&["-c", name, "127.0.0.1", &port, "0", "--json", "--data", folder])
}

/// A client with the JSON interface, on any port.
pub(crate) fn client(name: &str, server_port: u16) -> Process {
    Process::start(&["-c", name, "127.0.0.1", &server_port.to_string(), "0", "--json"])
}

/// A client with the JSON interface that has registered and has a table.
pub(crate) fn registered(name: &str, server_port: u16) -> Process {
    let mut client = client(name, server_port);
    client.event_where("registered", |event| event["name"] == name);
    client.event("table");
    client
}

/// Clients that all see each other, in the order of their names.
pub(crate) fn together<const N: usize>(names: [&str; N], server_port: u16) -> [Process; N] {
    let mut clients = names.map(|name| client(name, server_port));
    for client in &mut clients {
        client.table(&names);
    }
    clients
}

/// A port that nobody uses now, and none of our other tests will.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Far apart for processes that were started one after the other.
        let place = (u32::from(offset) * 97 + u32::from(number)) % u32::from(PORTS);
        let port = FIRST_PORT + u16::try_from(place).unwrap();
        if is_free(port) {
            return port;
        }
    }
}

pub(crate) fn is_free(port: u16) -> bool {
    UdpSocket::bind(("0.0.0.0", port)).is_ok()
}

pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

/// The texts of the messages among these lines of the JSON interface, in order.
pub(crate) fn texts(lines: &[String]) -> Vec<String> {
    let events = lines.iter().map(|line| json(line));
    let messages = events.filter(|event| event["event"] == "message");
    messages.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

#[expect(clippy::disallowed_methods, reason = "waiting for real processes takes real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
