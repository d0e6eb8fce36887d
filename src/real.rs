//! The real world as a node meets it: clocks, random numbers, a runtime, ports, the first Ctrl-C.
//!
//! The only place that reads the clocks, draws random numbers and opens sockets. Knows no machine.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use crate::drive::{Clock, give};
use crate::machine::Entropy;
use crate::time::{Now, Time, WallTime};
use crate::transport::{UdpTransport, is_for_many};

/// Commands on their way to a machine, which takes each at once: a few are plenty.
pub(crate) const COMMANDS_AHEAD: usize = 16;

/// Descriptors that a runtime with its signals opens, and a few: without them it panics.
const DESCRIPTORS: usize = 10;

/// What carries a node out: one thread.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    let runtime = || runtime::Builder::new_current_thread().enable_all().build();
    can_open(DESCRIPTORS).and_then(|()| runtime()).context("cannot start a runtime")
}

/// Makes sure that so many more descriptors may be open at once.
fn can_open(descriptors: usize) -> io::Result<()> {
    #[cfg(unix)]
    (0..descriptors).map(|_| std::fs::File::open("/")).collect::<io::Result<Vec<_>>>()?;
    Ok(())
}

/// Opens a port; what is wrong with it in words for whoever chose it.
pub(crate) fn bind(ip: Option<IpAddr>, port: u16) -> anyhow::Result<UdpTransport> {
    if let Some(ip) = ip.filter(|ip| is_for_many(*ip)) {
        bail!("{ip} is an address of many machines at once; choose one that is this machine's own");
    }
    if let Some(IpAddr::V6(link_local)) = ip.filter(is_link_local) {
        bail!(
            "{link_local} is an address of one link, and those cannot be given here; leave --bind \
             out, for all addresses, or give another one"
        );
    }
    UdpTransport::bind(ip, port).map_err(|error| match (error.kind(), ip) {
        (io::ErrorKind::AddrInUse, _) if port == 0 => {
            anyhow!("no port is free: every one is taken by another program; end some of those")
        }
        (io::ErrorKind::AddrInUse, _) => {
            anyhow!("port {port} is taken by another program; choose another one")
        }
        (io::ErrorKind::AddrNotAvailable, Some(ip)) => {
            anyhow!("{ip} is no address of this machine; choose one that is, or leave --bind out")
        }
        _ => anyhow!(error).context(format!("cannot open port {port}")),
    })
}

const fn is_link_local(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The operating system's random numbers.
pub(crate) fn entropy() -> Entropy {
    #[expect(clippy::disallowed_methods, reason = "this is where randomness comes from")]
    Entropy::new(rand::random::<u64>)
}

/// The real clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the binary's clock")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the binary's clock")]
    fn now(&self) -> Now {
        // Before 1970 only a broken clock stands.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Now { time: Time::from_start(self.start.elapsed()), wall: WallTime::from_unix_ms(unix_ms) }
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// Gives the command at the interrupt, past all that wait, and waits for ever.
pub(crate) async fn give_once<C>(
    interrupted: oneshot::Receiver<()>,
    commands: &Sender<C>,
    command: C,
) -> Infallible {
    if interrupted.await.is_ok() {
        give(commands, command).await;
    }
    std::future::pending().await
}
