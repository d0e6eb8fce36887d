//! The language that a user types: at the prompt, through a pipe, and in scenario files.

use std::fmt;

use crate::client::Command;
use crate::protocol::limits::TEXT_MAX;
use crate::protocol::{BadName, Name};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRequest {
    /// Something that the client does.
    Command(Command),
    /// The list of commands, [`help`].
    Help,
}

/// What a line at a prompt asks for, where it is known who talks to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What can be asked for everywhere.
    UserRequest(UserRequest),
    /// Send this text to whoever wrote last: for whoever knows who that was.
    Reply(String),
    /// Lines go to this partner from now on, or to nobody.
    To(Option<Name>),
}

/// Why a line is no command, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    /// The first word is none of ours.
    #[error("unknown command {0:?}; type help for the list")]
    Unknown(String),
    /// The command wants other words behind it.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// A name that nobody can have.
    #[error("{0:?} is not a name: {1}")]
    Name(String, BadName),
    /// A text that is too long.
    #[error("the text has {0} bytes, at most {TEXT_MAX} can be sent; nothing was sent")]
    TooLong(usize),
    /// A command that needs a prompt, and there is none.
    #[error("{0} works at a terminal's prompt only; use send <name> <text>")]
    NoPrompt(&'static str),
}

/// A row of [`FORMS`]: all there is to know of a command.
#[derive(Debug)]
pub struct Form {
    /// Its first word.
    pub verb: &'static str,
    /// What is typed, with `<..>` where words of the user's stand.
    pub usage: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Reads what stands behind the verb.
    read: fn(&Self, &str) -> Result<Entry, BadCommand>,
}

/// Every command. [`help`], completion and [`parse`] know these and no others.
pub const FORMS: &[Form] = &[
    Form { verb: "send", usage: "send <name> <text>", what: "send a message", read: send },
    Form { verb: "reply", usage: "reply <text>", what: "answer whoever wrote last", read: reply },
    Form { verb: "to", usage: "to <name>", what: "talk to one; to alone ends it", read: to },
    Form {
        verb: "send_all",
        usage: "send_all <text>",
        what: "send a message to everybody",
        read: |form, rest| Ok(asks(Command::SendAll { text: text(rest, form.usage)? })),
    },
    Form {
        verb: "send_group",
        usage: "send_group <group> <text>",
        what: "send a message to a group you are in",
        read: send_group,
    },
    Form { verb: "list", usage: "list", what: "who is here", read: list },
    Form {
        verb: "history",
        usage: "history <name>",
        what: "what you wrote with somebody",
        read: |form, rest| Ok(asks(Command::History(only_name(rest, form)?))),
    },
    Form {
        verb: "create_group",
        usage: "create_group <group>",
        what: "make a group and be its first member",
        read: |form, rest| Ok(asks(Command::CreateGroup(only_name(rest, form)?))),
    },
    Form {
        verb: "join_group",
        usage: "join_group <group>",
        what: "become a member",
        read: |form, rest| Ok(asks(Command::JoinGroup(only_name(rest, form)?))),
    },
    Form {
        verb: "leave_group",
        usage: "leave_group <group>",
        what: "be no member; the last one ends the group",
        read: |form, rest| Ok(asks(Command::LeaveGroup(only_name(rest, form)?))),
    },
    Form {
        verb: "list_groups",
        usage: "list_groups",
        what: "which groups there are",
        read: |form, rest| alone(rest, form, asks(Command::ListGroups)),
    },
    Form {
        verb: "list_members",
        usage: "list_members <group>",
        what: "who is in a group you are in",
        read: |form, rest| Ok(asks(Command::ListMembers(only_name(rest, form)?))),
    },
    Form {
        verb: "dereg",
        usage: "dereg <your name>",
        what: "go offline, messages are kept for you",
        read: |form, rest| Ok(asks(Command::Deregister(only_name(rest, form)?))),
    },
    Form {
        verb: "reg",
        usage: "reg <your name>",
        what: "sign in again",
        read: |form, rest| Ok(asks(Command::Register(only_name(rest, form)?))),
    },
    Form { verb: "help", usage: "help", what: "this list", read: read_help },
    Form { verb: "quit", usage: QUIT, what: "go offline and leave", read: quit },
];

/// Two ways to say it; the second is the original's.
const QUIT: &str = "quit, or ctrl + c";

/// The commands, one a line.
#[must_use]
pub fn help() -> Vec<String> {
    FORMS.iter().map(|form| format!("{:<26} {}", form.usage, form.what)).collect()
}

/// Reads one line; `None` for an empty one.
///
/// # Errors
///
/// [`BadCommand`] says what is wrong and what would be right.
pub fn parse(line: &str) -> Result<Option<UserRequest>, BadCommand> {
    match parse_at_prompt(line)? {
        None => Ok(None),
        Some(Entry::UserRequest(request)) => Ok(Some(request)),
        Some(Entry::Reply(_)) => Err(BadCommand::NoPrompt("reply")),
        Some(Entry::To(_)) => Err(BadCommand::NoPrompt("to")),
    }
}

/// Reads one line that was typed at a prompt; `None` for an empty one.
///
/// # Errors
///
/// [`BadCommand`] says what is wrong and what would be right.
pub fn parse_at_prompt(line: &str) -> Result<Option<Entry>, BadCommand> {
    let line = line.trim_start().trim_end_matches(['\r', '\n']);
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    if verb.is_empty() {
        return Ok(None);
    }
    if verb == "ctrl" && rest.trim() == "+ c" {
        return Ok(Some(asks(Command::Finish)));
    }
    match FORMS.iter().find(|form| form.verb == verb) {
        Some(form) => (form.read)(form, rest).map(Some),
        None => Err(BadCommand::Unknown(verb.to_owned())),
    }
}

/// The text as a message to send, if it is one.
///
/// # Errors
///
/// It is empty (`usage` says what would not be) or too long.
pub fn text(text: &str, usage: &'static str) -> Result<String, BadCommand> {
    if text.trim().is_empty() {
        return Err(BadCommand::Usage(usage));
    }
    if text.len() > TEXT_MAX {
        return Err(BadCommand::TooLong(text.len()));
    }
    Ok(text.to_owned())
}

fn asks(command: Command) -> Entry {
    Entry::UserRequest(UserRequest::Command(command))
}

fn send(form: &Form, rest: &str) -> Result<Entry, BadCommand> {
    let (to, text) = named_text(form, rest)?;
    Ok(asks(Command::Send { to, text }))
}

fn send_group(form: &Form, rest: &str) -> Result<Entry, BadCommand> {
    let (group, text) = named_text(form, rest)?;
    Ok(asks(Command::SendGroup { group, text }))
}

/// A name, and behind one space a text.
fn named_text(form: &Form, rest: &str) -> Result<(Name, String), BadCommand> {
    let (name, rest) = rest.trim_start().split_once(' ').ok_or(BadCommand::Usage(form.usage))?;
    let text = text(rest, form.usage)?;
    Ok((parse_name(name)?, text))
}

fn reply(form: &Form, rest: &str) -> Result<Entry, BadCommand> {
    text(rest, form.usage).map(Entry::Reply)
}

fn to(form: &Form, rest: &str) -> Result<Entry, BadCommand> {
    let nobody = rest.trim().is_empty();
    let partner = if nobody { None } else { Some(only_name(rest, form)?) };
    Ok(Entry::To(partner))
}

fn list(form: &Form, rest: &str) -> Result<Entry, BadCommand> {
    alone(rest, form, asks(Command::List))
}

fn read_help(form: &Form, rest: &str) -> Result<Entry, BadCommand> {
    alone(rest, form, Entry::UserRequest(UserRequest::Help))
}

fn quit(form: &Form, rest: &str) -> Result<Entry, BadCommand> {
    alone(rest, form, asks(Command::Finish))
}

fn only_name(rest: &str, form: &Form) -> Result<Name, BadCommand> {
    let mut words = rest.split_whitespace();
    match (words.next(), words.next()) {
        (Some(name), None) => parse_name(name),
        _ => Err(BadCommand::Usage(form.usage)),
    }
}

fn alone(rest: &str, form: &Form, entry: Entry) -> Result<Entry, BadCommand> {
    if rest.trim().is_empty() { Ok(entry) } else { Err(BadCommand::Usage(form.usage)) }
}

fn parse_name(word: &str) -> Result<Name, BadCommand> {
    word.parse().map_err(|why| BadCommand::Name(word.to_owned(), why))
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to, text } => write!(f, "send {to} {text}"),
            Self::SendAll { text } => write!(f, "send_all {text}"),
            Self::SendGroup { group, text } => write!(f, "send_group {group} {text}"),
            Self::CreateGroup(group) => write!(f, "create_group {group}"),
            Self::JoinGroup(group) => write!(f, "join_group {group}"),
            Self::LeaveGroup(group) => write!(f, "leave_group {group}"),
            Self::ListGroups => f.write_str("list_groups"),
            Self::ListMembers(group) => write!(f, "list_members {group}"),
            Self::Register(name) => write!(f, "reg {name}"),
            Self::Deregister(name) => write!(f, "dereg {name}"),
            Self::List => f.write_str("list"),
            Self::History(name) => write!(f, "history {name}"),
            Self::Quit | Self::Finish => f.write_str("quit"),
            // Nobody types it.
            Self::ServerAddresses(addrs) => write!(f, "the server is at {addrs:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        match parse(line) {
            Ok(Some(UserRequest::Command(command))) => command,
            other => panic!("{line:?} gives {other:?}"),
        }
    }

    #[test]
    fn commands_are_what_the_original_had_and_a_few_more() {
        for line in ["send bob hello", "reg alice", "dereg alice", "list", "history bob", "quit"] {
            assert_eq!(command(line).to_string(), line);
        }
        for line in ["send_all hi all", "send_group team hi", "create_group team", "list_groups"] {
            assert_eq!(command(line).to_string(), line);
        }
        for line in ["join_group team", "leave_group team", "list_members team"] {
            assert_eq!(command(line).to_string(), line);
        }
        assert_eq!(command("ctrl + c"), Command::Finish);
        assert_eq!(parse("help"), Ok(Some(UserRequest::Help)));
        assert_eq!(parse("  \n"), Ok(None));
    }

    #[test]
    fn a_prompt_knows_whom_one_talks_to_and_a_pipe_does_not() {
        let bob = || Some("bob".parse().unwrap());
        for (line, entry) in [
            ("reply  hi", Entry::Reply(" hi".to_owned())),
            ("to bob ", Entry::To(bob())),
            ("to", Entry::To(None)),
        ] {
            assert_eq!(parse_at_prompt(line), Ok(Some(entry)));
            assert!(matches!(parse(line), Err(BadCommand::NoPrompt(_))), "{line:?}");
        }
    }

    #[test]
    fn a_text_keeps_its_spaces() {
        let text = "  two  spaces ".to_owned();
        let to = "bob".parse().unwrap();
        assert_eq!(command("send bob   two  spaces \r\n"), Command::Send { to, text });
    }

    #[test]
    fn wrong_lines_are_told_what_would_be_right() {
        for line in
            ["send", "send bob", "send bob  ", "reg", "dereg a b", "list all", "reply", "to a b"]
        {
            assert!(matches!(parse(line), Err(BadCommand::Usage(_))), "{line:?}");
        }
        assert!(matches!(parse("sned bob hi"), Err(BadCommand::Unknown(_))));
        assert!(matches!(parse("send ../etc hi"), Err(BadCommand::Name(..))));
    }

    #[test]
    fn every_command_begins_with_its_verb_and_stands_once_in_the_table() {
        for form in FORMS {
            assert!(form.usage.starts_with(form.verb), "{form:?}");
            assert_eq!(FORMS.iter().filter(|other| other.verb == form.verb).count(), 1);
            assert!(!matches!(parse(form.verb), Err(BadCommand::Unknown(_))), "{form:?}");
        }
        assert_eq!(help().len(), FORMS.len());
    }

    #[test]
    fn the_longest_text_is_accepted_and_one_byte_more_is_refused() {
        let text = "é".repeat(TEXT_MAX / 2);
        assert!(matches!(command(&format!("send bob {text}")), Command::Send { .. }));
        assert_eq!(parse(&format!("send bob {text}x")), Err(BadCommand::TooLong(TEXT_MAX + 1)));
    }
}
