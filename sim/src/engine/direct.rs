//! The engine that explores: one future a host, and a list of when each is due.
//!
//! Time jumps to the next moment at which anything is due, and every host that is due then is
//! polled, in the order of addresses, until it no longer wakes itself. A datagram goes straight to
//! the recipient's card. Whatever else happens is the hosts' own doing (see [`super::world`]).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::runtime::{Cable, Parcel, Timeline, Waiting};
use super::world::{Storage, World};
use crate::faults::bugs::Planted;
use crate::planning::plan::Plan;
use crate::record::outcome::Outcome;

/// Runs the plan.
pub(super) fn run(plan: &Plan, bugs: &Planted) -> Outcome {
    let schedule = Rc::new(Schedule::default());
    let timeline = Rc::new(Scheduled(Rc::clone(&schedule)));
    let storage = if plan.disk_faults.are_none() { Storage::Memory } else { Storage::Disk };
    let world = World::new(plan, bugs, timeline, storage);
    let switch = Rc::new(Switch::new(&world, Rc::clone(&schedule)));
    let place = |host| Rc::new(Plugged { switch: Rc::clone(&switch), host }) as Rc<dyn Cable>;
    let mut hosts: Vec<Running> =
        (0..world.hosts().len()).map(|host| Running::new(world.host(host, place(host)))).collect();
    (0..hosts.len()).for_each(|host| schedule.wake(Duration::ZERO, host));
    let mut second = Duration::ZERO;
    loop {
        let next = schedule.next().filter(|(at, _)| *at <= plan.until);
        let at = next.map_or(plan.until, |(at, _)| at);
        // Before what is due then: whoever asks has seen everything before.
        while second < whole_seconds(at) {
            second += Duration::from_secs(1);
            if world.is_settled(second) {
                return world.finish(second);
            }
        }
        let Some((at, host)) = next else { return world.finish(plan.until) };
        schedule.now.set(at);
        schedule.host.set(host);
        hosts[host].poll_until_it_rests();
    }
}

const fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// Who is due when.
#[derive(Default)]
struct Schedule {
    now: Cell<Duration>,
    /// The host that is being polled.
    host: Cell<usize>,
    due: RefCell<BTreeSet<(Duration, usize)>>,
}

impl Schedule {
    fn wake(&self, at: Duration, host: usize) {
        self.due.borrow_mut().insert((at, host));
    }

    fn next(&self) -> Option<(Duration, usize)> {
        self.due.borrow_mut().pop_first()
    }
}

/// The time of the schedule.
struct Scheduled(Rc<Schedule>);

impl Timeline for Scheduled {
    fn now(&self) -> Duration {
        self.0.now.get()
    }

    fn sleep(&self, wait: Duration) -> Waiting<'static> {
        let due = up_to_whole_ms(self.now().saturating_add(wait));
        let schedule = Rc::clone(&self.0);
        let mut is_known = false;
        Box::pin(poll_fn(move |_| {
            if schedule.now.get() >= due {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut is_known, true) {
                schedule.wake(due, schedule.host.get());
            }
            Poll::Pending
        }))
    }
}

/// The next whole millisecond.
fn up_to_whole_ms(time: Duration) -> Duration {
    const NANOS_IN_MS: u32 = 1_000_000;
    let over = time.subsec_nanos() % NANOS_IN_MS;
    let missing = if over == 0 { 0 } else { NANOS_IN_MS - over };
    time.saturating_add(Duration::from_nanos(missing.into()))
}

/// A host's future, and whether it has woken itself.
struct Running {
    future: Waiting<'static>,
    woken: Arc<Woken>,
    waker: Waker,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Running {
    fn new(future: Waiting<'static>) -> Self {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        Self { future, woken, waker }
    }

    fn poll_until_it_rests(&mut self) {
        loop {
            self.woken.0.store(false, Ordering::Relaxed);
            // A host never ends: it outlives every program.
            let _ = self.future.as_mut().poll(&mut Context::from_waker(&self.waker));
            if !self.woken.0.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Between all hosts' cards.
struct Switch {
    schedule: Rc<Schedule>,
    addresses: BTreeMap<IpAddr, usize>,
    hosts: Vec<Port>,
}

/// What a host has plugged in.
struct Port {
    address: IpAddr,
    open: Vec<u16>,
    arrived: RefCell<VecDeque<(u16, SocketAddr, Parcel)>>,
}

impl Switch {
    fn new(world: &World, schedule: Rc<Schedule>) -> Self {
        let hosts = world.hosts().iter();
        let addresses = hosts.clone().enumerate().map(|(host, it)| (it.address, host)).collect();
        let port = |address, open| Port { address, open, arrived: RefCell::default() };
        let hosts = hosts.map(|it| port(it.address, it.ports.clone())).collect();
        Self { schedule, addresses, hosts }
    }
}

struct Plugged {
    switch: Rc<Switch>,
    host: usize,
}

impl Cable for Plugged {
    fn send(&self, from_port: u16, to: SocketAddr, parcel: Parcel) {
        let Switch { schedule, addresses, hosts } = &*self.switch;
        let Some(host) = addresses.get(&to.ip()) else { return };
        let recipient = &hosts[*host];
        if recipient.open.contains(&to.port()) {
            schedule.wake(parcel.due, *host);
            let from = SocketAddr::new(hosts[self.host].address, from_port);
            recipient.arrived.borrow_mut().push_back((to.port(), from, parcel));
        }
    }

    fn take(&self) -> Option<(u16, SocketAddr, Parcel)> {
        self.switch.hosts[self.host].arrived.borrow_mut().pop_front()
    }

    fn arrived(&self) -> Waiting<'_> {
        let arrived = &self.switch.hosts[self.host].arrived;
        // Nobody is woken before the schedule says so.
        Box::pin(poll_fn(
            |_| if arrived.borrow().is_empty() { Poll::Pending } else { Poll::Ready(()) },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_with_a_millisecond() {
        let nanos = Duration::from_nanos;
        for (time, whole) in [(0, 0), (1, 1_000_000), (999_999, 1_000_000), (1_000_000, 1_000_000)]
        {
            assert_eq!(up_to_whole_ms(nanos(time)), nanos(whole));
        }
        let later = Duration::from_millis(1_999) + nanos(1);
        assert_eq!(up_to_whole_ms(later), Duration::from_secs(2));
    }
}
