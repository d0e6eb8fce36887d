//! Ways that carry short datagrams and swallow long ones. docs/protocol.md, "Sending".

use udpchat_core::client::{Event, UnsentReason};
use udpchat_core::protocol::{Packet, PacketKind as Kind, envelope, hello};

use crate::world::{Verdict, Wire, World};
use crate::{is_read_later, is_received, is_saved, seconds};

/// Longer datagrams are lost.
const CARRIED: usize = 700;

fn is_too_large(event: &Event) -> bool {
    matches!(event.plain(), Event::Unsent { reason: UnsentReason::TooLarge { .. }, .. })
}

/// A way between a client and everybody that swallows what is long.
fn swallows(who: &'static str) -> impl FnMut(&Wire) -> Verdict {
    move |wire| {
        let is_long = wire.bytes.len() > CARRIED && (wire.from == who || wire.to == who);
        if is_long { Verdict::Lose } else { Verdict::Pass }
    }
}

fn long() -> String {
    "x".repeat(690)
}

#[test]
fn what_does_not_pass_at_its_size_is_told_so_and_those_behind_it_go_on() {
    let mut world = World::with(&["alice", "bob"]);
    world.wire_rule(swallows("alice"));
    world.types("alice", &format!("send bob {}", long()));
    world.types("alice", "send bob short");
    world.run(seconds(60));
    assert_eq!(world.count("alice", is_too_large), 0, "not before it is sure");
    world.run(seconds(120));
    let told = Event::Unsent {
        id: id_of(&world, 1),
        to: "bob".parse().expect("a name"),
        reason: UnsentReason::TooLarge { bytes: 690 },
    };
    assert_eq!(world.count("alice", |event| *event == told), 1);
    assert_eq!(world.texts("bob"), ["short"]);
    assert_eq!(
        world.client_record("alice").outgoing.values().next().map(|it| it.unsettled.len()),
        Some(0)
    );
    let sent = (world.sent("alice", Kind::Save, "server"), world.wire.len());
    world.run(seconds(4));
    assert_eq!(world.sent("alice", Kind::Save, "server"), sent.0, "nothing goes on");
}

fn id_of(world: &World, seq: u64) -> udpchat_core::protocol::MessageId {
    let sending = world.events("alice").iter().find_map(|event| match event {
        Event::Sending { id, .. } if id.seq == seq => Some(*id),
        _ => None,
    });
    sending.expect("a message")
}

#[test]
fn several_that_do_not_pass_are_given_up_one_after_the_other() {
    let mut world = World::with(&["alice", "bob"]);
    world.wire_rule(swallows("alice"));
    for text in [&long(), "one", &long(), "two"] {
        world.types("alice", &format!("send bob {text}"));
    }
    world.run(seconds(400));
    assert_eq!(world.count("alice", is_too_large), 2);
    assert_eq!(world.texts("bob"), ["one", "two"]);
}

#[test]
fn a_way_that_loses_much_of_everything_carries_every_size() {
    let mut world = World::with(&["alice", "bob"]);
    // Half of everything, whatever it is, and at times nothing for long.
    let mut draw = 1_u64;
    world.rule(move |now, _| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let second = now.since_start().as_secs();
        let lost = draw >> 63 == 0 || second % 90 > 60;
        if lost { Verdict::Lose } else { Verdict::Pass }
    });
    for _ in 0..30 {
        world.types("alice", &format!("send bob {}", long()));
        world.run(seconds(20));
    }
    world.run(seconds(120));
    assert_eq!(world.count("alice", is_too_large), 0);
    assert_eq!(world.texts("bob").len(), 30);
}

#[test]
fn a_server_that_keeps_nothing_but_answers_is_no_narrow_way() {
    let mut world = World::with(&["alice", "bob"]);
    world.kill("bob");
    // As with a disk that stands still.
    world.loses_every(Kind::Saved);
    world.types("alice", &format!("send bob {}", long()));
    world.run(seconds(1_200));
    assert_eq!(world.count("alice", is_too_large), 0);
    let long_hellos = world.wire.iter().filter(|wire| {
        wire.is("alice", "server")
            && wire.bytes.len() > CARRIED
            && hello::decode(&wire.bytes).is_some()
    });
    assert!(long_hellos.count() > 100, "its size was in doubt");
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(5));
    assert_eq!(world.count("alice", is_saved), 1);
}

#[test]
fn a_server_that_is_away_is_no_narrow_way() {
    let mut world = World::with(&["alice", "bob"]);
    world.kill("bob");
    world.rule(|_, sight| if sight.to == "server" { Verdict::Lose } else { Verdict::Pass });
    world.types("alice", &format!("send bob {}", long()));
    world.run(seconds(1_200));
    assert_eq!(world.count("alice", is_too_large), 0);
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(10));
    assert_eq!(world.count("alice", is_saved), 1);
}

#[test]
fn stored_messages_that_do_not_pass_hold_up_those_of_nobody_else() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    for _ in 0..40 {
        world.types("alice", &format!("send bob {}", long()));
    }
    world.run(seconds(10));
    world.types("carol", "send bob short");
    world.run(seconds(2));
    world.wire_rule(swallows("bob"));
    world.types("bob", "reg bob");
    world.run(seconds(60));
    assert_eq!(world.texts("bob"), ["short"]);
    assert_eq!(world.count("carol", is_read_later), 1);
    // What is stuck is sent on, and no flood.
    let before = world.sent("server", Kind::Deliver, "bob");
    world.run(seconds(20));
    let sent = world.sent("server", Kind::Deliver, "bob") - before;
    assert!((5..=20).contains(&sent), "{sent}");
    // On another way all of it arrives, in order, once.
    world.wire_rule(|_| Verdict::Pass);
    world.run(seconds(10));
    assert_eq!(world.texts("bob").len(), 41);
    assert_eq!(world.count("alice", is_read_later), 40);
}

#[test]
fn many_senders_whose_messages_do_not_pass_make_no_flood_and_hold_nobody_up() {
    const SENDERS: usize = 40;
    let names: Vec<String> = (0..SENDERS).map(|n| format!("sender{n}")).collect();
    let mut everybody: Vec<&str> = names.iter().map(String::as_str).collect();
    everybody.extend(["bob", "carol"]);
    let mut world = World::with(&everybody);
    world.run(seconds(2));
    world.types("bob", "dereg bob");
    world.run(seconds(1));
    for name in &names {
        world.types(name, &format!("send bob {}", long()));
    }
    world.run(seconds(2));
    world.types("carol", "send bob short");
    world.run(seconds(2));
    world.wire_rule(swallows("bob"));
    world.types("bob", "reg bob");
    world.run(seconds(100));
    assert_eq!(world.texts("bob"), ["short"]);
    let before = world.sent("server", Kind::Deliver, "bob");
    world.run(seconds(24));
    // 16 every 2 s, 16 every 4 s, 8 every 6 s.
    let sent = world.sent("server", Kind::Deliver, "bob") - before;
    assert!((200..=340).contains(&sent), "{sent}");
}

#[test]
fn a_direct_way_that_swallows_long_ones_costs_a_detour_and_no_message() {
    let mut world = World::with(&["alice", "bob"]);
    world.wire_rule(|wire| {
        let is_long = wire.is("alice", "bob") && wire.bytes.len() > CARRIED;
        if is_long { Verdict::Lose } else { Verdict::Pass }
    });
    world.types("alice", &format!("send bob {}", long()));
    world.run(seconds(10));
    assert_eq!(world.texts("bob").len(), 1);
    world.types("alice", "send bob short");
    world.run(seconds(10));
    assert_eq!(world.texts("bob").len(), 2);
    assert!(world.count("alice", |event| is_received(event) || is_saved(event)) >= 2);
}

/// How many alice lists that are here.
fn listed(world: &mut World) -> usize {
    world.types("alice", "list");
    world.run(seconds(1));
    let mut here = world.events("alice").iter().filter_map(|event| match event {
        Event::List(listing) => Some(listing.online.len()),
        _ => None,
    });
    here.next_back().expect("a list")
}

#[test]
fn a_long_table_arrives_on_a_way_that_carries_only_short_datagrams() {
    let names: Vec<String> = (0..60).map(|n| format!("somebody-with-a-long-name-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::with(&names);
    world.run(seconds(5));
    world.wire_rule(swallows("alice"));
    world.start("alice", 4_000, 0);
    world.run(seconds(30));
    assert_eq!(listed(&mut world), names.len() + 1);
}

/// The table is cut into smaller parts only where full ones do not arrive at all, and not where
/// they arrive one by one.
#[test]
fn a_way_that_carries_one_part_of_a_table_at_a_time_is_sent_full_parts_to_the_end() {
    let names: Vec<String> = (0..200).map(|n| format!("somebody-with-a-long-name-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::with(&names);
    world.run(seconds(5));
    let mut last = None;
    world.rule(move |now, sight| match sight.is("server", Kind::Table, "alice") {
        // Of what is sent together only the first arrives.
        true if last.replace(now) == Some(now) => Verdict::Lose,
        _ => Verdict::Pass,
    });
    world.wire.clear();
    world.start("alice", 4_000, 0);
    world.run(seconds(30));
    assert_eq!(listed(&mut world), names.len() + 1);
    for wire in world.wire.iter().filter(|wire| wire.is("server", "alice")) {
        if let Ok((Packet::Table { to, latest, .. }, _)) = envelope::decode(&wire.bytes) {
            let length = wire.bytes.len();
            assert!(to == latest || length > CARRIED, "{length} bytes up to {to} of {latest}");
        }
    }
}
