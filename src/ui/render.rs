//! Events as lines for people: the original's words, its spelling mistake corrected.
//!
//! Pure. Whoever prints the lines escapes them ([`super::show()`]).

use std::collections::BTreeMap;

use udpchat_core::client::{
    Course, DetourReason, Event, GroupDone, HistoryEntry, Listing, UnsentReason,
};
use udpchat_core::protocol::{MessageId, Name};
use udpchat_core::time::WallTime;

/// Turns a client's events into lines.
#[derive(Debug, Default)]
pub(super) struct Renderer {
    /// Whether the last event was a stored message: its heading stands already.
    in_batch: bool,
    /// Why messages went to the server though their recipients are here. Told with what comes of
    /// it if they are not shown soon: else one line says that they were received.
    detours: BTreeMap<MessageId, String>,
}

impl Renderer {
    /// The event's lines; some events are silent.
    pub(super) fn lines(&mut self, event: &Event) -> Vec<String> {
        let was_in_batch = std::mem::replace(&mut self.in_batch, is_stored(event));
        let heading = self.in_batch && !was_in_batch;
        let heading = heading.then(|| "[You have messages]".to_owned());
        if let Event::History { with, lines } = event {
            return history(with, lines);
        }
        let before = match event {
            Event::Detour {
                id,
                to,
                reason: reason @ (DetourReason::NoAck | DetourReason::Earlier),
            } => {
                self.detours.insert(*id, format!("[{}]", detour(to, *reason)));
                return Vec::new();
            }
            Event::Saved { id, .. } => self.detours.remove(id),
            Event::Received { id, .. } | Event::Unsent { id, .. } => {
                self.detours.remove(id);
                None
            }
            _ => heading,
        };
        before.into_iter().chain(line(event)).collect()
    }
}

const fn is_stored(event: &Event) -> bool {
    matches!(event, Event::Message { stored_at: Some(_), .. })
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::Message { from, text, stored_at, group, again, .. } => {
            let again = if *again { "(again) " } else { "" };
            let to = group.as_ref().map(|group| format!(" to {group}")).unwrap_or_default();
            let stored_at = stored_at.map(|at| format!("<{}> ", stamp(at))).unwrap_or_default();
            Some(format!(">>> {again}{from}{to}: {stored_at}{text}"))
        }
        other => notice(other).map(|text| format!("[{text}]")),
    }
}

/// What is to be said of an event that is neither message nor history; of some nothing.
pub(super) fn notice(event: &Event) -> Option<String> {
    let text = match event {
        Event::Message { .. }
        | Event::SendingMany { .. }
        | Event::History { .. }
        | Event::Sending { .. }
        | Event::LookUp
        | Event::Left { complete: true } => {
            return None;
        }
        // One line says what has become of all copies.
        Event::Copy { event, .. } => return notice(event).filter(|_| is_news(event)),
        Event::ReadLater { to, typed_at, .. } => {
            format!("Offline Message sent at {} received by {to}", stamp(*typed_at))
        }
        Event::CastOutcome { group, received, saved, unsent } => {
            format!("Message to {group}: {}", outcome(*received, *saved, *unsent))
        }
        Event::Group { group, what: GroupDone::Created } => {
            format!("Group {group} created by Server.")
        }
        Event::Group { group, what: GroupDone::Joined } => {
            format!("Entered group {group} successfully")
        }
        Event::Group { group, what: GroupDone::Left } => format!("Leave group chat {group}"),
        Event::Groups(groups) if groups.is_empty() => "There are no group chats".to_owned(),
        Event::Groups(groups) => format!("Available group chats: {}", names(groups)),
        Event::Members { group, members } => {
            format!("Members in the group {group}: {}", names(members))
        }
        Event::Registered { back: false, .. } => "Welcome, you are now registered.".to_owned(),
        Event::Registered { name, back: true } => format!("Welcome back, {name}."),
        Event::Table(_) => "Client table updated.".to_owned(),
        Event::List(Listing { online, offline }) => {
            format!("Online: {}; offline: {}", names(online), names(offline))
        }
        Event::Detour { to, reason, .. } => detour(to, *reason),
        Event::Received { to, over_server: false, .. } => format!("Message received by {to}"),
        Event::Received { to, over_server: true, .. } => {
            format!("Message received by {to}, over the server")
        }
        Event::Saved { .. } => "Messages received by the server and saved".to_owned(),
        Event::Expired { to, .. } => {
            format!("Message to {to} expired: they have not come for it, and it is not kept longer")
        }
        Event::Unsent { to, reason, .. } => unsent("Message", to, *reason),
        Event::Offline => "You are Offline. Bye.".to_owned(),
        Event::ServerNotResponding(tried) => format!("Server not responding: tried {tried}"),
        Event::NoServer(at) => format!("Something answers at {at}, but it is no udpchat server"),
        Event::OriginalServer(at) => {
            format!("An original server seems to answer at {at}; --original on lets me talk to it")
        }
        Event::Error(problem) => problem.to_string(),
        Event::Left { complete: false } => "Exiting".to_owned(),
    };
    Some(text)
}

/// Whether it is said of a copy of a text to many: what becomes of one that was stored.
pub(super) const fn is_news(event: &Event) -> bool {
    matches!(event, Event::ReadLater { .. } | Event::Expired { .. })
}

/// That something, one message or more, is not sent.
pub(super) fn unsent(what: &str, to: &Name, reason: UnsentReason) -> String {
    format!("{what} to {to} not sent: {reason}")
}

/// What was written with somebody, as it was shown, with the time before and the state behind.
fn history(with: &Name, lines: &[HistoryEntry]) -> Vec<String> {
    if lines.is_empty() {
        return vec![format!("[No messages with {with}]")];
    }
    let line = |line: &HistoryEntry| {
        let (at, text) = (stamp(line.at), &line.text);
        match line.course {
            Course::In { .. } => format!("{at} {with}: {text}"),
            Course::Out(state) => format!("{at} to {with}: {text} [{}]", state.name()),
        }
    };
    lines.iter().map(line).collect()
}

/// What has become of the copies of a text to many, without what there is none of.
fn outcome(received: usize, saved: usize, unsent: usize) -> String {
    let parts = [("received by", received), ("saved for", saved), ("not sent to", unsent)];
    let parts = parts.into_iter().filter(|(_, count)| *count > 0);
    parts.map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
}

fn detour(to: &Name, reason: DetourReason) -> String {
    match reason {
        DetourReason::NoAck => format!("No ACK from {to}, message sent to server."),
        DetourReason::Offline => format!("Client {to} is offline, message sent to server."),
        DetourReason::Earlier => {
            format!("Message to {to} sent to server, as the ones before it.")
        }
    }
}

fn names(names: &[Name]) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// As the original writes a time, but always in UTC.
fn stamp(at: WallTime) -> String {
    at.to_string().replace('T', " ").replace('Z', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use udpchat_core::client::{Problem, SentState, Tried};
    use udpchat_core::protocol::{CastId, GroupTag, MessageId, StreamId};

    fn id() -> MessageId {
        MessageId { stream: StreamId(0xab), seq: 7 }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn team() -> GroupTag {
        GroupTag { cast: CastId(1), name: Some(name("team")) }
    }

    fn done(what: GroupDone) -> Event {
        Event::Group { group: name("team"), what }
    }

    fn tried() -> Tried {
        let addrs = vec!["192.0.2.1:9000".parse().unwrap()];
        Tried { host: "chat.example".to_owned(), addrs }
    }

    fn at() -> WallTime {
        WallTime::from_unix_ms(1_767_361_541_000)
    }

    #[test]
    fn copies_are_told_together_and_say_for_whom_they_are() {
        let copy = |event| Event::Copy { group: team(), event: Box::new(event) };
        let mut renderer = Renderer::default();
        for quiet in [
            Event::Sending { id: id(), to: name("bob") },
            Event::Received { id: id(), to: name("bob"), over_server: true },
            Event::Saved { id: id(), to: name("bob") },
        ] {
            assert_eq!(renderer.lines(&copy(quiet)), [""; 0]);
        }
        let read = Event::ReadLater { id: id(), to: name("bob"), typed_at: at() };
        assert_eq!(renderer.lines(&copy(read)).len(), 1);
        let expired = Event::Expired { id: id(), to: name("bob") };
        assert_eq!(renderer.lines(&copy(expired)).len(), 1);
        let Event::Message { id, from, text, stored_at, again, .. } = message("hi", None) else {
            unreachable!()
        };
        let to_team = Event::Message { id, from, text, stored_at, again, group: Some(team()) };
        assert_eq!(renderer.lines(&to_team), [">>> bob to team: hi"]);
    }

    fn message(text: &str, stored_at: Option<WallTime>) -> Event {
        let (text, again) = (text.to_owned(), false);
        Event::Message { id: id(), from: name("bob"), text, stored_at, group: None, again }
    }

    #[test]
    fn events_read_as_in_the_original() {
        let (me, to) = (name("alice"), name("bob"));
        let listing = Listing { online: vec![me.clone(), to.clone()], offline: vec![] };
        let detour = |reason| Event::Detour { id: id(), to: to.clone(), reason };
        let received = |over_server| Event::Received { id: id(), to: to.clone(), over_server };
        for (event, line) in [
            (
                Event::Registered { name: me.clone(), back: false },
                "[Welcome, you are now registered.]",
            ),
            (Event::Registered { name: me.clone(), back: true }, "[Welcome back, alice.]"),
            (Event::Table(listing.clone()), "[Client table updated.]"),
            (Event::List(listing), "[Online: alice, bob; offline: nobody]"),
            (detour(DetourReason::Offline), "[Client bob is offline, message sent to server.]"),
            (message("hi", None), ">>> bob: hi"),
            (received(false), "[Message received by bob]"),
            (received(true), "[Message received by bob, over the server]"),
            (
                Event::Saved { id: id(), to: to.clone() },
                "[Messages received by the server and saved]",
            ),
            (
                Event::Unsent { id: id(), to, reason: UnsentReason::UnknownName },
                "[Message to bob not sent: not known to the server; it is not sent again]",
            ),
            (
                Event::ReadLater { id: id(), to: name("bob"), typed_at: at() },
                "[Offline Message sent at 2026-01-02 13:45:41 received by bob]",
            ),
            (Event::Groups(vec![name("team")]), "[Available group chats: team]"),
            (
                Event::Members { group: name("team"), members: vec![name("alice"), name("bob")] },
                "[Members in the group team: alice, bob]",
            ),
            (done(GroupDone::Created), "[Group team created by Server.]"),
            (done(GroupDone::Joined), "[Entered group team successfully]"),
            (done(GroupDone::Left), "[Leave group chat team]"),
            (
                Event::CastOutcome { group: team(), received: 2, saved: 1, unsent: 0 },
                "[Message to team: received by 2, saved for 1]",
            ),
            (Event::Offline, "[You are Offline. Bye.]"),
            (
                Event::ServerNotResponding(tried()),
                "[Server not responding: tried chat.example (192.0.2.1) port 9000]",
            ),
            (
                Event::NoServer(tried()),
                "[Something answers at chat.example (192.0.2.1) port 9000, but it is no udpchat \
                 server]",
            ),
            (Event::Error(Problem::Offline), "[Can't send message, you are offline.]"),
            (Event::Error(Problem::NameInUse(me)), "[Username alice already in use]"),
            (Event::Left { complete: false }, "[Exiting]"),
        ] {
            assert_eq!(Renderer::default().lines(&event), [line], "{event:?}");
        }
    }

    #[test]
    fn a_message_that_went_over_the_server_has_one_line_if_its_recipient_is_shown_it_soon() {
        let (id, to) = (id(), name("bob"));
        let mut renderer = Renderer::default();
        for (reason, why) in [
            (DetourReason::NoAck, "[No ACK from bob, message sent to server.]"),
            (DetourReason::Earlier, "[Message to bob sent to server, as the ones before it.]"),
        ] {
            let detour = Event::Detour { id, to: to.clone(), reason };
            assert_eq!(renderer.lines(&detour), [""; 0]);
            let received = Event::Received { id, to: to.clone(), over_server: true };
            let one = ["[Message received by bob, over the server]"];
            assert_eq!(renderer.lines(&received), one);
            renderer.lines(&detour);
            let saved = Event::Saved { id, to: to.clone() };
            let two = [why, "[Messages received by the server and saved]"];
            assert_eq!(renderer.lines(&saved), two);
            assert!(renderer.detours.is_empty());
        }
    }

    #[test]
    fn what_may_have_been_shown_before_is_marked() {
        let Event::Message { id, from, text, stored_at, .. } = message("hi", None) else {
            unreachable!()
        };
        let event = Event::Message { id, from, text, stored_at, group: None, again: true };
        assert_eq!(Renderer::default().lines(&event), [">>> (again) bob: hi"]);
    }

    #[test]
    fn a_history_says_who_what_when_and_what_became_of_it() {
        let line = |course| HistoryEntry {
            with: name("bob"),
            at: WallTime::from_unix_ms(1_767_361_541_000),
            id: id(),
            text: "hi".to_owned(),
            group: None,
            course,
        };
        let lines = vec![line(Course::In { stored_at: None }), line(Course::Out(SentState::Saved))];
        let event = Event::History { with: name("bob"), lines };
        assert_eq!(
            Renderer::default().lines(&event),
            ["2026-01-02 13:45:41 bob: hi", "2026-01-02 13:45:41 to bob: hi [saved]"]
        );
        let nothing = Event::History { with: name("bob"), lines: vec![] };
        assert_eq!(Renderer::default().lines(&nothing), ["[No messages with bob]"]);
    }

    #[test]
    fn some_events_go_without_saying() {
        let sending = Event::Sending { id: id(), to: name("bob") };
        for event in [sending, Event::LookUp, Event::Left { complete: true }] {
            assert!(Renderer::default().lines(&event).is_empty(), "{event:?}");
        }
    }

    #[test]
    fn stored_messages_have_one_heading_for_a_batch_and_the_time_in_utc() {
        let at = Some(WallTime::from_unix_ms(1_767_361_541_000));
        let mut renderer = Renderer::default();
        let mut lines = Vec::new();
        for event in [message("a", at), message("b", at), message("c", None), message("d", at)] {
            lines.extend(renderer.lines(&event));
        }
        assert_eq!(
            lines,
            [
                "[You have messages]",
                ">>> bob: <2026-01-02 13:45:41> a",
                ">>> bob: <2026-01-02 13:45:41> b",
                ">>> bob: c",
                "[You have messages]",
                ">>> bob: <2026-01-02 13:45:41> d",
            ]
        );
    }
}
