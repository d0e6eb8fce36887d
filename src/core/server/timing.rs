//! The server's timers, each with its reason.

use std::time::Duration;

use crate::protocol::limits::WINDOW;

/// A client that is not heard of for so long is away. The client pings every 5 s and repeats an
/// unanswered ping every half second, so that at 30 % loss a live one practically never misses it.
pub const LEASE: Duration = Duration::from_secs(15);

/// Between two questions to a client whose presence is in doubt.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// Questions without an answer after which a client is away: 1.8 s in all, so that whoever takes
/// over a name has it within the 2 s that an original client waits. At 30 % loss both ways a
/// live client misses all of them two times in a thousand.
pub const PROBES: u32 = 9;

/// The same for a client of the original's dialect while nobody waits for its name: wrongly taken
/// for gone it would not come back by itself. At 30 % loss both ways a live one misses all of them
/// twice in a million times.
pub const GUEST_PROBES: u32 = 20;

/// How long ago a client of the original's dialect may have asked for a name to be taken in when it
/// acknowledges what it was asked: it repeats that for 2 s.
pub const PROOF_LIFE: Duration = Duration::from_millis(2_500);

/// While the disk is full, between two empty commits that ask for room.
pub const ROOM_AGAIN: Duration = Duration::from_secs(1);

/// How long messages are kept for readers who do not come, if the operator says nothing: a long
/// holiday.
pub const KEEP: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The longest time between two looks for messages that are too old, and between two notes of how
/// long the server has run: what a crash takes from the age of messages.
pub const EXPIRY_LOOK_MAX: Duration = Duration::from_secs(600);

/// The shortest such time, however short messages are kept.
pub const EXPIRY_LOOK_MIN: Duration = Duration::from_secs(1);

/// Between two transmissions of a message to a client of the original's dialect.
pub const GUEST_RETRY: Duration = Duration::from_millis(500);

/// The longest pause before what is not acknowledged is sent again.
pub const RESEND_MAX: Duration = Duration::from_secs(2);

/// Transmissions of a stored message, over some 10 s, after which its reader, who is there, seems
/// not to get what is so long: it is sent on, and takes no place in the window from others. At 30 %
/// loss both ways three in ten thousand go so far, and lose nothing by it.
pub const STUCK_AFTER: u32 = 12;

/// Transmissions of a part of the table, over some 3 s, after which it is cut into smaller ones:
/// its client is there, and full ones seem not to pass. At 30 % loss both ways one in two hundred
/// goes so far, and costs a few more datagrams.
pub const NARROW_AFTER: u32 = 8;

/// Between two rounds in which everybody is told how the table has changed, in the long run: what
/// changes in between is told together. Nobody who reads notices.
pub const TABLE_ROUND: Duration = Duration::from_millis(250);

/// Rounds that may follow each other at once after a quiet time: people who come together, and
/// then nobody for a while, are told of as they come.
pub const TABLE_ROUNDS_AT_ONCE: u32 = 4;

/// Clients that are told in rounds in a second, in the long run: whoever changes the table without
/// end takes less than a tenth of a processor by that, however many are here.
pub const TABLE_CLIENTS_PER_SECOND: u32 = 1_000;

/// Clients that are told together: they take less than a millisecond, in which others wait.
pub const TABLE_CLIENTS_AT_ONCE: usize = 50;

/// Until the next of them are told.
pub const TABLE_CLIENTS_PAUSE: Duration = Duration::from_millis(2);

/// An address that has registered [`NEW_NAMES_AT_ONCE`](crate::protocol::limits::NEW_NAMES_AT_ONCE)
/// new names may register another one so often: alone it would take 83 days to fill a server.
pub const NEW_NAME_EVERY: Duration = Duration::from_secs(720);

/// A name whose holder was not here for so long while the server ran, and for whom nothing is kept,
/// is free again.
pub const NAME_KEEP: Duration = Duration::from_secs(90 * 24 * 3_600);

/// That somebody is here is written down once in such a time: the precision of [`NAME_KEEP`].
pub const SEEN_EVERY: Duration = Duration::from_secs(24 * 3_600);

/// Between two looks for such names, and two notes of how long the server has run.
pub const NAMES_LOOK: Duration = Duration::from_secs(3_600);

/// How long a cookie is good for, at least; at most twice that. Long enough for a slow path,
/// short enough that a collected cookie is soon worthless.
pub const COOKIE_LIFE: Duration = Duration::from_secs(30);

/// The pause after another transmission of what does not pass, which so many others behind it in
/// the same mailbox do neither: all of them together are no flood.
pub(super) fn stuck_pause(before: usize) -> Duration {
    let turns = u32::try_from(before / WINDOW).unwrap_or(u32::MAX);
    RESEND_MAX * turns.saturating_add(1)
}
