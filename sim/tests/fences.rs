//! A fence is what holds an attack off: with it taken out by a planted bug, the same attack breaks
//! a promise, and a checker says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sim::engine::Engine;
use sim::faults::bugs::Bug::{self, Machine};
use sim::faults::bugs::{Planted, Tampering};
use sim::planning::scenario::Scenario;
use sim::record::check::check;
use udpchat_core::mutation::Mutation;

/// An attack in fixtures/scenarios, the bug that takes its fence out, and who says so.
const FENCES: &[(&str, Bug, &str)] = &[
    (
        "ack_spoofed_during_hello_changes_no_dialect",
        Machine(Mutation::AckDecidesDialect),
        "sign-in",
    ),
    ("groups_of_one_user_leave_room_for_others", Machine(Mutation::NoGroupShare), "service"),
    ("guest_comes_and_goes_others_are_told_in_rounds", Machine(Mutation::TellsEachChange), "work"),
    ("guest_forged_while_away_reads_no_mail", Machine(Mutation::GuestTakesOurs), "truth"),
    (
        "guests_forged_before_a_restart_earn_no_more_than_their_own_bytes",
        Machine(Mutation::TrustsGuestsBefore),
        "amplification",
    ),
    (
        "guests_forged_without_a_proof_are_not_taken_in",
        Machine(Mutation::TakesGuestsUnproven),
        "amplification",
    ),
    ("leave_spoofed_name_stays_with_who_answers", Machine(Mutation::GuestEndsOurs), "names"),
    (
        "mailbox_filled_by_one_user_takes_anothers_message",
        Machine(Mutation::NoMailShare),
        "service",
    ),
    (
        "messages_in_anothers_name_are_not_shown",
        Machine(Mutation::BelievesSenders),
        "nothing invented",
    ),
    (
        "old_datagrams_sent_again_are_shown_once",
        Bug::Tampering(Tampering::ShowsCopies),
        "shown once",
    ),
    (
        "refused_forged_blindly_ends_no_client",
        Machine(Mutation::AnswersWithoutNonce),
        "nothing lost",
    ),
    ("registered_forged_blindly_is_no_answer", Machine(Mutation::AnswersWithoutNonce), "sign-in"),
    (
        "streams_of_one_message_each_push_nobody_elses_out",
        Machine(Mutation::StreamsWithoutShares),
        "shown once",
    ),
];

/// Attacks in fixtures/scenarios that no checker sees succeed, and what shows their fence instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("challenge_with_any_nonce_changes_no_dialect", "tests/machines/fences.rs"),
    ("table_of_a_lying_server_ends_no_client", "tests/machines/extremes.rs"),
];

/// What no fence holds off but keys, in fixtures/adversary/expected, and which promise it breaks.
/// Whoever mends one moves it to fixtures/scenarios.
const EXPECTED: &[(&str, &str)] = &[
    ("datagram_spoofed_from_a_peer_puts_the_detour_off", "bounded"),
    ("guest_forged_with_a_blind_acknowledgement_is_taken_in", "amplification"),
    ("message_spoofed_from_anothers_address", "nothing invented"),
    ("name_of_who_is_away_is_anybodys_who_asks", "model"),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

fn stems(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

fn scenario(folder: &Path, name: &str) -> Scenario {
    let path = folder.join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).expect("a fixture");
    Scenario::parse(&text).unwrap_or_else(|bad| panic!("{name}.json:{bad}"))
}

/// The checkers that say that a promise is broken.
fn violated(folder: &Path, name: &str, bug: Option<Bug>) -> BTreeSet<&'static str> {
    let plan = scenario(folder, name).plan();
    let outcome = Engine::default().run(&plan, &Planted::new(bug));
    check(&plan, &outcome).into_iter().map(|violation| violation.checker).collect()
}

#[test]
fn an_attack_is_held_off_by_its_fence_alone() {
    let folder = folder("scenarios");
    let mut wrong = BTreeMap::new();
    for (name, bug, checker) in FENCES {
        let without = violated(&folder, name, Some(*bug));
        if !without.contains(checker) || !violated(&folder, name, None).is_empty() {
            wrong.insert(name, (bug, without));
        }
    }
    assert!(wrong.is_empty(), "held without their fences, or not with them: {wrong:#?}");
}

#[test]
fn every_attack_has_a_fence() {
    let folder = folder("scenarios");
    let is_attack = |name: &String| !scenario(&folder, name).plan().moves.is_empty();
    let attacks: BTreeSet<String> = stems(&folder).into_iter().filter(is_attack).collect();
    let fenced = FENCES.iter().map(|(name, ..)| *name);
    let fenced = fenced.chain(ELSEWHERE.iter().map(|(name, _)| *name));
    assert_eq!(attacks, fenced.map(str::to_owned).collect());
}

#[test]
fn what_only_keys_can_mend_is_expected_and_nothing_else() {
    let folder = folder("adversary/expected");
    for (name, checker) in EXPECTED {
        assert_eq!(violated(&folder, name, None), BTreeSet::from([*checker]), "{name}");
    }
    assert_eq!(stems(&folder), EXPECTED.iter().map(|(name, _)| (*name).to_owned()).collect());
}
