//! Nodes that are no machines of ours, and the network as they see it: nothing but bytes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use udpchat_core::time::{Now, Time};

/// A node that is not ours: a double of the original program.
pub(crate) trait Foreign {
    /// A datagram has arrived.
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]);

    /// Time has passed.
    fn handle_timeout(&mut self, now: Now);

    /// When [`Self::handle_timeout`] is due.
    fn next_timeout(&self) -> Option<Time>;

    /// The next datagram to send, and where to.
    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)>;
}

/// A foreign node in the world; its test holds it too.
pub(crate) type Shared<T> = Rc<RefCell<T>>;

pub(super) struct ForeignNode {
    pub(super) node: Shared<dyn Foreign>,
    pub(super) addr: SocketAddr,
}

/// A datagram as it leaves, whoever sends it.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) at: Time,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) bytes: Vec<u8>,
}

impl Wire {
    /// Whether it is on such a way.
    pub(crate) fn is(&self, from: &str, to: &str) -> bool {
        self.from == from && self.to == to
    }

    /// Its bytes as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
