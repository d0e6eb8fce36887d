//! What a machine holds in memory, counted, for whoever wants to see that it is bounded.
//!
//! Knows no machine: each says of itself how much it holds of what.

use std::collections::BTreeMap;

/// Something that a machine holds any number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Outputs that wait for a commit, or to be taken.
    Outputs,
    /// Deadlines.
    Timers,
    /// Messages that came before an earlier one.
    Held,
    /// Streams of which such messages are held.
    HeldStreams,
    /// Streams of which it is remembered how far they have come.
    Streams,
    /// Rows of the table.
    Names,
    /// Client: commands that wait for those before them.
    Commands,
    /// Client: messages that are not settled.
    Outbox,
    /// Client: requests about groups that are not answered.
    Requests,
    /// Client: texts to many whose copies have not all had their outcome.
    Casts,
    /// Client: recipients to whom anything was ever sent.
    Recipients,
    /// Server: clients that are here.
    Sessions,
    /// Server: stored messages.
    StoredMessages,
    /// Server: stored messages whose commit has not ended.
    Undurable,
    /// Server: stored messages on their way to their readers.
    Flights,
    /// Server: streams whose sender does not know yet how far they were shown.
    Untold,
}

/// How much is held of what.
pub type Load = BTreeMap<Gauge, usize>;
