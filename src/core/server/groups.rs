//! What clients ask about groups: each change is done once, and answered when it is durable.
//!
//! docs/protocol.md, "Groups". A server knows who belongs to which group, and no text: messages
//! to a group come and go as messages to its members.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::{Answered, Change, Event, GroupChange};
use crate::machine::Path;
use crate::mutation::{Mutation, Mutations};
use crate::protocol::limits::{GROUPS_MAX, MEMBERS_MAX, NAMES_PER_ANSWER};
use crate::protocol::{GroupAnswer, GroupAsk, GroupRefusal, Name, Packet, SessionId};

/// What is known of requests about groups beside what is recorded.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Who was refused what, and has no row of it: at most one for each account.
    refused: BTreeMap<Name, Answered>,
}

impl Groups {
    /// A registered client asks something about groups.
    pub(super) fn asked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        (name, to): (&Name, Path),
        (session, request): (SessionId, u64),
        ask: GroupAsk,
    ) {
        let answer = match ask {
            GroupAsk::Create(group) => {
                self.answer_once(cx, name, request, |cx| create(cx, name, &group))
            }
            GroupAsk::Join(group) => {
                self.answer_once(cx, name, request, |cx| join(cx, name, &group))
            }
            GroupAsk::Leave(group) => {
                self.answer_once(cx, name, request, |cx| leave(cx, name, &group))
            }
            GroupAsk::List { after } => Some(part(cx.record().membership.names(), after.as_ref())),
            GroupAsk::Members { group, after } => {
                Some(list_members(cx, name, &group, after.as_ref()))
            }
        };
        if let Some(answer) = answer {
            cx.send(to, &Packet::GroupAnswer { session, request, answer }, 1);
        }
    }

    /// Does what a request wants unless that, or what a later one wanted, has been done; none from
    /// whom nobody knows.
    fn answer_once<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
        request: u64,
        act: impl FnOnce(&mut Context<M>) -> Result<(), GroupRefusal>,
    ) -> Option<GroupAnswer> {
        let token = cx.record().accounts.get(name)?.token;
        let written = cx.record().membership.answered(name);
        let mut known = self.refused.get(name).into_iter().chain(written);
        let refused = match known.find(|last| last.token == token) {
            Some(last) if request < last.request => return Some(GroupAnswer::Old),
            Some(last) if request == last.request && !cx.has(Mutation::AsksTwice) => last.refused,
            _ => {
                let refused = act(cx).err();
                self.remember(cx, name, Answered { token, request, refused });
                refused
            }
        };
        Some(refused.map_or(GroupAnswer::Done, GroupAnswer::Refused))
    }

    /// While there is little room a refusal gets no row. To forget it with the sessions is safe: no
    /// late copy of the request counts then, and whoever asks anew is told what came of it.
    fn remember<M: Mutations>(&mut self, cx: &mut Context<M>, name: &Name, answered: Answered) {
        if answered.refused.is_some() && cx.is_low() {
            self.refused.insert(name.clone(), answered);
        } else {
            self.refused.remove(name);
            cx.change(Change::GroupAnswered { name: name.clone(), answered });
        }
    }
}

impl Groups {
    /// A name is to be known no more: it leaves all groups, and those that it made count for nobody
    /// who has the name next.
    pub(super) fn forget<M: Mutations>(&mut self, cx: &mut Context<M>, name: &Name) {
        self.refused.remove(name);
        let groups: Vec<Name> = cx.record().membership.groups_of(name).cloned().collect();
        for group in groups {
            change_membership(cx, name, &group, GroupChange::Left);
        }
        let made: Vec<Name> = cx.record().membership.groups_made_by(name).cloned().collect();
        for group in made {
            cx.change(Change::Unmade { group });
        }
    }

    /// Refusals without a row are refusals, of those who have an account.
    pub(super) fn check_invariants<M: Mutations>(&self, cx: &Context<M>) {
        for (name, answered) in &self.refused {
            assert!(cx.record().accounts.contains_key(name), "{name} is not known");
            assert!(answered.refused.is_some(), "{name} was not refused");
        }
    }
}

fn create<M: Mutations>(
    cx: &mut Context<M>,
    name: &Name,
    group: &Name,
) -> Result<(), GroupRefusal> {
    if cx.record().membership.members(group).is_some() {
        return Err(GroupRefusal::Exists);
    }
    if cx.record().membership.count() >= GROUPS_MAX {
        return Err(GroupRefusal::TooManyGroups);
    }
    let has_share = cx.record().membership.made_by(name) >= cx.config().shares.groups_per_name;
    if has_share && !cx.has(Mutation::NoGroupShare) {
        return Err(GroupRefusal::TooManyMade);
    }
    needs_room(cx)?;
    change_membership(cx, name, group, GroupChange::Created);
    cx.change(Change::Made { group: group.clone(), maker: name.clone() });
    Ok(())
}

/// Whoever is a member already has what they want.
fn join<M: Mutations>(cx: &mut Context<M>, name: &Name, group: &Name) -> Result<(), GroupRefusal> {
    let known = cx.record().membership.members(group);
    let members = known.ok_or(GroupRefusal::NoSuchGroup)?;
    if members.contains(name) {
        return Ok(());
    }
    if members.len() >= MEMBERS_MAX {
        return Err(GroupRefusal::GroupFull);
    }
    needs_room(cx)?;
    change_membership(cx, name, group, GroupChange::Joined);
    Ok(())
}

/// The room that is left on a full disk is for what must not be refused, such as deliveries.
fn needs_room<M: Mutations>(cx: &Context<M>) -> Result<(), GroupRefusal> {
    if cx.is_low() { Err(GroupRefusal::DiskFull) } else { Ok(()) }
}

fn leave<M: Mutations>(cx: &mut Context<M>, name: &Name, group: &Name) -> Result<(), GroupRefusal> {
    members_for(cx, name, group)?;
    if !cx.has(Mutation::KeepsLeavers) {
        change_membership(cx, name, group, GroupChange::Left);
    }
    Ok(())
}

fn change_membership<M: Mutations>(
    cx: &mut Context<M>,
    member: &Name,
    group: &Name,
    what: GroupChange,
) {
    let group = cx.record().membership.written(group).unwrap_or(group).clone();
    let member = member.clone();
    let change = match what {
        GroupChange::Created | GroupChange::Joined => {
            Change::Joined { group: group.clone(), member: member.clone() }
        }
        GroupChange::Left => Change::Left { group: group.clone(), member: member.clone() },
    };
    cx.change(change);
    if cx.record().membership.members(&group).is_none() {
        cx.change(Change::Unmade { group: group.clone() });
    }
    cx.report(Event::Group { group, member, what });
}

/// A group's members, for one of them.
fn members_for<'a, M: Mutations>(
    cx: &'a Context<M>,
    name: &Name,
    group: &Name,
) -> Result<&'a BTreeSet<Name>, GroupRefusal> {
    let known = cx.record().membership.members(group);
    let members = known.ok_or(GroupRefusal::NoSuchGroup)?;
    if members.contains(name) { Ok(members) } else { Err(GroupRefusal::NotMember) }
}

fn list_members<M: Mutations>(
    cx: &Context<M>,
    name: &Name,
    group: &Name,
    after: Option<&Name>,
) -> GroupAnswer {
    match members_for(cx, name, group) {
        Ok(members) => part(members.iter(), after),
        Err(refusal) => GroupAnswer::Refused(refusal),
    }
}

/// As many names from behind `after` on as one answer holds.
fn part<'a>(names: impl Iterator<Item = &'a Name>, after: Option<&Name>) -> GroupAnswer {
    let mut rest = names.skip_while(|name| after.is_some_and(|after| *name <= after)).cloned();
    let names = rest.by_ref().take(NAMES_PER_ANSWER).collect();
    GroupAnswer::Names { names, more: rest.next().is_some() }
}
