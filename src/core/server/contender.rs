//! Who wants a name that somebody may have.

use super::Account;
use crate::machine::Path;
use crate::original::Owed;
use crate::protocol::Name;

/// Who wants a name.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) name: Name,
    pub(super) path: Path,
    pub(super) account: Account,
    /// What its next `ACK` may be for, if it speaks the original's dialect.
    pub(super) owed: Owed,
}
