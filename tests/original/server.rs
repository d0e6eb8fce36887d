//! A double of the original program's server, faults included (docs/original.md).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use udpchat_core::time::{Now, Time};

use crate::json;
use crate::world::Foreign;

/// What `recvfrom` cuts a datagram to.
pub(crate) const RECEIVE_MAX: usize = 4_096;

/// What a datagram can carry over IPv4.
pub(crate) const SEND_MAX: usize = 65_507;

/// The longest name that with `_saved.txt` behind it is a file name.
const NAME_BYTES_MAX: usize = 245;

/// The original's server.
#[derive(Default)]
pub(crate) struct OriginalServer {
    /// In the order of registration, as Python keeps it.
    table: Vec<(String, Entry)>,
    /// Files of stored messages, by name of user: they outlive the process.
    pub(crate) files: BTreeMap<String, String>,
    dead: bool,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

#[derive(Clone, Copy)]
struct Entry {
    addr: SocketAddr,
    online: bool,
}

/// An exception that nobody catches.
struct Raised;

impl OriginalServer {
    /// A server that starts in a folder with these files.
    pub(crate) fn new(files: BTreeMap<String, String>) -> Self {
        Self { files, ..Self::default() }
    }

    /// Whether its process runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.dead
    }

    /// Whether somebody is online, if known at all.
    pub(crate) fn status(&self, name: &str) -> Option<bool> {
        self.entry(name).map(|entry| entry.online)
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        self.table.iter().find(|(known, _)| known == name).map(|(_, entry)| *entry)
    }

    fn set(&mut self, name: &str, entry: Entry) {
        match self.table.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = entry,
            None => self.table.push((name.to_owned(), entry)),
        }
    }

    fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) -> Result<(), Raised> {
        if bytes.len() > SEND_MAX {
            return Err(Raised);
        }
        self.out.push_back((to, bytes));
        Ok(())
    }

    fn handle(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) -> Result<(), Raised> {
        self.send(from, json::datagram("ACK"))?;
        let value = json::loads(bytes).ok_or(Raised)?;
        let text = value.get("message").and_then(|message| message.as_str()).ok_or(Raised)?;
        let fields: Vec<&str> = text.split(' ').collect();
        match fields[..] {
            ["[REQUEST:REG]", name] => self.register(name, from),
            ["[REQUEST:DEREG]", name] => self.deregister(name, from),
            ["[REQUEST:GETSAVE]", name] => self.get_save(name, from),
            ["[REQUEST:SAVE]", sender, to, _, ..] => {
                self.save(now, sender, to, &fields[3..].join(" "))
            }
            _ => Ok(()),
        }
    }

    fn register(&mut self, name: &str, from: SocketAddr) -> Result<(), Raised> {
        match self.entry(name) {
            Some(entry) if entry.addr != from => return Ok(()),
            Some(_) => self.set(name, Entry { addr: from, online: true }),
            None => {
                self.set(name, Entry { addr: from, online: true });
                check_file_name(name)?;
                self.files.insert(name.to_owned(), String::new());
            }
        }
        self.broadcast()
    }

    fn deregister(&mut self, name: &str, from: SocketAddr) -> Result<(), Raised> {
        let entry = self.entry(name).ok_or(Raised)?;
        self.set(name, Entry { online: false, ..entry });
        self.send(from, self.table_datagram())?;
        self.broadcast()
    }

    fn broadcast(&mut self) -> Result<(), Raised> {
        let online = self.table.iter().filter(|(_, entry)| entry.online);
        let addrs: Vec<SocketAddr> = online.map(|(_, entry)| entry.addr).collect();
        let table = self.table_datagram();
        addrs.into_iter().try_for_each(|addr| self.send(addr, table.clone()))
    }

    fn table_datagram(&self) -> Vec<u8> {
        let rows = self.table.iter().map(|(name, Entry { addr, online })| {
            let (name, ip, port) = (json::quote(name), addr.ip(), addr.port());
            format!("{name}: {{\"IP\": \"{ip}\", \"port\": {port}, \"status\": {online}}}")
        });
        let rows: Vec<String> = rows.collect();
        format!("{{\"message\": {{{}}}}}", rows.join(", ")).into_bytes()
    }

    fn save(&mut self, now: Now, from: &str, to: &str, text: &str) -> Result<(), Raised> {
        check_file_name(to)?;
        let line = format!(">>> {from}: <{}> {text}\n", stamp(now));
        let file = self.files.entry(to.to_owned()).or_default();
        if json::has_half_a_pair(&line) {
            return Err(Raised);
        }
        file.push_str(&line);
        Ok(())
    }

    fn get_save(&mut self, name: &str, from: SocketAddr) -> Result<(), Raised> {
        let file = self.files.get_mut(name).ok_or(Raised)?;
        let stored = std::mem::take(file).replace("\r\n", "\n").replace('\r', "\n");
        let reply = if stored.is_empty() {
            "[No new messages]\n".to_owned()
        } else {
            format!("[You have messages]\n{stored}")
        };
        self.send(from, json::datagram(&reply))
    }
}

/// A name becomes part of a path in the server's folder, in which there are no folders.
fn check_file_name(name: &str) -> Result<(), Raised> {
    let usable =
        name.len() <= NAME_BYTES_MAX && !name.contains(['/', '\0']) && !json::has_half_a_pair(name);
    if usable { Ok(()) } else { Err(Raised) }
}

/// The time as the original writes it; its zone is UTC here.
pub(crate) fn stamp(now: Now) -> String {
    now.wall.to_string().replace('T', " ").replace('Z', "")
}

impl Foreign for OriginalServer {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        let cut = &bytes[..bytes.len().min(RECEIVE_MAX)];
        if self.is_alive() && self.handle(now, from, cut).is_err() {
            self.dead = true;
        }
    }

    fn handle_timeout(&mut self, _now: Now) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }
}
