//! Records come back from their rows as they were.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use udpchat_core::client::{self, ClientRecord, Course, HistoryEntry, Home, SentState, Wish};
use udpchat_core::protocol::limits::SEQ_MAX;
use udpchat_core::protocol::{
    CastId, GroupRefusal, GroupTag, MessageId, Name, StoreId, StreamId, StreamKey, Token,
};
use udpchat_core::server::{self, Account, Answered, End, ServerRecord, StoredMessage};
use udpchat_core::store::{RowChange, Rows};
use udpchat_core::time::WallTime;

/// Random histories of each kind of record, and changes in each of them.
const SEEDS: u64 = 200;
const CHANGES: u32 = 150;

/// Rows as a store holds them.
#[derive(Default)]
pub(crate) struct Kept(BTreeMap<(&'static str, Vec<u8>), Vec<u8>>);

impl Kept {
    pub(crate) fn carry_out(&mut self, changes: Vec<RowChange>) {
        for change in changes {
            match change {
                RowChange::Put { table, key, value } => self.0.insert((table, key), value),
                RowChange::Remove { table, key } => self.0.remove(&(table, key)),
            };
        }
    }

    pub(crate) fn restore<R: Rows>(&self) -> R {
        let mut record = R::default();
        for table in R::TABLES {
            for ((_, key), value) in self.0.iter().filter(|((other, _), _)| other == table) {
                record.take_row(table, key, value).expect("a row of its own");
            }
        }
        record
    }
}

/// Applies random changes and compares after each what the rows bring back.
fn comes_back<R>(first: R, seed: u64, mut change: impl FnMut(&R, &mut StdRng) -> Option<R::Change>)
where
    R: Rows + PartialEq + std::fmt::Debug,
    R::Change: std::fmt::Debug,
{
    let mut random = StdRng::seed_from_u64(seed);
    let mut kept = Kept::default();
    kept.carry_out(first.first_rows());
    let mut record = first;
    for _ in 0..CHANGES {
        let Some(change) = change(&record, &mut random) else { continue };
        record.apply(&change);
        kept.carry_out(R::row_changes(&change));
        assert_eq!(kept.restore::<R>(), record, "seed {seed}, after {change:?}");
    }
}

fn name(random: &mut StdRng) -> Name {
    ["alice", "Bob", "carol", "x"][random.random_range(0..4)].parse().expect("a name")
}

fn stream(random: &mut StdRng) -> StreamId {
    StreamId(random.random_range(0..3) << 40)
}

fn text(random: &mut StdRng) -> String {
    "ä".repeat(random.random_range(1..4))
}

/// A group as the server writes it: always as it was first written.
fn group(record: &ServerRecord, random: &mut StdRng) -> Name {
    let group = name(random);
    record.membership.written(&group).cloned().unwrap_or(group)
}

fn tag(random: &mut StdRng) -> Option<GroupTag> {
    let name = random.random_bool(0.5).then(|| name(random));
    random.random_bool(0.5).then(|| GroupTag { cast: CastId(random.random()), name })
}

fn server_change(
    record: &ServerRecord,
    number: &mut u64,
    random: &mut StdRng,
) -> Option<server::Change> {
    let key = StreamKey { from: name(random), stream: stream(random) };
    let progress = record.stream(&key);
    match random.random_range(0..18) {
        10 => Some(server::Change::Joined { group: group(record, random), member: name(random) }),
        11 => Some(server::Change::Left { group: group(record, random), member: name(random) }),
        14 => Some(server::Change::Made { group: group(record, random), maker: name(random) }),
        15 => Some(server::Change::Unmade { group: group(record, random) }),
        16 => {
            let uptime = Duration::from_millis(random.random_range(0..1_000));
            Some(server::Change::Seen { name: name(random), uptime })
        }
        17 => Some(server::Change::NameForgotten { name: name(random) }),
        12 => {
            let refused = random.random_bool(0.5).then_some(GroupRefusal::NotMember);
            let answered = Answered { token: Token(random.random()), request: 7, refused };
            Some(server::Change::GroupAnswered { name: name(random), answered })
        }
        0 => {
            let addr = ([192, 0, 2, 1], 5_000).into();
            let account = Account {
                token: Token(random.random()),
                registration: random.random_range(0..9),
                original: random.random_bool(0.5).then_some(addr),
            };
            Some(server::Change::Registered { name: name(random), account })
        }
        1..6 => {
            *number += random.random_range(1..1_000);
            let seq = progress.map_or(1, |progress| progress.next) + random.random_range(0..3);
            let to = progress.map_or_else(|| name(random), |known| known.standing.to.clone());
            let message = StoredMessage {
                number: *number,
                id: MessageId { stream: key.stream, seq },
                from: key.from,
                stored_at: WallTime::from_unix_ms(random.random()),
                stored_after_ms: random.random_range(0..1_000),
                group: tag(random).map(Box::new),
                body: text(random).into_bytes().into(),
            };
            Some(server::Change::Stored { to, message })
        }
        6 | 7 => {
            let end = if random.random_bool(0.5) { End::Shown } else { End::Expired };
            record.settling(&key, random.random_range(0..progress?.next), end)
        }
        8 => record.telling(&key, random.random_range(0..=progress?.standing.settled)),
        13 => {
            Some(server::Change::Ran { uptime: Duration::from_millis(random.random_range(0..9)) })
        }
        _ => record.idle_stream().map(|key| server::Change::Forgotten { key: key.clone() }),
    }
}

#[test]
fn a_server_comes_back_from_its_rows_as_it_was() {
    for seed in 0..SEEDS {
        let mut number = 0;
        comes_back(ServerRecord::new(StoreId(seed + 1)), seed, |record, random| {
            server_change(record, &mut number, random)
        });
    }
}

fn client_change(record: &ClientRecord, random: &mut StdRng) -> Option<client::Change> {
    let to = name(random);
    let outgoing = record.outgoing.get(&to);
    match random.random_range(0..19) {
        18 => Some(client::Change::WishesAbove { next: record.next_wish + 1 }),
        17 => {
            let next_seq = outgoing?.next_seq;
            Some(client::Change::NewStream { to, stream: stream(random), next_seq })
        }
        16 => {
            let server = ([192, 0, 2, 1], random.random()).into();
            let home = Home { server, store: StoreId(random.random()) };
            Some(client::Change::Arrived { home })
        }
        12 => {
            let unsettled = outgoing?.unsettled.keys().next_back().copied()?;
            Some(client::Change::Saved { to, seq: unsettled })
        }
        13 | 14 => {
            let cast = CastId(random.random());
            let say = Wish::Say { group: name(random), cast, text: text(random) };
            let wish = match random.random_range(0..4) {
                0 => Wish::Create(to),
                1 => Wish::Join(to),
                2 => Wish::Leave(to),
                _ => say,
            };
            Some(client::Change::Wished { number: record.next_wish, wish })
        }
        15 => Some(client::Change::WishEnded { number: *record.wishes.keys().next()? }),
        8..12 => history_change(record, to, random),
        0 => Some(client::Change::Registering { registration: random.random_range(0..SEQ_MAX) }),
        1..4 => {
            let id = match outgoing {
                Some(known) => MessageId { stream: known.stream, seq: known.next_seq },
                None => MessageId { stream: stream(random), seq: 1 },
            };
            let (text, group) = (text(random), tag(random));
            let typed_at = WallTime::from_unix_ms(random.random());
            Some(client::Change::Typed { to, id, text, typed_at, group })
        }
        4 => {
            let seq = random.random_range(0..outgoing?.next_seq);
            Some(client::Change::Settled { to, seq })
        }
        5 | 6 => {
            let key = StreamKey { from: to, stream: stream(random) };
            let next = record.shown.next(&key).unwrap_or(1) + random.random_range(1..3);
            Some(client::Change::Shown { key, next, used: record.shown.next_use() })
        }
        _ => {
            let key = StreamKey { from: to, stream: stream(random) };
            Some(client::Change::Forgotten { key })
        }
    }
}

fn history_change(
    record: &ClientRecord,
    with: Name,
    random: &mut StdRng,
) -> Option<client::Change> {
    let number = record.history.next_number();
    let id = MessageId { stream: stream(random), seq: number + 1 };
    let wall = |random: &mut StdRng| WallTime::from_unix_ms(random.random());
    let states = [SentState::Pending, SentState::Saved, SentState::Received, SentState::Unsent];
    let state = states[random.random_range(0..4)];
    let course = match random.random_range(0..3) {
        0 => Course::Out(state),
        1 => Course::In { stored_at: None },
        _ => Course::In { stored_at: Some(wall(random)) },
    };
    Some(match random.random_range(0..6) {
        0 => client::Change::LineDropped { number: random.random_range(0..=number) },
        1 => client::Change::Displayed { next: number },
        2 => {
            let mut lines = record.history.with(&with);
            let own = lines.find_map(|line| record.history.pending(line.id))?;
            client::Change::Outcome { number: own, state }
        }
        _ => {
            let (at, text, group) = (wall(random), text(random), tag(random));
            client::Change::HistoryEntry {
                number,
                line: HistoryEntry { with, at, id, text, group, course },
            }
        }
    })
}

#[test]
fn a_client_comes_back_from_its_rows_as_it_was() {
    for seed in 0..SEEDS {
        let first = ClientRecord::new("alice".parse().unwrap(), Token(seed + 1));
        comes_back(first, seed, client_change);
    }
}

#[test]
fn a_row_that_is_none_is_refused() {
    let mut record = ServerRecord::default();
    for (table, key, value) in
        [("letters", &b"short"[..], &b""[..]), ("accounts", b"a", b"\xff"), ("nothing", b"", b"")]
    {
        assert_eq!(record.take_row(table, key, value).unwrap_err().table, table);
    }
}
