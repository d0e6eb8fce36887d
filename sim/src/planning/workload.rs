//! Random runs: a chat among some clients while things go wrong, then healing, then quiet.
//!
//! Gives a plan and knows nothing of how it is run. Every host, link and the talk have streams of
//! their own: another kind of fault more leaves the rest of a seed's run as it was.

mod absences;
mod course;
mod folders;
mod groups;
mod mishaps;
mod profile;
mod restless;
mod rivals;
mod script;
mod talk;

use std::collections::BTreeMap;
use std::time::Duration;

pub use profile::Profile;

use udpchat_core::client::timing as client;
use udpchat_core::protocol::Name;
use udpchat_core::server::timing as server;

use crate::faults::disk::DiskFaults;
use crate::faults::fate::{Cut, FaultPlan, SizeLimit, whole_ms};
use crate::naming::random::Stream;
use crate::planning::plan::{DiskSpeed, Host, Plan, QUIET, Role, SERVER};
use course::{Away, Course};
use script::Todo;

/// How much is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Clients.
    pub clients: u32,
    /// Messages that they type while things go wrong. If there are any, each types one more when
    /// everything is healed.
    pub messages: u32,
    /// How long they talk, faults included.
    pub duration: Duration,
}

impl Size {
    /// Of runs of which nobody has asked for another.
    pub const USUAL: Self = Self { clients: 4, messages: 40, duration: Duration::from_secs(20) };
}

/// The least time after healing in which everything must have settled.
///
/// A lease that nobody renews ends, a client that waits longest asks again, it takes over its
/// name, a message takes the direct way in vain, then the server's, with the longest pauses; and
/// what was refused is tried again. Behind it the quiet in which only keep-alives may pass.
pub const SETTLE: Duration = Duration::from_secs(
    server::LEASE.as_secs()
        + 2 * client::BACKOFF_MAX.as_secs()
        + client::UNSENT_AFTER.as_secs()
        + 2 * server::RESEND_MAX.as_secs()
        + client::REFUSED_RETRY.as_secs()
        + QUIET.as_secs(),
);

/// The resolution of simulated time: what must follow something else follows it so much later.
const MOMENT: Duration = Duration::from_millis(1);

/// Before the talk begins: time to sign in.
const SIGN_IN: Duration = Duration::from_secs(1);

/// In one of so many runs the server keeps messages so briefly that some expire,
const BRIEF_MAIL_ONE_IN: u64 = 8;

/// for this at most: users stay away for longer.
const BRIEF_MAIL_MAX_MS: u64 = 6_000;

/// The same where some are away for long.
const BRIEF_MAIL_ONE_IN_AWAY: u64 = 2;

/// In one of so many runs about half of the hosts have two addresses.
const TWO_ADDRESSES_ONE_IN: u64 = 4;

/// The first clients are called as in every textbook, the others get numbers.
const NAMES: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

/// The usual run of this seed.
#[must_use]
pub fn plan(seed: u64, size: &Size, profile: &Profile) -> Plan {
    planned(seed, &Course::usual(*size, *profile))
}

/// The run of this seed in a sweep, which now and then takes another course than the usual one.
#[must_use]
pub fn varied(seed: u64, size: &Size, profile: &Profile) -> Plan {
    planned(seed, &Course::of(seed, size, profile))
}

fn planned(seed: u64, course: &Course) -> Plan {
    let Course { size, profile, .. } = course;
    let clients: Vec<String> = (0..size.clients).map(client_name).collect();
    let mut todo: BTreeMap<String, Vec<(Duration, Todo)>> = BTreeMap::new();
    for host in clients.iter().map(String::as_str).chain([SERVER]) {
        let mut actions = vec![(Duration::ZERO, Todo::Start)];
        actions.extend(mishaps::mishaps(seed, host, size, profile));
        if host != SERVER {
            actions.extend(mishaps::breaks(seed, host, size));
            if course.restless {
                actions.extend(restless::doings(seed, host, size));
            }
        }
        todo.insert(host.to_owned(), actions);
    }
    talk::talk(seed, course, &clients, &mut todo);
    for (index, name) in clients.iter().enumerate() {
        todo.entry(name.clone()).or_default().extend(groups::doings(seed, index, name, size));
    }
    let folders = course.folders.and_then(|it| folders::doings(seed, size, &clients, it));
    if let Some((whose, doings)) = folders {
        todo.entry(whose).or_default().extend(doings);
    }
    let mut hosts = hosts(&clients);
    let rival = course.rivals.then(|| rivals::rival(seed, size, &clients, course.thief)).flatten();
    let rival = rival.map(|(rival, wanted, copies)| {
        todo.entry(wanted.clone()).or_default().extend(copies);
        (rival, wanted)
    });
    let (rival, wanted) = rival.unzip();
    let removal = course.removal.then(|| folders::removal(seed, size, &clients, &mut todo));
    let mut removal = removal.flatten();
    if let Some(folders::Removal { to, todo: doings, .. }) = &mut removal {
        todo.insert(to.name.to_string(), std::mem::take(doings));
        hosts.push(to.clone());
    }
    let mut addresses = Stream::new(seed, &["addresses"]);
    let several = addresses.below(TWO_ADDRESSES_ONE_IN) == 0;
    let mut cut_off = Vec::new();
    let everyone = hosts.clone();
    for host in &mut hosts {
        host.two_addresses = several && addresses.fraction() < 0.5;
        let mut actions = todo.remove(&*host.name).unwrap_or_default();
        if let Some(away) = &course.away {
            let absences = absences::absences(seed, &host.name, size, away);
            absences::keep_away(&host.name, &mut actions, &absences);
            cut_off.extend(absences::cuts(&host.name, &everyone, &absences));
        }
        if let Some(left) = removal.as_ref().filter(|it| *it.from == *host.name) {
            script::leave_behind(seed, host, actions, left.at, size.duration);
            continue;
        }
        let is_wanted = wanted.as_deref() == host.user().map(Name::as_str) && wanted.is_some();
        script::write_down(seed, host, actions, size.duration, is_wanted);
    }
    hosts.extend(rival);
    if size.messages > 0 {
        script::say_one_more(&mut hosts, size.duration + client::GIVE_UP + 2 * MOMENT);
    }
    let faults = faults(seed, course, &hosts, cut_off);
    let disk = DiskSpeed { shortest: Duration::ZERO, longest: profile.disk };
    let disk_faults =
        DiskFaults { rate: profile.disk_faults, rate_until: size.duration, rules: Vec::new() };
    let (healed, until) = (Some(size.duration), size.duration + SETTLE);
    let (moves, mail) = (Vec::new(), mail(seed, course.away.as_ref()));
    Plan { seed, hosts, faults, disk, disk_faults, moves, mail, healed, until }
}

/// The server and the clients, to which nothing is done yet.
fn hosts(clients: &[String]) -> Vec<Host> {
    let users = clients.iter().filter_map(|name| {
        let user = name.parse().ok()?;
        Some(Host::new(name, Role::Client { user }))
    });
    [Host::new(SERVER, Role::Server)].into_iter().chain(users).collect()
}

/// What the network does, with these cuts among others.
fn faults(seed: u64, course: &Course, hosts: &[Host], cuts: Vec<Cut>) -> FaultPlan {
    let Course { size, profile, .. } = course;
    FaultPlan {
        rates: profile.rates,
        rates_until: size.duration,
        rules: Vec::new(),
        cuts: mishaps::cuts(seed, hosts, size, profile, cuts),
        size_limit: profile.mtu.map(|bytes| SizeLimit { bytes, until: size.duration }),
        reseed: None,
    }
}

/// How long the server keeps messages, if not as the shipped one does.
fn mail(seed: u64, away: Option<&Away>) -> Option<Duration> {
    let mut stream = Stream::new(seed, &["mail"]);
    let (one_in, longest) = match away {
        None => (BRIEF_MAIL_ONE_IN, BRIEF_MAIL_MAX_MS),
        Some(away) => (BRIEF_MAIL_ONE_IN_AWAY, whole_ms(away.mail)),
    };
    (stream.below(one_in) == 0).then(|| up_to(&mut stream, longest))
}

fn up_to(stream: &mut Stream, most_ms: u64) -> Duration {
    Duration::from_millis(1 + stream.below(most_ms))
}

fn client_name(index: u32) -> String {
    let name = usize::try_from(index).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| format!("user{}", index + 1), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::mishaps::{BREAK_MAX_MS, times};
    use super::*;
    use crate::faults::fate::Rates;
    use crate::planning::plan::Act;

    const SIZE: Size = Size { clients: 3, messages: 30, duration: Duration::from_secs(20) };

    fn busy() -> Profile {
        let rates = Rates { drop: 0.3, ..Rates::default() };
        Profile {
            rates,
            cuts: 6.0,
            crashes: 6.0,
            pauses: 6.0,
            clock_steps: 6.0,
            mtu: None,
            disk: Duration::ZERO,
            disk_faults: 0.0,
        }
    }

    #[test]
    fn whoever_is_there_in_the_end_writes_to_the_next() {
        let plan = plan(1, &SIZE, &busy());
        let last = plan.hosts.iter().filter_map(|host| match &host.actions.last()?.act {
            Act::Type { line, .. } => Some(line.clone()),
            _ => None,
        });
        let to = last.filter_map(|line| line.split(' ').nth(1).map(str::to_owned));
        assert_eq!(to.collect::<Vec<_>>(), ["bob", "carol", "alice"]);
        let nothing = super::plan(1, &Size { messages: 0, ..SIZE }, &busy());
        let acts = nothing.hosts.iter().flat_map(|host| &host.actions).map(|action| &action.act);
        assert!(!acts.clone().any(|act| matches!(act, Act::Type { label: Some(_), .. })));
    }

    #[test]
    fn a_seed_always_gives_the_same_run() {
        assert_eq!(plan(1, &SIZE, &busy()), plan(1, &SIZE, &busy()));
        assert_ne!(plan(1, &SIZE, &busy()), plan(2, &SIZE, &busy()));
    }

    #[test]
    fn everything_is_healed_in_the_end() {
        for seed in 0..50 {
            let plan = plan(seed, &SIZE, &busy());
            assert!(plan.faults.cuts.iter().all(|cut| cut.until <= SIZE.duration));
            for host in &plan.hosts {
                let acts = host.actions.iter().map(|action| &action.act);
                let starts = acts.clone().filter(|act| matches!(act, Act::Start { .. })).count();
                let crashes = acts.clone().filter(|act| matches!(act, Act::Crash)).count();
                assert!(starts > crashes, "{}", host.name);
                let off: i64 = acts
                    .map(|act| if let Act::StepClock { by_ms } = act { *by_ms } else { 0 })
                    .sum();
                assert_eq!(off, 0);
                let mut drifts = host.actions.iter().filter_map(|action| match action.act {
                    Act::Drift { ppm } => Some(ppm),
                    _ => None,
                });
                assert_eq!(drifts.next_back().unwrap_or(0), 0);
                assert!(host.actions.is_sorted_by_key(|action| action.at));
            }
        }
    }

    #[test]
    fn another_kind_of_fault_leaves_the_talk_as_it_was() {
        let quiet = plan(5, &SIZE, &Profile::default());
        let lossy = plan(5, &SIZE, &Profile { rates: busy().rates, ..Profile::default() });
        assert_eq!(quiet.hosts, lossy.hosts);
    }

    #[test]
    fn in_some_runs_messages_are_kept_for_less_than_users_stay_away() {
        let plans = (0..200).map(|seed| plan(seed, &SIZE, &Profile::default()));
        let brief: Vec<Duration> = plans.filter_map(|plan| plan.mail).collect();
        assert!((10..50).contains(&brief.len()), "{}", brief.len());
        assert!(brief.iter().all(|mail| *mail < Duration::from_millis(BREAK_MAX_MS)));
    }

    #[test]
    fn what_happens_so_often_does() {
        let mut stream = Stream::new(1, &["test"]);
        let times = times(&mut stream, 60.0, Duration::from_secs(1_000));
        assert!((900..1_100).contains(&times.len()), "{}", times.len());
    }
}
