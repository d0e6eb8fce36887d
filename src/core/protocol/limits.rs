//! The bounds of everything, each with its reason. Timers are in [`crate::client::timing`] and
//! [`crate::server::timing`].

/// The longest text of a message in bytes of UTF-8.
///
/// With the longest names, the ids and the envelope around it, and the seal that will come, a
/// message still fits [`DATAGRAM_MAX`]; in the original's escaped JSON (6 bytes for 2) it fits
/// what the original receives.
pub const TEXT_MAX: usize = 700;

/// The largest datagram of ours in bytes: QUIC's minimum (RFC 9000, section 14), which crosses
/// practically every path without fragmentation.
pub const DATAGRAM_MAX: usize = 1_200;

/// The receive buffer in bytes: more than UDP can carry, so that nothing is cut unnoticed.
pub const RECEIVE_BUFFER: usize = 65_536;

/// Most bytes that an address may earn for one byte of its own before it has echoed something of
/// ours (RFC 9000, section 8: an address not validated is no target worth attacking).
pub const AMPLIFICATION_MAX: usize = 3;

/// The last place in a stream, and bound of every other number that counts: JSON numbers are exact
/// up to here in every language (2^53 - 1).
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// A server's word for a number that was forgotten here is believed up to so much. A lie thus
/// leaves as many numbers again: nobody is locked out by one.
pub const FORGOTTEN_MAX: u64 = 1 << 52;

/// Messages of one stream that a receiver keeps while an earlier one is missing. More than any
/// sender's window ([`WINDOW`]), so that an honest sender never overruns it.
pub const HELD_MAX: usize = 64;

/// Messages of one stream on their way at once, to a peer, to the server, or to one reader out of
/// its mailbox: enough for a burst of typing over a slow path, few enough for socket buffers.
pub const WINDOW: usize = 16;

/// Streams that a recipient remembers. One is a pair of people; of the sender who has most the one
/// longest unused is forgotten first.
pub const STREAMS_MAX: usize = 16_384;

/// Messages that a client keeps until they are settled.
pub const OUTBOX_MAX: usize = 4_096;

/// Messages in one `saved`, each the last of its stream: as many as fit a datagram whatever their
/// places.
pub const SAVED_AT_ONCE: usize = 30;

/// Messages, typed and received, that a client keeps to be read again.
pub const HISTORY_MAX: usize = 10_000;

/// Commands that wait for the first registration.
pub const WAITING_COMMANDS_MAX: usize = 4_096;

/// Outputs that wait for a commit, more than anything asked of a machine causes while a disk is
/// slow ([`OUTBOX_MAX`], four times over). While a disk stands still so long that there are more,
/// datagrams are lost, in both directions: that is survived, and memory stays bounded. What a
/// server can answer without a disk it goes on to answer.
pub const WAITING_OUTPUTS_MAX: usize = 16_384;

/// Messages that the server keeps for one reader.
pub const MAILBOX_MAX: usize = 1_000;

/// Messages of one sender among those: five have to agree to fill somebody's mailbox. More than
/// anybody types for somebody who is away.
pub const MAILBOX_PER_SENDER: usize = 200;

/// Messages of one sender that the server keeps, for all readers: nobody fills the store alone.
/// Somewhat less than [`OUTBOX_MAX`], so that the sender still sees why.
pub const SENDER_STORED_MAX: usize = 4_000;

/// Messages that the server keeps in all: under 200 MB of memory, and 700 MB of texts at their
/// longest.
pub const STORED_MAX: usize = 1_000_000;

/// Streams that a server remembers: of everybody with everybody they write to. One of which
/// nothing is stored or untold is forgotten first, then one of whoever leaves most untold.
pub const MAIL_STREAMS_MAX: usize = 250_000;

/// What a sender of one stream has still to be told, in turns of messages that were shown and
/// messages that have expired: a sender that never comes back is not to fill the memory.
pub const UNTOLD_MAX: usize = 64;

/// Streams of which a sender is told at a time what has become of their messages, the next once it
/// has answered: as many as people write to, and no flood at whoever answers nothing.
pub const TELLS_AT_ONCE: usize = 64;

/// Names that a server knows: the largest table it keeps in step everywhere.
pub const NAMES_MAX: usize = 10_000;

/// New names that an address may register at once after a quiet time: a household, or a person with
/// a few programs.
pub const NEW_NAMES_AT_ONCE: u32 = 5;

/// Places in which a server counts what addresses have taken: half a million bytes or so, whoever
/// asks. Addresses that share one share what it may have.
pub const ADDRESS_SLOTS: usize = 65_536;

/// Groups that exist of those that one name has made: nobody takes all of them.
pub const GROUPS_PER_NAME: usize = 10;
/// Clients of the original's dialect who want a name and have not proved their address yet, that a
/// server remembers: 1,000 forged ones a second displace nobody who answers within 2.5 s.
pub const UNPROVEN_MAX: usize = 4_096;

/// Groups that a server keeps: few enough to be listed, each with at most [`MEMBERS_MAX`] names.
pub const GROUPS_MAX: usize = 1_000;

/// Members of one group: a message to it is so many datagrams at once.
pub const MEMBERS_MAX: usize = 256;

/// Names in one answer about groups, at their longest: they fit [`DATAGRAM_MAX`] with what stands
/// around them.
pub const NAMES_PER_ANSWER: usize = 24;

/// Requests about groups, messages to groups among them, that a client keeps until the server has
/// answered: more than anybody types while a server is away.
pub const GROUP_REQUESTS_MAX: usize = 256;

/// Addresses of its server that a client tries: each gets a hello within the 2.5 s after which a
/// user is told that none answers. Names with more are those of farms, not of one server.
pub const SERVER_ADDRS_MAX: usize = 8;

/// Parts of a table on their way to one client at once.
pub const TABLE_WINDOW: usize = 8;

/// Room for entries in one part of a table, in bytes of JSON: [`DATAGRAM_MAX`] less the
/// envelope and the part's own fields at their longest.
pub const TABLE_ENTRIES_BYTES_MAX: usize = 950;

/// The same on a way that full parts seem not to pass: a part then has less than 576 bytes with the
/// headers of IP and UDP, which every host takes (RFC 791, section 3.1).
pub const TABLE_ENTRIES_BYTES_NARROW: usize = 300;

/// The largest datagram that the original program can receive (`recvfrom(4096)`).
pub const ORIGINAL_DATAGRAM_MAX: usize = 4_096;
