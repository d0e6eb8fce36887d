//! Who writes what to whom in random runs, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::protocol::limits::TEXT_MAX;

use super::SIGN_IN;
use super::course::Course;
use super::script::Todo;
use crate::faults::fate::whole_ms;
use crate::naming::random::Stream;

/// One of so many texts is long, anything up to [`TEXT_MAX`]: a limit of size lets it wait.
const LONG_ONE_IN: u64 = 8;

/// A burst of typing takes so long: as if it were pasted.
const BURST_MS: u64 = 1_000;

/// Adds what users type to what is done to their hosts.
pub(super) fn talk(
    seed: u64,
    Course { size, bursts, .. }: &Course,
    clients: &[String],
    todo: &mut BTreeMap<String, Vec<(Duration, Todo)>>,
) {
    let mut stream = Stream::new(seed, &["talk"]);
    let span = whole_ms(size.duration.saturating_sub(SIGN_IN)).max(1);
    let bursts: Vec<u64> = (0..bursts.unwrap_or_default()).map(|_| stream.below(span)).collect();
    for _ in 0..size.messages {
        let at = if bursts.is_empty() {
            stream.below(span)
        } else {
            stream.pick(&bursts).map_or(0, |burst| *burst) + stream.below(BURST_MS)
        };
        let at = SIGN_IN + Duration::from_millis(at);
        let from = match bursts.is_empty() {
            true => stream.below(clients.len() as u64),
            // One of them talks most.
            false => stream.below(clients.len() as u64) * u64::from(stream.below(4) == 0),
        };
        let others: Vec<_> = (0..).zip(clients).filter(|(index, _)| *index != from).collect();
        let (Some(from), Some((_, to))) = (nth(clients, from), stream.pick(&others)) else {
            return;
        };
        let is_long = stream.below(LONG_ONE_IN) == 0;
        let bytes = if is_long { stream.below(TEXT_MAX as u64 + 1) } else { 0 };
        let bytes = usize::try_from(bytes).unwrap_or_default();
        let say = Todo::Say { to: (*to).clone(), bytes };
        todo.entry(from.clone()).or_default().push((at, say));
    }
}

fn nth(clients: &[String], index: u64) -> Option<&String> {
    clients.get(usize::try_from(index).ok()?)
}
