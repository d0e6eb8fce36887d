//! How many lines of one kind a server's operator is told: some in a second, and then how many more
//! there were. So whoever can cause events fills no disk with them.
//!
//! Pure: time is passed in. docs/operations.md, "What it prints".

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::server::Event;
use udpchat_core::time::Time;

/// Lines of one kind in a [`WINDOW`]: as many as anybody reads.
const LINES_MAX: u64 = 10;

/// How long lines are counted together, from the first one on.
pub const WINDOW: Duration = Duration::from_secs(1);

/// What was told lately, by kind.
#[derive(Debug, Default)]
pub struct Limiter(BTreeMap<Kind, Lately>);

/// A kind of lines: as it is called in JSON, and what there were more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub(super) key: &'static str,
    pub(super) plural: &'static str,
}

/// The lines of one kind since a time.
#[derive(Debug)]
struct Lately {
    since: Time,
    lines: u64,
}

impl Limiter {
    /// Whether an event is told; if not, it is counted. Answers are always told, and what somebody
    /// has to do something about.
    pub fn admits(&mut self, now: Time, event: &Event) -> bool {
        let Some(kind) = kind(event) else { return true };
        let lately = self.0.entry(kind).or_insert(Lately { since: now, lines: 0 });
        lately.lines += 1;
        lately.lines <= LINES_MAX
    }

    /// Kinds of which so many more lines were not told, and whose time is over. To be asked before
    /// an event is told, and every [`WINDOW`].
    pub fn left_out(&mut self, now: Time) -> Vec<(Kind, u64)> {
        self.take(|lately| now >= lately.since + WINDOW)
    }

    /// The same whether their time is over or not.
    pub fn end(&mut self) -> Vec<(Kind, u64)> {
        self.take(|_| true)
    }

    fn take(&mut self, is_over: impl Fn(&Lately) -> bool) -> Vec<(Kind, u64)> {
        let over: Vec<(Kind, u64)> = self
            .0
            .iter()
            .filter(|(_, lately)| is_over(lately))
            .map(|(kind, lately)| (*kind, lately.lines.saturating_sub(LINES_MAX)))
            .collect();
        self.0.retain(|_, lately| !is_over(lately));
        over.into_iter().filter(|(_, more)| *more > 0).collect()
    }
}

const fn kind(event: &Event) -> Option<Kind> {
    let (key, plural) = match event {
        Event::Registered { .. } => ("registered", "registrations"),
        Event::Refused { .. } => ("refused", "refusals"),
        Event::Gone { .. } => ("gone", "clients that are away"),
        Event::Stored { .. } => ("stored", "stored messages"),
        Event::HandedOver { .. } => ("handed_over", "hand-overs"),
        Event::Expired { .. } => ("expired", "streams with expired messages"),
        Event::Group { .. } => ("group", "changes of groups"),
        Event::DiskSpace(_) | Event::Stats(_) => return None,
    };
    Some(Kind { key, plural })
}

/// A number for people, as in 1,234.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use udpchat_core::server::{GoneReason, Stats};

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn ten_lines_of_a_kind_are_told_in_a_second_and_the_rest_is_counted() {
        let refused =
            Event::Refused { name: "bob".parse().unwrap(), addr: "[::1]:9".parse().unwrap() };
        let gone = Event::Gone { name: "bob".parse().unwrap(), reason: GoneReason::Silent };
        let mut limiter = Limiter::default();
        let told = (0..2_000).filter(|ms| limiter.admits(at(*ms / 3), &refused)).count();
        assert_eq!(told, 10);
        assert!(limiter.admits(at(700), &gone), "another kind has its own lines");
        assert!((0..99).all(|_| limiter.admits(at(700), &Event::Stats(Stats::default()))));
        assert_eq!(limiter.left_out(at(999)), []);
        let left_out = limiter.left_out(at(1_000));
        assert_eq!(
            left_out.iter().map(|(it, more)| (it.key, *more)).collect::<Vec<_>>(),
            [("refused", 1_990)]
        );
        assert_eq!(limiter.left_out(at(5_000)), [], "once");
        assert!(limiter.admits(at(5_000), &refused));
        assert_eq!(limiter.end(), [], "nothing was left out");
    }

    #[test]
    fn lines_that_were_all_told_count_for_no_later_time() {
        let refused =
            Event::Refused { name: "bob".parse().unwrap(), addr: "[::1]:9".parse().unwrap() };
        let mut limiter = Limiter::default();
        assert!((0..8).all(|_| limiter.admits(at(0), &refused)));
        assert_eq!(limiter.left_out(at(1_000)), []);
        assert!((0..8).all(|_| limiter.admits(at(2_000), &refused)));
    }

    #[test]
    fn numbers_are_grouped_for_people() {
        let texts = [7, 123, 1_234, 1_234_567].map(grouped);
        assert_eq!(texts, ["7", "123", "1,234", "1,234,567"]);
    }
}
