//! What the user wants of groups: one request after the other, each asked until it is answered.
//!
//! docs/protocol.md, "Groups". A text to a group waits here until the server has said who is in
//! it; then it is [`super::fanout`]'s. What is wanted outlives a restart, what is only asked not.

use std::collections::VecDeque;

use super::timing::{OUTBOX_AGAIN, UNSENT_AFTER};
use super::{Change, Client, Delay, Event, GroupDone, Problem, Timer};
use crate::plant::{Bug, Plant};
use crate::protocol::limits::GROUP_REQUESTS_MAX;
use crate::protocol::{CastId, GroupAnswer, GroupAsk, GroupRefusal, GroupTag, Name, Packet, Trip};
use crate::retransmission::Tries;
use crate::time::{Now, Time};

/// Something wanted of groups that must not be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Make a group.
    Create(Name),
    /// Be in a group.
    Join(Name),
    /// Be out of a group.
    Leave(Name),
    /// Send a text to the other members of a group.
    Say {
        /// Which group.
        group: Name,
        /// The text's id.
        cast: CastId,
        /// The text.
        text: String,
    },
}

/// What the server has not answered yet, in the order in which it was wanted.
#[derive(Debug, Default)]
pub(super) struct Groups {
    queue: VecDeque<Request>,
    /// Above the number of any request so far.
    next_number: u64,
    /// The first one's question that is under way.
    asked: Option<Question>,
    /// What is known of the list that the first one wants.
    names: Vec<Name>,
    /// For [`Bug::StaleMembers`].
    stale: Option<(Name, Vec<Name>)>,
}

#[derive(Debug)]
struct Request {
    number: u64,
    wants: Wants,
    wanted_at: Time,
    /// The user knows that the server does not answer.
    told: bool,
}

#[derive(Clone, Debug)]
enum Wants {
    /// Something that is remembered.
    Wish(Wish),
    /// Which groups there are.
    Groups,
    /// Who is in a group.
    Members(Name),
}

/// A question under way. Each part of a list is a question of its own: a late answer to an
/// earlier one is no answer to this one.
#[derive(Debug)]
struct Question {
    number: u64,
    tries: Tries,
}

impl Groups {
    /// How many requests are not answered.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The user knows of everything that it waits.
    pub(super) fn told_of_all(&mut self) {
        self.queue.iter_mut().for_each(|request| request.told = true);
    }

    /// Whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= GROUP_REQUESTS_MAX
    }
}

impl Wants {
    /// What to ask the server, when the names up to `after` are known.
    fn ask(&self, after: Option<Name>) -> GroupAsk {
        match self {
            Self::Wish(Wish::Create(group)) => GroupAsk::Create(group.clone()),
            Self::Wish(Wish::Join(group)) => GroupAsk::Join(group.clone()),
            Self::Wish(Wish::Leave(group)) => GroupAsk::Leave(group.clone()),
            Self::Groups => GroupAsk::List { after },
            Self::Wish(Wish::Say { group, .. }) | Self::Members(group) => {
                GroupAsk::Members { group: group.clone(), after }
            }
        }
    }
}

impl<P: Plant> Client<P> {
    /// Takes up what an earlier life of this client wanted.
    pub(super) fn restore_wishes(&mut self) {
        self.groups.next_number = self.record.next_wish;
        let request = |(number, wish): (&u64, &Wish)| Request {
            number: *number,
            wants: Wants::Wish(wish.clone()),
            wanted_at: Time::ZERO,
            told: false,
        };
        self.groups.queue = self.record.wishes.iter().map(request).collect();
    }

    pub(super) fn wish(&mut self, now: Now, wish: Wish) {
        if let Some(number) = self.take_number() {
            self.change(Change::Wished { number, wish: wish.clone() });
            self.want(now, number, Wants::Wish(wish));
        }
    }

    pub(super) fn say_to_group(&mut self, now: Now, group: Name, text: String) {
        let cast = CastId(self.entropy.draw());
        self.wish(now, Wish::Say { group, cast, text });
    }

    pub(super) fn list_groups(&mut self, now: Now) {
        if let Some(number) = self.take_number() {
            self.want(now, number, Wants::Groups);
        }
    }

    pub(super) fn list_members(&mut self, now: Now, group: Name) {
        if let Some(number) = self.take_number() {
            self.want(now, number, Wants::Members(group));
        }
    }

    /// The number of one more request, if there is room for it and a server that knows groups.
    fn take_number(&mut self) -> Option<u64> {
        if self.server_is_original() {
            self.fail(Problem::NoGroups);
            return None;
        }
        if self.groups.is_full() {
            self.fail(Problem::TooManyRequests);
            return None;
        }
        let number = self.groups.next_number;
        self.groups.next_number += 1;
        Some(number)
    }

    fn want(&mut self, now: Now, number: u64, wants: Wants) {
        let request = Request { number, wants, wanted_at: now.time, told: false };
        self.groups.queue.push_back(request);
        self.pump_groups(now);
    }

    /// The server is (again) there: it is asked at once.
    pub(super) fn resume_groups(&mut self, now: Now) {
        if self.server_is_original() {
            self.refuse_requests(|_| Problem::NoGroups);
        }
        if let Some(question) = &mut self.groups.asked {
            question.tries.hurry(now.time);
        }
        self.pump_groups(now);
    }

    /// Asks what is due, says what takes long, sets the next timer.
    pub(super) fn pump_groups(&mut self, now: Now) {
        self.ask_about_groups(now);
        let silent = self.session.why_silent(now.time).map(Delay::of_silence);
        let mut late = Vec::new();
        for (place, request) in self.groups.queue.iter_mut().enumerate() {
            if !request.told && request.wanted_at + UNSENT_AFTER <= now.time {
                request.told = true;
                let answers = if place == 0 { Delay::NoAnswer } else { Delay::BehindOthers };
                let why = silent.unwrap_or(answers);
                late.push(match &request.wants {
                    Wants::Wish(Wish::Say { group, .. }) => Problem::GroupWaits(group.clone(), why),
                    _ => Problem::RequestWaits(why),
                });
            }
        }
        late.into_iter().for_each(|problem| self.problem(problem));
        let can_ask = self.session.id().is_some();
        let question =
            self.groups.asked.as_ref().filter(|_| can_ask).map(|asked| asked.tries.next_at());
        let untold = self.groups.queue.iter().find(|request| !request.told);
        let late = untold.map(|request| request.wanted_at + UNSENT_AFTER);
        match question.into_iter().chain(late).min() {
            Some(due) => self.timers.set(Timer::Groups, due),
            None => self.timers.clear(&Timer::Groups),
        }
        self.finish_if_done(now);
    }

    fn ask_about_groups(&mut self, now: Now) {
        let Some(session) = self.session.id() else { return };
        let Some(first) = self.groups.queue.front() else { return };
        let ask = first.wants.ask(self.groups.names.last().cloned());
        // What changes something keeps its number, also over a restart: it must be done once.
        let number = if ask.is_change() { first.number } else { self.groups.next_number };
        let question = self.groups.asked.get_or_insert_with(|| {
            self.groups.next_number = self.groups.next_number.max(number + 1);
            Question { number, tries: Tries::from(now.time) }
        });
        if !question.tries.is_due(now.time) {
            return;
        }
        let attempts = question.tries.transmit(now.time);
        let (request, elapsed) = (question.number, now.time - question.tries.first_at());
        let pause = self.backoff(self.server_timeout(Trip::Disk), elapsed);
        if let Some(question) = &mut self.groups.asked {
            question.tries.wait(now.time, pause);
        }
        self.send_to_server(&Packet::GroupAsk { session, request, ask }, b"", attempts);
    }

    /// The server answers the question of this number.
    pub(super) fn group_answered(&mut self, now: Now, request: u64, answer: GroupAnswer) {
        if self.groups.asked.as_ref().is_none_or(|asked| asked.number != request) {
            return;
        }
        self.groups.asked = None;
        if let GroupAnswer::Names { names, more } = answer {
            self.groups.names.extend(names);
            if !more {
                self.listed(now);
            }
            return self.pump_groups(now);
        }
        let Some(Request { number, wants, .. }) = self.take_first() else { return };
        match answer {
            GroupAnswer::Done => {
                let done = match &wants {
                    Wants::Wish(Wish::Create(group)) => Some((group, GroupDone::Created)),
                    Wants::Wish(Wish::Join(group)) => Some((group, GroupDone::Joined)),
                    Wants::Wish(Wish::Leave(group)) => Some((group, GroupDone::Left)),
                    // No server of ours answers a question for names so.
                    _ => None,
                };
                if let Some((group, what)) = done {
                    let group = group.clone();
                    self.journal.event_durably(Event::Group { group, what });
                }
            }
            GroupAnswer::Refused(refusal) => self.fail(refused(refusal, &wants)),
            GroupAnswer::Old | GroupAnswer::Names { .. } => {}
        }
        if matches!(wants, Wants::Wish(_)) {
            self.change_once_told(Change::WishEnded { number });
        }
        self.pump_groups(now);
    }

    /// All the names that the first request wanted have come.
    fn listed(&mut self, now: Now) {
        let names = std::mem::take(&mut self.groups.names);
        if self.is_say() && !self.has_room(self.others(names.clone()).len()) {
            return self.ask_again_later(now);
        }
        let Some(Request { number, wants, .. }) = self.take_first() else { return };
        match wants {
            Wants::Groups => self.journal.event_durably(Event::Groups(names)),
            Wants::Members(group) => {
                self.journal.event_durably(Event::Members { group, members: names });
            }
            Wants::Wish(Wish::Say { group, cast, text }) => {
                let members = self.perhaps_stale(&group, names);
                let group = GroupTag { cast, name: Some(group) };
                self.say(now, number, &group, members, &text);
            }
            // No server of ours answers such a wish with names.
            Wants::Wish(_) => self.change(Change::WishEnded { number }),
        }
    }

    /// A text goes to the members of a group, as was wished.
    fn say(&mut self, now: Now, number: u64, group: &GroupTag, members: Vec<Name>, text: &str) {
        let others = self.others(members);
        if others.is_empty() {
            self.fail(Problem::NobodyElse(group.clone()));
            return self.change_once_told(Change::WishEnded { number });
        }
        // In one commit with the copies: never without them, and they never twice.
        if !self.plant.has(Bug::CastsAgain) {
            self.change(Change::WishEnded { number });
        }
        self.fan_out(now, group, others, text);
    }

    /// Whether the first request is a text to a group.
    fn is_say(&self) -> bool {
        let first = self.groups.queue.front();
        first.is_some_and(|first| matches!(first.wants, Wants::Wish(Wish::Say { .. })))
    }

    /// The outbox has no room for a text to a group: it stays a wish until there is.
    fn ask_again_later(&mut self, now: Now) {
        let number = self.groups.next_number;
        self.groups.next_number += 1;
        let tries = Tries::from(now.time + OUTBOX_AGAIN);
        self.groups.asked = Some(Question { number, tries });
        let Some(first) = self.groups.queue.front_mut() else { return };
        if let Wants::Wish(Wish::Say { group, .. }) = &first.wants
            && !std::mem::replace(&mut first.told, true)
        {
            let problem = Problem::GroupWaitsForRoom(group.clone());
            self.problem(problem);
        }
    }

    /// The members as the server told, but for [`Bug::StaleMembers`].
    fn perhaps_stale(&mut self, group: &Name, members: Vec<Name>) -> Vec<Name> {
        let before = self.groups.stale.replace((group.clone(), members.clone()));
        match before {
            Some((of, known)) if of == *group && known != members => {
                if self.plant.has(Bug::StaleMembers) { known } else { members }
            }
            _ => members,
        }
    }

    /// Takes out the first request, and whatever was known of its answer.
    fn take_first(&mut self) -> Option<Request> {
        self.groups.asked = None;
        self.groups.names.clear();
        self.groups.queue.pop_front()
    }

    /// Whether the user knows of every request what has become of it.
    pub(super) fn every_request_has_its_outcome(&self) -> bool {
        self.groups.queue.iter().all(|request| request.told)
    }

    /// The user has left. Says of what the server has not answered what is so: what must not be
    /// forgotten is asked at the next start, or given up without a store.
    pub(super) fn leave_requests(&mut self) {
        self.timers.clear(&Timer::Groups);
        let mut asked = self.groups.asked.take().is_some_and(|asked| asked.tries.attempts() > 0);
        let keeps = self.config.has_store;
        for Request { number, wants, told, .. } in std::mem::take(&mut self.groups.queue) {
            self.incomplete = true;
            // Only the first one is ever asked.
            let may_be_done = std::mem::take(&mut asked);
            let problem = match wants {
                Wants::Wish(_) if keeps && told => continue,
                Wants::Wish(Wish::Say { group, .. }) if keeps => Problem::LeftCastKept(group),
                Wants::Wish(Wish::Say { group, .. }) => Problem::LeftBeforeCast(group.to_string()),
                Wants::Wish(_) if keeps => Problem::LeftAsking,
                Wants::Wish(_) if may_be_done => Problem::LeftUnanswered,
                _ => Problem::LeftUnasked,
            };
            self.problem(problem);
            if !keeps {
                self.change_once_told(Change::WishEnded { number });
            }
        }
    }

    fn refuse_requests(&mut self, why: impl Fn(&Wants) -> Problem) {
        while let Some(Request { number, wants, .. }) = self.take_first() {
            self.fail(why(&wants));
            if matches!(wants, Wants::Wish(_)) {
                self.change_once_told(Change::WishEnded { number });
            }
        }
    }
}

fn refused(refusal: GroupRefusal, wants: &Wants) -> Problem {
    let group = match wants {
        Wants::Wish(Wish::Create(group) | Wish::Join(group) | Wish::Leave(group))
        | Wants::Wish(Wish::Say { group, .. })
        | Wants::Members(group) => group,
        // No server of ours refuses to say which groups there are.
        Wants::Groups => return Problem::NoGroups,
    };
    let group = group.clone();
    match refusal {
        GroupRefusal::Exists => Problem::GroupExists(group),
        GroupRefusal::NoSuchGroup => Problem::NoSuchGroup(group),
        GroupRefusal::NotMember => Problem::NotMember(group),
        GroupRefusal::TooManyGroups => Problem::TooManyGroups(group),
        GroupRefusal::GroupFull => Problem::GroupFull(group),
        GroupRefusal::DiskFull => Problem::ServerDiskFullForGroup(group),
    }
}
