//! What a client is told, and what it tells.

use std::net::SocketAddr;

use super::history::HistoryEntry;
use super::session::Tried;
use crate::protocol::limits::{
    GROUP_REQUESTS_MAX, GROUPS_MAX, GROUPS_PER_NAME, MEMBERS_MAX, OUTBOX_MAX, WAITING_COMMANDS_MAX,
};
use crate::protocol::{GroupTag, MessageId, Name};
use crate::time::WallTime;

/// What the user wants of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send a text, 1 to [`crate::protocol::limits::TEXT_MAX`] bytes.
    Send {
        /// To whom.
        to: Name,
        /// What.
        text: String,
    },
    /// Send a text, as long as that, to everybody in the table.
    SendAll {
        /// What.
        text: String,
    },
    /// Send a text, as long as that, to the other members of a group.
    SendGroup {
        /// Which group.
        group: Name,
        /// What.
        text: String,
    },
    /// Make a group and be its first member.
    CreateGroup(Name),
    /// Become a member of a group.
    JoinGroup(Name),
    /// Be no member of a group any more.
    LeaveGroup(Name),
    /// Say which groups there are.
    ListGroups,
    /// Say who is in a group.
    ListMembers(Name),
    /// Sign in again.
    Register(Name),
    /// Go offline.
    Deregister(Name),
    /// Say who is here.
    List,
    /// Say what was written with somebody.
    History(Name),
    /// Go offline and end at once. What is still on its way is kept if there is a store.
    Quit,
    /// Go offline and end once every send has its outcome.
    Finish,
    /// The answer to [`Event::LookUp`], not the user's: where the server is, best first; nothing
    /// if its name is not found.
    ServerAddresses(Vec<SocketAddr>),
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has granted the name.
    Registered {
        /// Which.
        name: Name,
        /// Whether the server knew it before.
        back: bool,
    },
    /// The table has changed and is whole. Everyone, sorted.
    Table(Listing),
    /// The answer to [`Command::List`].
    List(Listing),
    /// A [`Command::Send`] was accepted; the id's outcome follows.
    Sending {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
    },
    /// The message goes over the server.
    Detour {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
        /// Why not directly.
        reason: DetourReason,
    },
    /// A message for the user, shown once but for `again`.
    Message {
        /// The message.
        id: MessageId,
        /// Its sender.
        from: Name,
        /// Its text, raw: whoever prints it escapes it.
        text: String,
        /// When the server stored it, if it came from there.
        stored_at: Option<WallTime>,
        /// Whether it is a copy of a text to many, and of which.
        group: Option<GroupTag>,
        /// Whether it may have been shown before: the client ended just then.
        again: bool,
    },
    /// The answer to [`Command::History`], in order; nothing if nothing was written.
    History {
        /// With whom.
        with: Name,
        /// What.
        lines: Vec<HistoryEntry>,
    },
    /// The recipient has seen the message.
    Received {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
        /// Whether it came there over the server, which says so.
        over_server: bool,
    },
    /// The server keeps the message for its recipient, who is away or has not been shown it soon.
    Saved {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
    },
    /// The server has kept the message for as long as it keeps any, and its recipient has not come.
    Expired {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
    },
    /// A message that was said to be saved has been shown to its recipient.
    ReadLater {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
        /// When it was typed.
        typed_at: WallTime,
    },
    /// No arrival of the message is known. Unless the reason is final it is kept and goes out
    /// later.
    Unsent {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: Name,
        /// Why.
        reason: UnsentReason,
    },
    /// A text to many was accepted. [`Event::Copy`]s say what becomes of each copy,
    /// [`Event::CastOutcome`] what has become of all.
    SendingMany {
        /// Which text, to whom.
        group: GroupTag,
        /// Who gets a copy, sorted.
        to: Vec<Name>,
    },
    /// Something about one copy of a text to many.
    Copy {
        /// Which text, to whom.
        group: GroupTag,
        /// What would be said if it were the only one.
        event: Box<Self>,
    },
    /// Every copy of a text to many has its outcome. Said again when the unsent ones have got out.
    CastOutcome {
        /// Which text, to whom.
        group: GroupTag,
        /// Copies that were received.
        received: usize,
        /// Copies that the server keeps.
        saved: usize,
        /// Copies that were not sent.
        unsent: usize,
    },
    /// The user's membership in a group is what they wanted it to be.
    Group {
        /// Which group.
        group: Name,
        /// What they wanted.
        what: GroupDone,
    },
    /// The answer to [`Command::ListGroups`], sorted.
    Groups(Vec<Name>),
    /// The answer to [`Command::ListMembers`].
    Members {
        /// Of which group.
        group: Name,
        /// Who, sorted.
        members: Vec<Name>,
    },
    /// The user is offline now, on request or because the name went to somebody else.
    Offline,
    /// The server has not answered for a while; the client goes on trying.
    ServerNotResponding(Tried),
    /// Something answers there that is no server; the client goes on trying.
    NoServer(Tried),
    /// A server of the original's dialect seems to answer there, which is not asked for; the client
    /// goes on trying.
    OriginalServer(Tried),
    /// Not for the user: the server may have moved, and its name is to be looked up.
    LookUp,
    /// Something that the user asked for is not done.
    Error(Problem),
    /// The client has ended.
    Left {
        /// Whether it was ever registered, and every send was received or saved.
        complete: bool,
    },
}

impl Event {
    /// What is said, also of one copy of a text to many.
    #[must_use]
    pub fn plain(&self) -> &Self {
        match self {
            Self::Copy { event, .. } => event,
            event => event,
        }
    }
}

/// What was done about a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupDone {
    /// It exists now; the user is its first member.
    Created,
    /// The user is a member.
    Joined,
    /// The user is no member.
    Left,
}

/// Everyone in the table, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those who are here.
    pub online: Vec<Name>,
    /// Those who are away.
    pub offline: Vec<Name>,
}

/// Why a message takes the way over the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetourReason {
    /// The recipient did not acknowledge it.
    NoAck,
    /// The recipient is away.
    Offline,
    /// The recipient lately did not acknowledge anything, or an earlier message is still there.
    Earlier,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsentReason {
    /// Neither recipient nor server answers. Kept.
    #[error("server not responding; it is kept and goes out when the server is back")]
    ServerNotResponding,
    /// The server answers, but has not said what has become of this message. Kept.
    #[error("the server has not answered for it; it is kept, and the server asked on")]
    NoAnswer,
    /// The user is offline, and has not asked for it. Kept.
    #[error("you are offline; it is kept and goes out when you are back")]
    Offline,
    /// As many messages as may be on their way before it have no answer either. Kept.
    #[error("those before it are not through yet; it is kept and goes out behind them")]
    BehindOthers,
    /// The recipient's mailbox has no room. Kept.
    #[error("mailbox full; it is kept and goes out when there is room")]
    MailboxFull,
    /// The recipient's mailbox has too many messages of this sender. Kept.
    #[error(
        "too many of your messages wait for this recipient; it is kept and goes out when they are \
         read"
    )]
    ShareFull,
    /// The server keeps too many messages of this sender. Kept.
    #[error(
        "too many of your messages wait at the server; it is kept and goes out when there is room"
    )]
    SenderFull,
    /// The server keeps too many messages. Kept.
    #[error("the server is full; it is kept and goes out when there is room")]
    ServerFull,
    /// The server's disk is full. Kept.
    #[error("the server's disk is full; it is kept and goes out when there is room")]
    DiskFull,
    /// The server has lost its memory, and does not know the recipient any more. Kept.
    #[error("the server has forgotten the recipient; it is kept and goes out when they are back")]
    Forgotten,
    /// The server knows nobody of this name. Final.
    #[error("not known to the server; it is not sent again")]
    UnknownName,
    /// The server does not take the text. Final.
    #[error("the server refuses the text")]
    BadText,
    /// Everything passes between here and the server but datagrams as long as this one. Final.
    #[error(
        "too large for the network between you and the server: its {bytes} bytes do not pass; \
         split it"
    )]
    TooLarge {
        /// How long the text is.
        bytes: usize,
    },
    /// What the client remembers is an older copy, and the id was used since. Kept, under another.
    #[error("this folder is an older copy; it is kept and goes out as another message")]
    OldCopy,
    /// The user left before anything was known of it. Kept.
    #[error("you left before its outcome was known; it is kept and goes out when you are back")]
    Left,
    /// The same, and the client has no store. Final.
    #[error("you left before its outcome was known; it may have arrived, and is not kept")]
    LeftForGood,
}

impl Delay {
    /// Why nothing is known of anything from a server that is silent for this reason.
    pub(super) const fn of_silence(reason: UnsentReason) -> Self {
        match reason {
            UnsentReason::Offline => Self::Offline,
            _ => Self::ServerNotResponding,
        }
    }
}

/// Why something asked of groups takes long. It is asked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Delay {
    /// The server does not answer at all.
    #[error("server not responding")]
    ServerNotResponding,
    /// The user is offline, and has not asked for it.
    #[error("you are offline")]
    Offline,
    /// The server answers, but not this.
    #[error("the server has not answered it")]
    NoAnswer,
    /// What was asked before it is not answered.
    #[error("what was asked before it is not answered")]
    BehindOthers,
}

impl UnsentReason {
    /// Whether the message is given up.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::UnknownName | Self::BadText | Self::TooLarge { .. } | Self::LeftForGood
        )
    }
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A send while deregistered.
    #[error("Can't send message, you are offline.")]
    Offline,
    /// `reg` of another name.
    #[error("Cannot register {0}: you are {1}")]
    CannotRegister(Name, Name),
    /// `dereg` of another name.
    #[error("Cannot deregister {0}: you are {1}")]
    CannotDeregister(Name, Name),
    /// `reg` while registered.
    #[error("You are already registered")]
    AlreadyRegistered,
    /// `dereg` while deregistered.
    #[error("You are already offline")]
    AlreadyOffline,
    /// The name has a holder who answers.
    #[error("Username {0} already in use")]
    NameInUse(Name),
    /// What is kept is for people at another server.
    #[error(
        "What you have written before waits for the server at {0}; connect to that one, or give \
         another folder with --data"
    )]
    KeptForAnother(SocketAddr),
    /// The server knows of a later life of this client.
    #[error(
        "This folder is an older copy: what was done since it was made is not known here. What it \
         had still to send goes out anew, and may be shown twice"
    )]
    OldCopy,
    /// The server's name stands for nothing.
    #[error("Cannot find the host {0} now; where it was before is tried on")]
    ServerNotFound(String),
    /// The server takes no more names.
    #[error(
        "The server takes no new names; take one that it knows, such as an earlier one of yours, \
         or ask who runs it"
    )]
    ServerFull,
    /// Too many new names came from the user's address.
    #[error(
        "Too many new names from your address; try again in {0} minutes, or take a name that the \
         server knows"
    )]
    TooManyNames(u32),
    /// The server answers, and has not granted the name for too long.
    #[error("The server answers, but has not registered you; try again later")]
    NotRegistered,
    /// The server's disk is full, and the name is new to it.
    #[error("The server's disk is full; try again later")]
    ServerDiskFull,
    /// Something that cannot be kept.
    #[error("Not done: the disk is full; make room and try again")]
    DiskFull,
    /// What comes cannot be kept.
    #[error("The disk is full: messages for you wait at their senders or the server; make room")]
    DiskFullForMessages,
    /// Something about groups while deregistered.
    #[error("Not done, you are offline.")]
    OfflineForGroups,
    /// Something about groups at a server of the original's dialect.
    #[error("Not done: this server has no groups")]
    NoGroups,
    /// A group of that name exists.
    #[error("Group {0} already exists.")]
    GroupExists(Name),
    /// No group of that name exists.
    #[error("Group {0} does not exist")]
    NoSuchGroup(Name),
    /// Only members may do that.
    #[error("You are not in the group {0}; join it first: join_group {0}")]
    NotMember(Name),
    /// The server keeps no more groups.
    #[error("Group {0} not created: there are {GROUPS_MAX} groups already")]
    TooManyGroups(Name),
    /// As many groups exist as the user may have made.
    #[error("Group {0} not created: there are {GROUPS_PER_NAME} groups already that you have made")]
    TooManyMade(Name),
    /// The group has no room.
    #[error("Group {0} is full: it has {MEMBERS_MAX} members")]
    GroupFull(Name),
    /// The server's disk has no room for what was wanted of the group.
    #[error("Group {0} not changed: the server's disk is full; try again later")]
    ServerDiskFullForGroup(Name),
    /// A text to all, who are so many.
    #[error(
        "Message not sent: {0} others are known here, and one to all may have {OUTBOX_MAX} \
         recipients; send it to a group"
    )]
    TooManyForAll(usize),
    /// A text to many, and nobody else is there.
    #[error("Message to {0} not sent: nobody else is there")]
    NobodyElse(GroupTag),
    /// The server has not told yet who is in a group. Kept.
    #[error("Message to {0} not sent: {1}; it is kept and goes out when it has answered")]
    GroupWaits(Name, Delay),
    /// The outbox has no room for the copies of a text to a group. Kept.
    #[error("Message to {0} not sent: {OUTBOX_MAX} messages are waiting already; it waits too")]
    GroupWaitsForRoom(Name),
    /// The server has not answered yet. It is asked on.
    #[error("Not done yet: {0}; it is asked on")]
    RequestWaits(Delay),
    /// The server had not answered when the user left, and there is no store.
    #[error("You left before the server answered; it may be done")]
    LeftUnanswered,
    /// The same with a store: it is asked on at the next start.
    #[error("You left before the server answered; it is asked again when you are back")]
    LeftAsking,
    /// The server had not been asked when the user left, or only for a list.
    #[error("Not done: you left before it could be")]
    LeftUnasked,
    /// A text to many that had not begun when the user left.
    #[error("Not sent to {0}: left before it could be")]
    LeftBeforeCast(String),
    /// A text to a group that had not begun when the user left. Kept.
    #[error("Message to {0} not sent: you left before it could be; it goes out when you are back")]
    LeftCastKept(Name),
    /// Too many requests about groups.
    #[error("Not done: {GROUP_REQUESTS_MAX} requests about groups are waiting already")]
    TooManyRequests,
    /// The outbox has no room.
    #[error("Not sent: {OUTBOX_MAX} messages are waiting already")]
    OutboxFull,
    /// A send that had not begun when the user left.
    #[error("Not sent to {0}: left before it could be")]
    LeftBefore(Name),
    /// Too many commands before the first registration.
    #[error("Not done: {WAITING_COMMANDS_MAX} commands are waiting already")]
    TooManyCommands,
}
