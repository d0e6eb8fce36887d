//! Nobody is moved out of a name while their program answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat_core::protocol::{Name, PacketKind};
use udpchat_core::server::timing::{PROBE_INTERVAL, PROBES};
use udpchat_core::server::{Event, GoneReason};

use super::{Checker, Evidence, Violation, When};
use crate::faults::fate::together;
use crate::naming::label::HostName;
use crate::planning::plan::{Folder, SERVER};
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "names",
    promise: "nobody is moved out of a name while their program answers: who did not ask to leave \
              is not taken to have left, and nobody else has the name of whoever has just said to \
              be there",
    when: When::Always,
    check,
};

/// How long somebody is asked whether they are there.
const ASKED_FOR: Duration = PROBE_INTERVAL.saturating_mul(PROBES);

/// What arrives says nothing of its damage; what was damaged arrives so soon, a late copy included.
const DAMAGED_COMES_WITHIN: Duration = Duration::from_secs(4);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut names = Names::default();
    for entry in &evidence.log.entries {
        if let Some(what) = names.step(evidence, entry) {
            names.violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        }
    }
    names.violations
}

/// Who has a name.
struct Holder<'a> {
    host: &'a HostName,
    since: Duration,
    /// When the server took them for silent.
    silent: Option<Duration>,
}

#[derive(Default)]
struct Names<'a> {
    holders: BTreeMap<&'a Name, Holder<'a>>,
    /// When each host last asked to leave.
    leaves: BTreeMap<&'a HostName, Duration>,
    /// When each host last said so in a datagram that was damaged on its way.
    damaged: BTreeMap<&'a HostName, Duration>,
    /// When the server last heard from each host that it is there.
    alive: BTreeMap<&'a HostName, Duration>,
    /// Hosts on which no program runs any more.
    ended: BTreeSet<&'a HostName>,
    /// Hosts with a copy of another's folder: they are taken for the same client.
    kin: BTreeSet<(&'a HostName, &'a HostName)>,
    violations: Vec<Violation>,
}

impl<'a> Names<'a> {
    fn step(&mut self, evidence: Evidence<'a>, entry: &'a Entry) -> Option<String> {
        match &entry.what {
            What::Sent { key, .. } if key.packet == PacketKind::Deregister => {
                self.leaves.insert(&entry.host, entry.at);
            }
            What::Sent { key, faults, .. }
                if key.packet == PacketKind::Alive && together(faults).damage.is_some() =>
            {
                self.damaged.insert(&entry.host, entry.at);
            }
            What::Crashed | What::Ended { .. } => {
                self.ended.insert(&entry.host);
                self.alive.remove(&entry.host);
            }
            // What a program has said that is no more holds nothing.
            What::Arrived { from, packet: PacketKind::Alive, .. }
                if *entry.host == *SERVER && !self.ended.contains(from) =>
            {
                let damaged = self.damaged.get(from).copied();
                if damaged.is_none_or(|at| at + DAMAGED_COMES_WITHIN < entry.at) {
                    self.alive.insert(from, entry.at);
                }
            }
            // A server's next life knows nobody's session; and a program that is no more answers
            // nothing.
            What::Started { .. } if *entry.host == *SERVER => self.holders.clear(),
            What::Started { .. } => {
                self.ended.remove(&entry.host);
                self.holders.retain(|_, holder| *holder.host != entry.host);
            }
            What::Folder(Folder::Replaced { by }) => {
                self.kin.extend([(by, &entry.host), (&entry.host, by)]);
            }
            What::Server(Event::Gone { name, reason }) => {
                return self.gone(entry.at, name, *reason);
            }
            What::Server(Event::Registered { name, addr, original, .. }) => {
                let host = evidence.log.addresses.get(&addr.ip());
                let host = host.filter(|host| evidence.plan.host(host).is_some() && !original);
                return self.registered(entry.at, name, host);
            }
            _ => {}
        }
        None
    }

    fn gone(&mut self, at: Duration, name: &'a Name, reason: GoneReason) -> Option<String> {
        match reason {
            GoneReason::Deregistered => {
                let Holder { host, since, .. } = self.holders.remove(name)?;
                let asked = self.leaves.get(host).is_some_and(|left| *left >= since);
                (!asked).then(|| format!("{name} is taken to have left, and {host} never asked to"))
            }
            GoneReason::Silent => {
                self.holders.get_mut(name)?.silent = Some(at);
                None
            }
            GoneReason::LeaseExpired => {
                self.holders.remove(name);
                None
            }
            // By themselves, or else it is seen who has the name next.
            GoneReason::Replaced => None,
        }
    }

    fn registered(
        &mut self,
        at: Duration,
        name: &'a Name,
        host: Option<&'a HostName>,
    ) -> Option<String> {
        let before = self.holders.remove(name);
        if let Some(host) = host {
            self.holders.insert(name, Holder { host, since: at, silent: None });
        }
        let Holder { host: held_by, since, silent } = before.filter(|it| Some(it.host) != host)?;
        if host.is_some_and(|host| self.kin.contains(&(host, held_by))) {
            return None;
        }
        let asked_until = silent.unwrap_or(at);
        let heard = self.alive.get(held_by).filter(|heard| **heard >= since)?;
        let answers = (asked_until.saturating_sub(ASKED_FOR)..=asked_until).contains(heard);
        let by = host.map_or("somebody else", |host| host);
        answers.then(|| format!("{name} has gone from {held_by}, which answers, to {by}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;
    use crate::faults::fate::Key;

    fn alice() -> Name {
        "alice".parse().unwrap()
    }

    fn here(host: u8, original: bool) -> What {
        let addr = ([192, 0, 2, host], 5_000).into();
        What::Server(Event::Registered { name: alice(), addr, back: false, original })
    }

    fn gone(reason: GoneReason) -> What {
        What::Server(Event::Gone { name: alice(), reason })
    }

    fn told(story: Story) -> Vec<String> {
        story.at([192, 0, 2, 1].into(), "alice").violations(&CHECKER)
    }

    #[test]
    fn who_did_not_ask_to_leave_has_not_left() {
        let story = || Story::new().then(1, SERVER, here(1, false));
        let left = || gone(GoneReason::Deregistered);
        let never = "alice is taken to have left, and alice never asked to";
        assert_eq!(told(story().then(2, SERVER, left())), [never]);
        let (from, to, packet) = ("alice".into(), SERVER.into(), PacketKind::Deregister);
        let key = Key { from, to, packet, message: None, attempt: 1 };
        let asks = What::Sent { key, bytes: 1, faults: Vec::new(), cut: false, source: None };
        assert_eq!(told(story().then(2, "alice", asks).then(2, SERVER, left())), [""; 0]);
    }

    #[test]
    fn the_name_of_whoever_answers_is_nobody_elses() {
        let alive = || {
            let (from, packet) = ("alice".into(), PacketKind::Alive);
            What::Arrived { from, packet, message: None, local: None }
        };
        let story = || Story::new().then(1, SERVER, here(1, false));
        let moved = "alice has gone from alice, which answers, to somebody else";
        for thief in [here(9, false), here(1, true)] {
            assert_eq!(
                told(story().then(2, SERVER, alive()).then(3, SERVER, thief.clone())),
                [moved]
            );
            assert_eq!(told(story().then(3, SERVER, thief)), [""; 0], "nothing was heard");
        }
        let again = story().then(2, SERVER, alive()).then(3, SERVER, here(1, false));
        assert_eq!(told(again), [""; 0]);
    }
}
