//! Faults on the way: a transport that loses, repeats, delays and damages what it is given.
//!
//! Tells datagrams apart by what their senders say they are ([`Transmit::identity`]) and never
//! reads their bytes. What happens to which is up to a [`Policy`]; this knows neither rates nor
//! names, and works over real UDP as over a simulated network.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use udpchat_core::machine::Transmit;
use udpchat_core::time::Time;

use crate::drive::Clock;
use crate::transport::{Received, Transport};

/// What happens to a datagram on its way. By default it arrives at once and as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// It never arrives; nothing else matters then.
    pub lost: bool,
    /// It takes longer by so much.
    pub delay: Duration,
    /// It arrives a second time, undamaged, so long after it would have arrived undelayed.
    pub again: Option<Duration>,
    /// It does not arrive as it was sent.
    pub damage: Option<Damage>,
}

/// How a datagram is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit is the other way round: this one, counted from the first byte's lowest and round
    /// and round.
    Flip {
        /// Which.
        bit: u64,
    },
    /// Only the first bytes arrive, at most all but one.
    Truncate {
        /// How many.
        keep: usize,
    },
}

impl Fate {
    /// What arrives: how long it is held back, and its bytes.
    pub fn copies<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (Duration, Cow<'a, [u8]>)> {
        let first = (self.delay, self.damage.map_or(Cow::Borrowed(bytes), |d| d.applied_to(bytes)));
        let second = self.again.map(|after| (after, Cow::Borrowed(bytes)));
        let (first, second) = if self.lost { (None, None) } else { (Some(first), second) };
        first.into_iter().chain(second)
    }
}

impl Damage {
    fn applied_to(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match (self, bytes.len()) {
            (_, 0) => Cow::Borrowed(bytes),
            (Self::Truncate { keep }, length) => Cow::Borrowed(&bytes[..keep.min(length - 1)]),
            (Self::Flip { bit }, length) => {
                let bit = bit % (8 * length as u64);
                let mut damaged = bytes.to_vec();
                let at = usize::try_from(bit / 8).expect("smaller than the length");
                damaged[at] ^= 1 << (bit % 8);
                Cow::Owned(damaged)
            }
        }
    }
}

/// Decides about every datagram that is sent. Whoever wants to record them does it here.
pub trait Policy {
    /// The fate of this one.
    fn fate(&self, transmit: &Transmit) -> Fate;
}

impl<F: Fn(&Transmit) -> Fate> Policy for F {
    fn fate(&self, transmit: &Transmit) -> Fate {
        self(transmit)
    }
}

/// A transport that can hold a datagram back.
pub trait Carrier: Transport {
    /// As [`Transport::send`], but `delay` later.
    fn send_after(&self, delay: Duration, transmit: &Transmit);
}

/// A transport with faults on the sending side.
#[derive(Debug)]
pub struct Faulty<T, P> {
    carrier: T,
    policy: P,
}

impl<T: Carrier, P: Policy> Faulty<T, P> {
    /// What is sent over `carrier` meets the fate that `policy` has for it.
    pub const fn new(carrier: T, policy: P) -> Self {
        Self { carrier, policy }
    }
}

impl<T: Carrier, P: Policy> Transport for Faulty<T, P> {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.carrier.receive(buffer).await
    }

    fn send(&self, transmit: &Transmit) {
        let fate = self.policy.fate(transmit);
        for (delay, bytes) in fate.copies(&transmit.bytes) {
            let copy = Transmit { bytes: bytes.into_owned(), ..*transmit };
            self.carrier.send_after(delay, &copy);
        }
    }
}

/// Makes a [`Carrier`] of any transport. What is held back goes out while somebody waits in
/// [`Transport::receive`], as the one loop always does, and is lost with the process.
#[derive(Debug)]
pub struct HoldBack<T, C> {
    transport: T,
    clock: C,
    held: RefCell<BTreeMap<(Time, u64), Transmit>>,
    next: Cell<u64>,
}

impl<T: Transport, C: Clock> HoldBack<T, C> {
    /// Holds back on the way to `transport`, by `clock`.
    pub const fn new(transport: T, clock: C) -> Self {
        Self { transport, clock, held: RefCell::new(BTreeMap::new()), next: Cell::new(0) }
    }

    fn take_due(&self) -> Option<Transmit> {
        let now = self.clock.now().time;
        let mut held = self.held.borrow_mut();
        let first = held.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    async fn wait(&self) {
        let due = self.held.borrow().keys().next().map(|(due, _)| *due);
        match due {
            Some(due) => self.clock.sleep(due - self.clock.now().time).await,
            None => std::future::pending().await,
        }
    }
}

impl<T: Transport, C: Clock> Transport for HoldBack<T, C> {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            while let Some(transmit) = self.take_due() {
                self.transport.send(&transmit);
            }
            tokio::select! {
                biased;
                received = self.transport.receive(buffer) => return received,
                () = self.wait() => {}
            }
        }
    }

    fn send(&self, transmit: &Transmit) {
        self.transport.send(transmit);
    }
}

impl<T: Transport, C: Clock> Carrier for HoldBack<T, C> {
    fn send_after(&self, delay: Duration, transmit: &Transmit) {
        if delay.is_zero() {
            return self.transport.send(transmit);
        }
        let due = self.clock.now().time + delay;
        let number = self.next.replace(self.next.get() + 1);
        self.held.borrow_mut().insert((due, number), transmit.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udpchat_core::machine::{Identity, Socket};
    use udpchat_core::protocol::PacketKind;
    use udpchat_core::time::Now;

    fn arrivals(fate: Fate) -> Vec<(u128, Vec<u8>)> {
        let copies = fate.copies(&[1, 2, 3]);
        copies.map(|(delay, bytes)| (delay.as_millis(), bytes.into_owned())).collect()
    }

    #[test]
    fn a_fate_says_what_arrives() {
        let whole = vec![1, 2, 3];
        let ms = Duration::from_millis;
        assert_eq!(arrivals(Fate::default()), [(0, whole.clone())]);
        assert_eq!(arrivals(Fate { lost: true, again: Some(ms(1)), ..Fate::default() }), []);
        let twice = Fate { delay: ms(5), again: Some(ms(2)), ..Fate::default() };
        assert_eq!(arrivals(twice), [(5, whole.clone()), (2, whole)]);
        let flip = Fate { damage: Some(Damage::Flip { bit: 24 + 8 }), ..Fate::default() };
        assert_eq!(arrivals(flip), [(0, vec![1, 3, 3])]);
        let cut = Fate { damage: Some(Damage::Truncate { keep: 9 }), ..Fate::default() };
        assert_eq!(arrivals(cut), [(0, vec![1, 2])]);
    }

    /// The test runtime's paused clock.
    #[derive(Clone, Copy)]
    struct Paused(tokio::time::Instant);

    impl Clock for Paused {
        fn now(&self) -> Now {
            Now { time: Time::from_start(self.0.elapsed()), ..Now::default() }
        }

        async fn sleep(&self, wait: Duration) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Receives nothing, and remembers what was sent when.
    struct Probe {
        clock: Paused,
        sent: RefCell<Vec<(u128, u8)>>,
    }

    impl Transport for &Probe {
        async fn receive(&self, _buffer: &mut [u8]) -> io::Result<Received> {
            std::future::pending().await
        }
        fn send(&self, transmit: &Transmit) {
            let at = self.clock.now().time.since_start().as_millis();
            self.sent.borrow_mut().push((at, transmit.bytes[0]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_goes_out_when_it_is_due() {
        #[expect(clippy::disallowed_methods, reason = "the paused clock of the test's runtime")]
        let clock = Paused(tokio::time::Instant::now());
        let probe = Probe { clock, sent: RefCell::default() };
        let delays = |transmit: &Transmit| {
            let delay = Duration::from_millis(u64::from(transmit.bytes[0]));
            Fate { delay, ..Fate::default() }
        };
        let faulty = Faulty::new(HoldBack::new(&probe, clock), delays);
        for delay in [20, 0, 10] {
            let identity = Identity { kind: PacketKind::Ping, message: None, attempt: 1 };
            let to = "127.0.0.1:1".parse().unwrap();
            let transmit =
                Transmit { socket: Socket::Main, source: None, to, bytes: vec![delay], identity };
            faulty.send(&transmit);
        }
        let mut buffer = [0; 8];
        let nothing = faulty.receive(&mut buffer);
        assert!(tokio::time::timeout(Duration::from_secs(1), nothing).await.is_err());
        assert_eq!(probe.sent.take(), [(0, 0), (10, 10), (20, 20)]);
    }
}
