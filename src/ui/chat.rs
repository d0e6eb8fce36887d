//! What a person at a terminal reads: events as lines that stand above the prompt.
//!
//! Pure: knows events, and no terminal but what it looks like. What happens often is told in one
//! short line for several, which is why lines are held back for a moment ([`Chat::release`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use udpchat_core::client::{Course, Event, HistoryEntry, Listing, SentState, UnsentReason};
use udpchat_core::protocol::{MessageId, Name};
use udpchat_core::time::{Now, Time};

use super::local::local;
use super::paint::{Look, Mark};
use super::render;
use super::show::show;

/// How long news that may be told together wait for each other: no longer than it takes to look.
pub(super) const HOLD: Duration = Duration::from_millis(250);

/// How old a sent line may be to get its mark in its own place. Later the user may have cleared
/// the screen, so that something else stands there.
const MARK_WITHIN: Duration = Duration::from_secs(3);

/// How many names are told before "and so many more".
const NAMES_MAX: usize = 6;

/// The place of the time: its five characters and a space.
const GUTTER: &str = "      ";

/// Lines on their way to the screen.
#[derive(Debug)]
pub(super) struct Chat {
    me: Name,
    look: Look,
    zone: TimeZone,
    /// The minute that was told last.
    minute: Option<String>,
    /// When the last event was.
    now: Now,
    roster: Option<Listing>,
    /// Those of whom it was told that the server keeps messages for them.
    away: BTreeSet<Name>,
    /// The line that was typed last, if nothing stands below it and it sent one message.
    echo: Option<Echo>,
    held: Held,
    held_since: Option<Time>,
    ready: Vec<String>,
    /// Messages without an outcome.
    pending: BTreeSet<MessageId>,
}

/// A typed line on the screen, directly above the prompt.
#[derive(Debug)]
struct Echo {
    to: Name,
    /// What was sent, as soon as that is known, and when.
    sent: Option<(MessageId, Time)>,
    /// What is to be drawn in its first cell.
    mark: Option<Mark>,
}

/// News that are told together.
#[derive(Debug, Default, PartialEq)]
struct Held {
    came: BTreeSet<Name>,
    went: BTreeSet<Name>,
    received: BTreeMap<Name, usize>,
    saved: BTreeMap<Name, usize>,
    unsent: Vec<(Name, UnsentReason, usize)>,
}

impl Chat {
    pub(super) fn new(me: Name, look: Look, zone: TimeZone) -> Self {
        Self {
            me,
            look,
            zone,
            minute: None,
            now: Now::default(),
            roster: None,
            away: BTreeSet::new(),
            echo: None,
            held: Held::default(),
            held_since: None,
            ready: Vec::new(),
            pending: BTreeSet::new(),
        }
    }

    pub(super) const fn look(&self) -> Look {
        self.look
    }

    /// What stands before the line that is being edited. Its first cell is the mark of what the
    /// line sends.
    pub(super) fn prompt(&self, partner: Option<&Name>, painted: bool) -> String {
        let look = if painted { self.look } else { Look { color: false, ..self.look } };
        let mark = look.mark(Mark::Pending);
        let me = look.name(&self.me);
        match partner {
            Some(partner) => format!("{mark} {me} {mark} {}: ", look.name(partner)),
            None => format!("{mark} {me}: "),
        }
    }

    /// What an event is worth saying.
    pub(super) fn event(&mut self, now: Now, event: &Event) {
        self.now = now;
        match event {
            Event::Sending { id, to } => {
                self.pending.insert(*id);
                if let Some(echo) = self.echo.as_mut().filter(|echo| echo.to == *to) {
                    echo.sent.get_or_insert((*id, now.time));
                }
            }
            Event::Received { id, to, .. } | Event::ReadLater { id, to, .. } => {
                if !self.settle(*id, Mark::Received) {
                    *self.held.received.entry(to.clone()).or_default() += 1;
                }
            }
            Event::Saved { id, to } => {
                let marked = self.settle(*id, Mark::Saved);
                let first = self.away.insert(to.clone());
                // Once in words, from then on the mark is enough.
                if first || !marked {
                    *self.held.saved.entry(to.clone()).or_default() += 1;
                }
            }
            Event::Unsent { id, to, reason } => {
                self.settle(*id, Mark::Unsent);
                self.hold_unsent(to, *reason);
            }
            Event::Table(listing) => self.table(listing),
            Event::Message { .. } => self.message(event),
            // One line says what has become of all copies.
            Event::Copy { event: about, .. } => {
                if render::is_news(about) {
                    return self.event(now, about);
                }
            }
            Event::History { with, lines } => self.history(with, lines),
            Event::Error(_) | Event::Expired { .. } => {
                self.wrong(&render::notice(event).unwrap_or_default());
            }
            // Its outcome follows, and that is what counts.
            Event::Detour { .. } => {}
            other => {
                if let Some(line) = render::notice(other) {
                    self.notice(&line);
                }
            }
        }
        let held_long = self.held_since.is_some_and(|since| now.time - since > HOLD);
        if self.held == Held::default() {
            self.held_since = None;
        } else if held_long {
            self.release();
        } else {
            self.held_since.get_or_insert(now.time);
        }
    }

    /// Something to be told at once, in a line of its own.
    pub(super) fn notice(&mut self, text: &str) {
        self.release();
        let line = self.look.quiet(&show(text));
        self.line(&line);
    }

    /// What is not done, and why.
    pub(super) fn wrong(&mut self, text: &str) {
        self.release();
        let line = self.look.wrong(&show(text));
        self.line(&line);
    }

    /// Lines as they are, the list of commands.
    pub(super) fn plain(&mut self, lines: &[String]) {
        self.release();
        self.ready.extend(lines.iter().map(|line| format!("{GUTTER}{}", show(line))));
    }

    /// A line was typed and stands directly above the prompt from now on. `to`: it sends one
    /// message to this name, and fills one row of the screen.
    pub(super) fn typed(&mut self, to: Option<Name>) {
        self.echo = to.map(|to| Echo { to, sent: None, mark: None });
    }

    /// There are no more lines to type, and what comes now stands below the last one: an outcome
    /// that has not been drawn there is told in words.
    pub(super) fn prompt_gone(&mut self) {
        let Some(Echo { to, mark: Some(mark), .. }) = self.echo.take() else { return };
        match mark {
            Mark::Received => *self.held.received.entry(to).or_default() += 1,
            // The first of a recipient is told in words beside its mark.
            Mark::Saved => {
                self.held.saved.entry(to).or_insert(1);
            }
            // In words in any case.
            Mark::Pending | Mark::Unsent => {}
        }
        self.release();
    }

    /// How many messages have no outcome yet.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn has_held(&self) -> bool {
        self.held != Held::default()
    }

    /// How many lines are to be drawn, and a mark if that is to be drawn.
    pub(super) fn ready(&self) -> usize {
        let mark = self.echo.as_ref().and_then(|echo| echo.mark);
        self.ready.len() + usize::from(mark.is_some())
    }

    /// What to write at the beginning of the row of the prompt, which moves down.
    pub(super) fn draw(&mut self) -> String {
        let mut text = String::new();
        if let Some(mark) = self.echo.as_mut().and_then(|echo| echo.mark.take()) {
            text = format!("\u{1b}[A\r{}\u{1b}[B\r", self.look.mark(mark));
        }
        text + &self.lines()
    }

    /// The lines alone, for a screen without a prompt.
    pub(super) fn lines(&mut self) -> String {
        if self.ready.is_empty() {
            return String::new();
        }
        self.echo = None;
        self.ready.drain(..).map(|line| line + "\n").collect()
    }

    /// Tells the news that were held back.
    pub(super) fn release(&mut self) {
        self.held_since = None;
        let held = std::mem::take(&mut self.held);
        if let Some(line) = presence(&held) {
            let line = self.look.quiet(&line);
            self.line(&line);
        }
        let received = self.look.mark(Mark::Received);
        for (to, count) in held.received {
            let what = self.look.quiet(&format!("{}received by {to}", several(count)));
            self.line(&format!("{received} {what}"));
        }
        let saved = self.look.mark(Mark::Saved);
        for (to, count) in held.saved {
            let is_here = self.roster.as_ref().is_some_and(|listing| listing.online.contains(&to));
            let until = if is_here { "they answer" } else { "they are back" };
            let what = format!("{}saved for {to} until {until}", several(count));
            self.line(&format!("{saved} {}", self.look.quiet(&what)));
        }
        let unsent = self.look.mark(Mark::Unsent);
        for (to, reason, count) in held.unsent {
            let what = if count == 1 { "Message".to_owned() } else { format!("{count} messages") };
            let what = self.look.wrong(&render::unsent(&what, &to, reason));
            self.line(&format!("{unsent} {what}"));
        }
    }

    /// Takes note of an outcome. Whether it is seen at the line that was typed.
    fn settle(&mut self, id: MessageId, mark: Mark) -> bool {
        self.pending.remove(&id);
        let now = self.now.time;
        let fits = |sent: (MessageId, Time)| sent.0 == id && now - sent.1 <= MARK_WITHIN;
        match &mut self.echo {
            Some(echo) if echo.sent.is_some_and(fits) => {
                echo.mark = Some(mark);
                true
            }
            _ => false,
        }
    }

    fn hold_unsent(&mut self, to: &Name, reason: UnsentReason) {
        let same =
            |(other, why, _): &&mut (Name, UnsentReason, usize)| other == to && *why == reason;
        match self.held.unsent.iter_mut().find(same) {
            Some((_, _, count)) => *count += 1,
            None => self.held.unsent.push((to.clone(), reason, 1)),
        }
    }

    fn message(&mut self, event: &Event) {
        let Event::Message { from, text, stored_at, group, again, .. } = event else { return };
        self.release();
        let again = if *again { self.look.quiet(" (again)") } else { String::new() };
        let to = group.as_ref().map(|group| self.look.quiet(&format!(" to {group}")));
        let when = stored_at.map_or_else(String::new, |at| {
            let (at, now) = (local(at, &self.zone), local(self.now.wall, &self.zone));
            let form = if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
            self.look.quiet(&format!(" ({})", at.strftime(form)))
        });
        let text = self.look.mentions(&show(text), &self.me);
        let line =
            format!("{}{}{again}{when}: {text}", self.look.name(from), to.unwrap_or_default());
        self.line(&line);
    }

    /// What was written with somebody, each line with its own time.
    fn history(&mut self, with: &Name, lines: &[HistoryEntry]) {
        if lines.is_empty() {
            return self.notice(&format!("no messages with {with}"));
        }
        self.release();
        for line in lines {
            let (who, mark) = match line.course {
                Course::In { .. } => (with, " ".to_owned()),
                Course::Out(state) => (&self.me, self.look.mark(fate(state))),
            };
            let at =
                self.look.quiet(&local(line.at, &self.zone).strftime("%Y-%m-%d %H:%M").to_string());
            let text = show(&line.text);
            self.ready.push(format!("{at} {mark} {}: {text}", self.look.name(who)));
        }
    }

    /// Tells who has come and gone since the table before.
    fn table(&mut self, listing: &Listing) {
        let Some(before) = self.roster.replace(listing.clone()) else {
            let others = listing.online.iter().filter(|name| **name != self.me).cloned();
            let others: Vec<Name> = others.collect();
            let line = if others.is_empty() {
                "nobody else is here".to_owned()
            } else {
                format!("here: {}", some(&others))
            };
            return self.notice(&line);
        };
        let changed = |now: &[Name], before: &[Name]| {
            let new = now.iter().filter(|name| !before.contains(name) && **name != self.me);
            new.cloned().collect::<Vec<Name>>()
        };
        for name in changed(&listing.online, &before.online) {
            self.away.remove(&name);
            if !self.held.went.remove(&name) {
                self.held.came.insert(name);
            }
        }
        for name in changed(&before.online, &listing.online) {
            if !self.held.came.remove(&name) {
                self.held.went.insert(name);
            }
        }
    }

    /// A line, behind the time if that has not been told.
    fn line(&mut self, text: &str) {
        // Before the first event nobody has said what time it is.
        let known = self.now != Now::default();
        let minute = known.then(|| local(self.now.wall, &self.zone).strftime("%H:%M").to_string());
        let gutter = match &minute {
            Some(minute) if self.minute.as_ref() != Some(minute) => self.look.quiet(minute) + " ",
            _ => GUTTER.to_owned(),
        };
        self.minute = minute;
        self.ready.push(gutter + text);
    }
}

const fn fate(state: SentState) -> Mark {
    match state {
        SentState::Pending => Mark::Pending,
        SentState::Saved => Mark::Saved,
        SentState::Received => Mark::Received,
        SentState::Unsent | SentState::Expired => Mark::Unsent,
    }
}

fn presence(held: &Held) -> Option<String> {
    let list = |names: &BTreeSet<Name>, one: &str, more: &str| {
        let names: Vec<Name> = names.iter().cloned().collect();
        let verb = if names.len() == 1 { one } else { more };
        (!names.is_empty()).then(|| format!("{} {verb}", some(&names)))
    };
    let came = list(&held.came, "is here", "are here");
    let went = list(&held.went, "has left", "have left");
    let parts: Vec<String> = came.into_iter().chain(went).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The names, or the first of many.
fn some(names: &[Name]) -> String {
    let told: Vec<&str> = names.iter().take(NAMES_MAX).map(Name::as_str).collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

/// A number in front of what is told of one or more.
fn several(count: usize) -> String {
    if count == 1 { String::new() } else { format!("{count} ") }
}

#[cfg(test)]
mod tests;
