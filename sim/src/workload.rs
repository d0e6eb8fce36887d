//! Random runs: a chat among some clients while things go wrong, then healing, then quiet.
//!
//! Gives a plan and knows nothing of how it is run. Every host, link and the talk have streams of
//! their own: another kind of fault more leaves the rest of a seed's run as it was.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat::client::timing as client;
use udpchat::server::timing as server;

use crate::check::QUIET;
use crate::fate::{Cut, FaultPlan, Rates, SizeLimit, whole_ms};
use crate::label::HostName;
use crate::plan::{Act, CLIENT_PORT, DiskSpeed, Host, Plan, Role, SERVER, SERVER_PORT};
use crate::random::Stream;

/// How much is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Clients.
    pub clients: u32,
    /// Messages that they type in all.
    pub messages: u32,
    /// How long they talk, faults included.
    pub duration: Duration,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Profile {
    /// To datagrams.
    pub rates: Rates,
    /// Cuts a minute, for each direction of each link.
    pub cuts: f64,
    /// Crashes a minute, for each host.
    pub crashes: f64,
    /// Pauses a minute, for each host.
    pub pauses: f64,
    /// Calendar clocks set, a minute, for each host; and the same number again that begin to go
    /// wrong.
    pub clock_steps: f64,
    /// Datagrams of more bytes are lost.
    pub mtu: Option<usize>,
    /// The longest time that a commit takes.
    pub disk: Duration,
}

impl Profile {
    /// As much of everything as swarm runs have at most.
    pub const MOST: Self = Self {
        rates: Rates {
            drop: 0.5,
            duplicate: 0.3,
            corrupt: 0.1,
            truncate: 0.1,
            delay: Some((Duration::ZERO, Duration::from_millis(400))),
            burst: 0.2,
        },
        cuts: 4.0,
        crashes: 4.0,
        pauses: 4.0,
        clock_steps: 4.0,
        mtu: None,
        disk: Duration::from_millis(100),
    };

    /// A moderate amount of everything at once.
    pub const ALL: Self = Self {
        rates: Rates {
            drop: 0.1,
            duplicate: 0.1,
            corrupt: 0.05,
            truncate: 0.05,
            delay: Some((Duration::ZERO, Duration::from_millis(200))),
            burst: 0.05,
        },
        cuts: 1.0,
        crashes: 2.0,
        pauses: 1.0,
        clock_steps: 1.0,
        mtu: None,
        disk: Duration::from_millis(20),
    };

    /// Each kind of fault with a probability of one half, and then anything up to this much of it.
    #[must_use]
    pub fn some(&self, seed: u64) -> Self {
        let mut stream = Stream::new(seed, &["swarm"]);
        let mut some = |most: f64| {
            let (chosen, part) = (stream.fraction() < 0.5, stream.fraction());
            if chosen { most * part } else { 0.0 }
        };
        Self {
            rates: Rates {
                drop: some(self.rates.drop),
                duplicate: some(self.rates.duplicate),
                corrupt: some(self.rates.corrupt),
                truncate: some(self.rates.truncate),
                delay: self.rates.delay.and_then(|(shortest, longest)| {
                    let part = some(1.0);
                    let longest = shortest + (longest.saturating_sub(shortest)).mul_f64(part);
                    let longest = Duration::from_millis(whole_ms(longest));
                    (part > 0.0).then_some((shortest, longest))
                }),
                burst: some(self.rates.burst),
            },
            cuts: some(self.cuts),
            crashes: some(self.crashes),
            pauses: some(self.pauses),
            clock_steps: some(self.clock_steps),
            disk: Duration::from_millis(whole_ms(self.disk.mul_f64(some(1.0)))),
            mtu: self.mtu.filter(|_| some(1.0) > 0.0),
        }
    }
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

/// The worst calendar clock: it gains or loses half of the time, so that a short run meets what
/// real clocks do in months.
const DRIFT_MAX_PPM: u32 = 500_000;

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
    let until = size.duration + SETTLE;
    let server = Host::new(SERVER, Role::Server);
    let users = clients.iter().filter_map(|name| {
        let user = name.parse().ok()?;
        Some(Host::new(name, Role::Client { user }))
    });
    let mut hosts: Vec<Host> = [server].into_iter().chain(users).collect();
    for host in &mut hosts {
        let actions = todo.remove(&*host.name).unwrap_or_default();
        write_down(seed, host, actions, size.duration);
    }
    let faults = FaultPlan {
        rates: profile.rates,
        rates_until: size.duration,
        rules: Vec::new(),
        cuts: cuts(seed, &hosts, size, profile),
        size_limit: profile.mtu.map(|bytes| SizeLimit { bytes, until: size.duration }),
    };
    let disk = DiskSpeed { shortest: Duration::ZERO, longest: profile.disk };
    Plan { seed, hosts, faults, disk, healed: Some(size.duration), until }
}

fn client_name(index: u32) -> String {
    let name = usize::try_from(index).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| format!("user{}", index + 1), |name| (*name).to_owned())
}

/// What is to be done to a host, before it is clear in which state it is by then.
enum Todo {
    Start,
    Crash,
    Pause(Duration),
    Clock(i64),
    Drift(i64),
    Leave,
    Return,
    Say { to: String },
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
        todo.push((at, Todo::Crash));
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

/// Half of the users leave once, and come back.
fn breaks(seed: u64, host: &str, size: &Size) -> Vec<(Duration, Todo)> {
    let mut stream = Stream::new(seed, &["breaks", host]);
    if stream.fraction() < 0.5 {
        return Vec::new();
    }
    let at = SIGN_IN + up_to(&mut stream, whole_ms(size.duration).max(1));
    vec![(at, Todo::Leave), (at + up_to(&mut stream, BREAK_MAX_MS), Todo::Return)]
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
        let say = Todo::Say { to: (*to).clone() };
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
            Todo::Crash if runs => {
                host.then(at, Act::Crash);
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
            Todo::Say { to } if runs => {
                said += 1;
                let line = format!("send {to} {} to {to}, number {said}", host.name);
                host.then_type(at, &line);
            }
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
    host.then(heal + client::GIVE_UP + Duration::from_millis(1), Act::Start { port });
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
        }
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
    fn what_happens_so_often_does() {
        let mut stream = Stream::new(1, &["test"]);
        let times = times(&mut stream, 60.0, Duration::from_secs(1_000));
        assert!((900..1_100).contains(&times.len()), "{}", times.len());
    }
}
