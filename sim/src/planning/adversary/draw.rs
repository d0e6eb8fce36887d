//! What strategies draw from: a seed, and what everybody can know of a run.

use std::time::Duration;

use serde_json::{Value, json};
use udpchat_core::protocol::limits::SEQ_MAX;

use crate::faults::fate::whole_ms;
use crate::naming::random::Stream;
use crate::planning::moves::{Claim, Datagram, Move, Place, SERVER, Trick};
use crate::planning::plan::{Act, CLIENT_PORT, Plan, Role, SERVER_PORT, SERVER_SECOND_PORT};

/// The draws of one run's adversary.
pub(super) struct Draw<'a> {
    stream: Stream,
    plan: &'a Plan,
    within: Duration,
}

/// Somebody to attack: a user and where the program listens.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    pub(super) name: String,
    pub(super) place: Place,
}

impl<'a> Draw<'a> {
    pub(super) fn new(plan: &'a Plan, within: Duration) -> Self {
        Self { stream: Stream::new(plan.seed, &["adversary"]), plan, within }
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.stream.below(bound)
    }

    pub(super) fn number(&mut self, most: u16) -> u16 {
        u16::try_from(self.below(u64::from(most))).unwrap_or_default()
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        self.stream.pick(items).cloned()
    }

    /// One of two things, each as likely.
    pub(super) fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Any time in which things go wrong.
    pub(super) fn time(&mut self) -> Duration {
        let span = whole_ms(self.within).max(1);
        Duration::from_millis(self.below(span))
    }

    /// A pause of so many milliseconds at most.
    pub(super) fn pause(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(1 + self.below(most_ms))
    }

    /// A user whose program is started before that time.
    pub(super) fn victim(&mut self, at: Duration) -> Option<Victim> {
        let users = self.plan.hosts.iter().filter(|host| host.role != Role::Server);
        let started = users.filter_map(|host| {
            let starts = host.actions.iter().filter(|action| action.at <= at);
            let port = starts.rev().find_map(|action| match action.act {
                Act::Start { port } => Some(port),
                _ => None,
            })?;
            let Role::Client { user } = &host.role else { return None };
            Some(Victim { name: user.to_string(), place: Place { host: host.name.clone(), port } })
        });
        let started: Vec<Victim> = started.collect();
        self.pick(&started)
    }

    /// A moment at which a user's program is started, and which one.
    pub(super) fn start(&mut self) -> Option<(Duration, Victim)> {
        let starts = self.plan.hosts.iter().flat_map(|host| &host.actions);
        let starts = starts.filter(|action| matches!(action.act, Act::Start { .. }));
        let times: Vec<Duration> =
            starts.map(|action| action.at).filter(|at| *at < self.within).collect();
        let at = self.pick(&times)?;
        let there: Vec<Victim> = self
            .plan
            .hosts
            .iter()
            .filter_map(|host| {
                let start = host.actions.iter().find(|action| action.at == at)?;
                let (Act::Start { port }, Role::Client { user }) = (&start.act, &host.role) else {
                    return None;
                };
                let place = Place { host: host.name.clone(), port: *port };
                Some(Victim { name: user.to_string(), place })
            })
            .collect();
        Some((at, self.pick(&there)?))
    }

    /// A number that counts something: small, as most are, or as large as there is.
    pub(super) fn count(&mut self) -> Value {
        match self.below(8) {
            0 => json!(u64::MAX - self.below(3)),
            1 => json!(SEQ_MAX - self.below(3)),
            2 => json!(0),
            3 => json!(self.below(100)),
            _ => json!(1 + self.below(4)),
        }
    }

    /// An identifier: one that nobody has.
    pub(super) fn id(&mut self) -> Value {
        json!(format!("{:016x}", self.stream.draw()))
    }
}

/// The server's well-known port, and the one at which it is acknowledged.
pub(super) fn server() -> Place {
    Place { host: SERVER.into(), port: SERVER_PORT }
}

pub(super) fn second() -> Place {
    Place { host: SERVER.into(), port: SERVER_SECOND_PORT }
}

/// A request or text of the original's dialect.
pub(super) fn original(words: &str) -> Datagram {
    Datagram::Original(words.to_owned())
}

/// A packet without a text.
pub(super) fn packet(packet: Value) -> Datagram {
    Datagram::Packet { packet, body: String::new() }
}

/// Something is sent.
pub(super) const fn forge(claim: Claim, to: Place, datagram: Datagram) -> Trick {
    Trick::Forge { claim, to, datagram }
}

/// From the adversary's own address.
pub(super) const OWN: Claim = Claim::Own { port: CLIENT_PORT };

/// A move that is made several times.
pub(super) const fn often(at: Duration, times: u32, every: Duration, trick: Trick) -> Move {
    Move { at, times, every, trick }
}
