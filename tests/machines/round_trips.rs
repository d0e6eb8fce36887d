//! docs/protocol.md, "Round trips": what is repeated when, and what that comes to.

use std::time::Duration;

use udpchat_core::client::Event;
use udpchat_core::protocol::PacketKind as Kind;
use udpchat_core::protocol::limits::WINDOW;
use udpchat_core::retransmission::{RTO_GUESS_MIN, attempts_within};
use udpchat_core::time::Time;

use super::world::{LATENCY, Sight, Verdict, World};
use super::{is_received, lose_first, seconds};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn is_detour(event: &Event) -> bool {
    matches!(event.plain(), Event::Detour { .. })
}

/// Every datagram that was sent for more than the first time, from now on.
fn repetitions(world: &World) -> Vec<&Sight> {
    let sights = world.log.iter().map(|(_, sight)| sight);
    sights.filter(|sight| sight.identity.attempt > 1).collect()
}

/// Datagrams of a kind that alice sent bob.
fn messages(world: &World) -> usize {
    world.sent("alice", Kind::Message, "bob")
}

/// A rule that loses so many of a thousand of all datagrams, always the same.
fn loses(per_mille: u64) -> impl FnMut(Time, &Sight) -> Verdict {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |_, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state % 1_000 < per_mille { Verdict::Lose } else { Verdict::Pass }
    }
}

#[test]
fn without_loss_nothing_is_sent_twice() {
    let mut world = World::new();
    for (name, port) in [("alice", 5_000), ("bob", 5_001), ("carol", 5_002)] {
        world.start(name, port, 0);
    }
    world.run(seconds(1));
    world.types("carol", "dereg carol");
    world.types("alice", "create_group team");
    world.run(seconds(1));
    for n in 0..40 {
        world.types("alice", &format!("send bob {n}"));
        world.types("bob", &format!("send carol {n}"));
        world.types("alice", &format!("send_all {n}"));
        world.run(ms(20 * n));
    }
    world.types("carol", "reg carol");
    world.run(seconds(20));
    assert_eq!(world.texts("carol").len(), 80);
    assert!(repetitions(&world).is_empty(), "{:?}", repetitions(&world));
}

/// Of many messages a window goes out at once, and an acknowledgement lets the next ones go at
/// once: it takes no more round trips than there are windows.
#[test]
fn an_acknowledgement_lets_the_next_messages_go_at_once() {
    const WINDOWS: usize = 5;
    let mut world = World::with(&["alice", "bob"]);
    for n in 0..WINDOWS * WINDOW {
        world.types("alice", &format!("send bob {n}"));
    }
    for windows in 1..=WINDOWS {
        assert_eq!(messages(&world), windows * WINDOW);
        world.run(2 * LATENCY);
        assert_eq!(world.count("alice", is_received), windows * WINDOW);
    }
}

#[test]
fn on_a_long_way_nothing_is_sent_twice() {
    let mut world = World::new();
    world.rule(|_, _| Verdict::Delay(ms(190)));
    world.start("alice", 5_000, 0);
    world.start("bob", 5_001, 0);
    world.run(seconds(5));
    for n in 0..20 {
        world.types("alice", &format!("send bob {n}"));
        world.run(ms(300));
    }
    world.run(seconds(3));
    assert_eq!(world.texts("bob").len(), 20);
    assert!(repetitions(&world).is_empty(), "{:?}", repetitions(&world));
}

#[test]
fn a_way_that_gets_longer_costs_the_repetitions_of_one_message() {
    let mut world = World::with(&["alice", "bob"]);
    for n in 0..20 {
        world.types("alice", &format!("send bob {n}"));
        world.run(ms(300));
    }
    assert!(repetitions(&world).is_empty());
    world.rule(|_, _| Verdict::Delay(ms(190)));
    world.types("alice", "send bob first");
    world.run(seconds(3));
    assert!(messages(&world) > 21);
    world.log.clear();
    for n in 0..20 {
        world.types("alice", &format!("send bob {n}"));
        world.run(ms(800));
    }
    assert_eq!(messages(&world), 20);
}

#[test]
fn with_three_in_ten_lost_most_messages_come_at_once_and_few_take_the_detour() {
    const MESSAGES: usize = 500;
    let mut world = World::with(&["alice", "bob"]);
    world.types("alice", "send bob first");
    world.run(seconds(1));
    world.rule(loses(300));
    world.log.clear();
    let mut took_ms = Vec::new();
    for n in 0..MESSAGES {
        world.types("alice", &format!("send bob {n}"));
        let before = world.texts("bob").len();
        let mut waited_ms = 0;
        while world.texts("bob").len() == before && waited_ms < 20_000 {
            world.run(ms(1));
            waited_ms += 1;
        }
        took_ms.push(waited_ms);
        world.run(ms(500));
    }
    world.rule(|_, _| Verdict::Pass);
    world.run(seconds(40));
    assert_eq!(world.texts("bob").len(), MESSAGES + 1);
    took_ms.sort_unstable();
    let one_way_ms = u64::try_from(LATENCY.as_millis()).unwrap();
    let share = |percent: usize| took_ms[MESSAGES * percent / 100];
    assert!(share(50) <= one_way_ms + 5, "half of them took more than {} ms", share(50));
    assert!(share(99) <= 300, "one in a hundred took more than {} ms", share(99));
    let detours = world.count("alice", is_detour);
    assert!(detours <= MESSAGES / 50, "{detours} of {MESSAGES} took the detour");
    // Of five tries in all, as it was: 1 + s + s^2 + s^3 + s^4 = 1.97, s = 0.51.
    let tries = messages(&world) as f64 / MESSAGES as f64;
    assert!(tries <= 1.5 * 1.97, "{tries} tries a message");
}

#[test]
fn what_is_lost_together_is_repaired_together() {
    let mut world = World::new();
    world.rule(|_, _| Verdict::Delay(ms(190)));
    world.start("alice", 5_000, 0);
    world.start("bob", 5_001, 0);
    world.run(seconds(5));
    // Every other one is lost once; each of those between is acknowledged at another time.
    world.rule(|_, sight| match sight.identity {
        id if id.kind == Kind::Message && id.attempt == 1 => match id.message {
            Some(message) if message.seq % 2 == 0 => Verdict::Lose,
            _ => Verdict::Delay(ms(190)),
        },
        _ => Verdict::Delay(ms(190)),
    });
    for n in 0..16 {
        world.types("alice", &format!("send bob {n}"));
        world.run(ms(20));
    }
    world.run(ms(1_000));
    assert_eq!(world.texts("bob").len(), 16);
}

#[test]
fn who_does_not_answer_at_all_gets_few_copies_and_then_the_server_is_asked() {
    let mut world = World::with(&["alice", "bob"]);
    for n in 0..20 {
        world.types("alice", &format!("send bob {n}"));
        world.run(seconds(1));
    }
    world.kill("bob");
    world.log.clear();
    world.types("alice", "send bob the last");
    world.run(ms(2_499));
    let is_message = |(_, sight): &&(Time, Sight)| sight.identity.kind == Kind::Message;
    let tries = world.log.iter().filter(is_message).count();
    assert_eq!(tries, usize::try_from(attempts_within(ms(2_500))).unwrap());
    assert_eq!(world.count("alice", is_detour), 0);
    world.run(ms(100));
    assert_eq!(world.count("alice", is_detour), 1);
}

#[test]
fn who_is_heard_of_is_tried_on_but_not_for_ever() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|_, sight| match sight.is("alice", Kind::Message, "bob") {
        true => Verdict::Lose,
        false => Verdict::Pass,
    });
    world.types("alice", "send bob into the void");
    for _ in 0..49 {
        world.run(ms(100));
        world.types("bob", "send alice are you there?");
    }
    assert_eq!(world.count("alice", is_detour), 0, "bob is there: it is tried on");
    world.run(ms(200));
    assert_eq!(world.count("alice", is_detour), 1, "bob is there, but hears nothing");
    world.run(seconds(2));
    assert_eq!(world.texts("bob"), ["into the void"]);
}

#[test]
fn one_lost_message_makes_nobody_unreachable() {
    let mut world = World::with(&["alice", "bob"]);
    world.types("alice", "send bob zero");
    world.run(seconds(1));
    // The answers to the second message are lost for longer than the patience.
    let from = world.now;
    world.rule(move |now, sight| match sight.is("bob", Kind::Ack, "alice") {
        true if now - from < ms(2_700) => Verdict::Lose,
        _ => Verdict::Pass,
    });
    world.types("alice", "send bob one");
    world.run(ms(2_000));
    world.types("bob", "send alice two");
    world.run(seconds(2));
    assert_eq!(world.count("alice", is_detour), 0);
    assert_eq!(world.count("alice", is_received), 2);
}

#[test]
fn a_late_acknowledgement_ends_the_detour_of_the_next_messages() {
    let mut world = World::with(&["alice", "bob"]);
    world.rule(|_, sight| match sight.identity.kind {
        Kind::Ack => Verdict::Delay(ms(2_600)),
        Kind::Save => Verdict::Lose,
        _ => Verdict::Pass,
    });
    world.types("alice", "send bob one");
    world.run(seconds(4));
    assert_eq!(world.count("alice", is_detour), 1);
    world.rule(|_, _| Verdict::Pass);
    world.log.clear();
    world.types("alice", "send bob two");
    world.run(seconds(1));
    assert_eq!(messages(&world), 1);
    assert_eq!(world.sent("alice", Kind::Save, "server"), 0);
}

/// A client that gets its name after a wait learns nothing false about the round trip from what
/// others asked meanwhile: what it loses is repeated as soon as on any short way.
#[test]
fn who_is_granted_a_name_late_takes_the_question_of_nobody_else_for_its_own() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.types("carol", "dereg carol");
    world.run(seconds(1));
    world.kill("bob");
    // One request is enough to be waited for.
    world.rule(|_, sight| match sight.is("bob", Kind::Register, "server") {
        true if sight.identity.attempt > 1 => Verdict::Lose,
        _ => Verdict::Pass,
    });
    world.start("bob", 6_000, 0);
    world.run(ms(300));
    world.types("alice", "send carol one");
    world.run(ms(1_600));
    let is_registered = |event: &Event| matches!(event, Event::Registered { back: true, .. });
    assert_eq!(world.count("bob", is_registered), 1, "who had the name is silent");
    // The way is short, and what is lost is repeated after the shortest guess.
    world.rule(lose_first(1, "bob", Kind::Save, "server").into_rule());
    world.types("bob", "send carol two");
    world.run(RTO_GUESS_MIN + ms(10));
    assert_eq!(world.sent("bob", Kind::Save, "server"), 2);
}
