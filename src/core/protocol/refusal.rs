//! Why a server does not do what it is asked.

use serde::{Deserialize, Serialize};

/// Why a registration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Its holder is there and answers.
    NameInUse,
    /// The server knows [`super::limits::NAMES_MAX`] names.
    ServerFull,
    /// The server's disk has no room for another name.
    DiskFull,
    /// Too many new names came from the address lately.
    TooManyNames {
        /// In so many minutes there may be another one.
        minutes: u32,
    },
}

/// Why a message was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSaved {
    /// Nobody ever registered under the recipient's name.
    UnknownName,
    /// The recipient's mailbox holds [`super::limits::MAILBOX_MAX`] messages.
    MailboxFull,
    /// The recipient's mailbox holds [`super::limits::MAILBOX_PER_SENDER`] messages of this sender.
    ShareFull,
    /// The server keeps [`super::limits::SENDER_STORED_MAX`] messages of this sender.
    SenderFull,
    /// The server keeps [`super::limits::STORED_MAX`] messages, or knows
    /// [`super::limits::MAIL_STREAMS_MAX`] streams that it cannot forget.
    ServerFull,
    /// The server's disk has no room.
    DiskFull,
    /// The body is empty or longer than [`super::limits::TEXT_MAX`].
    BadText,
}
