//! The packets of our protocol. A text is never in here: it travels beside, as the body.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    Cookie, GroupAnswer, GroupAsk, GroupTag, MessageId, Name, Nonce, NotSaved, Refusal, SessionId,
    StoreId, StreamId, TableId, Token,
};
use crate::time::WallTime;

/// Declares [`Packet`] together with [`PacketKind`], its names without the contents, and with
/// [`Audience`], which has a type of its own for whoever it is for: what a new packet needs, the
/// compiler asks for.
macro_rules! packets {
    ($($(#[$doc:meta])* $audience:ident $kind:ident $name:literal {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {
        /// One packet of our protocol; every operation is idempotent.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Packet {
            $($(#[$doc])* #[serde(rename = $name)] $kind { $($(#[$field_doc])* $field: $type,)* },)*
        }

        /// What kind of packet it is: the name that fixtures, logs and fault layers use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum PacketKind {
            /// The first word to a server that may be the original (docs/protocol.md, "Hello").
            Hello,
            $($(#[$doc])* $kind,)*
        }

        impl PacketKind {
            /// Every kind there is.
            pub const ALL: &[Self] = &[Self::Hello, $(Self::$kind,)*];

            /// The name on the wire and in fixtures.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { Self::Hello => "hello", $(Self::$kind => $name,)* }
            }
        }

        impl Packet {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> PacketKind {
                match self { $(Self::$kind { .. } => PacketKind::$kind,)* }
            }

            /// Whom it is for.
            #[must_use]
            pub fn into_audience(self) -> Audience {
                match self {
                    $(Self::$kind { $($field),* } => packets!(@for $audience $kind $($field)*),)*
                }
            }
        }

        packets! {
            @sort [] [] []
            $(($audience { $(#[$doc])* $kind { $($field: $type,)* } }))*
        }
    };
    (@for server $kind:ident $($field:ident)*) => {
        Audience::Server(ToServer::$kind { $($field),* })
    };
    (@for client $kind:ident $($field:ident)*) => {
        Audience::Client(ToClient::$kind { $($field),* })
    };
    (@for peer $kind:ident $($field:ident)*) => { Audience::Peer(ToPeer::$kind { $($field),* }) };
    (@sort [$($server:tt)*] $client:tt $peer:tt (server $packet:tt) $($rest:tt)*) => {
        packets! { @sort [$($server)* $packet] $client $peer $($rest)* }
    };
    (@sort $server:tt [$($client:tt)*] $peer:tt (client $packet:tt) $($rest:tt)*) => {
        packets! { @sort $server [$($client)* $packet] $peer $($rest)* }
    };
    (@sort $server:tt $client:tt [$($peer:tt)*] (peer $packet:tt) $($rest:tt)*) => {
        packets! { @sort $server $client [$($peer)* $packet] $($rest)* }
    };
    (@sort [$({ $($server:tt)* })*] [$({ $($client:tt)* })*] [$({ $($peer:tt)* })*]) => {
        /// What clients say to a server.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the fields are those of Packet")]
        pub enum ToServer { $($($server)*,)* }

        /// What a server says to clients.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the fields are those of Packet")]
        pub enum ToClient { $($($client)*,)* }

        /// What clients say to each other.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the fields are those of Packet")]
        pub enum ToPeer { $($($peer)*,)* }
    };
}

/// A packet, by whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// For a server.
    Server(ToServer),
    /// For a server's client.
    Client(ToClient),
    /// For another client.
    Peer(ToPeer),
}

packets! {
    /// Server to anyone who said hello: "if this reaches you, bring it back".
    client Challenge "challenge" {
        /// The hello's.
        nonce: Nonce,
        /// To be shown in `register`.
        cookie: Cookie,
    }
    /// Client to server: "I am `name`, and I am here".
    server Register "register" {
        /// Who wants to be here.
        name: Name,
        /// Whoever shows it again is the same client.
        token: Token,
        /// Counts the client's registrations: an older one that arrives late changes nothing.
        registration: u64,
        /// The hello's, as `challenge` had it.
        nonce: Nonce,
        /// From `challenge`: good with this nonce only.
        cookie: Cookie,
    }
    /// Server to client: the registration is granted.
    client Registered "registered" {
        /// Which one.
        registration: u64,
        /// The one that `register` showed: who has not seen that cannot answer it.
        nonce: Nonce,
        /// To be shown in every request from now on.
        session: SessionId,
        /// The life of the server's store.
        store: StoreId,
        /// Whether the name was known before.
        back: bool,
    }
    /// Server to client: somebody else holds the name and is being asked.
    client Wait "wait" {
        /// Which registration waits.
        registration: u64,
        /// As in `registered`.
        nonce: Nonce,
    }
    /// Server to client: the registration is refused.
    client Refused "refused" {
        /// Which one.
        registration: u64,
        /// As in `registered`.
        nonce: Nonce,
        /// Why.
        reason: Refusal,
    }
    /// Server to client: this token has registered with a number that is as high, from elsewhere or
    /// after another hello. So whoever asks has forgotten that: what it remembers is an older copy.
    client Behind "behind" {
        /// Which registration is behind.
        registration: u64,
        /// As in `registered`.
        nonce: Nonce,
        /// The highest registration of this token.
        known: u64,
        /// The highest request about groups of this token, 0 if there was none.
        request: u64,
    }
    /// Client to server: renews the lease.
    server Ping "ping" {
        /// Whose lease.
        session: SessionId,
    }
    /// Server to client: the lease is renewed.
    client Pong "pong" {
        /// Whose.
        session: SessionId,
    }
    /// Server to client: no such session at your address (any more); register again.
    client Unknown "unknown" {
        /// The one that was shown.
        session: SessionId,
    }
    /// Server to client: "are you there?"
    client Probe "probe" {
        /// The question's number.
        nonce: Nonce,
    }
    /// Client to server, answer to `probe`.
    server Alive "alive" {
        /// Who is there.
        session: SessionId,
        /// The question's number.
        nonce: Nonce,
    }
    /// Client to server: "I leave".
    server Deregister "deregister" {
        /// Whose registration ends.
        session: SessionId,
    }
    /// Server to client: the registration is over.
    client Deregistered "deregistered" {
        /// Whose.
        session: SessionId,
    }
    /// Server to client: what changed in the table after version `from`, up to version `to`.
    client Table "table" {
        /// For whom it is: a late part of an earlier one must not replace a newer table.
        session: SessionId,
        /// The table's life.
        table: TableId,
        /// Applies only to a client that stands exactly here; 0 replaces everything.
        from: u64,
        /// Where the client stands afterwards.
        to: u64,
        /// The newest version: at this one the table is whole.
        latest: u64,
        /// Those whose last change lies in between.
        entries: Vec<TableEntry>,
    }
    /// Client to server: where I stand with the table.
    server TableAck "table_ack" {
        /// Who stands there.
        session: SessionId,
        /// The table's life.
        table: TableId,
        /// The version that is applied.
        version: u64,
    }
    /// Client to client: a text, beside as the body.
    peer Message "message" {
        /// Who says so; the table must agree.
        from: Name,
        /// For whom: the address may have become somebody else's.
        to: Name,
        /// The stream of this sender to this recipient.
        stream: StreamId,
        /// Its place in the stream.
        seq: u64,
        /// Everything before this place is settled and will not come (again).
        base: u64,
        /// Whether it is a copy of a text to many, and of which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupTag>,
    }
    /// Client to client: everything of the stream up to `seq` has been shown.
    peer Ack "ack" {
        /// The stream.
        stream: StreamId,
        /// The last message shown.
        seq: u64,
    }
    /// Client to server: keep this text, beside as the body, for `to`.
    server Save "save" {
        /// Who keeps it here.
        session: SessionId,
        /// For whom.
        to: Name,
        /// As in `message`.
        stream: StreamId,
        /// As in `message`.
        seq: u64,
        /// As in `message`.
        base: u64,
        /// The recipient is in the table but did not answer: worth a `probe`.
        unreachable: bool,
        /// As in `message`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupTag>,
    }
    /// Server to client: everything of these streams up to these messages is in the store.
    client Saved "saved" {
        /// The life of the server's store: another store's word is worth nothing.
        store: StoreId,
        /// The last message stored of each stream; at most [`super::limits::SAVED_AT_ONCE`].
        messages: Vec<MessageId>,
    }
    /// Server to client: this message is not stored.
    client NotSaved "not_saved" {
        /// The stream.
        stream: StreamId,
        /// The message.
        seq: u64,
        /// Why.
        reason: NotSaved,
    }
    /// Server to client: a stored text, beside as the body.
    client Deliver "deliver" {
        /// For whom: the address may have become somebody else's.
        session: SessionId,
        /// Who sent it.
        from: Name,
        /// As in `message`.
        stream: StreamId,
        /// As in `message`.
        seq: u64,
        /// As in `message`, as far as the server's store is concerned.
        base: u64,
        /// When the server stored it.
        stored_at: WallTime,
        /// As in `message`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupTag>,
    }
    /// Client to server: everything of the stream up to `seq` has been shown.
    server Shown "shown" {
        /// Who has seen it.
        session: SessionId,
        /// Whose stream.
        from: Name,
        /// The stream.
        stream: StreamId,
        /// The last message shown.
        seq: u64,
    }
    /// Server to sender: everything of the stream up to `seq` has been shown to its reader.
    client HandedOver "handed_over" {
        /// The stream.
        stream: StreamId,
        /// The last message shown.
        seq: u64,
    }
    /// Server to sender: everything of the stream up to `seq` that was not said to be handed over
    /// has expired unread.
    client Expired "expired" {
        /// The stream.
        stream: StreamId,
        /// The last message that has expired.
        seq: u64,
    }
    /// Sender to server: the word about `seq` has arrived.
    server HandedOverAck "handed_over_ack" {
        /// Who knows it now.
        session: SessionId,
        /// The stream.
        stream: StreamId,
        /// The `seq` that was told.
        seq: u64,
    }
    /// Client to client: "can you hear me directly?"
    peer Knock "knock" {
        /// The question's number.
        nonce: Nonce,
    }
    /// Client to client, answer to `knock`.
    peer KnockAnswer "knock_answer" {
        /// The question's number.
        nonce: Nonce,
    }
    /// Client to server: something about groups.
    server GroupAsk "group_ask" {
        /// Who asks.
        session: SessionId,
        /// The request's number. Those of changes rise: a lower one that arrives late changes
        /// nothing.
        request: u64,
        /// What.
        ask: GroupAsk,
    }
    /// Server to client, answer to `group_ask`.
    client GroupAnswer "group_answer" {
        /// Who asked.
        session: SessionId,
        /// The request's number.
        request: u64,
        /// What came of it.
        answer: GroupAnswer,
    }
}

impl PacketKind {
    /// Whether it says when it was sent, for its answer to echo: what is repeated until it is
    /// answered, and whose answer is not anybody's to delay.
    #[must_use]
    pub const fn is_timed(self) -> bool {
        matches!(
            self,
            Self::Register
                | Self::Ping
                | Self::Deregister
                | Self::Table
                | Self::Message
                | Self::Save
                | Self::Deliver
                | Self::HandedOver
                | Self::Expired
                | Self::GroupAsk
        )
    }

    /// Which round trip it measures, if it answers what is timed.
    #[must_use]
    pub const fn measures(self) -> Option<Trip> {
        match self {
            Self::Pong | Self::Deregistered | Self::TableAck => Some(Trip::Network),
            Self::Registered
            | Self::Ack
            | Self::Saved
            | Self::Shown
            | Self::HandedOverAck
            | Self::GroupAnswer => Some(Trip::Disk),
            _ => None,
        }
    }
}

/// What an answer has to wait for, beside the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// Nothing.
    Network,
    /// The commits of whoever answers.
    Disk,
}

impl Packet {
    /// The session that a client shows in it.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match *self {
            Self::Ping { session }
            | Self::Alive { session, .. }
            | Self::Deregister { session }
            | Self::TableAck { session, .. }
            | Self::Save { session, .. }
            | Self::Shown { session, .. }
            | Self::HandedOverAck { session, .. }
            | Self::GroupAsk { session, .. } => Some(session),
            _ => None,
        }
    }

    /// Which message it is about, or up to which, if it is about no more than one stream.
    #[must_use]
    pub const fn message(&self) -> Option<MessageId> {
        match *self {
            Self::Saved { ref messages, .. } => match messages.as_slice() {
                [message] => Some(*message),
                _ => None,
            },
            Self::Message { stream, seq, .. }
            | Self::Ack { stream, seq }
            | Self::Save { stream, seq, .. }
            | Self::NotSaved { stream, seq, .. }
            | Self::Deliver { stream, seq, .. }
            | Self::Shown { stream, seq, .. }
            | Self::HandedOver { stream, seq }
            | Self::Expired { stream, seq }
            | Self::HandedOverAck { stream, seq, .. } => Some(MessageId { stream, seq }),
            _ => None,
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Who.
    pub name: Name,
    /// Where; nowhere if offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<SocketAddr>,
    /// Speaks only the original's dialect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub original: bool,
}
