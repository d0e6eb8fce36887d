//! Shares as wide as what is shared: most tests are about something else.

use std::time::Duration;

use udpchat_core::protocol::limits::{GROUPS_MAX, MAILBOX_MAX};
use udpchat_core::server::Shares;

pub(super) fn shares() -> Shares {
    Shares {
        mailbox_per_sender: MAILBOX_MAX,
        groups_per_name: GROUPS_MAX,
        new_names_at_once: u32::MAX,
        new_name_every: Duration::ZERO,
    }
}
