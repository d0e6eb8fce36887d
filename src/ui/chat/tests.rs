//! What a person reads, as snapshots: rows of the screen, `^` where the row above is marked.

use udpchat_core::client::{DetourReason, Problem, Tried};
use udpchat_core::protocol::{CastId, GroupTag, StreamId};
use udpchat_core::time::WallTime;

use super::*;

const PLAIN: Look = Look { color: false, unicode: true };

/// 2026-01-02 13:45:41 in UTC.
const START_UNIX_MS: u64 = 1_767_361_541_000;

/// A chat and its clock.
struct Stage {
    chat: Chat,
    seconds: f64,
    screen: String,
    /// Whether messages are marked as repeats.
    again: bool,
    /// Whether and to whom else they are.
    group: Option<GroupTag>,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn id(seq: u64) -> MessageId {
    MessageId { stream: StreamId(0xab), seq }
}

fn listing(online: &[&str], offline: &[&str]) -> Listing {
    let names = |all: &[&str]| all.iter().map(|text| name(text)).collect();
    Listing { online: names(online), offline: names(offline) }
}

impl Stage {
    fn new() -> Self {
        Self::with(PLAIN)
    }

    fn with(look: Look) -> Self {
        let chat = Chat::new(name("alice"), look, TimeZone::UTC);
        Self { chat, seconds: 0.0, screen: String::new(), again: false, group: None }
    }

    fn now(&self) -> Now {
        let passed = Duration::from_secs_f64(self.seconds);
        let unix_ms = START_UNIX_MS + u64::try_from(passed.as_millis()).unwrap();
        Now { time: Time::from_start(passed), wall: WallTime::from_unix_ms(unix_ms) }
    }

    fn event(&mut self, event: Event) {
        self.chat.event(self.now(), &event);
    }

    fn after(&mut self, seconds: f64) {
        self.draw();
        self.seconds += seconds;
    }

    /// A line is typed that sends a message, and the message gets its number.
    fn types(&mut self, to: &str, seq: u64) {
        self.draw();
        self.screen.push_str(&format!("{}send {to} hi\n", self.chat.prompt(None, false)));
        self.chat.typed(Some(name(to)));
        self.event(Event::Sending { id: id(seq), to: name(to) });
    }

    fn message(&mut self, text: &str, stored_at: Option<u64>) {
        let stored_at = stored_at.map(WallTime::from_unix_ms);
        let text = text.to_owned();
        let (again, group) = (self.again, self.group.clone());
        self.event(Event::Message { id: id(1), from: name("bob"), text, stored_at, group, again });
    }

    fn received(&mut self, seq: u64) {
        self.event(Event::Received { id: id(seq), to: name("bob"), over_server: false });
    }

    fn saved(&mut self, seq: u64) {
        self.event(Event::Saved { id: id(seq), to: name("bob") });
    }

    fn unsent(&mut self, seq: u64, reason: UnsentReason) {
        self.event(Event::Unsent { id: id(seq), to: name("bob"), reason });
    }

    fn table(&mut self, online: &[&str]) {
        self.event(Event::Table(listing(online, &[])));
    }

    fn draw(&mut self) {
        let drawn = self.chat.draw();
        self.screen.push_str(&drawn.replace("\u{1b}[A\r", "^ ").replace("\u{1b}[B\r", "\n"));
    }

    fn all(mut self) -> String {
        self.chat.release();
        self.draw();
        self.screen
    }
}

#[test]
fn the_time_is_told_when_the_minute_changes() {
    let mut stage = Stage::new();
    stage.message("13:45 it is", None);
    stage.after(1.0);
    stage.message("still", None);
    stage.after(60.0);
    stage.message("13:46 now", None);
    stage.message("yesterday's", Some(START_UNIX_MS - 86_400_000));
    stage.message("today's", Some(START_UNIX_MS - 3_600_000));
    insta::assert_snapshot!(stage.all());
}

#[test]
fn what_may_have_been_shown_before_says_so() {
    let mut stage = Stage::new();
    stage.again = true;
    stage.message("hello", None);
    stage.message("stored", Some(START_UNIX_MS));
    insta::assert_snapshot!(stage.all());
}

#[test]
fn a_history_has_a_line_for_each_message_with_its_time_and_mark() {
    let mut stage = Stage::new();
    let courses = [
        Course::In { stored_at: None },
        Course::Out(SentState::Pending),
        Course::Out(SentState::Saved),
        Course::Out(SentState::Received),
        Course::Out(SentState::Unsent),
    ];
    let lines = courses.map(|course| HistoryEntry {
        group: None,
        with: name("bob"),
        at: WallTime::from_unix_ms(START_UNIX_MS),
        id: id(1),
        text: "hi\u{1b}".to_owned(),
        course,
    });
    stage.event(Event::History { with: name("bob"), lines: lines.into() });
    stage.event(Event::History { with: name("carol"), lines: Vec::new() });
    insta::assert_snapshot!(stage.all());
}

#[test]
fn a_year_that_no_calendar_has_does_no_harm() {
    let mut stage = Stage::new();
    stage.message("from the future", Some(u64::MAX));
    assert!(stage.all().contains("bob (9999-12-"));
}

#[test]
fn a_sent_line_is_marked_with_what_becomes_of_it() {
    let mut stage = Stage::new();
    stage.types("bob", 1);
    stage.received(1);
    stage.types("bob", 2);
    stage.event(Event::Detour { id: id(2), to: name("bob"), reason: DetourReason::Offline });
    stage.saved(2);
    stage.after(1.0);
    stage.types("bob", 3);
    stage.saved(3);
    stage.types("bob", 4);
    stage.unsent(4, UnsentReason::UnknownName);
    insta::assert_snapshot!(stage.all());
}

#[test]
fn what_is_saved_for_somebody_who_is_here_waits_until_they_answer() {
    let mut stage = Stage::new();
    stage.table(&["alice", "bob"]);
    stage.saved(1);
    assert!(stage.all().ends_with("» saved for bob until they answer\n"));
}

#[test]
fn several_outcomes_are_told_in_one_line() {
    let mut stage = Stage::new();
    for seq in 1..=3 {
        stage.received(seq);
        let to = name("carol");
        stage.event(Event::Received { id: id(seq), to, over_server: false });
    }
    stage.saved(4);
    stage.saved(5);
    for seq in 6..=9 {
        stage.unsent(seq, UnsentReason::ServerNotResponding);
    }
    stage.unsent(10, UnsentReason::UnknownName);
    insta::assert_snapshot!(stage.all());
}

#[test]
fn a_mark_needs_its_line_directly_above_and_lately_typed() {
    let mut stage = Stage::new();
    stage.types("bob", 1);
    stage.message("in between", None);
    stage.draw();
    stage.received(1);
    stage.after(1.0);
    stage.types("bob", 2);
    stage.after(5.0);
    stage.received(2);
    stage.types("bob", 3);
    stage.chat.typed(None);
    stage.received(3);
    // Drawn together: the mark first, while the line is where it was.
    stage.types("bob", 4);
    stage.message("at once", None);
    stage.received(4);
    insta::assert_snapshot!(stage.all());
}

#[test]
fn a_mark_that_comes_too_late_to_be_drawn_is_told_in_words() {
    let mut stage = Stage::new();
    stage.types("bob", 1);
    stage.received(1);
    stage.chat.prompt_gone();
    insta::assert_snapshot!(stage.chat.lines());
    assert_eq!(stage.chat.ready(), 0);
}

#[test]
fn who_comes_and_goes_is_told_in_one_line_and_not_at_all_if_nothing_remains() {
    let mut stage = Stage::new();
    stage.table(&["alice", "bob"]);
    stage.table(&["alice", "bob", "carol", "dave"]);
    stage.table(&["alice", "carol", "dave"]);
    stage.message("bye", None);
    stage.table(&["alice", "carol"]);
    stage.table(&["alice", "carol", "dave"]);
    stage.after(1.0);
    stage.message("nothing has changed", None);
    let many: Vec<String> = (0..20).map(|number| format!("user{number:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    stage.table(&many);
    insta::assert_snapshot!(stage.all());
}

#[test]
fn news_are_held_for_a_moment_and_not_longer_however_many_come() {
    let mut stage = Stage::new();
    for seq in 1..=100 {
        stage.received(seq);
        stage.after(0.01);
    }
    let lines = stage.all();
    assert_eq!(lines.lines().count(), 4, "{lines}");
}

fn tried() -> Tried {
    let addrs = vec!["192.0.2.1:9000".parse().unwrap()];
    Tried { host: "192.0.2.1".to_owned(), addrs }
}

#[test]
fn the_other_events_are_told_in_the_words_of_the_original() {
    let mut stage = Stage::new();
    for event in [
        Event::Registered { name: name("alice"), back: false },
        Event::Registered { name: name("alice"), back: true },
        Event::List(listing(&["alice", "bob"], &["carol"])),
        Event::Offline,
        Event::ServerNotResponding(tried()),
        Event::Error(Problem::Offline),
        Event::Left { complete: false },
        Event::Left { complete: true },
    ] {
        stage.event(event);
    }
    insta::assert_snapshot!(stage.all());
}

#[test]
fn what_others_write_stays_in_its_line_and_is_text() {
    let mut stage = Stage::with(Look { color: true, unicode: true });
    stage.message("a\n✓ forged\u{1b}[2J\u{202e} alice \u{200b}", None);
    let screen = stage.all();
    assert_eq!(screen.lines().count(), 1);
    insta::assert_snapshot!(screen.replace('\u{1b}', "ESC"));
}

#[test]
fn colors_are_for_names_mentions_and_what_went_wrong() {
    let mut stage = Stage::with(Look { color: true, unicode: true });
    stage.table(&["alice"]);
    stage.message("hello Alice", Some(START_UNIX_MS));
    stage.types("bob", 1);
    stage.unsent(1, UnsentReason::UnknownName);
    insta::assert_snapshot!(stage.all().replace('\u{1b}', "ESC"));
}

#[test]
fn texts_to_many_say_to_whom_and_have_one_outcome() {
    let mut stage = Stage::new();
    let group = || GroupTag { cast: CastId(7), name: Some(name("team")) };
    stage.event(Event::SendingMany { group: group(), to: vec![name("bob"), name("carol")] });
    let copy = |event| Event::Copy { group: group(), event: Box::new(event) };
    stage.event(copy(Event::Received { id: id(1), to: name("bob"), over_server: false }));
    stage.event(copy(Event::Saved { id: id(2), to: name("carol") }));
    stage.event(Event::CastOutcome { group: group(), received: 1, saved: 1, unsent: 0 });
    let typed_at = WallTime::from_unix_ms(START_UNIX_MS);
    stage.event(copy(Event::ReadLater { id: id(2), to: name("carol"), typed_at }));
    stage.group = Some(group());
    stage.message("hello team", None);
    stage.event(Event::Groups(vec![name("team"), name("other")]));
    stage.event(Event::Groups(Vec::new()));
    stage.event(Event::Members { group: name("team"), members: vec![name("alice"), name("bob")] });
    insta::assert_snapshot!(stage.all());
}

#[test]
fn a_copy_that_expired_is_told_like_any_message() {
    let mut stage = Stage::new();
    let group = GroupTag { cast: CastId(7), name: Some(name("team")) };
    let expired = Event::Expired { id: id(1), to: name("bob") };
    stage.event(Event::Copy { group, event: Box::new(expired) });
    assert!(stage.all().contains("Message to bob expired"));
}

#[test]
fn what_waits_for_its_outcome_is_counted() {
    let mut stage = Stage::new();
    for seq in 1..=3 {
        stage.event(Event::Sending { id: id(seq), to: name("bob") });
    }
    stage.received(1);
    stage.saved(2);
    assert_eq!(stage.chat.pending(), 1);
}
