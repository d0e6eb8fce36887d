//! The command line as clap reads it: from it come the help, the completions and the man pages.
//!
//! Knows words and their forms. The parent makes of them what is to be run.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::task::{PORT_MIN, StoreWork};

/// Where `-h` ends.
const MORE: &str = "udpchat --help has examples, the files and the environment.";

/// What `--help` and the man page have beyond the options.
const EXAMPLES: &str = "\
Examples:
  udpchat demo                           try it: alone, on a network that loses three in ten
  udpchat -s 9000                        a server
  udpchat -c alice 127.0.0.1 9000 9001   a client on the same machine, on port 9001
  udpchat -c bob chat.example.org 9000 0 a client elsewhere, on any free port
  echo 'send bob hello' | udpchat -c alice 127.0.0.1 9000 0 --json
  udpchat store export ~/.local/share/udpchat/server-9000 >backup.jsonl
  udpchat completions bash >~/.local/share/bash-completion/completions/udpchat
  udpchat man | man -l -

At a client's prompt type help for the list of commands; at a server's, stats or help.

Files:
  What outlives a process is kept in a folder of its own, server-<port> or client-<name>, in
  $UDPCHAT_DATA, or else in $XDG_DATA_HOME/udpchat, or else in ~/.local/share/udpchat.
  What is typed at a prompt is remembered in ~/.local/state/udpchat/history.

Environment (what is said on the command line goes first):
  UDPCHAT_DATA                   the folder of all nodes' folders
  XDG_DATA_HOME, XDG_STATE_HOME  where users keep data, and history
  NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM
                                 whether there are colors, and a line editor
  TZ                             the zone of the times that are shown

Signals: TERM and INT (Ctrl-C) end it; USR1 makes a server print its counters.

Exit codes:
  0  it ended as it should; of a client and a demo: every message was received or saved
  1  it could not begin or not go on, nobody reads what it prints, or not all was delivered
  2  wrong usage";

/// A UDP chat: a server that knows who is where, and clients that talk to each other directly.
#[derive(Parser)]
#[command(name = "udpchat", version, after_help = MORE, after_long_help = EXAMPLES)]
#[command(override_usage = "udpchat -s <PORT>\n       \
    udpchat -c <NAME> <SERVER> <SERVER_PORT> <CLIENT_PORT>\n       \
    udpchat <COMMAND>")]
#[command(disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Run a server on this port, 1024 to 65535
    #[arg(short, long, value_name = "PORT", value_parser = super::port, conflicts_with = "client")]
    pub(super) server: Option<u16>,
    /// Run a client: its user, the server's address or host name and port, the own port (0 = any)
    #[arg(short, long, num_args = 4)]
    #[arg(value_names = ["NAME", "SERVER", "SERVER_PORT", "CLIENT_PORT"])]
    pub(super) client: Option<Vec<String>>,
    /// Keep what outlives the process in this folder, created if missing
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(super) data: Option<PathBuf>,
    /// Keep nothing: what is in memory only is lost with the process
    #[arg(long, conflicts_with = "data")]
    pub(super) no_store: bool,
    /// One JSON object per event
    #[arg(long)]
    pub(super) json: bool,
    /// Server: how long messages are kept for readers who do not come, such as 12h; or forever
    /// [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = keep, conflicts_with = "client")]
    pub(super) keep: Option<Keep>,
    /// Server: listen on this address of this machine only [default: all interfaces]
    #[arg(long, value_name = "IP", conflicts_with = "client")]
    pub(super) bind: Option<IpAddr>,
    /// Server: serve clients of the original program as well: none (off), those on this machine
    /// (loopback), or all (on), who have no keys and can be forged [default: loopback]; client:
    /// talk to a server of the original program (on), which proves nothing [default: off]
    #[arg(long, value_name = "WHOM", hide_possible_values = true)]
    pub(super) original: Option<Originals>,
    /// Server: print no events, only answers and what goes wrong
    #[arg(short, long, conflicts_with_all = ["client", "json"])]
    pub(super) quiet: bool,
    /// Client: one line per event and no prompt, as it is through a pipe
    #[arg(long, conflicts_with_all = ["server", "json"])]
    pub(super) plain: bool,
    /// Client: colors on a terminal [default: auto, which heeds NO_COLOR and its like]
    #[arg(long, value_name = "WHEN", conflicts_with = "server")]
    pub(super) color: Option<When>,
    /// Client: do not remember what is typed from run to run
    #[arg(long, conflicts_with = "server")]
    pub(super) no_history: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Originals {
    Off,
    Loopback,
    On,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Try it: a server, you and a partner who echoes, on a bad network in this process
    Demo(Demo),
    /// Look after a store, while the server or client that it belongs to does not run
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = false)]
    Store(StoreCommand),
    /// Print the completions of a shell, for it to read
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print a man page: man -l shows it
    Man {
        /// Of this command; without it, of udpchat
        command: Vec<String>,
    },
}

#[derive(Args)]
pub(super) struct Demo {
    /// The share of datagrams that are lost, 0 to 1; those of signing in are spared
    #[arg(long, value_name = "RATE", default_value = "0.3", value_parser = rate)]
    pub(super) drop_rate: f64,
    /// The share of datagrams that come twice, 0 to 1
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = rate)]
    pub(super) dup_rate: f64,
    /// Hold each datagram back by up to so long, such as 200ms: they overtake each other
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = delay)]
    pub(super) delay: Duration,
    /// What decides which datagrams are lost [default: another one each time]
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// One line per event and no prompt, as it is through a pipe
    #[arg(long)]
    pub(super) plain: bool,
    /// Colors on a terminal [default: auto, which heeds NO_COLOR and its like]
    #[arg(long, value_name = "WHEN")]
    pub(super) color: Option<When>,
}

#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Read all of it and say whether it is sound; the exit code is 1 if it is not
    Check(StoreFolder),
    /// Say how much there is of everything
    Stats(StoreFolder),
    /// Give back room that it does not need
    Compact(StoreFolder),
    /// Write everything in it to standard output, a JSON object a line
    Export(StoreFolder),
}

impl StoreCommand {
    pub(super) fn split(self) -> (StoreWork, PathBuf) {
        match self {
            Self::Check(StoreFolder { folder }) => (StoreWork::Check, folder),
            Self::Stats(StoreFolder { folder }) => (StoreWork::Stats, folder),
            Self::Compact(StoreFolder { folder }) => (StoreWork::Compact, folder),
            Self::Export(StoreFolder { folder }) => (StoreWork::Export, folder),
        }
    }
}

#[derive(Args)]
pub(super) struct StoreFolder {
    /// The folder that the store is in
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
}

/// The shortest time for which messages are kept: whoever has just restarted is still served.
const KEEP_MIN: Duration = Duration::from_secs(60);

/// The longest delay of a demo: more would only look as if nothing worked.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// The lowest share that must get through, or a demo would show nothing but its absence.
const DROP_MAX: f64 = 0.95;

/// How long messages are kept; for ever if nothing is said.
#[derive(Clone, Copy)]
pub(super) struct Keep(pub(super) Option<Duration>);

fn keep(text: &str) -> Result<Keep, String> {
    match (text, humantime::parse_duration(text)) {
        ("forever", _) => Ok(Keep(None)),
        (_, Ok(keep)) if keep >= KEEP_MIN => Ok(Keep(Some(keep))),
        _ => Err("messages are kept for at least 1min, such as 12h or 30d, or forever".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=DROP_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("a rate is a number from 0 to {DROP_MAX}; 30 % is 0.3")),
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(delay) if delay <= DELAY_MAX => Ok(delay),
        _ => Err(format!("expected a time such as 200ms, at most {} s", DELAY_MAX.as_secs())),
    }
}

/// The lowest port is part of a help text.
const _: () = assert!(PORT_MIN == 1024, "the help of --server says so");
