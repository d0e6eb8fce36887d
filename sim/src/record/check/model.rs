//! A chat as simple as it can be: one list of names, one queue for each pair, no network.
//!
//! Is stepped with what users type and what programs say, and decides whether they may say it.
//! Shares no code with the machines and little with the other checkers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use udpchat_core::client::{Event, Problem, UnsentReason};
use udpchat_core::protocol::{MessageId, Name};
use udpchat_core::server;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{Audience, HostName, Label, Labels};
use crate::planning::plan::{Folder, message};
use crate::record::log::{Durable, What};

pub(super) const CHECKER: Checker = Checker {
    name: "model",
    promise: "users are told what a chat without a network would tell them: a send is refused \
              only offline, a name is unknown only until it registers, one outcome is the last",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let doubtful = evidence.ledger.doubtful.clone();
    let mut model = Model { doubtful, ..Model::default() };
    let mut violations = Vec::new();
    for entry in &evidence.log.entries {
        if let Err(what) = model.step(&evidence.log.labels, &entry.host, &entry.what) {
            violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        }
    }
    violations
}

/// Whether a program may say this; if not, why.
type Allowed = Result<(), String>;

#[derive(Default)]
struct Model {
    /// Names that the server has granted at some time.
    known: BTreeSet<Name>,
    /// Hosts whose users have left and have not asked to come back.
    away: BTreeSet<HostName>,
    /// Hosts whose users want to come back, perhaps before their leaving is carried out.
    returning: BTreeSet<HostName>,
    messages: BTreeMap<Label, Message>,
    /// Texts to many, and whether each was typed while its sender was away.
    casts: BTreeMap<Label, bool>,
    /// What each host has still to be shown from each other.
    queues: BTreeMap<(HostName, Name), VecDeque<Label>>,
    /// Hosts whose ids may stand for two messages: theirs are not looked at.
    doubtful: BTreeSet<HostName>,
    /// Hosts that go on with an older copy of a folder: they send some things again.
    restored: BTreeSet<HostName>,
}

struct Message {
    to: Name,
    typed_away: bool,
    known_when_accepted: bool,
    /// Its sender was told how it ended, by the program that runs now.
    ended: bool,
    /// Its sender was told at any time that it is saved, ...
    saved: bool,
    /// ... and that it was read then, by the program that runs now.
    read: bool,
}

impl Message {
    const fn new(to: Name, typed_away: bool) -> Self {
        let (known_when_accepted, ended, saved, read) = (false, false, false, false);
        Self { to, typed_away, known_when_accepted, ended, saved, read }
    }
}

impl Model {
    fn step(&mut self, labels: &Labels, host: &HostName, what: &What) -> Allowed {
        match what {
            What::Typed { line, label: Some(label), refused: None } => self.typed(label, line),
            What::Typed { line, .. } if line.starts_with("reg ") => {
                self.away.remove(host);
                self.returning.insert(host.clone());
            }
            What::Typed { line, .. } if line.starts_with("dereg ") => {
                self.returning.remove(host);
            }
            What::Started { .. } => {
                self.away.remove(host);
                self.returning.remove(host);
                // A new program tells anew what it has not settled.
                let own = self.messages.iter_mut().filter(|(label, _)| label.host == *host);
                own.for_each(|(_, message)| (message.ended, message.read) = (false, false));
            }
            What::Folder(folder) if *folder != Folder::Copied => {
                // What waits there may never come.
                self.queues.retain(|(from, _), _| from != host);
                if *folder != Folder::Lost {
                    self.restored.insert(host.clone());
                }
            }
            What::Client(Event::Error(Problem::OldCopy)) => {
                self.restored.insert(host.clone());
            }
            What::Client(event) => return self.client_says(labels, host, event),
            // It will not be shown, and whatever is behind it may be, also before anybody is told.
            What::Asked(Durable::Expired(label)) => self.dropped(label),
            What::Server(server::Event::Registered { name, .. }) => {
                self.known.insert(name.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn typed(&mut self, label: &Label, line: &str) {
        if self.doubtful.contains(&label.host) {
            return;
        }
        let typed_away = self.away.contains(&label.host);
        match message(line) {
            None => {}
            Some((Audience::One(to), _)) => {
                self.messages.insert(label.clone(), Message::new(to, typed_away));
            }
            Some(_) => {
                self.casts.insert(label.clone(), typed_away);
            }
        }
    }

    fn client_says(&mut self, labels: &Labels, host: &HostName, event: &Event) -> Allowed {
        let known = |id: &MessageId| labels.get(*id).cloned();
        // Whoever has a copy of another's folder speaks of that one's messages.
        let own = |id: &MessageId| known(id).filter(|label| label.host == *host);
        match event.plain() {
            Event::Offline => {
                if !self.returning.contains(host) {
                    self.away.insert(host.clone());
                }
                Ok(())
            }
            Event::Registered { .. } => {
                self.away.remove(host);
                Ok(())
            }
            Event::Error(Problem::Offline)
                if !self.away.contains(host) && !self.returning.contains(host) =>
            {
                Err(format!("{host} is told to be offline, and is not"))
            }
            Event::Sending { id, .. } => own(id).map_or(Ok(()), |label| self.accepted(&label)),
            Event::Received { id, .. } => own(id).map_or(Ok(()), |label| self.ends(&label)),
            Event::Saved { id, .. } => {
                let Some(label) = own(id) else { return Ok(()) };
                if let Some(message) = self.messages.get_mut(&label) {
                    message.saved = true;
                }
                self.ends(&label)
            }
            Event::ReadLater { id, .. } => own(id).map_or(Ok(()), |label| self.read(&label)),
            Event::Unsent { reason: UnsentReason::OldCopy, .. } => Ok(()),
            Event::Unsent { id, reason, .. } if reason.is_final() => {
                let Some(label) = own(id) else { return Ok(()) };
                self.ends(&label)?;
                self.given_up(&label, *reason)
            }
            Event::Message { id, .. } => known(id).map_or(Ok(()), |label| self.shown(host, &label)),
            _ => Ok(()),
        }
    }

    fn accepted(&mut self, label: &Label) -> Allowed {
        if let (Some(to), Some(away)) = (&label.copy, self.casts.get(&label.command())) {
            self.messages.insert(label.clone(), Message::new(to.clone(), *away));
        }
        let Some(message) = self.messages.get_mut(label) else { return Ok(()) };
        message.known_when_accepted = self.known.contains(&message.to);
        let queue = self.queues.entry((label.host.clone(), message.to.clone())).or_default();
        // Under another id it is the same.
        if !queue.contains(label) {
            queue.push_back(label.clone());
        }
        if message.typed_away {
            return Err(format!("{label} was typed while {} was offline, and is sent", label.host));
        }
        Ok(())
    }

    fn ends(&mut self, label: &Label) -> Allowed {
        let Some(message) = self.messages.get_mut(label) else { return Ok(()) };
        if std::mem::replace(&mut message.ended, true) {
            return Err(format!("{label} has a second outcome"));
        }
        Ok(())
    }

    fn read(&mut self, label: &Label) -> Allowed {
        let Some(message) = self.messages.get_mut(label) else { return Ok(()) };
        if !message.saved {
            return Err(format!("{label} is said to be read later, and was never saved"));
        }
        if std::mem::replace(&mut message.read, true) {
            return Err(format!("{label} is said to be read again"));
        }
        Ok(())
    }

    fn dropped(&mut self, label: &Label) {
        let Some(message) = self.messages.get(label) else { return };
        if let Some(queue) = self.queues.get_mut(&(label.host.clone(), message.to.clone())) {
            queue.retain(|other| other != label);
        }
    }

    fn given_up(&mut self, label: &Label, reason: UnsentReason) -> Allowed {
        self.dropped(label);
        let Some(message) = self.messages.get(label) else { return Ok(()) };
        if reason == UnsentReason::UnknownName && message.known_when_accepted {
            return Err(format!("{label} is given up, as if nobody were called {}", message.to));
        }
        Ok(())
    }

    /// The next one of its queue, or one whose sender was killed before it could be queued.
    fn shown(&mut self, host: &HostName, label: &Label) -> Allowed {
        let Some(message) = self.messages.get(label) else { return Ok(()) };
        let Some(queue) = self.queues.get_mut(&(label.host.clone(), message.to.clone())) else {
            return Ok(());
        };
        let is_restored = self.restored.contains(&label.host);
        match queue.iter().position(|other| other == label) {
            None => Ok(()),
            Some(place) if is_restored => {
                queue.remove(place);
                Ok(())
            }
            Some(0) => {
                queue.pop_front();
                Ok(())
            }
            Some(place) => {
                let first = queue[0].clone();
                queue.drain(..=place);
                Err(format!("{host} is shown {label} while {first} is still to come"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id, label};
    use super::*;

    #[test]
    fn what_comes_behind_a_message_is_shown_before_it_only_if_that_has_expired() {
        let sending =
            |number| What::Client(Event::Sending { id: id(number), to: "bob".parse().unwrap() });
        let (from, text): (Name, _) = ("alice".parse().unwrap(), "two".to_owned());
        let (id, stored_at, group, again) = (id(2), None, None, false);
        let second = Event::Message { id, from, text, stored_at, group, again };
        let story = || {
            let story = Story::new().types(1, "one").then(1, "alice", sending(1));
            story.types(2, "two").then(2, "alice", sending(2))
        };
        let shown =
            |story: Story| story.then(4, "bob", What::Client(second.clone())).violations(&CHECKER);
        assert_eq!(shown(story()), ["bob is shown alice#2 while alice#1 is still to come"]);
        let expired = What::Asked(Durable::Expired(label(1)));
        assert_eq!(shown(story().then(3, "server", expired)), [""; 0]);
    }
}
