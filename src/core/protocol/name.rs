//! Names of users: what is allowed, and when two are the same.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name, in letters: fits a prompt, and a table of names fits many to a datagram.
pub const NAME_MAX: usize = 32;

/// A user's name: 1 to [`NAME_MAX`] ASCII letters, digits, `_` and `-`, a letter first.
///
/// Names that differ only in case are equal; each is shown as it was written.
/// See docs/protocol.md, "Names". A copy shares its letters: a server keeps a name millions of times.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {NAME_MAX} letters a-z, digits, '_' and '-', and begins with a letter")]
pub struct BadName;

impl Name {
    /// The name as its owner wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is the same for all ways to write the name: a key that sorts as names do.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        self.0.as_bytes().to_ascii_lowercase()
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let well_formed = text.len() <= NAME_MAX
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
            && text.bytes().all(allowed);
        if well_formed { Ok(Self(text.into())) } else { Err(BadName) }
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others) = (self.0.as_bytes(), other.0.as_bytes());
        // Most letters are the same as they are: the rule is for those that are not.
        for (own, other) in own.iter().zip(others).filter(|(own, other)| own != other) {
            let order = own.to_ascii_lowercase().cmp(&other.to_ascii_lowercase());
            if order.is_ne() {
                return order;
            }
        }
        own.len().cmp(&others.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_the_rule() {
        for good in ["a", "Alice", "bob-2", "x_y", &"n".repeat(NAME_MAX)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let too_long = "n".repeat(NAME_MAX + 1);
        for bad in ["", "2bob", "-a", "_a", "a b", "a/b", "é", "a\0", "a\n", &too_long] {
            assert_eq!(bad.parse::<Name>(), Err(BadName), "{bad}");
        }
    }

    #[test]
    fn names_sort_as_their_keys_do() {
        let names = ["a", "A", "ab", "aB-", "a_", "Ab1", "b", "Z", "z9", "zA"];
        let names = names.map(|name| name.parse::<Name>().unwrap());
        for (one, other) in names.iter().flat_map(|one| names.iter().map(move |two| (one, two))) {
            assert_eq!(one.cmp(other), one.key().cmp(&other.key()), "{one} {other}");
        }
    }

    #[test]
    fn case_makes_no_difference_but_is_kept() {
        let (shout, plain): (Name, Name) = ("ALICE".parse().unwrap(), "alice".parse().unwrap());
        assert_eq!(shout, plain);
        assert_eq!(shout.cmp(&plain), Ordering::Equal);
        assert_eq!(shout.to_string(), "ALICE");
    }
}
