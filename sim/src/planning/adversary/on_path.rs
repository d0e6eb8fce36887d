//! Whoever sits on links: sees what passes, holds it back, changes it, sends it again.

use std::time::Duration;

use serde_json::{Map, Value, json};
use udpchat_core::protocol::PacketKind;

use super::Strategy;
use super::draw::{Draw, Victim, forge, often, original, second, server};
use crate::faults::fate::{Target, Which};
use crate::naming::label::HostName;
use crate::planning::moves::{Claim, Datagram, Move, SERVER, Trick};
use crate::planning::plan::CLIENT_PORT;

pub(super) const STRATEGIES: &[Strategy] = &[
    replays_a_session,
    replays_much_later,
    reflects,
    alters_texts,
    alters_numbers,
    swallows,
    speaks_from_anothers_address,
    eat_mail,
    takes_a_name,
];

/// Datagrams that a move is about, at most.
const TIMES_MAX: u16 = 5;

/// What is seen between two hosts, one of them the server perhaps.
fn link(draw: &mut Draw<'_>, at: Duration) -> Option<(HostName, HostName)> {
    let Victim { place: one, .. } = draw.victim(at)?;
    let other = match draw.flip() {
        true => SERVER.into(),
        false => draw.victim(at)?.place.host,
    };
    let pair = (one.host, other);
    (pair.0 != pair.1).then(|| if draw.flip() { pair } else { (pair.1, pair.0) })
}

/// Some of the datagrams of a kind over a link.
fn some(draw: &mut Draw<'_>, link: &(HostName, HostName), packet: PacketKind) -> Target {
    let (from, to) = link.clone();
    let times = u32::from(1 + draw.number(TIMES_MAX));
    let which = Which::Counted { first: 1 + u32::from(draw.number(TIMES_MAX)), times };
    Target { from, to, packet, message: None, which }
}

/// What a client and its server said when it signed in, in order.
const SIGN_IN: [PacketKind; 4] =
    [PacketKind::Hello, PacketKind::Register, PacketKind::TableAck, PacketKind::Ping];

/// A client's way to its session, said again as it was.
fn replays_a_session(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let server: HostName = SERVER.into();
    let replays = SIGN_IN.iter().zip(0..).map(|(packet, step)| {
        let (from, to, which) = (victim.place.host.clone(), server.clone(), ANY);
        let of = Target { from, to, packet: *packet, message: None, which };
        Move::once(at + Duration::from_millis(30) * step, Trick::Replay { of, to: None })
    });
    replays.collect()
}

/// The first of its kind.
const ANY: Which = Which::Counted { first: 1, times: 1 };

/// Anything that was seen, several times.
fn replays_much_later(draw: &mut Draw<'_>) -> Vec<Move> {
    replays(draw, false)
}

/// The same, sent to somebody else.
fn reflects(draw: &mut Draw<'_>) -> Vec<Move> {
    replays(draw, true)
}

fn replays(draw: &mut Draw<'_>, elsewhere: bool) -> Vec<Move> {
    let count = 3 + draw.number(10);
    (0..count)
        .filter_map(|_| {
            let at = draw.time();
            let link = link(draw, at)?;
            let packet = draw.pick(PacketKind::ALL)?;
            let of = some(draw, &link, packet);
            let to = if elsewhere { Some(draw.victim(at)?.place) } else { None };
            let times = 1 + u32::from(draw.number(TIMES_MAX));
            let every = draw.pause(2_000);
            Some(Move { at, times, every, trick: Trick::Replay { of, to } })
        })
        .collect()
}

/// Texts become others, with checksums that match.
fn alters_texts(draw: &mut Draw<'_>) -> Vec<Move> {
    let kinds = [PacketKind::Message, PacketKind::Save, PacketKind::Deliver];
    let text = Some("altered".to_owned());
    altering(draw, &kinds, |_| (Map::new(), text.clone()))
}

/// Numbers become others.
fn alters_numbers(draw: &mut Draw<'_>) -> Vec<Move> {
    let kinds = [
        PacketKind::Ack,
        PacketKind::Shown,
        PacketKind::HandedOver,
        PacketKind::Message,
        PacketKind::Table,
        PacketKind::TableAck,
        PacketKind::Registered,
    ];
    altering(draw, &kinds, |draw| {
        let names = ["seq", "base", "registration", "version", "to", "latest", "session"];
        let name = draw.pick(&names).unwrap_or("seq");
        let value: Value = if name == "session" { draw.id() } else { draw.count() };
        (Map::from_iter([(name.to_owned(), value)]), None)
    })
}

/// How packets are altered: fields, and texts.
type Alteration = (Map<String, Value>, Option<String>);

fn altering(
    draw: &mut Draw<'_>,
    kinds: &[PacketKind],
    how: impl Fn(&mut Draw<'_>) -> Alteration,
) -> Vec<Move> {
    let count = 1 + draw.number(5);
    (0..count)
        .filter_map(|_| {
            let at = draw.time();
            let link = link(draw, at)?;
            let packet = draw.pick(kinds)?;
            let of = some(draw, &link, packet);
            let (set, body) = how(draw);
            Some(Move::once(at, Trick::Alter { of, lasts: None, set, body }))
        })
        .collect()
}

/// What is asked of the server never comes there, and is answered all the same.
fn swallows(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let link = (victim.place.host, SERVER.into());
    let of = some(draw, &link, PacketKind::Save);
    // A text that nobody can take for one: it is as good as lost.
    let lost = Map::from_iter([("session".to_owned(), draw.id())]);
    let told = json!({"handed_over": {"stream": "$stream", "seq": "$seq"}});
    let datagram = super::draw::packet(told);
    vec![
        Move::once(at, Trick::Alter { of: of.clone(), lasts: None, set: lost, body: None }),
        Move::once(at, Trick::Answer { of, lasts: None, datagram }),
    ]
}

/// Texts in somebody's name from their own address. Whoever sees nothing can do so as well, for
/// addresses are no secret; it stands here because only a secret could tell it apart.
fn speaks_from_anothers_address(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let (Some(from), Some(to)) = (draw.victim(at), draw.victim(at)) else { return Vec::new() };
    let packet = json!({"message": {"from": from.name, "to": to.name, "stream": "$random",
        "seq": 1, "base": 1}});
    let datagram = Datagram::Packet { packet, body: "forged".to_owned() };
    vec![Move::once(at, forge(Claim::Of(from.place), to.place, datagram))]
}

/// Signs in as somebody, who is away perhaps: then only a secret could tell who it is.
fn takes_a_name(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let name = draw.victim(at).and_then(|victim| victim.name.parse().ok());
    let signs_in = |name| Trick::SignIn { name, port: CLIENT_PORT };
    let takes = name.map(|name| often(at, 4, Duration::from_millis(500), signs_in(name)));
    takes.into_iter().collect()
}

/// A guest takes somebody's name while they are away, and acknowledges what it is asked.
fn eat_mail(draw: &mut Draw<'_>) -> Vec<Move> {
    let at = draw.time();
    let Some(victim) = draw.victim(at) else { return Vec::new() };
    let claim = Claim::Nobody { number: draw.number(100), apart: false };
    let register = original(&format!("[REQUEST:REG] {}", victim.name));
    let (asks, eats) = (2 + draw.number(6), draw.pause(2_000));
    vec![
        often(at, asks.into(), draw.pause(4_000), forge(claim.clone(), server(), register)),
        often(at + eats, 30, eats, forge(claim, second(), original("ACK"))),
    ]
}
