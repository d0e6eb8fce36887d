//! Bugs to plant in the machines, to prove that the checkers would catch them.
//!
//! What a machine can do wrong is said beside its places ([`udpchat_core::mutation`]), what can be
//! done around it here. The names are only here: no shipped program holds one.

use std::cell::Cell;
use std::rc::Rc;

use udpchat_core::mutation::{Mutation, Mutations};

/// The bugs that can be planted, each a real mistake that chats make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// One expression in a machine is another.
    Machine(Mutation),
    /// A machine's inputs or outputs are lost, repeated or changed, by a decorator around it.
    Tampering(Tampering),
    /// Disk: a sync is said to have ended and has not. The simulator plants it in its disks, where
    /// the power may fail.
    CommitsUnsynced,
}

/// What a decorator of machines can do to their inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tampering {
    /// Client: a copy of a message is shown again.
    ShowsCopies,
    /// Client: a copy is not acknowledged, though the first acknowledgement may be lost.
    CopyNotAcked,
    /// Client: what was shown is not remembered over a restart.
    ForgetsShown,
    /// Client: what may not have been shown before a crash is shown after it without a mark.
    ShowsAgainUnmarked,
    /// Client: what may not have been shown before a crash is not shown after it.
    NeverShowsAgain,
    /// Client: that a message was displayed is not remembered over a restart.
    ForgetsDisplayed,
    /// Client: what was typed is not remembered over a restart.
    ForgetsOutbox,
    /// Client: the server is asked four times to save a message, and never again.
    GivesUpSaving,
    /// Client: an acknowledgement counts for whatever was sent last.
    AckConfirmsNewest,
    /// Client: the hello is not repeated.
    SignsInOnce,
    /// Client: every message claims that all before it are settled.
    BaseTooHigh,
    /// Both: damaged datagrams are taken for good.
    NoChecksum,
    /// Server: that a stored message was shown is not remembered over a restart.
    ForgetsHandOver,
    /// Server: an answer leaves from whatever address the system chooses, whichever was asked.
    AnswersFromAnywhere,
    /// Server: a change of the table is sent once.
    TableSentOnce,
    /// Server: who belongs to which group is not remembered over a restart.
    ForgetsMembership,
    /// Client: a message to a group goes to those who were its members at the last one.
    StaleMembers,
    /// Client: what was sent to a group is sent to all of it again after a restart.
    CastsAgain,
}

/// Every bug that random runs show, and its name. The others are fences against what no random
/// adversary does: they have a scenario, or a test of the machine alone.
pub const BUGS: &[(Bug, &str)] = &[
    tampering(Tampering::ShowsCopies, "shows-copies"),
    machine(Mutation::HighestOnly, "highest-only"),
    machine(Mutation::AcksHeld, "acks-held"),
    tampering(Tampering::CopyNotAcked, "copy-not-acked"),
    tampering(Tampering::ForgetsShown, "forgets-shown"),
    tampering(Tampering::ShowsAgainUnmarked, "shows-again-unmarked"),
    tampering(Tampering::NeverShowsAgain, "never-shows-again"),
    tampering(Tampering::ForgetsDisplayed, "forgets-displayed"),
    tampering(Tampering::ForgetsOutbox, "forgets-outbox"),
    tampering(Tampering::GivesUpSaving, "gives-up-saving"),
    machine(Mutation::NeverDetours, "never-detours"),
    tampering(Tampering::AckConfirmsNewest, "ack-confirms-newest"),
    tampering(Tampering::SignsInOnce, "signs-in-once"),
    machine(Mutation::WrapsAround, "wraps-around"),
    machine(Mutation::BackoffUnbounded, "backoff-unbounded"),
    machine(Mutation::NoBackoff, "no-backoff"),
    tampering(Tampering::BaseTooHigh, "base-too-high"),
    tampering(Tampering::NoChecksum, "no-checksum"),
    (Bug::CommitsUnsynced, "commits-unsynced"),
    machine(Mutation::AcksBeforeCommit, "acks-before-commit"),
    machine(Mutation::SavesHeld, "saves-held"),
    machine(Mutation::ClearsMailboxEarly, "clears-mailbox-early"),
    tampering(Tampering::ForgetsHandOver, "forgets-hand-over"),
    machine(Mutation::RegistrationWipesMail, "registration-wipes-mail"),
    machine(Mutation::ClockStepExpiresMail, "clock-step-expires-mail"),
    machine(Mutation::OneWayIsOffline, "one-way-is-offline"),
    machine(Mutation::OldRegistrationCounts, "old-registration-counts"),
    machine(Mutation::KeepsOldAddress, "keeps-old-address"),
    tampering(Tampering::AnswersFromAnywhere, "answers-from-anywhere"),
    tampering(Tampering::TableSentOnce, "table-sent-once"),
    machine(Mutation::KeepsFlights, "keeps-flights"),
    tampering(Tampering::ForgetsMembership, "forgets-membership"),
    machine(Mutation::AsksTwice, "asks-twice"),
    machine(Mutation::KeepsLeavers, "keeps-leavers"),
    machine(Mutation::ReceiptAtHandOver, "receipt-at-hand-over"),
    tampering(Tampering::StaleMembers, "stale-members"),
    tampering(Tampering::CastsAgain, "casts-again"),
    machine(Mutation::LeavingGivesUp, "leaving-gives-up"),
    machine(Mutation::GuestEndsOurs, "guest-ends-ours"),
    machine(Mutation::TakesGuestsUnproven, "takes-guests-unproven"),
    machine(Mutation::AnswersWithoutNonce, "answers-without-nonce"),
    machine(Mutation::BelievesSenders, "believes-senders"),
];

const fn machine(mutation: Mutation, name: &str) -> (Bug, &str) {
    (Bug::Machine(mutation), name)
}

const fn tampering(tampering: Tampering, name: &str) -> (Bug, &str) {
    (Bug::Tampering(tampering), name)
}

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
    match bug {
        Bug::Machine(mutation) => 1 << mutation as u64,
        Bug::Tampering(tampering) => 1 << (62 - tampering as u64),
        Bug::CommitsUnsynced => 1 << 63,
    }
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

    /// Whether there is one.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.bug.is_some()
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

    /// Whether a decorator is to do this, as [`Self::has`] says.
    #[must_use]
    pub fn tampers(&self, tampering: Tampering) -> bool {
        self.has(Bug::Tampering(tampering))
    }

    /// Whether a bug is planted. Asked only where it would make a difference: each time counts as
    /// a chance.
    #[must_use]
    pub fn has(&self, bug: Bug) -> bool {
        let has = self.bug == Some(bug);
        self.activations.set(self.activations.get() + u64::from(has));
        self.chances.set(self.chances.get() | bit(bug));
        has
    }
}

impl Mutations for Planted {
    fn has(&self, mutation: Mutation) -> bool {
        self.has(Bug::Machine(mutation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_a_bit_of_its_own() {
        let bits = BUGS.iter().fold(0, |bits, (bug, _)| bits | bit(*bug));
        assert_eq!(bits.count_ones() as usize, BUGS.len());
    }
}
