//! One run, written down beforehand: which hosts there are, what is done to them when, and what
//! the network does.
//!
//! Scenarios and random workloads both end in a [`Plan`]; whatever engine runs it needs nothing
//! else. Knows no engine.

use std::time::Duration;

use udpchat_core::client;
use udpchat_core::command::{self, UserRequest};
use udpchat_core::protocol::Name;

use crate::faults::disk::DiskFaults;
use crate::faults::fate::{FaultPlan, Rates};
use crate::naming::label::{Audience, HostName, Label};
use crate::planning::moves::Move;

pub use crate::planning::moves::SERVER;

/// The end of the run in which it must be quiet: longer than any repetition's pause.
pub const QUIET: Duration = Duration::from_secs(6);

/// The server's well-known port.
pub const SERVER_PORT: u16 = 9000;

/// The server's second socket.
pub const SERVER_SECOND_PORT: u16 = 9001;

/// A client's port unless it is told another.
pub const CLIENT_PORT: u16 = 5000;

/// How long a datagram takes that meets no fault. A carrier may work in ticks no longer than
/// this without any influence on what arrives when.
pub const LATENCY: Duration = Duration::from_millis(10);

/// 2026-01-01T00:00:00Z, when every run begins, in milliseconds since 1970.
pub const EPOCH_UNIX_MS: u64 = 1_767_225_600_000;

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Decides everything that is random.
    pub seed: u64,
    /// Who takes part. The server is the first.
    pub hosts: Vec<Host>,
    /// What the network does.
    pub faults: FaultPlan,
    /// How fast the hosts' disks are.
    pub disk: DiskSpeed,
    /// What goes wrong with them.
    pub disk_faults: DiskFaults,
    /// What an adversary does, who is in the network if there is any.
    pub moves: Vec<Move>,
    /// How long the server keeps messages, if not as the shipped one does.
    pub mail: Option<Duration>,
    /// From then on nothing goes wrong, everything must settle, and the run may end as soon as it
    /// has.
    pub healed: Option<Duration>,
    /// When the run ends.
    pub until: Duration,
}

/// How long a commit takes: anything between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpeed {
    /// At least.
    pub shortest: Duration,
    /// At most.
    pub longest: Duration,
}

/// What a user types who presses Ctrl-C.
pub const INTERRUPT: &str = "^C";

/// A machine in the network, and what is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name in the plan.
    pub name: HostName,
    /// What runs on it.
    pub role: Role,
    /// Whether it has a second address beside the first.
    pub two_addresses: bool,
    /// What is done to it, in order of time.
    pub actions: Vec<Action>,
}

/// What runs on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server.
    Server,
    /// A client.
    Client {
        /// Its user.
        user: Name,
    },
}

/// Something that is done to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// When.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// What can be done to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The program is started, with what its store holds.
    Start {
        /// Its (main) port.
        port: u16,
    },
    /// The program is killed. What its store holds is kept.
    Crash,
    /// Its user types a line.
    Type {
        /// The line.
        line: String,
        /// What the message is called if the line sends one.
        label: Option<Label>,
    },
    /// The program stands still, and goes on later as if nothing had happened.
    Pause {
        /// For so long.
        lasts: Duration,
    },
    /// The host's calendar clock is set.
    StepClock {
        /// By so many milliseconds.
        by_ms: i64,
    },
    /// From now on the host's clocks gain so much, the calendar and whatever timers count; 0: they
    /// keep the time again, and what the calendar has gained is gone.
    Drift {
        /// In millionths of the time that passes; negative: they lose.
        ppm: i64,
    },
    /// Its state is taken down under a name (server only).
    Mark(String),
    /// Something happens to its folder (clients only).
    Folder(Folder),
}

/// What happens to the folder in which a program has its store. Without effect while a program
/// runs, but for a copy that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// It is gone: the next program is a newcomer.
    Lost,
    /// A copy of it is made, and put away.
    Copied,
    /// The last copy that was made of this host's folder takes its place, if there is one.
    Replaced {
        /// Whose.
        by: HostName,
    },
}

impl Plan {
    /// Whether a name is that of the user of a client, and not of an adversary's or a guest.
    #[must_use]
    pub fn has_user(&self, name: &Name) -> bool {
        let is_theirs = |host: &Host| matches!(&host.role, Role::Client { user } if user == name);
        self.hosts.iter().any(is_theirs)
    }

    /// The clients that are to be there in the end, each with its user. Of two that want the same
    /// name for ever neither is meant.
    pub fn those_who_stay(&self) -> impl Iterator<Item = (&Host, &Name)> {
        let staying = self.hosts.iter().filter(|host| host.stays());
        let staying: Vec<_> = staying.filter_map(|host| Some((host, host.user()?))).collect();
        let users: Vec<&Name> = staying.iter().map(|(_, user)| *user).collect();
        let is_alone = move |user: &Name| users.iter().filter(|other| **other == user).count() == 1;
        staying.into_iter().filter(move |(_, user)| is_alone(user))
    }

    /// Whether a host of this name is to be there in the end.
    #[must_use]
    pub fn stays(&self, host: &str) -> bool {
        self.host(host).is_some_and(Host::stays)
    }

    /// Whether nothing goes wrong but what an adversary does.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let faults = &self.faults;
        let rests = |act: &Act| matches!(act, Act::Start { .. } | Act::Type { .. } | Act::Mark(_));
        let mut acts = self.hosts.iter().flat_map(|host| &host.actions).map(|action| &action.act);
        // Who sits on a link can cut it.
        self.moves.iter().all(|it| it.trick.sees().is_none())
            && faults.rates == Rates::default()
            && faults.rules.is_empty()
            && faults.cuts.is_empty()
            && faults.size_limit.is_none()
            && self.disk_faults.are_none()
            && acts.all(rests)
    }

    /// Whether there is an adversary.
    #[must_use]
    pub const fn is_attacked(&self) -> bool {
        !self.moves.is_empty()
    }

    /// The host of this name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| *host.name == *name)
    }
}

impl Host {
    /// A host to which nothing is done.
    #[must_use]
    pub fn new(name: &str, role: Role) -> Self {
        Self { name: name.into(), role, two_addresses: false, actions: Vec::new() }
    }

    /// Its user, if it has one.
    #[must_use]
    pub const fn user(&self) -> Option<&Name> {
        match &self.role {
            Role::Client { user } => Some(user),
            Role::Server => None,
        }
    }

    /// Adds what is done to it next.
    pub fn then(&mut self, at: Duration, act: Act) {
        self.actions.push(Action { at, act });
    }

    /// Adds a line that its user types; a message gets the next label.
    pub fn then_type(&mut self, at: Duration, line: &str) {
        let labelled = |action: &Action| matches!(action.act, Act::Type { label: Some(_), .. });
        let number = 1 + self.actions.iter().filter(|action| labelled(action)).count();
        let number = u32::try_from(number).expect("a plan has fewer actions");
        let label = message(line).map(|_| Label::new(self.name.clone(), number));
        self.then(at, Act::Type { line: line.to_owned(), label });
    }

    /// Whether its program is meant to run in the end: the last that is done to it neither tells it
    /// to end nor kills it.
    #[must_use]
    pub fn stays(&self) -> bool {
        let last = self.actions.iter().rev().find_map(|action| match &action.act {
            Act::Start { .. } => Some(true),
            Act::Crash => Some(false),
            Act::Type { line, .. } if ends(line) => Some(false),
            _ => None,
        });
        last.unwrap_or(true)
    }

    /// Every port on which its program is ever started.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self
            .actions
            .iter()
            .filter_map(|action| match action.act {
                Act::Start { port } => Some(port),
                _ => None,
            })
            .collect();
        if self.role == Role::Server {
            ports.push(SERVER_SECOND_PORT);
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// Whether a line ends the program into which it is typed.
#[must_use]
pub fn ends(line: &str) -> bool {
    matches!(line.trim(), "quit" | "ctrl + c" | INTERRUPT | "stop")
}

/// The message that a line sends: for whom, and its text.
#[must_use]
pub fn message(line: &str) -> Option<(Audience, String)> {
    match command::parse(line) {
        Ok(Some(UserRequest::Command(command))) => match command {
            client::Command::Send { to, text } => Some((Audience::One(to), text)),
            client::Command::SendGroup { group, text } => Some((Audience::Group(group), text)),
            client::Command::SendAll { text } => Some((Audience::All, text)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_sends_are_labelled() {
        let user = "alice".parse().unwrap();
        let mut host = Host::new("alice", Role::Client { user });
        for line in ["send bob one", "list", "send bob", "send bob two"] {
            host.then_type(Duration::ZERO, line);
        }
        let numbers = host.actions.iter().map(|action| match &action.act {
            Act::Type { label, .. } => label.as_ref().map(|label| label.number),
            _ => None,
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(1), None, None, Some(2)]);
    }
}
