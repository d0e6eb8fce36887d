//! What users and operators are told is told once, and is news.

use std::collections::{BTreeMap, BTreeSet};

use udpchat_core::client::{self, Listing};
use udpchat_core::protocol::{CastId, MessageId, Name, PacketKind};
use udpchat_core::server::{self, GoneReason};
use udpchat_core::store::DiskSpace;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "told once",
    promise: "a program says nothing twice that has not changed meanwhile: that a message is \
              sent, or takes the detour, that somebody is registered, offline or here, that a \
              server is silent, who is in the table, that a disk is full; and a text to many \
              comes to what its copies came to",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut clients: BTreeMap<&HostName, User<'_>> = BTreeMap::new();
    let mut operator = Operator::default();
    let mut violations = Vec::new();
    for Entry { at, host, what } in &evidence.log.entries {
        let wrong = match what {
            What::Started { .. } => {
                clients.remove(host);
                if *host == evidence.plan.hosts[0].name {
                    operator = Operator::default();
                }
                None
            }
            What::Client(event) => clients.entry(host).or_default().is_told(event),
            What::Arrived { from, .. } if *from == evidence.plan.hosts[0].name => {
                clients.entry(host).or_default().silence_told = false;
                None
            }
            // Whoever wants to be registered may be without ever being told.
            What::Sent { key, .. } if key.packet == PacketKind::Hello => {
                clients.entry(host).or_default().may_be_registered = true;
                None
            }
            What::Server(event) => operator.is_told(event),
            _ => None,
        };
        let violation =
            |what| Violation { checker: CHECKER.name, at: *at, what: format!("{host}: {what}") };
        violations.extend(wrong.map(violation));
    }
    violations
}

/// What the program of a user that runs now has said.
#[derive(Default)]
struct User<'a> {
    sending: BTreeSet<MessageId>,
    detour: BTreeSet<MessageId>,
    may_be_registered: bool,
    silence_told: bool,
    table: Option<&'a Listing>,
    casts: BTreeMap<CastId, Copies>,
}

/// How the copies of a text to many fare.
#[derive(Default)]
struct Copies {
    all: BTreeMap<MessageId, Fare>,
    /// All of them are of this life. Of another's only those count that were not saved yet.
    is_own: bool,
    /// What they were last said to have come to.
    told: Option<[usize; 3]>,
    /// Nothing has happened to a copy since.
    is_no_news: bool,
    is_over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fare {
    Unknown,
    Received,
    Saved,
    Unsent,
}

impl<'a> User<'a> {
    /// What is wrong with saying that.
    fn is_told(&mut self, event: &'a client::Event) -> Option<String> {
        use client::Event;
        if let Event::Copy { group, event } = event {
            self.casts.entry(group.cast).or_default().fare(event);
        }
        match event.plain() {
            Event::Sending { id, .. } => {
                (!self.sending.insert(*id)).then(|| "a message is sent again".to_owned())
            }
            // What has come of copies is forgotten, as by a restart.
            Event::Error(client::Problem::OldCopy) => {
                self.casts.values_mut().for_each(|copies| copies.is_own = false);
                None
            }
            Event::SendingMany { group, .. } => {
                self.casts.entry(group.cast).or_default().is_own = true;
                None
            }
            Event::Detour { id, .. } => {
                (!self.detour.insert(*id)).then(|| "a message takes the detour again".to_owned())
            }
            Event::Registered { .. } => {
                (self.may_be_registered, self.silence_told) = (true, false);
                None
            }
            Event::Offline => {
                let was = std::mem::replace(&mut self.may_be_registered, false);
                self.silence_told = false;
                (!was).then(|| "told to be offline, and was not registered".to_owned())
            }
            Event::Table(listing) => {
                let again = self.table.replace(listing) == Some(listing);
                again.then(|| "the table is shown again as it was".to_owned())
            }
            // What else is there may be told beside the silence.
            Event::ServerNotResponding(_) => std::mem::replace(&mut self.silence_told, true)
                .then(|| "the server's silence is told again".to_owned()),
            Event::CastOutcome { group, received, saved, unsent } => {
                let told = [*received, *saved, *unsent];
                self.casts.entry(group.cast).or_default().come_to(told)
            }
            _ => None,
        }
    }
}

impl Copies {
    fn fare(&mut self, event: &client::Event) {
        use client::Event;
        let (id, fare) = match event {
            Event::Sending { id, .. } => (id, Fare::Unknown),
            Event::Received { id, .. } => (id, Fare::Received),
            Event::Saved { id, .. } => (id, Fare::Saved),
            Event::Unsent { id, .. } | Event::Expired { id, .. } => (id, Fare::Unsent),
            _ => return,
        };
        self.all.insert(*id, fare);
        self.is_no_news = false;
    }

    fn come_to(&mut self, told: [usize; 3]) -> Option<String> {
        let count = |fare| self.all.values().filter(|it| **it == fare).count();
        let known = [Fare::Received, Fare::Saved, Fare::Unsent].map(count);
        if self.is_own && told != known {
            return Some(format!("a text to many came to {told:?}, its copies to {known:?}"));
        }
        // One that is given up after all counts as before.
        let is_news = !std::mem::replace(&mut self.is_no_news, true);
        if self.is_over || self.told.replace(told) == Some(told) && !is_news {
            return Some("what a text to many came to is told again".to_owned());
        }
        self.is_over = told[2] == 0;
        None
    }
}

/// What the server that runs now has told its operator.
#[derive(Default)]
struct Operator<'a> {
    here: BTreeSet<&'a Name>,
    stored: BTreeSet<MessageId>,
    is_full: bool,
}

impl<'a> Operator<'a> {
    fn is_told(&mut self, event: &'a server::Event) -> Option<String> {
        use server::Event;
        match event {
            Event::Registered { name, .. } => {
                (!self.here.insert(name)).then(|| format!("{name} is here, and was already"))
            }
            Event::Gone { name, reason } => (!self.here.remove(name)
                && *reason != GoneReason::Replaced)
                .then(|| format!("{name} is gone, and was not here")),
            Event::Stored { id, .. } => {
                (!self.stored.insert(*id)).then(|| "a message is stored again".to_owned())
            }
            Event::HandedOver { count: 0, .. } | Event::Expired { count: 0, .. } => {
                Some("nothing was handed over, or expired".to_owned())
            }
            Event::DiskSpace(room) => {
                let is_full = *room == DiskSpace::Low;
                let again = std::mem::replace(&mut self.is_full, is_full) == is_full;
                again.then(|| "the room on the disk is told again".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id};
    use super::*;
    use udpchat_core::protocol::GroupTag;

    #[test]
    fn what_is_known_is_not_told_again() {
        let table = || What::Client(client::Event::Table(Listing::default()));
        let offline = || What::Client(client::Event::Offline);
        let name: Name = "alice".parse().unwrap();
        let here = || What::Client(client::Event::Registered { name: name.clone(), back: false });
        let story = || Story::new().then(1, "alice", here()).then(2, "alice", table());
        assert_eq!(story().then(3, "alice", offline()).violations(&CHECKER), [""; 0]);
        let again = story().then(3, "alice", table()).violations(&CHECKER);
        assert_eq!(again, ["alice: the table is shown again as it was"]);
        let other = story().then(3, "alice", What::Started { port: 1 }).then(4, "alice", table());
        assert_eq!(other.violations(&CHECKER), [""; 0]);
    }

    #[test]
    fn a_text_to_many_comes_to_what_its_copies_came_to() {
        let group = GroupTag { cast: CastId(1), name: None };
        let to: Name = "bob".parse().unwrap();
        let copy = |event| {
            let (group, event) = (group.clone(), Box::new(event));
            What::Client(client::Event::Copy { group, event })
        };
        let outcome = |received, saved| {
            let (group, unsent) = (group.clone(), 0);
            What::Client(client::Event::CastOutcome { group, received, saved, unsent })
        };
        let received = client::Event::Received { id: id(1), to, over_server: false };
        let sending = client::Event::SendingMany { group: group.clone(), to: Vec::new() };
        let story = || {
            let story = Story::new().then(1, "alice", What::Client(sending.clone()));
            story.then(1, "alice", copy(received.clone()))
        };
        let right = || story().then(2, "alice", outcome(1, 0));
        assert_eq!(right().violations(&CHECKER), [""; 0]);
        assert_eq!(right().then(3, "alice", outcome(1, 0)).violations(&CHECKER).len(), 1);
        assert_eq!(story().then(2, "alice", outcome(0, 1)).violations(&CHECKER).len(), 1);
    }
}
