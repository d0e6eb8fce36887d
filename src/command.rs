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
const HISTORY: Form = Form { usage: "history <name>", what: "what you wrote with somebody" };
const HELP: Form = Form { usage: "help", what: "this list" };
const QUIT: Form = Form { usage: "quit, or ctrl + c", what: "go offline and leave" };
const FORMS: [Form; 7] = [SEND, REG, DEREG, LIST, HISTORY, HELP, QUIT];

/// The commands, one a line.
#[must_use]
pub fn help() -> Vec<String> {
    FORMS.iter().map(|form| format!("{:<20} {}", form.usage, form.what)).collect()
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
        "send" => send(rest)?,
        "reg" => Command::Register(only_name(rest, &REG)?),
        "dereg" => Command::Deregister(only_name(rest, &DEREG)?),
        "history" => Command::History(only_name(rest, &HISTORY)?),
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

fn send(rest: &str) -> Result<Command, BadCommand> {
    let (name, text) = rest.trim_start().split_once(' ').ok_or(BadCommand::Usage(SEND.usage))?;
    if text.trim().is_empty() {
        return Err(BadCommand::Usage(SEND.usage));
    }
    if text.len() > TEXT_MAX {
        return Err(BadCommand::TooLong(text.len()));
    }
    Ok(Command::Send { to: parse_name(name)?, text: text.to_owned() })
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
            Self::Register(name) => write!(f, "reg {name}"),
            Self::Deregister(name) => write!(f, "dereg {name}"),
            Self::List => f.write_str("list"),
            Self::History(name) => write!(f, "history {name}"),
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
        for line in ["send bob hello", "reg alice", "dereg alice", "list", "history bob", "quit"] {
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
        for line in ["send", "send bob", "send bob  ", "reg", "dereg a b", "list all"] {
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
