//! Events as JSON, an object a line: an interface for programs, described in docs/json.md.
//!
//! Pure. Texts are raw: JSON escapes line ends, and whoever prints a text must escape the rest.

mod table;

use std::net::SocketAddr;

use serde::Serialize;
use udpchat_core::client::{
    self, Course, DetourReason, Event, GroupDone, Listing, Tried, UnsentReason,
};
use udpchat_core::protocol::{GroupTag, Name};

pub(super) use table::Tables;

/// One line. The names and the order of the keys are promised.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventObject<'a> {
    Registered {
        name: &'a Name,
        back: bool,
    },
    Table {
        online: &'a [Name],
        offline: &'a [Name],
    },
    TableChanges {
        online: Vec<&'a Name>,
        offline: Vec<&'a Name>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        gone: Vec<&'a Name>,
    },
    Sending {
        id: String,
        to: &'a Name,
    },
    ViaServer {
        id: String,
        to: &'a Name,
        reason: &'static str,
    },
    Message {
        id: String,
        from: &'a Name,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        stored_at: Option<String>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        #[serde(flatten)]
        group: Option<Many<'a>>,
    },
    ReadLater {
        id: String,
        to: &'a Name,
        sent_at: String,
    },
    SendingMany {
        #[serde(flatten)]
        group: Many<'a>,
        to: &'a [Name],
    },
    Outcome {
        #[serde(flatten)]
        group: Many<'a>,
        received: usize,
        saved: usize,
        unsent: usize,
    },
    Group {
        group: &'a Name,
        now: &'static str,
    },
    Groups {
        groups: &'a [Name],
    },
    Members {
        group: &'a Name,
        members: &'a [Name],
    },
    History {
        with: &'a Name,
        lines: Vec<HistoryLine<'a>>,
    },
    Received {
        id: String,
        to: &'a Name,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        over_server: bool,
    },
    Saved {
        id: String,
        to: &'a Name,
    },
    Expired {
        id: String,
        to: &'a Name,
    },
    Unsent {
        id: String,
        to: &'a Name,
        reason: &'static str,
        kept: bool,
    },
    Offline,
    ServerNotResponding {
        host: &'a str,
        tried: &'a [SocketAddr],
    },
    NoServer {
        host: &'a str,
        at: Option<&'a SocketAddr>,
    },
    OriginalServer {
        host: &'a str,
        at: Option<&'a SocketAddr>,
    },
    Error {
        text: &'a str,
    },
    Help {
        text: &'a str,
    },
    Left {
        complete: bool,
    },
}

/// A text to many, of which something is a copy.
#[derive(Serialize)]
struct Many<'a> {
    /// The same in all of its copies.
    cast: String,
    /// Null: everybody.
    group: Option<&'a Name>,
}

/// What is said of one copy of a text to many.
#[derive(Serialize)]
struct CopyLine<'a> {
    #[serde(flatten)]
    line: EventObject<'a>,
    #[serde(flatten)]
    group: Many<'a>,
}

fn many(group: &GroupTag) -> Many<'_> {
    Many { cast: group.cast.to_string(), group: group.name.as_ref() }
}

/// One message of a history.
#[derive(Serialize)]
struct HistoryLine<'a> {
    id: String,
    at: String,
    #[serde(flatten)]
    course: Direction,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "way", rename_all = "snake_case")]
enum Direction {
    In {
        #[serde(skip_serializing_if = "Option::is_none")]
        stored_at: Option<String>,
    },
    Out {
        state: &'static str,
    },
}

/// An event's object; a table is whole.
fn event(event: &Event) -> String {
    match event {
        Event::Error(problem) => error(&problem.to_string()),
        Event::Copy { group, event } => line(event)
            .map_or_else(String::new, |line| written(&CopyLine { line, group: many(group) })),
        event => line(event).map_or_else(String::new, |line| written(&line)),
    }
}

/// None for what is put together of others.
fn line(event: &Event) -> Option<EventObject<'_>> {
    let line = match event {
        Event::Registered { name, back } => EventObject::Registered { name, back: *back },
        Event::Table(Listing { online, offline }) | Event::List(Listing { online, offline }) => {
            EventObject::Table { online, offline }
        }
        Event::Sending { id, to } => EventObject::Sending { id: id.to_string(), to },
        Event::Detour { id, to, reason } => {
            EventObject::ViaServer { id: id.to_string(), to, reason: detour(*reason) }
        }
        Event::Message { id, from, text, stored_at, group, again } => EventObject::Message {
            id: id.to_string(),
            from,
            text,
            stored_at: stored_at.map(|at| at.to_string()),
            again: *again,
            group: group.as_ref().map(many),
        },
        Event::ReadLater { id, to, typed_at } => {
            EventObject::ReadLater { id: id.to_string(), to, sent_at: typed_at.to_string() }
        }
        Event::SendingMany { group, to } => EventObject::SendingMany { group: many(group), to },
        Event::CastOutcome { group, received, saved, unsent } => EventObject::Outcome {
            group: many(group),
            received: *received,
            saved: *saved,
            unsent: *unsent,
        },
        Event::Group { group, what } => EventObject::Group { group, now: done(*what) },
        Event::Groups(groups) => EventObject::Groups { groups },
        Event::Members { group, members } => EventObject::Members { group, members },
        Event::History { with, lines } => {
            EventObject::History { with, lines: lines.iter().map(history).collect() }
        }
        Event::Received { id, to, over_server } => {
            EventObject::Received { id: id.to_string(), to, over_server: *over_server }
        }
        Event::Saved { id, to } => EventObject::Saved { id: id.to_string(), to },
        Event::Expired { id, to } => EventObject::Expired { id: id.to_string(), to },
        Event::Unsent { id, to, reason } => EventObject::Unsent {
            id: id.to_string(),
            to,
            reason: unsent(*reason),
            kept: !reason.is_final(),
        },
        Event::Offline => EventObject::Offline,
        Event::ServerNotResponding(Tried { host, addrs }) => {
            EventObject::ServerNotResponding { host, tried: addrs }
        }
        Event::NoServer(Tried { host, addrs }) => EventObject::NoServer { host, at: addrs.first() },
        Event::OriginalServer(Tried { host, addrs }) => {
            EventObject::OriginalServer { host, at: addrs.first() }
        }
        Event::Error(_) | Event::LookUp | Event::Copy { .. } => return None,
        Event::Left { complete } => EventObject::Left { complete: *complete },
    };
    Some(line)
}

/// What was wrong with a line or a command.
pub(super) fn error(text: &str) -> String {
    written(&EventObject::Error { text })
}

/// The list of commands.
pub(super) fn help(lines: &[String]) -> String {
    written(&EventObject::Help { text: &lines.join("\n") })
}

fn written(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("a line holds nothing that JSON cannot express")
}

const fn done(what: GroupDone) -> &'static str {
    match what {
        GroupDone::Created => "created",
        GroupDone::Joined => "joined",
        GroupDone::Left => "left",
    }
}

fn history(line: &client::HistoryEntry) -> HistoryLine<'_> {
    let course = match line.course {
        Course::In { stored_at } => Direction::In { stored_at: stored_at.map(|at| at.to_string()) },
        Course::Out(state) => Direction::Out { state: state.name() },
    };
    HistoryLine { id: line.id.to_string(), at: line.at.to_string(), course, text: &line.text }
}

const fn detour(reason: DetourReason) -> &'static str {
    match reason {
        DetourReason::NoAck => "no_ack",
        DetourReason::Offline => "offline",
        DetourReason::Earlier => "earlier",
    }
}

const fn unsent(reason: UnsentReason) -> &'static str {
    match reason {
        UnsentReason::ServerNotResponding => "server_not_responding",
        UnsentReason::NoAnswer => "no_answer",
        UnsentReason::BehindOthers => "behind_others",
        UnsentReason::Offline => "offline",
        UnsentReason::MailboxFull => "mailbox_full",
        UnsentReason::SenderFull => "sender_full",
        UnsentReason::ServerFull => "server_full",
        UnsentReason::DiskFull => "disk_full",
        UnsentReason::Forgotten => "forgotten",
        UnsentReason::UnknownName => "unknown_name",
        UnsentReason::BadText => "bad_text",
        UnsentReason::TooLarge { .. } => "too_large",
        UnsentReason::OldCopy => "old_copy",
        UnsentReason::Left | UnsentReason::LeftForGood => "left",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udpchat_core::client::{Problem, SentState};
    use udpchat_core::protocol::{MessageId, StreamId};
    use udpchat_core::time::WallTime;

    const ID: &str = r#""id":"00000000000000ab-7""#;

    #[test]
    fn keys_and_values_are_the_documented_ones() {
        let id = MessageId { stream: StreamId(0xab), seq: 7 };
        let at = WallTime::from_unix_ms(1_767_361_541_999);
        let stored_at = Some(at);
        let name = |text: &str| text.parse::<Name>().unwrap();
        let to = || name("bob");
        let listing = || Listing { online: vec![name("alice"), to()], offline: vec![] };
        let text = || "\"ü\n".to_owned();
        let marked = |stored_at, again| Event::Message {
            id,
            from: to(),
            text: text(),
            stored_at,
            group: None,
            again,
        };
        let message = |stored_at| marked(stored_at, false);
        let line =
            |course| client::HistoryEntry { with: to(), at, id, text: text(), group: None, course };
        let table = r#"{"event":"table","online":["alice","bob"],"offline":[]}"#.to_owned();
        for (given, json) in [
            (
                Event::Registered { name: name("alice"), back: false },
                r#"{"event":"registered","name":"alice","back":false}"#.to_owned(),
            ),
            (Event::Table(listing()), table.clone()),
            (Event::List(listing()), table),
            (Event::Sending { id, to: to() }, format!(r#"{{"event":"sending",{ID},"to":"bob"}}"#)),
            (
                Event::Detour { id, to: to(), reason: DetourReason::NoAck },
                format!(r#"{{"event":"via_server",{ID},"to":"bob","reason":"no_ack"}}"#),
            ),
            (message(None), format!(r#"{{"event":"message",{ID},"from":"bob","text":"\"ü\n"}}"#)),
            (
                message(stored_at),
                format!(
                    r#"{{"event":"message",{ID},"from":"bob","text":"\"ü\n","stored_at":"2026-01-02T13:45:41Z"}}"#
                ),
            ),
            (
                marked(None, true),
                format!(r#"{{"event":"message",{ID},"from":"bob","text":"\"ü\n","again":true}}"#),
            ),
            (
                Event::History { with: to(), lines: vec![line(Course::Out(SentState::Saved))] },
                format!(
                    r#"{{"event":"history","with":"bob","lines":[{{{ID},"at":"2026-01-02T13:45:41Z","way":"out","state":"saved","text":"\"ü\n"}}]}}"#
                ),
            ),
            (
                Event::Received { id, to: to(), over_server: false },
                format!(r#"{{"event":"received",{ID},"to":"bob"}}"#),
            ),
            (Event::Saved { id, to: to() }, format!(r#"{{"event":"saved",{ID},"to":"bob"}}"#)),
            (
                Event::Unsent { id, to: to(), reason: UnsentReason::MailboxFull },
                format!(
                    r#"{{"event":"unsent",{ID},"to":"bob","reason":"mailbox_full","kept":true}}"#
                ),
            ),
            (Event::Offline, r#"{"event":"offline"}"#.to_owned()),
            (
                Event::Error(Problem::Offline),
                r#"{"event":"error","text":"Can't send message, you are offline."}"#.to_owned(),
            ),
            (Event::Left { complete: true }, r#"{"event":"left","complete":true}"#.to_owned()),
        ] {
            assert_eq!(event(&given), json);
        }
    }

    #[test]
    fn where_a_server_was_looked_for_is_told() {
        let tried = || Tried {
            host: "h".to_owned(),
            addrs: vec!["192.0.2.1:9".parse().unwrap(), "[::1]:9".parse().unwrap()],
        };
        for (given, json) in [
            (
                Event::ServerNotResponding(tried()),
                r#"{"event":"server_not_responding","host":"h","tried":["192.0.2.1:9","[::1]:9"]}"#,
            ),
            (Event::NoServer(tried()), r#"{"event":"no_server","host":"h","at":"192.0.2.1:9"}"#),
            (Event::LookUp, ""),
        ] {
            assert_eq!(event(&given), json);
        }
    }

    #[test]
    fn an_outcome_says_how_it_came_and_whether_the_message_is_kept() {
        let id = MessageId { stream: StreamId(0xab), seq: 7 };
        let to = || "bob".parse::<Name>().unwrap();
        let received = Event::Received { id, to: to(), over_server: true };
        let received_as = format!(r#"{{"event":"received",{ID},"to":"bob","over_server":true}}"#);
        assert_eq!(event(&received), received_as);
        for (reason, kept) in [(UnsentReason::Left, true), (UnsentReason::LeftForGood, false)] {
            let left = Event::Unsent { id, to: to(), reason };
            let left_as =
                format!(r#"{{"event":"unsent",{ID},"to":"bob","reason":"left","kept":{kept}}}"#);
            assert_eq!(event(&left), left_as);
        }
    }
}
