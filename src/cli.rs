//! The command line: what can be asked for, and one line about what is wrong with it.
//!
//! Knows the forms of arguments only. It opens no socket, resolves no name and prints nothing.

mod arguments;
mod manual;
mod task;

use std::ffi::OsString;

use anstream::ColorChoice;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use udpchat_core::server::Guests;
use udpchat_core::server::timing::KEEP;

use arguments::{Arguments, Command, Demo, Originals, When};
pub use task::{
    ClientOptions, Data, DemoOptions, PORT_MIN, Rates, ServerOptions, ServerStyle, StoreOptions,
    StoreWork, Style, Task,
};

/// The exit code of a wrong command line; a failure is 1, success 0.
pub const EXIT_USAGE: u8 = 2;

/// The exit code of what could not begin, not go on, or is not complete.
pub const EXIT_FAILURE: u8 = 1;

const FORMS: &str = "udpchat -s <port>, udpchat -c <name> <server> <server-port> <client-port>, \
    or udpchat <demo|store|completions|man>; udpchat --help has examples";

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
        Some(Command::Demo(demo)) => Ok(Task::Demo(demo_options(&demo))),
        Some(Command::Store(command)) => {
            let (work, folder) = command.split();
            Ok(Task::Store(StoreOptions { work, folder }))
        }
        Some(Command::Completions { shell }) => {
            Err(NoTask::Answer(manual::completions(Arguments::command(), shell)))
        }
        Some(Command::Man { command }) => Err(manual::page(Arguments::command(), &command)
            .map_or_else(
                || {
                    let command = command.join(" ");
                    NoTask::Wrong(format!("there is no command {command:?}; usage: {FORMS}"))
                },
                NoTask::Answer,
            )),
        None => node(arguments),
    }
}

fn demo_options(demo: &Demo) -> DemoOptions {
    DemoOptions {
        rates: Rates { drop: demo.drop_rate, duplicate: demo.dup_rate, delay: demo.delay },
        seed: demo.seed,
        style: demo.plain.then_some(Style::Plain),
        color: color(demo.color),
    }
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
            keep: arguments.keep.map_or(Some(KEEP), |keep| keep.0),
            bind: arguments.bind,
            original: match arguments.original {
                Some(Originals::Off) => Guests::Off,
                Some(Originals::Loopback) | None => Guests::Loopback,
                Some(Originals::On) => Guests::On,
            },
            style: match (arguments.quiet, arguments.json) {
                (_, true) => ServerStyle::Json,
                (true, false) => ServerStyle::Quiet,
                (false, false) => ServerStyle::Lines,
            },
            data,
        }));
    }
    let values = arguments.client.unwrap_or_default();
    let [name, host, server_port, client_port] = &values[..] else {
        return Err(NoTask::Wrong(format!("it is not said what to run; usage: {FORMS}")));
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
        color: color(arguments.color),
        history: !arguments.no_history,
        original: match arguments.original {
            Some(Originals::Off) | None => false,
            Some(Originals::On) => true,
            Some(Originals::Loopback) => {
                return Err(NoTask::Wrong(
                    "--original of a client is on or off: whether its server may be the original"
                        .to_owned(),
                ));
            }
        },
        data,
    }))
}

const fn color(when: Option<When>) -> ColorChoice {
    match when {
        None | Some(When::Auto) => ColorChoice::Auto,
        Some(When::Always) => ColorChoice::Always,
        Some(When::Never) => ColorChoice::Never,
    }
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
    use std::time::Duration;

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
        let server = ServerOptions {
            port: 9000,
            keep: Some(KEEP),
            bind: None,
            original: Guests::Loopback,
            style: ServerStyle::Lines,
            data: Data::Usual,
        };
        assert_eq!(parsed("-s 9000"), Ok(Task::Server(server.clone())));
        let bind = Some("::1".parse().unwrap());
        let server =
            ServerOptions { bind, original: Guests::Off, data: Data::Folder("d".into()), ..server };
        for (word, style) in [("--json", ServerStyle::Json), ("-q", ServerStyle::Quiet)] {
            let server = ServerOptions { style, ..server.clone() };
            let line = format!("{word} --data d --bind ::1 -s 9000 --original off");
            assert_eq!(parsed(&line), Ok(Task::Server(server)));
        }
        assert_eq!(parsed("--data d --bind ::1 -s 9000 --original off"), Ok(Task::Server(server)));
        let client = ClientOptions {
            name: "alice".parse().unwrap(),
            host: "::1".to_owned(),
            server_port: 9000,
            port: 0,
            style: None,
            color: ColorChoice::Auto,
            history: true,
            original: false,
            data: Data::Usual,
        };
        assert_eq!(parsed("-c alice ::1 9000 0"), Ok(Task::Client(client.clone())));
        let client = ClientOptions { style: Some(Style::Json), port: 65535, ..client };
        assert_eq!(parsed("-c alice ::1 9000 65535 --json"), Ok(Task::Client(client.clone())));
        let color = ColorChoice::Never;
        let plain = ClientOptions { style: None, color, history: false, ..client.clone() };
        let line = "-c alice ::1 9000 65535 --color never --no-history";
        assert_eq!(parsed(line), Ok(Task::Client(plain)));
        let original = ClientOptions { original: true, ..client.clone() };
        let line = "-c alice ::1 9000 65535 --json --original on";
        assert_eq!(parsed(line), Ok(Task::Client(original)));
        let client = ClientOptions { data: Data::Nowhere, ..client };
        assert_eq!(parsed("--no-store --json -c alice ::1 9000 65535"), Ok(Task::Client(client)));
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
            ("", "it is not said what to run"),
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
            ("-c alice ::1 9000 0 --plain --json", "cannot be used with"),
            ("-s 9000 --plain", "cannot be used with"),
            ("-s 9000 --json --quiet", "cannot be used with"),
            ("-c alice ::1 9000 0 --quiet", "cannot be used with"),
            ("demo --drop-rate 30", "0.3"),
            ("demo --drop-rate=-1", "0 to 0.95"),
            ("demo --delay 5", "such as 200ms"),
            ("demo --delay 1h", "at most 5 s"),
            ("demo hello", "unexpected argument 'hello'"),
            ("completions", "not provided"),
            ("completions klingon", "bash"),
            ("man mend", "there is no command \"mend\""),
            ("-c alice ::1 9000 0 --color red", "auto, always, never"),
            ("-s 9000 --original maybe", "off, loopback, on"),
            ("-c alice ::1 9000 0 --original loopback", "is on or off"),
            ("-s 9000 --bind nowhere", "invalid IP address"),
            ("-s 9000 --data d --no-store", "cannot be used with"),
            ("store", "check, stats, compact, export"),
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

    fn answer(line: &str) -> String {
        match parsed(line) {
            Err(NoTask::Answer(text)) => text,
            other => panic!("{line:?} gives {other:?}"),
        }
    }

    #[test]
    fn help_is_short_or_has_examples_and_version_the_version() {
        assert!(answer("--help").contains("udpchat -c alice 127.0.0.1 9000 9001"));
        assert!(!answer("-h").contains("Examples:") && answer("-h").contains("--help has"));
        assert!(answer("demo -h").contains("--drop-rate"));
        assert_eq!(answer("--version"), concat!("udpchat ", env!("CARGO_PKG_VERSION"), "\n"));
    }

    #[test]
    fn a_demo_is_a_network_of_its_own() {
        let rates = Rates { drop: 0.3, duplicate: 0.0, delay: Duration::ZERO };
        let demo = DemoOptions { rates, seed: None, style: None, color: ColorChoice::Auto };
        assert_eq!(parsed("demo"), Ok(Task::Demo(demo.clone())));
        let rates = Rates { drop: 0.0, duplicate: 0.5, delay: Duration::from_millis(200) };
        let (seed, style) = (Some(7), Some(Style::Plain));
        let demo = DemoOptions { rates, seed, style, color: ColorChoice::Never };
        let line = "demo --drop-rate 0 --dup-rate 0.5 --delay 200ms --seed 7 --plain --color never";
        assert_eq!(parsed(line), Ok(Task::Demo(demo)));
    }

    /// Every option and command that there is.
    fn words(command: &clap::Command) -> Vec<String> {
        let long = command.get_arguments().filter_map(clap::Arg::get_long);
        let mut words: Vec<String> = long.map(|long| format!("--{long}")).collect();
        for command in command.get_subcommands() {
            words.push(command.get_name().to_owned());
            words.extend(self::words(command));
        }
        words
    }

    #[test]
    fn completions_know_every_word() {
        let words = words(&Arguments::command());
        assert!(words.contains(&"--drop-rate".to_owned()) && words.contains(&"compact".to_owned()));
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let text = answer(&format!("completions {shell}"));
            // Fish has options without the dashes.
            let bare = |word: &str| word.trim_start_matches('-').to_owned();
            let missing: Vec<_> = words.iter().filter(|word| !text.contains(&bare(word))).collect();
            assert!(missing.is_empty(), "{shell}: {missing:?}");
        }
    }

    #[test]
    fn man_pages_have_every_option_of_their_command() {
        let command = Arguments::command();
        for (line, command) in [
            ("man", &command),
            ("man demo", command.find_subcommand("demo").unwrap()),
            ("man store", command.find_subcommand("store").unwrap()),
        ] {
            let text = answer(line).replace('\\', "");
            assert!(text.contains(".TH udpchat"), "{line}");
            for long in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(text.contains(&format!("--{long}")), "{line}: {long}");
            }
        }
        assert!(answer("man").contains("Exit codes"));
        assert!(answer("man store check").contains("DIR"));
    }
}
