//! A question earns one answer, and whoever can answer at once does.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::protocol::PacketKind;

use super::duty::{Awake, Damaged, Duties, Found, SLACK};
use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::plan::SERVER;
use crate::record::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "answers",
    promise: "no answer is sent that nobody asked for, nor twice for one question; a hello, a \
              keep-alive, a goodbye and a question whether somebody is there that reach a program \
              that runs are answered at once",
    when: When::Always,
    check,
};

/// A question is forgotten that has had no answer for so long: longer than a name is contested, a
/// program stands still, or a disk is full.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is asked, and each answer that it earns once.
const fn answers(question: PacketKind) -> &'static [PacketKind] {
    use PacketKind::{
        Ack, Alive, Behind, Challenge, Deliver, Deregister, Deregistered, Expired, GroupAnswer,
        GroupAsk, HandedOver, HandedOverAck, Hello, Knock, KnockAnswer, Message, NotSaved, Ping,
        Pong, Probe, Refused, Register, Registered, Save, Saved, Shown, Table, TableAck, Unknown,
        Wait,
    };
    match question {
        Hello => &[Challenge],
        Register => &[Registered, Wait, Refused, Behind],
        Ping => &[Pong, Unknown],
        Deregister => &[Deregistered, Unknown],
        Save => &[Saved, NotSaved, Unknown],
        GroupAsk => &[GroupAnswer, Unknown],
        Alive | TableAck | Shown | HandedOverAck => &[Unknown],
        Probe => &[Alive],
        // Where its client stands it says as soon as it is registered, and then of each part.
        Registered | Table => &[TableAck],
        Message => &[Ack],
        Deliver => &[Shown],
        Knock => &[KnockAnswer],
        HandedOver | Expired => &[HandedOverAck],
        _ => &[],
    }
}

const fn is_answer(packet: PacketKind) -> bool {
    use PacketKind::{
        Ack, Alive, Behind, Challenge, Deregistered, GroupAnswer, HandedOverAck, KnockAnswer,
        NotSaved, Pong, Refused, Registered, Saved, Shown, TableAck, Unknown, Wait,
    };
    matches!(
        packet,
        Ack | Alive
            | Behind
            | Challenge
            | Deregistered
            | GroupAnswer
            | HandedOverAck
            | KnockAnswer
            | NotSaved
            | Pong
            | Refused
            | Registered
            | Saved
            | Shown
            | TableAck
            | Unknown
            | Wait
    )
}

/// Whether a server answers this at once, whoever asks.
fn is_prompt(host: &str, question: PacketKind) -> bool {
    matches!(question, PacketKind::Hello | PacketKind::Ping | PacketKind::Deregister)
        && *host == *SERVER
}

/// Who asks whom, and what.
type Question<'a> = (&'a HostName, &'a HostName, PacketKind);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    // Whoever lies about where they are is answered elsewhere.
    if evidence.plan.is_attacked() {
        return Vec::new();
    }
    let damaged = Damaged::of(evidence);
    let (mut awake, mut found) = (Awake::default(), Found::by(CHECKER.name));
    let mut earned: BTreeMap<Question<'_>, Vec<Duration>> = BTreeMap::new();
    let mut prompt: Duties<Question<'_>> = Duties::default();
    for entry in &evidence.log.entries {
        awake.note(entry);
        let (at, host) = (entry.at, &entry.host);
        match &entry.what {
            What::Started { .. } => earned.retain(|(_, answerer, _), _| *answerer != host),
            What::Crashed | What::Ended { .. } | What::Panicked(_) | What::Paused { .. } => {
                prompt.retain(|(_, answerer, _)| *answerer != host);
            }
            What::Arrived { from, packet, message, .. } => {
                for answer in answers(*packet) {
                    earned.entry((from, host, *answer)).or_default().push(at);
                }
                if is_prompt(host, *packet)
                    && damaged.is_whole(from, host, *packet, message.as_ref())
                {
                    prompt.owe((from, host, *packet), at, SLACK);
                }
            }
            What::Sent { key, .. } if is_answer(key.packet) => {
                for question in [PacketKind::Hello, PacketKind::Ping, PacketKind::Deregister] {
                    if answers(question).contains(&key.packet) {
                        let awake = awake.since(host, at);
                        if prompt.done(&(&key.to, host, question), at, awake).is_some() {
                            let (packet, to) = (question.name(), &key.to);
                            found.add(at, format!("{host} answers {packet} of {to} late"));
                        }
                    }
                }
                let left = earned.entry((&key.to, host, key.packet)).or_default();
                left.retain(|asked| *asked + REMEMBERED >= at);
                if left.is_empty() {
                    let (to, packet) = (&key.to, key.packet.name());
                    found.add(at, format!("{host} answers {packet} to {to}, which has not asked"));
                } else {
                    left.remove(0);
                }
            }
            _ => {}
        }
    }
    let late = prompt.late(evidence.end, |(_, host, _)| awake.since(host, evidence.end));
    for ((from, host, question), _) in late {
        let what = format!("{host} has not answered {} of {from}", question.name());
        found.add(evidence.end, what);
    }
    found.all()
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    fn came(packet: PacketKind) -> What {
        What::Arrived { from: "alice".into(), packet, message: None, local: None }
    }

    #[test]
    fn a_question_earns_one_answer() {
        let story = || {
            let story = Story::new().then(0, SERVER, What::Started { port: 1 });
            story.then(1, SERVER, came(PacketKind::Ping)).sends(
                1,
                SERVER,
                "alice",
                PacketKind::Pong,
            )
        };
        assert_eq!(story().violations(&CHECKER), [""; 0]);
        let twice = story().sends(1, SERVER, "alice", PacketKind::Pong);
        let violation = "server answers pong to alice, which has not asked";
        assert_eq!(twice.violations(&CHECKER), [violation]);
    }

    #[test]
    fn who_runs_answers_at_once() {
        let asked = |started| {
            let story = Story::new().then(started, SERVER, What::Started { port: 1 });
            story.then(2, SERVER, came(PacketKind::Hello)).then(9, "bob", What::Crashed)
        };
        assert_eq!(asked(1).violations(&CHECKER), ["server has not answered hello of alice"]);
        let killed = asked(1).then(9, SERVER, What::Crashed);
        assert_eq!(killed.violations(&CHECKER), [""; 0]);
    }
}
