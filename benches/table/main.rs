//! What it costs that somebody comes and goes without end, and how fast many come.
//!
//! `cargo bench --bench table [-- [<numbers of clients>] [<another udpchat to measure>]]`. A real
//! server without a folder, and clients made of three sockets; docs/performance.md has the results. On Linux, for the server's CPU
//! time is read from /proc.

#![expect(clippy::unwrap_used, reason = "what cannot be measured has no figure to give")]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use udpchat_core::protocol::{Cookie, Name, Nonce, Packet, SessionId, Token, envelope, hello};

/// How long the attack lasts.
const MEASURED: Duration = Duration::from_secs(10);
/// Between a registration and its end, and the next one: 200 datagrams a second.
const STEP: Duration = Duration::from_millis(5);
/// Between two pings of those who are only here, as of a real client.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Between two pings of somebody honest.
const PING: Duration = Duration::from_millis(10);
/// A datagram that has not been answered by then is taken for lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// Registrations on their way at once, while many come.
const AT_ONCE: usize = 32;
/// What /proc counts CPU time in, on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let other = words.iter().find(|word| word.parse::<usize>().is_err());
    let program = other.map_or_else(|| env!("CARGO_BIN_EXE_udpchat").into(), PathBuf::from);
    let mut crowds: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if crowds.is_empty() {
        crowds = vec![100, 1_000, 3_000];
    }
    println!("clients here | joined in | CPU for that | CPU at rest, attacked | ping p50, p99");
    for clients in crowds {
        measure(&program, clients);
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn now() -> Instant {
    Instant::now()
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &Path) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["-s", &port.to_string(), "--bind", "127.0.0.1", "--no-store"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { child: command.spawn().unwrap(), address }
    }

    /// The CPU time that it has taken, in seconds.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|it| it.parse::<f64>().unwrap());
        ticks.sum::<f64>() / TICKS_PER_SECOND
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A socket that knows no more than it must.
struct Client {
    socket: UdpSocket,
    cookie: Cookie,
    buffer: [u8; 2_048],
}

impl Client {
    fn reach(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20);
        let mut client = Self { socket, cookie: Cookie(0), buffer: [0; 2_048] };
        client.cookie = loop {
            // A server that has not started yet answers nothing.
            let _ = client.socket.send(&hello::encode(Nonce(1)));
            match client.receive() {
                Some(Packet::Challenge { cookie, .. }) => break cookie,
                _ => thread::park_timeout(Duration::from_millis(20)),
            }
        };
        client
    }

    fn send(&self, packet: &Packet) {
        let _ = self.socket.send(&envelope::encode(packet, b""));
    }

    fn ping(&self, sessions: &[SessionId]) {
        sessions.iter().for_each(|session| self.send(&Packet::Ping { session: *session }));
    }

    fn ask_for(&self, name: &str, registration: u64) {
        let (name, cookie): (Name, _) = (name.parse().unwrap(), self.cookie);
        self.send(&Packet::Register {
            name,
            token: Token(7),
            registration,
            nonce: Nonce(1),
            cookie,
        });
    }

    /// The next packet, after what keeps a client here is answered. None if there is none for a
    /// while.
    fn receive(&mut self) -> Option<Packet> {
        let length = self.socket.recv(&mut self.buffer).ok()?;
        let packet = envelope::decode(&self.buffer[..length]).unwrap().0;
        match &packet {
            Packet::Table { session, table, to, .. } => {
                let (session, table, version) = (*session, *table, *to);
                self.send(&Packet::TableAck { session, table, version });
            }
            Packet::Registered { session, .. } => self.send(&Packet::Ping { session: *session }),
            _ => {}
        }
        Some(packet)
    }

    fn register(&mut self, name: &str, registration: u64) -> SessionId {
        loop {
            self.ask_for(name, registration);
            while let Some(packet) = self.receive() {
                if let Packet::Registered { session, registration: of, .. } = packet
                    && of == registration
                {
                    return session;
                }
            }
        }
    }

    /// So many clients come, and each has the whole table.
    fn all_join(&mut self, clients: usize) -> Vec<SessionId> {
        let mut sessions = Vec::new();
        let (mut asked, mut quiet, mut next) = (0, false, now() + KEEP_ALIVE);
        while sessions.len() < clients || !quiet {
            if now() >= next {
                self.ping(&sessions);
                next += KEEP_ALIVE;
            }
            while asked < clients && asked < sessions.len() + AT_ONCE {
                asked += 1;
                self.ask_for(&format!("client-{asked}"), 1);
            }
            let packet = self.receive();
            quiet = packet.is_none();
            match packet {
                Some(Packet::Registered { session, .. }) => sessions.push(session),
                None if sessions.len() < clients => {
                    // Lost: all that have no answer are asked for again.
                    asked = sessions.len();
                }
                _ => {}
            }
        }
        sessions
    }

    /// Keeps these clients here, until nobody waits any more.
    fn stay(mut self, sessions: &[SessionId], end: Instant) {
        let mut next = now();
        while now() < end {
            if now() >= next {
                self.ping(sessions);
                next += KEEP_ALIVE;
            }
            self.receive();
        }
    }
}

fn measure(program: &Path, clients: usize) {
    let server = Server::start(program);
    let mut crowd = Client::reach(server.address);
    let begin = now();
    let sessions = crowd.all_join(clients);
    let (joined, joining) = ((begin.elapsed() - PATIENCE).as_secs_f64(), server.cpu());
    let mut honest = Client::reach(server.address);
    let session = honest.register("honest", 1);
    let end = now() + 3 * MEASURED;
    let staying = thread::spawn(move || crowd.stay(&sessions, end));
    thread::park_timeout(MEASURED / 2);
    let before = server.cpu();
    pings(&mut honest, session);
    let idle = (server.cpu() - before) / MEASURED.as_secs_f64();
    let mallory = Client::reach(server.address);
    let attack = thread::spawn(move || attack(mallory));
    let before = server.cpu();
    let mut times = pings(&mut honest, session);
    let attacked = (server.cpu() - before) / MEASURED.as_secs_f64();
    let changes = attack.join().unwrap();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{clients} | {joined:.1} s | {joining:.1} s | {:.1} %, {:.1} % | {:.2}, {:.2} ms \
         | {changes} changes",
        idle * 100.0,
        attacked * 100.0,
        at(50),
        at(99),
    );
    drop(server);
    staying.join().unwrap();
}

/// What pings take, in milliseconds.
fn pings(client: &mut Client, session: SessionId) -> Vec<f64> {
    let mut times = Vec::new();
    let begin = now();
    while begin.elapsed() < MEASURED {
        let sent = now();
        client.send(&Packet::Ping { session });
        while !matches!(client.receive(), Some(Packet::Pong { .. }) | None) {}
        times.push(sent.elapsed().as_secs_f64() * 1e3);
        thread::park_timeout(PING.saturating_sub(sent.elapsed()));
    }
    times
}

/// Somebody comes and goes without end. How many changes that were.
fn attack(mut mallory: Client) -> u64 {
    let (begin, mut comings) = (now(), 0);
    mallory.socket.set_read_timeout(Some(STEP)).unwrap();
    while begin.elapsed() < MEASURED {
        comings += 1;
        mallory.ask_for("mallory", comings);
        let due = begin + STEP * 2 * u32::try_from(comings).unwrap();
        while now() < due - STEP {
            if let Some(Packet::Registered { session, .. }) = mallory.receive() {
                mallory.send(&Packet::Deregister { session });
            }
        }
        while now() < due {
            mallory.receive();
        }
    }
    2 * comings
}
