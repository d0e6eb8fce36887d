//! What a client is told, and what it tells.

use super::history::Line;
use crate::protocol::limits::{OUTBOX_MAX, WAITING_COMMANDS_MAX};
use crate::protocol::{MessageId, Name};
use crate::time::WallTime;

/// What the user wants of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send a text, 1 to [`crate::protocol::limits::TEXT_MAX`] bytes.
    Send {
        /// To whom.
        to: Name,
        /// What.
        text: String,
    },
    /// Sign in again.
    Register(Name),
    /// Go offline.
    Deregister(Name),
    /// Say who is here.
    List,
    /// Say what was written with somebody.
    History(Name),
    /// Go offline and end at once, whatever is still on its way.
    Quit,
    /// Go offline and end once every send has its outcome.
    Finish,
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has granted the name.
    Registered {
        /// Which.
        name: Name,
        /// Whether the server knew it before.
        back: bool,
    },
    /// The table has changed and is whole. Everyone, sorted.
    Table(Listing),
    /// The answer to [`Command::List`].
    List(Listing),
    /// A [`Command::Send`] was accepted; the id's outcome follows.
    Sending {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
    },
    /// The message goes over the server.
    Detour {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
        /// Why not directly.
        reason: DetourReason,
    },
    /// A message for the user, shown once but for `again`.
    Message {
        /// The message.
        id: MessageId,
        /// Its sender.
        from: Name,
        /// Its text, raw: whoever prints it escapes it.
        text: String,
        /// When the server stored it, if it came from there.
        stored_at: Option<WallTime>,
        /// Whether it may have been shown before: the client ended just then.
        again: bool,
    },
    /// The answer to [`Command::History`], in order; nothing if nothing was written.
    History {
        /// With whom.
        with: Name,
        /// What.
        lines: Vec<Line>,
    },
    /// The recipient has seen the message.
    Received {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
    },
    /// The server keeps the message for its recipient.
    Saved {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
    },
    /// The message is not sent. Unless the reason is final it is kept and goes out later.
    Unsent {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
        /// Why.
        reason: UnsentReason,
    },
    /// The user is offline now, on request or because the name went to somebody else.
    Offline,
    /// The server has not answered for a while; the client goes on trying.
    ServerNotResponding,
    /// Something that the user asked for is not done.
    Error(Problem),
    /// The client has ended.
    Left {
        /// Whether it was ever registered, and every send was received or saved.
        complete: bool,
    },
}

/// Everyone in the table, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those who are here.
    pub online: Vec<Name>,
    /// Those who are away.
    pub offline: Vec<Name>,
}

/// Why a message takes the way over the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetourReason {
    /// The recipient did not acknowledge it.
    NoAck,
    /// The recipient is away.
    Offline,
    /// The recipient lately did not acknowledge anything, or an earlier message is still there.
    Earlier,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsentReason {
    /// Neither recipient nor server answers. Kept.
    #[error("server not responding; it is kept and goes out when the server is back")]
    ServerNotResponding,
    /// The recipient's mailbox has no room. Kept.
    #[error("mailbox full; it is kept and goes out when there is room")]
    MailboxFull,
    /// The server has lost its memory, and does not know the recipient any more. Kept.
    #[error("the server has forgotten the recipient; it is kept and goes out when they are back")]
    Forgotten,
    /// The server knows nobody of this name. Final.
    #[error("not known to the server")]
    UnknownName,
    /// The server does not take the text. Final.
    #[error("the server refuses the text")]
    BadText,
    /// The user left before it was sent. Final.
    #[error("left before it was sent")]
    Left,
}

impl UnsentReason {
    /// Whether the message is given up.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::UnknownName | Self::BadText | Self::Left)
    }
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A send while deregistered.
    #[error("Can't send message, you are offline.")]
    Offline,
    /// `reg` of another name.
    #[error("Cannot register {0}: you are {1}")]
    CannotRegister(Name, Name),
    /// `dereg` of another name.
    #[error("Cannot deregister {0}: you are {1}")]
    CannotDeregister(Name, Name),
    /// `reg` while registered.
    #[error("You are already registered")]
    AlreadyRegistered,
    /// `dereg` while deregistered.
    #[error("You are already offline")]
    AlreadyOffline,
    /// The name has a holder who answers.
    #[error("Username {0} already in use")]
    NameInUse(Name),
    /// The server takes no more names.
    #[error("The server knows too many names; try again later")]
    ServerFull,
    /// The outbox has no room.
    #[error("Not sent: {OUTBOX_MAX} messages are waiting already")]
    OutboxFull,
    /// A send that had not begun when the user left.
    #[error("Not sent to {0}: left before it could be")]
    LeftBefore(Name),
    /// Too many commands before the first registration.
    #[error("Not done: {WAITING_COMMANDS_MAX} commands are waiting already")]
    TooManyCommands,
}
