//! A client's record row by row.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::history::{Course, HistoryEntry, SentState};
use super::record::{Change, ClientRecord, Home, Outgoing, Unsettled, Wish};
use crate::protocol::{CastId, MessageId, StoreId, StreamId, StreamKey, Token};
use crate::store::{BadRow, RowChange, Rows, row};
use crate::time::WallTime;

const CLIENT: &str = "client";
const OUTGOING: &str = "outgoing";
const UNSETTLED: &str = "unsettled";
const SAVED: &str = "saved";
const READING: &str = "reading";
const WISHES: &str = "wishes";
const LINES: &str = "lines";
const OUTCOMES: &str = "outcomes";

/// The keys of the table `client`: whose it is, the token, the server, how often the client has
/// registered, the number of its next wish, and before which line everything was shown.
const NAME: &[u8] = b"name";
const TOKEN: &[u8] = b"token";
const HOME: &[u8] = b"home";
const REGISTRATIONS: &[u8] = b"registrations";
const NEXT_WISH: &[u8] = b"next wish";
const DISPLAYED: &[u8] = b"displayed";

#[derive(Serialize, Deserialize)]
struct HomeRow {
    server: SocketAddr,
    store: u64,
}

/// Keyed by the recipient's name.
#[derive(Serialize, Deserialize)]
struct OutgoingRow<'a> {
    to: &'a str,
    stream: u64,
    #[serde(deserialize_with = "row::counter")]
    next_seq: u64,
}

/// Keyed by the recipient's name, 0, the stream, and the message's place.
#[derive(Serialize, Deserialize)]
struct UnsettledRow<'a> {
    to: &'a str,
    #[serde(deserialize_with = "row::counter")]
    seq: u64,
    text: &'a str,
    #[serde(deserialize_with = "row::counter")]
    typed_at_ms: u64,
    #[serde(borrow)]
    group: row::TagRow<'a>,
}

/// Of a message that the user knows to be saved. Keyed as that is.
#[derive(Serialize, Deserialize)]
struct SavedRow<'a> {
    to: &'a str,
    #[serde(deserialize_with = "row::counter")]
    seq: u64,
}

/// Keyed by its number.
#[derive(Serialize, Deserialize)]
enum WishRow<'a> {
    Create(&'a str),
    Join(&'a str),
    Leave(&'a str),
    Say { group: &'a str, cast: u64, text: &'a str },
}

/// Keyed by the sender's name, 0, and the stream.
#[derive(Serialize, Deserialize)]
struct ReadingRow<'a> {
    from: &'a str,
    stream: u64,
    #[serde(deserialize_with = "row::place_after")]
    next: u64,
    #[serde(deserialize_with = "row::counter")]
    used: u64,
}

/// Keyed by the line's number. What became of it is in the table `outcomes`, with the same key.
#[derive(Serialize, Deserialize)]
struct LineRow<'a> {
    with: &'a str,
    #[serde(deserialize_with = "row::counter")]
    at_ms: u64,
    stream: u64,
    #[serde(deserialize_with = "row::counter")]
    seq: u64,
    text: &'a str,
    #[serde(borrow)]
    group: row::TagRow<'a>,
    course: CourseRow,
}

#[derive(Serialize, Deserialize)]
enum CourseRow {
    In { stored_at_ms: Option<u64> },
    Out(SentState),
}

/// A row for people. The token is left out: whoever has it has the name.
#[derive(Serialize)]
#[serde(untagged)]
enum ToldRow<'a> {
    Name {
        name: &'a str,
    },
    Token {},
    Home {
        server: SocketAddr,
        store: StoreId,
    },
    Registrations {
        registrations: u64,
    },
    Outgoing {
        to: &'a str,
        stream: StreamId,
        next_seq: u64,
    },
    NextWish {
        next_wish: u64,
    },
    Unsettled {
        to: &'a str,
        seq: u64,
        text: &'a str,
        typed_at: String,
        #[serde(flatten)]
        group: Option<row::ToldTag<'a>>,
    },
    Saved {
        to: &'a str,
        saved: u64,
    },
    Wish {
        number: u64,
        wish: WishRow<'a>,
    },
    Reading {
        from: &'a str,
        stream: StreamId,
        next: u64,
    },
    Displayed {
        displayed_before_line: u64,
    },
    HistoryEntry {
        line: u64,
        with: &'a str,
        at: WallTime,
        way: &'static str,
        id: String,
        text: &'a str,
        #[serde(flatten)]
        group: Option<row::ToldTag<'a>>,
    },
    Outcome {
        line: u64,
        state: &'static str,
    },
}

impl Rows for ClientRecord {
    const KIND: &'static str = "client";

    const FORMAT: u32 = 1;

    const TABLES: &'static [&'static str] =
        &[CLIENT, OUTGOING, UNSETTLED, SAVED, READING, WISHES, LINES, OUTCOMES];

    fn first_rows(&self) -> Vec<RowChange> {
        let name = self.name.iter().map(|name| row::put(CLIENT, NAME.to_vec(), &name.as_str()));
        name.chain([row::put(CLIENT, TOKEN.to_vec(), &self.token.0)]).collect()
    }

    fn row_changes(change: &Change) -> Vec<RowChange> {
        match change {
            Change::Arrived { home: Home { server, store } } => {
                let row = HomeRow { server: *server, store: store.0 };
                vec![row::put(CLIENT, HOME.to_vec(), &row)]
            }
            Change::Registering { registration } => {
                vec![row::put(CLIENT, REGISTRATIONS.to_vec(), registration)]
            }
            Change::Typed { to, id, text, typed_at, group } => {
                let (name, seq, next_seq) = (to.as_str(), id.seq, id.seq + 1);
                let outgoing = OutgoingRow { to: name, stream: id.stream.0, next_seq };
                let (typed_at_ms, group) = (typed_at.unix_ms(), row::tag_row(group.as_ref()));
                let unsettled = UnsettledRow { to: name, seq, text, typed_at_ms, group };
                vec![
                    row::put(OUTGOING, to.key(), &outgoing),
                    row::put(UNSETTLED, row::name_key(to, seq), &unsettled),
                ]
            }
            Change::Settled { to, seq } => {
                let key = row::name_key(to, *seq);
                vec![row::remove(UNSETTLED, key.clone()), row::remove(SAVED, key)]
            }
            Change::Saved { to, seq } => {
                let row = SavedRow { to: to.as_str(), seq: *seq };
                vec![row::put(SAVED, row::name_key(to, *seq), &row)]
            }
            Change::Wished { number, wish } => {
                let next = row::put(CLIENT, NEXT_WISH.to_vec(), &(number + 1));
                vec![row::put(WISHES, row::number_key(*number), &wish_row(wish)), next]
            }
            Change::WishesAbove { next } => vec![row::put(CLIENT, NEXT_WISH.to_vec(), next)],
            Change::NewStream { to, stream, next_seq } => {
                let (stream, next_seq) = (stream.0, *next_seq);
                let row = OutgoingRow { to: to.as_str(), stream, next_seq };
                vec![row::put(OUTGOING, to.key(), &row)]
            }
            Change::WishEnded { number } => {
                vec![row::remove(WISHES, row::number_key(*number))]
            }
            Change::Shown { key, next, used } => {
                let (stream, next, used) = (key.stream.0, *next, *used);
                let row = ReadingRow { from: key.from.as_str(), stream, next, used };
                vec![row::put(READING, row::stream_key(key), &row)]
            }
            Change::Forgotten { key } => vec![row::remove(READING, row::stream_key(key))],
            Change::HistoryEntry { number, line } => {
                vec![row::put(LINES, row::number_key(*number), &line_row(line))]
            }
            Change::Displayed { next } => vec![row::put(CLIENT, DISPLAYED.to_vec(), next)],
            Change::Outcome { number, state } => {
                vec![row::put(OUTCOMES, row::number_key(*number), state)]
            }
            Change::LineDropped { number } => {
                let key = row::number_key(*number);
                vec![row::remove(LINES, key.clone()), row::remove(OUTCOMES, key)]
            }
        }
    }

    fn take_row(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), BadRow> {
        self.take(table, key, value).map_err(row::bad(table))
    }

    fn tell_row(table: &str, key: &[u8], value: &[u8]) -> Result<impl Serialize, BadRow> {
        told_row(table, key, value).map_err(row::bad(table))
    }
}

fn told_row<'a>(table: &str, key: &[u8], value: &'a [u8]) -> Result<ToldRow<'a>, String> {
    Ok(match table {
        CLIENT if key == NAME => ToldRow::Name { name: row::get(value)? },
        CLIENT if key == TOKEN => ToldRow::Token {},
        CLIENT if key == HOME => {
            let HomeRow { server, store } = row::get(value)?;
            ToldRow::Home { server, store: StoreId(store) }
        }
        CLIENT if key == REGISTRATIONS => {
            ToldRow::Registrations { registrations: row::get_counter(value)? }
        }
        CLIENT if key == NEXT_WISH => ToldRow::NextWish { next_wish: row::get_counter(value)? },
        CLIENT if key == DISPLAYED => {
            ToldRow::Displayed { displayed_before_line: row::get_counter(value)? }
        }
        OUTGOING => {
            let OutgoingRow { to, stream, next_seq } = row::get(value)?;
            ToldRow::Outgoing { to, stream: StreamId(stream), next_seq }
        }
        UNSETTLED => {
            let UnsettledRow { to, seq, text, typed_at_ms, group } = row::get(value)?;
            let typed_at = WallTime::from_unix_ms(typed_at_ms).to_string();
            ToldRow::Unsettled { to, seq, text, typed_at, group: row::told_tag(group) }
        }
        SAVED => {
            let SavedRow { to, seq } = row::get(value)?;
            ToldRow::Saved { to, saved: seq }
        }
        WISHES => ToldRow::Wish { number: row::number(key)?, wish: row::get(value)? },
        READING => {
            let ReadingRow { from, stream, next, used: _ } = row::get(value)?;
            ToldRow::Reading { from, stream: StreamId(stream), next }
        }
        LINES => told_line(row::number(key)?, &row::get(value)?),
        OUTCOMES => {
            let state: SentState = row::get(value)?;
            ToldRow::Outcome { line: row::number(key)?, state: state.name() }
        }
        _ => return Err("no such row".to_owned()),
    })
}

fn wish_row(wish: &Wish) -> WishRow<'_> {
    match wish {
        Wish::Create(group) => WishRow::Create(group.as_str()),
        Wish::Join(group) => WishRow::Join(group.as_str()),
        Wish::Leave(group) => WishRow::Leave(group.as_str()),
        Wish::Say { group, cast, text } => {
            WishRow::Say { group: group.as_str(), cast: cast.0, text }
        }
    }
}

fn told_line<'a>(line: u64, row: &LineRow<'a>) -> ToldRow<'a> {
    let LineRow { with, at_ms, stream, seq, text, group, ref course } = *row;
    let way = match course {
        CourseRow::In { .. } => "in",
        CourseRow::Out(_) => "out",
    };
    let id = MessageId { stream: StreamId(stream), seq }.to_string();
    let (at, group) = (WallTime::from_unix_ms(at_ms), row::told_tag(group));
    ToldRow::HistoryEntry { line, with, at, way, id, text, group }
}

fn line_row(line: &HistoryEntry) -> LineRow<'_> {
    let course = match line.course {
        Course::In { stored_at } => {
            CourseRow::In { stored_at_ms: stored_at.map(WallTime::unix_ms) }
        }
        Course::Out(state) => CourseRow::Out(state),
    };
    LineRow {
        with: line.with.as_str(),
        at_ms: line.at.unix_ms(),
        stream: line.id.stream.0,
        seq: line.id.seq,
        text: &line.text,
        group: row::tag_row(line.group.as_ref()),
        course,
    }
}

impl ClientRecord {
    fn take(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), String> {
        match table {
            CLIENT if key == NAME => self.name = Some(row::name(row::get(value)?)?),
            CLIENT if key == TOKEN => self.token = Token(row::get(value)?),
            CLIENT if key == HOME => {
                let HomeRow { server, store } = row::get(value)?;
                self.home = Some(Home { server, store: StoreId(store) });
            }
            CLIENT if key == REGISTRATIONS => {
                self.registrations = row::get_counter(value)?;
            }
            CLIENT if key == NEXT_WISH => self.next_wish = row::get_counter(value)?,
            CLIENT if key == DISPLAYED => {
                self.history.set_displayed(row::get_counter(value)?);
            }
            OUTGOING => self.take_outgoing(value)?,
            UNSETTLED => self.take_unsettled(value)?,
            SAVED => self.take_saved(value)?,
            READING => self.take_reading(value)?,
            WISHES => self.take_wish(key, value)?,
            LINES => self.take_line(key, value)?,
            OUTCOMES => {
                let number = row::number(key)?;
                self.history.set_state(number, row::get(value)?);
            }
            _ => return Err("no such row".to_owned()),
        }
        Ok(())
    }

    fn take_line(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let LineRow { with, at_ms, stream, seq, text, group, course } = row::get(value)?;
        let course = match course {
            CourseRow::In { stored_at_ms } => {
                Course::In { stored_at: stored_at_ms.map(WallTime::from_unix_ms) }
            }
            CourseRow::Out(state) => Course::Out(state),
        };
        let line = HistoryEntry {
            with: row::name(with)?,
            at: WallTime::from_unix_ms(at_ms),
            id: MessageId { stream: StreamId(stream), seq },
            text: text.to_owned(),
            group: row::tag(group)?,
            course,
        };
        self.history.add(row::number(key)?, line);
        Ok(())
    }

    fn take_outgoing(&mut self, value: &[u8]) -> Result<(), String> {
        let OutgoingRow { to, stream, next_seq } = row::get(value)?;
        let (stream, unsettled) = (StreamId(stream), BTreeMap::new());
        self.outgoing.insert(row::name(to)?, Outgoing { stream, next_seq, unsettled });
        Ok(())
    }

    fn take_unsettled(&mut self, value: &[u8]) -> Result<(), String> {
        let UnsettledRow { to, seq, text, typed_at_ms, group } = row::get(value)?;
        let outgoing = self.outgoing.get_mut(&row::name(to)?).ok_or("no such stream")?;
        let (text, typed_at) = (text.to_owned(), WallTime::from_unix_ms(typed_at_ms));
        let message = Unsettled { text, typed_at, group: row::tag(group)?, saved: false };
        outgoing.unsettled.insert(seq, message);
        Ok(())
    }

    fn take_saved(&mut self, value: &[u8]) -> Result<(), String> {
        let SavedRow { to, seq } = row::get(value)?;
        let outgoing = self.outgoing.get_mut(&row::name(to)?).ok_or("no such stream")?;
        outgoing.unsettled.get_mut(&seq).ok_or("no such message")?.saved = true;
        Ok(())
    }

    fn take_wish(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wish = match row::get(value)? {
            WishRow::Create(group) => Wish::Create(row::name(group)?),
            WishRow::Join(group) => Wish::Join(row::name(group)?),
            WishRow::Leave(group) => Wish::Leave(row::name(group)?),
            WishRow::Say { group, cast, text } => {
                let (group, text) = (row::name(group)?, text.to_owned());
                Wish::Say { group, cast: CastId(cast), text }
            }
        };
        self.wishes.insert(row::number(key)?, wish);
        Ok(())
    }

    fn take_reading(&mut self, value: &[u8]) -> Result<(), String> {
        let ReadingRow { from, stream, next, used } = row::get(value)?;
        let key = StreamKey { from: row::name(from)?, stream: StreamId(stream) };
        self.shown.set(key, next, used);
        Ok(())
    }
}
