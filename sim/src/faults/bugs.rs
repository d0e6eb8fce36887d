//! Bugs to plant in the machines, to prove that the checkers would catch them.
//!
//! The places are in the machines ([`udpchat_core::mutation`]), the names only here: no shipped
//! program holds one.

use std::cell::Cell;
use std::rc::Rc;

use udpchat_core::mutation::{Mutation, Mutations};

/// The bugs that can be planted, each a real mistake that chats make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Client: a copy of a message is shown again.
    ShowsCopies,
    /// Client: a message later than the expected one is shown at once, and earlier ones count as
    /// copies from then on.
    HighestOnly,
    /// Client: a message that came too early is acknowledged before it is shown.
    AcksHeld,
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
    /// Client: a peer that does not answer is tried for ever, and the server never.
    NeverDetours,
    /// Client: an acknowledgement counts for whatever was sent last.
    AckConfirmsNewest,
    /// Client: the hello is not repeated.
    SignsInOnce,
    /// Client: places in a stream begin again after eight messages.
    WrapsAround,
    /// Client: pauses double without bound.
    BackoffUnbounded,
    /// Client: a message is repeated to its recipient after the same short pause again and again.
    NoBackoff,
    /// Client: every message claims that all before it are settled.
    BaseTooHigh,
    /// Both: damaged datagrams are taken for good.
    NoChecksum,
    /// Disk: a sync is said to have ended and has not. The simulator plants it in its disks, where
    /// the power may fail.
    CommitsUnsynced,
    /// Server: a message is said to be saved before its commit has ended.
    AcksBeforeCommit,
    /// Server: a message that came too early is said to be saved before it is.
    SavesHeld,
    /// Server: a stored message is forgotten when it is sent, not when it was shown.
    ClearsMailboxEarly,
    /// Server: that a stored message was shown is not remembered over a restart.
    ForgetsHandOver,
    /// Server: who registers again loses the messages that are kept.
    RegistrationWipesMail,
    /// Server: stored messages expire by the wall clock, after an hour.
    ClockStepExpiresMail,
    /// Server: a recipient that one sender cannot reach is taken for offline, unasked.
    OneWayIsOffline,
    /// Server: an old registration that arrives late counts.
    OldRegistrationCounts,
    /// Server: whoever comes back from another port is still looked for at the old one.
    KeepsOldAddress,
    /// Server: an answer leaves from whatever address the system chooses, whichever was asked.
    AnswersFromAnywhere,
    /// Server: a change of the table is sent once.
    TableSentOnce,
    /// Server: how often a stored message was sent is remembered when nobody asks any more.
    KeepsFlights,
    /// Server: who belongs to which group is not remembered over a restart.
    ForgetsMembership,
    /// Server: a request about groups that is repeated is carried out again.
    AsksTwice,
    /// Server: who leaves a group stays in it.
    KeepsLeavers,
    /// Server: the sender is told that a stored message was shown when it is handed over.
    ReceiptAtHandOver,
    /// Client: a message to a group goes to those who were its members at the last one.
    StaleMembers,
    /// Client: what was sent to a group is sent to all of it again after a restart.
    CastsAgain,
    /// Server: each change of the table is told to everybody at once.
    TellsEachChange,
    /// Server: one sender may fill a mailbox.
    NoMailShare,
    /// Server: an address may register new names without end.
    NoNameShare,
    /// Server: one name may make all groups.
    NoGroupShare,
    /// Server: a name is kept for whoever does not come back.
    KeepsNames,
    /// Client: who leaves gives up what is said to be kept.
    LeavingGivesUp,
    /// Server: a guest's word ends a session of ours at the same address.
    GuestEndsOurs,
    /// Server: a guest gets a name of ours whose holder is away, and the mail.
    GuestTakesOurs,
    /// Server: a guest's message asks a client of ours whether it is there.
    GuestQuestionsOurs,
    /// Server: a guest is taken in before it has shown that it is where it says.
    TakesGuestsUnproven,
    /// Server: a guest of an earlier life of the server is taken to be where it was.
    TrustsGuestsBefore,
    /// Server: guests from anywhere are served, where only those on this machine are to be.
    ServesGuestsAnywhere,
    /// Client: an answer to a registration counts whatever hello it belongs to.
    AnswersWithoutNonce,
    /// Client: whoever acknowledges a hello is taken for a server of the original's dialect, asked
    /// for or not.
    AckDecidesDialect,
    /// Client: a challenge ends the original's dialect whatever its nonce.
    ChallengeDecidesDialect,
    /// Server: whoever registers with a number that is too low hears nothing of that.
    LowRegistrationUnanswered,
    /// Server: a registration with the last number counts as its repetition, whatever its nonce.
    RepeatsWithoutNonce,
    /// Client: what it remembers is an older copy, and it goes on with the numbers of that.
    KeepsStreamsOfOldCopy,
    /// Client: of the streams that it remembers the one longest unused is forgotten, whoever's it
    /// is.
    StreamsWithoutShares,
    /// Client: a message is from whom it says, wherever it came from.
    BelievesSenders,
}

impl Bug {
    /// The bug that is this mutation of a machine.
    const fn of(mutation: Mutation) -> Self {
        match mutation {
            Mutation::HighestOnly => Self::HighestOnly,
            Mutation::AcksHeld => Self::AcksHeld,
            Mutation::NeverDetours => Self::NeverDetours,
            Mutation::WrapsAround => Self::WrapsAround,
            Mutation::BackoffUnbounded => Self::BackoffUnbounded,
            Mutation::NoBackoff => Self::NoBackoff,
            Mutation::AcksBeforeCommit => Self::AcksBeforeCommit,
            Mutation::SavesHeld => Self::SavesHeld,
            Mutation::ClearsMailboxEarly => Self::ClearsMailboxEarly,
            Mutation::RegistrationWipesMail => Self::RegistrationWipesMail,
            Mutation::ClockStepExpiresMail => Self::ClockStepExpiresMail,
            Mutation::OneWayIsOffline => Self::OneWayIsOffline,
            Mutation::OldRegistrationCounts => Self::OldRegistrationCounts,
            Mutation::KeepsOldAddress => Self::KeepsOldAddress,
            Mutation::KeepsFlights => Self::KeepsFlights,
            Mutation::AsksTwice => Self::AsksTwice,
            Mutation::KeepsLeavers => Self::KeepsLeavers,
            Mutation::ReceiptAtHandOver => Self::ReceiptAtHandOver,
            Mutation::TellsEachChange => Self::TellsEachChange,
            Mutation::NoMailShare => Self::NoMailShare,
            Mutation::NoNameShare => Self::NoNameShare,
            Mutation::NoGroupShare => Self::NoGroupShare,
            Mutation::KeepsNames => Self::KeepsNames,
            Mutation::LeavingGivesUp => Self::LeavingGivesUp,
            Mutation::GuestEndsOurs => Self::GuestEndsOurs,
            Mutation::GuestTakesOurs => Self::GuestTakesOurs,
            Mutation::GuestQuestionsOurs => Self::GuestQuestionsOurs,
            Mutation::TakesGuestsUnproven => Self::TakesGuestsUnproven,
            Mutation::TrustsGuestsBefore => Self::TrustsGuestsBefore,
            Mutation::ServesGuestsAnywhere => Self::ServesGuestsAnywhere,
            Mutation::AnswersWithoutNonce => Self::AnswersWithoutNonce,
            Mutation::AckDecidesDialect => Self::AckDecidesDialect,
            Mutation::ChallengeDecidesDialect => Self::ChallengeDecidesDialect,
            Mutation::LowRegistrationUnanswered => Self::LowRegistrationUnanswered,
            Mutation::RepeatsWithoutNonce => Self::RepeatsWithoutNonce,
            Mutation::KeepsStreamsOfOldCopy => Self::KeepsStreamsOfOldCopy,
            Mutation::StreamsWithoutShares => Self::StreamsWithoutShares,
            Mutation::BelievesSenders => Self::BelievesSenders,
        }
    }
}

/// Every bug that random runs show, and its name. The others are fences against what no random
/// adversary does: they have a scenario, or a test of the machine alone.
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
    (Bug::GuestEndsOurs, "guest-ends-ours"),
    (Bug::TakesGuestsUnproven, "takes-guests-unproven"),
    (Bug::AnswersWithoutNonce, "answers-without-nonce"),
    (Bug::BelievesSenders, "believes-senders"),
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
        self.has(Bug::of(mutation))
    }
}
