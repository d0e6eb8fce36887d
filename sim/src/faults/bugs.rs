//! Bugs to plant in the machines, to prove that the checkers would catch them.
//!
//! The places are in the machines ([`udpchat_core::plant`]), the names only here: no shipped
//! program holds one.

use std::cell::Cell;
use std::rc::Rc;

use udpchat_core::plant::{Bug, Plant};

/// Every bug and its name.
pub const BUGS: &[(Bug, &str)] = &[
    (Bug::ShowsCopies, "shows-copies"),
    (Bug::HighestOnly, "highest-only"),
    (Bug::AcksHeld, "acks-held"),
    (Bug::CopyNotAcked, "copy-not-acked"),
    (Bug::ForgetsShown, "forgets-shown"),
    (Bug::ShowsAgainUnmarked, "shows-again-unmarked"),
    (Bug::NeverShowsAgain, "never-shows-again"),
    (Bug::ForgetsDisplayed, "forgets-displayed"),
    (Bug::ForgetsOutbox, "forgets-outbox"),
    (Bug::GivesUpSaving, "gives-up-saving"),
    (Bug::NeverDetours, "never-detours"),
    (Bug::AckConfirmsNewest, "ack-confirms-newest"),
    (Bug::SignsInOnce, "signs-in-once"),
    (Bug::WrapsAround, "wraps-around"),
    (Bug::BackoffUnbounded, "backoff-unbounded"),
    (Bug::NoBackoff, "no-backoff"),
    (Bug::BaseTooHigh, "base-too-high"),
    (Bug::NoChecksum, "no-checksum"),
    (Bug::CommitsUnsynced, "commits-unsynced"),
    (Bug::AcksBeforeCommit, "acks-before-commit"),
    (Bug::SavesHeld, "saves-held"),
    (Bug::ClearsMailboxEarly, "clears-mailbox-early"),
    (Bug::ForgetsHandOver, "forgets-hand-over"),
    (Bug::RegistrationWipesMail, "registration-wipes-mail"),
    (Bug::ClockStepExpiresMail, "clock-step-expires-mail"),
    (Bug::OneWayIsOffline, "one-way-is-offline"),
    (Bug::OldRegistrationCounts, "old-registration-counts"),
    (Bug::KeepsOldAddress, "keeps-old-address"),
    (Bug::AnswersFromAnywhere, "answers-from-anywhere"),
    (Bug::TableSentOnce, "table-sent-once"),
    (Bug::KeepsFlights, "keeps-flights"),
    (Bug::ForgetsMembership, "forgets-membership"),
    (Bug::AsksTwice, "asks-twice"),
    (Bug::KeepsLeavers, "keeps-leavers"),
    (Bug::ReceiptAtHandOver, "receipt-at-hand-over"),
    (Bug::StaleMembers, "stale-members"),
    (Bug::CastsAgain, "casts-again"),
    (Bug::LeavingGivesUp, "leaving-gives-up"),
];

/// The bug of this name.
#[must_use]
pub fn named(name: &str) -> Option<Bug> {
    BUGS.iter().find(|(_, of)| *of == name).map(|(bug, _)| *bug)
}

/// The bug's name.
#[must_use]
pub fn name_of(bug: Bug) -> &'static str {
    BUGS.iter().find(|(known, _)| *known == bug).map_or("", |(_, name)| name)
}

/// The bug's own bit in a set of bugs.
#[must_use]
pub const fn bit(bug: Bug) -> u64 {
    1 << bug as u64
}

/// At most one bug, planted in every machine of a run.
#[derive(Clone, Default)]
pub struct Planted {
    bug: Option<Bug>,
    activations: Rc<Cell<u64>>,
    /// A bit for each bug, set when it was asked for.
    chances: Rc<Cell<u64>>,
}

impl Planted {
    /// This bug, or none.
    #[must_use]
    pub fn new(bug: Option<Bug>) -> Self {
        Self { bug, activations: Rc::default(), chances: Rc::default() }
    }

    /// How often it had its chance: without any, not to be caught is no shame.
    #[must_use]
    pub fn activations(&self) -> u64 {
        self.activations.get()
    }

    /// Which bugs, planted or not, had their chance: a [`bit`] for each. If a run without bugs
    /// gave one no chance, the same run with that bug is the same in every event.
    #[must_use]
    pub fn chances(&self) -> u64 {
        self.chances.get()
    }
}

impl Plant for Planted {
    fn has(&self, bug: Bug) -> bool {
        let has = self.bug == Some(bug);
        self.activations.set(self.activations.get() + u64::from(has));
        self.chances.set(self.chances.get() | bit(bug));
        has
    }
}
