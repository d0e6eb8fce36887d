//! Groups on the wire: what a copy of a group message shows, and what clients ask of a server.
//!
//! docs/protocol.md, "Groups". A group's name obeys the rule of [`Name`]s.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CastId, Name};

/// Says of a message that it is one of several copies of one text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTag {
    /// Which text: the same in all of its copies.
    pub cast: CastId,
    /// The group that it was sent to; everybody if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

impl GroupTag {
    /// Whom the text is for, in a word.
    #[must_use]
    pub fn audience(&self) -> &str {
        self.name.as_ref().map_or("everybody", Name::as_str)
    }
}

impl fmt::Display for GroupTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.audience())
    }
}

/// What a client asks of a server's groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupAsk {
    /// A new group with whoever asks as its only member.
    Create(Name),
    /// To be a member.
    Join(Name),
    /// Not to be a member any more.
    Leave(Name),
    /// The names of groups, from behind `after` on.
    List {
        /// The last name that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Name>,
    },
    /// The names of a group's members, from behind `after` on.
    Members {
        /// Which group.
        group: Name,
        /// The last name that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Name>,
    },
}

impl GroupAsk {
    /// Whether it changes anything: then it must not be done twice.
    #[must_use]
    pub const fn is_change(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Join(_) | Self::Leave(_))
    }
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupAnswer {
    /// It is done, and durable.
    Done,
    /// It is not done.
    Refused(GroupRefusal),
    /// A later request of the same client was answered: so was this one, and its user was told.
    Old,
    /// Some of the names that were asked for, in order.
    Names {
        /// The names.
        names: Vec<Name>,
        /// Whether there are names behind these.
        more: bool,
    },
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupRefusal {
    /// There is such a group.
    Exists,
    /// There is no such group.
    NoSuchGroup,
    /// Only members may do that.
    NotMember,
    /// There are [`super::limits::GROUPS_MAX`] groups.
    TooManyGroups,
    /// There are [`super::limits::GROUPS_PER_NAME`] groups that the name has made.
    TooManyMade,
    /// The group has [`super::limits::MEMBERS_MAX`] members.
    GroupFull,
    /// The server's disk has no room for more. Later it may have.
    DiskFull,
}
