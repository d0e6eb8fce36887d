//! What a sweep has looked at, and what not.

use super::{Lines, share};
use crate::record::reached::Reached;

/// Names of states in the line about what was not reached.
const NAMED_MAX: usize = 5;

/// Says what was not reached; with `verbose`, in how many of so many runs each state was.
pub(super) fn write(out: &mut Lines, reached: &Reached, runs: u64, verbose: bool) {
    let not: Vec<&str> =
        reached.counts().filter(|(_, runs)| *runs == 0).map(|(name, _)| name).collect();
    let all = reached.counts().count();
    let mut text = format!("{} of {all} states", all - not.len());
    if let Some((named, more)) = not.split_at_checked(NAMED_MAX.min(not.len()))
        && !named.is_empty()
    {
        text += &format!("; not {}", named.join(", "));
        if !more.is_empty() {
            text += &format!(" and {} more (--verbose)", more.len());
        }
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
