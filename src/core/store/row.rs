//! Keys and values of rows as bytes: what every record that writes [`super::Rows`] has in common.
//!
//! Keys are put together by hand, for they are ordered as bytes; values are written by postcard.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BadRow, RowChange};
use crate::protocol::limits::SEQ_MAX;
use crate::protocol::{BadName, CastId, GroupTag, Name, StreamKey};

/// Room for most values, in bytes. What is longer is moved while it is written.
const VALUE_USUAL: usize = 256;

/// A row with this value.
pub(crate) fn put(table: &'static str, key: Vec<u8>, value: &impl Serialize) -> RowChange {
    // Everything that is written has a length and no map: it cannot fail.
    let value = postcard::to_extend(value, Vec::with_capacity(VALUE_USUAL));
    RowChange::Put { table, key, value: value.unwrap_or_default() }
}

/// No row with this key.
pub(crate) const fn remove(table: &'static str, key: Vec<u8>) -> RowChange {
    RowChange::Remove { table, key }
}

/// Makes of what is wrong with a row of a table the error that says both.
pub(crate) fn bad(table: &str) -> impl FnOnce(String) -> BadRow {
    move |why| BadRow { table: table.to_owned(), why }
}

/// The value of a row.
///
/// # Errors
///
/// It is none; why.
pub(crate) fn get<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(value).map_err(|error| error.to_string())
}

/// The key of what is numbered.
pub(crate) fn number_key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// What [`number_key`] wrote.
///
/// # Errors
///
/// It is no number; why.
pub(crate) fn number(key: &[u8]) -> Result<u64, String> {
    let number = key.try_into().map(u64::from_be_bytes).map_err(|_| "the key is no number")?;
    if number < SEQ_MAX { Ok(number) } else { Err("the key is no number ever given".to_owned()) }
}

/// The key of what is numbered for each name: no letter of a name is 0.
pub(crate) fn name_key(name: &Name, number: u64) -> Vec<u8> {
    let mut bytes = name.key();
    bytes.push(0);
    bytes.extend(number.to_be_bytes());
    bytes
}

/// The key of a stream.
pub(crate) fn stream_key(key: &StreamKey) -> Vec<u8> {
    name_key(&key.from, key.stream.0)
}

/// Reads what counts: nothing ever counts up to [`SEQ_MAX`], and whoever goes on from there finds
/// no next number.
///
/// # Errors
///
/// Those of the deserializer, and a number that is too high.
pub(crate) fn counter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number < SEQ_MAX { Ok(number) } else { Err(D::Error::custom("a number never given")) }
}

/// Reads the place after one that [`counter`] reads: whoever numbers what comes next is somebody
/// else, who may have used the last number that there is.
///
/// # Errors
///
/// Those of the deserializer, and a number that is too high.
pub(crate) fn place_after<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number <= SEQ_MAX { Ok(number) } else { Err(D::Error::custom("no number comes before")) }
}

/// A value that counts.
///
/// # Errors
///
/// It is none; why.
pub(crate) fn get_counter(value: &[u8]) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Counter(#[serde(deserialize_with = "counter")] u64);
    get(value).map(|Counter(number)| number)
}

/// Writes bytes in one piece: the same row as byte by byte, sooner.
///
/// # Errors
///
/// Those of the serializer.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// A name as it was written.
///
/// # Errors
///
/// It is none; why.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|why: BadName| why.to_string())
}

/// A message's [`GroupTag`]: its cast, and the group's name.
pub(crate) type TagRow<'a> = Option<(u64, Option<&'a str>)>;

/// The tag as it is written.
pub(crate) fn tag_row(group: Option<&GroupTag>) -> TagRow<'_> {
    group.map(|group| (group.cast.0, group.name.as_ref().map(Name::as_str)))
}

/// What [`tag_row`] wrote.
///
/// # Errors
///
/// The group's name is none; why.
pub(crate) fn tag(row: TagRow<'_>) -> Result<Option<GroupTag>, String> {
    let Some((cast, group)) = row else { return Ok(None) };
    Ok(Some(GroupTag { cast: CastId(cast), name: group.map(name).transpose()? }))
}

/// What is told of a [`TagRow`], as of any copy of a text to many (docs/json.md).
#[derive(Serialize)]
pub(crate) struct ToldTag<'a> {
    cast: String,
    /// Null: everybody.
    group: Option<&'a str>,
}

/// The tag as people read it.
pub(crate) fn told_tag(row: TagRow<'_>) -> Option<ToldTag<'_>> {
    row.map(|(cast, group)| ToldTag { cast: CastId(cast).to_string(), group })
}

/// The key of a pair of names: no letter of a name is 0.
pub(crate) fn pair_key(first: &Name, second: &Name) -> Vec<u8> {
    [first.key(), vec![0], second.key()].concat()
}
