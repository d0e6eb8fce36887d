//! The client's edge towards the original's dialect: peers that speak it, and servers.
//!
//! Translates packets into their datagrams and back, so that the rest of the client knows one
//! protocol. Weaker promises, because the dialect has no ids and acknowledges "whatever you sent
//! last": docs/protocol.md, "The original's dialect".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::inbox::Source;
use super::roster::Roster;
use super::session::Phase;
use super::{Client, Now};
use crate::machine::{Identity, Path, Socket, Transmit};
use crate::original::{self, Owed, Repeats, Word};
use crate::plant::Plant;
use crate::protocol::limits::{NAMES_MAX, ORIGINAL_DATAGRAM_MAX, TEXT_MAX};
use crate::protocol::{
    Cookie, MessageId, Name, Nonce, NotSaved, Packet, Refusal, SessionId, StoreId, StreamId,
    TableEntry, TableId,
};
use crate::time::{Time, WallTime};

/// How long an unanswered request keeps others back: the original's four transmissions.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two registrations for no other reason than to notice that the server was restarted,
/// or that a table was lost.
const REFRESH: Duration = Duration::from_secs(30);

/// How fresh a table with the own name must be to ask for what kills a server without that name.
const SURE_FOR: Duration = Duration::from_secs(2);

/// Acknowledged registrations without a table that shows the own name: somebody else has it.
const FRUITLESS_MAX: u32 = 4;

/// Copies of one answer are shown once within this time.
const SAME_ANSWER: Duration = Duration::from_secs(10);

/// There are no such things in this dialect; one of each will do.
const SESSION: SessionId = SessionId(1);
const STORE: StoreId = StoreId(1);
const TABLE: TableId = TableId(1);

/// What the client knows of those who speak the dialect.
#[derive(Debug, Default)]
pub(super) struct Originals {
    /// The server, if it does.
    server: Option<OriginalServer>,
    peers: BTreeMap<SocketAddr, OriginalPeer>,
}

#[derive(Debug)]
struct OriginalServer {
    /// What its next `ACK` is for.
    asked: Option<(Asked, Time)>,
    owed: Owed,
    /// Acknowledged registrations that no table confirmed.
    fruitless: u32,
    /// When a table last showed the own name.
    confirmed_at: Option<Time>,
    /// Stored messages may wait.
    fetch_due: bool,
    last_answer: Option<(String, Time)>,
    /// Names for the messages that it hands over.
    next: MessageId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Register,
    Fetch,
    Deregister,
    Save(MessageId),
}

#[derive(Debug)]
struct OriginalPeer {
    /// What its next `ACK` is for.
    asked: Option<AskedPeer>,
    owed: Owed,
    repeats: Repeats,
    /// A name for the last message that it sent.
    last: MessageId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedPeer {
    Message(MessageId),
    Knock(Nonce),
}

impl Originals {
    /// Whether the server speaks the dialect.
    pub(super) const fn is_at_server(&self) -> bool {
        self.server.is_some()
    }

    /// Forgets the peers that are in the table no more: whoever comes and goes from port after
    /// port is not to fill the memory. Half a table does not tell who is gone.
    pub(super) fn forget_absent(&mut self, roster: &Roster) {
        if roster.is_whole() || self.peers.len() > NAMES_MAX {
            self.peers.retain(|addr, _| roster.at(*addr).is_some_and(|entry| entry.original));
        }
    }
}

impl<P: Plant> Client<P> {
    /// Whether messages to a recipient go one by one, for its `ACK` names none.
    pub(super) fn goes_one_by_one(&self, to: &Name) -> bool {
        self.originals.server.is_some() || self.roster.get(to).is_some_and(|entry| entry.original)
    }

    pub(super) fn server_is_original(&self) -> bool {
        self.originals.is_at_server()
    }

    /// The server speaks our protocol (after all).
    pub(super) fn server_is_ours(&mut self) {
        self.originals.server = None;
    }

    /// The server is another one, of which it is not known yet what it speaks.
    pub(super) fn forget_dialect(&mut self) {
        self.originals.server = None;
    }

    pub(super) fn handle_original(&mut self, now: Now, path: Path, bytes: &[u8]) {
        let from = path.remote;
        let Some(word) = original::decode(bytes) else {
            self.invalid_datagrams += 1;
            return self.heard_nonsense(now, from);
        };
        let is_asked = self.hellos_to(from) > 0;
        if is_asked || from == self.whereabouts.server() {
            match word {
                Word::Ack if is_asked => self.original_hello_acked(now, from),
                // Our hello, most likely: whoever is there says everything again.
                Word::Text(_) if !self.server_is_original() => self.heard_nonsense(now, from),
                _ if from != self.whereabouts.server() => {}
                Word::Ack => self.original_server_acked(),
                Word::Table(rows) => self.original_table(now, rows),
                Word::Text(text) => self.original_answer(now, text),
            }
        } else if let Some(peer) = self.roster.at(from).filter(|entry| entry.original) {
            let name = peer.name.clone();
            match word {
                Word::Ack => self.original_peer_acked(now, from),
                Word::Text(text) => self.original_message(now, path, &name, &text, bytes),
                Word::Table(_) => {} // Only a server knows who is where.
            }
        }
    }

    fn transmit_original(&mut self, to: Path, packet: &Packet, attempt: u32, bytes: Vec<u8>) {
        let identity = Identity { kind: packet.kind(), message: packet.message(), attempt };
        let Path { remote: to, local: source } = to;
        self.journal.transmit_durably(Transmit {
            socket: Socket::Main,
            source,
            to,
            bytes,
            identity,
        });
    }

    fn peer(&mut self, addr: SocketAddr) -> &mut OriginalPeer {
        let entropy = &mut self.entropy;
        self.originals.peers.entry(addr).or_insert_with(|| OriginalPeer {
            asked: None,
            owed: Owed::default(),
            repeats: Repeats::default(),
            last: MessageId { stream: StreamId(entropy.draw()), seq: 0 },
        })
    }

    /// Sends a packet to a peer in its dialect.
    pub(super) fn send_to_original_peer(
        &mut self,
        to: Path,
        packet: &Packet,
        body: &[u8],
        attempt: u32,
    ) {
        let now = self.now.time;
        let bytes = match packet {
            Packet::Message { from, stream, seq, .. } => {
                let id = MessageId { stream: *stream, seq: *seq };
                let peer = self.peer(to.remote);
                if peer.asked != Some(AskedPeer::Message(id)) {
                    if now < peer.owed.quiet_at() {
                        return; // The next ACK may be for something earlier. Another attempt comes.
                    }
                    peer.owed.start();
                    peer.asked = Some(AskedPeer::Message(id));
                }
                peer.owed.sent(now);
                let text = original::printable(&String::from_utf8_lossy(body));
                original::text(&format!("{from}: {text}"))
            }
            Packet::Knock { nonce } => {
                let peer = self.peer(to.remote);
                peer.owed.sent(now);
                peer.asked = Some(AskedPeer::Knock(*nonce));
                original::text(original::UNSEEN)
            }
            Packet::Ack { .. } | Packet::KnockAnswer { .. } => original::ack(),
            _ => return,
        };
        self.transmit_original(to, packet, attempt, bytes);
    }

    fn original_peer_acked(&mut self, now: Now, from: SocketAddr) {
        let peer = self.peer(from);
        peer.owed.acked();
        match peer.asked.take() {
            Some(AskedPeer::Message(id)) => self.acknowledged(now, from, id),
            Some(AskedPeer::Knock(nonce)) => self.knock_answered(now, from, nonce),
            None => {}
        }
    }

    fn original_message(&mut self, now: Now, path: Path, name: &Name, text: &str, bytes: &[u8]) {
        let Some((claimed, text)) = text.split_once(": ") else {
            // What an original would acknowledge and not show, so do we: it is a knock.
            let packet = Packet::KnockAnswer { nonce: Nonce::default() };
            return self.transmit_original(path, &packet, 1, original::ack());
        };
        if claimed.parse().as_ref() != Ok(name) {
            return;
        }
        if text.len() > TEXT_MAX {
            return; // Unheard, so its sender turns to the server, which says why it is too long.
        }
        let peer = self.peer(path.remote);
        if !peer.repeats.is_repeat(now.time, bytes) {
            peer.last.seq += 1;
        }
        let id = peer.last;
        self.message(Source::Peer(path), name, id, id.seq, (text.as_bytes(), None));
    }

    /// Asks an original server for what a packet asks of ours.
    pub(super) fn ask_original_server(&mut self, packet: &Packet, body: &[u8], attempt: u32) {
        let now = self.now.time;
        let Some(server) = &self.originals.server else { return };
        let name = &self.config.name;
        let sure = server.confirmed_at.is_some_and(|at| now - at < SURE_FOR);
        let stale = server.confirmed_at.is_none_or(|at| now - at >= REFRESH);
        let register = || (Asked::Register, format!("[REQUEST:REG] {name}"));
        let (asked, text) = match packet {
            Packet::Register { .. } => register(),
            Packet::Ping { .. } if server.fetch_due && sure => {
                (Asked::Fetch, format!("[REQUEST:GETSAVE] {name}"))
            }
            Packet::Ping { .. } if server.fetch_due || stale => register(),
            Packet::Ping { session } => {
                return self.loopback.push_back(Packet::Pong { session: *session });
            }
            Packet::Deregister { .. } if sure => {
                (Asked::Deregister, format!("[REQUEST:DEREG] {name}"))
            }
            Packet::Deregister { .. } => register(),
            Packet::Save { to, stream, seq, .. } if self.roster.get(to).is_none() => {
                let (stream, seq, reason) = (*stream, *seq, NotSaved::UnknownName);
                return self.loopback.push_back(Packet::NotSaved { stream, seq, reason });
            }
            Packet::Save { to, stream, seq, .. } => {
                let id = MessageId { stream: *stream, seq: *seq };
                let text = original::printable(&String::from_utf8_lossy(body));
                (Asked::Save(id), format!("[REQUEST:SAVE] {name} {to} {text}"))
            }
            _ => return,
        };
        let busy = |(other, at): (Asked, Time)| other != asked && now - at < PATIENCE;
        if server.asked.is_some_and(busy) {
            return; // It would not be known what the ACK is for. The next attempt comes.
        }
        let by_effect = matches!(asked, Asked::Register | Asked::Deregister);
        let again = server.asked.is_some_and(|(known, _)| known == asked);
        if !by_effect && !again && now < server.owed.quiet_at() {
            return; // The same.
        }
        let (to, bytes) = (self.whereabouts.server().into(), original::text(&text));
        if let Some(server) = &mut self.originals.server {
            if !by_effect && !again {
                server.owed.start();
            }
            server.owed.sent(now);
            server.asked = Some((asked, now));
        }
        self.transmit_original(to, packet, attempt, bytes);
    }

    /// Ours answers a hello with a challenge. An acknowledgement is all the original has.
    fn original_hello_acked(&mut self, now: Now, from: SocketAddr) {
        let hellos = self.hellos_to(from);
        self.settle_on(from);
        let stream = StreamId(self.entropy.draw());
        let server = self.originals.server.get_or_insert_with(|| OriginalServer {
            asked: None,
            owed: Owed::default(),
            fruitless: 0,
            confirmed_at: None,
            fetch_due: true,
            last_answer: None,
            next: MessageId { stream, seq: 1 },
        });
        (1..hellos).for_each(|_| server.owed.sent(now.time));
        self.hello_answered(now, from, Cookie::default());
    }

    fn original_server_acked(&mut self) {
        let Some(server) = &mut self.originals.server else { return };
        server.owed.acked();
        match server.asked.take().map(|(asked, _)| asked) {
            Some(Asked::Register) => {
                server.fruitless += 1;
                if server.fruitless >= FRUITLESS_MAX {
                    server.fruitless = 0;
                    self.refused_by_original();
                }
            }
            Some(Asked::Fetch) => {
                server.fetch_due = false;
                self.loopback.push_back(Packet::Pong { session: SESSION });
            }
            Some(Asked::Deregister) => {
                self.loopback.push_back(Packet::Deregistered { session: SESSION });
            }
            Some(Asked::Save(MessageId { stream, seq })) => {
                // It will not say when it has handed the message over: that is all there is.
                self.loopback.push_back(Packet::Saved {
                    store: STORE,
                    messages: vec![MessageId { stream, seq }],
                });
                self.loopback.push_back(Packet::HandedOver { stream, seq });
            }
            None => {}
        }
    }

    fn refused_by_original(&mut self) {
        let (registration, reason) = (self.record.registrations, Refusal::NameInUse);
        self.loopback.push_back(Packet::Refused { registration, reason });
    }

    /// The table is the only proof of a registration: a duplicate is acknowledged, too.
    fn original_table(&mut self, now: Now, entries: Vec<TableEntry>) {
        let Some(server) = &mut self.originals.server else { return };
        // To the original, names that differ in case are two.
        let name = self.config.name.as_str();
        let own = entries.iter().find(|entry| entry.name.as_str() == name);
        let own_addr = own.and_then(|entry| entry.addr);
        let joining =
            matches!(self.session.phase, Phase::Joining { .. } | Phase::Withdrawing { .. });
        match own_addr {
            Some(addr) if addr.port() == self.config.port => {
                server.confirmed_at = Some(now.time);
                server.fruitless = 0;
                if joining {
                    server.fetch_due = true;
                    let registration = self.record.registrations;
                    let back = self.session.ever_registered;
                    let (session, store) = (SESSION, STORE);
                    let packet = Packet::Registered { registration, session, store, back };
                    self.loopback.push_back(packet);
                } else if server.asked.is_some_and(|(asked, _)| asked == Asked::Register) {
                    self.loopback.push_back(Packet::Pong { session: SESSION });
                }
            }
            Some(_) if joining => return self.refused_by_original(),
            _ if matches!(self.session.phase, Phase::Leaving { .. }) => {
                self.loopback.push_back(Packet::Deregistered { session: SESSION });
            }
            // Somebody has deregistered us, or the server has forgotten us.
            _ if !joining => self.loopback.push_back(Packet::Unknown { session: SESSION }),
            _ => return,
        }
        let (table, at) = self.roster.position();
        let from = if table == TABLE { at } else { 0 };
        let (to, latest) = (from + 1, from + 1);
        let (session, table) = (SESSION, TABLE);
        self.loopback.push_back(Packet::Table { session, table, from, to, latest, entries });
    }

    /// The answer to a fetch: all stored messages in one text.
    fn original_answer(&mut self, now: Now, text: String) {
        let Some(server) = &mut self.originals.server else { return };
        server.fetch_due = false;
        let known = |(last, at): &(String, Time)| *last == text && now.time - *at < SAME_ANSWER;
        if server.last_answer.as_ref().is_some_and(known) {
            return;
        }
        for line in text.lines() {
            let Some((from, stored_at, text)) = stored_line(line) else { continue };
            let Some(server) = &mut self.originals.server else { return };
            let id = server.next;
            server.next.seq += 1;
            self.message(Source::Server(stored_at), &from, id, id.seq, (text.as_bytes(), None));
        }
        if let Some(server) = &mut self.originals.server {
            server.last_answer = Some((text, now.time));
        }
    }
}

/// Reads `>>> alice: <2026-01-02 13:45:41> text`. The original's stamps have no zone; they are
/// taken for UTC.
fn stored_line(line: &str) -> Option<(Name, WallTime, &str)> {
    let (name, rest) = line.strip_prefix(">>> ")?.split_once(": <")?;
    let (stamp, text) = rest.split_once("> ")?;
    if text.len() > ORIGINAL_DATAGRAM_MAX {
        return None; // No original server can have received it.
    }
    let time = humantime::parse_rfc3339_weak(stamp).ok()?;
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    let unix_ms = u64::try_from(since_epoch.as_millis()).ok()?;
    Some((name.parse().ok()?, WallTime::from_unix_ms(unix_ms), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::roster::Part;
    use crate::client::{ClientConfig, ClientRecord};
    use crate::machine::Entropy;
    use crate::protocol::Token;

    #[test]
    fn stored_lines_are_read() {
        let line = ">>> alice: <2026-01-02 13:45:41> offline: one> two";
        let (name, stored_at, text) = stored_line(line).unwrap();
        assert_eq!((name.as_str(), text), ("alice", "offline: one> two"));
        assert_eq!(stored_at.to_string(), "2026-01-02T13:45:41Z");
        for other in ["[You have messages]", "[No new messages]", ">>> a: <x> y", ""] {
            assert_eq!(stored_line(other), None);
        }
        let head = line.strip_suffix(text).unwrap();
        let line = |length| format!("{head}{}", "x".repeat(length));
        assert!(stored_line(&line(ORIGINAL_DATAGRAM_MAX)).is_some());
        assert_eq!(stored_line(&line(ORIGINAL_DATAGRAM_MAX + 1)), None);
    }

    #[test]
    fn peers_that_are_gone_are_forgotten() {
        let config = ClientConfig::new("bob".parse().unwrap(), at(9_000), 5_000);
        let record = ClientRecord::new(config.name.clone(), Token(1));
        let mut client = Client::new(config, record, Entropy::new(|| 1));
        for n in 1..=100_u16 {
            let addr = at(10_000 + n);
            let comes = [(u64::from(2 * n - 2), Some(addr)), (u64::from(2 * n - 1), None)];
            for (from, addr) in comes {
                let name = "guest".parse().unwrap();
                let entries = vec![TableEntry { name, addr, original: true }];
                let (to, latest) = (from + 1, from + 1);
                client.table_part(Now::default(), Part { table: TABLE, from, to, latest, entries });
                if let Some(addr) = addr {
                    let text = original::text("guest: hello");
                    client.handle_original(Now::default(), addr.into(), &text);
                }
                assert_eq!(client.originals.peers.len(), usize::from(addr.is_some()));
            }
        }
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }
}
