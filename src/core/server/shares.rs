//! What one name, or one address, may have of what all share.
//!
//! docs/protocol.md, "Shares". How many there are in all is in [`crate::protocol::limits`].

use std::time::Duration;

use super::timing::NEW_NAME_EVERY;
use crate::protocol::limits::{GROUPS_PER_NAME, MAILBOX_PER_SENDER, NEW_NAMES_AT_ONCE};

/// How much one may have. The defaults are the constants of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// [`MAILBOX_PER_SENDER`].
    pub mailbox_per_sender: usize,
    /// [`GROUPS_PER_NAME`].
    pub groups_per_name: usize,
    /// [`NEW_NAMES_AT_ONCE`].
    pub new_names_at_once: u32,
    /// [`NEW_NAME_EVERY`].
    pub new_name_every: Duration,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            mailbox_per_sender: MAILBOX_PER_SENDER,
            groups_per_name: GROUPS_PER_NAME,
            new_names_at_once: NEW_NAMES_AT_ONCE,
            new_name_every: NEW_NAME_EVERY,
        }
    }
}
