//! What the server has acknowledged is in its store whenever it starts, until it was shown
//! or expired, or its sender had given it up. And nothing expires too soon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpchat_core::client::Event;
use udpchat_core::protocol::PacketKind;
use udpchat_core::server::timing::KEEP;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::Label;
use crate::planning::plan::SERVER;
use crate::record::ledger::SenderTold;
use crate::record::log::{Durable, Entry, Found, What};

pub(super) const CHECKER: Checker = Checker {
    name: "kept",
    promise: "whatever happens to the server, it finds every message on its disk that it had said \
              to have saved, until that was shown, expired or given up; none expires before the \
              server has run with it for as long as it keeps messages",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let log = evidence.log;
    let mut violations = Vec::new();
    let mut owed = BTreeSet::new();
    let mut shown = BTreeSet::new();
    let mut ages = Ages::default();
    for entry in &log.entries {
        match &entry.what {
            What::Durable(Durable::Stored(label)) => {
                owed.insert(label);
            }
            What::Client(event) => match event.plain() {
                Event::Saved { id, .. } => owed.extend(log.labels.get(*id)),
                Event::Message { id, .. } => shown.extend(log.labels.get(*id)),
                _ => {}
            },
            What::Found(found) if found.is_server => {
                violations.extend(missing(evidence, (entry.at, found), &owed, &shown));
                owed.retain(|label| found.kept.iter().flatten().any(|kept| kept == *label));
            }
            _ if *entry.host == *SERVER => {
                let what = ages.step(evidence.plan.mail.unwrap_or(KEEP), entry);
                let violation = |what| Violation { checker: CHECKER.name, at: entry.at, what };
                violations.extend(what.map(violation));
            }
            _ => {}
        }
    }
    violations
}

/// What is owed and was not found, and nobody was done with it.
fn missing(
    evidence: Evidence<'_>,
    (at, found): (Duration, &Found),
    owed: &BTreeSet<&Label>,
    shown: &BTreeSet<&Label>,
) -> Vec<Violation> {
    let found: BTreeSet<_> = found.kept.iter().flatten().collect();
    let is_over = |label: &Label| {
        // A late copy of a refused one may be stored, and is passed over by its reader.
        let message = evidence.ledger.messages.get(label);
        let given_up = message.is_some_and(|message| message.was_told(SenderTold::GivenUp));
        let expired = evidence.ledger.expired.get(label);
        let strange = message.is_some_and(|message| !evidence.is_owed(&message.to))
            || evidence.ledger.doubtful.contains(&label.host);
        strange || given_up || shown.contains(label) || expired.is_some_and(|end| *end <= at)
    };
    let missing = owed.difference(&found).filter(|label| !is_over(label));
    let violation = |label: &&Label| {
        let what = format!("{label} was saved, but is not on the server's disk");
        Violation { checker: CHECKER.name, at, what }
    };
    missing.map(violation).collect()
}

/// What the server's clock and the simulator's may differ by: both are cut to whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

/// How long the server has run, by its own timers, and had run when it first got each message.
#[derive(Default)]
struct Ages<'a> {
    ran: Duration,
    /// The last entry's time.
    at: Duration,
    runs: bool,
    /// So many millionths more than time passes its timers count.
    gains_ppm: i64,
    came: BTreeMap<&'a Label, Duration>,
}

impl<'a> Ages<'a> {
    /// What is wrong with what the server does.
    fn step(&mut self, keep: Duration, entry: &'a Entry) -> Option<String> {
        if self.runs {
            let pace = 1.0 + self.gains_ppm as f64 / 1_000_000.0;
            self.ran += (entry.at - self.at).mul_f64(pace);
        }
        self.at = entry.at;
        match &entry.what {
            What::Started { .. } => self.runs = true,
            What::Crashed | What::Ended { .. } | What::Panicked(_) => self.runs = false,
            What::ClockDrifts { ppm } => self.gains_ppm = *ppm,
            What::Arrived { packet: PacketKind::Save, message: Some(label), .. } => {
                self.came.entry(label).or_insert(self.ran);
            }
            What::Asked(Durable::Expired(label)) => {
                let age = self.came.get(label).map_or(Duration::ZERO, |came| self.ran - *came);
                let (age_s, keep_s) = (age.as_secs_f64(), keep.as_secs_f64());
                return (age + ROUNDING < keep)
                    .then(|| format!("{label} expires after {age_s:.3} s, not {keep_s:.3} s"));
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id, label};
    use super::*;
    use crate::record::log::Found;

    #[test]
    fn a_copy_of_a_text_to_many_is_owed_once_it_is_said_to_be_saved() {
        let to: udpchat_core::protocol::Name = "bob".parse().unwrap();
        let saved = || Event::Saved { id: id(1), to: to.clone() };
        let group = udpchat_core::protocol::GroupTag {
            cast: udpchat_core::protocol::CastId(1),
            name: None,
        };
        let copy = Event::Copy { group, event: Box::new(saved()) };
        for event in [saved(), copy] {
            let story = |kept| {
                let found = What::Found(Found {
                    is_server: true,
                    kept,
                    is_same_again: true,
                    ..Found::default()
                });
                let story = Story::new().types(1, "hello");
                story.then(2, "alice", What::Client(event.clone())).then(3, "server", found)
            };
            assert_eq!(story(vec![Some(label(1))]).violations(&CHECKER).len(), 0);
            assert_eq!(story(Vec::new()).violations(&CHECKER).len(), 1, "{event:?}");
        }
    }

    fn arrives() -> What {
        let (from, packet) = ("alice".into(), PacketKind::Save);
        What::Arrived { from, packet, message: Some(label(1)), local: None }
    }

    fn expires() -> What {
        What::Asked(Durable::Expired(label(1)))
    }

    #[test]
    fn nothing_expires_before_its_time_in_which_the_server_runs() {
        let started = || What::Started { port: 1 };
        let story = || Story::new().keeping(10).then(0, "server", started()).types(1, "hello");
        let saved = || story().then(2, "server", arrives());
        let wrong = |story: Story| story.violations(&CHECKER);
        assert_eq!(wrong(saved().then(12, "server", expires())), [""; 0]);
        let soon = ["alice#1 expires after 9.000 s, not 10.000 s"];
        assert_eq!(wrong(saved().then(11, "server", expires())), soon);
        let down = saved().then(4, "server", What::Crashed).then(7, "server", started());
        assert_eq!(wrong(down.then(14, "server", expires())), soon);
        let slow = saved().then(2, "server", What::ClockDrifts { ppm: -100_000 });
        assert_eq!(wrong(slow.then(12, "server", expires())), soon);
        let fast = saved().then(2, "server", What::ClockDrifts { ppm: 250_000 });
        assert_eq!(wrong(fast.then(10, "server", expires())), [""; 0]);
    }

    #[test]
    fn what_expires_is_owed_until_it_has() {
        let found = |kept| {
            What::Found(Found { is_server: true, kept, is_same_again: true, ..Found::default() })
        };
        let story = || Story::new().types(1, "hello");
        let stored = || story().then(2, "server", What::Durable(Durable::Stored(label(1))));
        let missing = ["alice#1 was saved, but is not on the server's disk"];
        assert_eq!(stored().then(3, "server", found(Vec::new())).violations(&CHECKER), missing);
        let forever = || stored().keeping(0).then(3, "server", expires());
        let gone = forever().then(4, "server", found(Vec::new()));
        assert_eq!(gone.violations(&CHECKER), [""; 0]);
        let back = forever().then(4, "server", found(vec![Some(label(1))]));
        assert_eq!(back.then(5, "server", found(Vec::new())).violations(&CHECKER), missing);
    }
}
