//! Nobody is made to flood an address that has not shown that it is there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use udpchat_core::protocol::limits::AMPLIFICATION_MAX;

use super::{Checker, Evidence, Violation, When};
use crate::faults::fate::{Fault, together};
use crate::planning::moves::ADVERSARY;
use crate::record::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "amplification",
    promise: "an address at which nobody is gets at most three bytes for one that claims to come \
              from there",
    when: When::Always,
    check,
};

/// What went from an address that nobody has to programs, and from them to the address.
#[derive(Default)]
struct Bytes {
    claimed: usize,
    earned: usize,
    told: bool,
}

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let mut all: BTreeMap<IpAddr, Bytes> = BTreeMap::new();
    let mut violations = Vec::new();
    for entry in &evidence.log.entries {
        let What::Sent { key, bytes, faults, source, .. } = &entry.what else { continue };
        if *key.from == *ADVERSARY {
            let Some(claim) = source else { continue };
            all.entry(*claim).or_default().claimed += bytes * copies(faults);
            continue;
        }
        let Ok(to) = key.to.parse::<SocketAddr>() else { continue };
        let sum = all.entry(to.ip()).or_default();
        sum.earned += bytes;
        if sum.earned > AMPLIFICATION_MAX * sum.claimed && !sum.told {
            sum.told = true;
            let what = format!(
                "{to}, where nobody is, has been sent {} bytes for {}, the last by {}",
                sum.earned, sum.claimed, key.from
            );
            violations.push(Violation { checker: CHECKER.name, at: entry.at, what });
        }
    }
    violations
}

/// How many copies of a datagram may arrive: what is late does, and earns as much.
fn copies(faults: &[Fault]) -> usize {
    1 + usize::from(together(faults).again.is_some())
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;
    use crate::faults::fate::Key;
    use crate::planning::plan::SERVER;
    use udpchat_core::protocol::PacketKind;

    fn sent(from: &str, to: &str, bytes: usize, source: Option<IpAddr>) -> What {
        let (from, to, packet) = (from.into(), to.into(), PacketKind::Table);
        let key = Key { from, to, packet, message: None, attempt: 1 };
        What::Sent { key, bytes, faults: Vec::new(), cut: false, source }
    }

    #[test]
    fn an_address_where_nobody_is_gets_three_bytes_for_one() {
        let claim = Some(IpAddr::from([203, 0, 0, 1]));
        let story = || Story::new().then(1, ADVERSARY, sent(ADVERSARY, SERVER, 10, claim));
        let then = |bytes| {
            let story = story().then(2, SERVER, sent(SERVER, "203.0.0.1:4000", bytes, None));
            story.then(2, SERVER, sent(SERVER, "alice", 1_000, None)).violations(&CHECKER)
        };
        assert_eq!(then(30), [""; 0]);
        let much =
            "203.0.0.1:4000, where nobody is, has been sent 31 bytes for 10, the last by server";
        assert_eq!(then(31), [much]);
    }
}
