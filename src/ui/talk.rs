//! Who one talks to at a prompt: the partner, who wrote last, whom one knows.
//!
//! Pure. Knows commands and events, no terminal.

use std::collections::BTreeSet;

use udpchat_core::client::{Command, Event};
use udpchat_core::command::{self, BadCommand, Entry, UserRequest};
use udpchat_core::protocol::Name;

/// What stands before a command while lines go to a partner.
pub(super) const COMMAND_MARK: char = '/';

/// How a text to a partner is to be typed, when it was not.
const TEXT_USAGE: &str = "<text>, or /<command>";

/// What a line at the prompt comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Nothing.
    Nothing,
    /// Something to do.
    Ask(UserRequest),
    /// Another partner, or none: what to say of that.
    Partner(String),
    /// Nothing that can be done; why.
    Wrong(String),
}

/// The state of a conversation, as far as a prompt must know it.
#[derive(Debug)]
pub(super) struct Talk {
    /// The user.
    pub(super) me: Name,
    partner: Option<Name>,
    last_sender: Option<Name>,
    /// Whom the user wrote to or heard from, the latest first.
    recent: Vec<Name>,
    online: BTreeSet<Name>,
    offline: BTreeSet<Name>,
    /// The groups that the user has heard of.
    pub(super) groups: BTreeSet<Name>,
}

impl Talk {
    pub(super) fn new(me: Name) -> Self {
        Self {
            me,
            partner: None,
            last_sender: None,
            recent: Vec::new(),
            online: BTreeSet::new(),
            offline: BTreeSet::new(),
            groups: BTreeSet::new(),
        }
    }

    /// The same, when lines go to a partner from the beginning.
    pub(super) fn with_partner(self, partner: Option<Name>) -> Self {
        Self { partner, ..self }
    }

    pub(super) const fn partner(&self) -> Option<&Name> {
        self.partner.as_ref()
    }

    /// Learns who is there and who writes.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Table(listing) | Event::List(listing) => {
                self.online = listing.online.iter().cloned().collect();
                self.offline = listing.offline.iter().cloned().collect();
            }
            Event::Sending { to, .. } => self.meet(to),
            Event::Message { from, group, .. } => {
                self.meet(from);
                self.last_sender = Some(from.clone());
                self.groups.extend(group.as_ref().and_then(|group| group.name.clone()));
            }
            Event::Groups(names) => self.groups.extend(names.iter().cloned()),
            Event::Group { group, .. } | Event::Members { group, .. } => {
                self.groups.insert(group.clone());
            }
            _ => {}
        }
    }

    fn meet(&mut self, name: &Name) {
        self.recent.retain(|known| known != name);
        self.recent.insert(0, name.clone());
    }

    /// Everyone heard of, the latest partner first, then by name, those who are away last.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        let others = self.online.iter().chain(&self.offline);
        self.recent.iter().chain(others.filter(|name| !self.recent.contains(name)))
    }

    /// The command in a line, if commands begin like that now.
    pub(super) fn command<'a>(&self, line: &'a str) -> Option<&'a str> {
        let line = line.trim_start();
        match line.strip_prefix(COMMAND_MARK) {
            // Two of them stand for one at the beginning of a text.
            Some(rest) if rest.starts_with(COMMAND_MARK) => None,
            Some(rest) => Some(rest),
            None if self.partner.is_none() => Some(line),
            None => None,
        }
    }

    /// Takes a line that was typed.
    pub(super) fn read(&mut self, line: &str) -> Typed {
        let entry = match self.command(line) {
            Some(command) => command::parse_at_prompt(command),
            None => self.text(line),
        };
        match entry {
            Ok(None) => Typed::Nothing,
            Ok(Some(Entry::UserRequest(request))) => Typed::Ask(request),
            Ok(Some(Entry::Reply(text))) => match &self.last_sender {
                Some(to) => Typed::Ask(send(to, text)),
                None => Typed::Wrong("nobody has written yet; use send <name> <text>".to_owned()),
            },
            Ok(Some(Entry::To(partner))) => self.turn_to(partner),
            Err(BadCommand::Unknown(word)) if self.partner.is_none() => Typed::Wrong(format!(
                "unknown command {word:?}; type help for the list, or to <name> to talk"
            )),
            Err(why) => Typed::Wrong(why.to_string()),
        }
    }

    /// A line for the partner.
    fn text(&self, line: &str) -> Result<Option<Entry>, BadCommand> {
        let doubled: String = [COMMAND_MARK; 2].iter().collect();
        let line = if line.trim_start().starts_with(&doubled) {
            line.trim_start().split_at(COMMAND_MARK.len_utf8()).1
        } else {
            line
        };
        match &self.partner {
            Some(to) if !line.trim().is_empty() => {
                let text = command::text(line, TEXT_USAGE)?;
                Ok(Some(Entry::UserRequest(send(to, text))))
            }
            Some(_) => Ok(None),
            None => Err(BadCommand::Unknown(line.split(' ').next().unwrap_or(line).to_owned())),
        }
    }

    fn turn_to(&mut self, partner: Option<Name>) -> Typed {
        let said = match &partner {
            Some(name) if self.online.contains(name) => {
                format!("lines go to {name} now; commands begin with / and /to ends it")
            }
            Some(name) if self.offline.contains(name) => {
                format!("lines go to {name} now, who is away: the server keeps them; /to ends it")
            }
            Some(name) => {
                format!("lines go to {name} now, whom nobody knows here yet; /to ends it")
            }
            None => "lines are commands again".to_owned(),
        };
        self.partner = partner;
        Typed::Partner(said)
    }
}

fn send(to: &Name, text: String) -> UserRequest {
    UserRequest::Command(Command::Send { to: to.clone(), text })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use udpchat_core::client::Listing;
    use udpchat_core::protocol::{MessageId, StreamId};

    pub(crate) fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    pub(crate) fn talk(partner: Option<&str>) -> Talk {
        let mut talk = Talk::new(name("alice"));
        let online = ["alice", "bob", "carol"].map(name).into();
        talk.note(&Event::Table(Listing { online, offline: vec![name("dave")] }));
        if let Some(partner) = partner {
            talk.read(&format!("to {partner}"));
        }
        talk
    }

    pub(crate) fn message(from: &str) -> Event {
        let id = MessageId { stream: StreamId(1), seq: 1 };
        Event::Message {
            id,
            from: name(from),
            text: "hi".to_owned(),
            stored_at: None,
            group: None,
            again: false,
        }
    }

    fn sends(to: &str, text: &str) -> Typed {
        Typed::Ask(send(&name(to), text.to_owned()))
    }

    #[test]
    fn without_a_partner_every_line_is_a_command() {
        let mut talk = talk(None);
        assert_eq!(talk.read("send bob hi"), sends("bob", "hi"));
        assert_eq!(talk.read("/send bob hi"), sends("bob", "hi"));
        assert_eq!(talk.read("list"), Typed::Ask(UserRequest::Command(Command::List)));
        assert_eq!(talk.read(" "), Typed::Nothing);
        for line in ["hello", "sned bob hi", "//", "/", "//x y"] {
            match talk.read(line) {
                Typed::Wrong(why) => assert!(why.contains("help"), "{why}"),
                Typed::Nothing if line == "/" => {}
                other => panic!("{line:?} gives {other:?}"),
            }
        }
    }

    #[test]
    fn with_a_partner_lines_are_texts_and_a_mistyped_command_is_none() {
        let mut talk = talk(Some("bob"));
        assert_eq!(talk.read("list of things"), sends("bob", "list of things"));
        assert_eq!(talk.read("  two  "), sends("bob", "  two  "));
        assert_eq!(talk.read("/send carol hi"), sends("carol", "hi"));
        assert_eq!(talk.read("//usr/bin"), sends("bob", "/usr/bin"));
        assert_eq!(talk.read("   "), Typed::Nothing);
        for line in ["/sned carol hi", "/usr/bin", "/quit now", " /hlep"] {
            assert!(matches!(talk.read(line), Typed::Wrong(_)), "{line:?}");
        }
        let long = "x".repeat(udpchat_core::protocol::limits::TEXT_MAX + 1);
        assert!(matches!(talk.read(&long), Typed::Wrong(_)));
        assert!(matches!(talk.read("/to"), Typed::Partner(_)));
        assert_eq!(talk.partner(), None);
        assert!(matches!(talk.read("hello"), Typed::Wrong(_)));
    }

    #[test]
    fn a_new_partner_is_told_of_as_far_as_is_known() {
        for (partner, says) in [("bob", "begin with /"), ("dave", "away"), ("zoe", "nobody")] {
            match talk(None).read(&format!("to {partner}")) {
                Typed::Partner(said) => assert!(said.contains(says), "{said}"),
                other => panic!("{partner} gives {other:?}"),
            }
        }
    }

    #[test]
    fn a_reply_goes_to_whoever_wrote_last() {
        let mut talk = talk(Some("bob"));
        assert!(matches!(talk.read("/reply hi"), Typed::Wrong(_)));
        talk.note(&message("bob"));
        talk.note(&message("carol"));
        assert_eq!(talk.read("/reply  hi"), sends("carol", " hi"));
    }

    #[test]
    fn the_latest_partner_comes_first() {
        let mut talk = talk(None);
        talk.note(&message("carol"));
        let id = MessageId { stream: StreamId(1), seq: 1 };
        talk.note(&Event::Sending { id, to: name("dave") });
        let names: Vec<&str> = talk.names().map(Name::as_str).collect();
        assert_eq!(names, ["dave", "carol", "alice", "bob"]);
    }
}
