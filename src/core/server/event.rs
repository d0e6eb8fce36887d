//! What a server is told, and what it tells its operator.

use std::net::SocketAddr;

use super::Stats;
use crate::protocol::{MessageId, Name};
use crate::store::DiskSpace;

/// What the operator wants of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say what was counted: [`Event::Stats`].
    Stats,
    /// End.
    Stop,
}

/// What the operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client is here.
    Registered {
        /// Who.
        name: Name,
        /// Where.
        addr: SocketAddr,
        /// Whether the name was known before.
        back: bool,
        /// Whether it speaks the original's dialect.
        original: bool,
    },
    /// A client is refused, for the name's holder answers.
    Refused {
        /// The name it wanted.
        name: Name,
        /// Where it called from.
        addr: SocketAddr,
    },
    /// A client is away.
    Gone {
        /// Who.
        name: Name,
        /// Why.
        reason: GoneReason,
    },
    /// A message is in the store.
    Stored {
        /// Which.
        id: MessageId,
        /// From whom.
        from: Name,
        /// For whom.
        to: Name,
    },
    /// Stored messages of one stream have been shown to their reader.
    HandedOver {
        /// The last of them.
        id: MessageId,
        /// To whom.
        to: Name,
        /// How many.
        count: usize,
    },
    /// Stored messages of one stream were kept for long enough.
    Expired {
        /// The last of them.
        id: MessageId,
        /// Who had sent them.
        from: Name,
        /// Who had not come for them.
        to: Name,
        /// How many.
        count: usize,
    },
    /// A group has one member more or less.
    Group {
        /// Which group.
        group: Name,
        /// Who.
        member: Name,
        /// What happened.
        what: GroupChange,
    },
    /// There is little room in the store from now on, or enough again.
    DiskSpace(DiskSpace),
    /// The answer to [`Command::Stats`].
    Stats(Stats),
}

/// What has become of a client's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// It has made the group and is its only member.
    Created,
    /// It is a member.
    Joined,
    /// It is no member any more.
    Left,
}

/// Why a client counts as away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// It said so.
    Deregistered,
    /// It has not been heard of for [`super::timing::LEASE`].
    LeaseExpired,
    /// It did not answer a question.
    Silent,
    /// It came back elsewhere, or its silent name was given to another.
    Replaced,
}
