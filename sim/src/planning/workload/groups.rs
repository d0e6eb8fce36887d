//! What users do with groups: make them, come and go, and write to all of their members.
//!
//! Has streams of its own: the rest of a seed's run stays as it was.

use std::time::Duration;

use super::{SIGN_IN, Size, Todo, up_to};
use crate::faults::fate::whole_ms;
use crate::naming::random::Stream;

/// Both exist in every run that has groups, if their makers are there to make them.
const GROUPS: [&str; 2] = ["team", "club"];

/// One run of so many has groups.
const GROUPS_ONE_IN: u64 = 2;

/// Of so many messages to one there is one to a group; each has a copy for all the others in it.
const MESSAGES_PER_CAST: u32 = 8;

/// One text to many of so many goes to everybody.
const ALL_ONE_IN: u64 = 4;

/// So often each user comes or goes.
const CHANGES: u32 = 3;

/// What the user who is this one of all does with groups, and when.
pub(super) fn doings(seed: u64, index: usize, name: &str, size: &Size) -> Vec<(Duration, Todo)> {
    let run = Stream::new(seed, &["groups"]).below(GROUPS_ONE_IN);
    if run != 0 || size.messages == 0 {
        return Vec::new();
    }
    let mut stream = Stream::new(seed, &["groups", name]);
    let span = whole_ms(size.duration.saturating_sub(SIGN_IN)).max(1);
    let mut todo = Vec::new();
    let any_time = |stream: &mut Stream| SIGN_IN + up_to(stream, span);
    // Early enough that there is somebody to join.
    if let Some(group) = GROUPS.get(index) {
        todo.push((SIGN_IN + up_to(&mut stream, span / 8), format!("create_group {group}")));
    }
    for group in GROUPS {
        todo.push((SIGN_IN + up_to(&mut stream, span / 4), format!("join_group {group}")));
    }
    for _ in 0..CHANGES {
        let verb = ["join_group", "leave_group", "list_members", "create_group"];
        let (verb, group) = (pick(&mut stream, &verb), pick(&mut stream, &GROUPS));
        todo.push((any_time(&mut stream), format!("{verb} {group}")));
    }
    todo.push((any_time(&mut stream), "list_groups".to_owned()));
    let mut todo: Vec<(Duration, Todo)> =
        todo.into_iter().map(|(at, line)| (at, Todo::Type(line))).collect();
    let casts = 1 + size.messages / size.clients.max(1) / MESSAGES_PER_CAST;
    for _ in 0..casts {
        let to_all = stream.below(ALL_ONE_IN) == 0;
        let group = (!to_all).then(|| pick(&mut stream, &GROUPS));
        todo.push((any_time(&mut stream), Todo::Cast { group }));
    }
    todo
}

fn pick(stream: &mut Stream, of: &[&'static str]) -> &'static str {
    stream.pick(of).copied().unwrap_or_default()
}
