//! What happened in a run, by time, host and order on that host.
//!
//! Knows no engine. What is printed holds no ids of the wire: messages go by their labels.

mod disk;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use udpchat_core::protocol::{Name, PacketKind};
use udpchat_core::store::DiskSpace;
use udpchat_core::{client, server};
use udpchat_node::fault::Damage;

pub use disk::{Durable, Found};

use crate::faults::disk::DiskEvent;
use crate::faults::fate::{Fault, Key, together, whole_ms};
use crate::naming::label::{HostName, Label, Labels};
use crate::planning::plan::Folder;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Duration,
    /// To whom.
    pub host: HostName,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The program starts on this port.
    Started {
        /// Which.
        port: u16,
    },
    /// The program is killed.
    Crashed,
    /// The program has ended by itself.
    Ended {
        /// What went wrong, if anything.
        error: Option<String>,
    },
    /// The program has a bug.
    Panicked(String),
    /// The program stands still.
    Paused {
        /// For so long.
        lasts: Duration,
    },
    /// The calendar clock is set.
    ClockStepped {
        /// By so many milliseconds.
        by_ms: i64,
    },
    /// From now on the calendar clock gains so much, or loses it; 0: it is right again.
    ClockDrifts {
        /// In millionths of the time that passes.
        ppm: i64,
    },
    /// The user types.
    Typed {
        /// A line.
        line: String,
        /// The message that it causes.
        label: Option<Label>,
        /// Why the line is no command.
        refused: Option<String>,
    },
    /// The client says.
    Client(client::Event),
    /// The server says.
    Server(server::Event),
    /// A disk has it for good.
    Durable(Durable),
    /// The program asks its disk to have this for good.
    Asked(Durable),
    /// The program starts with what its disk holds.
    Found(Found),
    /// Something is wrong with the disk.
    Disk(DiskEvent),
    /// The server's state is taken down under this name.
    Marked(String),
    /// Something has happened to the folder.
    Folder(Folder),
    /// A datagram leaves.
    Sent {
        /// What it is.
        key: Key,
        /// How long it is.
        bytes: usize,
        /// What happens to it.
        faults: Vec<Fault>,
        /// Whether it is lost because the direction is cut.
        cut: bool,
        /// From which address, if the host has several.
        source: Option<IpAddr>,
    },
    /// A datagram arrives.
    Arrived {
        /// From whom.
        from: HostName,
        /// What it is.
        packet: PacketKind,
        /// Which message it is about.
        message: Option<Label>,
        /// At which address, if the host has several.
        local: Option<IpAddr>,
    },
    /// A datagram that was on its way is lost.
    Missed {
        /// From whom.
        from: HostName,
        /// What it is.
        packet: PacketKind,
        /// Which message it is about.
        message: Option<Label>,
        /// Why.
        why: Miss,
    },
}

/// Why a datagram on its way is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No program listens there.
    NobodyListens,
    /// The direction has been cut meanwhile.
    Cut,
}

/// How much of the log is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What users do and see, and the datagrams that are about a message or meet a fault.
    Story,
    /// Everything.
    Everything,
}

/// The log of one run, in order.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// What happened.
    pub entries: Vec<Entry>,
    /// What the messages are called.
    pub labels: Labels,
    /// Whose each address is.
    pub addresses: BTreeMap<IpAddr, HostName>,
}

impl Log {
    /// Puts together what was written down host by host, each in order of time.
    #[must_use]
    pub fn new(
        by_host: BTreeMap<HostName, Vec<Entry>>,
        labels: Labels,
        addresses: BTreeMap<IpAddr, HostName>,
    ) -> Self {
        let mut entries: Vec<Entry> = by_host.into_values().flatten().collect();
        // Stable: within a host its own order stays.
        entries.sort_by(|a, b| (a.at, &a.host).cmp(&(b.at, &b.host)));
        Self { entries, labels, addresses }
    }

    /// The log as people read it, a line an entry.
    #[must_use]
    pub fn to_text(&self, detail: Detail) -> String {
        let shown = self.entries.iter().filter(|entry| entry.is_shown(detail));
        shown.map(|entry| self.line(entry) + "\n").collect()
    }

    /// The entry's line.
    #[must_use]
    pub fn line(&self, entry: &Entry) -> String {
        let seconds = format!("{}.{:03}", entry.at.as_secs(), entry.at.subsec_millis());
        format!("{seconds:>8}  {:<7} {}", entry.host, self.sentence(entry))
    }

    fn sentence(&self, entry: &Entry) -> String {
        match &entry.what {
            What::Started { port } => format!("starts on port {port}"),
            What::Crashed => "is killed".to_owned(),
            What::Ended { error: None } => "ends".to_owned(),
            What::Ended { error: Some(error) } => format!("fails: {error}"),
            What::Panicked(text) => format!("PANICS: {text}"),
            What::Paused { lasts } => format!("stands still for {} ms", lasts.as_millis()),
            What::ClockStepped { by_ms } => format!("has its clock set by {by_ms} ms"),
            What::ClockDrifts { ppm: 0 } => "has clocks that keep the time".to_owned(),
            What::ClockDrifts { ppm } => format!("has clocks that gain {ppm} ppm"),
            What::Typed { line, label, refused } => typed(line, label.as_ref(), refused.as_deref()),
            What::Client(event) => self.client_says(event),
            What::Server(event) => self.server_says(event),
            What::Durable(durable) => durable.to_string(),
            What::Asked(durable) => format!("asks for this: {durable}"),
            What::Found(found) => found.to_string(),
            What::Disk(event) => event.to_string(),
            What::Marked(name) => format!("state taken down as {name:?}"),
            What::Folder(Folder::Lost) => "has lost its folder".to_owned(),
            What::Folder(Folder::Copied) => "has its folder copied".to_owned(),
            What::Folder(Folder::Replaced { by }) => format!("has a copy of {by}'s folder"),
            What::Sent { key, faults, cut, source, .. } => {
                sent(key, faults, *cut) + &of_several("from", *source)
            }
            What::Arrived { from, packet, message, local } => {
                let at = of_several("at", *local);
                format!("<- {from}  {}{at}", datagram(*packet, message.as_ref()))
            }
            What::Missed { from, packet, message, why } => {
                let why = match why {
                    Miss::NobodyListens => "nobody listens",
                    Miss::Cut => "cut meanwhile",
                };
                format!("<- {from}  {}  lost: {why}", datagram(*packet, message.as_ref()))
            }
        }
    }

    fn label(&self, id: udpchat_core::protocol::MessageId) -> String {
        self.labels.get(id).map_or_else(|| "unknown".to_owned(), Label::to_string)
    }

    fn client_says(&self, event: &client::Event) -> String {
        use client::Event;
        match event {
            Event::Registered { name, back } => {
                format!("* registered as {name}{}", if *back { ", back again" } else { "" })
            }
            Event::Table(listing) => format!("* table: {}", listed(listing)),
            Event::List(listing) => format!("* list: {}", listed(listing)),
            Event::Sending { id, to } => format!("* sending {} to {to}", self.label(*id)),
            Event::Detour { id, to, reason } => {
                format!("* {} to {to} over the server: {}", self.label(*id), detour(*reason))
            }
            Event::Message { id, from, text, stored_at, group, again } => {
                let stored = stored_at.map(|at| format!(" (stored {at})")).unwrap_or_default();
                let to = group.as_ref().map(|group| format!(" to {group}")).unwrap_or_default();
                let again = if *again { " (again)" } else { "" };
                format!("* SHOWS {} from {from}{to}: {text:?}{stored}{again}", self.label(*id))
            }
            Event::ReadLater { id, to, .. } => {
                format!("* {}, saved before, received by {to}", self.label(*id))
            }
            Event::SendingMany { group, to } => {
                let label = self.labels.of_cast(group.cast).map(Label::to_string);
                let label = label.unwrap_or_else(|| "unknown".to_owned());
                format!("* sending {label} to {group}: {}", names(to))
            }
            Event::Copy { event, .. } => self.client_says(event),
            Event::CastOutcome { group, received, saved, unsent } => {
                let label = self.labels.of_cast(group.cast).map(Label::to_string);
                let label = label.unwrap_or_else(|| "unknown".to_owned());
                format!("* {label} to {group}: {received} received, {saved} saved, {unsent} unsent")
            }
            Event::Group { group, what } => {
                let verb = match what {
                    client::GroupDone::Created => "created",
                    client::GroupDone::Joined => "joined",
                    client::GroupDone::Left => "left",
                };
                format!("* {verb} the group {group}")
            }
            Event::Groups(groups) => format!("* groups: {}", names(groups)),
            Event::Members { group, members } => {
                format!("* members of {group}: {}", names(members))
            }
            Event::History { with, lines } => {
                format!("* history with {with}: {} messages", lines.len())
            }
            Event::Received { id, to, over_server } => {
                let over = if *over_server { ", over the server" } else { "" };
                format!("* {} received by {to}{over}", self.label(*id))
            }
            Event::Saved { id, to } => format!("* {} saved for {to}", self.label(*id)),
            Event::Expired { id, to } => format!("* {} for {to} has expired", self.label(*id)),
            Event::Unsent { id, to, reason } => {
                format!("* {} to {to} not sent: {reason}", self.label(*id))
            }
            Event::Offline => "* offline".to_owned(),
            Event::ServerNotResponding(_) => "* server not responding".to_owned(),
            Event::NoServer(_) => "* no server, but something else".to_owned(),
            Event::OriginalServer(_) => "* no server, but an original one".to_owned(),
            Event::LookUp => "* looks for the server".to_owned(),
            Event::Error(problem) => format!("* error: {problem}"),
            Event::Left { complete } => {
                format!("* left, {}", if *complete { "complete" } else { "incomplete" })
            }
        }
    }

    fn server_says(&self, event: &server::Event) -> String {
        use server::Event;
        match event {
            Event::Registered { name, addr, back, original } => {
                let back = if *back { ", back again" } else { "" };
                let original = if *original { ", an original client" } else { "" };
                format!("* {name} is here, at {addr}{back}{original}")
            }
            Event::Refused { name, addr } => format!("* {addr} is refused: {name} is in use"),
            Event::Gone { name, reason } => format!("* {name} is gone: {}", gone(*reason)),
            Event::Stored { id, from, to } => {
                format!("* stored {} from {from} for {to}", self.label(*id))
            }
            Event::HandedOver { id, to, count } => {
                format!("* handed over to {to}: {count} up to {}", self.label(*id))
            }
            Event::DiskSpace(DiskSpace::Low) => "* the disk is full".to_owned(),
            Event::DiskSpace(DiskSpace::Plenty) => "* there is room on the disk again".to_owned(),
            Event::Stats(stats) => format!("* {stats:?}"),
            Event::Expired { id, to, count, .. } => {
                format!("* expired for {to}: {count} up to {}", self.label(*id))
            }
            Event::Group { group, member, what } => {
                let verb = match what {
                    server::GroupChange::Created => "created",
                    server::GroupChange::Joined => "joined",
                    server::GroupChange::Left => "left",
                };
                format!("* {member} has {verb} the group {group}")
            }
        }
    }
}

impl Entry {
    /// Whether the entry has a line in this detail.
    #[must_use]
    pub fn is_shown(&self, detail: Detail) -> bool {
        let story = match &self.what {
            What::Sent { key, faults, cut, .. } => {
                let delayed_only = faults.iter().all(|fault| matches!(fault, Fault::Delay { .. }));
                key.message.is_some() || *cut || !delayed_only
            }
            What::Missed { .. } => true,
            What::Arrived { .. } | What::Durable(_) | What::Asked(_) | What::Found(_) => false,
            _ => true,
        };
        story || detail == Detail::Everything
    }
}

fn typed(line: &str, label: Option<&Label>, refused: Option<&str>) -> String {
    match (label, refused) {
        (Some(label), _) => format!("> {line}  ({label})"),
        (None, Some(why)) => format!("> {line}  (refused: {why})"),
        (None, None) => format!("> {line}"),
    }
}

fn sent(key: &Key, faults: &[Fault], cut: bool) -> String {
    let attempt = if key.attempt > 1 { format!(" ({})", key.attempt) } else { String::new() };
    let fate = if cut {
        "  lost: cut".to_owned()
    } else if together(faults).lost {
        "  lost".to_owned()
    } else {
        faults.iter().map(|fault| format!("  {fault}")).collect()
    };
    format!("-> {}  {}{attempt}{fate}", key.to, datagram(key.packet, key.message.as_ref()))
}

/// Which of its addresses a host used, if it has several.
fn of_several(word: &str, ip: Option<IpAddr>) -> String {
    ip.map(|ip| format!("  {word} {ip}")).unwrap_or_default()
}

fn datagram(packet: PacketKind, message: Option<&Label>) -> String {
    match message {
        Some(message) => format!("{} {message}", packet.name()),
        None => packet.name().to_owned(),
    }
}

fn names(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

fn listed(listing: &client::Listing) -> String {
    format!("{} online; {} offline", names(&listing.online), names(&listing.offline))
}

const fn detour(reason: client::DetourReason) -> &'static str {
    match reason {
        client::DetourReason::NoAck => "no ack",
        client::DetourReason::Offline => "the recipient is away",
        client::DetourReason::Earlier => "as the one before",
    }
}

const fn gone(reason: server::GoneReason) -> &'static str {
    match reason {
        server::GoneReason::Deregistered => "deregistered",
        server::GoneReason::LeaseExpired => "lease expired",
        server::GoneReason::Silent => "does not answer",
        server::GoneReason::Replaced => "replaced",
    }
}

/// How many datagrams met what, to set beside what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Datagrams sent in all.
    pub sent: u64,
    /// Of those, lost by a cut.
    pub cut: u64,
    /// Sent while random faults were on, over links that were not cut.
    pub exposed: u64,
    /// Of all, lost by a fault.
    pub dropped: u64,
    /// Of those exposed, lost each by itself.
    pub exposed_dropped: u64,
    /// Lost in a burst and not anyway.
    pub burst: u64,
    /// Of all, sent twice.
    pub duplicated: u64,
    /// Of those exposed, sent twice.
    pub exposed_duplicated: u64,
    /// Delayed.
    pub delayed: u64,
    /// Of those exposed, delayed.
    pub exposed_delayed: u64,
    /// By so many milliseconds in all.
    pub delay_ms: u64,
    /// Lost because they were too long, and not anyway.
    pub too_long: u64,
    /// With a bit flipped.
    pub corrupted: u64,
    /// Shortened.
    pub truncated: u64,
}

impl Tally {
    /// Counts the datagrams of a run whose random faults ended at `rates_until`.
    #[must_use]
    pub fn of(log: &Log, rates_until: Duration) -> Self {
        let mut tally = Self::default();
        for entry in &log.entries {
            if let What::Sent { faults, cut, .. } = &entry.what {
                tally.count(faults, *cut, entry.at < rates_until);
            }
        }
        tally
    }

    fn count(&mut self, faults: &[Fault], cut: bool, rates_on: bool) {
        self.sent += 1;
        if cut {
            self.cut += 1;
            return;
        }
        let fate = together(faults);
        let exposed = u64::from(rates_on);
        self.exposed += exposed;
        self.dropped += u64::from(fate.lost);
        let by_itself = faults.contains(&Fault::Drop);
        self.exposed_dropped += exposed * u64::from(by_itself);
        let in_burst = !by_itself && faults.contains(&Fault::Burst);
        self.burst += u64::from(in_burst);
        self.too_long += u64::from(fate.lost && !by_itself && !in_burst);
        self.duplicated += u64::from(fate.again.is_some());
        self.exposed_duplicated += exposed * u64::from(fate.again.is_some());
        for fault in faults {
            if let Fault::Delay { by } = fault {
                self.delayed += 1;
                self.exposed_delayed += exposed;
                self.delay_ms += exposed * whole_ms(*by);
            }
        }
        self.corrupted += u64::from(matches!(fate.damage, Some(Damage::Flip { .. })));
        self.truncated += u64::from(matches!(fate.damage, Some(Damage::Truncate { .. })));
    }
}
