//! What is repeated is repeated with pauses that double, and no oftener.

use std::collections::BTreeMap;
use std::time::Duration;

use udpchat_core::client;
use udpchat_core::client::timing::{BACKOFF_MAX, KNOCK};
use udpchat_core::protocol::PacketKind;
use udpchat_core::retransmission::{RTO_MAX, RTO_MIN};
use udpchat_core::server;
use udpchat_core::server::timing::{PROBE_INTERVAL, RESEND_MAX};

use super::duty::{Awake, Found, at_least};
use super::{Checker, Evidence, Violation, When};
use crate::naming::label::{HostName, Label};
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "repeats",
    promise: "whatever is repeated until it is answered is repeated with pauses that double, \
              up to the longest for its kind, and no oftener: a message and whatever is asked \
              of a server, a stored one, what became of it, the table, questions whether \
              somebody is there, and knocks",
    when: When::Always,
    check,
};

/// What may wait for a commit leaves closer together than it was meant to: so much.
const COMMIT_MAX: Duration = Duration::from_millis(300);

/// The shortest pause at first, and the longest at last, of what is repeated.
const fn pauses(packet: PacketKind) -> Option<(Duration, Duration)> {
    match packet {
        PacketKind::Message | PacketKind::Register | PacketKind::Deregister => {
            Some((RTO_MIN, RTO_MAX))
        }
        PacketKind::Save | PacketKind::GroupAsk => Some((RTO_MIN, BACKOFF_MAX)),
        PacketKind::Deliver | PacketKind::HandedOver | PacketKind::Expired | PacketKind::Table => {
            Some((RTO_MIN, RESEND_MAX))
        }
        PacketKind::Probe => Some((PROBE_INTERVAL, PROBE_INTERVAL)),
        PacketKind::Knock => Some((KNOCK, KNOCK)),
        _ => None,
    }
}

/// Pauses for the server are shorter by up to a quarter, so that not everybody asks in step.
const fn jitter(packet: PacketKind) -> u32 {
    match packet {
        PacketKind::Save | PacketKind::GroupAsk => 4,
        _ => u32::MAX,
    }
}

/// How often something may be sent in this time.
fn times_within(time: Duration, jitter: u32, (first, longest): (Duration, Duration)) -> u32 {
    let (first, longest) = (at_least(first), at_least(longest));
    let (mut elapsed, mut times) = (Duration::ZERO, 1);
    loop {
        let pause = (elapsed + first).min(longest);
        elapsed += (pause - pause / jitter).max(first);
        if elapsed > time {
            return times;
        }
        times += 1;
    }
}

/// What is repeated.
type Repeated<'a> = (&'a HostName, &'a HostName, PacketKind, Option<&'a Label>);

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    if evidence.plan.is_attacked() {
        return Vec::new();
    }
    let (awake, series, found) = (Awake::default(), BTreeMap::new(), Found::by(CHECKER.name));
    let mut repeats = Repeats { evidence, awake, series, found };
    for entry in &evidence.log.entries {
        repeats.note(entry);
    }
    repeats.found.all()
}

/// What was sent again and again without another reason than that time passed.
struct Series {
    first: Duration,
    last: Duration,
    times: u32,
    told: bool,
}

struct Repeats<'a> {
    evidence: Evidence<'a>,
    awake: Awake<'a>,
    series: BTreeMap<Repeated<'a>, Series>,
    found: Found,
}

impl<'a> Repeats<'a> {
    fn note(&mut self, entry: &'a Entry) {
        use PacketKind::{
            Challenge, Deliver, Expired, GroupAnswer, GroupAsk, HandedOver, HandedOverAck, Knock,
            Message, Register, Save, Table, TableAck,
        };
        self.awake.note(entry);
        let host = &entry.host;
        match &entry.what {
            What::Started { .. } => self.begins_anew(host, None, &[]),
            // Whoever leaves before the answer asks on as if they began.
            What::Typed { .. } => self.begins_anew(host, None, &[Register]),
            What::Sent { key, .. } => {
                // Whoever is asked anew is asked as often as before.
                if key.packet == PacketKind::Hello {
                    self.begins_anew(host, None, &[Register, PacketKind::Deregister]);
                }
                let repeated = (host, &key.to, key.packet, key.message.as_ref());
                self.is_sent(entry.at, repeated);
            }
            What::Client(event) => match event {
                client::Event::Table(_) => self.begins_anew(host, None, &[Message, Save, Knock]),
                client::Event::Registered { .. } => {
                    self.begins_anew(host, None, &[Save, GroupAsk, Message, Knock]);
                }
                client::Event::Offline => {
                    self.begins_anew(host, None, &[PacketKind::Deregister, Register, Message]);
                }
                event => match event.plain() {
                    client::Event::Detour { .. } => self.begins_anew(host, None, &[Knock]),
                    // What waited behind it has its turn.
                    client::Event::Unsent { reason, .. } if reason.is_final() => {
                        self.begins_anew(host, None, &[Save]);
                    }
                    _ => {}
                },
            },
            What::Arrived { from, packet, .. } => match packet {
                Challenge | PacketKind::Wait => self.begins_anew(host, None, &[Register]),
                GroupAnswer => self.begins_anew(host, None, &[GroupAsk]),
                PacketKind::NotSaved | PacketKind::Registered | Table => {
                    self.begins_anew(host, None, &[Save, Message]);
                }
                TableAck => self.begins_anew(host, Some(from), &[Table]),
                HandedOverAck => self.begins_anew(host, Some(from), &[HandedOver, Expired]),
                PacketKind::Alive => self.begins_anew(host, Some(from), &[PacketKind::Probe]),
                _ => {}
            },
            What::Server(event) => {
                if let server::Event::Registered { addr, .. } = event
                    && let Some(to) = self.evidence.log.addresses.get(&addr.ip())
                {
                    let all = [Deliver, HandedOver, Expired, Table, PacketKind::Probe];
                    self.begins_anew(host, Some(to), &all);
                }
            }
            _ => {}
        }
    }

    /// What this host sends, of these kinds or of all, has another reason from now on.
    fn begins_anew(&mut self, host: &HostName, to: Option<&HostName>, kinds: &[PacketKind]) {
        self.series.retain(|(from, receiver, packet, _), _| {
            *from != host
                || to.is_some_and(|to| *receiver != to)
                || !(kinds.is_empty() || kinds.contains(packet))
        });
    }

    fn is_sent(&mut self, at: Duration, repeated: Repeated<'a>) {
        let (from, to, packet, message) = repeated;
        let Some(pauses) = pauses(packet) else { return };
        let fresh = || Series { first: at, last: at, times: 0, told: false };
        let series = self.series.entry(repeated).or_insert_with(fresh);
        // A table has several parts.
        if packet == PacketKind::Table && series.times > 0 && series.last == at {
            return;
        }
        (series.times, series.last) = (series.times + 1, at);
        let time = at - series.first + COMMIT_MAX;
        // What waits for a disk leaves all at once.
        let is_in_order = self.awake.with_disk_since(from, at).is_some();
        let is_often = series.times > times_within(time, jitter(packet), pauses);
        if is_often && is_in_order && !series.told {
            series.told = true;
            let about = message.map(|label| format!(" {label}")).unwrap_or_default();
            let (times, name) = (series.times, packet.name());
            let seconds = (at - series.first).as_secs_f64();
            let what =
                format!("{from} sends {name}{about} to {to} {times} times in {seconds:.3} s");
            self.found.add(at, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;
    use crate::planning::plan::SERVER;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = (RTO_MIN, RESEND_MAX);
        let times = |ms| times_within(Duration::from_millis(ms), u32::MAX, pauses);
        assert_eq!([0, 20, 60, 140, 5_000].map(times), [1, 2, 3, 4, 9]);
    }

    #[test]
    fn who_is_asked_too_often_is_asked_too_often() {
        let asks = |seconds: u64| {
            let story = Story::new().then(0, SERVER, What::Started { port: 1 });
            let ask = |story: Story, second| {
                (0..5).fold(story, |story, _| story.sends(second, SERVER, "bob", PacketKind::Probe))
            };
            (1..=seconds).fold(story, ask).violations(&CHECKER)
        };
        assert_eq!(asks(0), [""; 0]);
        let often = "server sends probe to bob 3 times in 0.000 s";
        assert_eq!(asks(1), [often]);
        let answered = Story::new().sends(1, "alice", "bob", PacketKind::Knock);
        assert_eq!(
            answered.sends(7, "alice", "bob", PacketKind::Knock).violations(&CHECKER),
            [""; 0]
        );
    }
}
