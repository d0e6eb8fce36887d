//! Users and servers who are away for longer than a lease, and than messages are kept.

use std::time::Duration;

use super::course::Away;
use super::script::Todo;
use super::{SIGN_IN, Size, up_to};
use crate::faults::fate::{Cut, whole_ms};
use crate::naming::label::HostName;
use crate::naming::random::Stream;
use crate::planning::plan::{Act, Host, INTERRUPT, SERVER};

/// Somebody is away.
pub(super) struct Absence {
    since: Duration,
    until: Duration,
    how: How,
}

/// Why nothing is heard of them.
enum How {
    /// Their program was killed.
    Killed,
    /// It was told to end.
    Ended,
    /// They are deregistered; of a server: it was told to end.
    Deregistered,
    /// All its links are cut.
    CutOff,
}

/// When this host is away for long, if it is: each once or twice, or not at all.
pub(super) fn absences(seed: u64, host: &str, size: &Size, away: &Away) -> Vec<Absence> {
    let mut stream = Stream::new(seed, &["absences", host]);
    let mut absences: Vec<Absence> = Vec::new();
    let longest = whole_ms(away.longest.saturating_sub(away.shortest)).max(1);
    for _ in 0..stream.below(3) {
        let lasts = away.shortest + up_to(&mut stream, longest);
        let span = whole_ms(size.duration.saturating_sub(lasts + SIGN_IN)).max(1);
        let since = SIGN_IN + up_to(&mut stream, span);
        let how = match stream.below(4) {
            0 => How::Killed,
            1 => How::Ended,
            2 => How::Deregistered,
            _ => How::CutOff,
        };
        let until = since + lasts;
        let is_free = |other: &Absence| until < other.since || other.until < since;
        if absences.iter().all(is_free) {
            absences.push(Absence { since, until, how });
        }
    }
    absences
}

/// Puts a host's absences among what is to be done to it: nobody brings it back meanwhile.
pub(super) fn keep_away(host: &str, todo: &mut Vec<(Duration, Todo)>, absences: &[Absence]) {
    for Absence { since, until, how } in absences {
        if matches!(how, How::CutOff) {
            continue;
        }
        let goes_on = |what: &Todo| matches!(what, Todo::Clock(_) | Todo::Drift(_));
        todo.retain(|(at, what)| goes_on(what) || !(*since..*until).contains(at));
        let line = if host == SERVER { "stop" } else { INTERRUPT };
        let end = Act::Type { line: line.to_owned(), label: None };
        let (goes, comes) = match how {
            How::Killed => (Todo::End(Act::Crash), Todo::Start),
            How::Deregistered if host != SERVER => (Todo::Leave, Todo::Return),
            _ => (Todo::End(end), Todo::Start),
        };
        todo.extend([(*since, goes), (*until, comes)]);
    }
}

/// The cuts of all links of those who are cut off.
pub(super) fn cuts(name: &HostName, hosts: &[Host], absences: &[Absence]) -> Vec<Cut> {
    let cut_off = absences.iter().filter(|absence| matches!(absence.how, How::CutOff));
    let others = hosts.iter().filter(|host| host.name != *name);
    let both = |(absence, other): (&Absence, &Host)| {
        let (since, until) = (absence.since, absence.until);
        let (here, there) = (name.clone(), other.name.clone());
        let there_too = Cut { from: there.clone(), to: here.clone(), since, until };
        [Cut { from: here, to: there, since, until }, there_too]
    };
    cut_off.flat_map(|it| others.clone().map(move |other| (it, other))).flat_map(both).collect()
}
