//! How packets become datagrams in our own protocol: from which of this machine's addresses they
//! leave, when they say that they were sent, and which datagram they answer.

use std::net::{IpAddr, SocketAddr};

use super::context::Context;
use crate::machine::{Identity, Path, Socket, Transmit};
use crate::mutation::Mutations;
use crate::protocol::Packet;
use crate::protocol::envelope::{self, Stamps};
use crate::time::whole_ms;

/// Something to be sent.
#[derive(Debug)]
pub(super) enum Dispatch {
    /// A packet, in whichever dialect its receiver speaks.
    Packet {
        to: Destination,
        packet: Packet,
        /// What travels beside it; mostly nothing.
        body: String,
        /// How often it has been sent, this time included.
        attempt: u32,
    },
    /// A hello, which is the same in every dialect.
    Hello { to: SocketAddr, bytes: Vec<u8>, attempt: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Server,
    Peer(Path),
}

impl Dispatch {
    /// A packet without a text, to the server.
    pub(super) const fn to_server(packet: Packet, attempt: u32) -> Self {
        Self::Packet { to: Destination::Server, packet, body: String::new(), attempt }
    }

    /// A packet without a text, to a peer.
    pub(super) fn to_peer(path: impl Into<Path>, packet: Packet, attempt: u32) -> Self {
        let to = Destination::Peer(path.into());
        Self::Packet { to, packet, body: String::new(), attempt }
    }
}

/// What is known of this machine's side of the conversation.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The address of this machine at which its server reaches it: peers look for it there.
    reached_at: Option<IpAddr>,
    /// If the datagram that is being handled says when it was sent: where from, and when.
    answering: Option<(SocketAddr, u64)>,
    invalid_datagrams: u64,
}

impl Wire {
    /// How many datagrams were dropped because they were damaged, or nobody's.
    pub(super) const fn invalid_datagrams(&self) -> u64 {
        self.invalid_datagrams
    }

    /// A datagram was nothing that anybody says.
    pub(super) const fn count_invalid(&mut self) {
        self.invalid_datagrams += 1;
    }

    /// The server reaches this machine there.
    pub(super) const fn note_local(&mut self, local: Option<IpAddr>) {
        self.reached_at = local;
    }

    /// A datagram is handled that says when it was sent. What is sent meanwhile answers it.
    pub(super) fn begin_answer(&mut self, from: SocketAddr, stamps: Stamps) {
        self.answering = stamps.sent_ms.map(|sent| (from, sent));
    }

    pub(super) const fn end_answer(&mut self) {
        self.answering = None;
    }

    /// The address from which a peer is spoken to: where it asked, or where it looks for us.
    pub(super) fn source_for(&self, peer: Path) -> Path {
        Path { remote: peer.remote, local: peer.local.or(self.reached_at) }
    }

    /// A packet of our protocol as a datagram.
    pub(super) fn encode<M: Mutations>(
        &self,
        context: &Context<M>,
        Path { remote: to, local: source }: Path,
        packet: &Packet,
        body: &str,
        attempt: u32,
    ) -> Transmit {
        let kind = packet.kind();
        let stamps = Stamps {
            sent_ms: kind.is_timed().then(|| whole_ms(context.time().since_start())),
            echo_ms: self
                .answering
                .filter(|(from, _)| *from == to && kind.measures().is_some())
                .map(|(_, sent)| sent),
        };
        let bytes = envelope::encode_stamped(packet, stamps, body.as_bytes());
        let identity = Identity { kind, message: packet.message(), attempt };
        Transmit { socket: Socket::Main, source, to, bytes, identity }
    }
}
