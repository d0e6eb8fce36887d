//! The client's timers, each with its reason.

use std::time::Duration;

/// Without an acknowledgement for so long, and without a message of its recipient or an
/// acknowledgement of any other, a message goes over the server (the original: 2.0 s).
pub const DIRECT_PATIENCE: Duration = Duration::from_millis(2_500);

/// The same while such come from the recipient: it may hear nothing, and be heard. Early
/// enough for the server's answer before [`UNSENT_AFTER`].
pub const DIRECT_PATIENCE_MAX: Duration = Duration::from_secs(5);

/// A request while signing in or out that has no answer for so long starts over with a new hello,
/// for the server may have restarted, or is given up, for the lease does the rest. From then on
/// the pauses between hellos grow.
pub const SIGN_PATIENCE: Duration = Duration::from_millis(2_500);

/// The longest pause between two transmissions to a server that does not answer. A server that
/// is back is noticed about so soon.
pub const BACKOFF_MAX: Duration = Duration::from_secs(4);

/// A message without any outcome for so long is reported as unsent: 2.5 s of direct attempts and
/// 5.5 s of asking the server.
pub const UNSENT_AFTER: Duration = Duration::from_secs(8);

/// Between hellos to two addresses of a server: whichever answers is taken, and the first, if it
/// is there, nearly always has by then (RFC 8305, section 8, "Connection Attempt Delay").
pub const HELLO_NEXT: Duration = Duration::from_millis(250);

/// While a server does not answer, between questions where it is: about as long as the names of
/// hosts that move are remembered, and no burden for those who answer.
pub const LOOK_UP_AGAIN: Duration = Duration::from_secs(30);

/// A saved message is said to be saved after so long if its recipient is here and has not been
/// shown it by then. Until then the server hands it over, or finds in 1.8 s that they are silent:
/// who is here gets one word about a message, that it was received.
pub const SAVED_SAID_AFTER: Duration = Duration::from_secs(2);

/// Before a message is tried again that the server did not take, for want of room or of memory.
pub const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// Between two keep-alives.
pub const PING: Duration = Duration::from_secs(5);

/// Without any answer to a keep-alive for so long the user is told that the server does not
/// respond, and the pauses grow: after at least 10 transmissions, of which at 30 % loss both ways
/// all go unanswered once in a thousand times.
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
