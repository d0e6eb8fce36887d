//! What follows from what one part did for the others. Only the server itself carries it out.

use super::GoneReason;
use super::contender::Contender;
use crate::protocol::{Name, StreamKey};

#[derive(Debug)]
#[must_use]
pub(super) enum Next {
    /// A name is given to whoever asked for it.
    Grant(Contender),
    /// A session is over.
    End { name: Name, reason: GoneReason },
    /// A client does not answer: its session is over, and whoever waited has its name.
    Silent { name: Name, contender: Option<Contender> },
    /// A reader can take what is kept for it.
    HandOver(Name),
    /// A reader has seen everything of a stream up to a place.
    Shown { reader: Name, key: StreamKey, seq: u64 },
    /// These messages are on their way to their reader.
    Sent(Vec<(StreamKey, u64)>),
}
