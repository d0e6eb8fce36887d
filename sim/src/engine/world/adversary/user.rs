//! A user of the adversary's own: signs in as everybody does, and answers what it must.

use serde_json::{Value, json};
use udpchat_core::machine::Identity;
use udpchat_core::protocol::envelope::{decode, encode};
use udpchat_core::protocol::{
    Name, Nonce, Packet, PacketKind, SessionId, StoreId, TableId, Token, hello,
};

/// A datagram and what it is.
type Worded = (Identity, Vec<u8>);

/// A user.
pub(super) struct User {
    name: Name,
    token: Token,
    /// How often it has asked to sign in.
    registration: u64,
    session: Option<SessionId>,
    store: StoreId,
    table: TableId,
}

impl User {
    /// A user who has not signed in.
    pub(super) fn new(name: Name, token: u64) -> Self {
        let (token, registration, session) = (Token(token), 0, None);
        let (store, table) = (StoreId::default(), TableId::default());
        Self { name, token, registration, session, store, table }
    }

    /// Asks to sign in, or to stay.
    pub(super) fn goes_on(&mut self) -> Worded {
        if let Some(session) = self.session {
            return worded(&Packet::Ping { session });
        }
        self.registration += 1;
        let identity = Identity { kind: PacketKind::Hello, message: None, attempt: 1 };
        (identity, hello::encode(self.nonce()))
    }

    /// Ties the server's challenge to the last hello.
    const fn nonce(&self) -> Nonce {
        Nonce(self.token.0.wrapping_add(self.registration))
    }

    /// What a name stands for in what it sends.
    pub(super) fn known(&self, name: &str) -> Option<Value> {
        match name {
            "$session" => Some(json!(self.session?)),
            "$store" => Some(json!(self.store)),
            "$table" => Some(json!(self.table)),
            "$token" => Some(json!(self.token)),
            _ => None,
        }
    }

    /// Something has come; what it answers.
    pub(super) fn hears(&mut self, bytes: &[u8]) -> Option<Worded> {
        let (packet, _) = decode(bytes).ok()?;
        let session = self.session.unwrap_or_default();
        let answer = match packet {
            Packet::Challenge { nonce, cookie } if nonce == self.nonce() => {
                let (name, token, registration) =
                    (self.name.clone(), self.token, self.registration);
                Packet::Register { name, token, registration, nonce, cookie }
            }
            Packet::Registered { session, store, .. } => {
                (self.session, self.store) = (Some(session), store);
                return None;
            }
            Packet::Unknown { session } if self.session == Some(session) => {
                self.session = None;
                return None;
            }
            Packet::Probe { nonce } => Packet::Alive { session, nonce },
            Packet::Table { table, to, .. } => {
                self.table = table;
                Packet::TableAck { session, table, version: to }
            }
            Packet::Message { stream, seq, .. } => Packet::Ack { stream, seq },
            Packet::Deliver { from, stream, seq, .. } => {
                Packet::Shown { session, from, stream, seq }
            }
            Packet::HandedOver { stream, seq } | Packet::Expired { stream, seq } => {
                Packet::HandedOverAck { session, stream, seq }
            }
            Packet::Knock { nonce } => Packet::KnockAnswer { nonce },
            _ => return None,
        };
        Some(worded(&answer))
    }
}

fn worded(packet: &Packet) -> Worded {
    let identity = Identity { kind: packet.kind(), message: packet.message(), attempt: 1 };
    (identity, encode(packet, b""))
}
