//! Names for messages that mean the same in every run: "alice#3" is what alice's third `send`
//! command caused.
//!
//! Knows of the ids on the wire only which text a client gave each to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use udpchat::protocol::{MessageId, Name};

/// The name of a host, as scenarios write it.
pub type HostName = Arc<str>;

/// A message by the command that caused it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Where it was typed.
    pub host: HostName,
    /// Which of the host's `send` commands it was, from 1.
    pub number: u32,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.host, self.number)
    }
}

/// Not of the form `alice#3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLabel;

impl FromStr for Label {
    type Err = BadLabel;

    fn from_str(text: &str) -> Result<Self, BadLabel> {
        let (host, number) = text.split_once('#').ok_or(BadLabel)?;
        let number = number.parse().map_err(|_| BadLabel)?;
        if host.is_empty() || number == 0 {
            return Err(BadLabel);
        }
        Ok(Self { host: host.into(), number })
    }
}

/// Which label each id on the wire stands for.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    by_id: BTreeMap<MessageId, Label>,
    /// Sends that were typed and whose id is not yet known, by host, in the order typed.
    typed: BTreeMap<HostName, VecDeque<Typed>>,
}

#[derive(Clone, Debug)]
struct Typed {
    label: Label,
    to: Name,
    text: String,
}

impl Labels {
    /// A `send` was typed.
    pub fn typed(&mut self, label: Label, to: Name, text: String) {
        self.typed.entry(label.host.clone()).or_default().push_back(Typed { label, to, text });
    }

    /// The host's client has given this id to what it was told to send.
    pub fn accepted(&mut self, host: &HostName, id: MessageId, to: &Name, text: &str) {
        let Some(typed) = self.typed.get_mut(host) else { return };
        let found = typed.iter().position(|typed| typed.to == *to && typed.text == text);
        if let Some(typed) = found.and_then(|index| typed.remove(index)) {
            self.by_id.insert(id, typed.label);
        }
    }

    /// The host's client says that it sends this id to somebody; in case it wrote down no text.
    pub fn announced(&mut self, host: &HostName, id: MessageId, to: &Name) {
        let Some(typed) = self.typed.get_mut(host) else { return };
        if !self.by_id.contains_key(&id)
            && let Some(index) = typed.iter().position(|typed| typed.to == *to)
            && let Some(typed) = typed.remove(index)
        {
            self.by_id.insert(id, typed.label);
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use udpchat::protocol::StreamId;

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
            labels.typed(Label { host: alice.clone(), number }, bob.clone(), text.to_owned());
        }
        for (seq, text) in [(1, "one"), (2, "one"), (3, "four"), (4, "one")] {
            labels.accepted(&alice, id(seq), &bob, text);
        }
        assert_eq!(labels.get(id(1)), Some(&label("alice#1")));
        assert_eq!(labels.get(id(2)), Some(&label("alice#3")));
        assert_eq!(labels.get(id(3)), Some(&label("alice#4")));
        assert_eq!(labels.get(id(4)), None);
    }

    #[test]
    fn a_label_is_read_as_it_is_written() {
        assert_eq!(label("bob#12").to_string(), "bob#12");
        for bad in ["bob", "#1", "bob#", "bob#0", "bob#x"] {
            assert_eq!(bad.parse::<Label>(), Err(BadLabel), "{bad}");
        }
    }
}
