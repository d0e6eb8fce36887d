//! A host with several addresses speaks from the one at which it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::planning::moves::ADVERSARY;
use crate::planning::plan::SERVER;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "addresses",
    promise: "an answer leaves from the address that was asked, and what peers have not asked for \
              from the one at which the server reaches its sender",
    when: When::Always,
    check,
};

/// Where each host was last asked by each other one.
type Asked<'a> = BTreeMap<(&'a HostName, &'a str), IpAddr>;

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut asked = Asked::new();
    let mut entries = evidence.log.entries.iter();
    let mut lied = BTreeSet::new();
    // The first: whoever does so once does so every time.
    let first = entries.find_map(|entry| Some((entry.at, misled(&mut asked, &mut lied, entry)?)));
    first.map(|(at, what)| Violation { checker: CHECKER.name, at, what }).into_iter().collect()
}

fn misled<'a>(
    asked: &mut Asked<'a>,
    lied: &mut BTreeSet<(&'a HostName, IpAddr)>,
    entry: &'a Entry,
) -> Option<String> {
    let host = &entry.host;
    match &entry.what {
        // Who lies about where they are is answered as whoever they say to be.
        What::Arrived { from, local: Some(local), .. } if **from == *ADVERSARY => {
            lied.insert((host, *local));
            None
        }
        What::Arrived { from, .. } if **from == *ADVERSARY => None,
        What::Sent { source: Some(source), .. } if lied.contains(&(host, *source)) => None,
        What::Sent { key, .. } if [&key.from, &key.to].iter().any(|it| ***it == *ADVERSARY) => None,
        What::Arrived { from, local: Some(local), .. } => {
            asked.insert((host, from), *local);
            None
        }
        What::Sent { key, source: Some(source), .. } => {
            let wanted = asked.get(&(host, &key.to)).or_else(|| asked.get(&(host, SERVER)))?;
            (source != wanted).then(|| {
                let (to, packet) = (&key.to, key.packet.name());
                format!("{host} sends {packet} to {to} from {source}, and was asked at {wanted}")
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use udpchat_core::protocol::PacketKind;

    use super::super::story::Story;
    use super::*;
    use crate::faults::fate::Key;

    fn ip(host: u8) -> Option<IpAddr> {
        Some([192, 0, 2, host].into())
    }

    fn sent(from: &str, to: &str, source: Option<IpAddr>) -> What {
        let (from, to) = (from.into(), to.into());
        let key = Key { from, to, packet: PacketKind::Message, message: None, attempt: 1 };
        What::Sent { key, bytes: 1, faults: Vec::new(), cut: false, source }
    }

    fn arrived(from: &str, local: Option<IpAddr>) -> What {
        What::Arrived { from: from.into(), packet: PacketKind::Message, message: None, local }
    }

    #[test]
    fn an_answer_from_another_address_is_told() {
        let violations = |source| {
            let story = Story::new().then(1, SERVER, arrived("alice", ip(2)));
            story.then(1, SERVER, sent(SERVER, "alice", source)).violations(&CHECKER).len()
        };
        assert_eq!([ip(1), ip(2), None].map(violations), [1, 0, 0]);
    }

    #[test]
    fn a_peer_is_spoken_to_from_where_the_server_reaches_the_sender() {
        let violations = |source| {
            let story = Story::new().then(1, "alice", arrived(SERVER, ip(2)));
            story.then(1, "alice", sent("alice", "bob", source)).violations(&CHECKER).len()
        };
        assert_eq!([ip(1), ip(2)].map(violations), [1, 0]);
    }
}
