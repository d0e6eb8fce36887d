//! How long messages take from the typing to the other screen, on networks that lose much.
//!
//! Prints a table beside what it was when everything was repeated after 500 ms, five times. Longer:
//!
//! ```sh
//! UDPCHAT_RELAY_MESSAGES=1000 cargo test --test udp messages_come_soon -- --nocapture
//! ```

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::common::{client, json, now, server};
use crate::relay::{Network, PATIENCE, ROUGH, Relay, messages};

/// Between two messages.
const GAP: Duration = Duration::from_millis(100);

/// A network and what was measured on it by the same test of the commit before repetition followed
/// the round trip, 300 messages each.
const NETWORKS: [(&str, Network, &str); 3] = [
    ("no loss, 1 ms", Network { drop: 0.0, duplicate: 0.0, delay_ms: (1, 1) }, BEFORE[0]),
    ("30 % lost, 1 ms", Network { drop: 0.3, duplicate: 0.0, delay_ms: (1, 1) }, BEFORE[1]),
    ("30 % lost, 10 % twice, 0 to 400 ms", ROUGH, BEFORE[2]),
];

const BEFORE: [&str; 3] = [
    "      3       5       8    1.00       0",
    "    504    1505    1506    1.93       0",
    "    780    2078    2278    2.57       0",
];

/// What became of the messages on one network.
struct Measured {
    took: Vec<Duration>,
    tries: f64,
    detours: usize,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |percent: usize| self.took[(self.took.len() - 1) * percent / 100].as_millis();
        let (p50, p99, worst) = (at(50), at(99), at(100));
        let Self { tries, detours, .. } = self;
        write!(f, "{p50:>7} {p99:>7} {worst:>7} {tries:>7.2} {detours:>7}")
    }
}

fn measure(network: Network, count: usize) -> Measured {
    let (_server, server_port) = server();
    let (port, sent) = Relay::start(server_port, network);
    let mut alice = client("alice", port);
    let mut bob = client("bob", port);
    alice.table(&["alice", "bob"]);
    bob.table(&["alice", "bob"]);
    let mut typed: Vec<Instant> = Vec::new();
    let mut took = Vec::new();
    let end = now() + PATIENCE;
    let mut next = now();
    while took.len() < count {
        let at = now();
        assert!(at < end + GAP * u32::try_from(count).unwrap(), "{} of {count}", took.len());
        if typed.len() < count && next <= at {
            alice.say(&format!("send bob {}", typed.len()));
            typed.push(at);
            next = at + GAP;
        }
        if let Some(line) = bob.next_line(next.saturating_duration_since(now()).min(GAP)) {
            let event = json(&line);
            if event["event"] == "message" {
                assert_eq!(event["text"], took.len().to_string(), "once, and in order");
                took.push(now() - typed[took.len()]);
            }
        }
    }
    alice.end_input();
    let said = alice.ended();
    let detours = said.lines.iter().filter(|line| line.contains("via_server")).count();
    took.sort_unstable();
    Measured { took, tries: sent.load(Ordering::Relaxed) as f64 / count as f64, detours }
}

#[test]
fn messages_come_soon_on_a_network_that_loses_three_in_ten() {
    let count = messages();
    println!(
        "{:36} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "", "p50 ms", "p99 ms", "worst", "tries", "detours"
    );
    for (name, network, before) in NETWORKS {
        let measured = measure(network, count);
        println!("{name:36} {measured}   of {count}");
        println!("{:36} {before}   of 300", "  before");
        let most = if network.delay_ms.1 > 1 { 2 } else { 10 };
        assert!(
            measured.detours * most <= count,
            "{} of {count} took the detour",
            measured.detours
        );
    }
}
