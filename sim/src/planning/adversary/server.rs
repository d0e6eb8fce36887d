//! A server that lies: about tables, members and outcomes; that forgets, and withholds.
//!
//! It sits on every way from and to the server, so that whatever the server says is what it likes.

use serde_json::{Map, Value, json};
use udpchat_core::protocol::PacketKind;

use super::Strategy;
use super::draw::{Draw, Victim, forge, often, original, packet, server};
use crate::faults::fate::{Target, Which};
use crate::planning::moves::{Claim, Datagram, Move, SERVER, Trick};

pub(super) const STRATEGIES: &[Strategy] = &[
    lies_about_tables,
    lies_about_numbers,
    lies_about_outcomes,
    forgets,
    withholds,
    is_an_original,
];

/// Datagrams of this kind from the server to a client, the first so many of them.
fn to_client(victim: &Victim, packet: PacketKind, times: u32) -> Target {
    let which = Which::Counted { first: 1, times };
    Target { from: SERVER.into(), to: victim.place.host.clone(), packet, message: None, which }
}

fn alter(of: Target, set: Value) -> Trick {
    let set: Map<String, Value> = set.as_object().cloned().unwrap_or_default();
    Trick::Alter { of, lasts: None, set, body: None }
}

/// The table's versions are any numbers, or its rows are others.
fn lies_about_tables(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let (from, to, latest) = (draw.count(), draw.count(), draw.count());
    let set = match draw.below(3) {
        0 => last_version(),
        1 => json!({"from": from, "to": to, "latest": latest}),
        _ => json!({"entries": []}),
    };
    let of = to_client(&victim, PacketKind::Table, 1 + u32::from(draw.number(20)));
    vec![Move::once(at, alter(of, set))]
}

/// The last version that there is, of the table that an original server has for a client.
fn last_version() -> Value {
    json!({"table": "0000000000000001", "from": 0, "to": u64::MAX, "latest": u64::MAX})
}

/// Whatever counts is another number.
fn lies_about_numbers(draw: &mut Draw<'_>) -> Vec<Move> {
    let kinds = [
        (PacketKind::HandedOver, "seq"),
        (PacketKind::Deliver, "seq"),
        (PacketKind::Deliver, "base"),
        (PacketKind::Registered, "registration"),
        (PacketKind::GroupAnswer, "request"),
        (PacketKind::Pong, "session"),
    ];
    let count = 1 + draw.number(5);
    (0..count)
        .filter_map(|_| {
            let at = draw.time();
            let victim = draw.victim(at)?;
            let (kind, field) = draw.pick(&kinds)?;
            let value = if field == "session" { draw.id() } else { draw.count() };
            let set = Value::Object(Map::from_iter([(field.to_owned(), value)]));
            let of = to_client(&victim, kind, 1 + u32::from(draw.number(5)));
            Some(Move::once(at, alter(of, set)))
        })
        .collect()
}

/// What is to be saved is said to have been read, or refused.
fn lies_about_outcomes(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let outcomes = [
        json!({"handed_over": {"stream": "$stream", "seq": "$seq"}}),
        json!({"expired": {"stream": "$stream", "seq": "$seq"}}),
        json!({"not_saved": {"stream": "$stream", "seq": "$seq", "reason": "unknown_name"}}),
        json!({"not_saved": {"stream": "$stream", "seq": "$seq", "reason": "mailbox_full"}}),
    ];
    let outcome = draw.pick(&outcomes).unwrap_or_default();
    let (from, to, packet_kind) = (victim.place.host, SERVER.into(), PacketKind::Save);
    let which = Which::Counted { first: 1, times: 10 };
    let of = Target { from, to, packet: packet_kind, message: None, which };
    vec![Move::once(at, Trick::Answer { of, lasts: None, datagram: packet(outcome) })]
}

/// It answers as if with another store.
fn forgets(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let store = json!({"store": draw.id()});
    let kinds = [PacketKind::Registered, PacketKind::Saved];
    let moves = kinds.map(|kind| Move::once(at, alter(to_client(&victim, kind, 5), store.clone())));
    moves.into()
}

/// Some of what it should say is never said: a session that nobody has is as good as silence.
fn withholds(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let kinds = [PacketKind::Deliver, PacketKind::Table, PacketKind::Pong];
    let kind = draw.pick(&kinds).unwrap_or(PacketKind::Table);
    let session = json!({"session": draw.id()});
    vec![Move::once(at, alter(to_client(&victim, kind, 20), session))]
}

/// After its own dialect it speaks the original's, to a client that must sign in again.
fn is_an_original(draw: &mut Draw<'_>) -> Vec<Move> {
    let Some((at, victim)) = draw.start() else { return Vec::new() };
    let of = to_client(&victim, PacketKind::Table, 99);
    let row = format!(
        "{{\"message\": {{\"{}\": {{\"IP\": \"203.0.0.1\", \"port\": {}, \"status\": true}}}}}}",
        victim.name, victim.place.port
    );
    let later = at + draw.pause(5_000);
    let wrong = alter(to_client(&victim, PacketKind::Challenge, 99), json!({"nonce": draw.id()}));
    let (from, to, packet_kind) = (victim.place.host.clone(), SERVER.into(), PacketKind::Ping);
    let which = Which::Counted { first: 1, times: 3 };
    let asked = Target { from, to, packet: packet_kind, message: None, which };
    let datagram = packet(json!({"unknown": {"session": "$session"}}));
    let every = draw.pause(20);
    let says = |datagram| {
        let trick = forge(Claim::Of(server()), victim.place.clone(), datagram);
        often(later, 400, every, trick)
    };
    vec![
        Move::once(at, alter(of, last_version())),
        Move::once(later, wrong),
        Move::once(later, Trick::Answer { of: asked, lasts: None, datagram }),
        says(original("ACK")),
        says(Datagram::Text(row)),
    ]
}
