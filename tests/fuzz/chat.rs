//! A server and three clients, and somebody who sees, repeats and forges every datagram: after
//! each input both kinds of machine are asked whether what must hold does.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use udpchat_core::original;
use udpchat_core::store::DiskSpace;

use crate::lies;
use crate::world::{Verdict, World, second_addr, server_addr};

/// Each has its port.
const CLIENTS: [(&str, u16); 3] = [("alice", 5_000), ("bob", 5_001), ("carol", 5_002)];

/// What users type.
const LINES: [&str; 12] = [
    "send bob one",
    "send alice two",
    "send carol three",
    "send zoe four",
    "send_all five",
    "create_group g",
    "join_group g",
    "leave_group g",
    "send_group g six",
    "list_members g",
    "dereg alice",
    "reg alice",
];

/// What the original's programs say, and who wants to be taken for one.
const WORDS: [&str; 8] = [
    "ACK",
    "[REQUEST:REG] alice",
    "[REQUEST:REG] dave",
    "[REQUEST:DEREG] alice",
    "[REQUEST:FETCH] bob",
    "[REQUEST:SAVE] dave bob hello",
    "hello",
    "",
];

/// How much time passes between two inputs, in milliseconds.
const PAUSES_MS: [u64; 8] = [0, 1, 10, 25, 100, 600, 3_000, 20_000];

/// What becomes of the datagrams that are sent next.
#[derive(Default)]
struct Weather {
    left: u8,
    verdict: Option<Verdict>,
}

/// One run, as the bytes say.
pub(crate) fn sequence(bytes: &[u8]) {
    let mut world = World::with(&CLIENTS.map(|(name, _)| name));
    let weather = Rc::new(RefCell::new(Weather::default()));
    let sky = Rc::clone(&weather);
    world.wire_rule(move |_| {
        let mut sky = sky.borrow_mut();
        let verdict = sky.verdict.filter(|_| sky.left > 0);
        sky.left = sky.left.saturating_sub(1);
        verdict.unwrap_or(Verdict::Pass)
    });
    let mut rest = Unstructured::new(bytes);
    while !rest.is_empty() && step(&mut world, &weather, &mut rest).is_ok() {}
    world.run(Duration::from_secs(30));
}

fn step(world: &mut World, weather: &RefCell<Weather>, rest: &mut Unstructured<'_>) -> Result<()> {
    let name = rest.choose(&CLIENTS)?.0;
    match rest.int_in_range(0..=11)? {
        0 => world.types(name, rest.choose(&LINES)?),
        1 => {
            let (from, to) = (anywhere(rest)?, anywhere(rest)?);
            let bytes = overheard(world, rest)?;
            world.inject(from, to, bytes);
        }
        2 | 3 => {
            let (from, to) = (anywhere(rest)?, anywhere(rest)?);
            if let Some(lie) = lies::tell(&overheard(world, rest)?, rest)? {
                world.inject(from, to, lie);
            }
        }
        4 => {
            let (from, to) = (anywhere(rest)?, anywhere(rest)?);
            let length = rest.int_in_range(0..=40)?;
            world.inject(from, to, rest.bytes(length)?.to_vec());
        }
        5 => {
            let (from, to) = (anywhere(rest)?, anywhere(rest)?);
            world.inject(from, to, original::text(rest.choose(&WORDS)?));
        }
        6 => {
            let verdicts = [
                Verdict::Lose,
                Verdict::Delay(Duration::from_millis(700)),
                Verdict::Twice(Duration::from_secs(3)),
            ];
            let (verdict, left) = (Some(*rest.choose(&verdicts)?), rest.int_in_range(1..=40)?);
            *weather.borrow_mut() = Weather { left, verdict };
        }
        7 => world.restart(name),
        8 => world.start_server(),
        9 => {
            let is_low = rest.arbitrary()?;
            world.server_room = if is_low { DiskSpace::Low } else { DiskSpace::Plenty };
            world.low = if is_low { vec![name] } else { Vec::new() };
        }
        _ => {}
    }
    world.run(Duration::from_millis(*rest.choose(&PAUSES_MS)?));
    Ok(())
}

/// Where a datagram claims to come from, or goes to.
fn anywhere(rest: &mut Unstructured<'_>) -> Result<SocketAddr> {
    let client = |port| SocketAddr::from(([192, 0, 2, 2], port));
    let known =
        [server_addr(), second_addr(), client(5_000), client(5_001), client(5_002), client(9_999)];
    rest.choose(&known).copied()
}

/// A datagram that was sent, rather a late one.
fn overheard(world: &World, rest: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let sent = world.wire.len();
    let ago = match rest.arbitrary()? {
        true => usize::from(rest.arbitrary::<u8>()?) % 16,
        false => usize::from(rest.arbitrary::<u16>()?),
    };
    Ok(world.wire[sent - 1 - ago % sent].bytes.clone())
}
