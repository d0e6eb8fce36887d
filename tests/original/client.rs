//! A double of the original program's client, faults included (docs/original.md).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};
use udpchat_core::time::{Now, Time};

use crate::json;
use crate::server::{RECEIVE_MAX, SEND_MAX};
use crate::world::Foreign;

/// Between two transmissions.
const PAUSE: Duration = Duration::from_millis(500);

/// Transmissions of everything.
const TRANSMISSIONS: u32 = 4;

/// Where a client was told that its server is.
pub(crate) struct ServerArgument {
    /// The word on the command line, which is compared with the source of datagrams.
    pub(crate) host: String,
    /// What it resolves to.
    pub(crate) addr: SocketAddr,
}

/// The original's client.
pub(crate) struct OriginalClient {
    name: String,
    server: ServerArgument,
    /// What it believes its own address to be before the first table.
    guess: SocketAddr,
    table: Map<String, Value>,
    /// The thread that receives has ended: nothing is heard or shown again.
    deaf: bool,
    /// The thread that reads commands has ended, and the socket is closed.
    closed: bool,
    typed: VecDeque<String>,
    request: Option<Request>,
    screen: String,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// The one thing that waits for an `ACK`.
struct Request {
    to: SocketAddr,
    bytes: Vec<u8>,
    sent: u32,
    due: Time,
    then: Then,
}

/// What a request was for.
enum Then {
    Register { known: bool },
    Fetch,
    Deregister,
    Direct { to: String, text: String },
    SaveUnheard,
    SaveOffline,
}

/// An exception.
#[derive(Clone, Copy)]
struct Raised;

impl OriginalClient {
    /// Starts it: it registers at once.
    pub(crate) fn start(now: Now, name: &str, server: ServerArgument, guess: SocketAddr) -> Self {
        let mut client = Self {
            name: name.to_owned(),
            server,
            guess,
            table: Map::new(),
            deaf: false,
            closed: false,
            typed: VecDeque::new(),
            request: None,
            screen: String::new(),
            out: VecDeque::new(),
        };
        client.register(now);
        client
    }

    /// The user types a line. It is read when nothing is outstanding.
    pub(crate) fn types(&mut self, now: Now, line: &str) {
        self.typed.push_back(line.to_owned());
        if self.request.is_none() {
            self.read(now);
        }
    }

    /// All that was printed, prompts included.
    pub(crate) fn screen(&self) -> &str {
        &self.screen
    }

    /// How many lines of the screen are exactly this.
    pub(crate) fn lines(&self, line: &str) -> usize {
        self.screen.lines().filter(|shown| *shown == line).count()
    }

    /// Whether it still receives.
    pub(crate) fn is_listening(&self) -> bool {
        !self.deaf
    }

    /// Whether its user can still type.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed
    }

    /// What its table says of a name: whether it is online.
    pub(crate) fn status(&self, name: &str) -> Option<bool> {
        self.table.get(name)?.get("status")?.as_bool()
    }

    /// How many names its table has.
    pub(crate) fn names(&self) -> usize {
        self.table.len()
    }

    /// Prints what `textLine` makes of a text.
    fn print(&mut self, text: &str) {
        self.screen.push_str("\n>>> ");
        self.screen.push_str(text);
    }

    fn println(&mut self, text: &str) {
        self.print(text);
        self.screen.push('\n');
    }

    fn prompt(&mut self) {
        let prompt = format!("{}: ", self.name);
        self.print(&prompt);
    }

    fn register(&mut self, now: Now) {
        let known = self.table.contains_key(&self.name);
        if !known {
            let (ip, port) = (self.guess.ip().to_string(), self.guess.port());
            let guess = json!({"IP": ip, "port": port, "status": true});
            self.table.insert(self.name.clone(), guess);
        }
        let text = format!("[REQUEST:REG] {}", self.name);
        self.request(now, self.server.addr, &text, Then::Register { known });
    }

    fn request(&mut self, now: Now, to: SocketAddr, text: &str, then: Then) {
        let bytes = json::datagram(text);
        if bytes.len() > SEND_MAX {
            self.close();
            return;
        }
        self.out.push_back((to, bytes.clone()));
        self.request = Some(Request { to, bytes, sent: 1, due: now.time + PAUSE, then });
    }

    fn save(&mut self, now: Now, to: &str, text: &str, then: Then) {
        let request = format!("[REQUEST:SAVE] {} {to} {text}", self.name);
        self.request(now, self.server.addr, &request, then);
    }

    /// Reads lines until one has to be waited for, or there is none.
    fn read(&mut self, now: Now) {
        while self.request.is_none() && !self.closed {
            let Some(line) = self.typed.pop_front() else { return };
            if self.obey(now, &line).is_err() {
                self.close();
            } else if line == "ctrl + c" {
                self.closed = true;
                self.deaf = true;
            } else if self.request.is_none() && !self.closed {
                self.prompt();
            }
        }
    }

    fn close(&mut self) {
        self.screen.push_str("\nCLIENT CLOSING...\n");
        self.closed = true;
        self.deaf = true;
    }

    fn obey(&mut self, now: Now, line: &str) -> Result<(), Raised> {
        let words: Vec<&str> = line.split(' ').collect();
        let second = words.get(1).copied().ok_or(Raised);
        match words[0] {
            "send" => self.send(now, second?, &words[2..].join(" ")),
            "reg" if second? == self.name => {
                self.register(now);
                Ok(())
            }
            "reg" => {
                self.println(&format!("[Cannot register {}]", second?));
                Ok(())
            }
            "dereg" if second? == self.name => {
                let text = format!("[REQUEST:DEREG] {}", self.name);
                self.request(now, self.server.addr, &text, Then::Deregister);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send(&mut self, now: Now, to: &str, text: &str) -> Result<(), Raised> {
        let entry = |name: &str| self.table.get(name).cloned();
        let own = entry(&self.name).ok_or(Raised)?;
        if !own.get("status").ok_or(Raised)?.as_bool().unwrap_or(true) {
            self.println("[Can't send message, you are offline.]");
            return Ok(());
        }
        let Some(other) = entry(to) else {
            self.println(&format!("[{to} not in local table]"));
            return Ok(());
        };
        if other.get("status").ok_or(Raised)? != &Value::Bool(true) {
            self.screen.push_str(&format!("[Client {to} is offline, message sent to server.]\n"));
            self.save(now, to, text, Then::SaveOffline);
            return Ok(());
        }
        let addr = if to == "server" { Some(self.server.addr) } else { address(&other) };
        let then = Then::Direct { to: to.to_owned(), text: text.to_owned() };
        self.request(now, addr.ok_or(Raised)?, &format!("{}: {text}", self.name), then);
        Ok(())
    }

    /// A request has been acknowledged, or given up.
    fn settled(&mut self, now: Now, acknowledged: bool) {
        let Some(request) = self.request.take() else { return };
        match request.then {
            Then::Register { known: true } if acknowledged => {
                let text = format!("[REQUEST:GETSAVE] {}", self.name);
                self.request(now, self.server.addr, &text, Then::Fetch);
            }
            Then::Register { .. } if acknowledged => {
                self.println("[Welcome, you are now registered.]");
            }
            Then::Fetch => self.println(&format!("[Welcome back, {}.]", self.name)),
            Then::Deregister if acknowledged => self.println("[You are Offline. Bye.]"),
            Then::Direct { to, text } if !acknowledged => {
                self.println(&format!("[No ACK from {to}, message sent to server.]"));
                self.save(now, &to, &text, Then::SaveUnheard);
            }
            Then::SaveOffline if acknowledged => {
                self.print("[Messages received by the server and saved]\n>>> ");
            }
            Then::Direct { .. } | Then::SaveUnheard => {}
            Then::Register { .. } | Then::Deregister | Then::SaveOffline => {
                self.println("[Server not responding]");
                self.println("[Exiting]");
            }
        }
        if self.request.is_none() && !self.closed {
            self.prompt();
            self.read(now);
        }
    }

    fn is_server(&self, from: SocketAddr) -> bool {
        from.ip().to_string() == self.server.host && from.port() == self.server.addr.port()
    }

    fn hear(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) -> Result<(), Raised> {
        let value = json::loads(bytes).ok_or(Raised)?;
        let message = value.as_object().and_then(|object| object.get("message")).ok_or(Raised)?;
        match message {
            Value::Null => Ok(()),
            Value::String(text) if text == "ACK" => {
                let result = if self.is_server(from) { Ok(()) } else { self.thank(from) };
                self.settled(now, true);
                result
            }
            Value::Object(table) => {
                if *table != self.table {
                    self.print("[Client table updated.]");
                    self.prompt();
                    self.table = table.clone();
                }
                Ok(())
            }
            _ => self.show(from, message.as_str()),
        }
    }

    fn thank(&mut self, from: SocketAddr) -> Result<(), Raised> {
        let mut by = "None";
        for (name, entry) in &self.table {
            let ip = entry.get("IP").ok_or(Raised)?;
            let same_ip = ip.as_str() == Some(&from.ip().to_string());
            if same_ip && entry.get("port").ok_or(Raised)?.as_u64() == Some(from.port().into()) {
                by = name;
            }
        }
        let line = format!("[Messsage received by {by}]");
        self.print(&line);
        Ok(())
    }

    fn show(&mut self, from: SocketAddr, text: Option<&str>) -> Result<(), Raised> {
        if !self.is_server(from) {
            self.out.push_back((from, json::datagram("ACK")));
        }
        let text = text.ok_or(Raised)?;
        if text.split(' ').next() == Some("[REQUEST:SAVE]") {
            return Ok(());
        }
        if json::has_half_a_pair(text) {
            return Err(Raised);
        }
        self.print(text);
        self.prompt();
        Ok(())
    }
}

fn address(entry: &Value) -> Option<SocketAddr> {
    let ip = entry.get("IP")?.as_str()?.parse().ok()?;
    let port = u16::try_from(entry.get("port")?.as_u64()?).ok()?;
    Some(SocketAddr::new(ip, port))
}

impl Foreign for OriginalClient {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        let cut = &bytes[..bytes.len().min(RECEIVE_MAX)];
        if !self.deaf && self.hear(now, from, cut).is_err() {
            self.deaf = true;
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let Some(request) = self.request.as_mut().filter(|request| request.due <= now.time) else {
            return;
        };
        if request.sent < TRANSMISSIONS {
            request.sent += 1;
            request.due = now.time + PAUSE;
            self.out.push_back((request.to, request.bytes.clone()));
        } else {
            self.settled(now, false);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.request.as_ref().map(|request| request.due)
    }

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }
}
