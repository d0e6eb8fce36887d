//! The client's edge towards the original's dialect: peers that speak it, and servers.
//!
//! Translates packets into their datagrams and back, so that the rest of the client knows one
//! protocol. Weaker promises, because the dialect has no ids and acknowledges "whatever you sent
//! last": docs/protocol.md, "The original's dialect".

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::context::Context;
use super::session::Dialect;
use crate::machine::{Identity, Path, Socket, Transmit};
use crate::mutation::Mutations;
use crate::original::{self, Owed, Repeats};
use crate::protocol::limits::{NAMES_MAX, ORIGINAL_DATAGRAM_MAX, TEXT_MAX};
use crate::protocol::{
    MessageId, Name, Nonce, NotSaved, Packet, Refusal, SessionId, StoreId, StreamId, TableEntry,
    TableId, ToClient,
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
const NONCE: Nonce = Nonce(1);

/// What the client knows of those who speak the dialect.
#[derive(Debug, Default)]
pub(super) struct Originals {
    /// The server, if it does.
    server: Option<OriginalServer>,
    peers: BTreeMap<SocketAddr, OriginalPeer>,
    /// What an original server's words come to, as our server would put it.
    loopback: VecDeque<ToClient>,
}

/// How far the client is with an original server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Whether a registration is being asked for.
    pub(super) is_joining: bool,
    /// Whether its end is being asked for.
    pub(super) is_leaving: bool,
    /// Whether the name was granted before.
    pub(super) ever_registered: bool,
    /// Where the client stands with the table.
    pub(super) table: (TableId, u64),
}

/// A message that an original server had stored.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) from: Name,
    pub(super) stored_at: WallTime,
    pub(super) id: MessageId,
    pub(super) text: String,
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

/// What a peer is asked, and acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedPeer {
    Message(MessageId),
    Knock(Nonce),
}

impl Originals {
    /// What the server speaks, as far as is known.
    pub(super) const fn dialect(&self) -> Dialect {
        if self.server.is_some() { Dialect::Original } else { Dialect::Own }
    }

    /// The server speaks our protocol (after all), or is another one, of which it is not known yet
    /// what it speaks.
    pub(super) fn forget_server(&mut self) {
        self.server = None;
    }

    /// What an original server's words come to, one after the other.
    pub(super) fn poll_packet(&mut self) -> Option<ToClient> {
        self.loopback.pop_front()
    }

    /// Forgets the peers of whom this says that they are no originals in the table (any more):
    /// whoever comes and goes from port after port is not to fill the memory. Half a table does
    /// not tell who is gone.
    pub(super) fn forget_absent(
        &mut self,
        table_is_whole: bool,
        is_there: impl Fn(SocketAddr) -> bool,
    ) {
        if table_is_whole || self.peers.len() > NAMES_MAX {
            self.peers.retain(|addr, _| is_there(*addr));
        }
    }

    fn peer<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        addr: SocketAddr,
    ) -> &mut OriginalPeer {
        self.peers.entry(addr).or_insert_with(|| OriginalPeer {
            asked: None,
            owed: Owed::default(),
            repeats: Repeats::default(),
            last: MessageId { stream: StreamId(context.draw()), seq: 0 },
        })
    }

    /// A packet for a peer in its dialect, if it can be said now.
    pub(super) fn for_peer<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: Path,
        packet: &Packet,
        body: &str,
        attempt: u32,
    ) -> Option<Transmit> {
        let now = context.time();
        let bytes = match packet {
            Packet::Message { from, stream, seq, .. } => {
                let id = MessageId { stream: *stream, seq: *seq };
                let peer = self.peer(context, to.remote);
                if peer.asked != Some(AskedPeer::Message(id)) {
                    if now < peer.owed.quiet_at() {
                        // The next ACK may be for something earlier. Another attempt comes.
                        return None;
                    }
                    peer.owed.start();
                    peer.asked = Some(AskedPeer::Message(id));
                }
                peer.owed.sent(now);
                original::text(&format!("{from}: {}", original::printable(body)))
            }
            Packet::Knock { nonce } => {
                let peer = self.peer(context, to.remote);
                peer.owed.sent(now);
                peer.asked = Some(AskedPeer::Knock(*nonce));
                original::text(original::UNSEEN)
            }
            Packet::Ack { .. } | Packet::KnockAnswer { .. } => original::ack(),
            _ => return None,
        };
        Some(transmit(to, packet, attempt, bytes))
    }

    /// A peer acknowledges: what it was asked last, if anything.
    pub(super) fn peer_acked<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        from: SocketAddr,
    ) -> Option<AskedPeer> {
        let peer = self.peer(context, from);
        peer.owed.acked();
        peer.asked.take()
    }

    /// A peer says something: a message, with a name of its own that its copies share. What is
    /// none is acknowledged.
    pub(super) fn peer_says<'a, M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        (path, name): (Path, &Name),
        text: &'a str,
        bytes: &[u8],
    ) -> Option<(MessageId, &'a str)> {
        let Some((claimed, text)) = text.split_once(": ") else {
            // What an original would acknowledge and not show, so do we: it is a knock.
            let packet = Packet::KnockAnswer { nonce: Nonce::default() };
            context.transmit(transmit(path, &packet, 1, original::ack()));
            return None;
        };
        // Too long is as good as unheard: its sender turns to the server, which says so.
        if claimed.parse().as_ref() != Ok(name) || text.len() > TEXT_MAX {
            return None;
        }
        let now = context.time();
        let peer = self.peer(context, path.remote);
        if !peer.repeats.note_repeat(now, bytes) {
            peer.last.seq += 1;
        }
        Some((peer.last, text))
    }

    /// What asks an original server for what a packet asks of ours, if it can be asked now.
    pub(super) fn for_server<M: Mutations>(
        &mut self,
        context: &Context<M>,
        to: SocketAddr,
        (packet, body, attempt): (&Packet, &str, u32),
        is_listed: impl Fn(&Name) -> bool,
    ) -> Option<Transmit> {
        let now = context.time();
        let server = self.server.as_mut()?;
        let (asked, text) = match server.translate(context, packet, body, is_listed) {
            Translation::Ask(asked, text) => (asked, text),
            Translation::Answer(packet) => {
                self.loopback.push_back(packet);
                return None;
            }
            Translation::Nothing => return None,
        };
        let busy = |(other, at): (Asked, Time)| other != asked && now - at < PATIENCE;
        if server.asked.is_some_and(busy) {
            return None; // It would not be known what the ACK is for. The next attempt comes.
        }
        let by_effect = matches!(asked, Asked::Register | Asked::Deregister);
        let again = server.asked.is_some_and(|(known, _)| known == asked);
        if !by_effect && !again {
            if now < server.owed.quiet_at() {
                return None; // The same.
            }
            server.owed.start();
        }
        server.owed.sent(now);
        server.asked = Some((asked, now));
        Some(transmit(to.into(), packet, attempt, original::text(&text)))
    }

    /// Somebody acknowledges a hello. Ours answers with a challenge, this is all the original has.
    pub(super) fn hello_acked<M: Mutations>(&mut self, context: &mut Context<M>, hellos: u32) {
        let stream = StreamId(context.draw());
        let server = self.server.get_or_insert_with(|| OriginalServer {
            asked: None,
            owed: Owed::default(),
            fruitless: 0,
            confirmed_at: None,
            fetch_due: true,
            last_answer: None,
            next: MessageId { stream, seq: 1 },
        });
        (1..hellos).for_each(|_| server.owed.sent(context.time()));
    }

    pub(super) fn server_acked<M: Mutations>(&mut self, context: &Context<M>) {
        let Some(server) = &mut self.server else { return };
        server.owed.acked();
        match server.asked.take().map(|(asked, _)| asked) {
            Some(Asked::Register) => {
                server.fruitless += 1;
                if server.fruitless >= FRUITLESS_MAX {
                    server.fruitless = 0;
                    self.loopback.push_back(refused(context));
                }
            }
            Some(Asked::Fetch) => {
                server.fetch_due = false;
                self.loopback.push_back(ToClient::Pong { session: SESSION });
            }
            Some(Asked::Deregister) => {
                self.loopback.push_back(ToClient::Deregistered { session: SESSION });
            }
            Some(Asked::Save(MessageId { stream, seq })) => {
                // It will not say when it has handed the message over: that is all there is.
                self.loopback.push_back(ToClient::Saved {
                    store: STORE,
                    messages: vec![MessageId { stream, seq }],
                });
                self.loopback.push_back(ToClient::HandedOver { stream, seq });
            }
            None => {}
        }
    }

    /// The table is the only proof of a registration: a duplicate is acknowledged, too.
    pub(super) fn table<M: Mutations>(
        &mut self,
        context: &Context<M>,
        progress: Progress,
        entries: Vec<TableEntry>,
    ) {
        let Some(server) = &mut self.server else { return };
        let Progress { is_joining, is_leaving, ever_registered, table: (table, at) } = progress;
        // To the original, names that differ in case are two.
        let name = context.config().name.as_str();
        let own = entries.iter().find(|entry| entry.name.as_str() == name);
        match own.and_then(|entry| entry.addr) {
            Some(addr) if addr.port() == context.config().port => {
                server.confirmed_at = Some(context.time());
                server.fruitless = 0;
                if is_joining {
                    server.fetch_due = true;
                    let (registration, nonce) = (context.record().registrations, NONCE);
                    let (session, store, back) = (SESSION, STORE, ever_registered);
                    let packet = ToClient::Registered { registration, nonce, session, store, back };
                    self.loopback.push_back(packet);
                } else if server.asked.is_some_and(|(asked, _)| asked == Asked::Register) {
                    self.loopback.push_back(ToClient::Pong { session: SESSION });
                }
            }
            Some(_) if is_joining => return self.loopback.push_back(refused(context)),
            _ if is_leaving => self.loopback.push_back(ToClient::Deregistered { session: SESSION }),
            // Somebody has deregistered us, or the server has forgotten us.
            _ if !is_joining => self.loopback.push_back(ToClient::Unknown { session: SESSION }),
            _ => return,
        }
        let from = if table == TABLE { at } else { 0 };
        let (to, latest) = (from + 1, from + 1);
        let (session, table) = (SESSION, TABLE);
        self.loopback.push_back(ToClient::Table { session, table, from, to, latest, entries });
    }

    /// The answer to a fetch, all stored messages in one text: what of it is new.
    pub(super) fn fetched(&mut self, now: Time, text: String) -> Vec<Fetched> {
        let Some(server) = &mut self.server else { return Vec::new() };
        server.fetch_due = false;
        let known = |(last, at): &(String, Time)| *last == text && now - *at < SAME_ANSWER;
        if server.last_answer.as_ref().is_some_and(known) {
            return Vec::new();
        }
        let fetched = text.lines().filter_map(|line| {
            let (from, stored_at, text) = stored_line(line)?;
            let id = server.next;
            server.next.seq += 1;
            Some(Fetched { from, stored_at, id, text: text.to_owned() })
        });
        let fetched = fetched.collect();
        server.last_answer = Some((text, now));
        fetched
    }

    /// Panics if something does not hold that must between two inputs.
    pub(super) fn check_invariants(&self) {
        assert!(self.loopback.is_empty(), "words of an original server that nobody has handled");
    }
}

/// What a packet to our server is to an original one.
enum Translation {
    /// A request.
    Ask(Asked, String),
    /// Nothing that it need be asked: this would be ours' answer.
    Answer(ToClient),
    Nothing,
}

impl OriginalServer {
    fn translate<M: Mutations>(
        &self,
        context: &Context<M>,
        packet: &Packet,
        body: &str,
        is_listed: impl Fn(&Name) -> bool,
    ) -> Translation {
        let (now, name) = (context.time(), &context.config().name);
        let sure = self.confirmed_at.is_some_and(|at| now - at < SURE_FOR);
        let stale = self.confirmed_at.is_none_or(|at| now - at >= REFRESH);
        let register = || Translation::Ask(Asked::Register, format!("[REQUEST:REG] {name}"));
        match packet {
            Packet::Register { .. } => register(),
            Packet::Ping { .. } if self.fetch_due && sure => {
                Translation::Ask(Asked::Fetch, format!("[REQUEST:GETSAVE] {name}"))
            }
            Packet::Ping { .. } if self.fetch_due || stale => register(),
            Packet::Ping { session } => Translation::Answer(ToClient::Pong { session: *session }),
            Packet::Deregister { .. } if sure => {
                Translation::Ask(Asked::Deregister, format!("[REQUEST:DEREG] {name}"))
            }
            Packet::Deregister { .. } => register(),
            Packet::Save { to, stream, seq, .. } if !is_listed(to) => {
                let (stream, seq, reason) = (*stream, *seq, NotSaved::UnknownName);
                Translation::Answer(ToClient::NotSaved { stream, seq, reason })
            }
            Packet::Save { to, stream, seq, .. } => {
                let id = MessageId { stream: *stream, seq: *seq };
                let text = original::printable(body);
                Translation::Ask(Asked::Save(id), format!("[REQUEST:SAVE] {name} {to} {text}"))
            }
            _ => Translation::Nothing,
        }
    }
}

fn refused<M: Mutations>(context: &Context<M>) -> ToClient {
    let (registration, reason) = (context.record().registrations, Refusal::NameInUse);
    ToClient::Refused { registration, nonce: NONCE, reason }
}

fn transmit(to: Path, packet: &Packet, attempt: u32, bytes: Vec<u8>) -> Transmit {
    let identity = Identity { kind: packet.kind(), message: packet.message(), attempt };
    let Path { remote: to, local: source } = to;
    Transmit { socket: Socket::Main, source, to, bytes, identity }
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
    use crate::client::directory::Part;
    use crate::client::{Client, ClientConfig, ClientRecord};
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
                client.table_part(Part { table: TABLE, from, to, latest, entries });
                if let Some(addr) = addr {
                    let text = original::text("guest: hello");
                    client.handle_original(addr.into(), &text);
                }
                assert_eq!(client.originals.peers.len(), usize::from(addr.is_some()));
            }
        }
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }
}
