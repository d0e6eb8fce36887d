//! A sender's program goes on with a message in time, and says in time what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat_core::client::Event;
use udpchat_core::client::timing::{BACKOFF_MAX, DIRECT_PATIENCE_MAX, KNOCK, UNSENT_AFTER};
use udpchat_core::protocol::{Name, PacketKind};

use super::duty::{Awake, Duties, Found, at_most};
use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "in time",
    promise: "a message that is sent to its recipient is acknowledged or takes the detour \
              within the patience for it; its sender is told something of it, or that it is \
              not sent, 8 s after the last that happened to its lane; while it is on a detour \
              that its recipient's silence has caused, that one is knocked at every 5 s",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    // What is said of an id that stands for two messages may be meant for either.
    if evidence.plan.is_attacked() || !evidence.ledger.doubtful.is_empty() {
        return Vec::new();
    }
    let mut senders = Senders {
        evidence,
        awake: Awake::default(),
        duties: Duties::default(),
        found: Found::by(CHECKER.name),
        untold: BTreeMap::new(),
        unsettled: BTreeMap::new(),
        ended: BTreeSet::new(),
    };
    for entry in &evidence.log.entries {
        senders.note(entry);
    }
    senders.end();
    senders.found.all()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owed<'a> {
    /// An acknowledgement, or the detour.
    Direct(&'a Label),
    /// Some word to the sender.
    Word(&'a Label),
    /// A knock at the recipient.
    Knock(&'a HostName, &'a Name),
    /// The next try over the server.
    Save(&'a Label),
    /// The next question about groups, or its answer.
    Ask(&'a HostName),
}

impl<'a> Owed<'a> {
    const fn needs_session(self) -> bool {
        matches!(self, Self::Save(_) | Self::Ask(_))
    }

    fn host(self) -> &'a HostName {
        match self {
            Self::Direct(label) | Self::Word(label) | Self::Save(label) => &label.host,
            Self::Knock(host, _) | Self::Ask(host) => host,
        }
    }
}

struct Senders<'a> {
    evidence: Evidence<'a>,
    awake: Awake<'a>,
    duties: Duties<Owed<'a>>,
    /// What nothing was said of, by lane.
    untold: BTreeMap<(&'a HostName, &'a Name), Vec<&'a Label>>,
    /// What has not come to its end, by lane.
    unsettled: BTreeMap<(&'a HostName, &'a Name), BTreeSet<&'a Label>>,
    /// What has come to its end: what was to be sent then may still leave.
    ended: BTreeSet<&'a Label>,
    found: Found,
}

impl<'a> Senders<'a> {
    fn note(&mut self, entry: &'a Entry) {
        self.awake.note(entry);
        let (at, host) = (entry.at, &entry.host);
        match &entry.what {
            What::Started { .. } | What::Crashed | What::Ended { .. } | What::Panicked(_) => {
                self.duties.retain(|owed| owed.host() != host);
                self.untold.retain(|(of, _), _| *of != host);
                self.unsettled.retain(|(of, _), _| *of != host);
                self.ended.retain(|label| label.host != *host);
            }
            What::Client(event) => self.is_told(at, host, event),
            // Whoever takes no part is silent.
            What::Sent { key, .. } if key.packet == PacketKind::Deregister => self.leaves(host),
            What::Typed { line, .. } if line.starts_with("dereg") => self.leaves(host),
            What::Sent { key, .. } => match (key.packet, &key.message) {
                (PacketKind::Message, Some(label)) if !self.ended.contains(label) => {
                    self.duties.owe(Owed::Direct(label), at, at_most(DIRECT_PATIENCE_MAX));
                }
                (PacketKind::Save, Some(label)) => {
                    self.done(at, Owed::Save(label));
                    self.duties.owe(Owed::Save(label), at, at_most(BACKOFF_MAX));
                }
                (PacketKind::GroupAsk, _) => {
                    self.done(at, Owed::Ask(host));
                    self.duties.owe(Owed::Ask(host), at, at_most(BACKOFF_MAX));
                }
                (PacketKind::Knock, _) => self.knocks(at, host, &key.to),
                // Without a session nothing is saved.
                (PacketKind::Hello, _) => {
                    self.duties.retain(|owed| owed.host() != host || !owed.needs_session());
                }
                _ => {}
            },
            What::Arrived { from, packet, message, .. } => {
                self.hears(at, host, from, *packet, message.as_ref());
            }
            _ => {}
        }
    }

    fn leaves(&mut self, host: &'a HostName) {
        self.duties.retain(|owed| owed.host() != host || matches!(owed, Owed::Word(_)));
    }

    fn recipient(&self, label: &Label) -> Option<&'a Name> {
        self.evidence.ledger.messages.get(label).map(|message| &message.to)
    }

    fn is_told(&mut self, at: Duration, host: &'a HostName, event: &'a Event) {
        let label = |id| self.evidence.log.labels.get(id);
        match event.plain() {
            Event::Sending { id, to } => {
                let Some(label) = label(*id) else { return };
                self.untold.entry((host, to)).or_default().push(label);
                self.unsettled.entry((host, to)).or_default().insert(label);
                self.duties.owe(Owed::Word(label), at, at_most(UNSENT_AFTER));
            }
            Event::Detour { id, to, reason } => {
                let Some(label) = label(*id) else { return };
                self.done(at, Owed::Direct(label));
                if *reason == udpchat_core::client::DetourReason::NoAck {
                    self.duties.owe(Owed::Knock(host, to), at, at_most(KNOCK));
                }
            }
            Event::Received { id, to, .. }
            | Event::Saved { id, to }
            | Event::Unsent { id, to, .. }
            | Event::Expired { id, to }
            | Event::ReadLater { id, to, .. } => {
                let Some(label) = label(*id) else { return };
                self.done(at, Owed::Word(label));
                self.duties.done(&Owed::Direct(label), at, None);
                if let Some(untold) = self.untold.get_mut(&(host, to)) {
                    untold.retain(|other| *other != label);
                }
                self.settles(at, (host, to), label, event.plain());
                if !matches!(event.plain(), Event::Unsent { .. }) {
                    self.duties.done(&Owed::Save(label), at, None);
                    self.goes_on(at, host, to);
                }
            }
            // Another address may be tried.
            Event::Table(_) => self.duties.retain(|owed| {
                owed.host() != host || !matches!(owed, Owed::Knock(..) | Owed::Direct(_))
            }),
            _ => {}
        }
    }

    /// Nobody knocks for what has come to its end.
    fn settles(
        &mut self,
        at: Duration,
        lane: (&'a HostName, &'a Name),
        label: &'a Label,
        event: &Event,
    ) {
        let is_kept = match event {
            Event::Saved { .. } => true,
            Event::Unsent { reason, .. } => !reason.is_final(),
            _ => false,
        };
        if is_kept {
            return;
        }
        // What an earlier life has left is not among them.
        self.ended.insert(label);
        let unsettled = self.unsettled.entry(lane).or_default();
        unsettled.remove(label);
        if unsettled.is_empty() {
            self.duties.done(&Owed::Knock(lane.0, lane.1), at, None);
        }
    }

    /// Something has happened to a lane: whoever waits in it waits from now on.
    fn goes_on(&mut self, at: Duration, host: &'a HostName, to: &'a Name) {
        for label in self.untold.get(&(host, to)).into_iter().flatten() {
            self.duties.done(&Owed::Word(label), at, None);
            self.duties.owe(Owed::Word(label), at, at_most(UNSENT_AFTER));
        }
    }

    fn knocks(&mut self, at: Duration, host: &'a HostName, to: &'a HostName) {
        let Some(name) = self.user(to) else { return };
        self.done(at, Owed::Knock(host, name));
        self.duties.owe(Owed::Knock(host, name), at, at_most(KNOCK));
    }

    fn user(&self, host: &str) -> Option<&'a Name> {
        match &self.evidence.plan.host(host)?.role {
            crate::planning::plan::Role::Client { user } => Some(user),
            crate::planning::plan::Role::Server => None,
        }
    }

    fn hears(
        &mut self,
        at: Duration,
        host: &'a HostName,
        from: &'a HostName,
        packet: PacketKind,
        message: Option<&'a Label>,
    ) {
        match packet {
            PacketKind::Ack | PacketKind::KnockAnswer => {
                let Some(name) = self.user(from) else { return };
                self.duties.done(&Owed::Knock(host, name), at, None);
                let to = |label| self.recipient(label) == Some(name);
                let acked: Vec<Owed<'a>> = self
                    .untold
                    .get(&(host, name))
                    .into_iter()
                    .flatten()
                    .filter(|label| to(label))
                    .map(|label| Owed::Direct(label))
                    .collect();
                for owed in acked {
                    self.duties.done(&owed, at, None);
                }
                self.goes_on(at, host, name);
            }
            // Which messages it is about does not always show.
            PacketKind::Saved
            | PacketKind::NotSaved
            | PacketKind::HandedOver
            | PacketKind::Expired => {
                self.duties.retain(|owed| owed.host() != host || !owed.needs_session());
                match message.and_then(|label| self.recipient(label)) {
                    Some(to) => self.goes_on(at, host, to),
                    None => {
                        let lanes = self.untold.keys().filter(|(of, _)| *of == host);
                        for (_, to) in lanes.copied().collect::<Vec<_>>() {
                            self.goes_on(at, host, to);
                        }
                    }
                }
            }
            PacketKind::GroupAnswer => {
                self.duties.done(&Owed::Ask(host), at, None);
            }
            PacketKind::Unknown => {
                self.duties.retain(|owed| owed.host() != host || !owed.needs_session());
            }
            _ => {}
        }
    }

    fn done(&mut self, at: Duration, owed: Owed<'a>) {
        let awake = self.awake.with_disk_since(owed.host(), at);
        if let Some(took) = self.duties.done(&owed, at, awake) {
            self.found.add(at, late(owed, &format!("for {:.1} s", took.as_secs_f64())));
        }
    }

    fn end(&mut self) {
        let end = self.evidence.end;
        let awake = |owed: &Owed<'a>| self.awake.with_disk_since(owed.host(), end);
        let late: Vec<String> =
            self.duties.late(end, awake).map(|(owed, _)| late(*owed, "until the end")).collect();
        late.into_iter().for_each(|what| self.found.add(end, what));
    }
}

fn late(owed: Owed<'_>, how_long: &str) -> String {
    match owed {
        Owed::Direct(label) => format!("{label} is tried directly, and nothing else, {how_long}"),
        Owed::Word(label) => format!("nothing is said of {label} {how_long}"),
        Owed::Knock(host, to) => format!("{host} does not knock at {to} {how_long}"),
        Owed::Ask(host) => format!("{host} does not ask again about groups {how_long}"),
        Owed::Save(label) => format!("the server is not asked again to keep {label} {how_long}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id, label};
    use super::*;
    use crate::faults::fate::Key;

    fn accepted() -> Story {
        let story = Story::new().then(0, "alice", What::Started { port: 1 }).types(1, "hello");
        let to = "bob".parse().unwrap();
        story.then(1, "alice", What::Client(Event::Sending { id: id(1), to }))
    }

    fn sent(packet: PacketKind) -> What {
        let (from, to, message) = ("alice".into(), "bob".into(), Some(label(1)));
        let key = Key { from, to, packet, message, attempt: 1 };
        What::Sent { key, bytes: 100, faults: Vec::new(), cut: false, source: None }
    }

    fn detour() -> What {
        let (to, reason) = ("bob".parse().unwrap(), udpchat_core::client::DetourReason::NoAck);
        What::Client(Event::Detour { id: id(1), to, reason })
    }

    #[test]
    fn something_is_said_of_a_message() {
        let end = |second| accepted().then(second, "bob", What::Crashed).violations(&CHECKER);
        assert_eq!(end(10), [""; 0]);
        assert_eq!(end(11), ["nothing is said of alice#1 until the end"]);
    }

    #[test]
    fn what_is_not_acknowledged_takes_the_detour_and_its_recipient_is_knocked_at() {
        let direct = || accepted().then(1, "alice", sent(PacketKind::Message));
        let late = direct().then(9, "alice", detour()).violations(&CHECKER);
        assert_eq!(late, ["alice#1 is tried directly, and nothing else, for 8.0 s"]);
        let told = || {
            let to = "bob".parse().unwrap();
            What::Client(Event::Saved { id: id(1), to })
        };
        let saved = || direct().then(4, "alice", detour()).then(5, "alice", told());
        let silent = saved().then(12, "bob", What::Crashed).violations(&CHECKER);
        assert_eq!(silent, ["alice does not knock at bob until the end"]);
        let answered = saved().hears(9, "alice", "bob", PacketKind::KnockAnswer);
        assert_eq!(answered.then(30, "bob", What::Crashed).violations(&CHECKER), [""; 0]);
    }
}
