//! What is too large for the way to the server: where long datagrams vanish without a word, short
//! ones go on passing, and nothing else tells the message that waits from any other.
//!
//! docs/protocol.md, "Sending". A hello of the message's length is sent beside each try: a server
//! answers that whatever its disk does, so it is the way, and not the server, that is judged.

use std::net::SocketAddr;

use super::Outbox;
use super::send_queue::{Doubt, Reported, SendQueue, Stage};
use crate::client::context::Context;
use crate::client::session::{Dialect, Standing};
use crate::client::wire::Dispatch;
use crate::client::{Event, UnsentReason};
use crate::mutation::Mutations;
use crate::protocol::{MessageId, Name, Nonce, Packet, envelope, hello};

/// Tries of a `save` before the way is doubted: about 20 s. At 30 % loss both ways one message in
/// two hundred comes so far, and then is proved to pass with its next try but one.
const DOUBTED_AFTER: u32 = 8;

/// Hellos as long as the message that must all be lost, while a `ping` is answered after each,
/// until it is given up: nearly two minutes with the tries before. At 30 % loss both ways that
/// happens to one doubted message in a million, and each of more than 24 tries of the message
/// itself must be lost as well.
const TOO_LARGE_TRIES: u32 = 20;

impl SendQueue {
    /// A message has been sent to the server once more. Only the first of a queue is judged: those
    /// behind it are not answered before it is.
    pub(super) fn doubt_size<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        standing: &Standing,
        (seq, attempt): (u64, u32),
        (packet, text): (&Packet, &str),
    ) {
        if attempt < DOUBTED_AFTER || standing.is_silent || standing.dialect == Dialect::Original {
            return;
        }
        let (pongs, fresh) = (standing.pongs, Nonce(context.draw()));
        if self.first_unsaved() != Some(seq) {
            return;
        }
        let doubt = match &mut self.doubt {
            Some(doubt) if doubt.seq == seq => doubt,
            doubt => doubt.insert(Doubt { seq, nonce: fresh, lost: 0, pongs, sent: 0, due: None }),
        };
        if doubt.pongs < pongs && doubt.sent > 0 {
            doubt.lost += 1;
        }
        doubt.pongs = pongs;
        doubt.due = Some(envelope::encode(packet, text.as_bytes()).len());
    }

    /// A hello that is as long as the message that is doubted, if one is due.
    pub(super) fn poll_doubt(&mut self, server: SocketAddr) -> Option<Dispatch> {
        let doubt = self.doubt.as_mut()?;
        let bytes = hello::encode_as_long_as(doubt.nonce, doubt.due.take()?);
        doubt.sent += 1;
        Some(Dispatch::Hello { to: server, bytes, attempt: doubt.sent })
    }

    /// Something as long as a message that is doubted has passed, if it was asked about so.
    fn size_passes(&mut self, nonce: Nonce) {
        if let Some(doubt) = self.doubt.as_mut().filter(|doubt| doubt.nonce == nonce) {
            doubt.lost = 0;
        }
    }

    /// The first message if it is proved not to pass. What was said to be saved is not given up.
    fn too_large(&self) -> Option<u64> {
        let seq = self.doubt.filter(|doubt| doubt.lost >= TOO_LARGE_TRIES)?.seq;
        let may_go = self.entries.get(&seq).is_some_and(|entry| entry.told != Reported::Saved);
        (may_go && self.first_unsaved() == Some(seq)).then_some(seq)
    }
}

impl Outbox {
    /// Something as long as a message that is doubted has passed, if it was asked about so.
    pub(in crate::client) fn size_passes(&mut self, nonce: Nonce) {
        self.queues.values_mut().for_each(|queue| queue.size_passes(nonce));
    }

    /// Gives up the first message to a recipient if it is proved not to pass: those behind it go
    /// on. Whether it did.
    pub(in crate::client) fn give_up_too_large<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        to: &Name,
    ) -> bool {
        let Some(queue) = self.queues.get_mut(to) else { return false };
        let Some(seq) = queue.too_large() else { return false };
        let Some(outgoing) = context.record().outgoing.get(to) else { return false };
        let Some(message) = outgoing.unsettled.get(&seq) else { return false };
        let id = MessageId { stream: outgoing.stream, seq };
        let reason = UnsentReason::TooLarge { bytes: message.text.len() };
        queue.doubt = None;
        queue.save_again(context.time(), |entry| matches!(entry.stage, Stage::Server { .. }));
        let group = queue.entries.get(&seq).and_then(|entry| entry.group.as_ref());
        self.broadcasts.tell(context, group, Event::Unsent { id, to: to.clone(), reason });
        self.remove(context, to, seq);
        context.note_failure();
        true
    }
}
