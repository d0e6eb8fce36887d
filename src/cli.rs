//! The command line: what can be asked for, and one line about what is wrong with it.
//!
//! Knows the forms of arguments only. It opens no socket, resolves no name and prints nothing.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};

use crate::protocol::Name;

/// The exit code of a wrong command line; a failure is 1, success 0.
pub const EXIT_USAGE: u8 = 2;

/// The lowest port that can be asked for: the original's, and none below it is free for all.
pub const PORT_MIN: u16 = 1024;

const FORMS: &str = "udpchat -s <port>, udpchat -c <name> <server> <server-port> <client-port>, \
    or udpchat store <check|stats|compact|export> <dir>";

const EXAMPLES: &str = "\
Examples:
  udpchat -s 9000                        a server
  udpchat -c alice 127.0.0.1 9000 9001   a client on the same machine, on port 9001
  udpchat -c bob chat.example.org 9000 0 a client elsewhere, on any free port
  echo 'send bob hello' | udpchat -c alice 127.0.0.1 9000 0 --json
  udpchat store export ~/.local/share/udpchat/server-9000 >backup.jsonl

What outlives a process is kept in a folder: server-<port> or client-<name>, in
$XDG_DATA_HOME/udpchat, or else in ~/.local/share/udpchat.

A client's exit code is 0 if every message was received or saved, else 1. 2 is wrong usage.
On a terminal type help for the list of commands.";

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// A server.
    Server(ServerOptions),
    /// A client.
    Client(ClientOptions),
    /// Work on the store of a node that does not run.
    Store(StoreOptions),
}

/// Where a node keeps what outlives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In a folder of its own in the user's data folder.
    Usual,
    /// In this folder.
    Folder(PathBuf),
    /// In memory only: nothing outlives it.
    Nowhere,
}

/// A server as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Its port.
    pub port: u16,
    /// Its address, none for all interfaces.
    pub bind: Option<IpAddr>,
    /// Whether clients of the original's dialect are served.
    pub original: bool,
    /// Where it keeps what outlives it.
    pub data: Data,
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
    /// Whether there are colours on a terminal.
    pub color: ColorChoice,
    /// Whether lines typed at a terminal are remembered from run to run.
    pub history: bool,
    /// Where it keeps what outlives it.
    pub data: Data,
}

/// What to do with a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// What.
    pub work: StoreWork,
    /// The folder that it is in.
    pub folder: PathBuf,
}

/// Something that can be done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreWork {
    /// Read all of it and say whether it is sound.
    Check,
    /// Say how much there is of everything.
    Stats,
    /// Give back room that it does not need.
    Compact,
    /// Write every row as a line of JSON.
    Export,
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
    udpchat -c <NAME> <SERVER> <SERVER_PORT> <CLIENT_PORT>\n       \
    udpchat store <check|stats|compact|export> <DIR>")]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run a server on this port, 1024 to 65535
    #[arg(short, long, value_name = "PORT", value_parser = port, conflicts_with = "client")]
    server: Option<u16>,
    /// Run a client: its user, the server's address or host name and port, the own port (0 = any)
    #[arg(short, long, num_args = 4)]
    #[arg(value_names = ["NAME", "SERVER", "SERVER_PORT", "CLIENT_PORT"])]
    client: Option<Vec<String>>,
    /// Keep what outlives the process in this folder, created if missing
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep nothing: what is in memory only is lost with the process
    #[arg(long, conflicts_with = "data")]
    no_store: bool,
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
    /// Client: colors on a terminal [default: auto, which heeds NO_COLOR and its like]
    #[arg(long, value_name = "WHEN", conflicts_with = "server")]
    color: Option<When>,
    /// Client: do not remember what is typed from run to run
    #[arg(long, conflicts_with = "server")]
    no_history: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
enum Command {
    /// Look after a store, while the server or client that it belongs to does not run
    #[command(subcommand, disable_help_subcommand = true)]
    Store(StoreCommand),
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Read all of it and say whether it is sound; the exit code is 1 if it is not
    Check(StoreFolder),
    /// Say how much there is of everything
    Stats(StoreFolder),
    /// Give back room that it does not need
    Compact(StoreFolder),
    /// Write everything in it to standard output, a JSON object a line
    Export(StoreFolder),
}

#[derive(clap::Args)]
struct StoreFolder {
    /// The folder that the store is in
    #[arg(value_name = "DIR")]
    folder: PathBuf,
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
    let words: Vec<OsString> = words.into_iter().collect();
    let arguments = Arguments::try_parse_from(&words).map_err(|error| refuse(&error))?;
    match arguments.command {
        // clap would take what only a node has, and what is no command for one that goes with it.
        Some(_) if words.get(1).is_some_and(|word| word.to_string_lossy().starts_with('-')) => {
            Err(NoTask::Wrong(format!(
                "the options before it cannot be used with a subcommand; usage: {FORMS}"
            )))
        }
        Some(Command::Store(command)) => Ok(Task::Store(store_options(command))),
        None => node(arguments),
    }
}

fn store_options(command: StoreCommand) -> StoreOptions {
    let (work, StoreFolder { folder }) = match command {
        StoreCommand::Check(folder) => (StoreWork::Check, folder),
        StoreCommand::Stats(folder) => (StoreWork::Stats, folder),
        StoreCommand::Compact(folder) => (StoreWork::Compact, folder),
        StoreCommand::Export(folder) => (StoreWork::Export, folder),
    };
    StoreOptions { work, folder }
}

/// The server or client that is asked for.
fn node(arguments: Arguments) -> Result<Task, NoTask> {
    let data = match arguments.data {
        _ if arguments.no_store => Data::Nowhere,
        Some(folder) => Data::Folder(folder),
        None => Data::Usual,
    };
    if let Some(port) = arguments.server {
        return Ok(Task::Server(ServerOptions {
            port,
            bind: arguments.bind,
            original: arguments.original != Some(Switch::Off),
            data,
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
        color: match arguments.color {
            None | Some(When::Auto) => ColorChoice::Auto,
            Some(When::Always) => ColorChoice::Always,
            Some(When::Never) => ColorChoice::Never,
        },
        history: !arguments.no_history,
        data,
    }))
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port >= PORT_MIN => Ok(port),
        _ => Err(format!("a port is a number from {PORT_MIN} to {}", u16::MAX)),
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
    fn the_originals_forms_are_understood() {
        let server = ServerOptions { port: 9000, bind: None, original: true, data: Data::Usual };
        assert_eq!(parsed("-s 9000"), Ok(Task::Server(server.clone())));
        let bind = Some("::1".parse().unwrap());
        let server =
            ServerOptions { bind, original: false, data: Data::Folder("d".into()), ..server };
        assert_eq!(parsed("--data d --bind ::1 -s 9000 --original off"), Ok(Task::Server(server)));
        let client = ClientOptions {
            name: "alice".parse().unwrap(),
            host: "::1".to_owned(),
            server_port: 9000,
            port: 0,
            style: None,
            color: ColorChoice::Auto,
            history: true,
            data: Data::Usual,
        };
        assert_eq!(parsed("-c alice ::1 9000 0"), Ok(Task::Client(client.clone())));
        let client = ClientOptions { style: Some(Style::Json), port: 65535, ..client };
        assert_eq!(parsed("-c alice ::1 9000 65535 --json"), Ok(Task::Client(client.clone())));
        let client = ClientOptions { data: Data::Nowhere, ..client };
        assert_eq!(
            parsed("--no-store --json -c alice ::1 9000 65535"),
            Ok(Task::Client(client.clone()))
        );
        let color = ColorChoice::Never;
        let client = ClientOptions { style: None, color, history: false, ..client };
        let line = "-c alice ::1 9000 65535 --color never --no-history";
        assert_eq!(parsed(line), Ok(Task::Client(client)));
    }

    #[test]
    fn stores_are_looked_after() {
        for (word, work) in [
            ("check", StoreWork::Check),
            ("stats", StoreWork::Stats),
            ("compact", StoreWork::Compact),
            ("export", StoreWork::Export),
        ] {
            let options = StoreOptions { work, folder: "there".into() };
            assert_eq!(parsed(&format!("store {word} there")), Ok(Task::Store(options)));
        }
    }

    #[test]
    fn wrong_usage_is_one_line_that_says_what_would_be_right() {
        for (line, says) in [
            ("", "usage: udpchat -s <port>"),
            ("-s", "a value is required"),
            ("-s 80", "1024 to 65535"),
            ("-s 65536", "1024 to 65535"),
            ("-s nine", "1024 to 65535"),
            ("-s 9000 more", "unrecognized subcommand 'more'"),
            ("-c alice ::1 9000", "4 values required"),
            ("-c alice ::1 9000 0 more", "unrecognized subcommand 'more'"),
            ("-c 2fast ::1 9000 0", "begins with a letter"),
            ("-c alice ::1 0 0", "no server port: a port is a number from 1024 to 65535"),
            ("-c alice ::1 9000 -1", "usage:"),
            ("-c alice ::1 9000 80", "1024 to 65535, or 0"),
            ("-c alice ::1 9000 0 -s 9000", "cannot be used with"),
            ("-c alice ::1 9000 0 --bind ::1", "cannot be used with"),
            ("-c alice ::1 9000 0 --original on", "cannot be used with"),
            ("-c alice ::1 9000 0 --plain --json", "cannot be used with"),
            ("-s 9000 --json", "cannot be used with"),
            ("-c alice ::1 9000 0 --color red", "auto, always, never"),
            ("-s 9000 --original maybe", "on, off"),
            ("-s 9000 --bind nowhere", "invalid IP address"),
            ("-s 9000 --data d --no-store", "cannot be used with"),
            ("store", "udpchat store <check|stats|compact|export> <dir>"),
            ("store check", "not provided"),
            ("store mend there", "unrecognized subcommand 'mend'"),
            ("-s 9000 store check there", "cannot be used with"),
            ("--json store check there", "cannot be used with"),
            ("store check there --json", "unexpected argument '--json'"),
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
