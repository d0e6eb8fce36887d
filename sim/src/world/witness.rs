//! Writes down what programs write to their disks and find there: by labels, as a log does.
//!
//! Checkers compare what was durable with what is found. A record's inside is known only here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use udpchat::client::{self, ClientRecord};
use udpchat::protocol::{MessageId, Name, StreamId};
use udpchat::server::{self, ServerRecord};

use super::clock::elapsed;
use super::disk::Witness;
use crate::label::{HostName, Label};
use crate::log::{Durable, Found, What};
use crate::network::Network;

/// Looks on at the server's disk.
pub(super) struct OnServer {
    pub(super) network: Rc<Network>,
    pub(super) host: HostName,
}

/// Looks on at a client's disk.
pub(super) struct OnClient {
    network: Rc<Network>,
    host: HostName,
    /// The stream to each recipient, as it was written last.
    streams: RefCell<BTreeMap<Name, StreamId>>,
}

impl OnClient {
    pub(super) fn new(network: Rc<Network>, host: HostName) -> Self {
        Self { network, host, streams: RefCell::default() }
    }
}

impl Witness<ServerRecord> for OnServer {
    fn writes(&self, _: &[server::Change]) {}

    fn has(&self, changes: &[server::Change]) {
        self.network.server_has(elapsed(), &self.host, changes);
        for change in changes {
            if let server::Change::Settled { key, standing, letters } = change
                && !letters.is_empty()
            {
                let last = MessageId { stream: key.stream, seq: standing.settled };
                self.durable(last, Durable::Delivered);
            }
        }
    }

    fn finds(&self, record: &ServerRecord, is_same_again: bool) {
        let letters = record.mailboxes().flat_map(|(_, letters)| letters);
        let kept = letters.map(|letter| self.network.label(letter.id)).collect();
        let found = What::Found(Found { is_server: true, kept, is_same_again });
        self.network.record(elapsed(), &self.host, found);
    }
}

impl OnServer {
    fn durable(&self, id: MessageId, what: impl Fn(Label) -> Durable) {
        if let Some(label) = self.network.label(id) {
            self.network.record(elapsed(), &self.host, What::Durable(what(label)));
        }
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
                client::Change::Settled { to, seq } => {
                    if let Some(label) = self.label(to, *seq) {
                        self.network.record(elapsed(), &self.host, What::Settles(label));
                    }
                }
                _ => {}
            }
        }
    }

    fn has(&self, changes: &[client::Change]) {
        self.network.client_has(elapsed(), &self.host, changes);
        for change in changes {
            let durable = match change {
                client::Change::Typed { id, .. } => self.network.label(*id).map(Durable::Typed),
                client::Change::Settled { to, seq } => self.label(to, *seq).map(Durable::Settled),
                _ => None,
            };
            if let Some(durable) = durable {
                self.network.record(elapsed(), &self.host, What::Durable(durable));
            }
        }
    }

    fn finds(&self, record: &ClientRecord, is_same_again: bool) {
        let mut kept = Vec::new();
        for (to, outgoing) in &record.outgoing {
            self.streams.borrow_mut().insert(to.clone(), outgoing.stream);
            for seq in outgoing.unsettled.keys() {
                kept.push(self.network.label(MessageId { stream: outgoing.stream, seq: *seq }));
            }
        }
        let found = What::Found(Found { is_server: false, kept, is_same_again });
        self.network.record(elapsed(), &self.host, found);
    }
}

impl OnClient {
    fn label(&self, to: &Name, seq: u64) -> Option<Label> {
        let stream = self.streams.borrow().get(to).copied()?;
        self.network.label(MessageId { stream, seq })
    }
}
