//! What a server's operator reads and types: events as lines or JSON, counters, three commands.
//!
//! Pure: whoever prints what is [`Printout`] knows the streams. It knows no network, and nothing of
//! the server but its events. The JSON is described in docs/json.md.

mod json;
pub mod limit;

use std::net::SocketAddr;

use jiff::tz::TimeZone;
use udpchat_core::server::{Event, GoneReason, GroupChange, Stats};
use udpchat_core::store::DiskSpace;
use udpchat_core::time::WallTime;

use super::local::local;
use super::show::show;
use json::What;
use limit::{Kind, grouped};

/// How much an operator wants to read, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line per event.
    Lines,
    /// Nothing but answers, and where the server listens.
    Quiet,
    /// A JSON object per event.
    Json,
}

/// What is to be printed, and where; it may be several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Printout {
    /// On standard output.
    Out(String),
    /// On standard error.
    Beside(String),
    /// Nowhere.
    Nothing,
}

/// What an operator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The counters.
    Stats,
    /// The list of these.
    Help,
    /// The end.
    Quit,
}

/// Every order: its word, and what it does.
const ORDERS: [(&str, Order, &str); 3] = [
    ("stats", Order::Stats, "what was counted, as at the signal USR1"),
    ("help", Order::Help, "this list"),
    ("quit", Order::Quit, "end, as at Ctrl-C"),
];

/// The column behind the time.
const GUTTER: &str = "         ";

/// Reads one line; `None` for an empty one.
///
/// # Errors
///
/// It is no order. The text says what would be one.
pub fn parse(line: &str) -> Result<Option<Order>, String> {
    let word = line.trim();
    if word.is_empty() {
        return Ok(None);
    }
    match ORDERS.iter().find(|(order, _, _)| *order == word) {
        Some((_, order, _)) => Ok(Some(*order)),
        None => Err(format!("unknown command {word:?}; a server knows stats, help and quit")),
    }
}

/// Turns what happens at a server into what is printed.
#[derive(Debug)]
pub struct OperatorScreen {
    style: Style,
    zone: TimeZone,
    since: WallTime,
    /// When the last line was told: many share it.
    last: Second,
}

/// A second, as it is told.
#[derive(Debug)]
struct Second {
    /// Counted since 1970.
    number: u64,
    date: String,
    time: String,
}

impl Second {
    fn of(at: WallTime, zone: &TimeZone) -> Self {
        let there = local(at, zone);
        let date = there.strftime(DATE).to_string();
        Self { number: at.unix_ms() / 1_000, date, time: there.strftime("%H:%M:%S").to_string() }
    }
}

impl OperatorScreen {
    /// For a server that was started at `since`. Times are those of `zone`, in JSON of UTC.
    #[must_use]
    pub fn new(style: Style, zone: TimeZone, since: WallTime) -> Self {
        let last = Second::of(since, &zone);
        Self { style, zone, since, last }
    }

    /// The server listens.
    #[must_use]
    pub fn listening(&mut self, addr: SocketAddr) -> Printout {
        let line = format!("listening on {addr}, {}", self.last.date);
        match self.style {
            Style::Json => self.json(self.since, &What::Listening { addr }),
            Style::Quiet => Printout::Beside(line),
            Style::Lines => self.line(self.since, &line),
        }
    }

    /// Something has happened.
    #[must_use]
    pub fn event(&mut self, at: WallTime, event: &Event) -> Printout {
        match (self.style, event) {
            (Style::Json, _) => self.json(at, &What::from(event, self.since)),
            (_, Event::Stats(stats)) => {
                let text = self.stats(stats);
                self.line(at, &text)
            }
            // Somebody has to do something about it.
            (Style::Quiet, Event::DiskSpace(_)) => Printout::Beside(describe(event)),
            (Style::Quiet, _) => Printout::Nothing,
            (Style::Lines, _) => self.line(at, &describe(event)),
        }
    }

    /// The server has ended, as it was asked to.
    #[must_use]
    pub fn stopped(&mut self, at: WallTime) -> Printout {
        match self.style {
            Style::Json => self.json(at, &What::Stopped),
            Style::Quiet => Printout::Nothing,
            Style::Lines => self.line(at, "stopped"),
        }
    }

    /// So many more lines of a kind would have been told lately.
    #[must_use]
    pub fn left_out(&mut self, at: WallTime, kind: Kind, lines: u64) -> Printout {
        match self.style {
            Style::Json => self.json(at, &What::More { of: kind.key, lines }),
            Style::Quiet => Printout::Nothing,
            Style::Lines => {
                let text = format!("... and {} more {}", grouped(lines), kind.plural);
                self.line(at, &text)
            }
        }
    }

    /// So many lines are missing here.
    #[must_use]
    pub fn lost(&mut self, at: WallTime, lines: u64) -> Printout {
        let text = format!("{lines} lines are lost here: the output was stuck");
        match self.style {
            Style::Json => self.json(at, &What::Lost { lines }),
            Style::Quiet => Printout::Beside(text),
            Style::Lines => self.line(at, &text),
        }
    }

    /// What was typed is not done.
    #[must_use]
    pub fn wrong(&self, at: WallTime, why: &str) -> Printout {
        match self.style {
            Style::Json => self.json(at, &What::Error { text: why }),
            _ => Printout::Beside(show(why)),
        }
    }

    /// The list of orders.
    #[must_use]
    pub fn help(&self, at: WallTime) -> Printout {
        let lines = ORDERS.map(|(word, _, what)| format!("{word:<8} {what}"));
        match self.style {
            Style::Json => self.json(at, &What::Help { text: &lines.join("\n") }),
            _ => Printout::Out(lines.join("\n")),
        }
    }

    /// A line behind its time; before it the date, if that is another one.
    fn line(&mut self, at: WallTime, text: &str) -> Printout {
        let mut another_day = false;
        if self.last.number != at.unix_ms() / 1_000 {
            let second = Second::of(at, &self.zone);
            another_day = second.date != self.last.date;
            self.last = second;
        }
        let Second { date, time, .. } = &self.last;
        let line = format!("{time} {text}");
        Printout::Out(if another_day { format!("{date}\n{line}") } else { line })
    }

    fn stats(&self, stats: &Stats) -> String {
        let Stats { here, known, messages, counters } = stats;
        let dropped = &counters.dropped;
        let reasons = [
            (dropped.damaged, "damaged"),
            (dropped.unknown, "of unknown sessions"),
            (dropped.cookie, "with a stale cookie"),
            (dropped.refused, "refused"),
            (dropped.unwanted, "unwanted"),
            (dropped.busy, "too many at a time"),
        ];
        let all: u64 = reasons.iter().map(|(count, _)| count).sum();
        let reasons: Vec<String> = reasons
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, reason)| format!("{count} {reason}"))
            .collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let lost = match counters.datagrams_lost {
            0 => String::new(),
            lost => format!(" ({lost} of them lost for want of room)"),
        };
        let since = Second::of(self.since, &self.zone);
        [
            format!("since {} {}:", since.date, since.time),
            format!("clients: {here} here, {known} known"),
            format!(
                "messages: {messages} in the store; {} stored, {} handed over, {} expired; \
                 {} commits",
                counters.stored, counters.handed_over, counters.expired, counters.commits
            ),
            format!(
                "datagrams: {} in, {} out{lost}; {all} dropped{reasons}; {} duplicates suppressed",
                counters.datagrams_in, counters.datagrams_out, counters.duplicates
            ),
        ]
        .join(&format!("\n{GUTTER}"))
    }

    fn json(&self, at: WallTime, what: &What<'_>) -> Printout {
        Printout::Out(json::line(at, what))
    }
}

const DATE: &str = "%Y-%m-%d";

fn describe(event: &Event) -> String {
    match event {
        Event::Registered { name, addr, back, original } => {
            let verb = if *back { "is back" } else { "has registered" };
            let dialect = if *original { ", an original client" } else { "" };
            format!("{name} {verb} at {addr}{dialect}")
        }
        Event::Refused { name, addr } => format!("{name} is in use and was refused to {addr}"),
        Event::Gone { name, reason } => format!("{name} is away: {}", gone(*reason)),
        Event::Stored { id, from, to } => format!("stored {id} from {from} for {to}"),
        Event::HandedOver { id, to, count } => {
            let messages = if *count == 1 { "message" } else { "messages" };
            format!("handed {count} {messages} over to {to}, up to {id}")
        }
        Event::Expired { id, from, to, count } => {
            let messages = if *count == 1 { "message" } else { "messages" };
            format!("{count} {messages} from {from} for {to} expired, up to {id}")
        }
        Event::Group { group, member, what } => {
            let verb = match what {
                GroupChange::Created => "has created",
                GroupChange::Joined => "has joined",
                GroupChange::Left => "has left",
            };
            format!("{member} {verb} the group {group}")
        }
        Event::DiskSpace(DiskSpace::Low) => {
            "the disk is full: new messages are refused until there is room".to_owned()
        }
        Event::DiskSpace(DiskSpace::Plenty) => {
            "there is room on the disk: messages are taken again".to_owned()
        }
        Event::Stats(stats) => format!("{stats:?}"),
    }
}

const fn gone(reason: GoneReason) -> &'static str {
    match reason {
        GoneReason::Deregistered => "deregistered",
        GoneReason::LeaseExpired => "not heard of any more",
        GoneReason::Silent => "does not answer",
        GoneReason::Replaced => "replaced",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udpchat_core::protocol::Name;
    use udpchat_core::protocol::{MessageId, StreamId};
    use udpchat_core::server::{Counters, Dropped};

    fn at(seconds: u64) -> WallTime {
        WallTime::from_unix_ms(1_767_361_541_000 + seconds * 1_000)
    }

    fn screen(style: Style) -> OperatorScreen {
        OperatorScreen::new(style, TimeZone::UTC, at(0))
    }

    fn events() -> Vec<Event> {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let id = MessageId { stream: StreamId(0xab), seq: 7 };
        let addr = "[::1]:9".parse().unwrap();
        let dropped = Dropped { damaged: 2, refused: 1, ..Dropped::default() };
        let (datagrams_lost, duplicates) = (5, 4);
        let counters = Counters {
            datagrams_in: 9,
            datagrams_lost,
            duplicates,
            dropped,
            ..Counters::default()
        };
        vec![
            Event::Registered { name: name("bob"), addr, back: false, original: true },
            Event::Registered { name: name("bob"), addr, back: true, original: false },
            Event::Refused { name: name("bob"), addr },
            Event::Gone { name: name("bob"), reason: GoneReason::Silent },
            Event::Stored { id, from: name("alice"), to: name("bob") },
            Event::HandedOver { id, to: name("bob"), count: 2 },
            Event::DiskSpace(DiskSpace::Low),
            Event::DiskSpace(DiskSpace::Plenty),
            Event::Stats(Stats { here: 1, known: 3, messages: 5, counters }),
        ]
    }

    fn out(told: Printout) -> String {
        match told {
            Printout::Out(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_says_when_who_and_what() {
        let mut screen = screen(Style::Lines);
        let listening = screen.listening("[::]:9000".parse().unwrap());
        let mut lines = vec![out(listening)];
        lines.extend(events().iter().map(|event| out(screen.event(at(1), event))));
        lines.push(out(screen.stopped(at(2))));
        assert_eq!(
            lines,
            [
                "13:45:41 listening on [::]:9000, 2026-01-02",
                "13:45:42 bob has registered at [::1]:9, an original client",
                "13:45:42 bob is back at [::1]:9",
                "13:45:42 bob is in use and was refused to [::1]:9",
                "13:45:42 bob is away: does not answer",
                "13:45:42 stored 00000000000000ab-7 from alice for bob",
                "13:45:42 handed 2 messages over to bob, up to 00000000000000ab-7",
                "13:45:42 the disk is full: new messages are refused until there is room",
                "13:45:42 there is room on the disk: messages are taken again",
                "13:45:42 since 2026-01-02 13:45:41:\n         clients: 1 here, 3 known\n         \
                 messages: 5 in the store; 0 stored, 0 handed over, 0 expired; \
                 0 commits\n         \
                 datagrams: 9 in, 0 out (5 of them lost for want of room); \
                 3 dropped (2 damaged, 1 refused); 4 duplicates suppressed",
                "13:45:43 stopped",
            ]
        );
    }

    #[test]
    fn another_day_is_told_once() {
        let mut screen = screen(Style::Lines);
        let gone = &events()[3];
        let day = 24 * 3_600;
        let lines = [at(0), at(day), at(day + 1)].map(|at| out(screen.event(at, gone)));
        let says = "bob is away: does not answer";
        assert_eq!(
            lines,
            [
                format!("13:45:41 {says}"),
                format!("2026-01-03\n13:45:41 {says}"),
                format!("13:45:42 {says}")
            ]
        );
    }

    #[test]
    fn the_quiet_hear_where_it_listens_and_what_they_ask_for() {
        let mut screen = screen(Style::Quiet);
        let addr = "[::]:9000".parse().unwrap();
        assert!(matches!(screen.listening(addr), Printout::Beside(line) if line.contains("9000")));
        for event in &events()[..6] {
            assert_eq!(screen.event(at(1), event), Printout::Nothing);
        }
        for event in &events()[6..8] {
            assert!(matches!(screen.event(at(1), event), Printout::Beside(_)));
        }
        assert!(out(screen.event(at(1), &events()[8])).contains("3 known"));
        assert!(matches!(screen.help(at(1)), Printout::Out(_)));
        assert_eq!(screen.stopped(at(1)), Printout::Nothing);
    }

    #[test]
    fn programs_have_an_object_a_line() {
        let mut screen = screen(Style::Json);
        let mut lines = vec![out(screen.listening("[::]:9000".parse().unwrap()))];
        lines.extend(events().iter().map(|event| out(screen.event(at(0), event))));
        lines.push(out(screen.lost(at(0), 3)));
        lines.push(out(screen.wrong(at(0), "a\nb")));
        lines.push(out(screen.stopped(at(0))));
        let wanted = [
            r#""event":"listening","addr":"[::]:9000"}"#,
            r#""event":"registered","name":"bob","addr":"[::1]:9","back":false,"original":true}"#,
            r#""event":"registered","name":"bob","addr":"[::1]:9","back":true,"original":false}"#,
            r#""event":"refused","name":"bob","addr":"[::1]:9"}"#,
            r#""event":"gone","name":"bob","reason":"silent"}"#,
            r#""event":"stored","id":"00000000000000ab-7","from":"alice","to":"bob"}"#,
            r#""event":"handed_over","id":"00000000000000ab-7","to":"bob","count":2}"#,
            r#""event":"room","low":true}"#,
            r#""event":"room","low":false}"#,
            concat!(
                r#""event":"stats","since":"2026-01-02T13:45:41Z","here":1,"known":3,"#,
                r#""in_store":5,"stored":0,"handed_over":0,"expired":0,"commits":0,"#,
                r#""datagrams_in":9,"datagrams_out":0,"datagrams_lost":5,"#,
                r#""duplicates":4,"dropped":{"damaged":2,"unknown":0,"cookie":0,"refused":1,"#,
                r#""unwanted":0,"busy":0}}"#
            ),
            r#""event":"lost","lines":3}"#,
            r#""event":"error","text":"a\nb"}"#,
            r#""event":"stopped"}"#,
        ];
        let wanted = wanted.map(|rest| format!(r#"{{"at":"2026-01-02T13:45:41Z",{rest}"#));
        assert_eq!(lines, wanted);
    }

    #[test]
    fn what_is_no_order_is_told_what_would_be_one() {
        assert_eq!(parse(" stats \r"), Ok(Some(Order::Stats)));
        assert_eq!(parse("help"), Ok(Some(Order::Help)));
        assert_eq!(parse("quit"), Ok(Some(Order::Quit)));
        assert_eq!(parse("  "), Ok(None));
        for line in ["send bob hi", "stat", "stats now", "\u{1b}[2J"] {
            assert!(parse(line).unwrap_err().contains("stats, help and quit"), "{line:?}");
        }
    }
}
