//! What a sender is told for a reason is told for the right one.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::client::timing::SERVER_SILENT;
use udpchat_core::client::{Event, UnsentReason};
use udpchat_core::protocol::{Name, PacketKind};

use super::duty::{Awake, Damaged, Found, SLACK, at_least};
use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::plan::{INTERRUPT, SERVER};
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "reasons",
    promise: "a message is said to be unsent because the server is silent only if it is, \
              because the user is offline only if they are, for want of room only if the \
              server has refused something, as one without an answer only if there is a \
              server, and as one behind others only if there are any",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    // What is said of an id that stands for two messages may be meant for either.
    if evidence.plan.is_attacked() || !evidence.ledger.doubtful.is_empty() {
        return Vec::new();
    }
    let (damaged, mut awake) = (Damaged::of(evidence), Awake::default());
    let mut users: BTreeMap<&HostName, User<'_>> = BTreeMap::new();
    let mut found = Found::by(CHECKER.name);
    for entry in &evidence.log.entries {
        let Entry { at, host, what } = entry;
        let user = users.entry(host).or_default();
        awake.note(entry);
        match what {
            What::Started { .. } => {
                // What waits was typed in any life.
                let typed = std::mem::take(&mut user.typed);
                *user = User { typed, ..User::default() };
            }
            What::Sent { key, .. } => match key.packet {
                PacketKind::Hello => (user.wants_in, user.may_be_silent) = (true, true),
                PacketKind::Deregister => user.wants_in = false,
                _ => {}
            },
            What::Typed { line, .. } if line.starts_with("dereg") || leaves(line) => {
                user.wants_in = false;
            }
            What::Arrived { from, packet, .. } if **from == *SERVER => match packet {
                PacketKind::Pong if damaged.is_whole(from, host, *packet, None) => {
                    user.answered = Some(*at);
                }
                PacketKind::Unknown => user.may_be_silent = true,
                PacketKind::NotSaved => user.is_refused = true,
                _ => {}
            },
            // Whoever is refused is offline.
            What::Client(Event::Offline | Event::Error(_)) => user.wants_in = false,
            What::Client(Event::Registered { .. }) => {
                (user.wants_in, user.was_online, user.may_be_silent) = (true, true, false);
            }
            What::Client(event) => {
                if let Event::Sending { to, .. } = event.plain() {
                    *user.typed.entry(to).or_default() += 1;
                }
                if let Event::Unsent { id, to, reason } = event.plain()
                    && awake.with_disk_since(host, *at).is_some_and(|awake| awake + SLACK < *at)
                    && let Some(wrong) = user.wrong(*at, to, *reason)
                    && let Some(label) = evidence.log.labels.get(*id)
                {
                    found.add(*at, format!("{label} is said to be unsent, {reason}, {wrong}"));
                }
            }
            _ => {}
        }
    }
    found.all()
}

fn leaves(line: &str) -> bool {
    line == INTERRUPT || line.starts_with("quit")
}

/// What is known of the program that runs now, and of what its user sent in all lives.
#[derive(Default)]
struct User<'a> {
    /// It is registered, or asks to be.
    wants_in: bool,
    was_online: bool,
    /// It signs in, or has a reason to.
    may_be_silent: bool,
    /// When a keep-alive was last answered.
    answered: Option<Duration>,
    is_refused: bool,
    typed: BTreeMap<&'a Name, usize>,
}

impl User<'_> {
    fn wrong(&self, at: Duration, to: &Name, reason: UnsentReason) -> Option<&'static str> {
        // What is said has waited for a commit.
        let lately = self.answered.is_some_and(|answered| {
            (answered + SLACK..answered + at_least(SERVER_SILENT)).contains(&at)
        });
        match reason {
            UnsentReason::ServerNotResponding => {
                let responds = self.wants_in && !self.may_be_silent && lately;
                responds.then_some("and the server has just answered")
            }
            UnsentReason::Offline => self.wants_in.then_some("and the user is not"),
            UnsentReason::MailboxFull
            | UnsentReason::ShareFull
            | UnsentReason::SenderFull
            | UnsentReason::ServerFull
            | UnsentReason::DiskFull
            | UnsentReason::UnknownName
            | UnsentReason::BadText => (!self.is_refused).then_some("and nobody has refused it"),
            UnsentReason::NoAnswer => (!self.was_online).then_some("and nobody could be asked"),
            UnsentReason::BehindOthers => {
                let few = self.typed.get(to).is_none_or(|typed| *typed < 2);
                few.then_some("and there are no others")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id};
    use super::*;

    fn online() -> Story {
        let event = Event::Registered { name: "alice".parse().unwrap(), back: false };
        let story = Story::new().then(0, "alice", What::Started { port: 1 });
        let story = story.types(1, "hello").then(1, "alice", What::Client(event));
        story.hears(9, "alice", SERVER, PacketKind::Pong)
    }

    #[test]
    fn a_reason_is_the_right_one() {
        let unsent = |story: Story, reason| {
            let event = Event::Unsent { id: id(1), to: "bob".parse().unwrap(), reason };
            story.then(10, "alice", What::Client(event)).violations(&CHECKER).len()
        };
        assert_eq!(unsent(online(), UnsentReason::NoAnswer), 0);
        for wrong in
            [UnsentReason::ServerNotResponding, UnsentReason::Offline, UnsentReason::MailboxFull]
        {
            assert_eq!(unsent(online(), wrong), 1, "{wrong:?}");
        }
        let refused = online().hears(9, "alice", SERVER, PacketKind::NotSaved);
        assert_eq!(unsent(refused, UnsentReason::MailboxFull), 0);
        let silent = online().sends(9, "alice", SERVER, PacketKind::Hello);
        assert_eq!(unsent(silent, UnsentReason::ServerNotResponding), 0);
        let left = online().then(9, "alice", What::Client(Event::Offline));
        assert_eq!(unsent(left, UnsentReason::Offline), 0);
    }
}
