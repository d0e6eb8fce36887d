//! How fast messages are stored durably, each figure beside what the machine can do at most.
//!
//! `cargo bench --bench durable [-- <folder on the disk to measure>]`. A real server with a real
//! folder, and a client made of sockets only; docs/performance.md has the results.

#![expect(clippy::unwrap_used, reason = "what cannot be measured has no figure to give")]

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use udpchat::protocol::limits::SENDER_LETTERS_MAX;
use udpchat::protocol::{
    Cookie, MessageId, Name, Nonce, Packet, SessionId, StoreId, StreamId, Token, envelope, hello,
};
use udpchat::server::{Account, Change, Letter, ServerRecord};
use udpchat::store::folder::Folder;
use udpchat::store::{Database, Record};
use udpchat::time::WallTime;

/// As in the measurements that the engine was chosen by.
const TEXT: [u8; 200] = [b'x'; 200];
/// One stream each: more than are ever outstanding at once.
const READERS: usize = 2_048;
/// So many that the server refuses none of them for what it keeps already.
const SENDERS: usize = 40;
/// Fewer than a server keeps of all of them.
const SAVES_MAX: usize = SENDERS * SENDER_LETTERS_MAX * 9 / 10;
const MEASURED: Duration = Duration::from_secs(3);
/// A datagram that has not been answered by then is taken for lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// As the server's: more than fit a usual one may be answered at once.
#[cfg(unix)]
const SOCKET_BUFFER: usize = 4 << 20;
/// The requirement of the big store.
const MANY_LETTERS: u64 = 1_000_000;
const MANY_READERS: u64 = 100_000;

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

fn reader(number: u64) -> Change {
    let account = Account { token: Token(number), registration: 1, original: None };
    Change::Registered { name: name(number), account }
}

fn letter(number: u64, reader: u64, seq: u64) -> Change {
    let id = MessageId { stream: StreamId(reader), seq };
    let from = name(0);
    let stored_at = WallTime::from_unix_ms(1_767_361_541_000);
    let letter = Letter {
        number,
        id,
        from,
        stored_at,
        stored_after_ms: 0,
        group: None,
        body: TEXT.as_slice().into(),
    };
    Change::Stored { to: name(reader), letter }
}

fn open(path: &Path) -> (Database<ServerRecord, Folder>, ServerRecord) {
    Database::open(Folder::take(path).unwrap(), || ServerRecord::new(StoreId(1))).unwrap()
}

/// Saves per second over UDP, and what other traffic waits meanwhile.
fn throughput(folder: &Path) {
    println!(
        "outstanding | saves/s | to a commit | raw append/s, as many outstanding | ratio \
        | raw append/s, as many to a sync | ratio | raw echo/s | ratio | ping idle, loaded (median)"
    );
    for outstanding in [1, 32, 64, 256, 1_024] {
        let echo = raw_echo(outstanding);
        let append = raw_append(&folder.join("raw"), outstanding);
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
        let same = raw_append(&folder.join("raw"), batch);
        println!(
            "{outstanding} | {rate:.0} | {batch} | {append:.0} | {:.2} | {same:.0} | {:.2} \
            | {echo:.0} | {:.2} | {idle:.0?}, {loaded:.0?}",
            rate / append,
            rate / same,
            rate / echo
        );
    }
}

/// Echoes per second with so many datagrams on their way.
fn raw_echo(outstanding: usize) -> f64 {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = server.recv_from(&mut buffer)
            && length > 0
        {
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let send = || {
        client.send_to(&TEXT, address).unwrap();
    };
    let mut buffer = [0; 2_048];
    let begin = now();
    (0..outstanding).for_each(|_| send());
    let mut count = 0;
    while begin.elapsed() < MEASURED {
        match client.recv(&mut buffer) {
            Ok(_) => count += 1,
            Err(_) => (1..outstanding).for_each(|_| send()),
        }
        send();
    }
    let rate = per_second(count, begin);
    client.send_to(&[], address).unwrap();
    rate
}

/// Messages per second appended to a file that is synced after every `batch`.
fn raw_append(path: &Path, batch: usize) -> f64 {
    let mut file = File::create(path).unwrap();
    let bytes = vec![b'x'; batch * TEXT.len()];
    let begin = now();
    let mut count = 0;
    while begin.elapsed() < MEASURED {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        count += batch;
    }
    per_second(count, begin)
}

struct Server {
    child: Child,
    address: SocketAddr,
    /// What it prints, to nobody who would need time to read it.
    log: PathBuf,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new(env!("CARGO_BIN_EXE_udpchat"));
        command.args(["-s", &port.to_string(), "--bind", "127.0.0.1", "--data"]).arg(folder);
        let log = folder.with_extension("log");
        command.stdin(Stdio::piped()).stdout(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), address, log }
    }

    /// How many commits there were.
    fn commits(&self) -> usize {
        let before = fs::metadata(&self.log).unwrap().len();
        self.child.stdin.as_ref().unwrap().write_all(b"stats\n").unwrap();
        loop {
            thread::park_timeout(Duration::from_millis(1));
            let log = fs::read_to_string(&self.log).unwrap();
            let new = &log[usize::try_from(before).unwrap()..];
            if let Some((line, _)) = new.split_once(" commits\n") {
                return line.rsplit(' ').next().unwrap().parse().unwrap();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::remove_file(&self.log).unwrap();
    }
}

/// Clients that share a socket and know no more than they must.
struct Client {
    socket: UdpSocket,
    cookie: Cookie,
    sessions: Vec<SessionId>,
    /// By number: whoever measures has no time to write them.
    readers: Vec<Name>,
    buffer: [u8; 2_048],
}

impl Client {
    fn register(address: SocketAddr, name: &str) -> Self {
        let mut client = Self::reach(address);
        client.add(name);
        client
    }

    /// Waits until the server answers.
    fn reach(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        #[cfg(unix)]
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER).unwrap();
        let (sessions, readers) = (Vec::new(), (0..READERS as u64).map(name).collect());
        let mut client = Self { socket, cookie: Cookie(0), sessions, readers, buffer: [0; 2_048] };
        client.cookie = loop {
            // A server that has not started yet answers nothing.
            let _ = client.socket.send(&hello::encode(Nonce(1)));
            if let Some(Packet::Challenge { cookie, .. }) = client.receive() {
                break cookie;
            }
        };
        client
    }

    /// Registers one more name.
    fn add(&mut self, name: &str) {
        let name: Name = name.parse().unwrap();
        let session = loop {
            let (name, cookie) = (name.clone(), self.cookie);
            let register = Packet::Register { name, token: Token(7), registration: 1, cookie };
            self.send(&register, b"");
            if let Some(Packet::Registered { session, .. }) = self.receive() {
                break session;
            }
        };
        self.sessions.push(session);
    }

    /// Waits until the server has told everything that there is to tell.
    fn settle(&mut self) {
        while let Some(packet) = self.receive() {
            if let Packet::Table { table, to: version, .. } = packet {
                for session in self.sessions.clone() {
                    self.send(&Packet::TableAck { session, table, version }, b"");
                }
            }
        }
    }

    fn send(&self, packet: &Packet, body: &[u8]) {
        self.socket.send(&envelope::encode(packet, body)).unwrap();
    }

    /// None if there is nothing for a while.
    fn receive(&mut self) -> Option<Packet> {
        let length = self.socket.recv(&mut self.buffer).ok()?;
        Some(envelope::decode(&self.buffer[..length]).unwrap().0)
    }

    fn save(&self, stream: u64, seq: u64) {
        let reader = usize::try_from(stream).unwrap();
        let session = self.sessions[reader % SENDERS];
        let (to, stream) = (self.readers[reader].clone(), StreamId(stream));
        let save =
            Packet::Save { session, to, stream, seq, base: 1, unreachable: false, group: None };
        self.send(&save, &TEXT);
    }
}

/// Saves per second with so many outstanding, each of another stream, and how many share a commit.
fn saves(server: &Server, outstanding: usize) -> (f64, usize) {
    let mut client = Client::register(server.address, "s0");
    (1..SENDERS).for_each(|number| client.add(&format!("s{number}")));
    client.settle();
    let commits = server.commits();
    // By turns, so that no mailbox is full before all are.
    let mut idle: VecDeque<(u64, u64)> = (0..READERS as u64).map(|stream| (stream, 1)).collect();
    // What each stream waits for.
    let mut waiting = [0; READERS];
    let begin = now();
    let mut sent = VecDeque::new();
    for (stream, seq) in idle.drain(..outstanding) {
        waiting[stream as usize] = seq;
        client.save(stream, seq);
        sent.push_back((begin, stream, seq));
    }
    let mut count = 0;
    while begin.elapsed() < MEASURED && count < SAVES_MAX {
        match client.receive() {
            Some(Packet::Saved { messages, .. }) => {
                for MessageId { stream, seq } in messages {
                    if waiting[stream.0 as usize] != seq {
                        continue; // A copy.
                    }
                    waiting[stream.0 as usize] = 0;
                    idle.push_back((stream.0, seq + 1));
                    count += 1;
                    let (stream, seq) = idle.pop_front().unwrap();
                    waiting[stream as usize] = seq;
                    client.save(stream, seq);
                    sent.push_back((now(), stream, seq));
                }
            }
            Some(Packet::NotSaved { reason, .. }) => panic!("not saved: {reason:?}"),
            _ => {}
        }
        while let Some((at, stream, seq)) = sent.front().copied() {
            let answered = waiting[stream as usize] != seq;
            if !answered && at.elapsed() < PATIENCE {
                break;
            }
            sent.pop_front();
            if !answered {
                client.save(stream, seq);
                sent.push_back((now(), stream, seq));
            }
        }
    }
    (per_second(count, begin), count.div_ceil(server.commits() - commits))
}

/// What a ping takes, while `busy` holds, or a hundred times.
fn median_ping(client: &mut Client, busy: &AtomicBool) -> Duration {
    let ping = Packet::Ping { session: client.sessions[0] };
    let mut times = Vec::new();
    while times.len() < 100 || busy.load(Ordering::Relaxed) {
        let begin = now();
        client.send(&ping, b"");
        while !matches!(client.receive(), Some(Packet::Pong { .. }) | None) {}
        times.push(begin.elapsed());
        thread::park_timeout(Duration::from_millis(2));
    }
    times.sort();
    times[times.len() / 2]
}

/// The database alone: commits of a batch each.
fn engine(folder: &Path) {
    println!("\nbatch | engine, messages/s | raw append/s | ratio");
    for batch in [1, 8, 64, 256, 1_024] {
        let append = raw_append(&folder.join("raw"), batch);
        let path = folder.join("engine");
        let (mut database, _) = open(&path);
        let begin = now();
        let mut count = 0;
        while begin.elapsed() < MEASURED {
            let numbers = count as u64..(count + batch) as u64;
            let changes: Vec<Change> =
                numbers.map(|number| letter(number, number % MANY_READERS, 1)).collect();
            database.commit(&changes).unwrap();
            count += batch;
        }
        let rate = per_second(count, begin);
        drop(database);
        fs::remove_dir_all(path).unwrap();
        println!("{batch} | {rate:.0} | {append:.0} | {:.2}", rate / append);
    }
}

/// Opens a million messages, after a clean end and after a kill.
fn big_store(folder: &Path) {
    let path = folder.join("big");
    let (mut database, mut record) = open(&path);
    let readers: Vec<Change> = (0..MANY_READERS).map(reader).collect();
    database.commit(&readers).unwrap();
    for first in (0..MANY_LETTERS).step_by(10_000) {
        let numbers = first..first + 10_000;
        let changes: Vec<Change> = numbers
            .map(|number| letter(number, number % MANY_READERS, number / MANY_READERS + 1))
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
        assert_eq!(record.letters() as u64, MANY_LETTERS);
        println!(
            "\n{MANY_LETTERS} messages for {MANY_READERS} after {end}: {} MB read in {reading:.1?}, \
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
        let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    let bytes = resident(big) - resident(empty);
    let beside = bytes / MANY_LETTERS - TEXT.len() as u64;
    println!("\nmemory: {} MB, {beside} bytes a message beyond its text", bytes >> 20);
}
