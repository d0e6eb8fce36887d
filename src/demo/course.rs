//! What the network did to each message of a demo, in words.
//!
//! Pure. Knows events and fates, no clock and no sockets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use udpchat_core::client::{Command, Event, UnsentReason};
use udpchat_core::protocol::{MessageId, PacketKind};
use udpchat_core::time::Time;
use udpchat_node::fault::Fate;

/// Characters of a text that are repeated when something is told of it.
const TEXT_SHOWN: usize = 24;

/// What happened to one message so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Course {
    text: String,
    since: Time,
    /// Datagrams that carried it, and how many of them were lost, or came twice.
    sent: u32,
    lost: u32,
    twice: u32,
    /// Lost datagrams that said that it had come.
    acks_lost: u32,
    over_server: bool,
}

/// The courses of all messages that are not settled.
#[derive(Debug, Default)]
pub(super) struct Courses {
    /// What was typed and has no id yet, in order.
    typed: VecDeque<String>,
    courses: BTreeMap<MessageId, Course>,
}

impl Courses {
    /// The client is handed a command.
    pub(super) fn given(&mut self, command: &Command) {
        if let Command::Send { text, .. } = command {
            self.typed.push_back(text.clone());
        }
    }

    /// A datagram about a message met its fate.
    pub(super) fn met(&mut self, message: MessageId, kind: PacketKind, fate: &Fate) {
        // Its sender has been told of it before; and what is settled is no more to be told of.
        let Some(course) = self.courses.get_mut(&message) else { return };
        match kind {
            PacketKind::Message | PacketKind::Save | PacketKind::Deliver => {
                course.sent += 1;
                course.lost += u32::from(fate.lost);
                course.twice += u32::from(fate.again.is_some() && !fate.lost);
                course.over_server |= kind != PacketKind::Message;
            }
            _ => course.acks_lost += u32::from(fate.lost),
        }
    }

    /// The partner's client has told it something.
    pub(super) fn note_echo(&mut self, now: Time, event: &Event) {
        match event {
            Event::Sending { id, .. } => self.begin(*id, now, "its answer".to_owned()),
            Event::Received { id, .. } => {
                self.courses.remove(id);
            }
            _ => {}
        }
    }

    /// The user's client has told the user something. What there is to add.
    pub(super) fn note_user(&mut self, now: Time, event: &Event) -> Vec<String> {
        let told = match event {
            Event::Sending { id, .. } => {
                let text = self.typed.pop_front().unwrap_or_default();
                self.begin(*id, now, clipped(&text));
                None
            }
            Event::Received { id, .. } => self.courses.remove(id).map(|c| c.told(now, "received")),
            Event::Saved { id, .. } => {
                self.courses.remove(id).map(|c| c.told(now, "kept by the server"))
            }
            Event::Unsent { id, reason, .. } if reason.is_final() => {
                self.courses.remove(id);
                None
            }
            Event::Unsent {
                reason:
                    UnsentReason::ServerNotResponding
                    | UnsentReason::NoAnswer
                    | UnsentReason::BehindOthers,
                ..
            } => Some("so far nothing has come through; it goes on trying".to_owned()),
            // Its end is the partner's to hear; what is told here is how it came.
            Event::Message { id, .. } => {
                let course = self.courses.get(id).filter(|course| course.was_hindered());
                course.map(|course| course.told(now, "here"))
            }
            Event::Error(_) => {
                self.typed.pop_front();
                None
            }
            _ => None,
        };
        told.into_iter().collect()
    }

    fn begin(&mut self, id: MessageId, now: Time, text: String) {
        self.courses.insert(id, Course { text, since: now, ..Course::default() });
    }
}

impl Course {
    fn was_hindered(&self) -> bool {
        self.lost + self.twice + self.acks_lost > 0 || self.over_server
    }

    /// `hello: lost twice, sent 3 times, received after 1.4 s`.
    fn told(&self, now: Time, end: &str) -> String {
        let mut parts = Vec::new();
        if self.lost > 0 {
            parts.push(format!("lost {}", times(self.lost)));
        }
        if self.acks_lost > 0 {
            parts.push(format!("its acknowledgement lost {}", times(self.acks_lost)));
        }
        if self.twice > 0 {
            parts.push(format!("came twice {}", times(self.twice)));
        }
        if self.over_server {
            parts.push("went over the server".to_owned());
        }
        if parts.is_empty() {
            parts.push("nothing lost".to_owned());
        }
        if self.sent > 1 {
            parts.push(format!("sent {}", times(self.sent)));
        }
        parts.push(format!("{end} after {}", seconds(now - self.since)));
        format!("{}: {}", self.text, parts.join(", "))
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

fn clipped(text: &str) -> String {
    let mut clipped: String = text.chars().take(TEXT_SHOWN).collect();
    if clipped.len() < text.len() {
        clipped.push_str("...");
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use udpchat_core::protocol::{Name, StreamId};

    fn id(seq: u64) -> MessageId {
        MessageId { stream: StreamId(1), seq }
    }

    fn echo() -> Name {
        "echo".parse().unwrap()
    }

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    fn sending(courses: &mut Courses, text: &str, seq: u64) {
        courses.given(&Command::Send { to: echo(), text: text.to_owned() });
        assert!(courses.note_user(at(0), &Event::Sending { id: id(seq), to: echo() }).is_empty());
    }

    #[test]
    fn it_is_told_what_was_lost_and_how_it_ended() {
        let mut courses = Courses::default();
        let lost = Fate { lost: true, ..Fate::default() };
        sending(&mut courses, "hello", 1);
        for fate in [lost, lost, Fate::default()] {
            courses.met(id(1), PacketKind::Message, &fate);
        }
        courses.met(id(1), PacketKind::Ack, &lost);
        let lines = courses
            .note_user(at(1_400), &Event::Received { id: id(1), to: echo(), over_server: false });
        let wanted = "hello: lost twice, its acknowledgement lost once, sent 3 times, \
            received after 1.4 s";
        assert_eq!(lines, [wanted]);
    }

    #[test]
    fn what_was_not_hindered_is_told_so() {
        let mut courses = Courses::default();
        sending(&mut courses, &"long ".repeat(9), 1);
        courses.met(id(1), PacketKind::Message, &Fate::default());
        let lines = courses
            .note_user(at(20), &Event::Received { id: id(1), to: echo(), over_server: false });
        assert_eq!(lines, ["long long long long long...: nothing lost, received after 0.0 s"]);
    }

    #[test]
    fn answers_are_told_of_only_if_something_happened_to_them() {
        let mut courses = Courses::default();
        let message = |seq| Event::Message {
            id: id(seq),
            from: echo(),
            text: "hi".to_owned(),
            stored_at: None,
            group: None,
            again: false,
        };
        for (seq, lost) in [(1, false), (2, true)] {
            courses.note_echo(at(0), &Event::Sending { id: id(seq), to: echo() });
            courses.met(id(seq), PacketKind::Message, &Fate { lost, ..Fate::default() });
        }
        courses.met(id(2), PacketKind::Message, &Fate::default());
        assert!(courses.note_user(at(20), &message(1)).is_empty());
        let lines = courses.note_user(at(500), &message(2));
        assert_eq!(lines, ["its answer: lost once, sent twice, here after 0.5 s"]);
    }
}
