//! Ours together with the original program, which is played here as docs/original.md describes
//! it: what it sends, what it acknowledges, what it prints and when it gives up.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{DEADLINE, client, now, registered, server, texts};
#[cfg(target_os = "linux")]
use crate::common::{Process, free_port, server_with};

/// The original's: between two transmissions, and how many there are.
const RETRY: Duration = Duration::from_millis(500);
const TRANSMISSIONS: usize = 4;

/// What the original's `recvfrom` takes; it dies of anything longer.
const DATAGRAM_MAX: usize = 4_096;

fn said(message: impl Into<Value>) -> Vec<u8> {
    format!("{{\"message\": {}}}", message.into()).into_bytes()
}

/// What an original program finds in a datagram. It dies where this panics.
fn understood(bytes: &[u8]) -> Value {
    assert!(bytes.len() <= DATAGRAM_MAX, "{} bytes", bytes.len());
    let value: Value = serde_json::from_slice(bytes).expect("an original understands only JSON");
    value.get("message").expect("an original looks for a message").clone()
}

enum Heard {
    Ack,
    Table(Value),
    Text(String),
}

/// An original client.
struct Original {
    name: &'static str,
    socket: UdpSocket,
    server: SocketAddr,
    heard: Receiver<Heard>,
    table: Value,
    printed: Vec<String>,
}

impl Original {
    fn start(name: &'static str, server_port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], server_port));
        let listener = socket.try_clone().unwrap();
        let (sender, heard) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            loop {
                let (length, from) = listener.recv_from(&mut buffer).unwrap();
                let heard = match understood(&buffer[..length]) {
                    Value::String(text) if text == "ACK" => Heard::Ack,
                    Value::String(text) => {
                        if from != server {
                            listener.send_to(&said("ACK"), from).unwrap();
                        }
                        Heard::Text(text)
                    }
                    Value::Null => continue,
                    table => {
                        assert!(table[name]["port"].is_u64(), "no entry of its own: {table}");
                        Heard::Table(table)
                    }
                };
                if sender.send(heard).is_err() {
                    break;
                }
            }
        });
        Self { name, socket, server, heard, table: Value::Null, printed: Vec::new() }
    }

    /// Sends until there is any `ACK`.
    fn ask(&mut self, to: SocketAddr, message: &str) {
        for _ in 0..TRANSMISSIONS {
            self.socket.send_to(&said(message), to).unwrap();
            if self.listen(RETRY, |_, acked| acked.then_some(())).is_some() {
                return;
            }
        }
        panic!("nobody acknowledges {message:?}");
    }

    fn request(&mut self, request: &str) {
        self.ask(self.server, &format!("[REQUEST:{request}"));
    }

    /// Says something directly, as its table says where.
    fn tell(&mut self, to: &str, text: &str) {
        let entry = &self.table[to];
        let addr = format!("{}:{}", entry["IP"].as_str().unwrap(), entry["port"]);
        self.ask(addr.parse().unwrap(), &format!("{}: {text}", self.name));
    }

    /// Waits until its table says so.
    fn sees(&mut self, name: &str, online: bool) {
        let seen =
            self.listen(DEADLINE, |own, _| (own.table[name]["status"] == online).then_some(()));
        assert!(seen.is_some(), "{name} is not {online} in {}", self.table);
    }

    /// Waits until it has printed something that ends so.
    fn prints(&mut self, end: &str) {
        let ends_so = |text: &String| text.trim_end().ends_with(end);
        let printed =
            self.listen(DEADLINE, |own, _| own.printed.iter().find(|t| ends_so(t)).map(|_| ()));
        assert!(printed.is_some(), "{end:?} is not in {:#?}", self.printed);
    }

    /// Listens until there is a result, at most so long. `check` is told whether an `ACK` came.
    fn listen<T>(
        &mut self,
        limit: Duration,
        check: impl Fn(&Self, bool) -> Option<T>,
    ) -> Option<T> {
        let end = now() + limit;
        let mut acked = false;
        loop {
            if let Some(result) = check(self, acked) {
                return Some(result);
            }
            acked = false;
            match self.heard.recv_timeout(end.saturating_duration_since(now())) {
                Ok(Heard::Ack) => acked = true,
                Ok(Heard::Table(table)) => self.table = table,
                // An unseen one is acknowledged and not printed.
                Ok(Heard::Text(text)) if text.starts_with("[REQUEST:SAVE]") => {}
                Ok(Heard::Text(text)) => self.printed.push(text),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => panic!("{} has died", self.name),
            }
        }
    }

    /// How often it has printed something that ends so.
    fn count(&self, end: &str) -> usize {
        self.printed.iter().filter(|text| text.trim_end().ends_with(end)).count()
    }
}

#[test]
fn an_original_client_is_at_home_at_our_server() {
    let (_server, port) = server();
    let mut alice = registered("alice", port);
    let mut olga = Original::start("olga", port);
    olga.request("REG] olga");
    olga.sees("alice", true);
    alice.table(&["alice", "olga"]);

    alice.say("send olga grüße, direkt");
    olga.prints("alice: grüße, direkt");
    alice.event("received");
    olga.tell("alice", "hello  alice");
    let message = alice.event("message");
    assert_eq!((&message["from"], &message["text"]), (&json!("olga"), &json!("hello  alice")));

    olga.request("DEREG] olga");
    olga.sees("olga", false);
    alice.table(&["alice"]);
    for text in ["stored one", "stored two"] {
        alice.say(&format!("send olga {text}"));
        alice.event("saved");
    }
    olga.request("REG] olga");
    olga.request("GETSAVE] olga");
    olga.prints("stored two");
    alice.table(&["alice", "olga"]);

    alice.say("dereg alice");
    olga.sees("alice", false);
    olga.request("SAVE] olga alice kept for alice");
    alice.say("reg alice");
    let message = alice.event("message");
    assert_eq!((&message["from"], &message["text"]), (&json!("olga"), &json!("kept for alice")));
    assert!(message["stored_at"].is_string());

    alice.end_input();
    assert_eq!(texts(&alice.ends_with(0)), ["hello  alice", "kept for alice"]);
    olga.sees("alice", false);
    for text in ["grüße, direkt", "stored one", "stored two"] {
        assert_eq!(olga.count(text), 1, "{text:?} in {:#?}", olga.printed);
    }
}

/// An original server.
struct OriginalServer {
    clients: BTreeMap<String, (SocketAddr, bool)>,
    saved: BTreeMap<String, String>,
    socket: UdpSocket,
}

impl OriginalServer {
    /// Starts one and gives its port.
    fn start() -> u16 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut server = Self { clients: BTreeMap::new(), saved: BTreeMap::new(), socket };
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            loop {
                let (length, from) = server.socket.recv_from(&mut buffer).unwrap();
                server.socket.send_to(&said("ACK"), from).unwrap();
                let message = understood(&buffer[..length]);
                server.obey(from, message.as_str().expect("an original server takes texts only"));
            }
        });
        port
    }

    /// Dies where the original does.
    fn obey(&mut self, from: SocketAddr, message: &str) {
        let words: Vec<&str> = message.split(' ').collect();
        match words[..] {
            ["[REQUEST:REG]", name] => {
                let known = self.clients.entry(name.to_owned()).or_insert_with(|| {
                    self.saved.insert(name.to_owned(), String::new());
                    (from, true)
                });
                if known.0 == from {
                    known.1 = true;
                    self.tell_all();
                }
            }
            ["[REQUEST:DEREG]", name] => {
                self.clients.get_mut(name).expect("the original dies of unknown names").1 = false;
                self.socket.send_to(&self.table(), from).unwrap();
                self.tell_all();
            }
            ["[REQUEST:GETSAVE]", name] => {
                let kept = self.saved.get_mut(name).expect("the original dies of unknown names");
                let reply = match std::mem::take(kept) {
                    kept if kept.is_empty() => "[No new messages]\n".to_owned(),
                    kept => format!("[You have messages]\n{kept}"),
                };
                self.socket.send_to(&said(reply), from).unwrap();
            }
            ["[REQUEST:SAVE]", sender, name, ..] if words.len() >= 4 => {
                let line =
                    format!(">>> {sender}: <2026-01-02 13:45:41> {}\n", words[3..].join(" "));
                self.saved.entry(name.to_owned()).or_default().push_str(&line);
            }
            _ => {}
        }
    }

    fn table(&self) -> Vec<u8> {
        let row = |(name, (addr, online)): (&String, &(SocketAddr, bool))| {
            let (ip, port) = (addr.ip().to_string(), addr.port());
            (name.clone(), json!({"IP": ip, "port": port, "status": online}))
        };
        said(self.clients.iter().map(row).collect::<Value>())
    }

    fn tell_all(&self) {
        for (addr, _) in self.clients.values().filter(|(_, online)| *online) {
            self.socket.send_to(&self.table(), addr).unwrap();
        }
    }
}

/// One of our clients that may speak the original's dialect.
fn client_of_an_original(name: &str, port: u16) -> Process {
    let port = port.to_string();
    let client = ["-c", name, "127.0.0.1", &port, "0", "--json", "--original", "on"];
    Process::start(&client)
}

#[test]
fn a_client_says_that_an_original_server_answers_and_speaks_to_it_only_if_allowed() {
    let port = OriginalServer::start();
    let mut alice = client("alice", port);
    let told = alice.event("original_server");
    assert_eq!(told["at"], format!("127.0.0.1:{port}"));
}

#[test]
fn our_clients_are_at_home_at_an_original_server() {
    let port = OriginalServer::start();
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| client_of_an_original(name, port));
    alice.event("registered");
    bob.event("registered");
    let mut olga = Original::start("olga", port);
    olga.request("REG] olga");
    for person in [&mut alice, &mut bob] {
        person.table(&["alice", "bob", "olga"]);
    }

    alice.say("send bob among us");
    assert_eq!(bob.event("message")["text"], "among us");
    alice.event("received");
    alice.say("send olga to the other one");
    olga.prints("alice: to the other one");
    alice.event("received");
    olga.tell("bob", "from the other one");
    assert_eq!(bob.event("message")["text"], "from the other one");

    bob.say("dereg bob");
    bob.event("offline");
    alice.table(&["alice", "olga"]);
    alice.say("send bob for later");
    alice.event("saved");
    bob.say("reg bob");
    bob.event("registered");
    let message = bob.event("message");
    assert_eq!((&message["from"], &message["text"]), (&json!("alice"), &json!("for later")));
    assert_eq!(message["stored_at"], "2026-01-02T13:45:41Z");

    for mut person in [alice, bob] {
        person.end_input();
        person.ends_with(0);
    }
    olga.sees("alice", false);
    assert_eq!(olga.count("to the other one"), 1);
}

/// How many UDP ports a process has open.
#[cfg(target_os = "linux")]
fn ports(process: &Process) -> usize {
    use std::fs;
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{}/fd", process.id()))
        .unwrap()
        .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
        .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["udp", "udp6"].map(|name| fs::read_to_string(format!("/proc/net/{name}")));
    // A machine without IPv6 has no table of it.
    let lines = tables.iter().flatten().flat_map(|table| table.lines().skip(1));
    let inodes = lines.filter_map(|line| line.split_whitespace().nth(9));
    inodes.filter(|inode| sockets.iter().any(|socket| socket == inode)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_opens_a_second_port_only_for_the_original() {
    assert_eq!(ports(&server().0), 2);
    let alone = loop {
        // Only a search of another test for a free port may hold it a moment.
        if let Some(server) = server_with(free_port(), &["--original", "off"]) {
            break server;
        }
    };
    assert_eq!(ports(&alone), 1);
}
