//! Writes down what programs write to their disks and find there: by labels, as a log does.
//!
//! Checkers compare what was durable with what is found. A record's inside is known only here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use udpchat_core::client::{self, ClientRecord};
use udpchat_core::protocol::{MessageId, Name, StreamId, StreamKey};
use udpchat_core::server::{self, End, ServerRecord, Standing};

use super::disk::Witness;
use crate::engine::network::Network;
use crate::naming::label::{HostName, Label};
use crate::record::log::{Durable, Found, What};

/// Looks on at the server's disk.
pub(super) struct OnServer {
    network: Rc<Network>,
    host: HostName,
    /// The messages that it was asked to keep, by the numbers of their messages.
    messages: RefCell<BTreeMap<u64, MessageId>>,
    /// Every message that it ever had, and from whom.
    taken: RefCell<BTreeMap<MessageId, Name>>,
}

/// Looks on at a client's disk.
pub(super) struct OnClient {
    network: Rc<Network>,
    host: HostName,
    /// The stream to each recipient, as it was written last.
    streams: RefCell<BTreeMap<Name, StreamId>>,
    /// What it remembers and does not know to have shown, by the number of its line.
    remembered: RefCell<BTreeMap<u64, Label>>,
    /// Every message that it ever remembered, and from whom.
    taken: RefCell<BTreeMap<MessageId, Name>>,
}

impl OnServer {
    pub(super) fn new(network: Rc<Network>, host: HostName) -> Self {
        Self { network, host, messages: RefCell::default(), taken: RefCell::default() }
    }
}

impl OnClient {
    pub(super) fn new(network: Rc<Network>, host: HostName) -> Self {
        let (streams, remembered) = (RefCell::default(), RefCell::default());
        Self { network, host, streams, remembered, taken: RefCell::default() }
    }
}

impl Witness<ServerRecord> for OnServer {
    fn writes(&self, changes: &[server::Change]) {
        for change in changes {
            match change {
                server::Change::Stored { message, .. } => {
                    self.messages.borrow_mut().insert(message.number, message.id);
                }
                server::Change::Settled { standing, messages, .. } => {
                    let expired = |durable: &Durable| matches!(durable, Durable::Expired(_));
                    for durable in self.ends(standing, messages).into_iter().filter(expired) {
                        self.asks(durable);
                    }
                }
                change => membership(change).into_iter().for_each(|durable| self.asks(durable)),
            }
        }
    }

    fn has(&self, changes: &[server::Change]) {
        for change in changes {
            match change {
                server::Change::Stored { message, .. } => {
                    self.taken.borrow_mut().insert(message.id, message.from.clone());
                    if let Some(label) = self.network.label(message.id) {
                        self.says(Durable::Stored(label));
                    }
                }
                change => membership(change).into_iter().for_each(|durable| self.says(durable)),
            }
        }
        // First what has come, then what has gone.
        for change in changes {
            if let server::Change::Settled { standing, messages, .. } = change {
                self.ends(standing, messages).into_iter().for_each(|durable| self.says(durable));
                self.messages.borrow_mut().retain(|number, _| !messages.contains(number));
            }
        }
    }

    fn forgets(&self) {
        self.messages.take();
        self.taken.take();
    }

    fn finds(&self, at: Duration, record: &ServerRecord, is_same_again: bool) {
        let messages = record.mailboxes().flat_map(|(_, messages)| messages);
        let messages: BTreeMap<u64, MessageId> =
            messages.map(|message| (message.number, message.id)).collect();
        let kept = messages.values().map(|id| self.network.label(*id)).collect();
        self.messages.replace(messages);
        let groups = record.membership.names();
        let members = groups.flat_map(|group| {
            let members = record.membership.members(group).into_iter().flatten();
            members.map(|member| (group.clone(), member.clone()))
        });
        let members = members.collect();
        let next = |key: &StreamKey| Some(record.stream(key)?.next);
        let taken = taken(&self.network, &self.taken.borrow(), next);
        let names = record.accounts.keys().cloned().collect();
        let is_server = true;
        let found = Found { is_server, kept, taken, names, members, is_same_again };
        let found = What::Found(found);
        self.network.record(at, &self.host, found);
    }
}

impl OnServer {
    /// How the keeping of these messages ends, which a stream has come past just now.
    fn ends(&self, standing: &Standing, messages: &[u64]) -> Vec<Durable> {
        let is_shown = standing.untold.last().is_none_or(|turn| turn.end == End::Shown);
        let known = self.messages.borrow();
        let ids = messages.iter().filter_map(|number| known.get(number));
        let labels = ids.filter_map(|id| self.network.label(*id));
        labels.map(if is_shown { Durable::Delivered } else { Durable::Expired }).collect()
    }

    fn asks(&self, durable: Durable) {
        self.network.record(self.network.now(), &self.host, What::Asked(durable));
    }

    fn says(&self, durable: Durable) {
        self.network.record(self.network.now(), &self.host, What::Durable(durable));
    }
}

/// Which of these messages would be taken for copies, with streams so far.
fn taken(
    network: &Network,
    known: &BTreeMap<MessageId, Name>,
    next: impl Fn(&StreamKey) -> Option<u64>,
) -> BTreeSet<Label> {
    let is_taken = |(id, from): &(&MessageId, &Name)| {
        let key = StreamKey { from: (*from).clone(), stream: id.stream };
        next(&key).is_some_and(|next| id.seq < next)
    };
    let taken = known.iter().filter(is_taken);
    taken.filter_map(|(id, _)| network.label(*id)).collect()
}

/// What a change does to who belongs to which group.
fn membership(change: &server::Change) -> Option<Durable> {
    match change.clone() {
        server::Change::Joined { group, member } => Some(Durable::Joined { group, member }),
        server::Change::Left { group, member } => Some(Durable::Left { group, member }),
        _ => None,
    }
}

impl Witness<ClientRecord> for OnClient {
    fn writes(&self, changes: &[client::Change]) {
        self.network.client_writes(&self.host, changes);
        for change in changes {
            match change {
                client::Change::Typed { to, id, .. } => {
                    self.streams.borrow_mut().insert(to.clone(), id.stream);
                }
                client::Change::NewStream { to, stream, next_seq } => {
                    let before = self.streams.borrow_mut().insert(to.clone(), *stream);
                    if let Some(before) = before {
                        self.network.renumbered(before, *stream, *next_seq);
                    }
                }
                client::Change::Settled { to, seq } => {
                    if let Some(label) = self.label(to, *seq) {
                        let asked = What::Asked(Durable::Settled(label));
                        self.network.record(self.network.now(), &self.host, asked);
                    }
                }
                _ => {}
            }
        }
    }

    fn has(&self, changes: &[client::Change]) {
        // First what has come, then what is to go.
        for change in changes {
            match change {
                client::Change::HistoryEntry { number, line } if line.is_incoming() => {
                    let Some(label) = self.network.label(line.id) else { continue };
                    self.taken.borrow_mut().insert(line.id, line.with.clone());
                    self.remembered.borrow_mut().insert(*number, label.clone());
                    self.says(Durable::Remembered(label));
                }
                client::Change::Displayed { next } => {
                    let later = self.remembered.borrow_mut().split_off(next);
                    for label in self.remembered.replace(later).into_values() {
                        self.says(Durable::Displayed(label));
                    }
                }
                _ => {}
            }
        }
        for change in changes {
            let durable = match change {
                client::Change::Typed { id, .. } => self.network.label(*id).map(Durable::Typed),
                client::Change::Settled { to, seq } => self.label(to, *seq).map(Durable::Settled),
                _ => None,
            };
            if let Some(durable) = durable {
                self.says(durable);
            }
        }
    }

    fn forgets(&self) {
        self.streams.take();
        self.remembered.take();
        self.taken.take();
    }

    fn finds(&self, at: Duration, record: &ClientRecord, is_same_again: bool) {
        let mut kept = Vec::new();
        for (to, outgoing) in &record.outgoing {
            self.streams.borrow_mut().insert(to.clone(), outgoing.stream);
            for seq in outgoing.unsettled.keys() {
                kept.push(self.network.label(MessageId { stream: outgoing.stream, seq: *seq }));
            }
        }
        let next = |key: &StreamKey| record.shown.next(key);
        let taken = taken(&self.network, &self.taken.borrow(), next);
        let found = What::Found(Found { kept, taken, is_same_again, ..Found::default() });
        self.network.record(at, &self.host, found);
    }
}

impl OnClient {
    fn says(&self, durable: Durable) {
        self.network.record(self.network.now(), &self.host, What::Durable(durable));
    }

    fn label(&self, to: &Name, seq: u64) -> Option<Label> {
        let stream = self.streams.borrow().get(to).copied()?;
        self.network.label(MessageId { stream, seq })
    }
}

#[cfg(test)]
mod tests {
    use udpchat_core::server::{StoredMessage, Turn};
    use udpchat_core::time::WallTime;

    use super::*;
    use crate::engine::runtime::{Timeline, Waiting};
    use crate::faults::fate::FaultPlan;
    use crate::naming::label::Audience;

    /// No time passes.
    struct Beginning;

    impl Timeline for Beginning {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> Waiting<'static> {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn what_ends_are_the_letters_that_go_and_no_place_between() {
        let network =
            Rc::new(Network::new(1, FaultPlan::default(), BTreeMap::new(), Rc::new(Beginning)));
        let (alice, bob): (HostName, Name) = ("alice".into(), "bob".parse().unwrap());
        let id = |seq| MessageId { stream: StreamId(7), seq };
        for (number, seq) in [(1, 1), (2, 2), (3, 3)] {
            let (label, text) = (Label::new(alice.clone(), number), number.to_string());
            network.typed(&label, Audience::One(bob.clone()), text.clone());
            let (to, id, typed_at) = (bob.clone(), id(seq), WallTime::from_unix_ms(0));
            let typed = client::Change::Typed { to, id, text, typed_at, group: None };
            network.client_writes(&alice, &[typed]);
        }
        let stored = |number, seq| {
            let (id, from, stored_at) = (id(seq), "alice".parse().unwrap(), WallTime::default());
            let (stored_after_ms, group, body) = (0, None, Box::default());
            let message =
                StoredMessage { number, id, from, stored_at, stored_after_ms, group, body };
            server::Change::Stored { to: bob.clone(), message }
        };
        // The second was refused.
        let key = StreamKey { from: "alice".parse().unwrap(), stream: StreamId(7) };
        let untold = vec![Turn { upto: 3, end: End::Expired }];
        let standing = Standing { to: bob.clone(), settled: 3, told: 0, untold };
        let settled = server::Change::Settled { key, standing, messages: vec![4, 5] };
        let changes = [stored(4, 1), stored(5, 3), settled];
        let witness = OnServer::new(Rc::clone(&network), "server".into());
        witness.writes(&changes);
        witness.has(&changes);
        let said = network.so_far().entries.into_iter().filter_map(|entry| match entry.what {
            What::Durable(Durable::Expired(label)) => Some(label.number),
            _ => None,
        });
        assert_eq!(said.collect::<Vec<_>>(), [1, 3]);
    }
}
