//! The engine of reference: the hosts on turmoil, whose sockets carry datagrams and whose time is
//! the run's.
//!
//! The only place that knows turmoil. turmoil's own faults stay off: its `fail_rate` is not
//! packet loss but breaks links with everything on them. It carries each datagram to its host
//! before it is due, and the host's card gives it to the program at the very millisecond: so the
//! length of a tick has no influence on what happens (`sim/tests/determinism.rs`).

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use turmoil::net::UdpSocket;
use udpchat_core::protocol::limits::RECEIVE_BUFFER;

use super::runtime::{Cable, Parcel, Timeline, Waiting};
use super::world::{Storage, World};
use crate::faults::bugs::Planted;
use crate::faults::fate::whole_ms;
use crate::planning::plan::{EPOCH_UNIX_MS, LATENCY, Plan};
use crate::record::outcome::Outcome;

/// Datagrams that a socket of turmoil's buffers within one tick: more than any run sends.
const SOCKET_CAPACITY: usize = 4_096;

/// Runs the plan in ticks of this length, at most [`LATENCY`].
///
/// # Panics
///
/// If turmoil does: a bug of the simulator. A program's panic is part of the outcome.
pub(super) fn run(plan: &Plan, tick: Duration, bugs: &Planted) -> Outcome {
    assert!(tick <= LATENCY, "datagrams would arrive late");
    let mut sim = turmoil::Builder::new()
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_UNIX_MS))
        .simulation_duration(Duration::MAX)
        .tick_duration(tick)
        .fail_rate(0.0)
        .min_message_latency(tick)
        .max_message_latency(tick)
        .udp_capacity(SOCKET_CAPACITY)
        .rng_seed(plan.seed)
        .build();
    let world = Rc::new(World::new(plan, bugs, Rc::new(TurmoilTime), Storage::Disk));
    for (index, host) in world.hosts().iter().enumerate() {
        assert_eq!(sim.lookup(&*host.name), host.address, "turmoil numbers hosts otherwise");
        let world = Rc::clone(&world);
        sim.host(&*host.name, move || {
            let world = Rc::clone(&world);
            async move {
                let sockets = Sockets::bind(&world.hosts()[index].ports).await?;
                world.host(index, Rc::new(sockets)).await;
                Ok(())
            }
        });
    }
    let end = run_to_the_end(&mut sim, plan, &world);
    drop(sim);
    world.finish(end)
}

/// Steps until the plan's end, or until everything has settled; when that was.
fn run_to_the_end(sim: &mut turmoil::Sim<'_>, plan: &Plan, world: &World) -> Duration {
    // What happens in the last millisecond is part of the run.
    while sim.elapsed() <= plan.until {
        if let Err(error) = sim.step() {
            world.breaks_down(sim.elapsed(), &error.to_string());
            return sim.elapsed();
        }
        let now = sim.elapsed();
        if now.subsec_nanos() == 0 && now <= plan.until && world.is_settled(now) {
            return now;
        }
    }
    plan.until
}

struct TurmoilTime;

impl Timeline for TurmoilTime {
    fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    fn sleep(&self, wait: Duration) -> Waiting<'static> {
        Box::pin(tokio::time::sleep(wait))
    }
}

/// When it is due, in milliseconds since the run began, the sender's number for it, whether it
/// goes from and to second addresses, and where it claims to come from instead, all zero if it
/// tells the truth.
const HEADER: usize = 8 + 8 + 2 + CLAIM;
const CLAIM: usize = 4 + 2;

/// A host's sockets, by port. What is between cards goes in [`HEADER`] bytes before a datagram.
struct Sockets(Vec<(u16, UdpSocket)>);

impl Sockets {
    async fn bind(ports: &[u16]) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for port in ports {
            sockets.push((*port, UdpSocket::bind((Ipv4Addr::UNSPECIFIED, *port)).await?));
        }
        Ok(Self(sockets))
    }
}

impl Cable for Sockets {
    fn send(&self, from_port: u16, to: SocketAddr, parcel: Parcel) {
        if let Some((_, socket)) = self.0.iter().find(|(port, _)| *port == from_port) {
            // turmoil refuses addresses that nobody has; for UDP that is loss.
            let _ = socket.try_send_to(&to_bytes(&parcel), to);
        }
    }

    fn take(&self) -> Option<(u16, SocketAddr, Parcel)> {
        let mut buffer = [0; HEADER + RECEIVE_BUFFER];
        self.0.iter().find_map(|(port, socket)| {
            let (length, from) = socket.try_recv_from(&mut buffer).ok()?;
            Some((*port, from, from_bytes(&buffer[..length])?))
        })
    }

    fn arrived(&self) -> Waiting<'_> {
        let mut waiting: Vec<Pin<Box<dyn Future<Output = io::Result<()>> + '_>>> = Vec::new();
        for (_, socket) in &self.0 {
            waiting.push(Box::pin(socket.readable()));
        }
        Box::pin(poll_fn(move |context| {
            let ready = |socket: &mut Pin<Box<dyn Future<Output = _> + '_>>| {
                socket.as_mut().poll(context).is_ready()
            };
            if waiting.iter_mut().any(ready) { Poll::Ready(()) } else { Poll::Pending }
        }))
    }
}

fn to_bytes(parcel: &Parcel) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + parcel.bytes.len());
    bytes.extend_from_slice(&whole_ms(parcel.due).to_be_bytes());
    bytes.extend_from_slice(&parcel.number.to_be_bytes());
    bytes.extend(parcel.seconds.map(u8::from));
    // Only addresses of IPv4 are in the network.
    let claim = match parcel.claim {
        Some(SocketAddr::V4(claim)) => (claim.ip().octets(), claim.port()),
        _ => Default::default(),
    };
    bytes.extend_from_slice(&claim.0);
    bytes.extend_from_slice(&claim.1.to_be_bytes());
    bytes.extend_from_slice(&parcel.bytes);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Parcel> {
    let (due, bytes) = bytes.split_first_chunk()?;
    let (number, bytes) = bytes.split_first_chunk()?;
    let (seconds, bytes) = bytes.split_first_chunk::<2>()?;
    let (ip, bytes) = bytes.split_first_chunk::<4>()?;
    let (port, bytes) = bytes.split_first_chunk()?;
    let claim = SocketAddr::from((*ip, u16::from_be_bytes(*port)));
    Some(Parcel {
        due: Duration::from_millis(u64::from_be_bytes(*due)),
        number: u64::from_be_bytes(*number),
        seconds: seconds.map(|flag| flag != 0),
        claim: (claim.port() != 0).then_some(claim),
        bytes: bytes.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_comes_as_it_was_sent() {
        for claim in [None, Some(SocketAddr::from(([192, 168, 0, 7], 5_000)))] {
            let parcel = Parcel {
                due: Duration::from_millis(12_345),
                number: 678,
                seconds: [false, true],
                claim,
                bytes: b"text".to_vec(),
            };
            assert_eq!(from_bytes(&to_bytes(&parcel)), Some(parcel));
        }
        assert_eq!(from_bytes(&[0; HEADER - 1]), None);
    }
}
