//! What a server owes those who are here it does soon, and goes on doing until it is heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use udpchat_core::protocol::{Name, PacketKind};
use udpchat_core::retransmission::ROUND_TRIP_MAX;
use udpchat_core::server;
use udpchat_core::server::timing::{
    EXPIRY_LOOK_MAX, EXPIRY_LOOK_MIN, KEEP, RESEND_MAX, TABLE_ROUND,
};

use super::duty::{Awake, Duties, Found, at_most};
use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::planning::plan::SERVER;
use crate::record::log::{Durable, Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "prompt",
    promise: "whoever is here is sent the first message that is kept for them, what became of the \
              last one of theirs, and how the table has changed, within four seconds, and again \
              and again until they have acknowledged it; what nobody comes for expires in time",
    when: When::Always,
    check,
};

/// Looks of a server for what is too old, in the time for which it keeps messages.
const LOOKS: u32 = 32;

/// What the operator is told waits for a commit, what clients are told does not: the other way
/// round it may come by so much.
const SAID_AFTER: Duration = Duration::from_millis(500);

/// A part of the table waits for one before it, and for a round; a way that is longer than any
/// pause makes pauses longer.
fn table_within() -> Duration {
    at_most(RESEND_MAX.max(ROUND_TRIP_MAX + ROUND_TRIP_MAX / 4) + TABLE_ROUND)
}

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    // Whoever has another's name, or sits on a link, may say that they have everything.
    if evidence.plan.is_attacked() {
        return Vec::new();
    }
    let mut server = Server::new(evidence);
    for entry in &evidence.log.entries {
        server.note(entry);
    }
    server.end();
    server.found.all()
}

/// What is owed to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owed<'a> {
    /// A message, to its reader.
    Message(&'a Name, &'a Label),
    /// Word of what became of a message, to its sender.
    Word(&'a HostName, &'a Label),
    /// The table, once more: what was sent of it is not acknowledged.
    Table(&'a HostName),
    /// That somebody's place in the table has changed.
    Change(&'a HostName, &'a Name),
    /// That a message expires.
    Expiry(&'a Label),
}

struct Server<'a> {
    evidence: Evidence<'a>,
    awake: Awake<'a>,
    /// Where each is, and whether they have shown that they know it.
    here: BTreeMap<&'a Name, (SocketAddr, &'a HostName, bool)>,
    /// What is kept for each, in the order in which it came.
    mailboxes: BTreeMap<&'a Name, Vec<&'a Label>>,
    /// What became of the last message of each lane, while its sender has not heard of it.
    words: BTreeMap<(&'a HostName, &'a Name), &'a Label>,
    /// What each was last sent of where everybody is.
    told: BTreeMap<&'a HostName, BTreeMap<&'a Name, SocketAddr>>,
    /// When each was.
    told_at: BTreeMap<&'a HostName, Duration>,
    duties: Duties<Owed<'a>>,
    found: Found,
}

impl<'a> Server<'a> {
    fn new(evidence: Evidence<'a>) -> Self {
        Self {
            evidence,
            awake: Awake::default(),
            here: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            words: BTreeMap::new(),
            told: BTreeMap::new(),
            told_at: BTreeMap::new(),
            duties: Duties::default(),
            found: Found::by(CHECKER.name),
        }
    }

    fn note(&mut self, entry: &'a Entry) {
        self.awake.note(entry);
        if *entry.host != *SERVER {
            return;
        }
        let at = entry.at;
        match &entry.what {
            What::Started { .. } => {
                self.here.clear();
                self.words.clear();
                self.told.clear();
                self.duties.clear();
            }
            What::Found(found) => {
                self.mailboxes.clear();
                for label in found.kept.iter().flatten() {
                    self.keeps(at, label);
                }
            }
            What::Durable(Durable::Stored(label)) => self.keeps(at, label),
            What::Durable(Durable::Delivered(label) | Durable::Expired(label)) => {
                self.keeps_no_more(at, label);
            }
            What::Asked(Durable::Expired(label)) => self.done(at, Owed::Expiry(label)),
            What::Server(event) => self.says(at, event),
            What::Sent { key, .. } => self.sends(at, &key.to, key.packet, key.message.as_ref()),
            What::Arrived { from, packet, message, .. } => {
                self.hears(at, from, *packet, message.as_ref());
            }
            _ => {}
        }
    }

    fn recipient(&self, label: &Label) -> Option<&'a Name> {
        self.evidence.ledger.messages.get(label).map(|message| &message.to)
    }

    fn keeps(&mut self, at: Duration, label: &'a Label) {
        let Some(to) = self.recipient(label) else { return };
        self.mailboxes.entry(to).or_default().push(label);
        self.owe_mail(at, to);
        self.owe_expiry(at, to, label);
    }

    /// Of what is kept the first is owed: whatever else is on its way, it is.
    fn owe_mail(&mut self, at: Duration, to: &'a Name) {
        let first = self.mailboxes.get(to).and_then(|mailbox| mailbox.first());
        let is_here = self.here.get(to).is_some_and(|(.., confirmed)| *confirmed);
        if let Some(first) = first.filter(|_| is_here) {
            self.duties.owe(Owed::Message(to, first), at, at_most(RESEND_MAX));
        }
    }

    /// Of whoever is not here what is kept expires, however long ago it came.
    fn owe_expiry(&mut self, at: Duration, to: &'a Name, label: &'a Label) {
        let keep = self.evidence.plan.mail.unwrap_or(KEEP);
        if !self.here.contains_key(to) {
            let look = (keep / LOOKS).clamp(EXPIRY_LOOK_MIN, EXPIRY_LOOK_MAX);
            self.duties.owe(Owed::Expiry(label), at, at_most(keep + look));
        }
    }

    fn keeps_no_more(&mut self, at: Duration, label: &'a Label) {
        let Some(to) = self.recipient(label) else { return };
        if let Some(mailbox) = self.mailboxes.get_mut(to) {
            mailbox.retain(|other| *other != label);
        }
        self.duties.done(&Owed::Message(to, label), at, None);
        self.done(at, Owed::Expiry(label));
        self.owe_mail(at, to);
        if let Some(before) = self.words.insert((&label.host, to), label) {
            self.duties.done(&Owed::Word(&label.host, before), at, None);
        }
        self.owe_word(at, label);
    }

    fn owe_word(&mut self, at: Duration, label: &'a Label) {
        // Another may have been told in their place.
        if self.evidence.has_shared_name(&label.host) {
            return;
        }
        let mut here = self.here.values();
        if here.any(|(_, host, confirmed)| **host == label.host && *confirmed) {
            self.duties.owe(Owed::Word(&label.host, label), at, at_most(RESEND_MAX));
        }
    }

    fn says(&mut self, at: Duration, event: &'a server::Event) {
        match event {
            server::Event::Registered { name, addr, .. } => {
                let Some(host) = self.evidence.log.addresses.get(&addr.ip()) else { return };
                self.here.insert(name, (*addr, host, false));
                self.forget(name, host);
                self.table_changes(at, name);
            }
            server::Event::Gone { name, reason } => {
                let Some((_, host, _)) = self.here.remove(name) else { return };
                self.forget(name, host);
                for label in self.mailboxes.get(name).cloned().unwrap_or_default() {
                    self.owe_expiry(at, name, label);
                }
                if *reason != server::GoneReason::Replaced {
                    self.table_changes(at, name);
                }
            }
            _ => {}
        }
    }

    /// Nothing is owed to whoever is not here, or not known to be.
    fn forget(&mut self, name: &'a Name, host: &'a HostName) {
        let mailbox: Vec<&Label> = self.mailboxes.get(name).cloned().unwrap_or_default();
        self.duties.retain(|owed| match owed {
            Owed::Message(to, _) => *to != name,
            Owed::Word(to, _) | Owed::Table(to) | Owed::Change(to, _) => *to != host,
            Owed::Expiry(label) => !mailbox.contains(label),
        });
    }

    /// Everybody else is told, but for those who know no better: what has not been told, and is no
    /// longer so, need not be.
    fn table_changes(&mut self, at: Duration, subject: &'a Name) {
        let now = self.here.get(subject).map(|(addr, ..)| addr);
        for (name, (_, host, confirmed)) in &self.here {
            if !confirmed || *name == subject {
                continue;
            }
            let owed = Owed::Change(host, subject);
            let lately = self.told_at.get(host).is_some_and(|told| at < *told + SAID_AFTER);
            if lately || self.told.get(host).and_then(|told| told.get(subject)) == now {
                self.duties.done(&owed, at, None);
            } else {
                self.duties.owe(owed, at, table_within());
            }
        }
    }

    /// Where everybody is.
    fn everybody(&self) -> BTreeMap<&'a Name, SocketAddr> {
        self.here.iter().map(|(name, (addr, ..))| (*name, *addr)).collect()
    }

    fn sends(
        &mut self,
        at: Duration,
        to: &'a HostName,
        packet: PacketKind,
        message: Option<&'a Label>,
    ) {
        match (packet, message) {
            (PacketKind::Deliver, Some(label)) => {
                let Some(reader) = self.recipient(label) else { return };
                if self.mailboxes.get(reader).and_then(|it| it.first()) == Some(&label) {
                    self.done(at, Owed::Message(reader, label));
                    self.owe_mail(at, reader);
                }
            }
            (PacketKind::HandedOver | PacketKind::Expired, Some(label)) => {
                // Of several in a row the first may be told first.
                let Some(reader) = self.recipient(label) else { return };
                let Some(last) = self.words.get(&(to, reader)).copied() else { return };
                self.done(at, Owed::Word(to, last));
                self.owe_word(at, last);
            }
            (PacketKind::Table, _) => {
                self.done(at, Owed::Table(to));
                let now = self.everybody();
                self.told_at.insert(to, at);
                let before = self.told.insert(to, now.clone()).unwrap_or_default();
                let names: BTreeSet<&Name> = before.keys().chain(now.keys()).copied().collect();
                names.into_iter().for_each(|name| self.done(at, Owed::Change(to, name)));
                self.duties.owe(Owed::Table(to), at, table_within());
            }
            _ => {}
        }
    }

    fn hears(
        &mut self,
        at: Duration,
        from: &'a HostName,
        packet: PacketKind,
        message: Option<&'a Label>,
    ) {
        match packet {
            PacketKind::Ping => self.confirms(at, from),
            // Where it stands is not known here: it may still be behind.
            PacketKind::TableAck => {
                self.duties.done(&Owed::Table(from), at, None);
            }
            PacketKind::HandedOverAck => {
                let Some(label) = message else { return };
                let Some(to) = self.recipient(label) else { return };
                if self.words.get(&(from, to)) == Some(&label) {
                    self.words.remove(&(from, to));
                    self.duties.done(&Owed::Word(from, label), at, None);
                }
            }
            _ => {}
        }
    }

    fn confirms(&mut self, at: Duration, from: &'a HostName) {
        let mut names = Vec::new();
        for (name, (_, host, confirmed)) in &mut self.here {
            if *host == from && !std::mem::replace(confirmed, true) {
                names.push(*name);
            }
        }
        if names.is_empty() {
            return;
        }
        let now = self.everybody();
        self.told.insert(from, now);
        names.into_iter().for_each(|name| self.owe_mail(at, name));
        let untold = self.words.iter().filter(|((host, _), _)| *host == from);
        for label in untold.map(|(_, label)| *label).collect::<Vec<_>>() {
            self.owe_word(at, label);
        }
    }

    fn done(&mut self, at: Duration, owed: Owed<'a>) {
        let awake = self.awake.with_disk_since(SERVER, at);
        if let Some(took) = self.duties.done(&owed, at, awake) {
            self.found.add(at, late(owed, &format!("for {:.1} s", took.as_secs_f64())));
        }
    }

    fn end(&mut self) {
        let end = self.evidence.end;
        let awake = self.awake.with_disk_since(SERVER, end);
        for (owed, _) in self.duties.late(end, |_| awake) {
            self.found.add(end, late(*owed, "until the end"));
        }
    }
}

fn late(owed: Owed<'_>, how_long: &str) -> String {
    match owed {
        Owed::Message(to, label) => format!("{to}, who is here, is not sent {label} {how_long}"),
        Owed::Word(to, label) => format!("{to} is not told what became of {label} {how_long}"),
        Owed::Table(to) => format!("{to} is not told again how the table has changed {how_long}"),
        Owed::Change(to, who) => format!("{to} is not told where {who} is {how_long}"),
        Owed::Expiry(label) => format!("{label} is kept and nobody is here for it {how_long}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, label};
    use super::*;

    fn here() -> Story {
        let story = Story::new()
            .then(0, SERVER, What::Started { port: 1 })
            .at([192, 0, 2, 2].into(), "bob");
        let (name, addr) = ("bob".parse().unwrap(), ([192, 0, 2, 2], 5_000).into());
        let (back, original) = (false, false);
        let event = server::Event::Registered { name, addr, back, original };
        let story = story.then(1, SERVER, What::Server(event)).types(1, "hello");
        story.hears(1, SERVER, "bob", PacketKind::Ping)
    }

    #[test]
    fn what_is_kept_is_sent_to_whoever_is_here_until_they_have_it() {
        let kept = || here().then(2, SERVER, What::Durable(Durable::Stored(label(1))));
        let end = |story: Story| story.then(30, "alice", What::Crashed).violations(&CHECKER);
        assert_eq!(end(kept()), ["bob, who is here, is not sent alice#1 until the end"]);
        let shown = kept().then(3, SERVER, What::Durable(Durable::Delivered(label(1))));
        assert_eq!(end(shown), [""; 0]);
        let down = kept().then(3, SERVER, What::Crashed);
        assert_eq!(end(down), [""; 0]);
    }

    #[test]
    fn whoever_is_here_is_told_of_the_table_until_they_have_it() {
        let sent = || here().sends(2, SERVER, "bob", PacketKind::Table);
        let end = |story: Story| story.then(30, "alice", What::Crashed).violations(&CHECKER);
        let never = ["bob is not told again how the table has changed until the end"];
        assert_eq!(end(sent()), never);
        assert_eq!(end(sent().hears(3, SERVER, "bob", PacketKind::TableAck)), [""; 0]);
    }

    #[test]
    fn what_nobody_comes_for_expires() {
        let story = || {
            let story = Story::new().keeping(10).then(0, SERVER, What::Started { port: 1 });
            story.types(1, "hello").then(2, SERVER, What::Durable(Durable::Stored(label(1))))
        };
        let expires =
            |second| story().then(second, SERVER, What::Asked(Durable::Expired(label(1))));
        assert_eq!(expires(14).violations(&CHECKER), [""; 0]);
        let late = ["alice#1 is kept and nobody is here for it for 14.0 s"];
        assert_eq!(expires(16).violations(&CHECKER), late);
    }
}
