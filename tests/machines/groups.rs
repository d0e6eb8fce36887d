//! Groups and texts to many: who gets a copy, what the sender is told, and what a loss or a
//! restart changes about it, which is nothing.

use std::time::Duration;

use udpchat_core::client::{Event, GroupDone, Problem};
use udpchat_core::protocol::limits::{GROUP_REQUESTS_MAX, MEMBERS_MAX, OUTBOX_MAX};
use udpchat_core::protocol::{Name, PacketKind as Kind, Token};
use udpchat_core::server::{Account, Change};
use udpchat_core::store::Record as _;

use super::world::{Verdict, World};
use super::{is_read_later, is_received, is_saved, lose_first, seconds};

/// A world in which these are in the group `team`.
fn team(names: &[&str]) -> World {
    let mut world = World::with(names);
    for (name, verb) in names.iter().zip(["create_group"].into_iter().chain(["join_group"; 9])) {
        world.types(name, &format!("{verb} team"));
        world.run(seconds(1));
    }
    world
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn error(world: &World, name: &str) -> Option<Problem> {
    world.events(name).iter().rev().find_map(|event| match event {
        Event::Error(problem) => Some(problem.clone()),
        _ => None,
    })
}

fn is_done(what: GroupDone) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Group { what: done, .. } if *done == what)
}

/// What the sender is told of all copies: received, saved, unsent.
fn outcomes(world: &World, name: &str) -> Vec<(usize, usize, usize)> {
    let outcome = |event: &Event| match event {
        Event::CastOutcome { received, saved, unsent, .. } => Some((*received, *saved, *unsent)),
        _ => None,
    };
    world.events(name).iter().filter_map(outcome).collect()
}

#[test]
fn every_other_member_gets_one_copy_and_nobody_else() {
    let mut world = team(&["alice", "bob", "carol"]);
    world.start("dave", 5_100, 0);
    world.run(seconds(1));
    world.types("alice", "send_group team hello");
    world.run(seconds(1));
    for (name, copies) in [("alice", 0), ("bob", 1), ("carol", 1), ("dave", 0)] {
        assert_eq!(world.texts(name).len(), copies, "{name}");
    }
    assert_eq!(outcomes(&world, "alice"), [(2, 0, 0)]);
    assert_eq!(world.snapshot().groups, ["team: alice, bob, carol"]);
}

#[test]
fn everybody_in_the_table_gets_a_copy_of_a_text_to_all() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.types("carol", "dereg carol");
    world.run(seconds(1));
    world.types("alice", "send_all hello");
    world.run(seconds(1));
    assert_eq!(outcomes(&world, "alice"), [(1, 1, 0)]);
    assert_eq!(world.texts("bob"), ["hello"]);
    world.types("carol", "reg carol");
    world.run(seconds(1));
    assert_eq!(world.texts("carol"), ["hello"]);
    assert_eq!(world.count("alice", is_read_later), 1);
}

#[test]
fn copies_are_messages_in_their_lanes_and_keep_the_order() {
    let mut world = team(&["alice", "bob"]);
    world.rule(lose_first(5, "alice", Kind::Message, "bob").into_rule());
    world.types("alice", "send_group team first");
    world.run(Duration::from_millis(100));
    world.types("alice", "send bob second");
    world.types("alice", "send_all third");
    world.run(seconds(5));
    assert_eq!(world.texts("bob"), ["first", "second", "third"]);
    assert_eq!(world.texts("alice"), [""; 0]);
}

#[test]
fn a_repeated_request_is_done_once_and_answered_again() {
    let mut world = World::with(&["alice"]);
    for (line, done) in [
        ("create_group team", GroupDone::Created),
        ("join_group team", GroupDone::Joined),
        ("leave_group team", GroupDone::Left),
    ] {
        world.rule(lose_first(2, "server", Kind::GroupAnswer, "alice").into_rule());
        world.types("alice", line);
        world.run(seconds(5));
        assert_eq!(world.count("alice", is_done(done)), 1, "{line}");
        assert_eq!(error(&world, "alice"), None, "{line}");
    }
    assert_eq!(world.snapshot().groups, [""; 0]);
}

#[test]
fn a_request_from_before_the_last_one_changes_nothing() {
    let mut world = World::with(&["alice"]);
    let mut late = true;
    world.rule(move |_, sight| {
        // The second copy of the first request comes when two more have been answered.
        if sight.is("alice", Kind::GroupAsk, "server") && std::mem::take(&mut late) {
            return super::Verdict::Twice(seconds(5));
        }
        super::Verdict::Pass
    });
    for line in ["create_group team", "leave_group team", "create_group other"] {
        world.types("alice", line);
        world.run(seconds(1));
    }
    world.run(seconds(5));
    assert_eq!(world.snapshot().groups, ["other: alice"]);
    assert_eq!(world.count("alice", is_done(GroupDone::Created)), 2);
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut world = team(&["alice", "bob"]);
    let group = || "team".parse().expect("a name");
    for (line, problem) in [
        ("create_group team", Problem::GroupExists(group())),
        ("join_group none", Problem::NoSuchGroup("none".parse().expect("a name"))),
        ("leave_group team", Problem::NotMember(group())),
        ("list_members team", Problem::NotMember(group())),
        ("send_group team hi", Problem::NotMember(group())),
    ] {
        if line == "leave_group team" {
            world.types("bob", line);
            world.run(seconds(1));
        }
        world.types("bob", line);
        world.run(seconds(1));
        assert_eq!(error(&world, "bob"), Some(problem), "{line}");
    }
    world.types("alice", "send_group team anybody?");
    world.run(seconds(1));
    assert!(matches!(error(&world, "alice"), Some(Problem::NobodyElse(_))));
}

/// What the server refuses is over for good: a client that starts anew does not ask again, nor is
/// its user told again.
#[test]
fn what_was_refused_is_not_wanted_any_more_after_a_restart() {
    let mut world = team(&["alice", "bob"]);
    for line in ["create_group team", "join_group none", "send_group none hello"] {
        world.types("bob", line);
        world.run(seconds(1));
    }
    assert_eq!(world.count("bob", |event| matches!(event, Event::Error(_))), 3);
    world.restart("bob");
    world.log.clear();
    world.run(seconds(5));
    assert_eq!(world.count("bob", |event| matches!(event, Event::Error(_))), 0);
    assert_eq!(world.sent("bob", Kind::GroupAsk, "server"), 0);
}

/// A world in which alice has asked for the members of a large group, and has been answered the
/// first part of them and nothing more.
fn half_a_list() -> World {
    let mut world = World::without_server();
    let members = (0..MEMBERS_MAX - 1).map(|n| name(&format!("member-with-long-name-{n:03}")));
    for member in members.chain([name("alice")]) {
        world.server_record.apply(&Change::Joined { group: name("team"), member });
    }
    world.start_server();
    world.start("alice", 5_000, 0);
    world.run(seconds(1));
    let mut parts = 0;
    world.rule(move |_, sight| {
        parts += usize::from(sight.is("server", Kind::GroupAnswer, "alice"));
        if parts > 1 { Verdict::Lose } else { Verdict::Pass }
    });
    world.types("alice", "list_members team");
    world.run(seconds(1));
    assert!(world.sent("server", Kind::GroupAnswer, "alice") > 1, "it comes in parts");
    world
}

/// A list of which parts have come when the rest of it is refused leaves nothing behind: the next
/// list has only its own names.
#[test]
fn a_list_that_is_refused_halfway_leaves_no_names_to_the_next() {
    let mut world = half_a_list();
    world.kill_server();
    world.lose_server_memory();
    world.start_server();
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(15));
    assert_eq!(error(&world, "alice"), Some(Problem::NoSuchGroup(name("team"))));
    world.types("alice", "create_group zebras");
    world.types("alice", "list_groups");
    world.run(seconds(2));
    let groups = Event::Groups(vec![name("zebras")]);
    assert_eq!(world.count("alice", |event| *event == groups), 1);
}

/// Nor does one of which parts have come when its user leaves.
#[test]
fn a_list_that_its_user_did_not_wait_for_leaves_no_names_to_the_next() {
    let mut world = half_a_list();
    world.types("alice", "dereg alice");
    world.run(seconds(1));
    world.rule(|_, _| Verdict::Pass);
    world.types("alice", "reg alice");
    world.types("alice", "list_groups");
    world.run(seconds(3));
    let groups = Event::Groups(vec![name("team")]);
    assert_eq!(world.count("alice", |event| *event == groups), 1);
}

#[test]
fn a_group_outlives_the_server_process_and_the_last_member_takes_it_along() {
    let mut world = team(&["alice", "bob"]);
    world.kill_server();
    world.start_server();
    world.run(seconds(10));
    world.types("alice", "list_members team");
    world.types("bob", "send_group team still here");
    world.run(seconds(1));
    assert_eq!(world.texts("alice"), ["still here"]);
    let both =
        |event: &Event| matches!(event, Event::Members { members, .. } if members.len() == 2);
    assert_eq!(world.count("alice", both), 1);
    world.types("alice", "leave_group team");
    world.types("bob", "leave_group team");
    world.types("bob", "list_groups");
    world.run(seconds(1));
    assert_eq!(world.count("bob", |event| *event == Event::Groups(Vec::new())), 1);
}

#[test]
fn a_text_to_a_group_waits_for_the_server_and_outlives_its_sender() {
    let mut world = team(&["alice", "bob"]);
    world.kill_server();
    world.types("alice", "send_group team patience");
    world.run(seconds(9));
    assert!(matches!(error(&world, "alice"), Some(Problem::GroupWaits(..))));
    world.restart("alice");
    world.start_server();
    world.run(seconds(10));
    assert_eq!(world.texts("bob"), ["patience"]);
    world.restart("alice");
    world.run(seconds(10));
    assert_eq!(world.texts("bob"), ["patience"], "sent once");
}

#[test]
fn members_are_those_whom_the_server_names_when_it_is_sent() {
    let mut world = team(&["alice", "bob", "carol"]);
    world.types("alice", "send_group team first");
    world.run(seconds(1));
    world.types("bob", "leave_group team");
    world.run(seconds(1));
    world.types("alice", "send_group team second");
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), ["first"]);
    assert_eq!(world.texts("carol"), ["first", "second"]);
}

#[test]
fn a_large_group_is_told_in_parts_and_has_its_limit() {
    let mut world = World::with(&["alice"]);
    world.types("alice", "create_group team");
    let names: Vec<String> =
        (0..MEMBERS_MAX).map(|n| format!("member-with-long-name-{n:03}")).collect();
    for (name, port) in names.iter().zip(6_000..) {
        world.start(name, port, 0);
    }
    world.run(seconds(5));
    for name in &names {
        world.types(name, "join_group team");
    }
    world.run(seconds(1));
    let last = names.last().expect("many");
    assert!(names.iter().all(|name| name == last || error(&world, name).is_none()));
    assert!(matches!(error(&world, last), Some(Problem::GroupFull(_))));
    // Half of the answers about members are lost.
    let mut lose = false;
    world.rule(move |_, sight| {
        lose ^= sight.is("server", Kind::GroupAnswer, "alice");
        let lost = lose && sight.is("server", Kind::GroupAnswer, "alice");
        if lost { super::Verdict::Lose } else { super::Verdict::Pass }
    });
    world.types("alice", "send_group team hello");
    world.run(seconds(20));
    assert_eq!(outcomes(&world, "alice"), [(MEMBERS_MAX - 1, 0, 0)]);
    assert!(names.iter().all(|name| name == last || world.texts(name) == ["hello"]));
}

#[test]
fn a_saved_message_is_said_to_be_read_once_whoever_restarts() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.types("alice", "send bob hello");
    world.run(seconds(1));
    assert_eq!(world.count("alice", is_saved), 1);
    world.restart("alice");
    world.kill_server();
    world.start_server();
    world.run(seconds(5));
    world.restart("bob");
    world.run(seconds(10));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.count("alice", is_read_later), 1);
    assert_eq!(world.count("alice", |event| is_received(event) || is_saved(event)), 0);
}

#[test]
fn requests_are_bounded_and_refused_offline() {
    let mut world = World::with(&["alice"]);
    world.kill_server();
    for _ in 0..=GROUP_REQUESTS_MAX {
        world.types("alice", "list_groups");
    }
    assert_eq!(error(&world, "alice"), Some(Problem::TooManyRequests));
    world.start_server();
    world.run(seconds(20));
    world.types("alice", "dereg alice");
    world.run(seconds(1));
    world.types("alice", "create_group team");
    assert_eq!(error(&world, "alice"), Some(Problem::OfflineForGroups));
}

#[test]
fn a_text_to_a_group_waits_for_room_in_the_outbox() {
    let mut world = team(&["alice", "bob"]);
    world.rule(|_, sight| match sight.identity.kind {
        Kind::Message | Kind::Save => Verdict::Lose,
        _ => Verdict::Pass,
    });
    for number in 0..OUTBOX_MAX {
        world.types("alice", &format!("send bob {number}"));
    }
    world.types("alice", "send_group team to all");
    world.run(seconds(10));
    let team: Name = "team".parse().unwrap();
    assert_eq!(error(&world, "alice"), Some(Problem::GroupWaitsForRoom(team)));
    // It is kept over a restart, and the user told again.
    world.restart("alice");
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(120));
    let texts = world.texts("bob");
    assert_eq!((texts.len(), texts.last().unwrap().as_str()), (OUTBOX_MAX + 1, "to all"));
    assert_eq!(outcomes(&world, "alice"), [(1, 0, 0)]);
}

#[test]
fn a_text_to_more_than_an_outbox_holds_is_refused_with_their_number() {
    let mut world = World::without_server();
    let others = OUTBOX_MAX + 1;
    for number in 0..others {
        let name = format!("n{number}").parse().unwrap();
        let account = Account { token: Token(7), registration: 1, original: None };
        world.server_record.apply(&Change::Registered { name, account });
    }
    world.start_server();
    world.start("alice", 5_000, 0);
    world.run(seconds(20));
    world.types("alice", "send_all hello");
    world.run(seconds(1));
    assert_eq!(error(&world, "alice"), Some(Problem::TooManyForAll(others)));
}
