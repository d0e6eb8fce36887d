//! What goes over the wire: packets, their envelope, names, limits.
//!
//! Knows nothing of time, sockets or who sends what when. The normative text is docs/protocol.md.
//! The original program's dialect is not here but in `original`.

pub mod envelope;
mod group;
pub mod hello;
mod id;
pub mod limits;
mod name;
mod packet;
mod refusal;

pub use group::{GroupAnswer, GroupAsk, GroupRefusal, GroupTag};
pub use id::{
    CastId, Cookie, MessageId, Nonce, SessionId, StoreId, StreamId, StreamKey, TableId, Token,
};
pub use name::{BadName, NAME_MAX, Name};
pub use packet::{Audience, Packet, PacketKind, TableEntry, ToClient, ToPeer, ToServer, Trip};
pub use refusal::{NotSaved, Refusal};
