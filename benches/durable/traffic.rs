//! A real server, and clients that share a socket and know no more than they must.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use udpchat_core::protocol::limits::SENDER_STORED_MAX;
use udpchat_core::protocol::{
    Cookie, MessageId, Name, Nonce, Packet, SessionId, StreamId, Token, envelope, hello,
};

use crate::{MEASURED, PATIENCE, READERS, Spread, TEXT, name, now, per_second};

/// So many that the server refuses none of them for what it keeps already.
const SENDERS: usize = 40;
/// Fewer than a server keeps of all of them.
const SAVES_MAX: usize = SENDERS * SENDER_STORED_MAX * 9 / 10;
/// As the server's: more than fit a usual one may be answered at once.
#[cfg(unix)]
const SOCKET_BUFFER: usize = 4 << 20;

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it prints, to nobody who would need time to read it.
    log: PathBuf,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new(env!("CARGO_BIN_EXE_udpchat"));
        command.args(["-s", &port.to_string(), "--bind", "127.0.0.1", "--data"]).arg(folder);
        let log = folder.with_extension("log");
        command.stdin(Stdio::piped()).stdout(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), address, log }
    }

    /// Of its process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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
pub(crate) struct Client {
    socket: UdpSocket,
    cookie: Cookie,
    sessions: Vec<SessionId>,
    /// By number: whoever measures has no time to write them.
    readers: Vec<Name>,
    buffer: [u8; 2_048],
}

impl Client {
    pub(crate) fn register(address: SocketAddr, name: &str) -> Self {
        let mut client = Self::reach(address);
        client.add(name);
        client
    }

    /// Waits until the server answers.
    pub(crate) fn reach(address: SocketAddr) -> Self {
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
            let register = Packet::Register {
                name,
                token: Token(7),
                registration: 1,
                nonce: Nonce(1),
                cookie,
            };
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
            if let Packet::Table { session, table, to: version, .. } = packet {
                self.send(&Packet::TableAck { session, table, version }, b"");
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
pub(crate) fn saves(server: &Server, outstanding: usize) -> (f64, usize) {
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

/// What a ping takes in microseconds, while `busy` holds, or a hundred times.
pub(crate) fn median_ping(client: &mut Client, busy: &AtomicBool) -> f64 {
    let ping = Packet::Ping { session: client.sessions[0] };
    let mut times: Vec<f64> = Vec::new();
    while times.len() < 100 || busy.load(Ordering::Relaxed) {
        let begin = now();
        client.send(&ping, b"");
        while !matches!(client.receive(), Some(Packet::Pong { .. }) | None) {}
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        thread::park_timeout(Duration::from_millis(2));
    }
    Spread::of(times).median
}
