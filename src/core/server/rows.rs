//! A server's record row by row.
//!
//! A message is one row, keyed by its number: a store of messages only appends. A stream has a row
//! only once something of it was shown; how far it is stored, its messages tell.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::membership::Answered;
use super::record::{Account, Change, ServerRecord, Standing, StoredMessage, Turn};
use crate::protocol::{GroupRefusal, MessageId, Name, StoreId, StreamId, StreamKey, Token};
use crate::store::{BadRow, RowChange, Rows, row};
use crate::time::{WallTime, whole_ms};

const SERVER: &str = "server";
const ACCOUNTS: &str = "accounts";
const STREAMS: &str = "streams";
const LETTERS: &str = "letters";
const MEMBERS: &str = "members";
const ANSWERED: &str = "answered";
const MAKERS: &str = "makers";
const SEEN: &str = "seen";

/// The key of the only row of the table `server` whose value is the store's id.
const STORE: &[u8] = b"store";

/// The same whose value is how long the server had run, in milliseconds.
const UPTIME: &[u8] = b"uptime";

/// Keyed by the name.
#[derive(Serialize, Deserialize)]
struct AccountRow<'a> {
    name: &'a str,
    token: u64,
    #[serde(deserialize_with = "row::counter")]
    registration: u64,
    original: Option<SocketAddr>,
}

/// Keyed by the sender's name, 0, and the stream.
#[derive(Serialize, Deserialize)]
struct StreamRow<'a> {
    from: &'a str,
    stream: u64,
    to: &'a str,
    #[serde(deserialize_with = "row::counter")]
    settled: u64,
    #[serde(deserialize_with = "row::counter")]
    told: u64,
    untold: Vec<Turn>,
}

/// Keyed by the message's number.
#[derive(Serialize, Deserialize)]
struct StoredMessageRow<'a> {
    to: &'a str,
    from: &'a str,
    stream: u64,
    #[serde(deserialize_with = "row::counter")]
    seq: u64,
    #[serde(deserialize_with = "row::counter")]
    stored_at_ms: u64,
    #[serde(deserialize_with = "row::counter")]
    stored_after_ms: u64,
    #[serde(borrow)]
    group: row::TagRow<'a>,
    #[serde(serialize_with = "row::bytes")]
    body: &'a [u8],
}

/// Keyed by the group's name, 0, and the member's.
#[derive(Serialize, Deserialize)]
struct MemberRow<'a> {
    group: &'a str,
    member: &'a str,
}

/// Keyed by the group's name.
#[derive(Serialize, Deserialize)]
struct MakerRow<'a> {
    group: &'a str,
    maker: &'a str,
}

/// Keyed by the name.
#[derive(Serialize, Deserialize)]
struct SeenRow<'a> {
    name: &'a str,
    #[serde(deserialize_with = "row::counter")]
    uptime_ms: u64,
}

/// Keyed by the name of who asked.
#[derive(Serialize, Deserialize)]
struct AnsweredRow<'a> {
    name: &'a str,
    token: u64,
    #[serde(deserialize_with = "row::counter")]
    request: u64,
    refused: Option<GroupRefusal>,
}

/// A row for people. Tokens are left out: whoever has one has the name.
#[derive(Serialize)]
#[serde(untagged)]
enum ToldRow<'a> {
    Server {
        store: StoreId,
    },
    Uptime {
        uptime_ms: u64,
    },
    Account {
        name: &'a str,
        registration: u64,
        original: Option<SocketAddr>,
    },
    Stream {
        from: &'a str,
        stream: StreamId,
        to: &'a str,
        settled: u64,
        told: u64,
        untold: Vec<Turn>,
    },
    StoredMessage {
        number: u64,
        id: String,
        from: &'a str,
        to: &'a str,
        stored_at: String,
        text: String,
        #[serde(flatten)]
        group: Option<row::ToldTag<'a>>,
    },
    Member {
        group: &'a str,
        member: &'a str,
    },
    Answered {
        name: &'a str,
        request: u64,
        refused: Option<GroupRefusal>,
    },
    Maker {
        group: &'a str,
        maker: &'a str,
    },
    Seen {
        name: &'a str,
        uptime_ms: u64,
    },
}

impl Rows for ServerRecord {
    const KIND: &'static str = "server";

    const FORMAT: u32 = 1;

    const TABLES: &'static [&'static str] =
        &[SERVER, ACCOUNTS, STREAMS, LETTERS, MEMBERS, ANSWERED, MAKERS, SEEN];

    fn first_rows(&self) -> Vec<RowChange> {
        vec![row::put(SERVER, STORE.to_vec(), &self.store.0)]
    }

    fn row_changes(change: &Change) -> Vec<RowChange> {
        match change {
            Change::Registered { name, account } => {
                let Account { token, registration, original } = *account;
                let row =
                    AccountRow { name: name.as_str(), token: token.0, registration, original };
                vec![row::put(ACCOUNTS, name.key(), &row)]
            }
            Change::Stored { to, message } => {
                let row = StoredMessageRow {
                    to: to.as_str(),
                    from: message.from.as_str(),
                    stream: message.id.stream.0,
                    seq: message.id.seq,
                    stored_at_ms: message.stored_at.unix_ms(),
                    stored_after_ms: message.stored_after_ms,
                    group: row::tag_row(message.group.as_deref()),
                    body: &message.body,
                };
                vec![row::put(LETTERS, row::number_key(message.number), &row)]
            }
            Change::Settled { key, standing, messages } => {
                let gone = messages.iter().map(|message| row::number_key(*message));
                let gone = gone.map(|key| row::remove(LETTERS, key));
                std::iter::once(stream_row(key, standing)).chain(gone).collect()
            }
            Change::Told { key, standing } => vec![stream_row(key, standing)],
            Change::Forgotten { key } => vec![row::remove(STREAMS, row::stream_key(key))],
            Change::Ran { uptime } => vec![row::put(SERVER, UPTIME.to_vec(), &whole_ms(*uptime))],
            Change::Joined { group, member } => {
                let row = MemberRow { group: group.as_str(), member: member.as_str() };
                vec![row::put(MEMBERS, row::pair_key(group, member), &row)]
            }
            Change::Left { group, member } => {
                vec![row::remove(MEMBERS, row::pair_key(group, member))]
            }
            Change::Made { group, maker } => {
                let row = MakerRow { group: group.as_str(), maker: maker.as_str() };
                vec![row::put(MAKERS, group.key(), &row)]
            }
            Change::Unmade { group } => vec![row::remove(MAKERS, group.key())],
            Change::Seen { name, uptime } => {
                let row = SeenRow { name: name.as_str(), uptime_ms: whole_ms(*uptime) };
                vec![row::put(SEEN, name.key(), &row)]
            }
            Change::NameForgotten { name } => {
                [ACCOUNTS, SEEN, ANSWERED].map(|table| row::remove(table, name.key())).into()
            }
            Change::GroupAnswered { name, answered } => {
                let Answered { token, request, refused } = *answered;
                let row = AnsweredRow { name: name.as_str(), token: token.0, request, refused };
                vec![row::put(ANSWERED, name.key(), &row)]
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
        SERVER if key == STORE => ToldRow::Server { store: StoreId(row::get(value)?) },
        SERVER if key == UPTIME => ToldRow::Uptime { uptime_ms: row::get_counter(value)? },
        ACCOUNTS => {
            let AccountRow { name, token: _, registration, original } = row::get(value)?;
            ToldRow::Account { name, registration, original }
        }
        STREAMS => {
            let StreamRow { from, stream, to, settled, told, untold } = row::get(value)?;
            ToldRow::Stream { from, stream: StreamId(stream), to, settled, told, untold }
        }
        LETTERS => {
            let StoredMessageRow {
                to,
                from,
                stream,
                seq,
                stored_at_ms,
                stored_after_ms: _,
                group,
                body,
            } = row::get(value)?;
            ToldRow::StoredMessage {
                number: row::number(key)?,
                id: MessageId { stream: StreamId(stream), seq }.to_string(),
                from,
                to,
                stored_at: WallTime::from_unix_ms(stored_at_ms).to_string(),
                text: String::from_utf8_lossy(body).into_owned(),
                group: row::told_tag(group),
            }
        }
        MEMBERS => {
            let MemberRow { group, member } = row::get(value)?;
            ToldRow::Member { group, member }
        }
        ANSWERED => {
            let AnsweredRow { name, token: _, request, refused } = row::get(value)?;
            ToldRow::Answered { name, request, refused }
        }
        MAKERS => {
            let MakerRow { group, maker } = row::get(value)?;
            ToldRow::Maker { group, maker }
        }
        SEEN => {
            let SeenRow { name, uptime_ms } = row::get(value)?;
            ToldRow::Seen { name, uptime_ms }
        }
        _ => return Err("no such row".to_owned()),
    })
}

fn stream_row(key: &StreamKey, standing: &Standing) -> RowChange {
    let row = StreamRow {
        from: key.from.as_str(),
        stream: key.stream.0,
        to: standing.to.as_str(),
        settled: standing.settled,
        told: standing.told,
        untold: standing.untold.clone(),
    };
    row::put(STREAMS, row::stream_key(key), &row)
}

impl ServerRecord {
    fn take(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), String> {
        match table {
            SERVER if key == STORE => self.store = StoreId(row::get(value)?),
            SERVER if key == UPTIME => {
                self.uptime = Duration::from_millis(row::get_counter(value)?);
            }
            ACCOUNTS => self.take_account(value)?,
            STREAMS => self.take_stream(value)?,
            LETTERS => self.take_message(key, value)?,
            MEMBERS => self.take_member(value)?,
            ANSWERED => self.take_answered(value)?,
            MAKERS => {
                let MakerRow { group, maker } = row::get(value)?;
                self.membership.made(&row::name(group)?, &self.shared_name(maker)?);
            }
            SEEN => {
                let SeenRow { name, uptime_ms } = row::get(value)?;
                self.see(&row::name(name)?, Duration::from_millis(uptime_ms));
            }
            _ => return Err("no such row".to_owned()),
        }
        Ok(())
    }

    fn take_account(&mut self, value: &[u8]) -> Result<(), String> {
        let AccountRow { name, token, registration, original } = row::get(value)?;
        let account = Account { token: Token(token), registration, original };
        self.accounts.insert(row::name(name)?, account);
        Ok(())
    }

    fn take_stream(&mut self, value: &[u8]) -> Result<(), String> {
        let StreamRow { from, stream, to, settled, told, untold } = row::get(value)?;
        let key = StreamKey { from: self.shared_name(from)?, stream: StreamId(stream) };
        let standing = Standing { to: self.shared_name(to)?, settled, told, untold };
        self.set_standing(key, standing, 0);
        Ok(())
    }

    fn take_message(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number = row::number(key)?;
        let StoredMessageRow { to, from, stream, seq, stored_at_ms, stored_after_ms, group, body } =
            row::get(value)?;
        if seq == 0 {
            return Err("a message without a place".to_owned());
        }
        let message = StoredMessage {
            number,
            id: MessageId { stream: StreamId(stream), seq },
            from: self.shared_name(from)?,
            stored_at: WallTime::from_unix_ms(stored_at_ms),
            stored_after_ms,
            group: row::tag(group)?.map(Box::new),
            body: body.into(),
        };
        let to = self.shared_name(to)?;
        self.keep(&to, message);
        Ok(())
    }

    fn take_member(&mut self, value: &[u8]) -> Result<(), String> {
        let MemberRow { group, member } = row::get(value)?;
        let member = self.shared_name(member)?;
        self.membership.join(&row::name(group)?, &member);
        Ok(())
    }

    fn take_answered(&mut self, value: &[u8]) -> Result<(), String> {
        let AnsweredRow { name, token, request, refused } = row::get(value)?;
        let answered = Answered { token: Token(token), request, refused };
        self.membership.answer(&row::name(name)?, answered);
        Ok(())
    }

    /// The name of an account, so that a million messages share the names of their senders.
    fn shared_name(&self, text: &str) -> Result<Name, String> {
        let name = row::name(text)?;
        match self.accounts.get_key_value(&name) {
            Some((known, _)) if known.as_str() == text => Ok(known.clone()),
            _ => Ok(name),
        }
    }
}
