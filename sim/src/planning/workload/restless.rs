//! Users who come and go without end: they leave while they are being registered, and register
//! while they are leaving.

use std::time::Duration;

use super::script::Todo;
use super::{SIGN_IN, Size, up_to};
use crate::faults::fate::whole_ms;
use crate::naming::random::Stream;
use crate::planning::plan::{Act, INTERRUPT};

/// How often one leaves and comes back in a row, and how soon.
const TURNS_MAX: u64 = 12;
const TURN_MAX_MS: u64 = 300;

/// How often a program is told to end that has hardly begun, and how long after.
const STARTS_MAX: u64 = 4;
const HARDLY_BEGUN_MS: u64 = 60;

/// Its leaving takes no longer, if it is answered at all.
const LEAVES_MAX_MS: u64 = 3_000;

/// What one of them does: nothing, for half of them.
pub(super) fn doings(seed: u64, host: &str, size: &Size) -> Vec<(Duration, Todo)> {
    let mut stream = Stream::new(seed, &["restless", host]);
    let mut todo = Vec::new();
    if stream.fraction() < 0.5 {
        return todo;
    }
    let span = whole_ms(size.duration.saturating_sub(SIGN_IN)).max(1);
    let mut at = SIGN_IN + up_to(&mut stream, span);
    for _ in 0..=stream.below(TURNS_MAX) {
        todo.push((at, Todo::Leave));
        at += up_to(&mut stream, TURN_MAX_MS);
        todo.push((at, Todo::Return));
        at += up_to(&mut stream, TURN_MAX_MS);
    }
    let mut at = SIGN_IN + up_to(&mut stream, span);
    for _ in 0..=stream.below(STARTS_MAX) {
        let line = if stream.fraction() < 0.5 { INTERRUPT } else { "quit" };
        let end = Act::Type { line: line.to_owned(), label: None };
        todo.push((at, Todo::End(end)));
        at += up_to(&mut stream, LEAVES_MAX_MS);
        todo.push((at, Todo::Start));
        at += up_to(&mut stream, HARDLY_BEGUN_MS);
    }
    todo
}
