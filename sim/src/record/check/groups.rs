//! Groups are what their members made them, and a text to many has one copy for each of them.
//!
//! Knows who is in which group from the server's disk alone, step by step, and holds what users
//! are told and what is sent against that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat_core::client::{Event, GroupDone, Listing, Problem};
use udpchat_core::protocol::{GroupTag, Name};

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::planning::plan::{Plan, Role};
use crate::record::log::{Durable, Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "groups",
    promise: "who was told to be in a group, or out of it, is so on the server's disk; a text to a \
              group has one copy for everyone who was in it all the time from being typed to being \
              sent, and none for those who never were; one to everybody has one for each in the \
              sender's table",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut model = Model::default();
    for entry in &evidence.log.entries {
        model.step(evidence, entry);
    }
    model.compare_with_server(evidence);
    model.compare_copies(evidence);
    model.violations
}

#[derive(Default)]
struct Model<'a> {
    /// Who is in which group, on the server's disk.
    members: BTreeMap<Name, BTreeSet<Name>>,
    /// Since when each is in, or not in, and whether they were at any time before that, in each
    /// group: every change in order.
    changes: BTreeMap<(Name, Name), Vec<(Duration, bool)>>,
    /// Whose membership has changed since they were last told something about groups.
    unanswered: BTreeSet<Name>,
    /// What each host was last shown of the table.
    tables: BTreeMap<&'a HostName, &'a Listing>,
    violations: Vec<Violation>,
}

impl<'a> Model<'a> {
    fn step(&mut self, evidence: Evidence<'a>, entry: &'a Entry) {
        match &entry.what {
            What::Durable(Durable::Joined { group, member }) => {
                self.changed(entry.at, group, member, true);
            }
            What::Durable(Durable::Left { group, member }) => {
                self.changed(entry.at, group, member, false);
            }
            // A commit that was cut short may be durable all the same. The checker "recovery"
            // accepts nothing else.
            What::Found(found) if found.is_server => self.find(entry.at, &found.members),
            // It does not know what it has asked for.
            What::Folder(_) => {
                if let Some(user) = user(evidence.plan, &entry.host) {
                    self.unanswered.remove(user);
                }
            }
            What::Client(event) => {
                if let Some(user) = user(evidence.plan, &entry.host) {
                    self.told(evidence, entry, user, event);
                }
            }
            _ => {}
        }
    }

    /// The server's disk has been looked at.
    fn find(&mut self, at: Duration, found: &BTreeSet<(Name, Name)>) {
        let of = |(group, members): (&Name, &BTreeSet<Name>)| {
            let pairs = members.iter().map(|member| (group.clone(), member.clone()));
            pairs.collect::<Vec<_>>()
        };
        let known: BTreeSet<(Name, Name)> = self.members.iter().flat_map(of).collect();
        for (group, member) in found.symmetric_difference(&known) {
            let is_in = found.contains(&(group.clone(), member.clone()));
            self.changed(at, group, member, is_in);
        }
    }

    fn changed(&mut self, at: Duration, group: &Name, member: &Name, is_in: bool) {
        let members = self.members.entry(group.clone()).or_default();
        if is_in {
            members.insert(member.clone());
        } else {
            members.remove(member);
        }
        self.unanswered.insert(member.clone());
        let changes = self.changes.entry((group.clone(), member.clone())).or_default();
        changes.push((at, is_in));
    }

    fn told(
        &mut self,
        evidence: Evidence<'a>,
        Entry { at, host, .. }: &'a Entry,
        user: &Name,
        event: &'a Event,
    ) {
        match event {
            Event::Table(listing) => {
                self.tables.insert(host, listing);
            }
            Event::Group { group, what } => {
                let is_in = self.members.get(group).is_some_and(|all| all.contains(user));
                if is_in == (*what == GroupDone::Left) {
                    self.violate(*at, format!("{user} is told {what:?} {group}, and is not so"));
                }
                self.unanswered.remove(user);
            }
            Event::Groups(_) | Event::Members { .. } => {
                self.unanswered.remove(user);
            }
            // Who left unanswered cannot know.
            Event::Error(Problem::LeftUnanswered | Problem::LeftAsking) => {
                self.unanswered.remove(user);
            }
            Event::Error(
                problem @ (Problem::GroupExists(_)
                | Problem::NoSuchGroup(_)
                | Problem::NotMember(_)
                | Problem::TooManyGroups(_)
                | Problem::TooManyMade(_)
                | Problem::GroupFull(_)
                | Problem::ServerDiskFullForGroup(_)),
            ) if self.unanswered.remove(user) => {
                let what = format!("{user} is told {:?}, but it was done", problem.to_string());
                self.violate(*at, what);
            }
            Event::SendingMany { group, to } => {
                self.sending(evidence, (*at, host), user, group, to)
            }
            _ => {}
        }
    }

    fn sending(
        &mut self,
        evidence: Evidence<'_>,
        (at, host): (Duration, &HostName),
        user: &Name,
        tag: &GroupTag,
        to: &[Name],
    ) {
        let Some(label) = evidence.log.labels.of_cast(tag.cast) else { return };
        let Some(cast) = evidence.ledger.casts.get(label) else { return };
        let to: BTreeSet<&Name> = to.iter().collect();
        let (must, may) = match &tag.name {
            Some(group) => self.members_during(group, cast.typed, at),
            None => {
                let known = self.tables.get(host).map(|all| all.online.iter().chain(&all.offline));
                let known: BTreeSet<Name> = known.into_iter().flatten().cloned().collect();
                (known.clone(), known)
            }
        };
        for missing in must.iter().filter(|name| *name != user && !to.contains(name)) {
            self.violate(at, format!("{label} has no copy for {missing}"));
        }
        for stranger in to.into_iter().filter(|name| *name == user || !may.contains(*name)) {
            self.violate(at, format!("{label} has a copy for {stranger}, who is not to have one"));
        }
    }

    /// Who was in a group all the time, and who at any.
    fn members_during(
        &self,
        group: &Name,
        from: Duration,
        to: Duration,
    ) -> (BTreeSet<Name>, BTreeSet<Name>) {
        let (mut all_the_time, mut at_any) = (BTreeSet::new(), BTreeSet::new());
        for ((_, member), changes) in self.changes.iter().filter(|((of, _), _)| of == group) {
            let before = changes.iter().take_while(|(at, _)| *at <= from).last();
            let during = changes.iter().filter(|(at, _)| from < *at && *at <= to);
            let states = before.into_iter().chain(during).map(|(_, is_in)| *is_in);
            let states: Vec<bool> = states.collect();
            if before.is_some() && states.iter().all(|is_in| *is_in) {
                all_the_time.insert(member.clone());
            }
            if states.contains(&true) {
                at_any.insert(member.clone());
            }
        }
        (all_the_time, at_any)
    }

    /// In the end the server knows what its disk has.
    fn compare_with_server(&mut self, evidence: Evidence<'_>) {
        let Some(server) = evidence.server.filter(|_| evidence.plan.healed.is_some()) else {
            return;
        };
        let full = self.members.iter().filter(|(_, members)| !members.is_empty());
        let rows = full.map(|(group, members)| {
            let members: Vec<&str> = members.iter().map(Name::as_str).collect();
            format!("{group}: {}", members.join(", "))
        });
        let rows: Vec<String> = rows.collect();
        if rows != server.groups {
            let what = format!("the server knows the groups {:?}, not {rows:?}", server.groups);
            self.violate(evidence.end, what);
        }
    }

    /// Every text to many begins once, and has the copies that were announced and no others.
    fn compare_copies(&mut self, evidence: Evidence<'_>) {
        for (label, cast) in &evidence.ledger.casts {
            // An older copy of the folder knows nothing of the first time.
            if cast.sending.len() > 1 && !evidence.ledger.restored.contains(&label.host) {
                self.violate(cast.sending[1].0, format!("{label} is sent to all of them again"));
            }
            let Some((at, to)) = cast.sending.first() else { continue };
            let copies = copies(evidence, label);
            for name in to.iter().filter(|name| !copies.contains(*name)) {
                self.violate(*at, format!("{label} has no copy for {name}"));
            }
            for name in copies.into_iter().filter(|name| !to.contains(name)) {
                self.violate(
                    *at,
                    format!("{label} has a copy for {name}, which was not announced"),
                );
            }
        }
    }

    fn violate(&mut self, at: Duration, what: String) {
        self.violations.push(Violation { checker: CHECKER.name, at, what });
    }
}

/// Whom there are copies for.
fn copies<'a>(evidence: Evidence<'a>, command: &Label) -> BTreeSet<&'a Name> {
    let behind = evidence.ledger.messages.range(command.clone()..);
    let copies = behind.take_while(|(label, _)| label.command() == *command);
    copies.filter_map(|(label, _)| label.copy.as_ref()).collect()
}

fn user<'a>(plan: &'a Plan, host: &str) -> Option<&'a Name> {
    match &plan.host(host)?.role {
        Role::Client { user } => Some(user),
        Role::Server => None,
    }
}
