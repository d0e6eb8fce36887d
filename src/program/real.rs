//! The real world as a node meets it: a runtime, ports, the first Ctrl-C.
//!
//! Says what is wrong with them in words for users. Knows no machine.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;

use anyhow::{Context, anyhow, bail};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use udpchat_node::drive::give;
use udpchat_node::transport::{UdpTransport, is_for_many};

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
