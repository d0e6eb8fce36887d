//! What is kept for whom: storing, acknowledging, and what is handed over when.
//!
//! docs/protocol.md, "Stored messages". Nothing here reads a text, or knows who is here.

use std::collections::{BTreeSet, VecDeque};

use super::context::{Came, Context, Timer};
use super::expiry;
use super::receipts::{Ear, Receipts};
use super::saved::{Due, Saved};
use super::{Change, End, Event, Progress, StoredMessage};
use crate::journal::Ticket;
use crate::load::Gauge;
use crate::machine::Path;
use crate::mutation::{Mutation, Mutations};
use crate::protocol::limits::{
    HELD_MAX, MAIL_STREAMS_MAX, MAILBOX_MAX, SENDER_STORED_MAX, STORED_MAX, UNTOLD_MAX,
};
use crate::protocol::{GroupTag, MessageId, Name, NotSaved, Packet, StreamKey};
use crate::reorder_buffer::{Arrival, ReorderBuffer};
use crate::time::whole_ms;

/// A message to be stored.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) to: Name,
    pub(super) body: Vec<u8>,
    pub(super) group: Option<GroupTag>,
}

/// A registered client wants a message kept.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) came: Came,
    pub(super) sender: Name,
    pub(super) from: Path,
    pub(super) id: MessageId,
    pub(super) base: u64,
    pub(super) save: Save,
    /// Whether the recipient did not answer the sender.
    pub(super) unreachable: bool,
}

/// So many requests wait while others are answered at once. With more, one is carried out whenever
/// one comes, so that no flood makes the server read without end what it will not carry out.
const REQUESTS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Mail {
    /// Messages to be stored whose predecessors have not arrived.
    reorder_buffer: ReorderBuffer<Save>,
    /// Requests to store messages, which wait until nobody waits for a quick answer.
    requests: VecDeque<Request>,
    /// The number of the next message.
    next_message: u64,
    /// What is acknowledged when its commit has ended.
    saved: Saved,
    /// Messages whose commit has not ended, by rising number, and for whom they are: nobody hears
    /// of them yet.
    undurable: VecDeque<(Ticket, u64, Name)>,
    receipts: Receipts,
}

/// Storing.
impl Mail {
    /// Goes on from what is recorded.
    pub(super) fn new<M: Mutations>(cx: &mut Context<M>) -> Self {
        expiry::wait(cx);
        Self {
            reorder_buffer: ReorderBuffer::new(),
            requests: VecDeque::new(),
            next_message: cx.record().next_message(),
            saved: Saved::default(),
            undurable: VecDeque::new(),
            receipts: Receipts::new(cx.record()),
        }
    }

    /// Somebody wants a message kept. Whether too many do for this to wait.
    pub(super) fn ask(&mut self, request: Request) -> bool {
        self.requests.push_back(request);
        self.requests.len() > REQUESTS_MAX
    }

    pub(super) fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// What is to be stored now that this was asked for, in order. Each is to be asked of
    /// ([`takes`]) and stored before the next.
    pub(super) fn offer<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
        request: Request,
    ) -> Vec<(u64, Save)> {
        let Request { from, id, base, save, .. } = request;
        let progress = cx.record().stream(key);
        if progress.is_some_and(|known| known.standing.to != save.to) {
            return Vec::new(); // A stream has one recipient: no client of ours does this.
        }
        let next = progress.map(|progress| progress.next);
        let is_new = next.is_none_or(|next| next <= id.seq);
        if is_new && let Some(reason) = objection(cx, key, &save) {
            let MessageId { stream, seq } = id;
            cx.counters.dropped.refused += 1;
            // Nothing is kept: there is nothing to lose.
            cx.send_now(from, &Packet::NotSaved { stream, seq, reason }, 1);
            return Vec::new();
        }
        match self.reorder_buffer.offer(cx.now(), next, key, id.seq, base, save) {
            Arrival::Early if cx.has(Mutation::SavesHeld) => {
                send_saved(cx, from, vec![id]);
                Vec::new()
            }
            Arrival::Early => Vec::new(),
            Arrival::Old => {
                cx.counters.duplicates += 1;
                if let Some(next) = next {
                    self.acknowledge(cx, from, MessageId { seq: next - 1, ..id });
                }
                Vec::new()
            }
            Arrival::Ready(saves) => saves,
        }
    }

    /// Lets go of a stream if another one has no place otherwise. Its sender, if that one is told
    /// of another now.
    pub(super) fn make_room<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
    ) -> Option<Name> {
        if cx.record().streams().len() < MAIL_STREAMS_MAX || cx.record().stream(key).is_some() {
            return None;
        }
        let gone = self.receipts.dispensable(cx.record())?.clone();
        let was_told = self.receipts.forget(cx, &gone);
        cx.change(Change::Forgotten { key: gone.clone() });
        was_told.then_some(gone.from)
    }

    pub(super) fn store<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        from: &Name,
        id: MessageId,
        save: Save,
    ) {
        let Save { to, body, group } = save;
        // All copies of a name share its messages.
        let to = cx.record().accounts.get_key_value(&to).map_or(to, |(known, _)| known.clone());
        let key = StreamKey { from: from.clone(), stream: id.stream };
        let next = cx.record().stream(&key).map(|progress| progress.next);
        debug_assert!(next.is_none_or(|next| next <= id.seq), "what is stored is stored once");
        cx.counters.stored += 1;
        let message = StoredMessage {
            number: self.next_message,
            id,
            from: from.clone(),
            stored_at: cx.wall(),
            stored_after_ms: whole_ms(cx.uptime()),
            group: group.map(Box::new),
            body: body.into_boxed_slice(),
        };
        self.next_message += 1;
        let number = message.number;
        let ticket = cx.change(Change::Stored { to: to.clone(), message });
        self.undurable.push_back((ticket, number, to.clone()));
        expiry::wait(cx);
        cx.report(Event::Stored { id, from: from.clone(), to });
    }

    /// Acknowledges once everything so far is durable.
    pub(super) fn acknowledge<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        to: Path,
        id: MessageId,
    ) {
        let commit = cx.commit();
        if cx.is_durable(commit) || cx.has(Mutation::AcksBeforeCommit) {
            send_saved(cx, to, vec![id]);
        } else {
            self.saved.add(commit, to, id, cx.stamp());
        }
    }
}

/// What is stored.
impl Mail {
    /// A commit has ended: what it made durable is acknowledged, and may be handed over to these.
    pub(super) fn committed<M: Mutations>(&mut self, cx: &mut Context<M>) -> BTreeSet<Name> {
        let store = cx.record().store;
        for Due { to, messages, echo_ms } in self.saved.take(|commit| cx.is_durable(commit)) {
            // Nothing is said here that is not durable.
            cx.send_soon(to, &Packet::Saved { store, messages }, echo_ms);
        }
        let mut readers = BTreeSet::new();
        while self.undurable.front().is_some_and(|(ticket, ..)| cx.is_durable(*ticket)) {
            readers.extend(self.undurable.pop_front().map(|(_, _, reader)| reader));
        }
        readers
    }

    /// The number of the first message whose commit has not ended: with it all behind it.
    pub(super) fn first_undurable(&self) -> u64 {
        self.undurable.front().map_or(u64::MAX, |(_, number, _)| *number)
    }

    /// A reader has seen everything of a stream up to a place. Up to which that is news.
    pub(super) fn shown<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        reader: &Name,
        key: &StreamKey,
        seq: u64,
    ) -> Option<u64> {
        let progress = cx.record().stream(key)?;
        let seq = seq.min(progress.next - 1);
        if progress.standing.to != *reader || seq <= progress.standing.settled {
            cx.counters.duplicates += 1;
            return None;
        }
        let count = self.settle(cx, reader, key, seq, End::Shown);
        cx.counters.handed_over += count as u64;
        let id = MessageId { stream: key.stream, seq };
        cx.report(Event::HandedOver { id, to: reader.clone(), count });
        expiry::wait(cx);
        Some(seq)
    }

    /// What is stored of a stream up to a place was kept for long enough.
    pub(super) fn expire<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        reader: Name,
        key: &StreamKey,
        seq: u64,
    ) {
        let count = self.settle(cx, &reader, key, seq, End::Expired);
        let (id, from) = (MessageId { stream: key.stream, seq }, key.from.clone());
        cx.counters.expired += count as u64;
        cx.report(Event::Expired { id, from, to: reader, count });
    }

    /// Ends the keeping of everything of a stream up to a place. How many messages that were.
    fn settle<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        reader: &Name,
        key: &StreamKey,
        seq: u64,
        end: End,
    ) -> usize {
        let before = cx.record().messages_for(reader);
        cx.change_if_any(cx.record().settling(key, seq, end));
        self.receipts.add_news(key);
        before - cx.record().messages_for(reader)
    }

    /// Tells a sender that more has become of a stream, as it hears it.
    pub(super) fn tell_news<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
        ear: Option<Ear>,
    ) {
        self.receipts.tell_news(cx, key, ear);
    }

    /// Tells a sender what has become of its messages, as it hears it.
    pub(super) fn tell<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
        ear: Option<Ear>,
    ) {
        self.receipts.tell(cx, key, ear);
    }

    /// Tells a sender of further streams.
    pub(super) fn tell_more<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
        ear: Option<Ear>,
    ) {
        self.receipts.tell_more(cx, name, ear);
    }

    /// A sender knows what has become of its messages up to a place.
    pub(super) fn told<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
        seq: u64,
        ear: Option<Ear>,
    ) {
        self.receipts.acked(cx, key, seq, ear);
    }

    /// A client is here no more.
    pub(super) fn left<M: Mutations>(&mut self, cx: &mut Context<M>, name: &Name) {
        self.receipts.left(cx, name);
        // In its next session it may have another way for what was missing here.
        self.reorder_buffer.forget_sender(name);
    }

    /// Lets go of messages that came before an earlier one and have waited for long.
    pub(super) fn expire_held<M: Mutations>(&mut self, cx: &Context<M>) {
        self.reorder_buffer.expire(cx.now());
    }

    /// What it says of its own that waits to be said or done.
    pub(super) fn waiting(&self) -> usize {
        self.saved.len() + self.requests.len()
    }

    pub(super) fn load(&self) -> [(Gauge, usize); 4] {
        let (held, held_streams) = self.reorder_buffer.len();
        [
            (Gauge::Held, held),
            (Gauge::HeldStreams, held_streams),
            (Gauge::Undurable, self.undurable.len()),
            (Gauge::Untold, self.receipts.len()),
        ]
    }
}

/// What must hold between two inputs.
impl Mail {
    /// The timers that it waits for.
    pub(super) fn check_invariants<M: Mutations>(
        &self,
        cx: &Context<M>,
        is_here: impl Fn(&Name) -> bool,
    ) -> Vec<Timer> {
        assert!(self.requests.len() <= REQUESTS_MAX, "{} requests", self.requests.len());
        self.saved.check_invariants(|commit| cx.is_durable(commit));
        let is_durable = |(commit, ..): &(Ticket, u64, Name)| cx.is_durable(*commit);
        assert!(!self.undurable.iter().any(is_durable), "what is durable is not released");
        let numbers = self.undurable.iter().map(|(_, number, _)| *number);
        assert!(numbers.clone().is_sorted(), "undurable messages in their order");
        let last = numbers.max().max(cx.record().next_message().checked_sub(1));
        assert!(last.is_none_or(|last| last < self.next_message), "two messages of one number");
        let (held, streams) = self.reorder_buffer.len();
        assert!(held <= streams * HELD_MAX, "{held} messages of {streams} streams are held");
        self.receipts.check_invariants(cx, is_here)
    }
}

/// Whether the next message of a stream can be stored: not one for somebody else than those
/// before it, and none that there is no room for any more: its sender repeats it, and is told
/// why. Of one that `is_asked` already that was found out when it arrived.
pub(super) fn takes<M: Mutations>(
    cx: &Context<M>,
    key: &StreamKey,
    save: &Save,
    is_asked: bool,
) -> bool {
    let progress = cx.record().stream(key);
    let is_astray = progress.is_some_and(|known| known.standing.to != save.to);
    !is_astray && (is_asked || objection(cx, key, save).is_none())
}

/// Why a new message of a stream is not stored.
pub(super) fn objection<M: Mutations>(
    cx: &Context<M>,
    key: &StreamKey,
    save: &Save,
) -> Option<NotSaved> {
    let record = cx.record();
    let stream = record.stream(key);
    if save.body.is_empty() {
        return Some(NotSaved::BadText);
    }
    if !record.accounts.contains_key(&save.to) {
        return Some(NotSaved::UnknownName);
    }
    if cx.is_low() {
        return Some(NotSaved::DiskFull);
    }
    if record.messages_for(&save.to) >= MAILBOX_MAX {
        return Some(NotSaved::MailboxFull);
    }
    let share = cx.config().shares.mailbox_per_sender;
    if record.messages_between(&key.from, &save.to, share) >= share
        && !cx.has(Mutation::NoMailShare)
    {
        return Some(NotSaved::ShareFull);
    }
    let untold = stream.map_or(0, |progress: &Progress| progress.standing.untold.len());
    if record.messages_of(&key.from) >= SENDER_STORED_MAX || untold >= UNTOLD_MAX {
        return Some(NotSaved::SenderFull);
    }
    let room_for_stream = stream.is_some()
        || record.streams().len() < MAIL_STREAMS_MAX
        || record.idle_stream().is_some();
    if record.messages() >= STORED_MAX || !room_for_stream {
        return Some(NotSaved::ServerFull);
    }
    None
}

/// What [`Mutation::RegistrationWipesMail`] does, as the original did at a registration.
pub(super) fn wipe<M: Mutations>(cx: &mut Context<M>, name: &Name) {
    let Some(mailbox) = cx.record().mailbox(name) else { return };
    if cx.has(Mutation::RegistrationWipesMail) {
        let kept: Vec<_> = mailbox.iter().map(|message| (message.key(), message.id.seq)).collect();
        for (key, seq) in kept {
            cx.change_if_any(cx.record().settling(&key, seq, End::Shown));
        }
    }
}

fn send_saved<M: Mutations>(cx: &mut Context<M>, to: Path, messages: Vec<MessageId>) {
    let saved = Packet::Saved { store: cx.record().store, messages };
    // Of what is durable; earlier only as a planted bug.
    cx.send_now(to, &saved, 1);
}
