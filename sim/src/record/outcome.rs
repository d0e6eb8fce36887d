//! What came of a run.
//!
//! Knows no engine: any that runs a plan fills it in.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::load::Load;
use udpchat_core::protocol::PacketKind;
use udpchat_core::server::Snapshot;

use crate::naming::label::HostName;
use crate::record::log::Log;

/// What is sent for ever.
pub const KEEP_ALIVE: [PacketKind; 2] = [PacketKind::Ping, PacketKind::Pong];

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened.
    pub log: Log,
    /// The server's state where the plan asked for it.
    pub marks: Vec<Mark>,
    /// The server's state in the end.
    pub server: Option<Snapshot>,
    /// What programs held in memory.
    pub load: BTreeMap<HostName, HostLoad>,
    /// What disks were asked to do while random faults were on.
    pub disk_operations: u64,
    /// When the run ended.
    pub end: Duration,
}

/// What the programs of a host held in memory.
#[derive(Clone, Debug, Default)]
pub struct HostLoad {
    /// At most, of each kind, in any of their lives.
    pub most: Load,
    /// When it last had nothing more to do for the time being; nothing if it is no more.
    pub last: Load,
    /// What it has done, in all lives together.
    pub effort: Effort,
}

/// What programs of a host have done that may have led to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Timers that ended.
    pub woken: u64,
    /// Of those, so many after which nothing was sent, said or committed.
    pub woken_in_vain: u64,
    /// Commits of nothing while there was room on the disk, so that there was nothing to ask for.
    pub empty_commits: u64,
}

/// The server's state at some time.
#[derive(Clone, Debug)]
pub struct Mark {
    /// What the scenario calls it.
    pub name: String,
    /// When.
    pub at: Duration,
    /// The state; none if the server is down.
    pub state: Option<Snapshot>,
}
