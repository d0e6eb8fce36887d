//! Folders that are lost, or give way to an older copy of themselves, and a copy that goes on at
//! another host: beside the one that it was made of, or in its place.

use std::collections::BTreeMap;
use std::time::Duration;

use super::script::Todo;
use super::{MOMENT, SIGN_IN, Size, up_to};
use crate::faults::fate::whole_ms;
use crate::naming::label::HostName;
use crate::naming::random::Stream;
use crate::planning::plan::{Act, Folder, Host, Role};

/// Until a program is started whose folder is another.
const DOWN_MAX_MS: u64 = 3_000;

/// What becomes of folders in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folders {
    /// Somebody's is lost: the disk was replaced, and there is no copy.
    Lost,
    /// There is a copy, and it is older.
    Restored,
}

/// Whose folder it is, and what is done to that host.
pub(super) fn doings(
    seed: u64,
    size: &Size,
    clients: &[String],
    folders: Folders,
) -> Option<(String, Vec<(Duration, Todo)>)> {
    let mut stream = Stream::new(seed, &["folders"]);
    let whose = stream.pick(clients)?.clone();
    let span = whole_ms(size.duration.saturating_sub(SIGN_IN)).max(1);
    let mut todo = Vec::new();
    for _ in 0..=stream.below(2) {
        let (a, b) = (up_to(&mut stream, span), up_to(&mut stream, span));
        let (copied, at) = (SIGN_IN + a.min(b), SIGN_IN + a.max(b));
        let folder = match folders {
            Folders::Lost => Folder::Lost,
            Folders::Restored => {
                todo.push((copied, Todo::Folder(Folder::Copied)));
                // Who has not registered again since is not known for an older copy.
                let again = copied + up_to(&mut stream, whole_ms(at - copied).max(1));
                todo.push((again, Todo::End(Act::Crash)));
                todo.push((again + MOMENT, Todo::Start));
                Folder::Replaced { by: HostName::from(&*whose) }
            }
        };
        todo.push((at, Todo::End(Act::Crash)));
        todo.push((at + MOMENT, Todo::Folder(folder)));
        todo.push((at + MOMENT + up_to(&mut stream, DOWN_MAX_MS), Todo::Start));
    }
    Some((whose, todo))
}

/// Somebody goes on at another host, with a copy of their folder: from when on, and what is done
/// there. The rest of what was to be done to the first host is done to the other.
pub(super) struct Removal {
    /// From where.
    pub(super) from: String,
    /// When.
    pub(super) at: Duration,
    /// The other host.
    pub(super) to: Host,
    /// What is done there.
    pub(super) todo: Vec<(Duration, Todo)>,
}

/// Who goes on elsewhere, and takes the rest of what was to be done along.
pub(super) fn removal(
    seed: u64,
    size: &Size,
    clients: &[String],
    todo: &mut BTreeMap<String, Vec<(Duration, Todo)>>,
) -> Option<Removal> {
    let mut stream = Stream::new(seed, &["removal"]);
    let from = stream.pick(clients)?.clone();
    let span = whole_ms(size.duration.saturating_sub(SIGN_IN)).max(1);
    let at = SIGN_IN + up_to(&mut stream, span);
    let all = todo.remove(&from)?;
    let (before, mut after): (Vec<_>, Vec<_>) = all.into_iter().partition(|(then, _)| *then < at);
    todo.insert(from.clone(), before);
    let by = HostName::from(&*from);
    after.push((at + MOMENT, Todo::Folder(Folder::Replaced { by })));
    after.push((at + MOMENT + up_to(&mut stream, DOWN_MAX_MS), Todo::Start));
    let to = Host::new("elsewhere", Role::Client { user: from.parse().ok()? });
    Some(Removal { from, at, to, todo: after })
}
