//! Random runs: a chat among some clients while things go wrong, then healing, then quiet.
//!
//! Gives a plan and knows nothing of how it is run. Every host, link and the talk have streams of
//! their own: another kind of fault more leaves the rest of a seed's run as it was.

mod groups;
mod profile;

use std::collections::BTreeMap;
use std::time::Duration;

pub use profile::Profile;

use udpchat_core::client::timing as client;
use udpchat_core::protocol::limits::TEXT_MAX;
use udpchat_core::server::timing as server;

use crate::faults::disk::DiskFaults;
use crate::faults::fate::{Cut, FaultPlan, SizeLimit, whole_ms};
use crate::naming::label::HostName;
use crate::naming::random::Stream;
use crate::planning::plan::{
    self, Act, CLIENT_PORT, DiskSpeed, Host, Plan, QUIET, Role, SERVER, SERVER_PORT,
};

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

/// A user who has left is back after this at the latest.
const BREAK_MAX_MS: u64 = 8_000;

/// A program that was killed is started again after this at the latest.
const DOWN_MAX_MS: u64 = 6_000;

/// A restart as supervisors do it.
const QUICK_RESTART_MAX_MS: u64 = 200;

/// The longest cut and the longest pause.
const CUT_MAX_MS: u64 = 10_000;
const PAUSE_MAX_MS: u64 = 6_000;

/// The farthest that a calendar clock is set, either way: two days, more than any expiry.
const CLOCK_STEP_MAX_MS: u64 = 172_800_000;

/// The worst clock, either way: NTP gives up correcting one that is worse (RFC 5905, section 11).
/// Timers run as fast or as slow; in 20 s that is 10 ms, the time that a datagram takes.
const DRIFT_MAX_PPM: u32 = 500;

/// One of so many texts is long, anything up to [`TEXT_MAX`]: a limit of size lets it wait.
const LONG_ONE_IN: u64 = 8;

/// In one of so many runs the server keeps messages so briefly that some expire,
const BRIEF_MAIL_ONE_IN: u64 = 8;

/// for this at most: users stay away for longer.
const BRIEF_MAIL_MAX_MS: u64 = 6_000;

/// In one of so many runs about half of the hosts have two addresses.
const TWO_ADDRESSES_ONE_IN: u64 = 4;

/// The first clients are called as in every textbook, the others get numbers.
const NAMES: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

/// The run of this seed.
#[must_use]
pub fn plan(seed: u64, size: &Size, profile: &Profile) -> Plan {
    let clients: Vec<String> = (0..size.clients).map(client_name).collect();
    let mut todo: BTreeMap<String, Vec<(Duration, Todo)>> = BTreeMap::new();
    for host in clients.iter().map(String::as_str).chain([SERVER]) {
        let mut actions = vec![(Duration::ZERO, Todo::Start)];
        actions.extend(mishaps(seed, host, size, profile));
        if host != SERVER {
            actions.extend(breaks(seed, host, size));
        }
        todo.insert(host.to_owned(), actions);
    }
    talk(seed, size, &clients, &mut todo);
    for (index, name) in clients.iter().enumerate() {
        todo.entry(name.clone()).or_default().extend(groups::doings(seed, index, name, size));
    }
    let until = size.duration + SETTLE;
    let server = Host::new(SERVER, Role::Server);
    let users = clients.iter().filter_map(|name| {
        let user = name.parse().ok()?;
        Some(Host::new(name, Role::Client { user }))
    });
    let mut hosts: Vec<Host> = [server].into_iter().chain(users).collect();
    let mut addresses = Stream::new(seed, &["addresses"]);
    let several = addresses.below(TWO_ADDRESSES_ONE_IN) == 0;
    for host in &mut hosts {
        host.two_addresses = several && addresses.fraction() < 0.5;
        let actions = todo.remove(&*host.name).unwrap_or_default();
        write_down(seed, host, actions, size.duration);
    }
    if size.messages > 0 {
        say_one_more(&mut hosts, size.duration + client::GIVE_UP + 2 * MOMENT);
    }
    let faults = FaultPlan {
        rates: profile.rates,
        rates_until: size.duration,
        rules: Vec::new(),
        cuts: cuts(seed, &hosts, size, profile),
        size_limit: profile.mtu.map(|bytes| SizeLimit { bytes, until: size.duration }),
        reseed: None,
    };
    let disk = DiskSpeed { shortest: Duration::ZERO, longest: profile.disk };
    let disk_faults =
        DiskFaults { rate: profile.disk_faults, rate_until: size.duration, rules: Vec::new() };
    let healed = Some(size.duration);
    let (moves, mail) = (Vec::new(), mail(seed));
    Plan { seed, hosts, faults, disk, disk_faults, moves, mail, healed, until }
}

/// How long the server keeps messages, if not as the shipped one does.
fn mail(seed: u64) -> Option<Duration> {
    let mut stream = Stream::new(seed, &["mail"]);
    (stream.below(BRIEF_MAIL_ONE_IN) == 0).then(|| up_to(&mut stream, BRIEF_MAIL_MAX_MS))
}

fn client_name(index: u32) -> String {
    let name = usize::try_from(index).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| format!("user{}", index + 1), |name| (*name).to_owned())
}

/// What is to be done to a host, before it is clear in which state it is by then.
enum Todo {
    Start,
    /// The program is killed, or told to leave. One that still takes its leave when it is to be
    /// started again is so when everything is healed.
    End(Act),
    Pause(Duration),
    Clock(i64),
    Drift(i64),
    Leave,
    Return,
    Say {
        to: String,
        bytes: usize,
    },
    /// A text to a group, or to everybody.
    Cast {
        group: Option<&'static str>,
    },
    /// Anything else.
    Type(String),
}

/// The times of something that happens `per_minute` times, at any moment as likely as at any other.
fn times(stream: &mut Stream, per_minute: f64, within: Duration) -> Vec<Duration> {
    let mut at = Duration::ZERO;
    let next = || {
        let gap_s = -(1.0 - stream.fraction()).ln() * 60.0 / per_minute;
        at = at.checked_add(Duration::try_from_secs_f64(gap_s).ok()?)?;
        (at < within).then(|| Duration::from_millis(whole_ms(at)))
    };
    std::iter::from_fn(next).collect()
}

fn mishaps(seed: u64, host: &str, size: &Size, profile: &Profile) -> Vec<(Duration, Todo)> {
    let mut todo = Vec::new();
    let mut stream = Stream::new(seed, &["crashes", host]);
    for at in times(&mut stream, profile.crashes, size.duration) {
        todo.push((at, Todo::End(Act::Crash)));
        // Half of them are back before what the killed program sent has arrived.
        let most = if stream.fraction() < 0.5 { QUICK_RESTART_MAX_MS } else { DOWN_MAX_MS };
        todo.push((at + up_to(&mut stream, most), Todo::Start));
    }
    let mut stream = Stream::new(seed, &["pauses", host]);
    for at in times(&mut stream, profile.pauses, size.duration) {
        let lasts = up_to(&mut stream, PAUSE_MAX_MS).min(size.duration - at);
        todo.push((at, Todo::Pause(lasts)));
    }
    let mut stream = Stream::new(seed, &["clock", host]);
    for at in times(&mut stream, profile.clock_steps, size.duration) {
        let by = i64::try_from(stream.below(2 * CLOCK_STEP_MAX_MS)).unwrap_or_default();
        let limit = i64::try_from(CLOCK_STEP_MAX_MS).unwrap_or_default();
        todo.push((at, Todo::Clock(by - limit)));
    }
    let mut stream = Stream::new(seed, &["drift", host]);
    for at in times(&mut stream, profile.clock_steps, size.duration) {
        let gains = stream.below(2 * u64::from(DRIFT_MAX_PPM) + 1);
        let gains = i64::try_from(gains).unwrap_or_default();
        todo.push((at, Todo::Drift(gains - i64::from(DRIFT_MAX_PPM))));
    }
    todo
}

fn up_to(stream: &mut Stream, most_ms: u64) -> Duration {
    Duration::from_millis(1 + stream.below(most_ms))
}

/// Half of the users leave once, and come back; half of those end their programs.
fn breaks(seed: u64, host: &str, size: &Size) -> Vec<(Duration, Todo)> {
    let mut stream = Stream::new(seed, &["breaks", host]);
    if stream.fraction() < 0.5 {
        return Vec::new();
    }
    let at = SIGN_IN + up_to(&mut stream, whole_ms(size.duration).max(1));
    let back = at + up_to(&mut stream, BREAK_MAX_MS);
    match stream.fraction() < 0.5 {
        true => vec![(at, Todo::Leave), (back, Todo::Return)],
        false => {
            let leave = Act::Type { line: plan::INTERRUPT.to_owned(), label: None };
            vec![(at, Todo::End(leave)), (back, Todo::Start)]
        }
    }
}

fn talk(
    seed: u64,
    size: &Size,
    clients: &[String],
    todo: &mut BTreeMap<String, Vec<(Duration, Todo)>>,
) {
    let mut stream = Stream::new(seed, &["talk"]);
    let span = whole_ms(size.duration.saturating_sub(SIGN_IN)).max(1);
    for _ in 0..size.messages {
        let at = SIGN_IN + Duration::from_millis(stream.below(span));
        let from = stream.below(clients.len() as u64);
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

/// Writes down what is done to a host, in order of time and only where it makes sense, and heals
/// it in the end.
fn write_down(seed: u64, host: &mut Host, mut todo: Vec<(Duration, Todo)>, heal: Duration) {
    todo.retain(|(at, _)| *at < heal);
    todo.sort_by_key(|(at, _)| *at);
    let mut ports = Stream::new(seed, &["ports", &host.name]);
    let (mut runs, mut away, mut clock, mut drifts) = (false, false, 0, false);
    let mut port = if host.role == Role::Server { SERVER_PORT } else { CLIENT_PORT };
    let mut said = 0;
    for (at, what) in todo {
        match what {
            Todo::Start if !runs => {
                if host.role != Role::Server && ports.fraction() < 0.3 {
                    port += 1;
                }
                host.then(at, Act::Start { port });
                runs = true;
            }
            Todo::End(act) if runs => {
                host.then(at, act);
                (runs, away) = (false, false);
            }
            Todo::Pause(lasts) if runs => host.then(at, Act::Pause { lasts }),
            Todo::Clock(by_ms) => {
                clock += by_ms;
                host.then(at, Act::StepClock { by_ms });
            }
            Todo::Drift(ppm) => {
                drifts = true;
                host.then(at, Act::Drift { ppm });
            }
            Todo::Leave if runs => {
                away = true;
                host.then_type(at, &format!("dereg {}", host.name.clone()));
            }
            Todo::Return if runs && away => {
                away = false;
                host.then_type(at, &format!("reg {}", host.name.clone()));
            }
            Todo::Say { to, bytes } if runs => {
                said += 1;
                let text = format!("{} to {to}, number {said}", host.name);
                host.then_type(at, &format!("send {to} {text:.<bytes$}"));
            }
            Todo::Cast { group } if runs => {
                said += 1;
                let line = match group {
                    Some(group) => format!("send_group {group} {} to {group}", host.name),
                    None => format!("send_all {} to all", host.name),
                };
                host.then_type(at, &format!("{line}, number {said}"));
            }
            Todo::Type(line) if runs => host.then_type(at, &line),
            _ => {}
        }
    }
    // Without effect if it runs. A client that never reached the server ends by itself, the last
    // of them so long after healing.
    host.then(heal, Act::Start { port });
    if away {
        host.then_type(heal, &format!("reg {}", host.name.clone()));
    }
    if drifts {
        host.then(heal, Act::Drift { ppm: 0 });
    }
    if clock != 0 {
        host.then(heal, Act::StepClock { by_ms: -clock });
    }
    host.then(heal + client::GIVE_UP + MOMENT, Act::Start { port });
}

/// Each client writes to the next one when everybody is there: what is healed carries messages,
/// and no run passes in which nothing was sent because nobody ever got as far as signing in.
fn say_one_more(hosts: &mut [Host], at: Duration) {
    let clients = || hosts.iter().filter(|host| host.role != Role::Server);
    let to: Vec<HostName> =
        clients().cycle().skip(1).map(|host| host.name.clone()).take(clients().count()).collect();
    let clients = hosts.iter_mut().filter(|host| host.role != Role::Server);
    for (host, to) in clients.zip(to) {
        host.then_type(at, &format!("send {to} {} to {to}, after healing", host.name));
    }
}

fn cuts(seed: u64, hosts: &[Host], size: &Size, profile: &Profile) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let pairs = hosts.iter().flat_map(|a| hosts.iter().map(move |b| (&a.name, &b.name)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        let mut stream = Stream::new(seed, &["cuts", from, to]);
        for since in times(&mut stream, profile.cuts, size.duration) {
            let until = (since + up_to(&mut stream, CUT_MAX_MS)).min(size.duration);
            // Half of them are cuts of the whole link.
            if stream.fraction() < 0.5 {
                cuts.push(Cut { from: to.clone(), to: from.clone(), since, until });
            }
            let (from, to): (HostName, HostName) = (from.clone(), to.clone());
            cuts.push(Cut { from, to, since, until });
        }
    }
    cuts.sort_by(|a, b| (&a.from, &a.to, a.since).cmp(&(&b.from, &b.to, b.since)));
    // Those that overlap become one: then each can be mended by itself.
    cuts.dedup_by(|next, cut| {
        let overlaps = (&next.from, &next.to) == (&cut.from, &cut.to) && next.since <= cut.until;
        if overlaps {
            cut.until = cut.until.max(next.until);
        }
        overlaps
    });
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::fate::Rates;

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
