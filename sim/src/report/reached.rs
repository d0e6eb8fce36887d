//! What a sweep has looked at, and what not.

use super::{Lines, share};
use crate::record::reached::Reached;

/// What the names of states may take of the line about what was not reached.
const NAMES_COLUMNS: usize = 28;

/// Says what was not reached; with `verbose`, in how many of so many runs each state was.
pub(super) fn write(out: &mut Lines, reached: &Reached, runs: u64, verbose: bool) {
    let not: Vec<&str> =
        reached.counts().filter(|(_, runs)| *runs == 0).map(|(name, _)| name).collect();
    let all = reached.counts().count();
    let mut text = format!("{} of {all} states", all - not.len());
    let fit = |count: &usize| not[..*count].join(", ").len() <= NAMES_COLUMNS;
    let named = (1..=not.len()).take_while(fit).last().unwrap_or(not.len().min(1));
    if named > 0 {
        text += &format!("; not {}", not[..named].join(", "));
    }
    if named < not.len() {
        text += &format!(", {} more (--verbose)", not.len() - named);
    }
    out.hanging("reached   ", &text);
    if verbose {
        out.gap();
        out.words(0, "States that were reached, in how many of the seeds:");
        for (name, count) in reached.counts() {
            let part = 100.0 * share(count, runs);
            out.line(&format!("  {name:<34} {count:>7}  {part:>6.2} %"));
        }
    }
}
