//! The log retold message by message: what was typed, what its sender was told, who was shown it.
//!
//! What checkers and reports read. Draws no conclusions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat_core::client::{Event, Problem, UnsentReason};
use udpchat_core::protocol::{MessageId, Name, PacketKind, StreamId};
use udpchat_core::server;

use crate::faults::fate::Key;
use crate::naming::label::{Audience, HostName, Label};
use crate::planning::moves::ADVERSARY;
use crate::planning::plan::{self, Folder, Plan};
use crate::record::folders::used_twice;
use crate::record::log::{Durable, Entry, Found, Log, What};

/// All messages of a run.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By label: per sender in the order typed.
    pub messages: BTreeMap<Label, Message>,
    /// What was shown that nobody typed.
    pub strays: Vec<Shown>,
    /// What was shown, host by host, in order, and when.
    pub screens: BTreeMap<HostName, Vec<OnScreen>>,
    /// When the server's disk first had what.
    pub stored: BTreeMap<Label, Duration>,
    /// When the server's disk first had it no longer because nobody had come.
    pub expired: BTreeMap<Label, Duration>,
    /// Names that users of an adversary's have had.
    pub taken: BTreeSet<Name>,
    /// Names that the server has granted to several hosts of ours. What one of these was to be told
    /// is told to whoever has the name.
    pub shared: BTreeSet<Name>,
    /// Hosts whose folder was an older copy, or another's, at some time: things are done again.
    pub restored: BTreeSet<HostName>,
    /// Hosts whose ids may stand for two messages: nothing is promised of theirs.
    pub doubtful: BTreeSet<HostName>,
    /// Texts to many, by their commands. Their copies are messages.
    pub casts: BTreeMap<Label, Cast>,
}

/// A text to many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// To whom it was typed.
    pub to: Audience,
    /// Its text.
    pub text: String,
    /// When.
    pub typed: Duration,
    /// Each time that its sender began to send it, to whom: once.
    pub sending: Vec<(Duration, Vec<Name>)>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// For whom it was typed.
    pub to: Name,
    /// Its text.
    pub text: String,
    /// When the client took it on, if it did.
    pub accepted: Option<Duration>,
    /// When its sender's disk first had it, to be sent.
    pub on_disk: Option<Duration>,
    /// What its sender was told about it, in order.
    pub told: Vec<(Duration, SenderTold)>,
    /// Where it was shown, in order.
    pub shown: Vec<Shown>,
    /// Whether its sender's disk has that it needs no further care.
    pub settled: bool,
    /// Whether its sender's folder was lost, or another took its place, before it was settled.
    pub forgotten: bool,
    /// Whether its sender's program was ended after it had told that it is given up, and before
    /// its disk had that: then the next life tries again. Told first and remembered then, for the
    /// other way round nobody might ever be told.
    pub killed_giving_up: bool,
}

/// What a sender is told about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SenderTold {
    /// The recipient has seen it.
    Received,
    /// The server keeps it.
    Saved,
    /// Not sent, but kept.
    Unsent,
    /// Not sent, and given up.
    GivenUp,
    /// Kept for as long as the server keeps anything, and not longer.
    Expired,
    /// The recipient has seen what was saved before.
    ReadLater,
}

/// A message on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// When.
    pub at: Duration,
    /// Where.
    pub host: HostName,
    /// From whom, as the screen says.
    pub from: Name,
    /// What, as the screen says.
    pub text: String,
    /// Whether it may have been shown before, as the screen says.
    pub again: bool,
    /// Under which id. Who goes on with an older copy of a folder gives other ids.
    pub id: MessageId,
    /// How often its host's folder had been lost, or another had taken its place.
    pub folder: u32,
    /// Which of its host's programs showed it: they are counted.
    pub life: u32,
    /// Whether its host's disk had that it was shown when that program was started.
    pub known: bool,
    /// Whether a program of its host had acknowledged it before.
    pub acknowledged: bool,
}

/// A line on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnScreen {
    /// The message.
    pub label: Label,
    /// When.
    pub at: Duration,
    /// Whether it may have been shown before, as the screen says.
    pub again: bool,
    /// In which stream.
    pub stream: StreamId,
    /// How often its host's folder had been lost, or another had taken its place.
    pub folder: u32,
    /// Which of its host's programs showed it.
    pub life: u32,
}

/// What is known of a host while its log is read.
#[derive(Clone, Debug, Default)]
struct HostSoFar {
    /// How many programs were started.
    lives: u32,
    /// What its disk has as shown, and had when the last program was started.
    displayed: BTreeSet<Label>,
    displayed_at_start: BTreeSet<Label>,
    /// What it has told others that it has shown.
    acknowledged: BTreeSet<Label>,
    /// How often its folder was lost, or another took its place.
    folders: u32,
}

impl HostSoFar {
    /// Its folder is lost, or gives way to a copy.
    fn has_another(&mut self, folder: &Folder, copies: &BTreeMap<&HostName, Self>) {
        let copy = match folder {
            Folder::Replaced { by } => copies.get(by).cloned().unwrap_or_default(),
            _ => Self::default(),
        };
        let (lives, folders) = (self.lives, self.folders + 1);
        *self = Self { lives, folders, ..copy };
    }
}

impl Message {
    fn new(to: Name, text: String) -> Self {
        Self {
            to,
            text,
            accepted: None,
            on_disk: None,
            told: Vec::new(),
            shown: Vec::new(),
            settled: false,
            forgotten: false,
            killed_giving_up: false,
        }
    }

    /// Whether its sender was ever told this.
    #[must_use]
    pub fn was_told(&self, what: SenderTold) -> bool {
        self.told.iter().any(|(_, told)| *told == what)
    }

    /// How often it was shown as if for the first time.
    #[must_use]
    pub fn unmarked(&self) -> usize {
        self.shown.iter().filter(|shown| !shown.again).count()
    }
}

impl Ledger {
    /// Whether anything is promised of a name: an adversary's users say what they like and are told
    /// what they like, also under a name that they got while its user was away, of which the
    /// checker `names` judges. Only a secret could tell them apart.
    #[must_use]
    pub fn is_owed(&self, plan: &Plan, name: &Name) -> bool {
        !plan.is_attacked() || plan.has_user(name) && !self.taken.contains(name)
    }

    /// Retells a log.
    #[must_use]
    pub fn new(log: &Log) -> Self {
        let mut ledger = Self::default();
        let mut hosts: BTreeMap<&HostName, HostSoFar> = BTreeMap::new();
        // What the server has asked its disk to let expire.
        let mut expiring: BTreeSet<&Label> = BTreeSet::new();
        let mut holders: BTreeMap<&Name, &HostName> = BTreeMap::new();
        let mut copies: BTreeMap<&HostName, HostSoFar> = BTreeMap::new();
        for entry in &log.entries {
            let host = hosts.entry(&entry.host).or_default();
            match &entry.what {
                What::Typed { line, label: Some(label), refused: None } => {
                    ledger.typed(entry.at, label, line);
                }
                What::Client(event) => ledger.client_said(log, entry, host, event),
                What::Durable(Durable::Stored(label)) => {
                    ledger.stored.entry(label.clone()).or_insert(entry.at);
                }
                What::Asked(Durable::Expired(label)) => {
                    expiring.insert(label);
                }
                What::Durable(Durable::Expired(label)) => {
                    ledger.expired.entry(label.clone()).or_insert(entry.at);
                }
                What::Durable(Durable::Typed(label)) => ledger.is_on_disk(entry.at, label),
                What::Found(found) => ledger.found(entry.at, found, &mut expiring),
                What::Durable(Durable::Displayed(label)) => {
                    host.displayed.insert(label.clone());
                }
                What::Sent {
                    key:
                        Key {
                            packet: PacketKind::Ack | PacketKind::Shown, message: Some(label), ..
                        },
                    ..
                } => {
                    host.acknowledged.insert(label.clone());
                }
                What::Folder(Folder::Copied) => {
                    copies.insert(&entry.host, host.clone());
                }
                What::Folder(folder) => {
                    host.has_another(folder, &copies);
                    ledger.is_forgotten(&entry.host, *folder != Folder::Lost);
                }
                What::Started { .. } => {
                    host.lives += 1;
                    host.displayed_at_start.clone_from(&host.displayed);
                }
                What::Durable(Durable::Settled(label)) => {
                    if let Some(message) = ledger.messages.get_mut(label) {
                        message.settled = true;
                    }
                }
                What::Server(server::Event::Registered { name, addr, original: false, .. }) => {
                    if let Some(holder) = log.addresses.get(&addr.ip()) {
                        let before = holders.insert(name, holder);
                        ledger.registered(name, holder, before);
                    }
                }
                What::Crashed | What::Ended { error: Some(_) } => ledger.killed(&entry.host),
                _ => {}
            }
        }
        ledger.doubt(used_twice(log));
        ledger
    }

    /// How many messages there are that ...
    pub fn count(&self, which: impl Fn(&Message) -> bool) -> usize {
        self.messages.values().filter(|message| which(message)).count()
    }

    /// What a disk has. A commit may be durable without its program ever knowing.
    fn found<'a>(&mut self, at: Duration, found: &'a Found, expiring: &mut BTreeSet<&'a Label>) {
        let kept = found.kept.iter().flatten();
        if !found.is_server {
            return kept.for_each(|label| self.is_on_disk(at, label));
        }
        for label in kept {
            expiring.remove(label);
            self.stored.entry(label.clone()).or_insert(at);
        }
        for label in std::mem::take(expiring) {
            self.expired.entry(label.clone()).or_insert(at);
        }
    }

    /// The server has granted a name, perhaps after it had granted it to another host.
    fn registered(&mut self, name: &Name, holder: &HostName, before: Option<&HostName>) {
        if **holder == *ADVERSARY {
            self.taken.insert(name.clone());
        } else if before.is_some_and(|before| before != holder) {
            self.shared.insert(name.clone());
        }
    }

    /// Forgets what was sent by hosts of which nothing is promised.
    fn doubt(&mut self, hosts: BTreeSet<HostName>) {
        self.messages.retain(|label, _| !hosts.contains(&label.host));
        self.casts.retain(|label, _| !hosts.contains(&label.host));
        for screen in self.screens.values_mut() {
            screen.retain(|line| !hosts.contains(&line.label.host));
        }
        self.doubtful = hosts;
    }

    fn typed(&mut self, at: Duration, label: &Label, line: &str) {
        match plan::message(line) {
            None => {}
            Some((Audience::One(to), text)) => {
                self.messages.insert(label.clone(), Message::new(to, text));
            }
            Some((to, text)) => {
                let cast = Cast { to, text, typed: at, sending: Vec::new() };
                self.casts.insert(label.clone(), cast);
            }
        }
    }

    fn client_said(&mut self, log: &Log, entry: &Entry, so_far: &HostSoFar, event: &Event) {
        let (at, host) = (entry.at, &entry.host);
        // Whoever has a copy of another's folder is told of that one's messages as well.
        let is_own = |id: &MessageId| log.labels.get(*id).is_none_or(|label| label.host == *host);
        match event.plain() {
            Event::Error(Problem::OldCopy) => {
                self.restored.insert(host.clone());
            }
            Event::Sending { id, .. }
            | Event::Received { id, .. }
            | Event::Saved { id, .. }
            | Event::Expired { id, .. }
            | Event::ReadLater { id, .. }
            | Event::Unsent { id, .. }
                if !is_own(id) => {}
            Event::SendingMany { group, to } => {
                let label = log.labels.of_cast(group.cast);
                if let Some(cast) = label.and_then(|label| self.casts.get_mut(label)) {
                    cast.sending.push((at, to.clone()));
                }
            }
            Event::Sending { id, .. } => {
                if let Some(message) = self.message(log, *id) {
                    message.accepted = Some(at);
                }
            }
            Event::Received { id, .. } => self.told(log, at, *id, SenderTold::Received),
            Event::Saved { id, .. } => self.told(log, at, *id, SenderTold::Saved),
            Event::Expired { id, .. } => self.told(log, at, *id, SenderTold::Expired),
            Event::ReadLater { id, .. } => self.told(log, at, *id, SenderTold::ReadLater),
            // It goes on under another id.
            Event::Unsent { reason: UnsentReason::OldCopy, .. } => {}
            Event::Unsent { id, reason, .. } if reason.is_final() => {
                self.told(log, at, *id, SenderTold::GivenUp);
            }
            Event::Unsent { id, .. } => self.told(log, at, *id, SenderTold::Unsent),
            Event::Message { id, from, text, again, .. } => {
                let (host, from, text) = (host.clone(), from.clone(), text.clone());
                let (again, life) = (*again, so_far.lives);
                let label = log.labels.get(*id).cloned();
                let known = label.as_ref().is_some_and(|it| so_far.displayed_at_start.contains(it));
                let acknowledged =
                    label.as_ref().is_some_and(|it| so_far.acknowledged.contains(it));
                let shown = {
                    let host = host.clone();
                    let (id, folder) = (*id, so_far.folders);
                    Shown { at, host, from, text, again, id, folder, life, known, acknowledged }
                };
                let Some(label) = label else { return self.strays.push(shown) };
                if let Some(message) = self.message(log, *id) {
                    message.shown.push(shown);
                }
                let (stream, folder) = (id.stream, so_far.folders);
                let line = OnScreen { label, at, again, stream, folder, life };
                self.screens.entry(host).or_default().push(line);
            }
            _ => {}
        }
    }

    /// A host's program was killed, or its disk failed.
    fn killed(&mut self, host: &HostName) {
        for (label, message) in &mut self.messages {
            let given_up =
                message.told.last().is_some_and(|(_, told)| *told == SenderTold::GivenUp);
            message.killed_giving_up |= given_up && !message.settled && label.host == *host;
        }
    }

    /// A host's folder is another, perhaps an older copy.
    fn is_forgotten(&mut self, host: &HostName, restored: bool) {
        if restored {
            self.restored.insert(host.clone());
        }
        for (label, message) in &mut self.messages {
            message.forgotten |= !message.settled && label.host == *host;
        }
    }

    fn told(&mut self, log: &Log, at: Duration, id: MessageId, told: SenderTold) {
        if let Some(message) = self.message(log, id) {
            message.told.push((at, told));
        }
    }

    fn message(&mut self, log: &Log, id: MessageId) -> Option<&mut Message> {
        let label = log.labels.get(id)?;
        self.know(label);
        self.messages.get_mut(label)
    }

    /// Its sender's disk has a message that is to be sent.
    fn is_on_disk(&mut self, at: Duration, label: &Label) {
        self.know(label);
        if let Some(message) = self.messages.get_mut(label) {
            message.on_disk.get_or_insert(at);
        }
    }

    /// Copies are made when they are first heard of.
    fn know(&mut self, label: &Label) {
        if let Some(to) = &label.copy
            && let Some(cast) = self.casts.get(&label.command())
        {
            let new = || Message::new(to.clone(), cast.text.clone());
            self.messages.entry(label.clone()).or_insert_with(new);
        }
    }
}
