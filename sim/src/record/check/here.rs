//! Who is silent is found to be away in time, and for the right reason.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::client;
use udpchat_core::protocol::{Name, PacketKind};
use udpchat_core::server::timing::{LEASE, PROBE_INTERVAL, PROBES};
use udpchat_core::server::{self, GoneReason};

use super::duty::{Awake, Damaged, Duties, Found, at_least, at_most};
use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::planning::plan::SERVER;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "absence",
    promise: "whoever is not heard of is away when the lease ends, or when the questions do that \
              somebody in vain wrote to them has caused, not later; and is away because they said \
              so, were silent, or came anew, whichever it was",
    when: When::Always,
    check,
};

/// How long a reported silence may wait for its question: commits, and requests before it.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    // An adversary's word is as good as its victim's.
    if evidence.plan.is_attacked() {
        return Vec::new();
    }
    let mut here = Here::new(evidence);
    for entry in &evidence.log.entries {
        here.note(entry);
    }
    here.end();
    here.found.all()
}

/// Who is here, as the server says, and when it heard of them.
struct Here<'a> {
    evidence: Evidence<'a>,
    damaged: Damaged<'a>,
    awake: Awake<'a>,
    /// Where each is.
    at: BTreeMap<&'a Name, &'a HostName>,
    /// When the server last answered a keep-alive of each host.
    answered: BTreeMap<&'a HostName, Duration>,
    /// When it last heard anything of each, and what it asked for.
    heard: BTreeMap<&'a HostName, Duration>,
    left: BTreeMap<&'a HostName, Duration>,
    /// To whom somebody has written in vain, as the program that runs now has said.
    in_vain: BTreeMap<&'a Label, &'a Name>,
    leases: Duties<&'a Name>,
    /// Whoever is asked answers, or is away.
    questions: Duties<&'a HostName>,
    /// Whoever is said to be silent is asked.
    suspects: Duties<&'a HostName>,
    /// When each was asked last.
    asked: BTreeMap<&'a HostName, Duration>,
    found: Found,
}

impl<'a> Here<'a> {
    fn new(evidence: Evidence<'a>) -> Self {
        Self {
            evidence,
            damaged: Damaged::of(evidence),
            awake: Awake::default(),
            at: BTreeMap::new(),
            answered: BTreeMap::new(),
            heard: BTreeMap::new(),
            left: BTreeMap::new(),
            in_vain: BTreeMap::new(),
            leases: Duties::default(),
            questions: Duties::default(),
            suspects: Duties::default(),
            asked: BTreeMap::new(),
            found: Found::by(CHECKER.name),
        }
    }

    fn note(&mut self, entry: &'a Entry) {
        self.awake.note(entry);
        let (at, host) = (entry.at, &entry.host);
        match &entry.what {
            What::Started { .. } => {
                self.in_vain.retain(|label, _| label.host != *host);
                if **host == *SERVER {
                    self.starts_anew();
                }
            }
            What::Client(event) => {
                if let client::Event::Detour { id, to, reason: client::DetourReason::NoAck } =
                    event.plain()
                    && let Some(label) = self.evidence.log.labels.get(*id)
                {
                    self.in_vain.insert(label, to);
                }
            }
            // They may be elsewhere now.
            What::Arrived { packet: PacketKind::Table, .. } => {
                self.in_vain.retain(|label, _| label.host != *host);
            }
            // It is no longer deaf.
            What::Arrived { packet: PacketKind::KnockAnswer | PacketKind::Ack, .. }
            | What::Sent {
                key: crate::faults::fate::Key { packet: PacketKind::Hello, .. }, ..
            } => {
                self.in_vain.retain(|label, _| label.host != *host);
            }
            What::Arrived { from, packet, message, .. } if **host == *SERVER => {
                self.hears(at, from, *packet, message.as_ref());
            }
            What::Sent { key, .. } if **host == *SERVER => match key.packet {
                PacketKind::Pong => {
                    self.answered.insert(&key.to, at);
                }
                PacketKind::Probe => {
                    let all = PROBE_INTERVAL * PROBES;
                    self.questions.owe(&key.to, at, at_most(all));
                    self.asked.insert(&key.to, at);
                    self.suspects.done(&&key.to, at, None);
                }
                PacketKind::Unknown => {
                    self.suspects.clear();
                }
                _ => {}
            },
            What::Server(event) => self.says(at, event),
            _ => {}
        }
    }

    fn starts_anew(&mut self) {
        self.at.clear();
        self.answered.clear();
        self.leases.clear();
        self.questions.clear();
        self.suspects.clear();
        self.asked.clear();
        self.heard.clear();
    }

    fn hears(
        &mut self,
        at: Duration,
        from: &'a HostName,
        packet: PacketKind,
        message: Option<&'a Label>,
    ) {
        self.heard.insert(from, at);
        let names: Vec<&Name> =
            self.at.iter().filter(|(_, host)| **host == from).map(|(name, _)| *name).collect();
        for name in names {
            self.late_lease(at, name);
            self.leases.owe(name, at, at_most(LEASE));
        }
        let server = &self.evidence.plan.hosts[0].name;
        match packet {
            PacketKind::Deregister => {
                self.left.insert(from, at);
            }
            PacketKind::Alive => {
                self.late_question(at, from);
                self.suspects.done(&from, at, None);
            }
            PacketKind::Save => {
                let whole = self.damaged.is_whole(from, server, packet, message);
                let to = message.and_then(|label| self.in_vain.get(label));
                let to = to.and_then(|name| self.at.get(name)).copied();
                if let Some(to) = to.filter(|to| whole && !self.questions.owes(to)) {
                    self.suspects.owe(to, at, ASKED_WITHIN);
                }
            }
            _ => {}
        }
    }

    fn says(&mut self, at: Duration, event: &'a server::Event) {
        match event {
            server::Event::Registered { name, addr, .. } => {
                let Some(host) = self.evidence.log.addresses.get(&addr.ip()) else { return };
                self.at.insert(name, host);
                self.answered.remove(host);
                self.leases.done(&name, at, None);
                self.leases.owe(name, at, at_most(LEASE));
            }
            server::Event::Gone { name, reason } => {
                self.late_lease(at, name);
                let Some(host) = self.at.remove(name) else { return };
                self.late_question(at, host);
                self.suspects.done(&host, at, None);
                let lately =
                    |when: Option<&Duration>, within| when.is_some_and(|when| *when + within > at);
                let wrong = match reason {
                    GoneReason::LeaseExpired => {
                        let heard = lately(self.answered.get(host), at_least(LEASE));
                        heard.then_some("for want of a word, which it has had")
                    }
                    GoneReason::Deregistered => {
                        let left = lately(self.left.get(host), ASKED_WITHIN);
                        (!left).then_some("as if it had said so")
                    }
                    GoneReason::Silent | GoneReason::Replaced => None,
                };
                if let Some(wrong) = wrong {
                    self.found.add(at, format!("{name} is taken for gone {wrong}"));
                }
            }
            _ => {}
        }
    }

    fn late_lease(&mut self, at: Duration, name: &'a Name) {
        let awake = self.awake.since(SERVER, at);
        if let Some(took) = self.leases.done(&name, at, awake) {
            let took = took.as_secs_f64();
            self.found.add(at, format!("{name} is here for {took:.1} s without a word"));
        }
    }

    fn late_question(&mut self, at: Duration, host: &'a HostName) {
        let awake = self.awake.since(SERVER, at);
        if let Some(took) = self.questions.done(&host, at, awake) {
            let took = took.as_secs_f64();
            self.found.add(at, format!("{host} is asked whether it is there for {took:.1} s"));
        }
    }

    fn end(&mut self) {
        let end = self.evidence.end;
        let awake = self.awake.since(SERVER, end);
        for (name, _) in self.leases.late(end, |_| awake) {
            self.found.add(end, format!("{name} is here long after the lease has ended"));
        }
        for (host, _) in self.questions.late(end, |_| awake) {
            self.found.add(end, format!("{host} is asked whether it is there, and no end"));
        }
        for (host, _) in self.suspects.late(end, |_| awake) {
            self.found.add(end, format!("{host} is said to be silent, and is not asked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    fn here() -> Story {
        let story = Story::new()
            .then(0, SERVER, What::Started { port: 1 })
            .at([192, 0, 2, 1].into(), "alice");
        let (name, addr) = ("alice".parse().unwrap(), ([192, 0, 2, 1], 5_000).into());
        let (back, original) = (false, false);
        let event = server::Event::Registered { name, addr, back, original };
        story.then(1, SERVER, What::Server(event))
    }

    fn gone(reason: GoneReason) -> What {
        What::Server(server::Event::Gone { name: "alice".parse().unwrap(), reason })
    }

    #[test]
    fn a_lease_ends_in_time() {
        let ends = |second| here().then(second, SERVER, gone(GoneReason::LeaseExpired));
        assert_eq!(ends(17).violations(&CHECKER), [""; 0]);
        assert_eq!(ends(20).violations(&CHECKER), ["alice is here for 19.0 s without a word"]);
        let never = here().then(40, "bob", What::Crashed).violations(&CHECKER);
        assert_eq!(never, ["alice is here long after the lease has ended"]);
        let pong = here().sends(9, SERVER, "alice", PacketKind::Pong);
        let early = pong.then(17, SERVER, gone(GoneReason::LeaseExpired)).violations(&CHECKER);
        assert_eq!(early, ["alice is taken for gone for want of a word, which it has had"]);
    }

    #[test]
    fn questions_come_to_an_end_and_nobody_has_said_what_they_have_not() {
        let asked = || here().sends(2, SERVER, "alice", PacketKind::Probe);
        let silent = |second| asked().then(second, SERVER, gone(GoneReason::Silent));
        assert_eq!(silent(4).violations(&CHECKER), [""; 0]);
        assert_eq!(
            silent(6).violations(&CHECKER),
            ["alice is asked whether it is there for 4.0 s"]
        );
        let left = here().then(2, SERVER, gone(GoneReason::Deregistered));
        assert_eq!(left.violations(&CHECKER), ["alice is taken for gone as if it had said so"]);
    }
}
