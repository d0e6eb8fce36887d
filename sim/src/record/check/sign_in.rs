//! Who is told to be registered is: by the server, in our dialect.

use std::collections::BTreeSet;

use udpchat_core::{client, server};

use super::{Checker, Evidence, Violation, When};
use crate::naming::label::HostName;
use crate::record::log::{Entry, What};

pub(super) const CHECKER: Checker = Checker {
    name: "sign-in",
    promise: "whoever is told to be registered was granted that by the server since their program \
              started, and is taken for what they are: no client of ours is a guest",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    // Hosts that the server has granted a session since their programs started.
    let mut granted: BTreeSet<&HostName> = BTreeSet::new();
    let mut violations = Vec::new();
    for Entry { at, host, what } in &evidence.log.entries {
        let wrong = match what {
            What::Started { .. } => {
                granted.remove(host);
                None
            }
            What::Server(server::Event::Registered { name, addr, original, .. }) => {
                let host = evidence.log.addresses.get(&addr.ip());
                let ours = host.filter(|host| evidence.plan.host(host).is_some());
                granted.extend(ours);
                ours.filter(|_| *original)
                    .map(|host| format!("{host} is taken for an original client, called {name}"))
            }
            What::Client(client::Event::Registered { name, .. }) => {
                (!granted.contains(host)).then(|| {
                    format!("{host} is told to be registered as {name}, and nobody granted it")
                })
            }
            _ => None,
        };
        violations.extend(wrong.map(|what| Violation { checker: CHECKER.name, at: *at, what }));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;
    use crate::planning::plan::SERVER;

    #[test]
    fn nobody_is_registered_whom_the_server_has_not_granted_it() {
        let name = || "alice".parse().unwrap();
        let told = || What::Client(client::Event::Registered { name: name(), back: false });
        let granted = |original| {
            let addr = ([192, 0, 2, 1], 5_000).into();
            What::Server(server::Event::Registered { name: name(), addr, back: false, original })
        };
        let story = || Story::new().at([192, 0, 2, 1].into(), "alice");
        let nobody = "alice is told to be registered as alice, and nobody granted it";
        assert_eq!(story().then(1, "alice", told()).violations(&CHECKER), [nobody]);
        let granted_first = |original| {
            let story = story().then(1, SERVER, granted(original)).then(2, "alice", told());
            story.violations(&CHECKER)
        };
        assert_eq!(granted_first(false), [""; 0]);
        let guest = "alice is taken for an original client, called alice";
        assert_eq!(granted_first(true), [guest]);
    }
}
