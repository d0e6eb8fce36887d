//! Guests: clients of the original's dialect, and what the server sends them by itself.
//!
//! What must be acknowledged goes out from the second socket, because an original client
//! acknowledges everything but its server's texts (docs/original.md, "Second socket"). An
//! acknowledgement names nothing, so only one thing is ever on its way. A guest that never
//! acknowledged anything may be a forged address or behind a NAT: it earns little.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::original::hash;
use super::timing::{LEASE, RESEND_MIN};
use super::{Account, Change, Event, GoneReason, Original, Server, Timer};
use crate::machine::{Identity, Socket, Transmit};
use crate::original::{self, Repeats};
use crate::plant::Plant;
use crate::protocol::{MessageId, Name, PacketKind};
use crate::time::{Now, Time};

/// Between two questions whether a guest is still there.
const PING: Duration = Duration::from_secs(5);

/// A guest that never acknowledged anything is away when it has not spoken for so long: no NAT
/// keeps its place longer.
const UNPROVEN_LEASE: Duration = Duration::from_secs(300);

/// Before a guest's table is sent again: nobody acknowledges tables.
const TABLE_REPEAT: Duration = Duration::from_secs(1);

/// Transmissions of each state of a guest's table. One that is the same is not shown again.
const TABLE_COPIES: u32 = 3;

/// Between two tables of a guest at least, however fast the table changes and whatever is asked.
const TABLE_PAUSE: Duration = Duration::from_millis(250);

/// Transmissions of a stored message from the second socket before a guest counts as away.
const SECOND_ATTEMPTS: u32 = 5;

/// Questions to a guest that never acknowledged anything before its messages go out from the main
/// socket.
const PROVE_ATTEMPTS: u32 = 3;

/// Transmissions from the main socket. They are not acknowledged, so each that arrives is shown.
const MAIN_ATTEMPTS: u32 = 3;

/// How long a request for stored messages is good for transmissions from the main socket.
const MAIL_WANTED: Duration = Duration::from_secs(10);

/// After so long no acknowledgement of an earlier datagram is on its way any more.
const QUIET: Duration = Duration::from_secs(1);

/// Between two tables for addresses that share a slot, and slots: a fixed cost, however many
/// addresses are forged.
const UNPROVEN_TABLE_PAUSE: Duration = Duration::from_secs(1);
const TABLE_SLOTS: usize = 1_024;

/// How long an original repeats a request.
const REPEATED_FOR: Duration = Duration::from_secs(2);

/// Guests that are remembered as having left, so that copies of their last request are answered.
const LEFT_MAX: usize = 64;

/// What the server knows of a guest beyond its session.
#[derive(Debug, Default)]
pub(super) struct Guest {
    /// It has acknowledged something on the second socket: it is where it says.
    proven: bool,
    /// It may be sent a table: one for each of its datagrams, until it is proven.
    may_have_table: bool,
    table_sent_at: Option<Time>,
    mail_wanted_at: Option<Time>,
    letter: Option<OnItsWay>,
    /// Acknowledgements that may still come of what was sent from the second socket before.
    owed: u32,
    second_sent_at: Time,
    pub(super) repeats: Repeats,
}

/// The stored message on its way.
#[derive(Clone, Copy, Debug)]
struct OnItsWay {
    id: MessageId,
    attempts: u32,
    next_at: Time,
    /// It was itself sent from the second socket, not only a question.
    sent: bool,
}

/// What an address may cost that nobody has proven to be where it says.
#[derive(Debug)]
pub(super) struct Doorstep {
    /// When one of the addresses that share a slot was sent a table.
    tables: Vec<Option<Time>>,
    /// Who has left, the last ones, until something is asked about them.
    left: VecDeque<(SocketAddr, Name, Option<Time>)>,
}

impl Doorstep {
    pub(super) fn new() -> Self {
        Self { tables: vec![None; TABLE_SLOTS], left: VecDeque::new() }
    }

    fn may_have_table(&mut self, now: Time, addr: SocketAddr) -> bool {
        let slot = usize::try_from(hash(&addr.ip()) % TABLE_SLOTS as u64).unwrap_or(0);
        let free = self.tables[slot].is_none_or(|at| at + UNPROVEN_TABLE_PAUSE <= now);
        if free {
            self.tables[slot] = Some(now);
        }
        free
    }

    pub(super) fn leaves(&mut self, addr: SocketAddr, name: &Name) {
        self.left.retain(|(other, ..)| *other != addr);
        self.left.push_back((addr, name.clone(), None));
        if self.left.len() > LEFT_MAX {
            self.left.pop_front();
        }
    }

    /// Whether this is the deregistration that ended this guest's session, or a copy of it.
    pub(super) fn has_just_left(&mut self, now: Time, addr: SocketAddr, name: &Name) -> bool {
        let mut left = self.left.iter_mut();
        let Some((_, _, since)) = left.find(|(a, n, _)| *a == addr && n == name) else {
            return false;
        };
        let since = *since.get_or_insert(now);
        now < since + REPEATED_FOR
    }
}

impl Guest {
    /// A datagram of its has come.
    pub(super) const fn has_spoken(&mut self) {
        self.may_have_table = true;
    }

    pub(super) const fn asks_for_mail(&mut self, now: Time) {
        self.mail_wanted_at = Some(now);
    }

    fn sends_on_second(&mut self, now: Time) {
        self.owed += 1;
        self.second_sent_at = now;
    }
}

impl<P: Plant> Server<P> {
    /// A guest has its name.
    pub(super) fn welcome_guest(&mut self, now: Now, name: &Name, addr: SocketAddr) {
        self.send_to_guest(Socket::Main, addr, PacketKind::Registered, original::ack());
        self.take_in_guest(now, name, addr, false);
    }

    /// A guest has its name, perhaps from an earlier life of this server.
    pub(super) fn take_in_guest(&mut self, now: Now, name: &Name, addr: SocketAddr, proven: bool) {
        self.guests.insert(addr, name.clone());
        if let Some(session) = self.sessions.get_mut(name) {
            session.guest = Some(Guest { proven, may_have_table: true, ..Guest::default() });
        }
        self.timers.set(Timer::Lease(name.clone()), now.time);
    }

    /// The guests that an earlier life of this server knew: they will not register again.
    pub(super) fn restore_guests(&mut self) {
        if !self.config.original {
            return;
        }
        let guests: Vec<(Name, Original)> = self
            .record
            .accounts
            .iter()
            .filter_map(|(name, account)| account.original.map(|known| (name.clone(), known)))
            .collect();
        for (name, known) in guests {
            self.restore_guest(&name, known);
            let (addr, back, original) = (known.addr, true, true);
            self.journal.event_durably(Event::Registered { name, addr, back, original });
        }
    }

    /// Asks a guest whether it is there, with what it acknowledges and does not show.
    pub(super) fn ping_guest(&mut self, now: Now, name: &Name) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let addr = session.addr;
        let Some(guest) = &mut session.guest else { return };
        if guest.letter.is_some_and(|letter| letter.sent) {
            return; // That is the question, and its acknowledgement must not be this one's.
        }
        guest.sends_on_second(now.time);
        let bytes = original::text(original::UNSEEN);
        self.send_to_guest(Socket::Second, addr, PacketKind::Probe, bytes);
    }

    /// Something that was sent from the second socket has arrived.
    pub(super) fn guest_acked(&mut self, now: Now, from: SocketAddr) {
        let Some(name) = self.guest_at(now, from) else { return };
        let Some(session) = self.sessions.get_mut(&name) else { return };
        let nonce = session.probe_nonce();
        let Some(guest) = &mut session.guest else { return };
        guest.owed = guest.owed.saturating_sub(1);
        let newly_proven = !std::mem::replace(&mut guest.proven, true);
        let letter = guest.letter.take();
        if let Some(nonce) = nonce {
            self.probe_answered(&name, nonce);
        }
        if newly_proven {
            self.timers.set(Timer::Table(name.clone()), now.time + TABLE_REPEAT);
            if let Some(account) = self.record.accounts.get(&name) {
                let original = Some(Original { addr: from, proven: true });
                let account = Account { original, ..*account };
                self.change(Change::Registered { name: name.clone(), account });
            }
        }
        if let Some(letter) = letter.filter(|letter| letter.sent) {
            return self.shown(now, &name, letter.id);
        }
        self.hand_over(now, &name);
    }

    /// Whether a question to this client can be answered: a guest behind a NAT never hears one.
    pub(super) fn can_be_asked(&self, name: &Name) -> bool {
        let guest = self.sessions.get(name).and_then(|session| session.guest.as_ref());
        guest.is_none_or(|guest| guest.proven)
    }

    /// Renews a guest's lease by asking.
    pub(super) fn check_guest_lease(&mut self, now: Now, name: &Name) {
        let Some(session) = self.sessions.get(name) else { return };
        let Some(guest) = &session.guest else { return };
        let lease = if guest.proven { LEASE } else { UNPROVEN_LEASE };
        if session.heard + lease <= now.time {
            return self.end_session(now, name, GoneReason::LeaseExpired);
        }
        self.ping_guest(now, name);
        self.timers.set(Timer::Lease(name.clone()), now.time + PING);
    }

    /// Sends a guest the whole table, or as much of it as it can receive, a few times.
    pub(super) fn sync_guest_table(&mut self, now: Now, name: &Name) {
        let latest = self.table.latest();
        let Some(session) = self.sessions.get_mut(name) else { return };
        let addr = session.addr;
        let Some(guest) = &mut session.guest else { return };
        let may_have_table = std::mem::replace(&mut guest.may_have_table, false);
        let earned = guest.proven || may_have_table && self.doorstep.may_have_table(now.time, addr);
        if !earned {
            return;
        }
        if let Some(sent_at) = guest.table_sent_at
            && now.time < sent_at + TABLE_PAUSE
        {
            guest.may_have_table = true;
            return self.timers.set(Timer::Table(name.clone()), sent_at + TABLE_PAUSE);
        }
        guest.table_sent_at = Some(now.time);
        if session.next_table_copy(latest) < TABLE_COPIES {
            self.timers.set(Timer::Table(name.clone()), now.time + TABLE_REPEAT);
        }
        let table = original::table(name, self.table.entries());
        self.send_to_guest(Socket::Main, addr, PacketKind::Table, table);
    }

    /// Sends a guest its first stored message, again if it is due.
    pub(super) fn hand_over_to_guest(&mut self, now: Now, name: &Name) {
        let letters = self.record.mailboxes.get(name);
        let Some(letter) = letters.and_then(|letters| letters.front()) else { return };
        let Some(session) = self.sessions.get_mut(name) else { return };
        let addr = session.addr;
        let Some(guest) = &mut session.guest else { return };
        if self.undurable.contains_key(&letter.id) {
            return;
        }
        let quiet_at = guest.second_sent_at + QUIET;
        if guest.letter.is_none() && guest.owed > 0 && now.time < quiet_at {
            // An acknowledgement of something earlier would be taken for this one's.
            return self.timers.set(Timer::Mail(name.clone()), quiet_at);
        }
        let id = letter.id;
        let fresh = OnItsWay { id, attempts: 0, next_at: now.time, sent: false };
        let way = guest.letter.get_or_insert(fresh);
        if way.next_at > now.time {
            return;
        }
        way.attempts += 1;
        way.next_at = now.time + RESEND_MIN;
        let (attempt, next_at) = (way.attempts, way.next_at);
        let wanted = guest.mail_wanted_at.is_some_and(|at| now.time < at + MAIL_WANTED);
        let line = stored_line(letter);
        let (socket, text) = if guest.proven {
            if attempt > SECOND_ATTEMPTS {
                return self.end_session(now, name, GoneReason::Silent);
            }
            if !std::mem::replace(&mut way.sent, true) {
                guest.owed = 0;
            }
            guest.sends_on_second(now.time);
            (Socket::Second, line)
        } else if attempt <= PROVE_ATTEMPTS {
            self.timers.set(Timer::Mail(name.clone()), next_at);
            return self.ping_guest(now, name);
        } else if !wanted {
            guest.letter = None;
            return;
        } else if attempt <= PROVE_ATTEMPTS + MAIN_ATTEMPTS {
            (Socket::Main, format!("[You have messages]\n>>> {line}\n"))
        } else {
            guest.letter = None;
            return self.shown(now, name, id);
        };
        let identity = Identity { kind: PacketKind::Deliver, message: Some(id), attempt };
        let bytes = original::text(&text);
        self.journal.transmit(Transmit { socket, to: addr, bytes, identity });
        self.timers.set(Timer::Mail(name.clone()), next_at);
    }
}

/// A stored message as the original writes it, `alice: <2026-01-02 13:45:41> text`, in UTC.
fn stored_line(letter: &super::Letter) -> String {
    let stamp = letter.stored_at.to_string().replace('T', " ").replace('Z', "");
    let text = String::from_utf8_lossy(&letter.body);
    original::printable(&format!("{}: <{stamp}> {text}", letter.from))
}
