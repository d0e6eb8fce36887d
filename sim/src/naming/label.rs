//! Names for messages that mean the same in every run: "alice#3" is what alice's third `send`
//! command caused.
//!
//! Knows of the ids on the wire only which text a client gave each to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use udpchat_core::protocol::{CastId, GroupTag, MessageId, Name, StreamId};

/// The name of a host, as scenarios write it.
pub type HostName = Arc<str>;

/// A message by the command that caused it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Where it was typed.
    pub host: HostName,
    /// Which of the host's commands that send it was, from 1.
    pub number: u32,
    /// For whom, if it is one copy of a text to many.
    pub copy: Option<Name>,
}

impl Label {
    /// What the host's command of this number sends, or all of its copies.
    #[must_use]
    pub const fn new(host: HostName, number: u32) -> Self {
        Self { host, number, copy: None }
    }

    /// The command's label, also if this is one of a copy.
    #[must_use]
    pub fn command(&self) -> Self {
        Self::new(self.host.clone(), self.number)
    }

    /// The label of a copy.
    #[must_use]
    pub fn copy_for(&self, to: &Name) -> Self {
        Self { copy: Some(to.clone()), ..self.clone() }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.host, self.number)?;
        self.copy.iter().try_for_each(|to| write!(f, "@{to}"))
    }
}

/// Not of the form `alice#3` or `alice#3@bob`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLabel;

impl FromStr for Label {
    type Err = BadLabel;

    fn from_str(text: &str) -> Result<Self, BadLabel> {
        let (host, number) = text.split_once('#').ok_or(BadLabel)?;
        let (number, to) = number.split_once('@').map_or((number, None), |(n, to)| (n, Some(to)));
        let copy = to.map(str::parse).transpose().map_err(|_| BadLabel)?;
        let number = number.parse().map_err(|_| BadLabel)?;
        if host.is_empty() || number == 0 {
            return Err(BadLabel);
        }
        Ok(Self { host: host.into(), number, copy })
    }
}

/// For whom a text was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One recipient.
    One(Name),
    /// The other members of a group.
    Group(Name),
    /// Everybody.
    All,
}

impl Audience {
    /// Whom a message is for: its recipient, unless it is a copy of a text to more.
    #[must_use]
    pub fn of(to: &Name, group: Option<&GroupTag>) -> Self {
        match group {
            None => Self::One(to.clone()),
            Some(GroupTag { name: Some(group), .. }) => Self::Group(group.clone()),
            Some(GroupTag { name: None, .. }) => Self::All,
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => name.fmt(f),
            Self::Group(group) => write!(f, "group {group}"),
            Self::All => f.write_str("everybody"),
        }
    }
}

/// Which label each id on the wire stands for.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    by_id: BTreeMap<MessageId, Label>,
    /// The command that each text to many came of.
    by_cast: BTreeMap<CastId, Label>,
    /// Which label was given before which.
    places: BTreeMap<Label, usize>,
    /// How often one was given.
    given: usize,
    /// Sends that were typed and whose id is not yet known, by host, in the order typed.
    typed: BTreeMap<HostName, VecDeque<Typed>>,
}

#[derive(Clone, Debug)]
struct Typed {
    label: Label,
    to: Audience,
    text: String,
}

impl Labels {
    /// A command that sends was typed.
    pub fn typed(&mut self, label: Label, to: Audience, text: String) {
        self.typed.entry(label.host.clone()).or_default().push_back(Typed { label, to, text });
    }

    /// The host's client has given this id to what it was told to send to many.
    pub fn cast(&mut self, host: &HostName, group: &GroupTag, text: Option<&str>) {
        let to = group.name.clone().map_or(Audience::All, Audience::Group);
        if !self.by_cast.contains_key(&group.cast)
            && let Some(label) = self.take(host, &to, text)
        {
            self.by_cast.insert(group.cast, label);
        }
    }

    /// The host's client has given this id to what it was told to send, or to a copy of it; `text`
    /// is none if it wrote down none.
    pub fn accepted(
        &mut self,
        host: &HostName,
        id: MessageId,
        (to, group): (&Name, Option<&GroupTag>),
        text: Option<&str>,
    ) {
        if text.is_none() && self.by_id.contains_key(&id) {
            return;
        }
        let label = match group {
            None => self.take(host, &Audience::One(to.clone()), text),
            Some(group) => {
                self.cast(host, group, text);
                self.by_cast.get(&group.cast).map(|label| label.copy_for(to))
            }
        };
        if let Some(label) = label {
            // The last time counts: an id that a crash took back may be given again, to another, or
            // to the same one in another place.
            self.given += 1;
            self.places.insert(label.clone(), self.given);
            self.by_id.insert(id, label);
        }
    }

    /// What has its place in one stream below `next_seq` has the same in another from now on.
    pub fn renumbered(&mut self, before: StreamId, stream: StreamId, next_seq: u64) {
        let ids = MessageId { stream: before, seq: 0 }..MessageId { stream: before, seq: next_seq };
        let renumbered = self.by_id.range(ids).map(|(id, label)| (id.seq, label.clone()));
        for (seq, label) in renumbered.collect::<Vec<_>>() {
            self.by_id.entry(MessageId { stream, seq }).or_insert(label);
        }
    }

    fn take(&mut self, host: &HostName, to: &Audience, text: Option<&str>) -> Option<Label> {
        let typed = self.typed.get_mut(host)?;
        let is_it = |typed: &Typed| typed.to == *to && text.is_none_or(|text| typed.text == text);
        let index = typed.iter().position(is_it)?;
        typed.remove(index).map(|typed| typed.label)
    }

    /// What was typed at the host and not accepted is forgotten.
    pub fn ended(&mut self, host: &HostName) {
        self.typed.remove(host);
    }

    /// The label of a message.
    #[must_use]
    pub fn get(&self, id: MessageId) -> Option<&Label> {
        self.by_id.get(&id)
    }

    /// The label of the command that sent a text to many.
    #[must_use]
    pub fn of_cast(&self, cast: CastId) -> Option<&Label> {
        self.by_cast.get(&cast)
    }

    /// The messages of one host have their ids in this order.
    #[must_use]
    pub fn place(&self, label: &Label) -> Option<usize> {
        self.places.get(label).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    #[test]
    fn labels_follow_the_commands_and_not_the_ids() {
        let alice: HostName = "alice".into();
        let bob: Name = "bob".parse().unwrap();
        let id = |seq| MessageId { stream: StreamId(7), seq };
        let mut labels = Labels::default();
        for (number, text) in [(1, "one"), (2, "refused"), (3, "one"), (4, "four")] {
            let to = Audience::One(bob.clone());
            labels.typed(Label::new(alice.clone(), number), to, text.to_owned());
        }
        for (seq, text) in [(1, "one"), (2, "one"), (3, "four"), (4, "one")] {
            labels.accepted(&alice, id(seq), (&bob, None), Some(text));
        }
        assert_eq!(labels.get(id(1)), Some(&label("alice#1")));
        assert_eq!(labels.get(id(2)), Some(&label("alice#3")));
        assert_eq!(labels.get(id(3)), Some(&label("alice#4")));
        assert_eq!(labels.get(id(4)), None);
    }

    #[test]
    fn copies_have_their_recipients_in_their_labels() {
        let alice: HostName = "alice".into();
        let (bob, carol): (Name, Name) = ("bob".parse().unwrap(), "carol".parse().unwrap());
        let group = GroupTag { cast: CastId(1), name: None };
        let mut labels = Labels::default();
        labels.typed(Label::new(alice.clone(), 1), Audience::All, "hi".to_owned());
        for (to, stream) in [(&bob, 7), (&carol, 8)] {
            let id = MessageId { stream: StreamId(stream), seq: 1 };
            labels.accepted(&alice, id, (to, Some(&group)), Some("hi"));
            let expected = label(&format!("alice#1@{to}"));
            assert_eq!(labels.get(id), Some(&expected));
        }
        assert_eq!(labels.of_cast(CastId(1)), Some(&label("alice#1")));
        assert!(labels.place(&label("alice#1@bob")) < labels.place(&label("alice#1@carol")));
    }

    #[test]
    fn what_goes_on_in_another_stream_keeps_its_label() {
        let (alice, bob): (HostName, Name) = ("alice".into(), "bob".parse().unwrap());
        let id = |stream, seq| MessageId { stream: StreamId(stream), seq };
        let mut labels = Labels::default();
        for (number, text) in [(1, "one"), (2, "two"), (3, "three")] {
            let to = Audience::One(bob.clone());
            labels.typed(Label::new(alice.clone(), number), to, text.to_owned());
            labels.accepted(&alice, id(7, number.into()), (&bob, None), Some(text));
        }
        labels.renumbered(StreamId(7), StreamId(9), 3);
        assert_eq!(labels.get(id(9, 2)), Some(&label("alice#2")));
        assert_eq!(labels.get(id(7, 2)), Some(&label("alice#2")));
        assert_eq!(labels.get(id(9, 3)), None, "a later life's");
    }

    #[test]
    fn a_copy_that_a_crash_took_back_has_its_place_anew() {
        let alice: HostName = "alice".into();
        let bob: Name = "bob".parse().unwrap();
        let team = GroupTag { cast: CastId(1), name: Some("team".parse().unwrap()) };
        let id = |seq| MessageId { stream: StreamId(7), seq };
        let mut labels = Labels::default();
        let to_team = Audience::of(&bob, Some(&team));
        labels.typed(Label::new(alice.clone(), 1), to_team, "hi".to_owned());
        labels.accepted(&alice, id(2), (&bob, Some(&team)), Some("hi"));
        labels.ended(&alice);
        labels.typed(Label::new(alice.clone(), 2), Audience::One(bob.clone()), "one".to_owned());
        labels.accepted(&alice, id(1), (&bob, None), Some("one"));
        labels.accepted(&alice, id(2), (&bob, Some(&team)), Some("hi"));
        assert!(labels.place(&label("alice#2")) < labels.place(&label("alice#1@bob")));
    }

    #[test]
    fn a_label_is_read_as_it_is_written() {
        for good in ["bob#12", "bob#12@carol"] {
            assert_eq!(label(good).to_string(), good);
        }
        for bad in ["bob", "#1", "bob#", "bob#0", "bob#x", "bob#1@", "bob#1@?"] {
            assert_eq!(bad.parse::<Label>(), Err(BadLabel), "{bad}");
        }
    }
}
