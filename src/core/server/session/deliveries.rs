//! Stored messages on their way to a client of ours.
//!
//! docs/protocol.md, "Stored messages". Knows the mailbox and the way to its reader, no session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::context::{Context, Timer, transmit};
use super::super::next::Next;
use super::super::timing::{RESEND_MAX, STUCK_AFTER, stuck_pause};
use super::super::{End, StoredMessage};
use super::Client;
use crate::mutation::{Mutation, Mutations};
use crate::protocol::limits::WINDOW;
use crate::protocol::{MessageId, Name, Packet, PacketKind, StreamKey};
use crate::retransmission::Tries;
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct Deliveries {
    flights: BTreeMap<(Name, MessageId), Tries>,
}

impl Deliveries {
    /// Sends what is due of the first [`WINDOW`] messages of the mailbox, and beside them what has
    /// not passed for long: of each stream the first, for nothing behind it is shown before. What
    /// begins with the message of this number is not durable yet.
    pub(super) fn hand_over<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        client: &Client,
        timeout: Duration,
        first_undurable: u64,
    ) -> Option<Next> {
        let stamps = cx.stamps(PacketKind::Deliver);
        let now = cx.now();
        let mut first_of = BTreeMap::new();
        let mut due = Vec::new();
        let mut wake: Option<Time> = None;
        let mut stuck = BTreeSet::new();
        let mut in_window = 0;
        for message in cx.record().mailbox(&client.name).into_iter().flatten() {
            if in_window == WINDOW || message.number >= first_undurable {
                break;
            }
            let age_ms = cx.wall().unix_ms().saturating_sub(message.stored_at.unix_ms());
            if age_ms > 3_600_000 && cx.has(Mutation::ClockStepExpiresMail) {
                continue;
            }
            debug_assert!(message.number < first_undurable, "nobody hears of what may be lost");
            let key = message.key();
            if stuck.contains(&key) {
                continue;
            }
            let base = *first_of.entry(key.clone()).or_insert(message.id.seq);
            let flight = self.flights.entry((message.from.clone(), message.id));
            let flight = flight.or_insert_with(|| Tries::from(now));
            let is_stuck = flight.attempts() >= STUCK_AFTER;
            if flight.is_due(now) {
                let attempt = flight.transmit(now);
                let pause = match is_stuck {
                    true => stuck_pause(stuck.len()),
                    false => flight.pause(now, timeout, RESEND_MAX),
                };
                flight.wait(now, pause);
                let packet = deliver(client, message, base);
                let transmit = transmit(client.path, &packet, stamps, &message.body, attempt);
                due.push((transmit, key.clone(), message.id.seq));
            }
            let next_at = flight.next_at();
            wake = Some(wake.map_or(next_at, |wake| wake.min(next_at)));
            if is_stuck {
                stuck.insert(key);
            } else {
                in_window += 1;
            }
        }
        let timer = Timer::Mail(client.name.clone());
        match wake {
            Some(wake) => cx.timers.set(timer, wake),
            None => cx.timers.clear(&timer),
        }
        let mut sent = Vec::new();
        for (transmit, key, seq) in due {
            // At once, for the message is durable.
            cx.transmit_now(transmit);
            if cx.has(Mutation::ClearsMailboxEarly) {
                cx.change_if_any(cx.record().settling(&key, seq, End::Shown));
            }
            sent.push((key, seq));
        }
        Some(Next::Sent(sent))
    }

    /// Everything of a stream up to a place has been shown.
    pub(super) fn settled<M: Mutations>(&mut self, cx: &Context<M>, key: &StreamKey, seq: u64) {
        let lands = |(from, id): &(Name, MessageId)| {
            id.seq <= seq && id.stream == key.stream && *from == key.from
        };
        if !(self.flights.keys().any(lands) && cx.has(Mutation::KeepsFlights)) {
            self.flights.retain(|flight, _| !lands(flight));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }
}

impl Deliveries {
    /// What is on its way is in the mailbox and durable, and no more than a window but for what
    /// does not pass. The timer that it waits for.
    pub(super) fn check_invariants<M: Mutations>(
        &self,
        cx: &Context<M>,
        client: &Client,
        first_undurable: u64,
    ) -> Option<Timer> {
        let mailbox = cx.record().mailbox(&client.name);
        let durable = mailbox.into_iter().flatten();
        let durable = durable.take_while(|message| message.number < first_undurable);
        let is_first = |message: &StoredMessage| {
            self.flights.contains_key(&(message.from.clone(), message.id))
        };
        assert!(durable.clone().next().is_none_or(is_first), "the first message waits");
        let stream = |(from, id): &(Name, MessageId)| (from.clone(), id.stream);
        let stuck = self.flights.iter().filter(|(_, tries)| tries.attempts() >= STUCK_AFTER);
        let stuck: BTreeSet<_> = stuck.map(|(flight, _)| stream(flight)).collect();
        let in_window = self.flights.keys().filter(|flight| !stuck.contains(&stream(flight)));
        assert!(in_window.count() <= WINDOW, "more on its way to {} than fits", client.name);
        for (from, id) in self.flights.keys() {
            let is_it = |message: &StoredMessage| message.id == *id && message.from == *from;
            assert!(durable.clone().any(is_it), "{id} on its way is not kept");
        }
        (!self.flights.is_empty()).then(|| Timer::Mail(client.name.clone()))
    }
}

fn deliver(client: &Client, message: &StoredMessage, base: u64) -> Packet {
    let MessageId { stream, seq } = message.id;
    let (from, stored_at) = (message.from.clone(), message.stored_at);
    let group = message.group.as_deref().cloned();
    Packet::Deliver { session: client.id, from, stream, seq, base, stored_at, group }
}
