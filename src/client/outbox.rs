//! What the user sent and is not settled: directly, and over the server.
//!
//! docs/protocol.md, "Sending". The texts are in the record; here is what a restart may forget.
//! What comes of it is [`super::outcomes`]'.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::history::{Course, Line, State};
use super::size::Doubt;
use super::timing::{DIRECT_PATIENCE, DIRECT_PATIENCE_MAX, KNOCK, SAVED_SAID_AFTER, UNSENT_AFTER};
use super::{Change, Client, DetourReason, Event, Problem, Timer, UnsentReason};
use crate::plant::{Bug, Plant};
use crate::protocol::limits::WINDOW;
use crate::protocol::{GroupTag, MessageId, Name, Nonce, Packet, StreamId, Trip};
use crate::retransmission::{RTO_MAX, RoundTrip, Tries};
use crate::time::{Now, Time};

/// Longer than any run, for [`Bug::GivesUpSaving`].
const NEVER: Duration = Duration::from_secs(1 << 32);

/// The messages to one recipient.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) entries: BTreeMap<u64, Entry>,
    /// The address that lately did not acknowledge anything, and the knock at it.
    pub(super) deaf: Option<Deaf>,
    /// When anything was settled or saved last.
    pub(super) progress: Time,
    /// When anything came from the recipient last, and how long the way there and back takes.
    heard: Time,
    trip: RoundTrip,
    /// Why the server did not take what it was asked for last, if nothing has been taken since.
    pub(super) refused: Option<UnsentReason>,
    /// The recipient has been in a table: only a server that lost its memory does not know it.
    pub(super) known: bool,
    /// Whether its first message passes at its size is in doubt.
    pub(super) doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Deaf {
    pub(super) addr: SocketAddr,
    nonce: Nonce,
    knocks: u32,
    next_knock: Time,
}

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) way: Way,
    typed_at: Time,
    /// What the user was told of it.
    pub(super) told: Told,
    /// Whether it is a copy of a text to many, and of which.
    pub(super) group: Option<GroupTag>,
}

/// Where a message is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Behind others.
    Queued,
    /// Sent to the recipient, last to this address.
    Direct { to: SocketAddr, tries: Tries },
    /// Sent to the server.
    Server { tries: Tries },
    /// In the server's store, as is known since then.
    Saved { since: Time },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Unsent,
    Saved,
}

/// Which way the messages of a lane take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Direct(SocketAddr),
    Server(Option<DetourReason>),
    /// A table is on its way that may tell.
    Unknown,
}

impl Entry {
    pub(super) const fn is_with_server(&self) -> bool {
        matches!(self.way, Way::Server { .. } | Way::Saved { .. })
    }

    pub(super) const fn is_saved(&self) -> bool {
        matches!(self.way, Way::Saved { .. })
    }
}

impl DetourReason {
    /// The reason of one message of a lane that failed: the others only go the same way.
    fn of(self, way: Way, heard: Time, now: Time) -> Self {
        match (self, way) {
            (Self::NoAck, Way::Direct { tries, .. }) if is_exhausted(tries, heard, now) => self,
            (Self::NoAck, _) => Self::Earlier,
            _ => self,
        }
    }
}

impl Entry {
    /// Whether the server keeps it, and the user does not know.
    pub(super) fn is_saved_untold(&self) -> bool {
        self.is_saved() && self.told != Told::Saved
    }

    /// Why nothing is known of it, of a server that answers. `is_first`: nothing is before it.
    fn why_unknown(&self, is_first: bool) -> UnsentReason {
        let sent = matches!(self.way, Way::Direct { tries, .. } | Way::Server { tries }
            if tries.attempts() > 0);
        if sent || is_first { UnsentReason::NoAnswer } else { UnsentReason::BehindOthers }
    }
}

impl Lane {
    /// Something came from the recipient, perhaps an answer that took so long.
    pub(super) fn heard(&mut self, now: Time, round_trip: Option<Duration>) {
        self.heard = now;
        if let Some(took) = round_trip {
            self.trip.sample(took);
        }
    }

    /// The address that the first message did not reach for which there is no more patience.
    fn exhausted(&self, now: Time) -> Option<SocketAddr> {
        self.entries.values().find_map(|entry| match entry.way {
            Way::Direct { to, tries } if is_exhausted(tries, self.heard, now) => Some(to),
            _ => None,
        })
    }
}

/// Until when a message that was sent directly may be without an acknowledgement, if anything was
/// heard of its recipient then.
fn patience(tries: Tries, heard: Time) -> Time {
    let first = tries.first_at();
    let silent = first.max(heard) + DIRECT_PATIENCE;
    silent.min(first + DIRECT_PATIENCE_MAX)
}

fn is_exhausted(tries: Tries, heard: Time, now: Time) -> bool {
    tries.attempts() > 0 && patience(tries, heard) <= now
}

impl<P: Plant> Client<P> {
    /// Takes up what an earlier life of this client left.
    pub(super) fn restore_outbox(&mut self) {
        for (to, outgoing) in &self.record.outgoing {
            let mut entries = BTreeMap::new();
            for (seq, message) in &outgoing.unsettled {
                let group = message.group.clone();
                if let Some(group) = group.as_ref().filter(|_| !message.saved) {
                    self.fanouts.add(group, MessageId { stream: outgoing.stream, seq: *seq });
                }
                // What the server may have does not go another way, for it would overtake it.
                let (told, way) = match message.saved {
                    true => (Told::Saved, Way::Server { tries: Tries::from(Time::ZERO) }),
                    false => (Told::Nothing, Way::Queued),
                };
                entries.insert(*seq, Entry { way, typed_at: Time::ZERO, told, group });
            }
            // Somebody whom a server did not know would have been refused in the life before.
            let known = !entries.is_empty();
            self.lanes.insert(to.clone(), Lane { entries, known, ..Lane::default() });
        }
    }

    /// Whether there is anything that a server is to hear of.
    pub(super) fn has_kept_anything(&self) -> bool {
        self.waiting_messages() > 0 || !self.record.wishes.is_empty()
    }

    /// How many messages are not settled.
    pub(super) fn waiting_messages(&self) -> usize {
        self.lanes.values().map(|lane| lane.entries.len()).sum()
    }

    pub(super) fn send_text(&mut self, now: Now, to: &Name, text: String) {
        if !self.has_room(1) {
            return self.fail(Problem::OutboxFull);
        }
        self.enqueue(now, to, text, None);
        self.pump(now, to);
    }

    /// Takes on a message, perhaps a copy of a text to many.
    pub(super) fn enqueue(&mut self, now: Now, to: &Name, text: String, group: Option<GroupTag>) {
        let id = match self.record.outgoing.get(to) {
            Some(known) if known.next_seq > 8 && self.plant.has(Bug::WrapsAround) => {
                MessageId { stream: known.stream, seq: 1 }
            }
            Some(known) => MessageId { stream: known.stream, seq: known.next_seq },
            None => MessageId { stream: StreamId(self.entropy.draw()), seq: 1 },
        };
        let (with, at, tag) = (to.clone(), now.wall, group.clone());
        let course = Course::Out(State::Pending);
        self.keep_line(Line { with, at, id, text: text.clone(), group: tag.clone(), course });
        self.change(Change::Typed { to: to.clone(), id, text, typed_at: at, group: tag });
        group.iter().for_each(|group| self.fanouts.add(group, id));
        let sending = Event::Sending { id, to: to.clone() };
        self.fanouts.tell(&mut self.journal, group.as_ref(), sending);
        let (way, typed_at, told) = (Way::Queued, now.time, Told::Nothing);
        let entry = Entry { way, typed_at, told, group };
        self.lanes.entry(to.clone()).or_default().entries.insert(id.seq, entry);
    }

    /// The server is (again) there, or the table has changed: everything may have a new way.
    pub(super) fn resume(&mut self, now: Now) {
        let names: Vec<Name> = self.lanes.keys().cloned().collect();
        for name in names {
            self.resume_lane(now, &name);
        }
        self.resume_groups(now);
    }

    /// The same for one recipient.
    pub(super) fn resume_lane(&mut self, now: Now, to: &Name) {
        for entry in self.lanes.get_mut(to).into_iter().flat_map(|lane| lane.entries.values_mut()) {
            if let Way::Server { tries } = &mut entry.way {
                tries.hurry(now.time);
            }
        }
        self.pump(now, to);
    }

    /// Another store answers now: what the old one kept must be saved again.
    pub(super) fn forget_what_was_saved(&mut self) {
        for entry in self.lanes.values_mut().flat_map(|lane| lane.entries.values_mut()) {
            if entry.is_with_server() {
                entry.way = Way::Server { tries: Tries::from(Time::ZERO) };
            }
        }
    }

    /// Sends what is due to one recipient, says what has become of it, sets the next timer.
    pub(super) fn pump(&mut self, now: Now, to: &Name) {
        if let Some(lane) = self.lanes.get_mut(to) {
            lane.known |= self.roster.get(to).is_some();
        }
        self.choose_ways(now, to);
        self.transmit_due(now, to);
        self.give_up_too_large(now, to);
        self.report_saved(now, to);
        self.report_unsent(now, to);
        self.knock(now, to);
        self.set_lane_timer(to);
        self.finish_if_done(now);
    }

    /// How many of the messages to a recipient are on their way at once.
    fn window(&self, to: &Name) -> usize {
        if self.goes_one_by_one(to) { 1 } else { WINDOW }
    }

    fn path(&self, to: &Name, lane: &Lane) -> Path {
        let entry = self.roster.get(to);
        let addr = entry.and_then(|entry| entry.addr);
        let Some(addr) = addr else {
            if entry.is_none() && !self.roster.is_whole() {
                return Path::Unknown;
            }
            // An unknown name is the server's to refuse.
            return Path::Server(entry.map(|_| DetourReason::Offline));
        };
        let deaf = lane.deaf.is_some_and(|deaf| deaf.addr == addr);
        if deaf || lane.entries.values().any(Entry::is_with_server) {
            return Path::Server(Some(DetourReason::Earlier));
        }
        Path::Direct(addr)
    }

    /// Puts every message on its way; one that fails directly takes all others along.
    fn choose_ways(&mut self, now: Now, to: &Name) {
        let Some(lane) = self.lanes.get(to) else { return };
        let mut path = self.path(to, lane);
        let exhausted = lane.exhausted(now.time).filter(|_| !self.plant.has(Bug::NeverDetours));
        let takes_part = self.session.takes_part();
        let window = self.window(to);
        let Some(lane) = self.lanes.get_mut(to) else { return };
        if let (Some(addr), Path::Direct(_) | Path::Unknown) = (exhausted, path) {
            let nonce = Nonce(self.entropy.draw());
            lane.deaf = Some(Deaf { addr, nonce, knocks: 0, next_knock: now.time + KNOCK });
            path = Path::Server(Some(DetourReason::NoAck));
        }
        if !takes_part {
            return;
        }
        let Some(stream) = self.record.outgoing.get(to).map(|outgoing| outgoing.stream) else {
            return;
        };
        match path {
            Path::Unknown => {}
            Path::Direct(to) => {
                for entry in lane.entries.values_mut().take(window) {
                    if entry.way == Way::Queued {
                        entry.way = Way::Direct { to, tries: Tries::from(now.time) };
                    }
                }
            }
            Path::Server(reason) => {
                let heard = lane.heard;
                let others = lane.entries.iter_mut().filter(|(_, entry)| !entry.is_with_server());
                for (seq, entry) in others {
                    let reason = reason.map(|reason| reason.of(entry.way, heard, now.time));
                    entry.way = Way::Server { tries: Tries::from(now.time) };
                    if let Some(reason) = reason {
                        let id = MessageId { stream, seq: *seq };
                        let detour = Event::Detour { id, to: to.clone(), reason };
                        self.fanouts.tell(&mut self.journal, entry.group.as_ref(), detour);
                    }
                }
            }
        }
    }

    pub(super) fn transmit_due(&mut self, now: Now, to: &Name) {
        if !self.session.takes_part() {
            return;
        }
        let Some(lane) = self.lanes.get(to) else { return };
        let active = lane.entries.iter().filter(|(_, entry)| !entry.is_saved());
        let window: Vec<(u64, Way)> =
            active.take(self.window(to)).map(|(seq, entry)| (*seq, entry.way)).collect();
        let Some(base) = lane.entries.keys().next().copied() else { return };
        let here = self.roster.get(to).and_then(|entry| entry.addr);
        // The server knows about what it keeps; what is settled behind that, it may skip.
        let unsaved_base = window.first().map_or(base, |(seq, _)| *seq);
        for (seq, way) in window {
            let way = match way {
                Way::Direct { to: before, mut tries } if tries.is_due(now.time) => {
                    let addr = here.unwrap_or(before);
                    let attempt = tries.transmit(now.time);
                    tries.wait(now.time, self.direct_pause(now, to, tries));
                    let base = self.claimed_base(seq, base);
                    self.transmit_message(to, addr, seq, base, attempt);
                    Way::Direct { to: addr, tries }
                }
                Way::Server { mut tries }
                    if tries.is_due(now.time) && self.session.id().is_some() =>
                {
                    let attempt = tries.transmit(now.time);
                    tries.wait(now.time, self.save_pause(now, tries));
                    let base = self.claimed_base(seq, unsaved_base);
                    self.transmit_save(to, seq, base, attempt);
                    Way::Server { tries }
                }
                _ => continue,
            };
            if let Some(entry) = self.lanes.get_mut(to).and_then(|lane| lane.entries.get_mut(&seq))
            {
                entry.way = way;
            }
        }
    }

    /// How long an acknowledgement of a recipient is waited for before a message is sent again.
    pub(super) fn direct_timeout(&self, to: &Name) -> Duration {
        match self.lanes.get(to) {
            Some(lane) if !self.goes_one_by_one(to) => lane.trip.timeout(self.session.disk_trip()),
            // An acknowledgement that names nothing tells of no round trip.
            _ => RTO_MAX,
        }
    }

    fn direct_pause(&self, now: Now, to: &Name, tries: Tries) -> Duration {
        let timeout = self.direct_timeout(to);
        let pause = tries.pause(now.time, timeout, RTO_MAX);
        if pause > timeout && self.plant.has(Bug::NoBackoff) { timeout } else { pause }
    }

    fn save_pause(&mut self, now: Now, tries: Tries) -> Duration {
        if tries.attempts() == 4 && self.plant.has(Bug::GivesUpSaving) {
            return NEVER;
        }
        let timeout = self.server_timeout(Trip::Disk);
        self.backoff(timeout, now.time - tries.first_at())
    }

    fn claimed_base(&self, seq: u64, base: u64) -> u64 {
        if base < seq && self.plant.has(Bug::BaseTooHigh) { seq } else { base }
    }

    fn transmit_message(&mut self, to: &Name, addr: SocketAddr, seq: u64, base: u64, attempt: u32) {
        let Some(outgoing) = self.record.outgoing.get(to) else { return };
        let Some(message) = outgoing.unsettled.get(&seq).cloned() else { return };
        let (from, stream, group) = (self.config.name.clone(), outgoing.stream, message.group);
        let packet = Packet::Message { from, to: to.clone(), stream, seq, base, group };
        self.send(addr, &packet, message.text.as_bytes(), attempt);
    }

    fn transmit_save(&mut self, to: &Name, seq: u64, base: u64, attempt: u32) {
        let Some(session) = self.session.id() else { return };
        let Some(outgoing) = self.record.outgoing.get(to) else { return };
        let Some(message) = outgoing.unsettled.get(&seq).cloned() else { return };
        let (to, stream, group) = (to.clone(), outgoing.stream, message.group);
        let unreachable = self.lanes.get(&to).is_some_and(|lane| lane.deaf.is_some());
        let packet = Packet::Save { session, to, stream, seq, base, unreachable, group };
        let text = message.text.as_bytes();
        self.send_to_server(&packet, text, attempt);
        self.doubt_size(seq, attempt, &packet, text);
    }

    fn report_unsent(&mut self, now: Now, to: &Name) {
        let known = self.session.why_silent(self.now.time).or_else(|| self.lanes.get(to)?.refused);
        let Some(lane) = self.lanes.get_mut(to) else { return };
        let Some(stream) = self.record.outgoing.get(to).map(|outgoing| outgoing.stream) else {
            return;
        };
        let progress = lane.progress;
        let mut is_first = true;
        for (seq, entry) in &mut lane.entries {
            let due = entry.typed_at.max(progress) + UNSENT_AFTER;
            let why_unknown = entry.why_unknown(is_first);
            is_first &= entry.is_saved();
            if entry.told == Told::Nothing && !entry.is_saved() && due <= now.time {
                entry.told = Told::Unsent;
                let id = MessageId { stream, seq: *seq };
                let reason = known.unwrap_or(why_unknown);
                let unsent = Event::Unsent { id, to: to.clone(), reason };
                self.fanouts.tell(&mut self.journal, entry.group.as_ref(), unsent);
            }
        }
    }

    /// Asks a recipient that seemed deaf whether it hears now, while messages for it go round.
    fn knock(&mut self, now: Now, to: &Name) {
        let Some(lane) = self.lanes.get_mut(to) else { return };
        let here = self.roster.get(to).and_then(|entry| entry.addr);
        let takes_part = self.session.takes_part();
        let Some(deaf) = &mut lane.deaf else { return };
        if here != Some(deaf.addr) {
            lane.deaf = None;
        } else if takes_part && deaf.next_knock <= now.time && !lane.entries.is_empty() {
            deaf.next_knock = now.time + KNOCK;
            deaf.knocks += 1;
            let (addr, nonce, attempt) = (deaf.addr, deaf.nonce, deaf.knocks);
            self.send(addr, &Packet::Knock { nonce }, b"", attempt);
        }
    }

    pub(super) fn knock_answered(&mut self, now: Now, from: SocketAddr, nonce: Nonce) {
        let hears = |deaf: &Deaf| deaf.addr == from && deaf.nonce == nonce;
        let lane = self.lanes.iter_mut().find(|(_, lane)| lane.deaf.as_ref().is_some_and(hears));
        if let Some((name, lane)) = lane {
            lane.deaf = None;
            let name = name.clone();
            self.pump(now, &name);
        }
    }

    fn set_lane_timer(&mut self, to: &Name) {
        let Some(lane) = self.lanes.get(to) else { return };
        let can_save = self.session.id().is_some();
        let takes_part = self.session.takes_part();
        let active = lane.entries.values().filter(|entry| !entry.is_saved()).take(self.window(to));
        let transmissions = active.filter_map(|entry| match entry.way {
            Way::Direct { tries, .. } if takes_part => {
                let patience = Some(patience(tries, lane.heard)).filter(|end| *end > self.now.time);
                patience.into_iter().chain([tries.next_at()]).min()
            }
            Way::Server { tries } if can_save => Some(tries.next_at()),
            _ => None,
        });
        let is_untold = |entry: &&Entry| entry.told == Told::Nothing && !entry.is_saved();
        let first_untold = lane.entries.values().find(is_untold);
        let saved = lane.entries.values().filter(|entry| entry.is_saved_untold());
        let saved = saved.filter_map(|entry| match entry.way {
            Way::Saved { since } => Some(since + SAVED_SAID_AFTER),
            _ => None,
        });
        let unsent = first_untold.map(|entry| entry.typed_at.max(lane.progress) + UNSENT_AFTER);
        let may_knock = takes_part && !lane.entries.is_empty();
        let knocks = lane.deaf.filter(|_| may_knock).map(|deaf| deaf.next_knock);
        match transmissions.chain(saved).chain(unsent).chain(knocks).min() {
            Some(due) => self.timers.set(Timer::Lane(to.clone()), due),
            None => self.timers.clear(&Timer::Lane(to.clone())),
        }
    }
}
