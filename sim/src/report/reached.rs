//! What a sweep has looked at, and what not.

use super::{COLUMNS, Lines, share};
use crate::record::reached::Reached;

/// Says what was not reached; with `verbose`, in how many of so many runs each state was.
pub(super) fn write(out: &mut Lines, reached: &Reached, runs: u64, verbose: bool) {
    let not: Vec<&str> =
        reached.counts().filter(|(_, runs)| *runs == 0).map(|(name, _)| name).collect();
    let all = reached.counts().count();
    let head = format!("reached   {} of {all} states", all - not.len());
    // As many as a line has room for.
    let mut lines = (0..=not.len()).rev().map(|named| head.clone() + &missed(not.split_at(named)));
    out.line(&lines.find(|line| line.len() <= COLUMNS).unwrap_or_else(|| head.clone()));
    if verbose {
        out.gap();
        out.words(0, "States that were reached, in how many of the seeds:");
        for (name, count) in reached.counts() {
            let part = 100.0 * share(count, runs);
            out.line(&format!("  {name:<34} {count:>7}  {part:>6.2} %"));
        }
    }
}

/// What was not reached: some by name, and how many more.
fn missed((named, more): (&[&str], &[&str])) -> String {
    let names = named.join(", ");
    match (named.len(), more.len()) {
        (0, 0) => String::new(),
        (0, more) => format!("; not {more} (--verbose)"),
        (_, 0) => format!("; not {names}"),
        (_, more) => format!("; not {names} and {more} more (--verbose)"),
    }
}
