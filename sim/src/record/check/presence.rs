//! The server takes nobody for gone whom it has not asked, and nobody for here who has left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use udpchat_core::client::{self, Problem};
use udpchat_core::protocol::{Name, PacketKind};
use udpchat_core::server::timing::{PROBE_INTERVAL, PROBES};
use udpchat_core::server::{self, GoneReason};

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::plan::{Plan, Role};
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "presence",
    promise: "nobody is taken for gone without being asked so often, nor for here again by a \
              registration from before leaving",
    when: When::Always,
    check,
};

/// A server that stands still meanwhile asks over a longer time: no longer than this.
const STANDSTILL: Duration = Duration::from_secs(15);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut presence = Presence::default();
    for entry in &evidence.log.entries {
        presence.note(evidence, entry);
    }
    presence.violations
}

#[derive(Default)]
struct Presence<'a> {
    /// When the server asked whom.
    probes: BTreeMap<&'a HostName, Vec<Duration>>,
    /// Who has been told to be registered since its program started or it last signed in.
    registered: BTreeSet<&'a HostName>,
    /// What each user has typed and not seen carried out: to sign in (true), or to leave.
    typed: BTreeMap<&'a HostName, VecDeque<bool>>,
    /// Who was registered and has left.
    left: BTreeSet<&'a HostName>,
    /// Names that an adversary has, or nobody.
    strange: BTreeSet<&'a Name>,
    violations: Vec<Violation>,
}

impl<'a> Presence<'a> {
    fn note(&mut self, evidence: Evidence<'a>, entry: &'a Entry) {
        let plan = evidence.plan;
        match &entry.what {
            What::Sent { key, .. } if key.packet == PacketKind::Probe => {
                self.probes.entry(&key.to).or_default().push(entry.at);
            }
            // It signs in again by itself, and if its user leaves before the answer is there, the
            // server learns of it only when the lease ends.
            What::Sent { key, .. } if key.packet == PacketKind::Hello => {
                self.registered.remove(&entry.host);
            }
            What::Started { .. } => self.comes(&entry.host),
            // They are carried out one after the other, and may come to wait for each other.
            What::Typed { line, refused: None, .. } if line.starts_with("reg ") => {
                self.typed.entry(&entry.host).or_default().push_back(true);
                self.left.remove(&entry.host);
            }
            What::Typed { line, refused: None, .. } if line.starts_with("dereg ") => {
                self.typed.entry(&entry.host).or_default().push_back(false);
            }
            What::Client(client::Event::Registered { .. }) => {
                self.registered.insert(&entry.host);
                self.carried_out(&entry.host, true);
            }
            What::Client(client::Event::Error(Problem::AlreadyRegistered)) => {
                self.carried_out(&entry.host, true);
            }
            What::Client(client::Event::Error(Problem::AlreadyOffline)) => {
                self.carried_out(&entry.host, false);
            }
            What::Client(client::Event::Offline) => {
                let was_here = self.registered.remove(&entry.host);
                let typed = self.typed.entry(&entry.host).or_default();
                // Whoever is withdrawn while they sign in is never told to be registered.
                if let Some(leaves) = typed.iter().position(|signs_in| !signs_in) {
                    typed.drain(..=leaves);
                }
                if was_here && !typed.contains(&true) {
                    self.left.insert(&entry.host);
                }
            }
            What::Server(server::Event::Gone { name, reason: GoneReason::Silent })
                if !self.strange.contains(name) =>
            {
                self.gone(plan, entry.at, name);
            }
            // Whoever else has the name is not held to what its user does.
            What::Server(server::Event::Registered { name, addr, .. }) => {
                let host = evidence.log.addresses.get(&addr.ip());
                if plan.is_attacked() && host.and_then(|host| plan.host(host)).is_none() {
                    self.strange.insert(name);
                    return;
                }
                self.strange.remove(name);
                if let Some(host) = only_host(plan, name)
                    && self.left.contains(host)
                {
                    self.violate(entry.at, format!("{name} has left, but is here again"));
                }
            }
            _ => {}
        }
    }

    fn comes(&mut self, host: &'a HostName) {
        self.left.remove(host);
        self.typed.remove(host);
        self.registered.remove(host);
    }

    /// The next of what its user has typed is done, if that is to sign in, or to leave.
    fn carried_out(&mut self, host: &'a HostName, signs_in: bool) {
        let typed = self.typed.entry(host).or_default();
        if typed.front().is_some_and(|next| *next == signs_in) {
            typed.pop_front();
        }
    }

    fn gone(&mut self, plan: &'a Plan, at: Duration, name: &Name) {
        let Some(host) = only_host(plan, name) else { return };
        let lately = at.saturating_sub(PROBE_INTERVAL * PROBES + STANDSTILL);
        let probes = self.probes.get(host).into_iter().flatten();
        let asked = probes.filter(|probe| **probe >= lately).count();
        if asked < PROBES as usize {
            let what = format!("{name} was asked {asked} times and is taken for gone");
            self.violate(at, what);
        }
    }

    fn violate(&mut self, at: Duration, what: String) {
        self.violations.push(Violation { checker: CHECKER.name, at, what });
    }
}

/// The host of a user who has just one.
fn only_host<'a>(plan: &'a Plan, name: &Name) -> Option<&'a HostName> {
    let is_users = |role: &Role| matches!(role, Role::Client { user } if user == name);
    let mut hosts = plan.hosts.iter().filter(|host| is_users(&host.role));
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(&host.name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    /// alice's user types these lines while her client leaves; then it is offline, the server has
    /// her back, and she is told so or not.
    fn told(lines: &[&str]) -> Vec<String> {
        let name = || "alice".parse().unwrap();
        let here = || {
            let addr = ([192, 0, 2, 1], 5_000).into();
            What::Server(server::Event::Registered {
                name: name(),
                addr,
                back: true,
                original: false,
            })
        };
        let says = What::Client;
        let registered = || says(client::Event::Registered { name: name(), back: true });
        let mut story = Story::new().at([192, 0, 2, 1].into(), "alice");
        story = story.then(1, "server", here()).then(1, "alice", registered());
        for line in lines {
            let (line, label, refused) = ((*line).to_owned(), None, None);
            story = story.then(2, "alice", What::Typed { line, label, refused });
        }
        story = story.then(3, "alice", says(client::Event::Offline)).then(4, "server", here());
        story.violations(&CHECKER)
    }

    #[test]
    fn who_wants_to_sign_in_again_may_whatever_they_want_then() {
        let back = "alice has left, but is here again";
        assert_eq!(told(&["dereg alice"]), [back]);
        assert_eq!(told(&["dereg alice", "reg alice"]), [""; 0]);
        assert_eq!(told(&["dereg alice", "reg alice", "dereg alice"]), [""; 0]);
    }
}
