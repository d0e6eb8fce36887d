//! Whoever starts finds what was there: the same each time, an outbox under the same ids, who is
//! known and belongs to which group, and of which messages a copy may still come.

use std::collections::{BTreeMap, BTreeSet};

use udpchat_core::protocol::Name;
use udpchat_core::server;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::planning::plan::Folder;
use crate::record::log::{Durable, Entry, Found, What};

pub(super) const CHECKER: Checker = Checker {
    name: "recovery",
    promise: "a store that is opened twice is the same twice, a client finds in it every \
              message that it has not done with, under its id, and the server everybody who was \
              registered, and who is in which group; of whatever a disk has had, a copy is known",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut disks: BTreeMap<&HostName, DiskContents<'_>> = BTreeMap::new();
    let mut copies: BTreeMap<&HostName, DiskContents<'_>> = BTreeMap::new();
    for Entry { at, host, what } in &evidence.log.entries {
        let disk = disks.entry(host).or_default();
        match what {
            What::Durable(durable) => disk.has(durable),
            What::Server(server::Event::Registered { name, .. }) => {
                disk.names.insert(name);
            }
            What::Asked(durable) => disk.is_to_have(durable),
            What::Folder(Folder::Copied) => {
                copies.insert(host, disk.clone());
            }
            What::Folder(Folder::Lost) => *disk = DiskContents::default(),
            What::Folder(Folder::Replaced { by }) => {
                // Which copies it would know is not looked at: nobody has seen it take them in.
                let copy = copies.get(by).cloned().unwrap_or_default();
                *disk = DiskContents { taken: BTreeSet::new(), ..copy };
            }
            What::Found(found) => {
                // An id that stands for two messages tells nothing of either.
                let is_clear = |label: &&Label| !evidence.ledger.doubtful.contains(&label.host);
                disk.taken.retain(is_clear);
                disk.unsettled.retain(is_clear);
                let wrong = disk.is_found(found).into_iter().map(|how| format!("{host} {how}"));
                let violation = |what| Violation { checker: CHECKER.name, at: *at, what };
                violations.extend(wrong.map(violation));
            }
            _ => {}
        }
    }
    violations
}

/// A group, somebody, and whether they are in it.
type Membership<'a> = (&'a Name, &'a Name, bool);

/// What a host's disk has.
#[derive(Clone, Default)]
struct DiskContents<'a> {
    /// What a client has to send.
    unsettled: BTreeSet<&'a Label>,
    /// What it had from others at any time.
    taken: BTreeSet<&'a Label>,
    /// Who was registered at the server at any time.
    names: BTreeSet<&'a Name>,
    /// The members of the server's groups.
    members: BTreeSet<(&'a Name, &'a Name)>,
    /// Changes of that which were asked for and may be durable or not, and how often.
    asked: BTreeMap<Membership<'a>, u32>,
}

impl<'a> DiskContents<'a> {
    fn is_to_have(&mut self, durable: &'a Durable) {
        match durable {
            Durable::Settled(label) => {
                self.unsettled.remove(label);
            }
            durable => {
                if let Some(change) = membership(durable) {
                    *self.asked.entry(change).or_default() += 1;
                }
            }
        }
    }

    fn has(&mut self, durable: &'a Durable) {
        match durable {
            Durable::Typed(label) => {
                self.unsettled.insert(label);
            }
            Durable::Stored(label) | Durable::Remembered(label) => {
                self.taken.insert(label);
            }
            durable => {
                if let Some(change @ (group, member, is_in)) = membership(durable) {
                    if is_in {
                        self.members.insert((group, member));
                    } else {
                        self.members.remove(&(group, member));
                    }
                    self.asked.entry(change).and_modify(|times| *times = times.saturating_sub(1));
                }
            }
        }
    }

    /// What is wrong with what is found on it, which is what it has from now on.
    fn is_found(&mut self, found: &'a Found) -> Vec<String> {
        let mut wrong = Vec::new();
        if !found.is_same_again {
            wrong.push("would find something else on its disk when it looks again".to_owned());
        }
        for label in self.taken.iter().filter(|label| !found.taken.contains(**label)) {
            wrong.push(format!("would not know a copy of {label}"));
        }
        for name in self.names.iter().filter(|name| !found.names.contains(**name)) {
            wrong.push(format!("does not know {name} any more"));
        }
        let members = found.members.iter().map(|(group, member)| (group, member)).collect();
        for (group, member) in self.members.symmetric_difference(&members).copied() {
            let is_in = members.contains(&(group, member));
            if self.asked.get(&(group, member, is_in)).is_none_or(|times| *times == 0) {
                let is = if is_in { "is" } else { "is not" };
                wrong.push(format!("finds that {member} {is} in {group}, which nobody wanted"));
            }
        }
        (self.members, self.asked) = (members, BTreeMap::new());
        if !found.is_server {
            let kept: BTreeSet<&Label> = found.kept.iter().flatten().collect();
            if kept.len() < found.kept.len() {
                wrong.push("finds a message to be sent under an id that none has".to_owned());
            }
            for label in self.unsettled.difference(&kept) {
                wrong.push(format!("does not find {label} on its disk, which is to be sent"));
            }
            self.unsettled = kept;
        }
        wrong
    }
}

fn membership(durable: &Durable) -> Option<Membership<'_>> {
    match durable {
        Durable::Joined { group, member } => Some((group, member, true)),
        Durable::Left { group, member } => Some((group, member, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, label};
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn joined() -> Durable {
        Durable::Joined { group: name("team"), member: name("bob") }
    }

    fn left() -> Durable {
        Durable::Left { group: name("team"), member: name("bob") }
    }

    fn finds(members: &[(Name, Name)]) -> What {
        let members = members.iter().cloned().collect();
        let (is_server, is_same_again) = (true, true);
        What::Found(Found { is_server, members, is_same_again, ..Found::default() })
    }

    #[test]
    fn only_what_was_asked_for_may_have_changed_who_is_in_a_group() {
        let asked = |durable| Story::new().then(1, "server", What::Asked(durable));
        let has = |durable| Story::new().then(1, "server", What::Durable(durable));
        let bob = [(name("team"), name("bob"))];
        let lost = ["server finds that bob is not in team, which nobody wanted"];
        let back = ["server finds that bob is in team, which nobody wanted"];
        assert_eq!(has(joined()).then(2, "server", finds(&bob)).violations(&CHECKER), [""; 0]);
        assert_eq!(has(joined()).then(2, "server", finds(&[])).violations(&CHECKER), lost);
        assert_eq!(asked(joined()).then(2, "server", finds(&[])).violations(&CHECKER), [""; 0]);
        assert_eq!(asked(joined()).then(2, "server", finds(&bob)).violations(&CHECKER), [""; 0]);
        assert_eq!(asked(left()).then(2, "server", finds(&bob)).violations(&CHECKER), back);
        // What has become durable is not asked for any more.
        let gone = asked(joined()).then(2, "server", What::Durable(joined()));
        let gone = gone.then(3, "server", What::Asked(left()));
        let gone = gone.then(4, "server", What::Durable(left()));
        assert_eq!(gone.then(5, "server", finds(&bob)).violations(&CHECKER), back);
    }

    #[test]
    fn a_copy_of_what_a_disk_had_is_known_for_good() {
        let finds = |taken: &[Label]| {
            let taken = taken.iter().cloned().collect();
            What::Found(Found { taken, is_same_again: true, ..Found::default() })
        };
        for durable in [Durable::Stored(label(1)), Durable::Remembered(label(1))] {
            let story =
                || Story::new().types(1, "hello").then(2, "bob", What::Durable(durable.clone()));
            let known = story().then(3, "bob", finds(&[label(1)]));
            assert_eq!(known.violations(&CHECKER), [""; 0]);
            let forgotten = ["bob would not know a copy of alice#1"];
            assert_eq!(story().then(3, "bob", finds(&[])).violations(&CHECKER), forgotten);
        }
    }

    #[test]
    fn whoever_was_registered_is_known_for_good() {
        let addr = ([192, 0, 2, 1], 5_000).into();
        let registered =
            server::Event::Registered { name: name("bob"), addr, back: false, original: false };
        let story = || Story::new().then(1, "server", What::Server(registered.clone()));
        let finds = |names: &[Name]| {
            let (is_server, is_same_again) = (true, true);
            let names = names.iter().cloned().collect();
            What::Found(Found { is_server, names, is_same_again, ..Found::default() })
        };
        let known = story().then(2, "server", finds(&[name("bob")]));
        assert_eq!(known.violations(&CHECKER), [""; 0]);
        let forgotten = ["server does not know bob any more"];
        assert_eq!(story().then(2, "server", finds(&[])).violations(&CHECKER), forgotten);
    }
}
