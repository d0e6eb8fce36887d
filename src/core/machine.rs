//! What server and client have in common: a state machine without input or output.
//!
//! Knows no socket, clock, disk or runtime. Whoever drives a [`Machine`] hands it inputs one at a
//! time, and carries out what [`Machine::poll_output`] gives: all of it before it waits, and after
//! each input at least what [`Machine::poll_at_once`] gives.

use std::net::{IpAddr, SocketAddr};

use crate::protocol::{MessageId, PacketKind};
use crate::store::Committed;
use crate::time::{Now, Time};

/// A protocol's state machine.
pub trait Machine {
    /// What its user may tell it.
    type Command;
    /// What it tells its user.
    type Event;
    /// What it asks its store to keep.
    type Change;

    /// A datagram has arrived. Any bytes are survived.
    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>);

    /// The user wants something.
    fn handle_command(&mut self, now: Now, command: Self::Command);

    /// Whether it has room for another command. Until it has, a user who can wait should.
    #[must_use]
    fn takes_commands(&self) -> bool {
        true
    }

    /// Time has passed. Early or repeated calls are harmless.
    fn handle_timeout(&mut self, now: Now);

    /// The oldest [`Output::Commit`]s are durable; what waited for them may go out. An empty commit
    /// asks for nothing but the room that there is.
    fn handle_committed(&mut self, now: Now, committed: Committed);

    /// The next datagram that waits for nothing, and for which somebody else waits.
    #[must_use]
    fn poll_at_once(&mut self) -> Option<Transmit>;

    /// The next thing to do, in order, until there is none: first what is to be done at once.
    #[must_use]
    fn poll_output(&mut self) -> Option<Output<Self::Event, Self::Change>>;

    /// When [`Self::handle_timeout`] is due. Ask again after every input.
    #[must_use]
    fn next_timeout(&self) -> Option<Time>;

    /// Whether it has come to its end and wants no more input.
    #[must_use]
    fn is_finished(&self) -> bool;

    /// Panics if something does not hold that must between two inputs. Simulators and tests ask
    /// after every input; no loop does, so that a shipped program does not even contain it.
    fn check_invariants(&self) {}
}

/// What a machine wants done. One queue keeps the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<E, C> {
    /// Send a datagram. It may get lost; failing to send it is a way of losing it.
    Transmit(Transmit),
    /// Tell the user.
    Event(E),
    /// Make these changes durable, all or none, then call [`Machine::handle_committed`]. Commits
    /// end in the order in which they are asked for.
    Commit(Vec<C>),
}

/// Which of a node's sockets: the original's dialect can be acknowledged only on a second one
/// (docs/original.md, "Second socket").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Socket {
    /// The one with the well-known port.
    Main,
    /// The server's other one.
    Second,
}

/// A datagram that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// On which socket.
    pub socket: Socket,
    /// At which address of this machine, if the system says so: an answer leaves from there.
    pub local: Option<IpAddr>,
    /// Where it claims to come from.
    pub from: SocketAddr,
    /// All of it.
    pub bytes: &'a [u8],
}

impl Datagram<'_> {
    /// The way that an answer takes.
    #[must_use]
    pub const fn path(&self) -> Path {
        Path { remote: self.from, local: self.local }
    }
}

/// Somebody's address, and the address of this machine at which they are talked with: whoever
/// asked at one of several takes no answer from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Theirs.
    pub remote: SocketAddr,
    /// Ours; where it is not known, the system chooses.
    pub local: Option<IpAddr>,
}

impl From<SocketAddr> for Path {
    fn from(remote: SocketAddr) -> Self {
        Self { remote, local: None }
    }
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From which socket.
    pub socket: Socket,
    /// From which address of this machine. Where none is given, or that one leads nowhere, the
    /// system chooses.
    pub source: Option<IpAddr>,
    /// Where to.
    pub to: SocketAddr,
    /// All of it.
    pub bytes: Vec<u8>,
    /// What it is, for whoever must tell datagrams apart without reading them.
    pub identity: Identity,
}

/// What a datagram is. Fault layers and logs decide by this and never parse bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// What kind of packet.
    pub kind: PacketKind,
    /// Which message it is about.
    pub message: Option<MessageId>,
    /// How often its sender has sent it, this time included. An answer counts as 1: how often it
    /// is given depends on how often it is asked for.
    pub attempt: u32,
}

/// Where a machine gets its random numbers: injected, so that a run can be repeated.
pub struct Entropy(Box<dyn FnMut() -> u64 + Send>);

impl Entropy {
    /// Takes numbers from `source`.
    pub fn new(source: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self(Box::new(source))
    }

    /// The next number, any of 2^64.
    pub fn draw(&mut self) -> u64 {
        (self.0)()
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}
