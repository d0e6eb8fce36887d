//! The log retold message by message: what was typed, what its sender was told, who was shown it.
//!
//! What checkers and reports read. Draws no conclusions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat::client::Event;
use udpchat::protocol::{MessageId, Name};

use crate::label::{HostName, Label};
use crate::log::{Durable, Entry, Log, What};
use crate::plan;

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
    /// What its sender was told about it, in order.
    pub told: Vec<(Duration, Told)>,
    /// Where it was shown, in order.
    pub shown: Vec<Shown>,
    /// Whether its sender was killed right after it was told that it is given up, perhaps before
    /// its disk had that: then the next life tries again. Told first and remembered then, for the
    /// other way round nobody might ever be told.
    pub killed_giving_up: bool,
}

/// A commit that was asked for so long ago has ended: two of the slowest disk's, for a change may
/// have to wait for the one before.
const COMMITTED_AFTER: Duration = Duration::from_millis(250);

/// What a sender is told about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// The recipient has seen it.
    Received,
    /// The server keeps it.
    Saved,
    /// Not sent, but kept.
    Unsent,
    /// Not sent, and given up.
    GivenUp,
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
    /// Which of its host's programs showed it: they are counted.
    pub life: u32,
    /// Whether its host's disk had that it was shown when that program was started.
    pub known: bool,
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
}

impl Message {
    /// Whether its sender was ever told this.
    #[must_use]
    pub fn was_told(&self, what: Told) -> bool {
        self.told.iter().any(|(_, told)| *told == what)
    }

    /// How often it was shown as if for the first time.
    #[must_use]
    pub fn unmarked(&self) -> usize {
        self.shown.iter().filter(|shown| !shown.again).count()
    }
}

impl Ledger {
    /// Retells a log.
    #[must_use]
    pub fn new(log: &Log) -> Self {
        let mut ledger = Self::default();
        let mut hosts: BTreeMap<&HostName, HostSoFar> = BTreeMap::new();
        for entry in &log.entries {
            let host = hosts.entry(&entry.host).or_default();
            match &entry.what {
                What::Typed { line, label: Some(label), refused: None } => {
                    ledger.typed(label, line);
                }
                What::Client(event) => ledger.client_said(log, entry, host, event),
                What::Durable(Durable::Stored(label)) => {
                    ledger.stored.entry(label.clone()).or_insert(entry.at);
                }
                // A commit may be durable without its program ever knowing.
                What::Found(found) if found.is_server => {
                    for label in found.kept.iter().flatten() {
                        ledger.stored.entry(label.clone()).or_insert(entry.at);
                    }
                }
                What::Durable(Durable::Displayed(label)) => {
                    host.displayed.insert(label.clone());
                }
                What::Started { .. } => {
                    host.lives += 1;
                    host.displayed_at_start.clone_from(&host.displayed);
                }
                What::Crashed => ledger.killed(entry.at, &entry.host),
                _ => {}
            }
        }
        ledger
    }

    /// How many messages there are that ...
    pub fn count(&self, which: impl Fn(&Message) -> bool) -> usize {
        self.messages.values().filter(|message| which(message)).count()
    }

    fn typed(&mut self, label: &Label, line: &str) {
        if let Some((to, text)) = plan::message(line) {
            let (told, shown) = (Vec::new(), Vec::new());
            let message =
                Message { to, text, accepted: None, told, shown, killed_giving_up: false };
            self.messages.insert(label.clone(), message);
        }
    }

    fn client_said(&mut self, log: &Log, entry: &Entry, so_far: &HostSoFar, event: &Event) {
        let (at, host) = (entry.at, &entry.host);
        match event {
            Event::Sending { id, .. } => {
                if let Some(message) = self.message(log, *id) {
                    message.accepted = Some(at);
                }
            }
            Event::Received { id, .. } => self.told(log, at, *id, Told::Received),
            Event::Saved { id, .. } => self.told(log, at, *id, Told::Saved),
            Event::Unsent { id, reason, .. } if reason.is_final() => {
                self.told(log, at, *id, Told::GivenUp);
            }
            Event::Unsent { id, .. } => self.told(log, at, *id, Told::Unsent),
            Event::Message { id, from, text, again, .. } => {
                let (host, from, text) = (host.clone(), from.clone(), text.clone());
                let (again, life) = (*again, so_far.lives);
                let label = log.labels.get(*id).cloned();
                let known = label.as_ref().is_some_and(|it| so_far.displayed_at_start.contains(it));
                let shown = Shown { at, host: host.clone(), from, text, again, life, known };
                let Some(label) = label else { return self.strays.push(shown) };
                if let Some(message) = self.messages.get_mut(&label) {
                    message.shown.push(shown);
                }
                let line = OnScreen { label, at, again, life };
                self.screens.entry(host).or_default().push(line);
            }
            _ => {}
        }
    }

    /// A host was killed.
    fn killed(&mut self, at: Duration, host: &HostName) {
        for (label, message) in &mut self.messages {
            let last = message.told.last();
            let lately = last.is_some_and(|(told_at, told)| {
                *told == Told::GivenUp && at.saturating_sub(*told_at) <= COMMITTED_AFTER
            });
            message.killed_giving_up |= lately && label.host == *host;
        }
    }

    fn told(&mut self, log: &Log, at: Duration, id: MessageId, told: Told) {
        if let Some(message) = self.message(log, id) {
            message.told.push((at, told));
        }
    }

    fn message(&mut self, log: &Log, id: MessageId) -> Option<&mut Message> {
        self.messages.get_mut(log.labels.get(id)?)
    }
}
