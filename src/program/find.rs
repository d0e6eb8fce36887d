//! Where a server's host name says that it is: asked for at the start, and again whenever a client
//! has lost its server.
//!
//! Asking may take as long as a resolver is patient, so it is done on a thread of its own, which
//! nobody waits for: neither the node's loop nor its end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use udpchat_core::client::Command;
use udpchat_node::drive::give;
use udpchat_node::transport::{canonical, is_for_many};

/// The server's addresses, at least one, best first.
pub(crate) fn server(host: &str, port: u16) -> anyhow::Result<(SocketAddr, Vec<SocketAddr>)> {
    let mut addrs = resolve(host, port)?.into_iter();
    let first = addrs.next().with_context(|| format!("the host {host:?} has no address"))?;
    Ok((first, addrs.collect()))
}

/// What a name stands for. Addresses of IPv4 come first: everybody reaches those, and in one
/// family clients reach each other.
fn resolve(host: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let mut addrs: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .with_context(|| {
            format!("cannot find the host {host:?}; check the name or give an IP address")
        })?
        .map(canonical)
        .collect();
    addrs.sort_by_key(SocketAddr::is_ipv6);
    let found = addrs.first().copied();
    addrs.retain(|addr| is_of_a_host(addr.ip()) && !lacks_its_link(*addr));
    match found {
        Some(found) if addrs.is_empty() && lacks_its_link(found) => bail!(
            "{host} is an address of one link: say which interface leads there, as in \
             fe80::1%eth0, or give another address"
        ),
        Some(_) if addrs.is_empty() => {
            bail!("{host} is no address of a host; for a server on this machine give 127.0.0.1")
        }
        _ => Ok(addrs),
    }
}

/// Whether one machine can be there: not all of many, nor in what is reserved (RFC 1122, 3.2.1.3;
/// RFC 1112, section 4).
fn is_of_a_host(ip: IpAddr) -> bool {
    let is_reserved = matches!(ip, IpAddr::V4(v4) if matches!(v4.octets()[0], 0 | 240..));
    !(ip.is_unspecified() || is_reserved || is_for_many(ip))
}

/// Whether it is a link-local address that does not say of which link.
fn lacks_its_link(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

/// Looks the name up again for a client that runs.
pub(crate) struct Finder {
    host: Arc<str>,
    port: u16,
    asked: Notify,
}

impl Finder {
    pub(crate) fn new(host: String, port: u16) -> Self {
        Self { host: host.into(), port, asked: Notify::new() }
    }

    /// Asks for another look. Never waits.
    pub(crate) fn look_up(&self) {
        self.asked.notify_one();
    }

    /// Tells the client what is found whenever it has asked, one look after the other. Never ends.
    pub(crate) async fn tell(&self, commands: &Sender<Command>) -> Infallible {
        loop {
            self.asked.notified().await;
            let (found, finds) = oneshot::channel();
            let (host, port) = (Arc::clone(&self.host), self.port);
            let look = move || {
                // A client that has ended does not want to know.
                let _ = found.send(resolve(&host, port).unwrap_or_default());
            };
            // With no thread to be had, as with a resolver that breaks off, nothing is found.
            let started = thread::Builder::new().name("find".to_owned()).spawn(look);
            let addrs = match started {
                Ok(_) => finds.await.unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            give(commands, Command::ServerAddresses(addrs)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names_and_ipv4_comes_first() {
        for (host, addr) in [
            ("127.0.0.1", "127.0.0.1:9000"),
            ("::1", "[::1]:9000"),
            ("::ffff:192.0.2.1", "192.0.2.1:9000"),
            ("localhost", "127.0.0.1:9000"),
        ] {
            assert_eq!(server(host, 9000).unwrap().0.to_string(), addr, "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in ["0.0.0.0", "::", "224.0.0.1", "", "no..host"] {
            assert!(server(host, 9000).is_err(), "{host}");
        }
        for (host, says) in [
            ("255.255.255.255", "no address of a host"),
            ("240.0.0.1", "no address of a host"),
            ("0.0.0.1", "no address of a host"),
            ("fe80::1", "fe80::1%eth0"),
        ] {
            let refused = server(host, 9000).unwrap_err().to_string();
            assert!(refused.contains(says), "{host}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_again_whenever_that_is_asked() {
        let (sender, mut commands) = tokio::sync::mpsc::channel(1);
        for (host, found) in [("127.0.0.1", vec!["127.0.0.1:9".parse().unwrap()]), ("", vec![])] {
            let finder = Finder::new(host.to_owned(), 9);
            finder.look_up();
            let told = tokio::select! {
                biased;
                told = commands.recv() => told,
                never = finder.tell(&sender) => match never {},
            };
            assert_eq!(told, Some(Command::ServerAddresses(found)));
        }
    }
}
