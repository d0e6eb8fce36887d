//! What goes wrong while bugs are looked for: profiles, and for each bug those that suit it.

use crate::faults::bugs::Bug;

use crate::cli::Explore;
use crate::search::chaos::Setting;

/// A set of faults with a name, written as a user would ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name in tables.
    pub name: &'static str,
    /// The options that ask for it.
    pub options: &'static str,
}

const fn profile(name: &'static str, options: &'static str) -> Profile {
    Profile { name, options }
}

const NONE: Profile = profile("none", "--drop-rate 0");
const DROP_1: Profile = profile("drop .1", "--drop-rate 0.1");
const DROP_3: Profile = profile("drop .3", "--drop-rate 0.3");
const DUP_3: Profile = profile("dup .3", "--dup-rate 0.3");
const DELAY: Profile = profile("delay", "--delay 0ms..300ms");
const CORRUPT: Profile = profile("corrupt", "--corrupt-rate 0.1 --truncate-rate 0.1");
const CRASH: Profile = profile("crash", "--crash-rate 4");
const DISK: Profile = profile("crash, slow disk", "--crash-rate 4 --disk 100ms");
/// Killed so often that some are killed while what they know is not yet what they have shown.
const DISK_OFTEN: Profile = profile("crash often", "--crash-rate 20 --disk 200ms");
/// Power cuts and errors of disks, and nothing else.
const DISK_FAULTS: Profile = profile("disk faults", "--disk-faults 0.01");
const CUT: Profile = profile("cut", "--cut-rate 4");
/// Cut off, while they sign in, for longer than any back-off takes to reach its bound.
const OUTAGE: Profile =
    profile("outage", "--cut-rate 30 --crash-rate 2 --duration 1m --messages 20");
const CLOCK: Profile = profile("pause, clock", "--pause-rate 4 --clock-rate 4");
/// Streams that are long enough to reach numbers that others do not.
const PAIR: Profile = profile("pair", "--drop-rate 0.3 --clients 2");
/// Hardly has one come when one leaves again: old datagrams meet new circumstances.
const HASTE: Profile = profile("haste", "--dup-rate 0.9 --duration 3s --clients 8 --messages 8");
/// So bad that whole rounds of tries are lost.
const DROP_5: Profile = profile("drop .5", "--drop-rate 0.5");
const ALL: Profile = profile("all", "--faults all");
/// Somebody who sees nothing and lies about where they are, and no other faults.
const OFF_PATH: Profile = profile("off-path", "--adversary off-path --drop-rate 0");
/// Somebody who is a user as well.
const INSIDER: Profile = profile("insider", "--adversary insider --drop-rate 0");
/// What `sim` does without options.
const SWARM: Profile = profile("swarm", "--swarm");

/// The columns of the full table.
pub const PROFILES: &[Profile] = &[
    NONE,
    DROP_1,
    DROP_3,
    DROP_5,
    DUP_3,
    DELAY,
    CORRUPT,
    CRASH,
    DISK,
    DISK_OFTEN,
    DISK_FAULTS,
    CUT,
    OUTAGE,
    CLOCK,
    PAIR,
    HASTE,
    ALL,
    SWARM,
    OFF_PATH,
    INSIDER,
];

impl Profile {
    /// What every seed is run with.
    #[must_use]
    pub fn setting(&self) -> Setting {
        Explore::parse(self.options).expect("a test parses every profile").setting()
    }
}

/// Where a bug is looked for in the short form, and for how many seeds at most.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The bug.
    pub bug: Bug,
    /// What goes wrong.
    pub profile: Profile,
    /// Seeds.
    pub budget: u64,
}

const fn case(bug: Bug, profile: Profile, budget: u64) -> Case {
    Case { bug, profile, budget }
}

/// The short form. Budgets are a few times what was measured, so that a change of the workload
/// does not fail it by chance.
pub const CASES: &[Case] = &[
    case(Bug::ShowsCopies, DUP_3, 10),
    case(Bug::HighestOnly, DROP_3, 20),
    case(Bug::AcksHeld, DROP_3, 20),
    case(Bug::CopyNotAcked, DROP_3, 20),
    case(Bug::ForgetsShown, ALL, 40),
    case(Bug::ShowsAgainUnmarked, DISK, 40),
    case(Bug::NeverShowsAgain, DISK_OFTEN, 40),
    case(Bug::ForgetsDisplayed, CRASH, 20),
    case(Bug::ForgetsOutbox, CRASH, 40),
    case(Bug::GivesUpSaving, DROP_5, 40),
    case(Bug::NeverDetours, DROP_3, 20),
    case(Bug::AckConfirmsNewest, DROP_3, 20),
    case(Bug::SignsInOnce, DROP_3, 20),
    case(Bug::WrapsAround, PAIR, 40),
    case(Bug::BackoffUnbounded, OUTAGE, 100),
    case(Bug::NoBackoff, CUT, 20),
    case(Bug::BaseTooHigh, DROP_3, 20),
    case(Bug::NoChecksum, CORRUPT, 20),
    case(Bug::CommitsUnsynced, DISK_FAULTS, 20),
    case(Bug::AcksBeforeCommit, DISK, 40),
    case(Bug::SavesHeld, DROP_3, 60),
    case(Bug::ClearsMailboxEarly, DROP_3, 20),
    case(Bug::ForgetsHandOver, CRASH, 20),
    case(Bug::RegistrationWipesMail, DROP_3, 20),
    case(Bug::ClockStepExpiresMail, CLOCK, 60),
    case(Bug::OneWayIsOffline, CUT, 40),
    case(Bug::OldRegistrationCounts, HASTE, 60),
    case(Bug::KeepsOldAddress, CRASH, 40),
    case(Bug::AnswersFromAnywhere, NONE, 40),
    case(Bug::TableSentOnce, DROP_3, 20),
    case(Bug::KeepsFlights, DROP_3, 20),
    case(Bug::ForgetsMembership, CRASH, 40),
    case(Bug::AsksTwice, DROP_3, 20),
    case(Bug::KeepsLeavers, DROP_3, 20),
    case(Bug::ReceiptAtHandOver, DROP_3, 20),
    case(Bug::StaleMembers, DROP_3, 80),
    case(Bug::CastsAgain, CRASH, 40),
    case(Bug::LeavingGivesUp, DROP_5, 40),
    case(Bug::GuestEndsOurs, OFF_PATH, 20),
    case(Bug::TakesGuestsUnproven, OFF_PATH, 60),
    case(Bug::AnswersWithoutNonce, OFF_PATH, 20),
    case(Bug::BelievesSenders, INSIDER, 20),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::bugs::BUGS;

    #[test]
    fn every_bug_has_a_case() {
        let has = |bug: &Bug| CASES.iter().any(|case| case.bug == *bug);
        assert!(BUGS.iter().all(|(bug, _)| has(bug)));
    }

    #[test]
    fn every_profile_is_what_its_options_ask_for() {
        let profiles = PROFILES.iter().chain(CASES.iter().map(|case| &case.profile));
        for profile in profiles {
            assert!(profile.setting().size.clients >= 2, "{}", profile.name);
            assert!(PROFILES.contains(profile), "{}", profile.name);
        }
    }
}
