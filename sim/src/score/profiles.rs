//! What goes wrong while bugs are looked for: profiles, and for each bug those that suit it.

use udpchat_core::mutation::Mutation;

use crate::cli::Explore;
use crate::faults::bugs::{Bug, Tampering};
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

const fn machine(mutation: Mutation, profile: Profile, budget: u64) -> Case {
    case(Bug::Machine(mutation), profile, budget)
}

const fn tampering(tampering: Tampering, profile: Profile, budget: u64) -> Case {
    case(Bug::Tampering(tampering), profile, budget)
}

const fn case(bug: Bug, profile: Profile, budget: u64) -> Case {
    Case { bug, profile, budget }
}

/// The short form. Budgets are a few times what was measured, so that a change of the workload
/// does not fail it by chance.
pub const CASES: &[Case] = &[
    tampering(Tampering::ShowsCopies, DUP_3, 10),
    machine(Mutation::HighestOnly, DROP_3, 20),
    machine(Mutation::AcksHeld, DROP_3, 20),
    tampering(Tampering::CopyNotAcked, DROP_3, 20),
    tampering(Tampering::ForgetsShown, ALL, 40),
    tampering(Tampering::ShowsAgainUnmarked, DISK, 40),
    tampering(Tampering::NeverShowsAgain, DISK_OFTEN, 40),
    tampering(Tampering::ForgetsDisplayed, CRASH, 20),
    tampering(Tampering::ForgetsOutbox, CRASH, 40),
    tampering(Tampering::GivesUpSaving, DROP_5, 40),
    machine(Mutation::NeverDetours, DROP_3, 20),
    tampering(Tampering::AckConfirmsNewest, DROP_3, 20),
    tampering(Tampering::SignsInOnce, DROP_3, 20),
    machine(Mutation::WrapsAround, PAIR, 40),
    machine(Mutation::BackoffUnbounded, OUTAGE, 100),
    machine(Mutation::NoBackoff, CUT, 20),
    tampering(Tampering::BaseTooHigh, DROP_3, 20),
    tampering(Tampering::NoChecksum, CORRUPT, 20),
    case(Bug::CommitsUnsynced, DISK_FAULTS, 20),
    machine(Mutation::AcksBeforeCommit, DISK, 40),
    machine(Mutation::SavesHeld, DROP_3, 60),
    machine(Mutation::ClearsMailboxEarly, DROP_3, 20),
    tampering(Tampering::ForgetsHandOver, CRASH, 20),
    machine(Mutation::RegistrationWipesMail, DROP_3, 20),
    machine(Mutation::ClockStepExpiresMail, CLOCK, 60),
    machine(Mutation::OneWayIsOffline, CUT, 40),
    machine(Mutation::OldRegistrationCounts, HASTE, 60),
    machine(Mutation::KeepsOldAddress, CRASH, 40),
    tampering(Tampering::AnswersFromAnywhere, NONE, 40),
    tampering(Tampering::TableSentOnce, DROP_3, 20),
    machine(Mutation::KeepsFlights, DROP_3, 20),
    tampering(Tampering::ForgetsMembership, CRASH, 40),
    machine(Mutation::AsksTwice, DROP_3, 20),
    machine(Mutation::KeepsLeavers, DROP_3, 20),
    machine(Mutation::ReceiptAtHandOver, DROP_3, 20),
    tampering(Tampering::StaleMembers, DROP_3, 80),
    tampering(Tampering::CastsAgain, CRASH, 40),
    machine(Mutation::LeavingGivesUp, DROP_5, 40),
    machine(Mutation::GuestEndsOurs, OFF_PATH, 20),
    machine(Mutation::TakesGuestsUnproven, OFF_PATH, 60),
    machine(Mutation::AnswersWithoutNonce, OFF_PATH, 20),
    machine(Mutation::BelievesSenders, INSIDER, 20),
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
