//! Where a machine can be made wrong on purpose, to prove that a simulator's checkers would catch
//! it.
//!
//! Machines are generic over their [`Mutations`]. The shipped ones have [`NoMutations`]: that holds
//! nothing and answers "no" in a constant, so that the compiler leaves every wrong branch out. What
//! only loses, repeats or changes an input or output is no mutation of a machine: a simulator does
//! that around it.

/// Answers, at each place that can be made wrong, whether it is.
pub trait Mutations: 'static {
    /// Whether this mutation is made. Asked only where it would make a difference, so that a
    /// simulator can count how often a mutation had its chance.
    fn has(&self, mutation: Mutation) -> bool;
}

/// Stands in every program that holds at least one place that can be made wrong.
pub const TRACE: &str = "this program can be made wrong on purpose";

/// Whether this mutation is made: the one way in which machines ask. A program in which the answer
/// is not known to be "no" when it is compiled holds the [`TRACE`].
#[inline(always)]
pub(crate) fn is_made(mutations: &impl Mutations, mutation: Mutation) -> bool {
    mutations.has(mutation) && !std::hint::black_box(TRACE).is_empty()
}

/// None.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoMutations;

impl Mutations for NoMutations {
    #[inline(always)]
    fn has(&self, _: Mutation) -> bool {
        false
    }
}

/// The mutations that can be made, each a real mistake that chats make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    /// Client: a message later than the expected one is shown at once, and earlier ones count as
    /// copies from then on.
    HighestOnly,
    /// Client: a message that came too early is acknowledged before it is shown.
    AcksHeld,
    /// Client: a peer that does not answer is tried for ever, and the server never.
    NeverDetours,
    /// Client: places in a stream begin again after eight messages.
    WrapsAround,
    /// Client: pauses double without bound.
    BackoffUnbounded,
    /// Client: a message is repeated to its recipient after the same short pause again and again.
    NoBackoff,
    /// Server: a message is said to be saved before its commit has ended.
    AcksBeforeCommit,
    /// Server: a message that came too early is said to be saved before it is.
    SavesHeld,
    /// Server: a stored message is forgotten when it is sent, not when it was shown.
    ClearsMailboxEarly,
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
    /// Server: how often a stored message was sent is remembered when nobody asks any more.
    KeepsFlights,
    /// Server: a request about groups that is repeated is carried out again.
    AsksTwice,
    /// Server: who leaves a group stays in it.
    KeepsLeavers,
    /// Server: the sender is told that a stored message was shown when it is handed over.
    ReceiptAtHandOver,
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
    /// Client: who leaves gives up what is said to be kept.
    LeavingGivesUp,
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
    /// Client: whatever comes from a peer's address says that the peer is there.
    HearsAnyWord,
}
