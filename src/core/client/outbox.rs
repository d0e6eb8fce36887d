//! What the user sent and is not settled: directly, and over the server.
//!
//! docs/protocol.md, "Sending". The texts are in the record; here is what a restart may forget.
//! What comes of it is [`outcomes`]'. After anything that may matter to a recipient's
//! messages the client polls their queue: routes, then what is due, then what is to be said.

mod broadcast;
mod outcomes;
mod send_queue;
mod size;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::context::Context;
use super::history::{Course, HistoryEntry, SentState};
use super::session::Standing;
use super::wire::{Destination, Dispatch};
use super::{Change, DetourReason, Event, Timer, UnsentReason};
use crate::mutation::{Mutation, Mutations};
use crate::protocol::limits::{OUTBOX_MAX, WINDOW};
use crate::protocol::{GroupTag, MessageId, Name, Nonce, Packet, StreamId};
use crate::retransmission::{RTO_MAX, Tries};
use crate::time::Time;

use broadcast::Broadcasts;
pub(super) use outcomes::End;
use send_queue::{Entry, Reported, SendQueue, Stage, Unreachable};

/// The messages to everybody: exactly those that are unsettled in the record.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queues: BTreeMap<Name, SendQueue>,
    broadcasts: Broadcasts,
}

/// What is known outside of the outbox that matters to the messages to one recipient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// How the client stands with its server.
    pub(super) standing: Standing,
    /// Whether the table has the recipient.
    pub(super) is_listed: bool,
    /// Where the recipient is, if here.
    pub(super) addr: Option<SocketAddr>,
    /// Whoever is not in a whole table is nobody.
    pub(super) table_is_whole: bool,
    /// Whether messages go one by one, for an `ACK` of the original's names none.
    pub(super) goes_one_by_one: bool,
}

/// Which route the messages of a queue take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Direct(SocketAddr),
    Server(Option<DetourReason>),
    /// A table is on its way that may tell.
    Unknown,
}

impl Outlook {
    /// How many of the messages are on their way at once.
    const fn window(&self) -> usize {
        if self.goes_one_by_one { 1 } else { WINDOW }
    }

    fn route(&self, queue: &SendQueue) -> Route {
        let Some(addr) = self.addr else {
            if !self.is_listed && !self.table_is_whole {
                return Route::Unknown;
            }
            // An unknown name is the server's to refuse.
            return Route::Server(self.is_listed.then_some(DetourReason::Offline));
        };
        let is_unreachable = queue.unreachable.is_some_and(|it| it.addr == addr);
        if is_unreachable || queue.entries.values().any(Entry::is_with_server) {
            return Route::Server(Some(DetourReason::Earlier));
        }
        Route::Direct(addr)
    }
}

impl Outbox {
    /// Takes up what an earlier life of this client left.
    pub(super) fn restored<M: Mutations>(context: &Context<M>) -> Self {
        let mut outbox = Self::default();
        for (to, outgoing) in &context.record().outgoing {
            let mut entries = BTreeMap::new();
            for (seq, message) in &outgoing.unsettled {
                let group = message.group.clone();
                if let Some(group) = group.as_ref().filter(|_| !message.saved) {
                    let id = MessageId { stream: outgoing.stream, seq: *seq };
                    outbox.broadcasts.add(group, id);
                }
                let entry = match message.saved {
                    true => Entry::saved_before(group),
                    false => Entry::new(context.time(), group),
                };
                entries.insert(*seq, entry);
            }
            outbox.queues.insert(to.clone(), SendQueue::restored(entries));
        }
        outbox
    }

    /// Gives other ids to whatever waits: those that come next have been used by a later life, of
    /// which this one remembers nothing. What was said to be saved is left to the server, which
    /// hands it over whoever asks.
    pub(super) fn begin_new_streams<M: Mutations>(&mut self, context: &mut Context<M>) {
        for (to, outgoing) in context.record().outgoing.clone() {
            let (stream, next_seq) = (StreamId(context.draw()), outgoing.next_seq);
            context.change(Change::NewStream { to: to.clone(), stream, next_seq });
            for (seq, message) in outgoing.unsettled {
                if message.saved {
                    context.change(Change::Settled { to: to.clone(), seq });
                    continue;
                }
                let before = MessageId { stream: outgoing.stream, seq };
                let id = MessageId { stream, seq };
                context.rename_line(before, id);
                if message.group.is_none() {
                    let reason = UnsentReason::OldCopy;
                    context.tell(Event::Unsent { id: before, to: to.clone(), reason });
                    context.tell(Event::Sending { id, to: to.clone() });
                }
            }
        }
        *self = Self::restored(context);
    }

    /// How many messages are not settled.
    pub(super) fn len(&self) -> usize {
        self.queues.values().map(|queue| queue.entries.len()).sum()
    }

    /// How many more it takes.
    pub(super) fn room(&self) -> usize {
        OUTBOX_MAX.saturating_sub(self.len())
    }

    /// Everybody to whom anything was ever sent.
    pub(super) fn recipients(&self) -> Vec<Name> {
        self.queues.keys().cloned().collect()
    }

    /// How many there are.
    pub(super) fn recipients_len(&self) -> usize {
        self.queues.len()
    }

    /// How many texts to many are on their way.
    pub(super) fn broadcasts_len(&self) -> usize {
        self.broadcasts.len()
    }

    /// Takes on a message, perhaps a copy of a text to many.
    pub(super) fn add<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
        text: String,
        group: Option<GroupTag>,
    ) {
        let known = context.record().outgoing.get(to).map(|it| (it.stream, it.next_seq));
        let id = match known {
            Some((stream, next)) if next > 8 && context.has(Mutation::WrapsAround) => {
                MessageId { stream, seq: 1 }
            }
            Some((stream, next)) => MessageId { stream, seq: next },
            None => MessageId { stream: StreamId(context.draw()), seq: 1 },
        };
        let (with, at, tag) = (to.clone(), context.now().wall, group.clone());
        let course = Course::Out(SentState::Pending);
        context.keep_line(HistoryEntry {
            with,
            at,
            id,
            text: text.clone(),
            group: tag.clone(),
            course,
        });
        context.change(Change::Typed { to: to.clone(), id, text, typed_at: at, group: tag });
        group.iter().for_each(|group| self.broadcasts.add(group, id));
        let sending = Event::Sending { id, to: to.clone() };
        self.broadcasts.tell(context, group.as_ref(), sending);
        let entry = Entry::new(context.time(), group);
        self.queues.entry(to.clone()).or_default().entries.insert(id.seq, entry);
    }

    /// Takes out a message that needs no further care, of which the user has just been told.
    fn remove<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
        seq: u64,
    ) -> Option<Entry> {
        context.change_once_told(Change::Settled { to: to.clone(), seq });
        self.queues.get_mut(to)?.entries.remove(&seq)
    }

    /// The server is (again) there, or the table has changed: it is to hear of everything at once.
    pub(super) fn hurry(&mut self, now: Time, to: &Name) {
        if let Some(queue) = self.queues.get_mut(to) {
            queue.hurry(now);
        }
    }

    /// Another store answers now: what the old one kept must be saved again.
    pub(super) fn forget_what_was_saved(&mut self) {
        for queue in self.queues.values_mut() {
            queue.save_again(Time::ZERO, Entry::is_with_server);
        }
    }

    /// Something came from a recipient, perhaps an answer that took so long.
    pub(super) fn heard(&mut self, now: Time, from: &Name, round_trip: Option<Duration>) {
        if let Some(queue) = self.queues.get_mut(from) {
            queue.heard(now, round_trip);
        }
    }

    /// Puts every message to a recipient on its route, directly or by the detour over the server;
    /// one that fails directly takes all others along.
    pub(super) fn choose_routes<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
        outlook: &Outlook,
    ) {
        let Some(queue) = self.queues.get_mut(to) else { return };
        queue.was_listed |= outlook.is_listed;
        let now = context.time();
        let mut route = outlook.route(queue);
        let exhausted = queue.exhausted(now).filter(|_| !context.has(Mutation::NeverDetours));
        if let (Some(addr), Route::Direct(_) | Route::Unknown) = (exhausted, route) {
            queue.unreachable = Some(Unreachable::new(addr, Nonce(context.draw()), now));
            route = Route::Server(Some(DetourReason::NoAck));
        }
        if !outlook.standing.takes_part {
            return;
        }
        let Some(stream) = stream_to(context, to) else { return };
        match route {
            Route::Unknown => {}
            Route::Direct(addr) => queue.go_directly(addr, now, outlook.window()),
            Route::Server(reason) => {
                for (seq, reason) in queue.go_over_server(reason, now) {
                    let id = MessageId { stream, seq };
                    let group = queue.entries.get(&seq).and_then(|entry| entry.group.as_ref());
                    let detour = Event::Detour { id, to: to.clone(), reason };
                    self.broadcasts.tell(context, group, detour);
                }
            }
        }
    }

    /// The next datagram for, or about, a recipient that is due, until there is none.
    pub(super) fn poll_transmit<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
        outlook: &Outlook,
    ) -> Option<Dispatch> {
        if !outlook.standing.takes_part {
            return None;
        }
        if let Some(hello) = self.queues.get_mut(to)?.poll_doubt(outlook.standing.server) {
            return Some(hello);
        }
        let (now, can_save) = (context.time(), outlook.standing.session.is_some());
        let is_due = |stage: Stage| match stage {
            Stage::Direct { tries, .. } => tries.is_due(now),
            Stage::Server { tries } => can_save && tries.is_due(now),
            Stage::Queued | Stage::Saved { .. } => false,
        };
        let active = self.queues.get(to)?.active(outlook.window());
        let (seq, stage) =
            active.map(|(seq, it)| (seq, it.stage)).find(|(_, stage)| is_due(*stage))?;
        match stage {
            Stage::Direct { to: before, tries } => {
                let addr = outlook.addr.unwrap_or(before);
                self.transmit_directly(context, (to, outlook), (seq, addr), tries)
            }
            Stage::Server { tries } => self.transmit_save(context, (to, outlook), seq, tries),
            Stage::Queued | Stage::Saved { .. } => None,
        }
    }

    fn transmit_directly<M: Mutations>(
        &mut self,
        context: &Context<M>,
        (to, outlook): (&Name, &Outlook),
        (seq, addr): (u64, SocketAddr),
        mut tries: Tries,
    ) -> Option<Dispatch> {
        let queue = self.queues.get_mut(to)?;
        let base = queue.entries.keys().next().copied()?;
        let attempt = tries.transmit(context.time());
        // An acknowledgement that names nothing tells of no round trip.
        let timeout = match outlook.goes_one_by_one {
            true => RTO_MAX,
            false => queue.timeout(outlook.standing.disk_trip),
        };
        let pause = tries.pause(context.time(), timeout, RTO_MAX);
        let pause =
            if pause > timeout && context.has(Mutation::NoBackoff) { timeout } else { pause };
        tries.wait(context.time(), pause);
        queue.entries.get_mut(&seq)?.stage = Stage::Direct { to: addr, tries };
        let from = context.config().name.clone();
        let outgoing = context.record().outgoing.get(to)?;
        let message = outgoing.unsettled.get(&seq)?;
        let (stream, group) = (outgoing.stream, message.group.clone());
        let packet = Packet::Message { from, to: to.clone(), stream, seq, base, group };
        let (to, body) = (Destination::Peer(addr.into()), message.text.clone());
        Some(Dispatch::Packet { to, packet, body, attempt })
    }

    fn transmit_save<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        (to, outlook): (&Name, &Outlook),
        seq: u64,
        mut tries: Tries,
    ) -> Option<Dispatch> {
        let standing = &outlook.standing;
        let session = standing.session?;
        let queue = self.queues.get_mut(to)?;
        // The server knows about what it keeps; what is settled behind that, it may skip.
        let base = queue.first_unsaved()?;
        let now = context.time();
        let attempt = tries.transmit(now);
        tries.wait(now, context.backoff(standing.disk_timeout, now - tries.first_at()));
        queue.entries.get_mut(&seq)?.stage = Stage::Server { tries };
        let outgoing = context.record().outgoing.get(to)?;
        let message = outgoing.unsettled.get(&seq)?;
        let (stream, group, body) = (outgoing.stream, message.group.clone(), message.text.clone());
        let unreachable = queue.unreachable.is_some();
        let to = to.clone();
        let packet = Packet::Save { session, to, stream, seq, base, unreachable, group };
        queue.doubt_size(context, standing, (seq, attempt), (&packet, &body));
        Some(Dispatch::Packet { to: Destination::Server, packet, body, attempt })
    }

    /// Says of the messages to a recipient that have no outcome for long that they are not sent.
    pub(super) fn report_unsent<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
        outlook: &Outlook,
    ) {
        let Some(queue) = self.queues.get_mut(to) else { return };
        let known = outlook.standing.silence.or(queue.refused);
        let Some(stream) = stream_to(context, to) else { return };
        for (seq, why) in queue.overdue(context.time()) {
            let (id, reason) = (MessageId { stream, seq }, known.unwrap_or(why));
            let group = queue.entries.get(&seq).and_then(|entry| entry.group.as_ref());
            self.broadcasts.tell(context, group, Event::Unsent { id, to: to.clone(), reason });
        }
    }

    /// Asks a recipient that seemed unreachable whether it hears now, while messages for it take
    /// the detour, if that is due.
    pub(super) fn poll_probe(
        &mut self,
        now: Time,
        to: &Name,
        outlook: &Outlook,
    ) -> Option<Dispatch> {
        let queue = self.queues.get_mut(to)?;
        let unreachable = queue.unreachable.as_mut()?;
        if outlook.addr != Some(unreachable.addr) {
            queue.unreachable = None;
            return None;
        }
        if !outlook.standing.takes_part || queue.entries.is_empty() {
            return None;
        }
        let attempt = unreachable.probe(now)?;
        let (addr, nonce) = (unreachable.addr, unreachable.nonce);
        Some(Dispatch::to_peer(addr, Packet::Knock { nonce }, attempt))
    }

    /// A recipient that seemed unreachable is not: who.
    pub(super) fn probe_answered(&mut self, from: SocketAddr, nonce: Nonce) -> Option<Name> {
        let answers = |it: &Unreachable| it.addr == from && it.nonce == nonce;
        let mut queues = self.queues.iter_mut();
        let (name, queue) =
            queues.find(|(_, queue)| queue.unreachable.as_ref().is_some_and(answers))?;
        queue.unreachable = None;
        Some(name.clone())
    }

    /// Sets the timer for whatever is to be done next about a recipient.
    pub(super) fn set_timer<M: Mutations>(
        &self,
        context: &mut Context<M>,
        to: &Name,
        outlook: &Outlook,
    ) {
        let Some(queue) = self.queues.get(to) else { return };
        let can = (outlook.standing.takes_part, outlook.standing.session.is_some());
        let timer = Timer::Recipient(to.clone());
        match queue.next_at(context.time(), outlook.window(), can) {
            Some(due) => context.timers.set(timer, due),
            None => context.timers.clear(&timer),
        }
    }

    /// Panics if something does not hold that must between two inputs. `can_save`: the server can
    /// be asked to keep messages.
    pub(super) fn check_invariants<M: Mutations>(&self, context: &Context<M>, can_save: bool) {
        assert!(self.len() <= OUTBOX_MAX, "{} unsettled messages", self.len());
        let outgoing = &context.record().outgoing;
        assert!(self.queues.keys().eq(outgoing.keys()), "a recipient without a queue, or a stream");
        for (to, queue) in &self.queues {
            let unsettled = outgoing.get(to).into_iter().flat_map(|it| &it.unsettled);
            let recorded = unsettled.map(|(seq, message)| (*seq, message.saved));
            let queued = queue.entries.iter().map(|(seq, it)| (*seq, it.told == Reported::Saved));
            assert!(queued.eq(recorded), "what is queued for {to} is not what is unsettled");
            // Of what is sent nothing: whether that may go on is decided with the next poll.
            let waits = queue.next_at(context.time(), 0, (false, false)).is_some();
            let is_timed = context.timers.is_set(&Timer::Recipient(to.clone()));
            assert!(!waits || is_timed, "nothing will be said of messages to {to}");
            let goes_on = queue.next_at(context.time(), 1, (false, can_save)).is_some();
            assert!(!goes_on || is_timed, "the server will not be asked to keep those to {to}");
        }
    }
}

/// The stream of messages to somebody, if there ever was one.
fn stream_to<M: Mutations>(context: &Context<M>, to: &Name) -> Option<StreamId> {
    context.record().outgoing.get(to).map(|outgoing| outgoing.stream)
}
