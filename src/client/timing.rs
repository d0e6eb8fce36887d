//! The client's timers, each with its reason.

use std::time::Duration;

/// Between two transmissions of what is not acknowledged, to a peer and while signing in or out:
/// the original's.
pub const RETRY: Duration = Duration::from_millis(500);

/// Transmissions to a peer before a message goes over the server, after 2.5 s (the original: 4
/// and 2.0 s).
pub const DIRECT_ATTEMPTS: u32 = 5;

/// The longest pause between two transmissions to a server that does not answer. A server that
/// is back is noticed about so soon.
pub const BACKOFF_MAX: Duration = Duration::from_secs(4);

/// A message without any outcome for so long is reported as unsent: 2.5 s of direct attempts and
/// 5.5 s (4 to 5 transmissions) of asking the server.
pub const UNSENT_AFTER: Duration = Duration::from_secs(8);

/// A saved message is said to be saved after so long if its recipient is here and has not been
/// shown it by then. Until then the server hands it over, or finds in 1.8 s that they are silent:
/// who is here gets one word about a message, that it was received.
pub const SAVED_SAID_AFTER: Duration = Duration::from_secs(2);

/// Before a message is tried again that the server did not take, for want of room or of memory.
pub const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// Between two keep-alives.
pub const PING: Duration = Duration::from_secs(5);

/// Between two transmissions of a keep-alive that is not answered.
pub const PING_RETRY: Duration = Duration::from_millis(500);

/// Without any answer to a keep-alive for so long the user is told that the server does not
/// respond: 10 transmissions, of which at 30 % loss both ways all go unanswered once in a thousand
/// times.
pub const SERVER_LOST: Duration = Duration::from_secs(5);

/// The same while signing in or out, when the user waits.
pub const SERVER_SILENT: Duration = Duration::from_millis(2_500);

/// A client that has not been registered by then does its waiting commands unregistered.
pub const GIVE_UP: Duration = Duration::from_secs(10);

/// A client that has never been registered and ends says of each line of its input that it is not
/// done, until there is none for so long.
pub const INPUT_PAUSE: Duration = Duration::from_millis(500);

/// While the disk is full, between two empty commits that ask for room.
pub const ROOM_AGAIN: Duration = Duration::from_secs(1);

/// While the outbox has no room for the copies of a text to a group, before the server is asked
/// again who is to have one.
pub const OUTBOX_AGAIN: Duration = Duration::from_secs(4);

/// How long what need not be durable waits for a commit that takes it along. After a crash within
/// this time a history does not tell what became of a message.
pub const LAZY_COMMIT: Duration = Duration::from_millis(250);

/// Between two knocks at a peer that did not answer directly.
pub const KNOCK: Duration = Duration::from_secs(5);
