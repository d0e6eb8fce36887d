//! A server's events as JSON, an object a line, described in docs/json.md.
//!
//! Pure. Knows the events, and that every object says when.

use std::net::SocketAddr;

use serde::Serialize;
use udpchat_core::protocol::Name;
use udpchat_core::server::{Event, GoneReason, GroupChange, Stats};
use udpchat_core::store::DiskSpace;
use udpchat_core::time::WallTime;

/// A line, without its end.
pub(super) fn line(at: WallTime, what: &What<'_>) -> String {
    let line = OperatorObject { at: at.to_string(), what };
    serde_json::to_string(&line).expect("a line holds nothing that JSON cannot express")
}

/// One line of JSON. The names and the order of the keys are promised.
#[derive(Serialize)]
struct OperatorObject<'a> {
    at: String,
    #[serde(flatten)]
    what: &'a What<'a>,
}

/// What the line is about.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum What<'a> {
    Listening {
        addr: SocketAddr,
    },
    Registered {
        name: &'a Name,
        addr: SocketAddr,
        back: bool,
        original: bool,
    },
    Refused {
        name: &'a Name,
        addr: SocketAddr,
    },
    Gone {
        name: &'a Name,
        reason: &'static str,
    },
    Stored {
        id: String,
        from: &'a Name,
        to: &'a Name,
    },
    HandedOver {
        id: String,
        to: &'a Name,
        count: usize,
    },
    Expired {
        id: String,
        from: &'a Name,
        to: &'a Name,
        count: usize,
    },
    Group {
        group: &'a Name,
        member: &'a Name,
        what: &'static str,
    },
    #[serde(rename = "room")]
    DiskSpace {
        low: bool,
    },
    Stats {
        since: String,
        here: usize,
        known: usize,
        in_store: usize,
        stored: u64,
        handed_over: u64,
        expired: u64,
        commits: u64,
        datagrams_in: u64,
        datagrams_out: u64,
        datagrams_lost: u64,
        duplicates: u64,
        dropped: DroppedKeys,
    },
    More {
        of: &'static str,
        lines: u64,
    },
    Lost {
        lines: u64,
    },
    Error {
        text: &'a str,
    },
    Help {
        text: &'a str,
    },
    Stopped,
}

#[derive(Serialize)]
pub(super) struct DroppedKeys {
    damaged: u64,
    unknown: u64,
    cookie: u64,
    refused: u64,
    unwanted: u64,
    busy: u64,
}

impl<'a> What<'a> {
    /// An event of a server that was started at `since`.
    pub(super) fn from(event: &'a Event, since: WallTime) -> Self {
        match event {
            Event::Registered { name, addr, back, original } => {
                Self::Registered { name, addr: *addr, back: *back, original: *original }
            }
            Event::Refused { name, addr } => Self::Refused { name, addr: *addr },
            Event::Gone { name, reason } => Self::Gone {
                name,
                reason: match reason {
                    GoneReason::Deregistered => "deregistered",
                    GoneReason::LeaseExpired => "lease_expired",
                    GoneReason::Silent => "silent",
                    GoneReason::Replaced => "replaced",
                },
            },
            Event::Stored { id, from, to } => Self::Stored { id: id.to_string(), from, to },
            Event::HandedOver { id, to, count } => {
                Self::HandedOver { id: id.to_string(), to, count: *count }
            }
            Event::Expired { id, from, to, count } => {
                Self::Expired { id: id.to_string(), from, to, count: *count }
            }
            Event::Group { group, member, what } => Self::Group {
                group,
                member,
                what: match what {
                    GroupChange::Created => "created",
                    GroupChange::Joined => "joined",
                    GroupChange::Left => "left",
                },
            },
            Event::DiskSpace(room) => Self::DiskSpace { low: *room == DiskSpace::Low },
            Event::Stats(stats) => Self::stats(stats, since),
        }
    }

    fn stats(stats: &Stats, since: WallTime) -> Self {
        let Stats { here, known, messages, counters } = *stats;
        let dropped = counters.dropped;
        Self::Stats {
            since: since.to_string(),
            here,
            known,
            in_store: messages,
            stored: counters.stored,
            handed_over: counters.handed_over,
            expired: counters.expired,
            commits: counters.commits,
            datagrams_in: counters.datagrams_in,
            datagrams_out: counters.datagrams_out,
            datagrams_lost: counters.datagrams_lost,
            duplicates: counters.duplicates,
            dropped: DroppedKeys {
                damaged: dropped.damaged,
                unknown: dropped.unknown,
                cookie: dropped.cookie,
                refused: dropped.refused,
                unwanted: dropped.unwanted,
                busy: dropped.busy,
            },
        }
    }
}
