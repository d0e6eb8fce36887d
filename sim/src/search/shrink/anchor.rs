//! Keeps a crash at the moment that it is about.
//!
//! A crash in the milliseconds before a commit is missed as soon as anything that came before takes
//! another while. So it is held to what its host had just done, not to the time on the clock.

use std::time::Duration;

use udpchat_core::protocol::PacketKind;

use crate::naming::label::{HostName, Label};
use crate::planning::plan::{Act, Action, Plan};
use crate::record::log::{Entry, Log, What};

/// What a host did with a message.
#[derive(PartialEq)]
enum Deed<'a> {
    Sends(&'a HostName, PacketKind, &'a Label),
    Gets(&'a HostName, PacketKind, &'a Label),
}

/// The plan with its crashes moved to where, by the log `now`, the hosts do what they had done last
/// in the log `before`. None if there is nothing to move.
pub(super) fn follow(plan: &Plan, before: &Log, now: &Log) -> Option<Plan> {
    let mut moved = plan.clone();
    for host in &mut moved.hosts {
        let crashes = host.actions.iter().enumerate();
        let crashes = crashes.filter(|(_, action)| action.act == Act::Crash);
        let crashes: Vec<usize> = crashes.map(|(index, _)| index).collect();
        for crash in crashes {
            if let Some(at) = new_time(&host.name, host.actions[crash].at, before, now) {
                shift(&mut host.actions, crash, at);
            }
        }
    }
    (moved != *plan).then_some(moved)
}

fn new_time(host: &HostName, at: Duration, before: &Log, now: &Log) -> Option<Duration> {
    let entries = before.entries.iter().take_while(|entry| entry.at <= at);
    let (then, deed) = deeds(entries, host).last()?;
    let same = deeds(now.entries.iter(), host).filter(|(_, other)| *other == deed);
    let (again, _) = same.min_by_key(|(time, _)| time.abs_diff(then))?;
    Some(again + (at - then))
}

fn deeds<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    host: &HostName,
) -> impl Iterator<Item = (Duration, Deed<'a>)> {
    entries.filter(move |entry| entry.host == *host).filter_map(|entry| {
        let deed = match &entry.what {
            What::Sent { key, .. } => Deed::Sends(&key.to, key.packet, key.message.as_ref()?),
            What::Arrived { from, packet, message, .. } => {
                Deed::Gets(from, *packet, message.as_ref()?)
            }
            _ => return None,
        };
        Some((entry.at, deed))
    })
}

/// Moves a crash, and with it the start after it, if the order of what is done to the host stays.
fn shift(actions: &mut [Action], crash: usize, at: Duration) {
    let is_start = |action: &Action| matches!(action.act, Act::Start { .. });
    let last = if actions.get(crash + 1).is_some_and(is_start) { crash + 1 } else { crash };
    let old = actions[crash].at;
    let new = |time: Duration| time - old + at;
    let after = actions.get(last + 1).map_or(Duration::MAX, |action| action.at);
    let earlier = if crash == 0 { Duration::ZERO } else { actions[crash - 1].at };
    if earlier <= at && new(actions[last].at) <= after {
        for action in &mut actions[crash..=last] {
            action.at = new(action.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::plan::SERVER;
    use crate::planning::scenario::Scenario;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The server gets two messages.
    fn log(times: [u64; 2]) -> Log {
        let entry = |(at, message): (u64, &str)| {
            let message = Some(message.parse().unwrap());
            let (from, packet, local) = ("alice".into(), PacketKind::Save, None);
            let what = What::Arrived { from, packet, message, local };
            Entry { at: ms(at), host: SERVER.into(), what }
        };
        let entries = times.into_iter().zip(["alice#1", "alice#2"]).map(entry).collect();
        Log { entries, ..Log::default() }
    }

    fn crash_and_restart(at: u64) -> Plan {
        let text = format!(
            r#"{{"about": "", "steps": [{{"at": "{at}ms", "crash": "server"}},
               {{"at": "{}ms", "restart": "server"}}], "until": "9s"}}"#,
            at + 100,
        );
        Scenario::parse(&text).unwrap().plan()
    }

    #[test]
    fn a_crash_stays_with_what_came_before_it() {
        let plan = crash_and_restart(205);
        let followed = |now| follow(&plan, &log([100, 200]), &log(now));
        assert_eq!(followed([150, 250]), Some(crash_and_restart(255)));
        assert_eq!(followed([90, 120]), Some(crash_and_restart(125)));
        assert_eq!(followed([150, 200]), None);
        assert_eq!(follow(&plan, &log([300, 400]), &log([100, 200])), None);
    }
}
