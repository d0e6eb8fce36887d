//! An attack alone keeps nobody from the server.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::client::{Event, Problem, UnsentReason};
use udpchat_core::protocol::PacketKind;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::plan::SERVER;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "service",
    promise: "where nothing goes wrong but that somebody attacks, everybody's keep-alives are \
              answered within a second, and nobody is refused for want of room",
    when: When::Always,
    check,
};

/// A keep-alive's answer takes no longer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    if !evidence.plan.is_attacked() || !evidence.plan.is_calm() {
        return Vec::new();
    }
    let mut waiting: BTreeMap<&HostName, Duration> = BTreeMap::new();
    let mut violations = Vec::new();
    let mut add = |at, what| violations.push(Violation { checker: CHECKER.name, at, what });
    for Entry { at, host, what } in &evidence.log.entries {
        match what {
            What::Sent { key, .. } if key.packet == PacketKind::Ping && is_user(evidence, host) => {
                waiting.entry(host).or_insert(*at);
            }
            What::Arrived { from, packet, .. } if **from == *SERVER => {
                if matches!(packet, PacketKind::Pong | PacketKind::Unknown) {
                    waiting.remove(host);
                }
            }
            What::Started { .. } | What::Ended { .. } | What::Crashed => {
                waiting.remove(host);
            }
            What::Client(event) => {
                if let Some(full) = wants_room(event) {
                    add(*at, format!("{host} is refused: {full}"));
                }
            }
            _ => {}
        }
        waiting.retain(|host, since| {
            let late = *at > *since + ANSWERED_WITHIN;
            if late {
                add(*since, format!("the server does not answer {host} within a second"));
            }
            !late
        });
    }
    violations
}

fn is_user(evidence: Evidence<'_>, host: &str) -> bool {
    evidence.plan.host(host).is_some_and(|_| *host != *SERVER)
}

/// What an adversary may have taken the room of.
fn wants_room(event: &Event) -> Option<String> {
    match event.plain() {
        Event::Error(problem @ (Problem::TooManyGroups(_) | Problem::ServerFull)) => {
            Some(problem.to_string())
        }
        Event::Unsent { reason, .. } => {
            let full = matches!(reason, UnsentReason::MailboxFull | UnsentReason::ServerFull);
            full.then(|| reason.to_string())
        }
        _ => None,
    }
}
