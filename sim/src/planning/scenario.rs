//! Scenario files: one run as a person writes it, docs/scenario.md.
//!
//! Knows the form and what is sensible; [`Scenario::plan`] turns it into what engines run.

mod disk;
mod form;
mod plan;
mod text;
mod trick;
mod write;

use std::fmt;
use std::time::Duration;

use crate::faults::bugs::Bug;
use udpchat_core::protocol::Name;

use crate::faults::disk::{DiskFault, Operation};
use crate::faults::fate::{Fault, Target};
use crate::naming::label::HostName;
use crate::planning::moves::Trick;
use crate::planning::plan::{DiskSpeed, Folder};

/// A scenario as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub about: String,
    /// Decides everything that is random.
    pub seed: u64,
    /// A bug that is planted in every machine: the file shows what it does.
    pub bug: Option<Bug>,
    /// How long commits take.
    pub disk: DiskSpeed,
    /// Datagrams of more bytes are lost.
    pub mtu: Option<usize>,
    /// How long the server keeps messages, if not for 30 days.
    pub mail: Option<Duration>,
    /// Hosts with two addresses.
    pub two_addresses: Vec<HostName>,
    /// Whether everything must have settled in the end.
    pub settles: bool,
    /// What is done, in order of time.
    pub steps: Vec<Step>,
    /// When it ends.
    pub until: Duration,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// What.
    pub verb: Verb,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A host's program starts for the first time.
    Start {
        /// Which host.
        host: HostName,
        /// Its user, if not called like the host.
        user: Option<Name>,
        /// Its port, if not the usual one.
        port: Option<u16>,
    },
    /// A program starts again, with what its store holds.
    Restart {
        /// Which host.
        host: HostName,
        /// Its port, if not the one before.
        port: Option<u16>,
    },
    /// A program is killed.
    Crash {
        /// Which host.
        host: HostName,
    },
    /// A user types.
    Type {
        /// At which host.
        host: HostName,
        /// A line.
        line: String,
    },
    /// A program stands still.
    Pause {
        /// Which host.
        host: HostName,
        /// For how long.
        lasts: Duration,
    },
    /// A host's calendar clock is set.
    Clock {
        /// Which host.
        host: HostName,
        /// By so many milliseconds.
        by_ms: i64,
    },
    /// A host's calendar clock goes wrong from now on.
    Drift {
        /// Which host.
        host: HostName,
        /// What it gains, in millionths; 0: it is right again.
        ppm: i64,
    },
    /// A fault for certain datagrams.
    Fault {
        /// Which datagrams.
        target: Target,
        /// What happens to them.
        fault: Fault,
    },
    /// Something goes wrong with a host's disk.
    Disk {
        /// Which host.
        host: HostName,
        /// At which kind of operation.
        kind: Operation,
        /// At which of them, counted from the step's time on, from 1.
        nth: u64,
        /// What.
        fault: DiskFault,
        /// How long after it a program that it has ended is started again, if it is.
        restart_after: Option<Duration>,
    },
    /// Directions become cut, or whole again.
    Link {
        /// From whom to whom.
        directions: Vec<(HostName, HostName)>,
        /// Whether they are cut from now on.
        cut: bool,
    },
    /// An adversary makes a move.
    Move {
        /// How often.
        times: u32,
        /// The pause before each repetition.
        every: Duration,
        /// What it does.
        trick: Trick,
    },
    /// The server's state is taken down.
    Mark(String),
    /// Something happens to a client's folder.
    Folder {
        /// Which host's.
        host: HostName,
        /// What.
        folder: Folder,
    },
}

impl Verb {
    /// The hosts that it is about.
    #[must_use]
    pub fn hosts(&self) -> Vec<&HostName> {
        match self {
            Self::Start { host, .. }
            | Self::Restart { host, .. }
            | Self::Crash { host }
            | Self::Type { host, .. }
            | Self::Pause { host, .. }
            | Self::Clock { host, .. }
            | Self::Drift { host, .. }
            | Self::Disk { host, .. } => vec![host],
            Self::Folder { host, folder: Folder::Replaced { by } } => vec![host, by],
            Self::Folder { host, .. } => vec![host],
            Self::Fault { target, .. } => vec![&target.from, &target.to],
            Self::Link { directions, .. } => {
                directions.iter().flat_map(|(from, to)| [from, to]).collect()
            }
            Self::Move { trick, .. } => trick.hosts(),
            Self::Mark(_) => Vec::new(),
        }
    }
}

/// Why a file is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScenario {
    /// The line in which it was noticed, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for BadScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)
    }
}

impl std::error::Error for BadScenario {}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// Where the text is no scenario, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, BadScenario> {
        let (scenario, places) = form::read(text)?;
        let step = plan::check(&scenario);
        match step {
            Ok(()) => Ok(scenario),
            Err((index, problem)) => Err(places.bad(index, problem)),
        }
    }
}

impl fmt::Display for Scenario {
    /// The form in which a person would write it, a step a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write::write(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::bugs::Tampering;
    use crate::faults::disk::Keeps;
    use crate::faults::fate::Which;
    use crate::planning::plan::Act;

    const WHOLE: &str = r#"{
  "about": "every verb",
  "seed": 7,
  "disk": "0ms..4ms",
  "mtu": 900,
  "mail": "1m",
  "settles": true,
  "steps": [
    {"at": "0s", "start": "alice"},
    {"at": "0s", "start": "eve", "user": "bob", "port": 5001},
    {"at": "1s", "as": "alice", "type": "send bob hello"},
    {"at": "1s", "drop": {"from": "eve", "to": "alice", "packet": "ack"}},
    {"at": "1s", "duplicate": {"from": "eve", "to": "alice", "packet": "ack", "nth": 2, "times": 3}, "after": "5ms"},
    {"at": "1s", "delay": {"from": "alice", "to": "eve", "packet": "message", "message": "alice#1"}, "by": "1s 20ms"},
    {"at": "1s", "corrupt": {"from": "alice", "to": "eve", "packet": "message", "message": "alice#1", "attempt": 2}, "bit": 9},
    {"at": "1s", "truncate": {"from": "alice", "to": "eve", "packet": "message"}, "keep": 12},
    {"at": "1s", "disk": {"on": "server", "crash_at_sync": 2, "keeps": "sectors", "restart_after": "200ms"}},
    {"at": "1s", "disk": {"on": "eve", "crash_at_write": 9}},
    {"at": "1s", "disk": {"on": "server", "fail_sync": 1, "restart_after": "1s"}},
    {"at": "1s", "disk": {"on": "server", "fail_write": 3}},
    {"at": "1s", "disk": {"on": "server", "full_at_write": 1, "for": "2s"}},
    {"at": "1s", "disk": {"on": "server", "full_at_sync": 8}},
    {"at": "1s", "disk": {"on": "alice", "slow_sync": 1, "by": "500ms"}},
    {"at": "1s", "disk": {"on": "alice", "slow_write": 4, "by": "1ms"}},
    {"at": "2s", "partition": ["alice", "eve"]},
    {"at": "3s", "heal": ["alice", "eve"]},
    {"at": "3s", "cut": {"from": "alice", "to": "eve"}},
    {"at": "4s", "mend": {"from": "alice", "to": "eve"}},
    {"at": "4s", "pause": "eve", "for": "1s"},
    {"at": "4s", "clock": "server", "by": "-1h"},
    {"at": "4s", "drift": "eve", "ppm": -200},
    {"at": "5s", "crash": "eve"},
    {"at": "5s", "copy": "eve"},
    {"at": "5s", "lose": "eve"},
    {"at": "5s", "restore": "eve"},
    {"at": "5s", "restore": "eve", "of": "alice"},
    {"at": "6s", "restart": "eve", "port": 5002},
    {"at": "7s", "mark": "in the end"}
  ],
  "until": "8s"
}
"#;

    #[test]
    fn a_scenario_is_written_as_it_is_read() {
        let scenario = Scenario::parse(WHOLE).unwrap();
        assert_eq!(scenario.to_string(), WHOLE);
    }

    const ATTACK: &str = r#"{
  "about": "every move",
  "seed": 7,
  "steps": [
    {"at": "0s", "start": "alice"},
    {"at": "0s", "start": "eve", "user": "bob", "port": 5002},
    {"at": "1s", "drop": {"from": "mallory", "to": "203.0.0.7:4000", "packet": "ack"}},
    {"at": "1s", "as": "alice", "type": "send bob hello"},
    {"at": "6s", "spoof": {"as": "alice", "to": "server", "original": "[REQUEST:DEREG] alice"}},
    {"at": "6s", "spoof": {"nobody": 7, "apart": true, "to": "server", "port": 9001, "original": "ACK"}, "times": 3, "every": "5ms"},
    {"at": "6s", "spoof": {"as": "server", "as_port": 9002, "to": "eve", "port": 5002, "hello": "0000000000000001"}},
    {"at": "6s", "sign_in": "zoe", "own_port": 5001, "times": 9, "every": "1s"},
    {"at": "6s", "forge": {"own_port": 5001, "to": "alice", "packet": {"ack": {"seq": 1, "stream": "$random"}}}},
    {"at": "6s", "forge": {"to": "alice", "raw": "{"}},
    {"at": "6s", "replay": {"from": "alice", "to": "eve", "packet": "message", "nth": 2}, "toward": "server", "times": 2, "every": "1s"},
    {"at": "6s", "answer": {"from": "eve", "to": "server", "packet": "save"}, "with": {"saved": {"messages": [], "store": "$store"}}},
    {"at": "6s", "for": "2s", "alter": {"from": "alice", "to": "eve", "packet": "message", "times": 9}, "set": {"from": "zoe"}, "body": "forged"}
  ],
  "until": "8s"
}
"#;

    #[test]
    fn moves_are_written_as_they_are_read() {
        let scenario = Scenario::parse(ATTACK).unwrap();
        assert_eq!(scenario.to_string(), ATTACK);
        assert_eq!(scenario.plan().moves.len(), 9);
    }

    #[test]
    fn moves_that_cannot_be_made_are_told() {
        let told = [
            (
                r#"{"at": "1s", "spoof": {"to": "server", "original": "ACK"}}"#,
                "8:5: `spoof` needs `as`, a host, or `nobody`, a number",
            ),
            (
                r#"{"at": "1s", "spoof": {"as": "zoe", "to": "server", "original": "ACK"}}"#,
                "8:5: no host \"zoe\" is ever started",
            ),
            (
                r#"{"at": "1s", "forge": {"to": "alice", "packet": {"akc": {}}}}"#,
                "8:5: no packet is called \"akc\"",
            ),
            (
                r#"{"at": "1s", "forge": {"to": "alice", "packet": {"ack": {"stream": "$random"}}}}"#,
                "8:5: `ack` is no packet: missing field `seq`",
            ),
            (
                r#"{"at": "1s", "forge": {"to": "alice", "packet": {"knock": {"nonce": 7}}}}"#,
                "8:5: `knock` is no packet: ",
            ),
            (r#"{"at": "1s", "sign_in": "a b"}"#, "8:5: \"a b\": "),
        ];
        let line = r#"{"at": "1s", "as": "alice", "type": "send bob hello"}"#;
        for (step, expected) in told {
            let bad = Scenario::parse(&ATTACK.replace(line, step)).unwrap_err().to_string();
            assert!(bad.starts_with(expected), "{step}\n{bad}\n{expected}");
        }
    }

    #[test]
    fn a_scenario_becomes_a_plan() {
        let plan = Scenario::parse(WHOLE).unwrap().plan();
        let names: Vec<_> = plan.hosts.iter().map(|host| &*host.name).collect();
        assert_eq!(names, ["server", "alice", "eve"]);
        assert_eq!(plan.hosts[0].actions[0].act, Act::Start { port: 9000 });
        assert_eq!(plan.host("eve").unwrap().ports(), [5001, 5002]);
        assert_eq!(plan.faults.rules[0].target.which, Which::Counted { first: 1, times: 1 });
        assert_eq!(plan.faults.rules[3].target.which, Which::Attempt(2));
        assert_eq!(plan.disk_faults.rules.len(), 8);
        assert_eq!(plan.disk_faults.rules[0].fault, DiskFault::PowerCut { keeps: Keeps::Sectors });
        let ms = Duration::from_millis;
        assert!(plan.faults.is_cut("eve", "alice", ms(2_500)));
        assert!(!plan.faults.is_cut("eve", "alice", ms(3_500)));
        assert!(plan.faults.is_cut("alice", "eve", ms(3_500)));
        assert!(!plan.faults.is_cut("alice", "eve", ms(4_000)));
    }

    /// The whole file with this step as its third step.
    fn problem_with(step: &str) -> String {
        let line = r#"{"at": "1s", "as": "alice", "type": "send bob hello"}"#;
        Scenario::parse(&WHOLE.replace(line, step)).unwrap_err().to_string()
    }

    #[test]
    fn errors_say_where_and_what_was_expected() {
        let told = [
            (r#"{"at": "1s", "tipe": "list"}"#, "11:23: unknown field `tipe`, expected one of"),
            (r#"{"at": "1 parsec", "crash": "alice"}"#, "11:21: \"1 parsec\" is no duration"),
            (r#"{"at": "1s"}"#, "11:5: a step does exactly one thing, this one none: add one of"),
            (r#"{"at": "1s", "crash": "alice", "start": "bob"}"#, "11:5: a step does exactly one"),
            (r#"{"at": "1s", "crash": "carol"}"#, "11:5: no host \"carol\" has been started"),
            (r#"{"at": "1s", "start": "alice"}"#, "11:5: \"alice\" has been started before"),
            (r#"{"at": "1s", "restart": "alice"}"#, "11:5: \"alice\" is running"),
            (r#"{"at": "2s", "type": "list"}"#, "11:5: `type` needs `as`"),
            (r#"{"at": "1s", "crash": "alice", "by": "1s"}"#, "11:5: `by` belongs to"),
            (r#"{"at": "9s", "mark": "late"}"#, "11:5: this is after the end"),
            (
                r#"{"at": "1s", "as": "alice", "type": "sned bob x"}"#,
                "11:5: \"sned bob x\": unknown",
            ),
            (
                r#"{"at": "1s", "disk": {"on": "zoe", "fail_sync": 1}}"#,
                "11:5: no host \"zoe\" is ever",
            ),
            (
                r#"{"at": "1s", "disk": {"on": "eve", "fail_sink": 1}}"#,
                "11:50: unknown field `fail_sink`, expected one of `on`, `crash_at_sync`",
            ),
            (r#"{"at": "1s", "disk": {"on": "eve"}}"#, "11:5: `disk` needs exactly one operation"),
            (
                r#"{"at": "1s", "disk": {"on": "eve", "fail_sync": 0}}"#,
                "11:5: operations of a disk",
            ),
            (
                r#"{"at": "1s", "disk": {"on": "eve", "fail_sync": 1, "keeps": "all"}}"#,
                "11:5: `keeps` belongs to crash_at_sync and crash_at_write",
            ),
            (
                r#"{"at": "1s", "disk": {"on": "eve", "crash_at_sync": 1, "keeps": "some"}}"#,
                "11:5: a power cut keeps one of: all, nothing, first",
            ),
            (
                r#"{"at": "1s", "drop": {"from": "eve", "to": "alice", "packet": "akc"}}"#,
                "11:5: no packet is called \"akc\", they are: hello, challenge",
            ),
            (
                r#"{"at": "1s", "drop": {"from": "eve", "to": "alice", "packet": "ack", "form": "x"}}"#,
                "11:79: unknown field `form`, expected one of `from`, `to`",
            ),
        ];
        for (step, expected) in told {
            let problem = problem_with(step);
            assert!(problem.starts_with(expected), "{step}\n{problem}\n{expected}");
        }
        let problem = Scenario::parse("{\n  \"about\": 1}").unwrap_err().to_string();
        assert!(problem.starts_with("2:12: invalid type"), "{problem}");
    }

    #[test]
    fn a_file_may_name_the_bug_that_it_shows() {
        let naming =
            |bug| WHOLE.replace("\"seed\": 7,", &format!("\"seed\": 7,\n  \"bug\": {bug},"));
        let text = naming("\"shows-copies\"");
        let scenario = Scenario::parse(&text).unwrap();
        assert_eq!(scenario.bug, Some(Bug::Tampering(Tampering::ShowsCopies)));
        assert_eq!(scenario.to_string(), text);
        let problem = Scenario::parse(&naming("\"shows-copys\"")).unwrap_err().to_string();
        assert!(problem.starts_with("4:22: no bug is called \"shows-copys\"; "), "{problem}");
    }

    #[test]
    fn a_file_of_another_version_is_told_apart_whatever_is_in_it() {
        assert!(Scenario::parse(&WHOLE.replacen('{', "{\"version\": 1,", 1)).is_ok());
        let text = WHOLE.replacen('{', "{\n  \"version\": 2,\n  \"unheard\": [],", 1);
        let expected = "2:14: this is version 2 of the form, and this sim reads version 1";
        assert_eq!(Scenario::parse(&text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn steps_go_forward_in_time() {
        let crash = r#"{"at": "5s", "crash": "eve"}"#;
        let problem = Scenario::parse(&WHOLE.replace(crash, r#"{"at": "3s", "crash": "eve"}"#));
        let expected = "32:5: this is before the step above it; steps go forward in time";
        assert_eq!(problem.unwrap_err().to_string(), expected);
    }
}
