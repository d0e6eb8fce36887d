//! What programs have on their disks, as a log tells it: by labels.

use std::collections::BTreeSet;
use std::fmt;

use udpchat_core::protocol::Name;

use crate::naming::label::Label;

/// What a disk has for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durable {
    /// The server's: a message.
    Stored(Label),
    /// The server's: that somebody belongs to a group.
    Joined {
        /// Which group.
        group: Name,
        /// Who.
        member: Name,
    },
    /// The server's: that somebody belongs to a group no more.
    Left {
        /// Which group.
        group: Name,
        /// Who.
        member: Name,
    },
    /// A recipient's: a message that it is about to show.
    Remembered(Label),
    /// A recipient's: that a message was shown.
    Displayed(Label),
    /// A sender's: a message that is not settled.
    Typed(Label),
    /// A sender's: that a message needs no further care.
    Settled(Label),
    /// The server's: that a message needs no keeping any more, for it was shown.
    Delivered(Label),
    /// The server's: that a message is kept no longer, for nobody has come for it.
    Expired(Label),
}

/// What a program finds on its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether it is the server.
    pub is_server: bool,
    /// The messages that it keeps, for recipients or to be sent; none for one that nobody knows.
    pub kept: Vec<Option<Label>>,
    /// Of the messages that its disk ever had, from others, those of which it would know a copy.
    pub taken: BTreeSet<Label>,
    /// Who is known to it, if it is the server.
    pub names: BTreeSet<Name>,
    /// Each group with each of its members, if it is the server.
    pub members: BTreeSet<(Name, Name)>,
    /// Whether whoever looked once more would find the same.
    pub is_same_again: bool,
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(label) => write!(f, "has {label} on its disk"),
            Self::Remembered(label) => write!(f, "remembers {label}"),
            Self::Displayed(label) => {
                write!(f, "remembers that {label} was shown")
            }
            Self::Joined { group, member } => {
                write!(f, "has on its disk that {member} is in {group}")
            }
            Self::Left { group, member } => {
                write!(f, "has on its disk that {member} is not in {group}")
            }
            Self::Typed(label) => {
                write!(f, "has on its disk that {label} is to be sent")
            }
            Self::Settled(label) => {
                write!(f, "has on its disk that it is done with {label}")
            }
            Self::Delivered(label) => {
                write!(f, "has on its disk that {label} is delivered")
            }
            Self::Expired(label) => {
                write!(f, "has on its disk that {label} has expired")
            }
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |label: &Option<Label>| {
            label.as_ref().map_or_else(|| "unknown".to_owned(), Label::to_string)
        };
        let kept: Vec<String> = self.kept.iter().map(name).collect();
        let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
        let again =
            if self.is_same_again { "" } else { ", and something else when it looks again" };
        write!(f, "finds {kept} on its disk{again}")
    }
}
