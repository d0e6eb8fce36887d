//! Who wants a name that somebody may have.

use super::Account;
use crate::machine::Path;
use crate::original::Owed;
use crate::protocol::{Name, Nonce};

/// Who wants a name.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) name: Name,
    pub(super) path: Path,
    pub(super) account: Account,
    /// What its answers echo.
    pub(super) nonce: Nonce,
    /// What its next `ACK` may be for, if it speaks the original's dialect.
    pub(super) owed: Owed,
}
