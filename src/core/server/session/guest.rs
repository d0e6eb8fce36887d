//! A guest: a client of the original's dialect, as far as its session goes.
//!
//! Weaker promises, because the dialect has no ids and acknowledges "whatever you sent last":
//! docs/protocol.md, "The original's dialect". What must be acknowledged is sent from the second
//! socket, because an original client acknowledges everything but its server's texts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::context::{Context, Timer};
use super::super::guest_stream::{GUEST_STREAM_DRAWN, streams};
use super::super::next::Next;
use super::super::table::Table;
use super::super::timing::GUEST_RETRY;
use super::super::{GoneReason, StoredMessage};
use super::Client;
use crate::machine::{Identity, Path, Socket, Transmit};
use crate::mutation::Mutations;
use crate::original::{self, Owed, Repeats};
use crate::protocol::limits::NAMES_MAX;
use crate::protocol::{Name, PacketKind, Refusal, StreamId, StreamKey};
use crate::time::Time;

/// Between two questions whether a guest is still there.
const GUEST_PING: Duration = Duration::from_secs(5);

/// The same when an answer is missing: 20 more questions before the lease ends, for a guest that is
/// wrongly taken for gone does not come back by itself. At 30 % loss both ways a live one misses
/// all of them less than once in a million times.
const GUEST_PING_RETRY: Duration = Duration::from_millis(500);

/// Before a guest's table is sent again: nobody acknowledges tables.
const TABLE_REPEAT: Duration = Duration::from_secs(1);

/// Transmissions of each state of a guest's table. One that is the same is not shown again.
const TABLE_COPIES: u32 = 3;

/// Between two tables to one address at least, however fast the table changes and whatever is
/// asked.
const TABLE_PAUSE: Duration = Duration::from_millis(250);

/// Transmissions of a stored message from the second socket before giving up. At 30 % loss both
/// ways a live guest misses all of them twice in a million times.
const SECOND_ATTEMPTS: u32 = 20;

/// What the server knows of a guest.
#[derive(Debug, Default)]
pub(in crate::server) struct Guest {
    /// Whether it has acknowledged anything on the second socket in this life of the server: it is
    /// there, and its address is its own. Until then it gets questions, and nothing else.
    is_proven: bool,
    /// What its next `ACK` on the second socket may be for.
    owed: Owed,
    /// The message on its way to it: one, for an acknowledgement names none.
    message: Option<OnItsWay>,
    repeats: Repeats,
    /// It has been handed messages since it last asked for them.
    had_mail: bool,
    /// Its last message was not stored.
    refused: bool,
    table: Copies,
}

/// How often it was sent one state of the table, which nobody acknowledges.
#[derive(Debug, Default)]
struct Copies {
    version: u64,
    sent: u32,
}

#[derive(Clone, Debug)]
struct OnItsWay {
    key: StreamKey,
    seq: u64,
    attempts: u32,
    next_at: Time,
}

/// What a guest's request to store a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Saving {
    New,
    /// Of a message that is stored.
    Again,
    /// Of one that was refused.
    RefusedAgain,
}

/// When tables were sent to guests: what limits them must outlive the guests, who come and go as
/// they please.
#[derive(Debug, Default)]
pub(in crate::server) struct GuestTables {
    sent_at: BTreeMap<SocketAddr, Time>,
}

impl GuestTables {
    /// Until when no other one may be sent there.
    fn quiet_until(&self, to: SocketAddr) -> Option<Time> {
        self.sent_at.get(&to).map(|at| *at + TABLE_PAUSE)
    }

    /// Whether another one may be sent there now: then it is.
    fn admits(&mut self, to: SocketAddr, now: Time) -> bool {
        if self.sent_at.len() >= NAMES_MAX {
            self.sent_at.retain(|_, at| now < *at + TABLE_PAUSE);
        }
        let admits = self.sent_at.len() < NAMES_MAX;
        if admits {
            self.sent_at.insert(to, now);
        }
        admits
    }
}

impl Copies {
    fn are_of(&self, version: u64) -> bool {
        self.version == version && self.sent > 0
    }

    /// Counts another one.
    fn next(&mut self, version: u64) -> u32 {
        if self.version != version {
            *self = Self { version, sent: 0 };
        }
        self.sent += 1;
        self.sent
    }
}

impl Guest {
    /// One that has shown that it is where it says. What it was asked for that may be acknowledged
    /// once more.
    pub(super) fn proven(owed: Owed) -> Self {
        Self { is_proven: true, owed, ..Self::default() }
    }

    pub(in crate::server) const fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// What its next `ACK` may be for.
    pub(in crate::server) const fn owed(&self) -> Owed {
        self.owed
    }

    /// Whether a message is on its way that it will acknowledge.
    const fn is_asked(&self) -> bool {
        self.message.is_some()
    }

    /// Whether a question would tell anything: a message on its way is one already.
    pub(super) const fn can_be_asked(&self) -> bool {
        self.is_proven && !self.is_asked()
    }

    /// Until its lease is looked at first.
    pub(super) const fn first_look(&self) -> Duration {
        if self.is_proven { GUEST_PING } else { Duration::ZERO }
    }

    /// Renews its lease by asking. When to look again.
    pub(super) fn renew_lease<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        client: &Client,
        heard: Time,
    ) -> Time {
        // Often while an answer is missing.
        let answers = self.is_proven && cx.now() < heard + GUEST_PING;
        let pause = if answers { GUEST_PING } else { GUEST_PING_RETRY };
        // Stored messages wait until every question is answered, and are questions themselves.
        if !self.is_proven || !self.is_asked() && cx.record().mailbox(&client.name).is_none() {
            self.ping(cx, client);
        }
        cx.now() + pause
    }

    /// Asks whether it is there, with what it acknowledges and does not show. While a message is on
    /// its way, that one is the question.
    pub(super) fn ping<M: Mutations>(&mut self, cx: &mut Context<M>, client: &Client) {
        if self.is_asked() {
            return;
        }
        self.owed.sent(cx.now());
        ask(cx, client.path);
    }

    /// Sends it the whole table, or as much of it as it can receive, a few times.
    pub(super) fn sync_table<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        table: &Table,
        limits: &mut GuestTables,
        client: &Client,
    ) {
        if !self.is_proven {
            return;
        }
        let (now, to) = (cx.now(), client.path.remote);
        let timer = Timer::Table(client.name.clone());
        if let Some(quiet_until) = limits.quiet_until(to).filter(|until| now < *until) {
            // If it was sent this one, its repetition is due already.
            if !self.table.are_of(table.latest()) {
                cx.timers.set(timer, quiet_until);
            }
            return;
        }
        if !limits.admits(to, now) {
            return cx.timers.set(timer, now + TABLE_REPEAT);
        }
        if self.table.next(table.latest()) < TABLE_COPIES {
            cx.timers.set(timer, now + TABLE_REPEAT);
        }
        let bytes = original::table(&client.name, table.entries());
        send(cx, Socket::Main, client.path, PacketKind::Table, bytes);
    }

    /// Whatever was sent last from the second socket has arrived: this message, if it was one.
    pub(super) fn acked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        table: &Table,
        limits: &mut GuestTables,
        client: &Client,
    ) -> Option<(StreamKey, u64)> {
        self.owed.acked();
        let is_news = !std::mem::replace(&mut self.is_proven, true);
        let message = self.message.take();
        self.had_mail |= message.is_some();
        if is_news {
            cx.timers.set(Timer::Lease(client.name.clone()), cx.now() + GUEST_PING);
            self.sync_table(cx, table, limits, client);
        }
        message.map(|message| (message.key, message.seq))
    }

    /// Sends it its first stored message, again if it is due. What begins with the message of this
    /// number is not durable yet.
    pub(super) fn hand_over<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        client: &Client,
        first_undurable: u64,
    ) -> Option<Next> {
        if !self.is_proven {
            return None;
        }
        let now = cx.now();
        let message = cx.record().mailbox(&client.name)?.front()?;
        if message.number >= first_undurable {
            return None;
        }
        let (key, id) = (message.key(), message.id);
        let text = String::from_utf8_lossy(&message.body);
        let stamp = message.stored_at.to_string().replace('T', " ").replace('Z', "");
        let line = original::printable(&format!("{}: <{stamp}> {text}", message.from));
        let timer = Timer::Mail(client.name.clone());
        if self.message.is_none() && now < self.owed.quiet_at() {
            cx.timers.set(timer, self.owed.quiet_at());
            return None;
        }
        if self.message.is_none() {
            self.owed.start();
        }
        let start = OnItsWay { key: key.clone(), seq: id.seq, attempts: 0, next_at: now };
        let way = self.message.get_or_insert(start);
        if way.next_at > now {
            return None;
        }
        way.attempts += 1;
        way.next_at = now + GUEST_RETRY;
        cx.timers.set(timer, way.next_at);
        let attempt = way.attempts;
        if attempt > SECOND_ATTEMPTS {
            let (name, reason) = (client.name.clone(), GoneReason::Silent);
            return Some(Next::End { name, reason });
        }
        self.owed.sent(now);
        let (socket, bytes) = (Socket::Second, original::text(&line));
        let Path { remote: to, local: source } = client.path;
        let identity = Identity { kind: PacketKind::Deliver, message: Some(id), attempt };
        // At once, for the message is durable.
        cx.transmit_now(Transmit { socket, source, to, bytes, identity });
        None
    }

    /// It asks for what is kept, and there is nothing. Whether it would be surprised to read that:
    /// it has just been handed some.
    pub(in crate::server) const fn had_mail(&mut self) -> bool {
        std::mem::replace(&mut self.had_mail, false)
    }

    /// It asks for a message to be stored.
    pub(in crate::server) fn saves(&mut self, now: Time, bytes: &[u8]) -> Saving {
        let is_repeat = self.repeats.note_repeat(now, bytes);
        if is_repeat && self.refused {
            return Saving::RefusedAgain;
        }
        self.refused = false;
        if is_repeat { Saving::Again } else { Saving::New }
    }

    /// Its message was not stored.
    pub(in crate::server) const fn refused(&mut self) {
        self.refused = true;
    }
}

impl Guest {
    /// The message on its way is the first of the mailbox, and durable. The timers that it waits
    /// for; those for the table and after an answer fall due once, whatever has become of it.
    pub(super) fn check_invariants<M: Mutations>(
        &self,
        cx: &Context<M>,
        client: &Client,
        first_undurable: u64,
    ) -> Vec<Timer> {
        let (table, mail) = (Timer::Table(client.name.clone()), Timer::Mail(client.name.clone()));
        if let Some(OnItsWay { key, seq, .. }) = &self.message {
            let first = cx.record().mailbox(&client.name).and_then(|messages| messages.front());
            let is_it = |message: &&StoredMessage| message.key() == *key && message.id.seq == *seq;
            let first = first.filter(is_it).map(|message| message.number);
            assert!(first.is_some_and(|number| number < first_undurable), "{key:?} {seq}");
            assert!(cx.timers.is_set(&mail), "what is on its way is not sent again");
        }
        [table, mail].into_iter().filter(|timer| cx.timers.is_set(timer)).collect()
    }
}

/// What whoever wants a name is told instead of getting it.
pub(super) fn refusal(name: &Name, reason: Refusal) -> String {
    match reason {
        Refusal::NameInUse => format!("[Username {name} already in use.]\n"),
        Refusal::ServerFull => "[The server takes no new names.]\n".to_owned(),
        Refusal::TooManyNames { minutes } => {
            format!("[Too many new names from your address; try again in {minutes} minutes.]\n")
        }
        Refusal::DiskFull => "[The server's disk is full.]\n".to_owned(),
    }
}

/// Asks whoever is there to say so, with what an original client acknowledges and does not show.
pub(in crate::server) fn ask<M: Mutations>(cx: &mut Context<M>, to: Path) {
    let bytes = original::text(original::UNSEEN);
    send(cx, Socket::Second, to, PacketKind::Probe, bytes);
}

/// Sends a datagram once everything recorded so far is durable.
pub(in crate::server) fn send<M: Mutations>(
    cx: &mut Context<M>,
    socket: Socket,
    to: Path,
    kind: PacketKind,
    bytes: Vec<u8>,
) {
    let Path { remote: to, local: source } = to;
    let identity = Identity { kind, message: None, attempt: 1 };
    cx.transmit(Transmit { socket, source, to, bytes, identity });
}

pub(in crate::server) fn acknowledge<M: Mutations>(
    cx: &mut Context<M>,
    to: Path,
    kind: PacketKind,
) {
    send(cx, Socket::Main, to, kind, original::ack());
}

pub(in crate::server) fn tell<M: Mutations>(
    cx: &mut Context<M>,
    to: Path,
    kind: PacketKind,
    text: &str,
) {
    send(cx, Socket::Main, to, kind, original::text(text));
}

/// A guest's stream to a reader. One that was forgotten is not begun again, for its reader knows
/// places of it: half of the id says whose it is and for whom, the rest is drawn.
pub(in crate::server) fn stream_to<M: Mutations>(
    cx: &mut Context<M>,
    from: &Name,
    to: &Name,
) -> StreamKey {
    let ids = streams(cx.record().store, from, to);
    let StreamId(first) = *ids.start();
    let known = cx.record().stream_among(from, ids).cloned();
    known.unwrap_or_else(|| {
        let stream = StreamId(first | (cx.draw() & GUEST_STREAM_DRAWN));
        StreamKey { from: from.clone(), stream }
    })
}
