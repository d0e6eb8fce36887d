//! What the user wants of groups: one request after the other, each asked until it is answered.
//!
//! docs/protocol.md, "Groups". A text to a group waits here until the server has said who is in
//! it; then each copy is [`super::outbox`]'s. What is wanted outlives a restart, what is only
//! asked does not.

use std::collections::VecDeque;

use super::context::Context;
use super::record::Wish;
use super::session::{Dialect, Standing};
use super::timing::{OUTBOX_AGAIN, UNSENT_AFTER};
use super::wire::Dispatch;
use super::{Change, Delay, Event, GroupDone, Problem, Timer};
use crate::mutation::Mutations;
use crate::protocol::limits::{FORGOTTEN_MAX, GROUP_REQUESTS_MAX, GROUPS_MAX};
use crate::protocol::{GroupAnswer, GroupAsk, GroupRefusal, GroupTag, Name, Packet};
use crate::retransmission::Tries;
use crate::time::Time;

/// What the server has not answered yet, in the order in which it was wanted.
#[derive(Debug, Default)]
pub(super) struct Requests {
    queue: VecDeque<GroupRequest>,
    /// Above the number of any request so far.
    next_number: u64,
    /// The first one's question that is under way.
    asked: Option<Question>,
    /// What is known of the list that the first one wants.
    names: Vec<Name>,
}

/// A text that goes to the members of a group.
#[derive(Debug)]
pub(super) struct GroupText {
    pub(super) group: GroupTag,
    pub(super) members: Vec<Name>,
    pub(super) text: String,
}

#[derive(Debug)]
struct GroupRequest {
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

impl Requests {
    /// Takes up what an earlier life of this client wanted.
    pub(super) fn restored<M: Mutations>(context: &Context<M>) -> Self {
        let request = |(number, wish): (&u64, &Wish)| GroupRequest {
            number: *number,
            wants: Wants::Wish(wish.clone()),
            wanted_at: Time::ZERO,
            told: false,
        };
        let queue = context.record().wishes.iter().map(request).collect();
        Self { queue, next_number: context.record().next_wish, ..Self::default() }
    }

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

    /// Wants something that must not be forgotten, if there is room for it and a server that knows
    /// groups.
    pub(super) fn wish<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        wish: Wish,
    ) {
        if let Some(number) = self.take_number(context, dialect) {
            context.change(Change::Wished { number, wish: wish.clone() });
            self.want(context, number, Wants::Wish(wish));
        }
    }

    /// Wants to know which groups there are.
    pub(super) fn list_groups<M: Mutations>(&mut self, context: &mut Context<M>, dialect: Dialect) {
        if let Some(number) = self.take_number(context, dialect) {
            self.want(context, number, Wants::Groups);
        }
    }

    /// Wants to know who is in a group.
    pub(super) fn list_members<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
        group: Name,
    ) {
        if let Some(number) = self.take_number(context, dialect) {
            self.want(context, number, Wants::Members(group));
        }
    }

    fn take_number<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        dialect: Dialect,
    ) -> Option<u64> {
        if dialect == Dialect::Original {
            context.fail(Problem::NoGroups);
            return None;
        }
        if self.is_full() {
            context.fail(Problem::TooManyRequests);
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        Some(number)
    }

    /// Numbers up to this one have been used: what waits gets others.
    pub(super) fn go_above<M: Mutations>(&mut self, context: &mut Context<M>, used: u64) {
        if used < self.next_number || used > FORGOTTEN_MAX {
            return;
        }
        (self.asked, self.next_number) = (None, used + 1);
        self.names.clear();
        context.change(Change::WishesAbove { next: self.next_number });
        for request in &mut self.queue {
            let before = std::mem::replace(&mut request.number, self.next_number);
            self.next_number += 1;
            if let Wants::Wish(wish) = &request.wants {
                let (number, wish) = (request.number, wish.clone());
                context.change(Change::WishEnded { number: before });
                context.change(Change::Wished { number, wish });
            }
        }
    }

    fn want<M: Mutations>(&mut self, context: &Context<M>, number: u64, wants: Wants) {
        let wanted_at = context.time();
        self.queue.push_back(GroupRequest { number, wants, wanted_at, told: false });
    }

    /// The server is (again) there: it is asked at once. An original one knows no groups.
    pub(super) fn hurry<M: Mutations>(&mut self, context: &mut Context<M>, dialect: Dialect) {
        if dialect == Dialect::Original {
            while let Some(GroupRequest { number, wants, .. }) = self.take_first() {
                context.fail(Problem::NoGroups);
                if matches!(wants, Wants::Wish(_)) {
                    context.change_once_told(Change::WishEnded { number });
                }
            }
        }
        if let Some(question) = &mut self.asked {
            question.tries.hurry(context.time());
        }
    }

    /// What the server is to be asked now, if anything is due.
    pub(super) fn poll_ask<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        standing: &Standing,
    ) -> Option<Dispatch> {
        let session = standing.session?;
        let first = self.queue.front()?;
        let ask = first.wants.ask(self.names.last().cloned());
        // What changes something keeps its number, also over a restart: it must be done once.
        let number = if ask.is_change() { first.number } else { self.next_number };
        let now = context.time();
        let question = self.asked.get_or_insert_with(|| {
            self.next_number = self.next_number.max(number + 1);
            Question { number, tries: Tries::from(now) }
        });
        if !question.tries.is_due(now) {
            return None;
        }
        let attempt = question.tries.transmit(now);
        let elapsed = now - question.tries.first_at();
        question.tries.wait(now, context.backoff(standing.disk_timeout, elapsed));
        let request = question.number;
        Some(Dispatch::to_server(Packet::GroupAsk { session, request, ask }, attempt))
    }

    /// Says what takes long, and sets the timer for whatever is to be done next.
    pub(super) fn report<M: Mutations>(&mut self, context: &mut Context<M>, standing: &Standing) {
        let silent = standing.silence.map(Delay::of_silence);
        for (place, request) in self.queue.iter_mut().enumerate() {
            if !request.told && request.wanted_at + UNSENT_AFTER <= context.time() {
                request.told = true;
                let answers = if place == 0 { Delay::NoAnswer } else { Delay::BehindOthers };
                let why = silent.unwrap_or(answers);
                context.problem(match &request.wants {
                    Wants::Wish(Wish::Say { group, .. }) => Problem::GroupWaits(group.clone(), why),
                    _ => Problem::RequestWaits(why),
                });
            }
        }
        let can_ask = standing.session.is_some();
        let question = self.asked.as_ref().filter(|_| can_ask).map(|asked| asked.tries.next_at());
        let untold = self.queue.iter().find(|request| !request.told);
        let late = untold.map(|request| request.wanted_at + UNSENT_AFTER);
        match question.into_iter().chain(late).min() {
            Some(due) => context.timers.set(Timer::Groups, due),
            None => context.timers.clear(&Timer::Groups),
        }
    }

    /// The server answers the question of this number. `room`: so many copies of a text to a group
    /// may be sent. A text that goes to a group's members now, if one does.
    pub(super) fn answered<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        request: u64,
        answer: GroupAnswer,
        room: usize,
    ) -> Option<GroupText> {
        self.asked.take_if(|asked| asked.number == request)?;
        if let GroupAnswer::Names { names, more } = answer {
            let goes_on = self.take_names(names);
            return if more && goes_on { None } else { self.listed(context, room) };
        }
        let GroupRequest { number, wants, .. } = self.take_first()?;
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
                    context.tell(Event::Group { group, what });
                }
            }
            GroupAnswer::Refused(refusal) => context.fail(refused(refusal, &wants)),
            GroupAnswer::Old | GroupAnswer::Names { .. } => {}
        }
        if matches!(wants, Wants::Wish(_)) {
            context.change_once_told(Change::WishEnded { number });
        }
        None
    }

    /// Takes the next names, which rise. Whether there may be more: a server that repeats itself,
    /// or knows more than there can be, is not asked for ever.
    fn take_names(&mut self, names: Vec<Name>) -> bool {
        let before = self.names.len();
        for name in names {
            if self.names.len() < GROUPS_MAX && self.names.last().is_none_or(|last| *last < name) {
                self.names.push(name);
            }
        }
        before < self.names.len() && self.names.len() < GROUPS_MAX
    }

    /// All the names that the first request wanted have come.
    fn listed<M: Mutations>(&mut self, context: &mut Context<M>, room: usize) -> Option<GroupText> {
        let names = std::mem::take(&mut self.names);
        let others = names.iter().filter(|name| **name != context.config().name).count();
        if self.is_say() && others > room {
            self.ask_again_later(context);
            return None;
        }
        let GroupRequest { number, wants, .. } = self.take_first()?;
        match wants {
            Wants::Groups => context.tell(Event::Groups(names)),
            Wants::Members(group) => context.tell(Event::Members { group, members: names }),
            Wants::Wish(Wish::Say { group, cast, text }) => {
                let group = GroupTag { cast, name: Some(group) };
                return say(context, number, GroupText { group, members: names, text });
            }
            // No server of ours answers such a wish with names.
            Wants::Wish(_) => context.change(Change::WishEnded { number }),
        }
        None
    }

    /// Whether the first request is a text to a group.
    fn is_say(&self) -> bool {
        let first = self.queue.front();
        first.is_some_and(|first| matches!(first.wants, Wants::Wish(Wish::Say { .. })))
    }

    /// The outbox has no room for a text to a group: it stays a wish until there is.
    fn ask_again_later<M: Mutations>(&mut self, context: &mut Context<M>) {
        let number = self.next_number;
        self.next_number += 1;
        let tries = Tries::from(context.time() + OUTBOX_AGAIN);
        self.asked = Some(Question { number, tries });
        let Some(first) = self.queue.front_mut() else { return };
        if let Wants::Wish(Wish::Say { group, .. }) = &first.wants
            && !std::mem::replace(&mut first.told, true)
        {
            context.problem(Problem::GroupWaitsForRoom(group.clone()));
        }
    }

    /// Takes out the first request, and whatever was known of its answer.
    fn take_first(&mut self) -> Option<GroupRequest> {
        self.asked = None;
        self.names.clear();
        self.queue.pop_front()
    }

    /// Whether the user knows of every request what has become of it.
    pub(super) fn every_one_has_its_outcome(&self) -> bool {
        self.queue.iter().all(|request| request.told)
    }

    /// The user has left. Says of what the server has not answered what is so: what must not be
    /// forgotten is asked at the next start, or given up without a store.
    pub(super) fn leave<M: Mutations>(&mut self, context: &mut Context<M>) {
        context.timers.clear(&Timer::Groups);
        let mut asked = self.asked.take().is_some_and(|asked| asked.tries.attempts() > 0);
        self.names.clear();
        let keeps = context.config().has_store;
        for GroupRequest { number, wants, told, .. } in std::mem::take(&mut self.queue) {
            context.note_failure();
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
            context.problem(problem);
            if !keeps {
                context.change_once_told(Change::WishEnded { number });
            }
        }
    }

    /// Panics if something does not hold that must between two inputs. Who has left asks for
    /// nothing more, and keeps what was wanted for the next start.
    pub(super) fn check_invariants<M: Mutations>(&self, context: &Context<M>, has_left: bool) {
        let wishes = self.queue.iter().filter(|it| matches!(it.wants, Wants::Wish(_)));
        let kept = context.record().wishes.keys();
        let are_same = wishes.map(|it| &it.number).eq(kept);
        assert!(has_left || are_same, "a wish is asked and not kept, or kept only");
        assert!(self.queue.iter().is_sorted_by_key(|it| it.number), "requests out of order");
        assert!(self.queue.iter().all(|it| it.number < self.next_number), "a number twice");
        assert!(!self.queue.is_empty() || self.asked.is_none(), "a question that nobody has");
        // The next part is asked for as soon as there is a session.
        let are_wanted = self.names.is_empty() || !self.queue.is_empty();
        assert!(are_wanted, "names that belong to no request");
        let waits = self.queue.iter().any(|it| !it.told);
        let is_timed = context.timers.is_set(&Timer::Groups);
        assert!(!waits || is_timed, "nothing will be said of a request");
    }
}

/// A text goes to the members of a group, as was wished.
fn say<M: Mutations>(
    context: &mut Context<M>,
    number: u64,
    mut text: GroupText,
) -> Option<GroupText> {
    text.members.retain(|name| *name != context.config().name);
    if text.members.is_empty() {
        context.fail(Problem::NobodyElse(text.group));
        context.change_once_told(Change::WishEnded { number });
        return None;
    }
    // In one commit with the copies: never without them, and they never twice.
    context.change(Change::WishEnded { number });
    Some(text)
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
        GroupRefusal::TooManyMade => Problem::TooManyMade(group),
        GroupRefusal::GroupFull => Problem::GroupFull(group),
        GroupRefusal::DiskFull => Problem::ServerDiskFullForGroup(group),
    }
}
