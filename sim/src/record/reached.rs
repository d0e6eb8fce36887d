//! Which states a run has reached in which bugs hide: what a sweep has looked at, and what not.
//!
//! Reads the log and what programs held, and judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use udpchat_core::client::{self, Problem};
use udpchat_core::load::Gauge;
use udpchat_core::protocol::limits::WINDOW;
use udpchat_core::protocol::{Name, PacketKind};
use udpchat_core::server::timing::LEASE;
use udpchat_core::server::{self, GoneReason};

use crate::faults::disk::DiskFault;
use crate::naming::label::{Audience, HostName, Label};
use crate::planning::plan::{Act, Action, Folder, Plan, SERVER, ends, message};
use crate::record::log::{Durable, Entry, What};
use crate::record::outcome::{KEEP_ALIVE, Outcome};

/// A place in a stream that a byte cannot count.
const BYTE: u64 = 255;

/// More members than fit an answer, or a screen.
const LARGE_GROUP: usize = 24;

/// Nothing but keep-alives for so long.
const IDLE: Duration = Duration::from_secs(60);

macro_rules! states {
    ($($(#[$doc:meta])* $state:ident $name:literal,)*) => {
        /// A state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum State {
            $($(#[$doc])* $state,)*
        }

        /// All of them, with their names in reports.
        pub const STATES: &[(State, &str)] = &[$((State::$state, $name),)*];
    };
}

states! {
    /// A lease has ended.
    Lapsed "lease lapsed",
    /// Somebody did not answer the server's questions.
    Silent "found silent",
    /// The server was down for longer than a lease.
    ServerAway "server away longer than a lease",
    /// A user left while their client was signing in.
    LeftSigningIn "left during sign-in",
    /// A program was told to end while it was signing in.
    QuitSigningIn "quit during sign-in",
    /// Somebody was refused a name that another has.
    Contested "name contested",
    /// A name went from one host to another.
    Taken "name taken over",
    /// A client came back at another address.
    Moved "moved",
    /// A client's folder was gone when its program started.
    StoreLost "store lost",
    /// A folder was copied to another host.
    FolderMoved "folder of another host",
    /// The server told a client that its folder is an older copy.
    OlderCopy "older copy",
    /// A message has expired.
    Expired "message expired",
    /// It did while its sender was away.
    ExpiredAway "expired with its sender away",
    /// It did after the server that took it had been killed.
    ExpiredCrashed "expired after a crash of the server",
    /// More messages of one stream wait than may be on their way.
    WindowFull "window full",
    /// More are stored than may be on their way.
    MailboxLong "mailbox longer than a window",
    /// A message came before an earlier one.
    Held "message held",
    /// A place in a stream is above 255.
    AboveByte "number above 255",
    /// A table needed several datagrams.
    TableInParts "table in parts",
    /// A text went to more than a few.
    LargeGroup "large group",
    /// Nothing but keep-alives passed for a minute.
    Idle "idle for a minute",
    /// A message was shown once more, marked.
    Again "shown again, marked",
    /// A disk was full.
    DiskFull "disk full",
    /// The power failed.
    PowerCut "power cut",
}

/// In how many runs each state was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached([u64; STATES.len()]);

impl Reached {
    /// By one run.
    #[must_use]
    pub fn by(plan: &Plan, outcome: &Outcome) -> Self {
        let mut watch = Watch::new(plan);
        for entry in &outcome.log.entries {
            watch.note(outcome, entry);
        }
        let most =
            |gauge| outcome.load.values().map(|load| load.most[gauge]).max().unwrap_or_default();
        watch.reached_if(most(Gauge::StoredMessages) > WINDOW, State::MailboxLong);
        watch.reached_if(most(Gauge::Held) > 0, State::Held);
        let mut reached = Self::default();
        for state in watch.reached {
            reached.0[state as usize] = 1;
        }
        reached
    }

    /// Adds other runs'.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }

    /// Each state's name, and in how many runs it was reached.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STATES.iter().map(|(_, name)| *name).zip(self.0)
    }
}

/// What is known of a run so far.
struct Watch<'a> {
    /// Whom each message is for.
    recipients: BTreeMap<&'a Label, Name>,
    reached: BTreeSet<State>,
    /// Who is signing in, and who is registered.
    signs_in: BTreeSet<&'a HostName>,
    here: BTreeSet<&'a HostName>,
    /// Where the server saw each name last.
    places: BTreeMap<&'a Name, std::net::SocketAddr>,
    /// What each has still to bring to whom.
    waiting: BTreeMap<(&'a HostName, Name), BTreeSet<&'a Label>>,
    /// What the server has stored, before how many of its crashes.
    stored: BTreeMap<&'a Label, u32>,
    crashes: u32,
    /// Since when the server is down.
    down: Option<Duration>,
    last_table: Option<(Duration, &'a HostName)>,
    last_talk: Duration,
}

impl<'a> Watch<'a> {
    fn new(plan: &'a Plan) -> Self {
        let recipient = |action: &'a Action| match &action.act {
            Act::Type { line, label: Some(label) } => match message(line)? {
                (Audience::One(to), _) => Some((label, to)),
                _ => None,
            },
            _ => None,
        };
        let actions = plan.hosts.iter().flat_map(|host| &host.actions);
        Self {
            recipients: actions.filter_map(recipient).collect(),
            reached: BTreeSet::new(),
            signs_in: BTreeSet::new(),
            here: BTreeSet::new(),
            places: BTreeMap::new(),
            waiting: BTreeMap::new(),
            stored: BTreeMap::new(),
            crashes: 0,
            down: None,
            last_table: None,
            last_talk: Duration::ZERO,
        }
    }

    fn reached_if(&mut self, is_so: bool, state: State) {
        if is_so {
            self.reached.insert(state);
        }
    }

    fn note(&mut self, outcome: &'a Outcome, entry: &'a Entry) {
        let Entry { at, host, what } = entry;
        match what {
            What::Started { .. } | What::Crashed | What::Ended { .. } => {
                self.comes_or_goes(*at, host, what);
            }
            What::Typed { line, refused: None, .. } if self.signs_in.contains(host) => {
                self.reached_if(ends(line), State::QuitSigningIn);
                self.reached_if(line.starts_with("dereg "), State::LeftSigningIn);
            }
            What::Client(event) => self.client_says(host, event),
            What::Folder(folder) => {
                self.reached_if(*folder == Folder::Lost, State::StoreLost);
                let is_others = matches!(folder, Folder::Replaced { by } if by != host);
                self.reached_if(is_others, State::FolderMoved);
            }
            What::Server(event) => self.server_says(outcome, event),
            What::Durable(durable) => self.is_durable(host, durable),
            What::Disk(event) => {
                let is_full = matches!(event.fault, DiskFault::Full { .. });
                self.reached_if(is_full, State::DiskFull);
                self.reached_if(matches!(event.fault, DiskFault::PowerCut { .. }), State::PowerCut);
            }
            What::Sent { key, .. } => {
                if key.packet == PacketKind::Hello {
                    self.signs_in.insert(host);
                    self.here.remove(host);
                }
                if key.packet == PacketKind::Table {
                    let before = self.last_table.replace((*at, &key.to));
                    self.reached_if(before == Some((*at, &key.to)), State::TableInParts);
                }
                if !KEEP_ALIVE.contains(&key.packet) {
                    let idle = at.saturating_sub(self.last_talk);
                    self.reached_if(idle > IDLE, State::Idle);
                    self.last_talk = *at;
                }
            }
            _ => {}
        }
    }

    fn comes_or_goes(&mut self, at: Duration, host: &'a HostName, what: &What) {
        self.signs_in.remove(host);
        self.here.remove(host);
        if **host != *SERVER {
            return;
        }
        self.crashes += u32::from(*what == What::Crashed);
        match what {
            What::Started { .. } => {
                let down = self.down.take().map_or(Duration::ZERO, |since| at - since);
                self.reached_if(down > LEASE, State::ServerAway);
            }
            _ => self.down = Some(at),
        }
    }

    fn client_says(&mut self, host: &'a HostName, event: &'a client::Event) {
        use client::Event;
        match event.plain() {
            Event::Registered { .. } => {
                self.signs_in.remove(host);
                self.here.insert(host);
            }
            Event::Offline => {
                self.signs_in.remove(host);
                self.here.remove(host);
            }
            Event::Error(Problem::OldCopy) => self.reached_if(true, State::OlderCopy),
            Event::Sending { id, .. } => self.reached_if(id.seq > BYTE, State::AboveByte),
            Event::SendingMany { to, .. } => {
                self.reached_if(to.len() >= LARGE_GROUP, State::LargeGroup);
            }
            Event::Message { again: true, .. } => self.reached_if(true, State::Again),
            _ => {}
        }
    }

    fn server_says(&mut self, outcome: &'a Outcome, event: &'a server::Event) {
        use server::Event;
        match event {
            Event::Gone { reason: GoneReason::LeaseExpired, .. } => {
                self.reached_if(true, State::Lapsed);
            }
            Event::Gone { reason: GoneReason::Silent, .. } => {
                self.reached_if(true, State::Silent);
            }
            Event::Refused { .. } => self.reached_if(true, State::Contested),
            Event::Registered { name, addr, .. } => {
                let Some(before) = self.places.insert(name, *addr) else { return };
                let host = |ip| outcome.log.addresses.get(&ip);
                let same = host(before.ip()) == host(addr.ip());
                self.reached_if(!same, State::Taken);
                self.reached_if(same && before != *addr, State::Moved);
            }
            _ => {}
        }
    }

    fn is_durable(&mut self, host: &'a HostName, durable: &'a Durable) {
        match durable {
            Durable::Typed(label) => {
                let to = label.copy.as_ref().or_else(|| self.recipients.get(label)).cloned();
                let Some(to) = to else { return };
                let waiting = self.waiting.entry((host, to)).or_default();
                waiting.insert(label);
                let is_full = waiting.len() > WINDOW;
                self.reached_if(is_full, State::WindowFull);
            }
            Durable::Settled(label) => {
                for waiting in self.waiting.values_mut() {
                    waiting.remove(label);
                }
            }
            Durable::Stored(label) => {
                self.stored.entry(label).or_insert(self.crashes);
            }
            Durable::Expired(label) => {
                let is_away = !self.here.contains(&label.host);
                let crashes = self.stored.get(label);
                let crashed = crashes.is_some_and(|before| *before < self.crashes);
                self.reached_if(true, State::Expired);
                self.reached_if(is_away, State::ExpiredAway);
                self.reached_if(crashed, State::ExpiredCrashed);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_place() {
        for (place, (state, name)) in STATES.iter().enumerate() {
            assert_eq!(*state as usize, place, "{name}");
        }
    }
}
