//! What hosts run on: time that passes for all of them, and cables between their cards.
//!
//! Both engines give the same hosts these two and nothing else, so neither can behave otherwise
//! than the other does (`sim/tests/engines.rs`).

use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Waiting for something, boxed: an engine is chosen while the program runs.
pub(super) type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The time of a run.
pub(super) trait Timeline {
    /// Since the run began. While a program takes a step it stands still.
    fn now(&self) -> Duration;

    /// Waits so long, rounded up to whole milliseconds. All that waits on a host until the same
    /// millisecond is woken at once.
    fn sleep(&self, wait: Duration) -> Waiting<'static>;
}

/// A host's connection with all others.
pub(super) trait Cable {
    /// Sends from a port; what nobody's card has a port for is lost. Arrives before it is due.
    fn send(&self, from_port: u16, to: SocketAddr, parcel: Parcel);

    /// Takes what has arrived: at which port, from where, and what.
    fn take(&self) -> Option<(u16, SocketAddr, Parcel)>;

    /// Waits until there is something to take.
    fn arrived(&self) -> Waiting<'_>;
}

/// A datagram between two cards, with what only cards are to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    /// When its program may have it, since the run began, in whole milliseconds.
    pub(super) due: Duration,
    /// Its sender's number for it.
    pub(super) number: u64,
    /// Whether it goes from and to second addresses.
    pub(super) seconds: [bool; 2],
    /// Where it claims to come from, if that is a lie.
    pub(super) claim: Option<SocketAddr>,
    /// What it says.
    pub(super) bytes: Vec<u8>,
}

/// Waits until a time of the run, or for ever.
pub(super) async fn until(timeline: &Rc<dyn Timeline>, time: Option<Duration>) {
    match time {
        Some(time) => timeline.sleep(time.saturating_sub(timeline.now())).await,
        None => pending().await,
    }
}
