//! What clients ask about groups: each change is done once, and answered when it is durable.
//!
//! docs/protocol.md, "Groups". A server knows who belongs to which group, and no text: messages
//! to a group come and go as messages to its members.

use std::collections::BTreeSet;

use super::{Answered, Change, Event, GroupChange, Server};
use crate::machine::Path;
use crate::plant::{Bug, Plant};
use crate::protocol::limits::{GROUPS_MAX, MEMBERS_MAX, NAMES_PER_ANSWER};
use crate::protocol::{GroupAnswer, GroupAsk, GroupRefusal, Name, Packet, SessionId};

impl<P: Plant> Server<P> {
    /// A registered client asks something about groups.
    pub(super) fn group_asked(
        &mut self,
        (name, to): (&Name, Path),
        session: SessionId,
        request: u64,
        ask: GroupAsk,
    ) {
        let answer = match ask {
            GroupAsk::Create(group) => {
                self.answer_once(name, request, |server| server.create_group(name, &group))
            }
            GroupAsk::Join(group) => {
                self.answer_once(name, request, |server| server.join_group(name, &group))
            }
            GroupAsk::Leave(group) => {
                self.answer_once(name, request, |server| server.leave_group(name, &group))
            }
            GroupAsk::List { after } => {
                Some(part(self.cx.record().membership.names(), after.as_ref()))
            }
            GroupAsk::Members { group, after } => {
                Some(self.list_members(name, &group, after.as_ref()))
            }
        };
        if let Some(answer) = answer {
            self.cx.send(to, &Packet::GroupAnswer { session, request, answer }, 1);
        }
    }

    /// Does what a request wants unless that, or what a later one wanted, has been done; none from
    /// whom nobody knows.
    fn answer_once(
        &mut self,
        name: &Name,
        request: u64,
        act: impl FnOnce(&mut Self) -> Result<(), GroupRefusal>,
    ) -> Option<GroupAnswer> {
        let token = self.cx.record().accounts.get(name)?.token;
        let written = self.cx.record().membership.answered(name);
        let mut known = self.refused.get(name).into_iter().chain(written);
        let refused = match known.find(|last| last.token == token) {
            Some(last) if request < last.request => return Some(GroupAnswer::Old),
            Some(last) if request == last.request && !self.cx.has(Bug::AsksTwice) => last.refused,
            _ => {
                let refused = act(self).err();
                self.remember(name, Answered { token, request, refused });
                refused
            }
        };
        Some(refused.map_or(GroupAnswer::Done, GroupAnswer::Refused))
    }

    /// While there is little room a refusal gets no row. To forget it with the sessions is safe: no
    /// late copy of the request counts then, and whoever asks anew is told what came of it.
    fn remember(&mut self, name: &Name, answered: Answered) {
        if answered.refused.is_some() && self.cx.is_low() {
            self.refused.insert(name.clone(), answered);
        } else {
            self.refused.remove(name);
            self.cx.change(Change::GroupAnswered { name: name.clone(), answered });
        }
    }

    fn create_group(&mut self, name: &Name, group: &Name) -> Result<(), GroupRefusal> {
        if self.cx.record().membership.members(group).is_some() {
            return Err(GroupRefusal::Exists);
        }
        if self.cx.record().membership.count() >= GROUPS_MAX {
            return Err(GroupRefusal::TooManyGroups);
        }
        self.needs_room()?;
        self.change_membership(name, group, GroupChange::Created);
        Ok(())
    }

    /// Whoever is a member already has what they want.
    fn join_group(&mut self, name: &Name, group: &Name) -> Result<(), GroupRefusal> {
        let known = self.cx.record().membership.members(group);
        let members = known.ok_or(GroupRefusal::NoSuchGroup)?;
        if members.contains(name) {
            return Ok(());
        }
        if members.len() >= MEMBERS_MAX {
            return Err(GroupRefusal::GroupFull);
        }
        self.needs_room()?;
        self.change_membership(name, group, GroupChange::Joined);
        Ok(())
    }

    /// The room that is left on a full disk is for what must not be refused, such as deliveries.
    fn needs_room(&self) -> Result<(), GroupRefusal> {
        if self.cx.is_low() { Err(GroupRefusal::DiskFull) } else { Ok(()) }
    }

    fn leave_group(&mut self, name: &Name, group: &Name) -> Result<(), GroupRefusal> {
        self.members_for(name, group)?;
        if !self.cx.has(Bug::KeepsLeavers) {
            self.change_membership(name, group, GroupChange::Left);
        }
        Ok(())
    }

    fn change_membership(&mut self, member: &Name, group: &Name, what: GroupChange) {
        let group = self.cx.record().membership.written(group).unwrap_or(group).clone();
        let member = member.clone();
        let change = match what {
            GroupChange::Created | GroupChange::Joined => {
                Change::Joined { group: group.clone(), member: member.clone() }
            }
            GroupChange::Left => Change::Left { group: group.clone(), member: member.clone() },
        };
        self.cx.change(change);
        self.cx.report(Event::Group { group, member, what });
    }

    /// A group's members, for one of them.
    fn members_for(&self, name: &Name, group: &Name) -> Result<&BTreeSet<Name>, GroupRefusal> {
        let known = self.cx.record().membership.members(group);
        let members = known.ok_or(GroupRefusal::NoSuchGroup)?;
        if members.contains(name) { Ok(members) } else { Err(GroupRefusal::NotMember) }
    }

    fn list_members(&self, name: &Name, group: &Name, after: Option<&Name>) -> GroupAnswer {
        match self.members_for(name, group) {
            Ok(members) => part(members.iter(), after),
            Err(refusal) => GroupAnswer::Refused(refusal),
        }
    }
}

/// As many names from behind `after` on as one answer holds.
fn part<'a>(names: impl Iterator<Item = &'a Name>, after: Option<&Name>) -> GroupAnswer {
    let mut rest = names.skip_while(|name| after.is_some_and(|after| *name <= after)).cloned();
    let names = rest.by_ref().take(NAMES_PER_ANSWER).collect();
    GroupAnswer::Names { names, more: rest.next().is_some() }
}
