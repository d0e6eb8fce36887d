//! The command line: what can be asked for, and one line about what is wrong with it.
//!
//! Knows the forms of arguments only. It opens no socket, resolves no name and prints nothing.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};

use crate::protocol::Name;
use crate::server::timing::KEEP;

/// The exit code of a wrong command line; a failure is 1, success 0.
pub const EXIT_USAGE: u8 = 2;

/// The shortest time for which messages are kept: whoever has just restarted is still served.
pub const KEEP_MIN: Duration = Duration::from_secs(60);

/// The lowest port that can be asked for: the original's, and none below it is free for all.
pub const PORT_MIN: u16 = 1024;

const FORMS: &str = "udpchat -s <port>, or udpchat -c <name> <server> <server-port> <client-port>";

const EXAMPLES: &str = "\
Examples:
  udpchat -s 9000                        a server
  udpchat -c alice 127.0.0.1 9000 9001   a client on the same machine, on port 9001
  udpchat -c bob chat.example.org 9000 0 a client elsewhere, on any free port
  echo 'send bob hello' | udpchat -c alice 127.0.0.1 9000 0 --json

A client's exit code is 0 if every message was received or saved, else 1. 2 is wrong usage.
On a terminal type help for the list of commands.";

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// A server.
    Server(ServerOptions),
    /// A client.
    Client(ClientOptions),
}

/// A server as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Its port.
    pub port: u16,
    /// How long it keeps messages for readers who do not come; for ever if nothing is said.
    pub keep: Option<Duration>,
    /// Its address, none for all interfaces.
    pub bind: Option<IpAddr>,
    /// Whether clients of the original's dialect are served.
    pub original: bool,
    /// Where it keeps what outlives it.
    pub data: Option<PathBuf>,
}

/// A client as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The user.
    pub name: Name,
    /// The server's host: an address or a name to be resolved.
    pub host: String,
    /// The server's port.
    pub server_port: u16,
    /// The own port, 0 for any free one.
    pub port: u16,
    /// How to talk to the user, if it was said.
    pub style: Option<Style>,
    /// Where it keeps what outlives it.
    pub data: Option<PathBuf>,
}

/// A client's interface when it is not a person's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line per event.
    Plain,
    /// A JSON object per event.
    Json,
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTask {
    /// It was asked for help or the version: this text is the answer.
    #[error("{0}")]
    Answer(String),
    /// The command line is wrong: one line that says why.
    #[error("{0}")]
    Wrong(String),
}

/// A UDP chat: a server that knows who is where, and clients that talk to each other directly.
#[derive(Parser)]
#[command(name = "udpchat", version, after_help = EXAMPLES)]
#[command(override_usage = "udpchat -s <PORT>\n       \
    udpchat -c <NAME> <SERVER> <SERVER_PORT> <CLIENT_PORT>")]
struct Arguments {
    /// Run a server on this port, 1024 to 65535
    #[arg(short, long, value_name = "PORT", value_parser = port, conflicts_with = "client")]
    server: Option<u16>,
    /// Run a client: its user, the server's address or host name and port, the own port (0 = any)
    #[arg(short, long, num_args = 4)]
    #[arg(value_names = ["NAME", "SERVER", "SERVER_PORT", "CLIENT_PORT"])]
    client: Option<Vec<String>>,
    /// Keep what outlives the process in this directory, created if missing
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Server: how long messages are kept for readers who do not come, such as 12h; or forever
    /// [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = keep, conflicts_with = "client")]
    keep: Option<Keep>,
    /// Server: listen on this address of this machine only [default: all interfaces]
    #[arg(long, value_name = "IP", conflicts_with = "client")]
    bind: Option<IpAddr>,
    /// Server: serve clients of the original program as well [default: on]
    #[arg(long, value_name = "ON|OFF", hide_possible_values = true, conflicts_with = "client")]
    original: Option<Switch>,
    /// Client: one line per event and no prompt, as it is through a pipe
    #[arg(long, conflicts_with_all = ["server", "json"])]
    plain: bool,
    /// Client: one JSON object per event
    #[arg(long, conflicts_with = "server")]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Reads the command line; the first word is the program.
///
/// # Errors
///
/// [`NoTask`] says what to print instead of running something.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Task, NoTask> {
    let arguments = Arguments::try_parse_from(words).map_err(|error| refuse(&error))?;
    if let Some(port) = arguments.server {
        return Ok(Task::Server(ServerOptions {
            port,
            keep: arguments.keep.map_or(Some(KEEP), |keep| keep.0),
            bind: arguments.bind,
            original: arguments.original != Some(Switch::Off),
            data: arguments.data,
        }));
    }
    let values = arguments.client.unwrap_or_default();
    let [name, host, server_port, client_port] = &values[..] else {
        return Err(NoTask::Wrong(format!("neither -s nor -c is given; usage: {FORMS}")));
    };
    Ok(Task::Client(ClientOptions {
        name: name.parse().map_err(|why| NoTask::Wrong(format!("{name:?} is no name: {why}")))?,
        host: host.clone(),
        server_port: port(server_port).map_err(|why| wrong_port("server", server_port, &why))?,
        port: client_port_or_any(client_port)
            .map_err(|why| wrong_port("client", client_port, &why))?,
        style: match (arguments.plain, arguments.json) {
            (_, true) => Some(Style::Json),
            (true, false) => Some(Style::Plain),
            (false, false) => None,
        },
        data: arguments.data,
    }))
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port >= PORT_MIN => Ok(port),
        _ => Err(format!("a port is a number from {PORT_MIN} to {}", u16::MAX)),
    }
}

/// How long messages are kept; for ever if nothing is said.
#[derive(Clone, Copy)]
struct Keep(Option<Duration>);

fn keep(text: &str) -> Result<Keep, String> {
    match (text, humantime::parse_duration(text)) {
        ("forever", _) => Ok(Keep(None)),
        (_, Ok(keep)) if keep >= KEEP_MIN => Ok(Keep(Some(keep))),
        _ => Err("messages are kept for at least 1min, such as 12h or 30d, or forever".to_owned()),
    }
}

fn client_port_or_any(text: &str) -> Result<u16, String> {
    match text {
        "0" => Ok(0),
        _ => port(text).map_err(|why| format!("{why}, or 0 for any free one")),
    }
}

fn wrong_port(whose: &str, text: &str, why: &str) -> NoTask {
    NoTask::Wrong(format!("{text:?} is no {whose} port: {why}"))
}

/// Cuts clap's paragraphs down to one line.
fn refuse(error: &clap::Error) -> NoTask {
    let text = error.to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return NoTask::Answer(text);
    }
    let paragraph = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let line = paragraph.collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    NoTask::Wrong(format!("{line}; usage: {FORMS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, NoTask> {
        parse(["udpchat"].into_iter().chain(line.split_whitespace()).map(OsString::from))
    }

    fn wrong(line: &str) -> String {
        match parsed(line) {
            Err(NoTask::Wrong(why)) => why,
            other => panic!("{line:?} gives {other:?}"),
        }
    }

    #[test]
    fn messages_are_kept_for_as_long_as_is_said() {
        let kept = |words: &str| match parsed(words) {
            Ok(Task::Server(options)) => options.keep,
            other => panic!("{words} gives {other:?}"),
        };
        assert_eq!(kept("-s 9000"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(kept("-s 9000 --keep 12h"), Some(Duration::from_secs(43_200)));
        assert_eq!(kept("-s 9000 --keep forever"), None);
        for wrong in ["-s 9000 --keep 1s", "-s 9000 --keep long", "-c a b 9000 0 --keep 1d"] {
            assert!(matches!(parsed(wrong), Err(NoTask::Wrong(_))), "{wrong}");
        }
    }

    #[test]
    fn the_originals_forms_are_understood() {
        let server =
            ServerOptions { port: 9000, keep: Some(KEEP), bind: None, original: true, data: None };
        assert_eq!(parsed("-s 9000"), Ok(Task::Server(server.clone())));
        let bind = Some("::1".parse().unwrap());
        let server = ServerOptions { bind, original: false, data: Some("d".into()), ..server };
        assert_eq!(parsed("--data d --bind ::1 -s 9000 --original off"), Ok(Task::Server(server)));
        let client = ClientOptions {
            name: "alice".parse().unwrap(),
            host: "::1".to_owned(),
            server_port: 9000,
            port: 0,
            style: None,
            data: None,
        };
        assert_eq!(parsed("-c alice ::1 9000 0"), Ok(Task::Client(client.clone())));
        let client = ClientOptions { style: Some(Style::Json), port: 65535, ..client };
        assert_eq!(parsed("-c alice ::1 9000 65535 --json"), Ok(Task::Client(client)));
    }

    #[test]
    fn wrong_usage_is_one_line_that_says_what_would_be_right() {
        for (line, says) in [
            ("", "usage: udpchat -s <port>"),
            ("-s", "a value is required"),
            ("-s 80", "1024 to 65535"),
            ("-s 65536", "1024 to 65535"),
            ("-s nine", "1024 to 65535"),
            ("-s 9000 more", "unexpected argument 'more'"),
            ("-c alice ::1 9000", "4 values required"),
            ("-c alice ::1 9000 0 more", "unexpected argument 'more'"),
            ("-c 2fast ::1 9000 0", "begins with a letter"),
            ("-c alice ::1 0 0", "no server port: a port is a number from 1024 to 65535"),
            ("-c alice ::1 9000 -1", "usage:"),
            ("-c alice ::1 9000 80", "1024 to 65535, or 0"),
            ("-c alice ::1 9000 0 -s 9000", "cannot be used with"),
            ("-c alice ::1 9000 0 --bind ::1", "cannot be used with"),
            ("-c alice ::1 9000 0 --original on", "cannot be used with"),
            ("-c alice ::1 9000 0 --plain --json", "cannot be used with"),
            ("-s 9000 --json", "cannot be used with"),
            ("-s 9000 --original maybe", "on, off"),
            ("-s 9000 --bind nowhere", "invalid IP address"),
            ("--frobnicate", "unexpected argument"),
        ] {
            let why = wrong(line);
            assert!(why.contains(says), "{line:?} gives {why:?}");
            assert!(!why.contains('\n'), "{line:?} gives {why:?}");
        }
    }

    #[test]
    fn help_has_examples_and_version_the_version() {
        let answer = |line| match parsed(line) {
            Err(NoTask::Answer(text)) => text,
            other => panic!("{line:?} gives {other:?}"),
        };
        for line in ["-h", "--help"] {
            assert!(answer(line).contains("udpchat -c alice 127.0.0.1 9000 9001"));
        }
        assert_eq!(answer("--version"), concat!("udpchat ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}
