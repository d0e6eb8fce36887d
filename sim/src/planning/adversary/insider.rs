//! Whoever is a user like all others, and misuses what users may do.

use std::time::Duration;

use serde_json::{Value, json};
use udpchat_core::protocol::Name;

use super::Strategy;
use super::draw::{Draw, OWN, Victim, forge, often, packet, server};
use super::off_path::any_packet;
use crate::planning::moves::{Datagram, Move, Trick};
use crate::planning::plan::CLIENT_PORT;

pub(super) const STRATEGIES: &[Strategy] = &[
    many_streams,
    fills_a_mailbox,
    many_groups,
    many_names,
    speaks_for_others,
    shown_for_others,
    comes_and_goes,
    anything_with_a_session,
    anything_with_a_session,
];

/// What the adversary's user is called.
const USER: &str = "zoe";

/// Signs in and stays to the end.
fn is_here(at: Duration, port: u16, name: &str) -> Option<Move> {
    let name: Name = name.parse().ok()?;
    Some(often(at, 60, Duration::from_millis(500), Trick::SignIn { name, port }))
}

/// Time for two round trips and a commit.
const SIGNED_IN: Duration = Duration::from_millis(300);

/// What is sent so many times by a user who has signed in before.
fn misuse(
    draw: &mut Draw<'_>,
    times: u16,
    to: impl FnOnce(&mut Draw<'_>, Victim) -> Option<Trick>,
) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let (Some(here), Some(trick)) = (is_here(at, CLIENT_PORT, USER), to(draw, victim)) else {
        return Vec::new();
    };
    vec![here, often(at + SIGNED_IN, times.into(), draw.pause(20), trick)]
}

fn with_text(packet: Value) -> Datagram {
    Datagram::Packet { packet, body: "number $i".to_owned() }
}

/// Streams of one message each, to one reader.
fn many_streams(draw: &mut Draw<'_>) -> Vec<Move> {
    misuse(draw, 300, |_, victim| {
        let text = json!({"message": {"from": USER, "to": victim.name, "stream": "$random",
            "seq": 1, "base": 1}});
        Some(forge(OWN, victim.place, with_text(text)))
    })
}

/// Messages for one reader, as many as the server takes.
fn fills_a_mailbox(draw: &mut Draw<'_>) -> Vec<Move> {
    misuse(draw, 300, |draw, victim| {
        let unreachable = draw.flip();
        let save = json!({"save": {"session": "$session", "to": victim.name, "stream": "$random",
            "seq": 1, "base": 1, "unreachable": unreachable}});
        Some(forge(OWN, server(), with_text(save)))
    })
}

/// Groups, more than anybody needs.
fn many_groups(draw: &mut Draw<'_>) -> Vec<Move> {
    misuse(draw, 300, |_, _| {
        let ask = json!({"group_ask": {"session": "$session", "request": "$n",
            "ask": {"create": "group$i"}}});
        Some(forge(OWN, server(), packet(ask)))
    })
}

/// Users, each with a port of its own.
fn many_names(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let users = 5 + draw.number(20);
    let step = draw.pause(50);
    (0..users)
        .filter_map(|number| {
            is_here(at + step * number.into(), 6_000 + number, &format!("{USER}{number}"))
        })
        .collect()
}

/// Messages that say to be from somebody else.
fn speaks_for_others(draw: &mut Draw<'_>) -> Vec<Move> {
    misuse(draw, 10, |draw, victim| {
        let at = draw.time();
        let other = draw.victim(at)?;
        let text = json!({"message": {"from": other.name, "to": victim.name, "stream": "$random",
            "seq": 1, "base": 1}});
        Some(forge(OWN, victim.place, with_text(text)))
    })
}

/// The server is told that messages were shown that others sent to others.
fn shown_for_others(draw: &mut Draw<'_>) -> Vec<Move> {
    misuse(draw, 50, |draw, victim| {
        let shown = json!({"shown": {"session": "$session", "from": victim.name,
            "stream": "$random", "seq": draw.count()}});
        Some(forge(OWN, server(), packet(shown)))
    })
}

/// Comes and goes, faster than anybody types.
fn comes_and_goes(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Ok(name) = USER.parse() else { return Vec::new() };
    let half = Duration::from_millis(30) + draw.pause(50);
    let comes = Trick::SignIn { name, port: CLIENT_PORT };
    let leaves = packet(json!({"deregister": {"session": "$session"}}));
    vec![
        often(at, 40, 2 * half, comes),
        often(at + half, 40, 2 * half, forge(OWN, server(), leaves)),
    ]
}

/// Any packet with a session that is good, where it has one.
fn anything_with_a_session(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let mut moves: Vec<Move> = is_here(at, CLIENT_PORT, USER).into_iter().collect();
    for _ in 0..5 + draw.below(20) {
        let Some(victim) = draw.victim(at) else { continue };
        let (mut packet, body) = any_packet(draw, USER, &victim.name);
        if let Some(session) =
            packet.as_object_mut().and_then(|kinds| kinds.values_mut().next()?.get_mut("session"))
        {
            *session = json!("$session");
        }
        let datagram = Datagram::Packet { packet, body: body.to_owned() };
        let to = if draw.flip() { server() } else { victim.place };
        moves.push(Move::once(at + draw.pause(8_000), forge(OWN, to, datagram)));
    }
    moves
}
