//! Whoever sees nothing and lies about where they are: what is to be had with guesses alone.

use std::time::Duration;

use serde_json::{Value, json};

use super::Strategy;
use super::draw::{Draw, OWN, Victim, forge, often, original, packet, server};
use crate::planning::moves::{Claim, Datagram, Move};

pub(super) const STRATEGIES: &[Strategy] = &[
    leave_for_another,
    guest_in_ones_place,
    eat_mail,
    flood_of_guests,
    blind_sign_in,
    blind_refusal,
    downgrade,
    wrong_challenge,
    blind_outcomes,
    answers_of_the_originals,
    flood_of_hellos,
    anything,
    anything,
];

/// Registrations that a client has asked for so far: few.
const REGISTRATIONS: u64 = 4;

/// How long signing in takes on a good network, and somewhat more.
const SIGNING_IN_MS: u64 = 120;

/// A request to leave in somebody's name. Their name for oneself would be next. While they
/// are away it is anybody's who asks, until there are keys: see `on_path`.
fn leave_for_another(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(Victim { name, place }) = draw.victim(at) else { return Vec::new() };
    let leaves = forge(Claim::Of(place), server(), original(&format!("[REQUEST:DEREG] {name}")));
    vec![Move::once(at, leaves)]
}

/// Somebody here is said to be a guest, or somebody else.
fn guest_in_ones_place(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let (Some(victim), Some(other)) = (draw.victim(at), draw.victim(at)) else {
        return Vec::new();
    };
    let claim = Claim::Of(victim.place);
    let words =
        [format!("[REQUEST:REG] {}", other.name), format!("[REQUEST:GETSAVE] {}", other.name)];
    let asks = words.iter().map(|words| forge(claim.clone(), server(), original(words)));
    asks.map(|trick| Move::once(at, trick)).collect()
}

/// A guest where nobody is wants somebody's name while they are away. If it acknowledged blindly,
/// only a secret could tell it from one who has seen what it was asked: see `on_path`.
fn eat_mail(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let claim = Claim::Nobody { number: draw.number(100), apart: false };
    let register = original(&format!("[REQUEST:REG] {}", victim.name));
    let asks = 2 + draw.number(6);
    vec![often(at, asks.into(), draw.pause(4_000), forge(claim, server(), register))]
}

/// Guests, each with an address and a name of its own.
fn flood_of_guests(draw: &mut Draw<'_>) -> Vec<Move> {
    let (at, apart) = (draw.time(), draw.flip());
    let claim = Claim::Nobody { number: draw.number(1_000), apart };
    let times = 20 + draw.number(100);
    let every = draw.pause(50);
    let again = draw.flip();
    let register = forge(claim, server(), original("[REQUEST:REG] guest$i"));
    let mut moves = vec![often(at, times.into(), every, register)];
    if again {
        let later = Move { at: at + draw.pause(5_000), ..moves[0].clone() };
        moves.push(later);
    }
    moves
}

/// While somebody signs in they are told that it is granted, by whoever can count to four.
fn blind_sign_in(draw: &mut Draw<'_>) -> Vec<Move> {
    let Some((at, victim)) = draw.start() else { return Vec::new() };
    let (session, store, table, nonce) = (draw.id(), draw.id(), draw.id(), draw.id());
    let granted = |number: u64| {
        json!({"registered": {"registration": number, "nonce": nonce, "session": session,
            "store": store, "back": false}})
    };
    let other = draw.victim(at).map_or_else(|| "zoe".to_owned(), |other| other.name);
    let lies = json!({"table": {"session": session, "table": table, "from": 0, "to": 1,
        "latest": 1, "entries": [{"name": other, "addr": "$mallory"}]}});
    let mut moves: Vec<Move> =
        (1..=REGISTRATIONS).map(|number| every_ms(at, packet(granted(number)), &victim)).collect();
    moves.push(every_ms(at, packet(lies), &victim));
    let text = json!({"message": {"from": other, "to": victim.name, "stream": draw.id(), "seq": 1,
        "base": 1}});
    let text = Datagram::Packet { packet: text, body: "forged".to_owned() };
    let later = at + draw.pause(2_000);
    moves.push(Move::once(later, forge(OWN, victim.place, text)));
    moves
}

/// While somebody signs in they are told that their name is taken.
fn blind_refusal(draw: &mut Draw<'_>) -> Vec<Move> {
    let Some((at, victim)) = draw.start() else { return Vec::new() };
    let reason = if draw.flip() { "name_in_use" } else { "server_full" };
    let nonce = draw.id();
    let refused = |number: u64| json!({"refused": {"registration": number, "nonce": nonce, "reason": reason}});
    let refused = (1..=REGISTRATIONS).map(|number| packet(refused(number)));
    refused.map(|datagram| every_ms(at, datagram, &victim)).collect()
}

/// The server seems to be an original.
fn downgrade(draw: &mut Draw<'_>) -> Vec<Move> {
    let Some((at, victim)) = draw.start() else { return Vec::new() };
    let mut moves = vec![every_ms(at, original("ACK"), &victim)];
    if draw.flip() {
        let name = &victim.name;
        let row = format!("\"{name}\": {{\"IP\": \"203.0.0.1\", \"port\": 9, \"status\": true}}");
        let table = Datagram::Text(format!("{{\"message\": {{{row}}}}}"));
        moves.push(every_ms(at, table, &victim));
    }
    moves
}

/// A challenge that answers no hello.
fn wrong_challenge(draw: &mut Draw<'_>) -> Vec<Move> {
    let Some((at, victim)) = draw.start() else { return Vec::new() };
    let challenge = json!({"challenge": {"nonce": draw.id(), "cookie": draw.id()}});
    vec![every_ms(at, packet(challenge), &victim)]
}

/// A datagram from the server to somebody who signs in, each few milliseconds.
fn every_ms(at: Duration, datagram: Datagram, victim: &Victim) -> Move {
    let every = Duration::from_millis(9);
    let times = u32::try_from(SIGNING_IN_MS / 9).unwrap_or(1);
    often(at, times, every, forge(Claim::Of(server()), victim.place.clone(), datagram))
}

/// Somebody is told by a server that is none what became of their messages.
fn blind_outcomes(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let kind = draw.pick(&["handed_over", "expired", "ack"]).unwrap_or("ack");
    let about = json!({kind: {"stream": "$random", "seq": draw.count()}});
    let told = forge(Claim::Of(server()), victim.place, packet(about));
    vec![often(at, 20, draw.pause(200), told)]
}

/// Words of the original's dialect for a client that speaks ours.
fn answers_of_the_originals(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let (Some(victim), Some(other)) = (draw.victim(at), draw.victim(at)) else {
        return Vec::new();
    };
    let claim = if draw.flip() { Claim::Of(server()) } else { Claim::Of(other.place) };
    let words = ["ACK", "[offline]", "zoe: hi", "[Client table updated.]"];
    let words = draw.pick(&words).unwrap_or("ACK");
    let times = 1 + draw.number(20);
    vec![often(at, times.into(), draw.pause(600), forge(claim, victim.place, original(words)))]
}

/// Hellos from many addresses, which earn challenges.
fn flood_of_hellos(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let claim = Claim::Nobody { number: draw.number(1_000), apart: draw.flip() };
    let hello = Datagram::Hello(draw.below(1_000));
    vec![often(at, 200, Duration::from_millis(2), forge(claim, server(), hello))]
}

/// Any packet with any numbers, from anybody to anybody.
fn anything(draw: &mut Draw<'_>) -> Vec<Move> {
    let count = 5 + draw.number(20);
    (0..count)
        .filter_map(|_| {
            let at = draw.time();
            let to = draw.victim(at)?;
            let from = draw.victim(at)?;
            let (packet, body) = any_packet(draw, &from.name, &to.name);
            let claim = match draw.below(4) {
                0 => Claim::Of(server()),
                // From their own address only a secret could tell it apart: see `on_path`.
                1 if packet.get("message").is_none() => Claim::Of(from.place),
                2 => OWN,
                _ => Claim::Nobody { number: draw.number(100), apart: false },
            };
            let to = if draw.flip() { server() } else { to.place };
            let datagram = Datagram::Packet { packet, body: body.to_owned() };
            Some(Move::once(at, forge(claim, to, datagram)))
        })
        .collect()
}

/// A packet of any kind, well formed but for its numbers.
pub(super) fn any_packet(draw: &mut Draw<'_>, from: &str, to: &str) -> (Value, &'static str) {
    let (id, stream, seq, base) = (draw.id(), draw.id(), draw.count(), draw.count());
    let (n, other, other_id) = (draw.count(), draw.count(), draw.id());
    let packets = [
        json!({"challenge": {"nonce": id, "cookie": stream}}),
        json!({"register": {"name": to, "token": id, "registration": n, "nonce": other_id,
            "cookie": stream}}),
        json!({"registered": {"registration": n, "nonce": other_id, "session": id,
            "store": stream, "back": true}}),
        json!({"wait": {"registration": n, "nonce": id}}),
        json!({"refused": {"registration": n, "nonce": id, "reason": "disk_full"}}),
        json!({"behind": {"registration": n, "nonce": other_id, "known": other, "request": base}}),
        json!({"ping": {"session": id}}),
        json!({"pong": {"session": id}}),
        json!({"unknown": {"session": id}}),
        json!({"probe": {"nonce": id}}),
        json!({"alive": {"session": id, "nonce": stream}}),
        json!({"deregister": {"session": id}}),
        json!({"deregistered": {"session": id}}),
        json!({"table": {"session": id, "table": stream, "from": n, "to": other, "latest": base,
            "entries": [{"name": from, "addr": "$mallory"}]}}),
        json!({"table_ack": {"session": id, "table": stream, "version": n}}),
        json!({"ack": {"stream": stream, "seq": seq}}),
        json!({"saved": {"store": id, "messages": []}}),
        json!({"not_saved": {"stream": stream, "seq": seq, "reason": "unknown_name"}}),
        json!({"shown": {"session": id, "from": from, "stream": stream, "seq": seq}}),
        json!({"handed_over": {"stream": stream, "seq": seq}}),
        json!({"expired": {"stream": stream, "seq": seq}}),
        json!({"handed_over_ack": {"session": id, "stream": stream, "seq": seq}}),
        json!({"knock": {"nonce": id}}),
        json!({"knock_answer": {"nonce": id}}),
        json!({"group_ask": {"session": id, "request": n, "ask": {"list": {}}}}),
        json!({"save": {"session": id, "to": to, "stream": stream, "seq": seq, "base": base,
            "unreachable": true}}),
        json!({"message": {"from": from, "to": to, "stream": stream, "seq": seq, "base": base}}),
        json!({"deliver": {"session": id, "from": from, "stream": stream, "seq": seq,
            "base": base, "stored_at": 0}}),
    ];
    let packet = draw.pick(&packets).unwrap_or_default();
    let carries = ["save", "message", "deliver"].iter().any(|kind| packet.get(kind).is_some());
    (packet, if carries { "forged" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::workload::{self, Profile, Size};

    #[test]
    fn every_packet_is_one() {
        let size = Size { clients: 2, messages: 0, duration: Duration::from_secs(20) };
        let plan = workload::plan(1, &size, &Profile::default());
        let mut draw = Draw::new(&plan, size.duration);
        for _ in 0..500 {
            let (packet, body) = any_packet(&mut draw, "alice", "bob");
            let datagram = Datagram::Packet { packet: packet.clone(), body: body.to_owned() };
            let address = |_: &str| Some(json!("192.0.2.1:5000"));
            assert!(datagram.encode(0, &address).is_some(), "{packet}");
        }
    }
}
