//! What came of what the user sent: received, saved, refused, given up.
//!
//! docs/protocol.md, "Sending". Which route a message takes is [`super`]'s. Whatever may
//! let others go on returns their recipient, whose queue the client polls then.

use std::net::SocketAddr;

use super::send_queue::{Entry, Reported, SendQueue, Stage};
use super::{Outbox, Outlook, stream_to};
use crate::client::context::Context;
use crate::client::history::SentState;
use crate::client::session::{Dialect, Standing};
use crate::client::timing::{REFUSED_RETRY, SAVED_SAID_AFTER};
use crate::client::{Change, Event, UnsentReason};
use crate::mutation::{Mutation, Mutations};
use crate::protocol::{MessageId, Name, NotSaved, StreamId};
use crate::retransmission::Tries;
use crate::time::Time;

/// What ends the care for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum End {
    /// Its recipient has been shown it, as they or the server say.
    Received { over_server: bool },
    /// The server had kept it for as long as it keeps any.
    Expired,
}

impl Outbox {
    /// A recipient has shown everything up to a message. Counts only from where that was sent.
    pub(in crate::client) fn acknowledged<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        from: SocketAddr,
        id: MessageId,
    ) -> Option<Name> {
        let to = recipient_of(context, id.stream)?;
        let seq = id.seq;
        let owes_it = |queue: &SendQueue| {
            queue.entries.get(&seq).is_some_and(|entry| {
                let was_sent_there = matches!(entry.stage, Stage::Direct { to, .. } if to == from);
                (was_sent_there && entry.is_sent_directly())
                    || (entry.is_with_server()
                        && queue.unreachable.is_some_and(|it| it.addr == from))
            })
        };
        let queue = self.queues.get_mut(&to).filter(|queue| owes_it(queue))?;
        // It hears, and is heard.
        queue.unreachable.take_if(|it| it.addr == from);
        self.settle(context, dialect, &to, seq, End::Received { over_server: false });
        Some(to)
    }

    /// The server says what has become of a message that it kept, and of those before it of which
    /// it has not said so.
    pub(in crate::client) fn kept_no_more<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        id: MessageId,
        end: End,
    ) -> Option<Name> {
        let to = recipient_of(context, id.stream)?;
        self.settle(context, dialect, &to, id.seq, end);
        Some(to)
    }

    fn settle<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        to: &Name,
        upto: u64,
        end: End,
    ) {
        let Some(outgoing) = context.record().outgoing.get(to) else { return };
        let stream = outgoing.stream;
        let Some(queue) = self.queues.get_mut(to) else { return };
        queue.goes_on(context.time());
        let mut settled = Vec::new();
        // Told first: a crash in between makes it say so again, not never.
        for (seq, entry) in queue.entries.range(..=upto) {
            let (id, to) = (MessageId { stream, seq: *seq }, to.clone());
            settled.push(id);
            if end == End::Expired {
                context.note_failure();
            }
            let outgoing = context.record().outgoing.get(&to);
            let message = outgoing.and_then(|it| it.unsettled.get(seq));
            let event = match (end, message) {
                (End::Expired, _) => Event::Expired { id, to },
                (_, Some(message)) if entry.told == Reported::Saved => {
                    Event::ReadLater { id, to, typed_at: message.typed_at }
                }
                (End::Received { over_server }, _) => Event::Received { id, to, over_server },
            };
            // An original server never says that a message was read.
            if entry.told != Reported::Saved || dialect == Dialect::Own {
                self.broadcasts.tell(context, entry.group.as_ref(), event);
            }
        }
        let state = match end {
            End::Received { .. } => SentState::Received,
            End::Expired => SentState::Expired,
        };
        for id in settled {
            context.keep_outcome(id, state);
            self.remove(context, to, id.seq);
        }
    }

    /// The server keeps everything up to a message.
    pub(in crate::client) fn saved<M: Mutations>(
        &mut self,
        context: &Context<M>,
        id: MessageId,
    ) -> Option<Name> {
        let to = recipient_of(context, id.stream)?;
        self.queues.get_mut(&to)?.saved(id.seq, context.time());
        Some(to)
    }

    /// Says of what the server keeps that it does, once: at once if the recipient is not here to
    /// be shown it soon, else when that has not happened for [`SAVED_SAID_AFTER`].
    pub(in crate::client) fn report_saved<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
        outlook: &Outlook,
    ) {
        let Standing { takes_part, dialect, .. } = outlook.standing;
        // An original server never says that a message was read.
        let is_awaited = outlook.addr.is_some() && takes_part && dialect == Dialect::Own;
        let now = context.time();
        self.tell_saved(context, to, |since| !is_awaited || since + SAVED_SAID_AFTER <= now);
    }

    fn tell_saved<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
        is_due: impl Fn(Time) -> bool,
    ) {
        let Some(stream) = stream_to(context, to) else { return };
        let Some(queue) = self.queues.get_mut(to) else { return };
        let mut told = Vec::new();
        for (seq, entry) in &mut queue.entries {
            if entry.saved_untold().is_some_and(&is_due) {
                entry.told = Reported::Saved;
                let saved = Event::Saved { id: MessageId { stream, seq: *seq }, to: to.clone() };
                self.broadcasts.tell(context, entry.group.as_ref(), saved);
                told.push(*seq);
            }
        }
        for seq in told {
            context.change_once_told(Change::Saved { to: to.clone(), seq });
        }
    }

    /// The server does not keep a message.
    pub(in crate::client) fn not_saved<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        id: MessageId,
        refusal: NotSaved,
    ) -> Option<Name> {
        let to = recipient_of(context, id.stream)?;
        let queue = self.queues.get_mut(&to)?;
        let entry = queue.entries.get_mut(&id.seq).filter(|entry| entry.is_asked_for())?;
        let reason = why_not_saved(refusal, queue.was_listed);
        let untold = entry.told == Reported::Nothing;
        // What was said to be saved is not given up: a server without its memory may hear of the
        // recipient yet.
        let is_final = reason.is_final() && entry.told != Reported::Saved;
        if untold || is_final {
            let unsent = Event::Unsent { id, to: to.clone(), reason };
            self.broadcasts.tell(context, entry.group.as_ref(), unsent);
        }
        if is_final {
            context.note_failure();
            self.remove(context, &to, id.seq);
        } else {
            if untold {
                entry.told = Reported::Unsent;
            }
            let tries = Tries::again_at(context.time() + REFUSED_RETRY);
            entry.stage = Stage::Server { tries };
            queue.refused = Some(reason);
        }
        Some(to)
    }

    /// Whether the user has been told of every send what has become of it.
    pub(in crate::client) fn every_send_has_its_outcome(&self) -> bool {
        let mut entries = self.queues.values().flat_map(|queue| queue.entries.values());
        entries.all(|entry| entry.told != Reported::Nothing)
    }

    /// Says of every message without an outcome that it is not sent for this reason; without one
    /// the user knows that it is not.
    pub(in crate::client) fn report_all_unsent<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        reason: Option<UnsentReason>,
    ) {
        for (to, queue) in &mut self.queues {
            let Some(stream) = stream_to(context, to) else { continue };
            let untold = |(_, entry): &(&u64, &mut Entry)| entry.told == Reported::Nothing;
            for (seq, entry) in queue.entries.iter_mut().filter(untold) {
                entry.told = Reported::Unsent;
                if let Some(reason) = reason {
                    let (id, to) = (MessageId { stream, seq: *seq }, to.clone());
                    let unsent = Event::Unsent { id, to, reason };
                    self.broadcasts.tell(context, entry.group.as_ref(), unsent);
                }
            }
        }
    }

    /// The user has left. Says of each message that has no outcome what is so: the server keeps it,
    /// or it is kept here and goes out at the next start. Without a store it is given up.
    pub(in crate::client) fn leave<M: Mutations>(&mut self, context: &mut Context<M>) {
        for to in self.recipients() {
            self.tell_saved(context, &to, |_| true);
            for seq in self.leave_queue(context, &to) {
                self.remove(context, &to, seq);
            }
        }
    }

    /// The same for one recipient; what is given up.
    fn leave_queue<M: Mutations>(&mut self, context: &mut Context<M>, to: &Name) -> Vec<u64> {
        let has_store = context.config().has_store;
        let reason = if has_store { UnsentReason::Left } else { UnsentReason::LeftForGood };
        let Some(stream) = stream_to(context, to) else { return Vec::new() };
        let Some(queue) = self.queues.get_mut(to) else { return Vec::new() };
        let mut unsaved = Vec::new();
        for (seq, entry) in queue.entries.iter_mut().filter(|(_, it)| it.told != Reported::Saved) {
            unsaved.push(*seq);
            // That what has a store is kept, the user may know already.
            if !has_store || entry.told == Reported::Nothing {
                entry.told = Reported::Unsent;
                let (id, to) = (MessageId { stream, seq: *seq }, to.clone());
                let unsent = Event::Unsent { id, to, reason };
                self.broadcasts.tell(context, entry.group.as_ref(), unsent);
            }
        }
        if !unsaved.is_empty() {
            context.note_failure();
            if has_store && !context.has(Mutation::LeavingGivesUp) {
                unsaved.clear();
            }
        }
        unsaved
    }
}

fn why_not_saved(refusal: NotSaved, was_listed: bool) -> UnsentReason {
    match refusal {
        NotSaved::UnknownName if was_listed => UnsentReason::Forgotten,
        NotSaved::UnknownName => UnsentReason::UnknownName,
        NotSaved::BadText => UnsentReason::BadText,
        NotSaved::MailboxFull => UnsentReason::MailboxFull,
        NotSaved::ShareFull => UnsentReason::ShareFull,
        NotSaved::SenderFull => UnsentReason::SenderFull,
        NotSaved::ServerFull => UnsentReason::ServerFull,
        NotSaved::DiskFull => UnsentReason::DiskFull,
    }
}

fn recipient_of<M: Mutations>(context: &Context<M>, stream: StreamId) -> Option<Name> {
    let mut outgoing = context.record().outgoing.iter();
    outgoing.find(|(_, known)| known.stream == stream).map(|(to, _)| to.clone())
}
