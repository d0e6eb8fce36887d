//! Who is here: signing in, staying, leaving. docs/protocol.md, "Registration" and "The table".

use std::time::Duration;

use udpchat_core::client::{Command, Event, Problem};
use udpchat_core::original;
use udpchat_core::protocol::PacketKind as Kind;

use crate::guests;
use crate::world::{self, Verdict, World};
use crate::{is_received, is_saved, is_unsent, lose_first, seconds};

#[test]
fn clients_register_and_get_the_table() {
    let world = World::with(&["alice", "bob"]);
    for name in ["alice", "bob"] {
        assert!(matches!(world.events(name)[0], Event::Registered { back: false, .. }));
        let Some(Event::Table(listing)) = world.events(name).last() else { panic!("no table") };
        assert_eq!(listing.online.len(), 2);
    }
}

#[test]
fn leaving_without_a_word_is_noticed() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.kill("bob");
    world.run(seconds(21));
    for name in ["alice", "carol"] {
        let Some(Event::Table(listing)) = world.events(name).last() else { panic!("no table") };
        assert_eq!(listing.offline, ["bob".parse().unwrap()]);
    }
}

#[test]
fn a_failed_direct_send_finds_the_silent_out_at_once() {
    let mut world = World::with(&["alice", "bob"]);
    world.kill("bob");
    world.types("alice", "send bob hello");
    world.run(seconds(5));
    assert_eq!(world.count("alice", is_saved), 1);
    assert!(world.snapshot().clients.contains(&"bob: offline".to_owned()));
}

#[test]
fn a_name_has_one_holder_while_the_holder_answers() {
    let mut world = World::with(&["alice", "bob"]);
    world.start("bob.second", 6_000, 0);
    world.run(seconds(5));
    let in_use = |e: &Event| matches!(e, Event::Error(problem) if problem.to_string().contains("already in use"));
    assert_eq!(world.count("bob.second", in_use), 1);
    assert!(world.is_finished("bob.second"));
    world.types("alice", "send bob still you?");
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), ["still you?"]);
}

/// While the server asks a name's holder, whoever wants the name asks on with what it has: the
/// time for an answer counts from the server's last word, and it does not start over.
#[test]
fn whoever_is_told_to_wait_does_not_start_over() {
    let mut world = World::with(&["alice"]);
    world.kill("alice");
    let since = world.now;
    world.rule(move |now, sight| {
        let is_late = sight.identity.kind == Kind::Register && now - since < seconds(2);
        if is_late { Verdict::Lose } else { Verdict::Pass }
    });
    world.start("alice.second", 6_000, 9);
    world.run(seconds(5));
    assert!(world.sent("server", Kind::Wait, "alice.second") > 0, "the holder is asked");
    assert_eq!(world.sent("alice.second", Kind::Hello, "server"), 1);
    assert_eq!(world.snapshot().clients, ["alice: online at 192.0.2.2:6000"]);
}

#[test]
fn a_restarted_client_has_its_name_back_within_five_seconds() {
    for (port, token) in [(5_001, 0), (7_000, 0)] {
        let mut world = World::with(&["alice", "bob"]);
        world.kill("bob");
        world.start("bob", port, token);
        world.run(seconds(5));
        let registered = |e: &Event| matches!(e, Event::Registered { back: true, .. });
        assert_eq!(world.count("bob", registered), 1, "port {port}");
        world.types("alice", "send bob back?");
        world.run(seconds(1));
        assert_eq!(world.texts("bob"), ["back?"]);
    }
}

#[test]
fn the_table_reaches_two_hundred_clients() {
    let mut world = World::new();
    for n in 0..200_u16 {
        world.start(&format!("client{n}"), 10_000 + n, 0);
    }
    let mut n = 0_u32;
    world.rule(move |_, _| {
        n += 1;
        if n.is_multiple_of(5) { Verdict::Lose } else { Verdict::Pass }
    });
    world.run(seconds(20));
    for n in [0, 99, 199] {
        let Some(Event::Table(listing)) = world.events(&format!("client{n}")).last() else {
            panic!("no table")
        };
        assert_eq!(listing.online.len(), 200);
    }
}

#[test]
fn nothing_is_sent_while_deregistered() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("alice", "dereg alice");
    world.run(seconds(1));
    world.types("alice", "send bob hello");
    world.run(seconds(1));
    let Some(Event::Error(problem)) = world.events("alice").last() else { panic!("no error") };
    assert_eq!(problem.to_string(), "Can't send message, you are offline.");
    world.types("alice", "reg alice");
    world.run(seconds(5));
    assert_eq!(world.texts("bob"), Vec::<String>::new());
}

#[test]
fn a_script_gets_its_outcomes_and_its_exit_code() {
    for (line, complete) in [("send bob hi", true), ("send nobody hi", false)] {
        let mut world = World::new();
        world.start("bob", 5_001, 0);
        world.start("alice", 5_000, 0);
        world.types("alice", line);
        world.types("alice", "quit");
        world.run(seconds(5));
        assert_eq!(world.events("alice").last(), Some(&Event::Left { complete }));
        assert!(world.is_finished("alice"));
    }
}

#[test]
fn without_a_server_the_client_gives_up_after_ten_seconds() {
    let mut world = World::new();
    world.kill_server();
    world.start("alice", 5_000, 0);
    world.types("alice", "send bob hi");
    world.run(Duration::from_millis(9_900));
    assert!(!world.is_finished("alice"));
    world.run(Duration::from_millis(200));
    assert_eq!(world.events("alice").last(), Some(&Event::Left { complete: false }));
}

#[test]
fn nobody_knocks_while_deregistered() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|_, sight| {
        let cut = sight.to == "bob" && sight.identity.kind != Kind::Probe;
        if cut { Verdict::Lose } else { Verdict::Pass }
    });
    world.types("alice", "send bob hello");
    world.run(seconds(10));
    world.types("alice", "dereg alice");
    world.run(seconds(1));
    world.log.clear();
    world.run(seconds(30));
    assert_eq!(world.sent("alice", Kind::Knock, "bob"), 0);
}

#[test]
fn sends_that_had_not_begun_are_spoken_of_when_the_user_leaves() {
    let mut world = World::new();
    world.kill_server();
    world.start("alice", 5_000, 0);
    world.types("alice", "send bob hi");
    world.commands("alice", Command::Quit);
    world.run(seconds(1));
    let left = |e: &Event| matches!(e, Event::Error(Problem::LeftBefore(_)));
    assert_eq!(world.count("alice", left), 1);
    assert_eq!(world.events("alice").last(), Some(&Event::Left { complete: false }));
}

#[test]
fn what_is_typed_behind_quit_is_not_done_and_spoken_of() {
    let mut world = World::with(&["alice", "bob"]);
    for line in ["send bob before", "quit", "send bob behind"] {
        world.types("alice", line);
    }
    world.run(seconds(1));
    assert_eq!(world.texts("bob"), ["before"]);
    let left = |e: &Event| matches!(e, Event::Error(Problem::LeftBefore(_)));
    assert_eq!(world.count("alice", left), 1);
    assert_eq!(world.events("alice").last(), Some(&Event::Left { complete: false }));
}

#[test]
fn an_outcome_that_comes_during_the_sign_off_is_told_as_it_is() {
    for (way, outcome) in [("bob", Kind::Ack), ("server", Kind::Saved)] {
        let mut world = World::with(&["alice", "bob"]);
        if outcome == Kind::Saved {
            world.types("bob", "dereg bob");
            world.run(seconds(1));
        }
        world.rule(move |_, sight| match sight.identity.kind {
            _ if sight.is(way, outcome, "alice") => Verdict::Delay(Duration::from_millis(200)),
            Kind::Deregistered | Kind::Unknown => Verdict::Delay(Duration::from_millis(400)),
            _ => Verdict::Pass,
        });
        world.types("alice", "send bob hello");
        world.run(Duration::from_millis(100));
        world.commands("alice", Command::Quit);
        world.run(seconds(1));
        assert_eq!(world.count("alice", |e| is_received(e) || is_saved(e)), 1, "{outcome:?}");
        assert_eq!(world.count("alice", is_unsent), 0, "{outcome:?}");
        assert_eq!(world.events("alice").last(), Some(&Event::Left { complete: true }));
    }
}

#[test]
fn a_refused_registration_lets_later_commands_go_on() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    world.start("bob.second", 6_000, 0);
    world.run(seconds(1));
    world.types("bob", "reg bob");
    world.types("bob", "list");
    world.run(seconds(3));
    assert_eq!(world.count("bob", |e| matches!(e, Event::List(_))), 1);
}

/// Who was registered before and registers again at a server that does not answer has what they
/// type meanwhile done after ten seconds, as whoever registers for the first time is given up on.
#[test]
fn a_registration_that_is_not_answered_keeps_later_commands_waiting_for_ten_seconds_only() {
    let mut world = World::with(&["alice"]);
    world.types("alice", "dereg alice");
    world.run(seconds(30));
    world.kill_server();
    world.types("alice", "reg alice");
    world.types("alice", "list");
    let is_list = |event: &Event| matches!(event, Event::List(_));
    world.run(Duration::from_millis(9_900));
    assert_eq!(world.count("alice", is_list), 0);
    world.run(Duration::from_millis(200));
    assert_eq!(world.count("alice", is_list), 1);
}

/// A text to everybody that is typed before the table has come goes to everybody in it, also if
/// the table comes later than the registration.
#[test]
fn what_is_typed_before_the_table_has_come_waits_for_the_whole_of_it() {
    let mut world = World::with(&["bob", "carol"]);
    world.rule(lose_first(2, "server", Kind::Table, "alice").into_rule());
    world.start("alice", 5_100, 0);
    world.types("alice", "send_all hello");
    world.run(seconds(5));
    assert_eq!(world.texts("bob"), ["hello"]);
    assert_eq!(world.texts("carol"), ["hello"]);
    assert_eq!(world.count("alice", |event| matches!(event, Event::Error(_))), 0);
}

#[test]
fn a_registration_granted_after_the_user_left_leaves_no_ghost() {
    let mut world = World::with(&["alice"]);
    world.kill_server();
    world.start_server();
    world.rule(|_, sight| {
        let slow = sight.identity.kind == Kind::Registered;
        if slow { Verdict::Delay(Duration::from_secs(1)) } else { Verdict::Pass }
    });
    world.log.clear();
    world.run(Duration::from_millis(4_500));
    assert!(world.sent("server", Kind::Registered, "alice") >= 1);
    world.types("alice", "dereg alice");
    world.run(seconds(3));
    assert_eq!(world.snapshot().clients, ["alice: offline"]);
}

#[test]
fn a_late_part_of_an_earlier_table_replaces_no_newer_one() {
    let mut world = World::new();
    world.rule(|_, sight| match sight.is("server", Kind::Table, "alice") {
        true => Verdict::Twice(seconds(20)),
        false => Verdict::Pass,
    });
    world.start("alice", 5_000, 0);
    world.start("bob", 5_001, 0);
    world.run(seconds(2));
    world.rule(|_, _| Verdict::Pass);
    world.kill("bob");
    world.kill_server();
    world.start_server();
    world.run(seconds(15));
    let tables = |world: &World| world.count("alice", |event| matches!(event, Event::Table(_)));
    let before = tables(&world);
    world.run(seconds(20));
    assert_eq!(tables(&world), before);
}

#[test]
fn a_guest_who_waits_for_one_name_and_takes_another_has_one_in_the_end() {
    let mut world = World::with(&["bob"]);
    let gone = "203.0.113.7:4000".parse().expect("an address");
    guests::is_there(&mut world, gone);
    world.inject(gone, world::server_addr(), original::text("[REQUEST:REG] alice"));
    world.run(seconds(1));
    world.kill("guest");
    let guest = "203.0.113.8:4000".parse().expect("an address");
    guests::is_there(&mut world, guest);
    for name in ["alice", "zoe"] {
        let request = original::text(&format!("[REQUEST:REG] {name}"));
        world.inject(guest, world::server_addr(), request);
        world.run(Duration::from_millis(500));
    }
    let here = "zoe: online at 203.0.113.8:4000, original".to_owned();
    assert!(world.snapshot().clients.contains(&here), "alice is still being asked");
    world.run(seconds(2));
    let clients = world.snapshot().clients;
    let expected = ["alice: online at 203.0.113.8:4000, original", "zoe: offline"];
    assert_eq!([&clients[0], &clients[2]], expected);
}
