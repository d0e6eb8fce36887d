//! No program panics or gives up.

use super::{Checker, Evidence, Violation, When};
use crate::log::What;

pub(super) const CHECKER: Checker = Checker {
    name: "no panic",
    promise: "no datagram, command or fault makes a program panic or fail",
    when: When::Always,
    check,
};

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let failed = evidence.log.entries.iter().filter_map(|entry| {
        let how = match &entry.what {
            What::Panicked(text) => format!("panicked: {text}"),
            What::Ended { error: Some(error) } => format!("failed: {error}"),
            _ => return None,
        };
        let what = format!("{} {how}", entry.host);
        Some(Violation { checker: CHECKER.name, at: entry.at, what })
    });
    failed.collect()
}
