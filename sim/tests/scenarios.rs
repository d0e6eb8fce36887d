//! Every scenario in fixtures/scenarios is a test: the log and the server's state at the marked
//! points must be what they were. After a wanted change: `cargo insta review`, or
//! `INSTA_UPDATE=always cargo test --test scenarios` and a look at the diff.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sim::engine::Engine;
use sim::faults::bugs::Planted;
use sim::planning::moves::ADVERSARY;
use sim::planning::plan::Plan;
use sim::planning::scenario::Scenario;
use sim::record::log::{Detail, Log, What};
use sim::search::chaos::difference;

/// One test for each file.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*
        const LISTED: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    ack_lost_each_time_message_comes_by_two_paths_and_is_shown_once
    ack_spoofed_during_hello_changes_no_dialect
    challenge_with_any_nonce_changes_no_dialect
    damaged_datagrams_count_as_lost
    deliver_and_shown_lost_is_delivered_again
    deregister_lost_leaves_all_the_same
    deregister_never_arrives_lease_ends
    group_made_and_the_answer_lost_is_made_once
    group_message_reaches_each_member_once_and_waits_for_who_is_away
    groups_of_one_user_leave_room_for_others
    guest_comes_and_goes_others_are_told_in_rounds
    guest_forged_while_away_reads_no_mail
    guests_forged_before_a_restart_earn_no_more_than_their_own_bytes
    guests_forged_without_a_proof_are_not_taken_in
    handed_over_and_its_ack_lost_is_told_again
    hosts_with_two_addresses_answer_from_the_one_that_was_asked
    keep_alives_lost_stays_registered
    knock_and_answer_lost_direct_way_is_found_again
    late_ack_of_an_earlier_message_confirms_nothing_else
    leave_spoofed_name_stays_with_who_answers
    leaving_keeps_what_is_on_its_way_and_sends_it_later
    leaving_quits_and_comes_back_with_mail
    leaving_while_being_registered_leaves_no_ghost
    link_cut_both_ways_messages_go_over_the_server
    lost_ack_is_resent_and_shown_once
    mail_that_nobody_comes_for_expires_and_its_sender_is_told
    mailbox_filled_by_one_user_takes_anothers_message
    member_joins_and_another_leaves_while_a_message_is_sent
    message_and_ack_twice_shown_once
    message_by_two_paths_shown_once
    message_lost_each_time_goes_over_the_server
    message_lost_four_times_is_received_directly
    message_to_everybody_reaches_those_who_are_away_too
    messages_in_anothers_name_are_not_shown
    messages_overtake_each_other_shown_in_order
    name_in_use_refusal_lost_is_told_again
    name_of_a_silent_holder_is_taken_over
    network_carries_nothing_long_message_is_given_up_and_later_ones_go_on
    offline_messages_are_delivered_on_registration
    old_datagrams_sent_again_are_shown_once
    one_saved_for_two_streams_lost_each_is_saved_once
    probe_and_alive_lost_is_not_taken_for_gone
    recipient_back_on_another_port_gets_the_message
    recipient_gone_without_a_word_message_is_saved
    recipient_killed_after_its_ack_message_stays_received
    recipient_killed_after_showing_before_acknowledging_is_marked
    recipient_killed_before_its_ack_shows_nothing_again
    recipient_loses_power_after_remembering_message_is_shown_again_marked
    recipient_loses_power_before_it_remembers_message_is_shown_later
    recipient_stands_still_and_shows_everything_once
    refused_forged_blindly_ends_no_client
    registered_forged_blindly_is_no_answer
    registration_and_message_at_the_same_time_shown_once
    registration_granted_after_leaving_leaves_no_ghost
    save_and_deliver_twice_shown_once
    save_and_saved_lost_is_saved_once
    sender_killed_before_it_knows_the_members_sends_each_one_copy
    sender_killed_before_it_remembers_the_ack_has_told_it
    sender_killed_with_unsent_messages_sends_them_later
    sender_loses_power_as_the_message_is_typed_nothing_is_sent
    sender_loses_power_with_the_message_on_its_disk_sends_it_later
    server_clock_set_nothing_expires
    server_disk_full_hand_over_goes_on
    server_disk_full_message_is_unsent_and_saved_when_there_is_room
    server_disk_slow_holds_up_nothing_else
    server_killed_and_loses_power_while_it_repairs_nothing_is_lost
    server_killed_before_the_commit_message_is_saved_later
    server_killed_between_a_join_and_its_answer_keeps_the_member
    server_killed_between_commit_and_saved_is_saved_once
    server_killed_during_hand_over_shown_once
    server_loses_power_again_while_it_recovers_nothing_is_lost
    server_loses_power_as_its_store_is_made_it_makes_another
    server_loses_power_during_hand_over_shown_once
    server_loses_power_inside_the_commit_but_has_it_message_is_saved_once
    server_loses_power_inside_the_commit_message_is_saved_later
    server_loses_power_writes_are_torn_message_is_saved_later
    server_moves_and_is_found_by_clients_that_run
    server_restart_unknown_lost_registers_again
    server_store_is_replaced_it_ends_and_acknowledges_nothing_that_is_not_found
    server_sync_fails_and_power_is_lost_later_nothing_is_lost
    server_unreachable_message_is_unsent_and_goes_out_later
    server_write_fails_it_ends_and_goes_on_when_started_again
    sign_in_packets_lost_registers_later
    sign_in_packets_twice_registers_once
    streams_of_one_message_each_push_nobody_elses_out
    table_and_its_ack_lost_tables_converge
    table_of_a_lying_server_ends_no_client
    table_twice_and_late_changes_nothing
    two_race_for_a_name_one_is_refused
    unknown_name_not_saved_lost_is_told_again
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/scenarios")
}

fn replay(name: &str) {
    let path = folder().join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).expect("a fixture");
    let scenario = Scenario::parse(&text).unwrap_or_else(|bad| panic!("{name}.json:{bad}"));
    let plan = scenario.plan();
    let run = |engine: Engine| engine.run(&plan, &Planted::default());
    let outcome = run(Engine::Turmoil);
    assert_eq!(difference(&outcome, &run(Engine::Direct)), None);
    assert_eq!(sim::record::check::check(&plan, &outcome), []);
    let mut settings = insta::Settings::clone_current();
    settings.set_description(&scenario.about);
    settings.set_omit_expression(true);
    settings.bind(|| {
        if plan.is_attacked() {
            insta::assert_snapshot!(format!("{name}@attack"), attack(&outcome.log));
        }
        insta::assert_snapshot!(format!("{name}@log"), story(&plan, &outcome.log));
        let states: BTreeMap<_, _> =
            outcome.marks.iter().map(|mark| (&mark.name, &mark.state)).collect();
        insta::assert_json_snapshot!(format!("{name}@server"), states);
    });
}

/// How many lines that differ in numbers alone are shown of a run in which somebody attacks.
const ALIKE_MAX: usize = 20;

/// What happened. Of a flood only its beginning is shown, and then how much more there was.
fn story(plan: &Plan, log: &Log) -> String {
    if !plan.is_attacked() {
        return log.to_text(Detail::Story);
    }
    let mut text = String::new();
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    for line in log.to_text(Detail::Story).lines() {
        let shape = line.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        let count = alike.entry(shape).or_default();
        *count += 1;
        if *count <= ALIKE_MAX {
            text += &format!("{line}\n");
        }
    }
    for (shape, count) in alike {
        if let Some(more) = count.checked_sub(ALIKE_MAX).filter(|more| *more > 0) {
            text += &format!("and {more} more: {}\n", shape.trim_start_matches([' ', '.']));
        }
    }
    text
}

/// What the adversary sent to whom, from where, and how often.
fn attack(log: &Log) -> String {
    let mut sent: BTreeMap<String, u32> = BTreeMap::new();
    for entry in &log.entries {
        let What::Sent { key, source, .. } = &entry.what else { continue };
        if *key.from == *ADVERSARY {
            let source = match source {
                Some(source) if log.addresses.contains_key(source) => format!(" from {source}"),
                Some(_) => " from where nobody is".to_owned(),
                None => String::new(),
            };
            *sent.entry(format!("{} to {}{source}", key.packet.name(), key.to)).or_default() += 1;
        }
    }
    sent.iter().map(|(what, times)| format!("{times} times {what}\n")).collect()
}

#[test]
fn every_file_is_listed() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, LISTED.iter().map(|name| (*name).to_owned()).collect());
}
