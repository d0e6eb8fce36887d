//! Who is registered stays so: keeps alive in time and no oftener, and signs in anew only for a
//! reason.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::client::Event;
use udpchat_core::client::timing::{BACKOFF_MAX, PING, SERVER_LOST, SERVER_SILENT};
use udpchat_core::protocol::{Nonce, PacketKind, hello};

use super::duty::{Awake, Damaged, Found, at_least, at_most};
use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::plan::SERVER;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "keep-alive",
    promise: "whoever is registered asks 5 s after each answer whether the server is there, no \
              earlier and no later, goes on to ask while it is silent, and is told so; and \
              says hello anew only if the server knows them no more, seems to be elsewhere, or \
              their user has asked for it",
    when: When::Always,
    check,
};

/// What is sent waits for a commit that is under way for this long at most, where the disk is in
/// order.
const COMMIT_MAX: Duration = Duration::from_secs(1);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    if evidence.plan.is_attacked() {
        return Vec::new();
    }
    let mut clients = Clients {
        damaged: Damaged::of(evidence),
        awake: Awake::default(),
        online: BTreeMap::new(),
        found: Found::by(CHECKER.name),
    };
    for entry in &evidence.log.entries {
        clients.note(entry);
    }
    let hosts: Vec<&HostName> = clients.online.keys().copied().collect();
    hosts.into_iter().for_each(|host| clients.waits(evidence.end, host));
    clients.found.all()
}

/// A client that is registered, by what it was told.
struct Online {
    /// When it asked last, or was registered.
    asked: Duration,
    /// When that was answered first, and last: the last may be a late copy of an earlier answer,
    /// and so may the first.
    answered_first: Option<Duration>,
    answered: Option<Duration>,
    /// When an answer arrived that may have been damaged.
    perhaps: Option<Duration>,
    /// Since when it asks in vain, and since when it surely does: nothing that may have been
    /// damaged has come either.
    in_vain: Option<Duration>,
    surely: Option<Duration>,
    /// It has a reason to sign in anew.
    may_leave: bool,
    silence_told: bool,
}

struct Clients<'a> {
    damaged: Damaged<'a>,
    awake: Awake<'a>,
    online: BTreeMap<&'a HostName, Online>,
    found: Found,
}

impl<'a> Clients<'a> {
    fn note(&mut self, entry: &'a Entry) {
        self.awake.note(entry);
        let (at, host) = (entry.at, &entry.host);
        match &entry.what {
            What::Client(Event::Registered { .. }) => {
                let online = Online {
                    asked: at,
                    answered_first: None,
                    answered: None,
                    perhaps: None,
                    in_vain: None,
                    surely: None,
                    may_leave: false,
                    silence_told: false,
                };
                self.online.insert(host, online);
            }
            What::Client(Event::Offline)
            | What::Started { .. }
            | What::Crashed
            | What::Ended { .. }
            | What::Panicked(_) => {
                self.online.remove(host);
            }
            What::Client(Event::ServerNotResponding(_) | Event::NoServer(_)) => {
                if let Some(online) = self.online.get_mut(host) {
                    (online.may_leave, online.silence_told) = (true, true);
                    // It may have asked for longer: what is asked waits for a commit.
                    let soon = |since| at + COMMIT_MAX < since + at_least(SERVER_SILENT);
                    if online.in_vain.is_some_and(soon)
                        && self.awake.with_disk_since(host, at).is_some()
                    {
                        let what = format!("{host} is told that the server is silent, too early");
                        self.found.add(at, what);
                    }
                }
            }
            What::Typed { line, .. } if line.starts_with("dereg") => {
                self.online.remove(host);
            }
            What::Sent { key, bytes, .. } => match key.packet {
                PacketKind::Deregister => {
                    self.online.remove(host);
                }
                PacketKind::Ping => self.asks(at, host),
                // What doubts the size of a message is a hello as well, and longer.
                PacketKind::Hello if *bytes <= hello::encode(Nonce(0)).len() => {
                    self.says_hello(at, host);
                }
                _ => {}
            },
            What::Arrived { from, packet, .. } if **from == *SERVER => {
                let is_whole = self.damaged.is_whole(from, host, *packet, None);
                if let Some(online) = self.online.get_mut(host) {
                    match packet {
                        PacketKind::Pong if is_whole => {
                            online.answered_first.get_or_insert(at);
                            online.answered = Some(at);
                            (online.in_vain, online.surely) = (None, None);
                            online.silence_told = false;
                        }
                        PacketKind::Pong => (online.perhaps, online.surely) = (Some(at), None),
                        PacketKind::Unknown => online.may_leave = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn asks(&mut self, at: Duration, host: &'a HostName) {
        self.waits(at, host);
        let Some(online) = self.online.get_mut(host) else { return };
        let early = |answered| (answered + COMMIT_MAX..answered + at_least(PING)).contains(&at);
        if online.answered_first.is_some_and(early)
            && self.awake.with_disk_since(host, at).is_some()
        {
            let what = format!("{host} asks whether the server is there, which has just answered");
            self.found.add(at, what);
        }
        (online.asked, online.perhaps) = (at, None);
        (online.answered_first, online.answered) = (None, None);
        online.in_vain.get_or_insert(at);
        online.surely.get_or_insert(at);
    }

    /// Whether it has waited for too long to ask.
    fn waits(&mut self, at: Duration, host: &'a HostName) {
        let Some(online) = self.online.get(host) else { return };
        let Some(awake) = self.awake.with_disk_since(host, at) else { return };
        let (since, pause) = match online.answered.or(online.perhaps) {
            Some(answered) => (answered, PING),
            None => (online.asked, BACKOFF_MAX),
        };
        if at > since.max(awake) + at_most(pause) {
            let what = format!("{host} has not asked for too long whether the server is there");
            self.found.add(at, what);
        }
        let silent = at_most(SERVER_LOST + BACKOFF_MAX);
        let lost = online.surely.is_some_and(|since| at > since.max(awake) + silent);
        if lost && !online.silence_told {
            self.found.add(at, format!("{host} is not told that the server is silent"));
        }
    }

    fn says_hello(&mut self, at: Duration, host: &'a HostName) {
        self.waits(at, host);
        if self.online.get(host).is_some_and(|online| !online.may_leave) {
            self.found.add(at, format!("{host} signs in anew without a reason"));
        }
        self.online.remove(host);
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    fn registered() -> Story {
        let name = "alice".parse().unwrap();
        let event = Event::Registered { name, back: false };
        let story = Story::new().then(0, "alice", What::Started { port: 1 });
        let story = story.then(1, "alice", What::Client(event));
        let story = story.sends(1, "alice", SERVER, PacketKind::Ping);
        story.hears(1, "alice", SERVER, PacketKind::Pong)
    }

    #[test]
    fn keep_alives_are_sent_in_time_and_not_earlier() {
        let asks = |second| registered().sends(second, "alice", SERVER, PacketKind::Ping);
        assert_eq!(asks(6).violations(&CHECKER), [""; 0]);
        let early = ["alice asks whether the server is there, which has just answered"];
        assert_eq!(asks(4).violations(&CHECKER), early);
        let late = ["alice has not asked for too long whether the server is there"];
        assert_eq!(asks(8).violations(&CHECKER), late);
    }

    #[test]
    fn who_is_registered_signs_in_anew_for_a_reason() {
        let hello = |story: Story| story.sends(3, "alice", SERVER, PacketKind::Hello);
        let without = hello(registered()).violations(&CHECKER);
        assert_eq!(without, ["alice signs in anew without a reason"]);
        let unknown = registered().hears(2, "alice", SERVER, PacketKind::Unknown);
        assert_eq!(hello(unknown).violations(&CHECKER), [""; 0]);
    }
}
