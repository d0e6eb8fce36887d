//! Where a simulator plants bugs, to prove that its checkers would catch them.
//!
//! Machines are generic over a [`Plant`]. The shipped one is [`Sound`]: it holds nothing and
//! answers "no" in a constant, so that the compiler leaves every planted bug out.

/// Answers, at each place where a bug can be planted, whether it is.
pub trait Plant: 'static {
    /// Whether this bug is planted. Asked only where it would make a difference, so that a
    /// simulator can count how often a bug had its chance.
    fn has(&self, bug: Bug) -> bool;
}

/// No bugs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sound;

impl Plant for Sound {
    #[inline(always)]
    fn has(&self, _: Bug) -> bool {
        false
    }
}

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
    /// Client: who leaves gives up what is said to be kept.
    LeavingGivesUp,
}
