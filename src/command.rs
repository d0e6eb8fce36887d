//! The language that a user types: at the prompt, through a pipe, and in scenario files.

use std::fmt;

use crate::client::Command;
use crate::protocol::limits::TEXT_MAX;
use crate::protocol::{BadName, Name};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Something that the client does.
    Command(Command),
    /// The list of commands, [`help`].
    Help,
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
}

/// One row of [`help`]: the form, and what it does.
struct Form {
    usage: &'static str,
    what: &'static str,
}

const SEND: Form = Form { usage: "send <name> <text>", what: "send a message" };
const REG: Form = Form { usage: "reg <your name>", what: "sign in again" };
const DEREG: Form =
    Form { usage: "dereg <your name>", what: "go offline, messages are kept for you" };
const LIST: Form = Form { usage: "list", what: "who is here" };
const HELP: Form = Form { usage: "help", what: "this list" };
const QUIT: Form = Form { usage: "quit, or ctrl + c", what: "go offline and leave" };
const SEND_ALL: Form = Form { usage: "send_all <text>", what: "send a message to everybody" };
const SEND_GROUP: Form =
    Form { usage: "send_group <group> <text>", what: "send a message to a group you are in" };
const CREATE_GROUP: Form =
    Form { usage: "create_group <group>", what: "make a group and be its first member" };
const JOIN_GROUP: Form = Form { usage: "join_group <group>", what: "become a member" };
const LEAVE_GROUP: Form =
    Form { usage: "leave_group <group>", what: "be no member; the last one ends the group" };
const LIST_GROUPS: Form = Form { usage: "list_groups", what: "which groups there are" };
const LIST_MEMBERS: Form =
    Form { usage: "list_members <group>", what: "who is in a group you are in" };
const FORMS: [Form; 13] = [
    SEND,
    SEND_ALL,
    SEND_GROUP,
    LIST,
    CREATE_GROUP,
    JOIN_GROUP,
    LEAVE_GROUP,
    LIST_GROUPS,
    LIST_MEMBERS,
    REG,
    DEREG,
    HELP,
    QUIT,
];

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
pub fn parse(line: &str) -> Result<Option<Request>, BadCommand> {
    let line = line.trim_start().trim_end_matches(['\r', '\n']);
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let command = match verb {
        "" => return Ok(None),
        "send" => {
            let (to, text) = named_text(rest, &SEND)?;
            Command::Send { to, text }
        }
        "send_all" => Command::SendAll { text: text(rest, &SEND_ALL)? },
        "send_group" => {
            let (group, text) = named_text(rest, &SEND_GROUP)?;
            Command::SendGroup { group, text }
        }
        "create_group" => Command::CreateGroup(only_name(rest, &CREATE_GROUP)?),
        "join_group" => Command::JoinGroup(only_name(rest, &JOIN_GROUP)?),
        "leave_group" => Command::LeaveGroup(only_name(rest, &LEAVE_GROUP)?),
        "list_groups" => alone(rest, &LIST_GROUPS, Command::ListGroups)?,
        "list_members" => Command::ListMembers(only_name(rest, &LIST_MEMBERS)?),
        "reg" => Command::Register(only_name(rest, &REG)?),
        "dereg" => Command::Deregister(only_name(rest, &DEREG)?),
        "list" => alone(rest, &LIST, Command::List)?,
        "quit" => alone(rest, &QUIT, Command::Finish)?,
        "ctrl" if rest.trim() == "+ c" => Command::Finish,
        "help" => {
            alone(rest, &HELP, ())?;
            return Ok(Some(Request::Help));
        }
        _ => return Err(BadCommand::Unknown(verb.to_owned())),
    };
    Ok(Some(Request::Command(command)))
}

/// A name, and behind one space a text.
fn named_text(rest: &str, form: &Form) -> Result<(Name, String), BadCommand> {
    let (name, rest) = rest.trim_start().split_once(' ').ok_or(BadCommand::Usage(form.usage))?;
    let text = text(rest, form)?;
    Ok((parse_name(name)?, text))
}

fn text(rest: &str, form: &Form) -> Result<String, BadCommand> {
    if rest.trim().is_empty() {
        return Err(BadCommand::Usage(form.usage));
    }
    if rest.len() > TEXT_MAX {
        return Err(BadCommand::TooLong(rest.len()));
    }
    Ok(rest.to_owned())
}

fn only_name(rest: &str, form: &Form) -> Result<Name, BadCommand> {
    let mut words = rest.split_whitespace();
    match (words.next(), words.next()) {
        (Some(name), None) => parse_name(name),
        _ => Err(BadCommand::Usage(form.usage)),
    }
}

fn alone<T>(rest: &str, form: &Form, value: T) -> Result<T, BadCommand> {
    if rest.trim().is_empty() { Ok(value) } else { Err(BadCommand::Usage(form.usage)) }
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
            Self::Quit | Self::Finish => f.write_str("quit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        match parse(line) {
            Ok(Some(Request::Command(command))) => command,
            other => panic!("{line:?} gives {other:?}"),
        }
    }

    #[test]
    fn commands_are_what_the_original_had_and_a_few_more() {
        for line in ["send bob hello", "reg alice", "dereg alice", "list", "quit"] {
            assert_eq!(command(line).to_string(), line);
        }
        for line in ["send_all hi all", "send_group team hi", "create_group team", "list_groups"] {
            assert_eq!(command(line).to_string(), line);
        }
        for line in ["join_group team", "leave_group team", "list_members team"] {
            assert_eq!(command(line).to_string(), line);
        }
        assert_eq!(command("ctrl + c"), Command::Finish);
        assert_eq!(parse("help"), Ok(Some(Request::Help)));
        assert_eq!(parse("  \n"), Ok(None));
    }

    #[test]
    fn a_text_keeps_its_spaces() {
        let text = "  two  spaces ".to_owned();
        let to = "bob".parse().unwrap();
        assert_eq!(command("send bob   two  spaces \r\n"), Command::Send { to, text });
    }

    #[test]
    fn wrong_lines_are_told_what_would_be_right() {
        for line in ["send", "send bob", "send bob  ", "reg", "dereg a b", "list all", "send_all "]
        {
            assert!(matches!(parse(line), Err(BadCommand::Usage(_))), "{line:?}");
        }
        assert!(matches!(parse("sned bob hi"), Err(BadCommand::Unknown(_))));
        assert!(matches!(parse("send ../etc hi"), Err(BadCommand::Name(..))));
    }

    #[test]
    fn the_longest_text_is_accepted_and_one_byte_more_is_refused() {
        let text = "é".repeat(TEXT_MAX / 2);
        assert!(matches!(command(&format!("send bob {text}")), Command::Send { .. }));
        assert_eq!(parse(&format!("send bob {text}x")), Err(BadCommand::TooLong(TEXT_MAX + 1)));
    }
}
