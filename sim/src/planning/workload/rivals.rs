//! Somebody else wants a user's name, while that user is here and while they are away: with a
//! folder of their own, new at first and older later, or with a copy of that user's. They are gone
//! when everything is healed.

use std::time::Duration;

use super::script::{Todo, play};
use super::{SIGN_IN, Size, up_to};
use crate::faults::fate::whole_ms;
use crate::naming::label::HostName;
use crate::naming::random::Stream;
use crate::planning::plan::{Act, Folder, Host, INTERRUPT, Role};

/// How often a rival comes at most, and how long they stay at most.
const VISITS_MAX: u64 = 3;
const STAYS_MAX_MS: u64 = 12_000;

/// From then on until everything is healed a rival is gone: a program that its disk has ended is
/// started again within 4 s.
const GONE_BEFORE: Duration = Duration::from_secs(5);

/// A rival, whose name they want, and what that user does for it.
type Rival = (Host, String, Vec<(Duration, Todo)>);

/// A rival, and whose name they want.
///
/// A thief has a copy of that user's folder, each time one of another time: the user's todo says
/// when it is made.
pub(super) fn rival(seed: u64, size: &Size, clients: &[String], is_thief: bool) -> Option<Rival> {
    let mut stream = Stream::new(seed, &["rival"]);
    let victim = stream.pick(clients)?.clone();
    let others: Vec<&String> = clients.iter().filter(|name| **name != victim).collect();
    let end = size.duration.checked_sub(GONE_BEFORE)?;
    let span = whole_ms(end.checked_sub(SIGN_IN)?);
    let mut host = Host::new("rival", Role::Client { user: victim.parse().ok()? });
    let (mut todo, mut copies) = (Vec::new(), Vec::new());
    let mut at = Duration::ZERO;
    for _ in 0..=stream.below(VISITS_MAX) {
        at += SIGN_IN + up_to(&mut stream, span);
        let until = (at + up_to(&mut stream, STAYS_MAX_MS)).min(end);
        if at >= until {
            break;
        }
        if is_thief {
            let by = HostName::from(&*victim);
            copies.push((at - up_to(&mut stream, whole_ms(at)), Todo::Folder(Folder::Copied)));
            todo.push((at, Todo::Folder(Folder::Replaced { by })));
        }
        todo.push((at, Todo::Start));
        let stays = whole_ms(until - at).max(1);
        for _ in 0..stream.below(3) {
            let (at, to) = (at + up_to(&mut stream, stays), (*stream.pick(&others)?).clone());
            todo.push((at, Todo::Say { to, bytes: 0 }));
        }
        let leaves = Act::Type { line: INTERRUPT.to_owned(), label: None };
        let ends = if stream.fraction() < 0.5 { Act::Crash } else { leaves };
        todo.push((until, Todo::End(ends)));
        at = until;
    }
    play(seed, &mut host, todo, size.duration);
    host.then(size.duration, Act::Crash);
    Some((host, victim, copies))
}
