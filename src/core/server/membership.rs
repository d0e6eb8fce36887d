//! Who belongs to which group, and what was last done about it for whom: durable.
//!
//! Knows names and numbers. What a request means is for [`super::groups`].

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{GroupRefusal, Name, Token};

/// The groups of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The members of each group. None is empty: the last member takes it along.
    groups: BTreeMap<Name, BTreeSet<Name>>,
    /// Who has made each group, whether in it or not.
    makers: BTreeMap<Name, Name>,
    /// Each client's last request that changed anything, or was to.
    answered: BTreeMap<Name, Answered>,
}

/// A request that was answered. It is answered the same again, and not done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Who asked: another client of the same name begins anew.
    pub token: Token,
    /// The request's number.
    pub request: u64,
    /// Why it was not done, if it was not.
    pub refused: Option<GroupRefusal>,
}

impl Membership {
    /// Every group's name, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.groups.keys()
    }

    /// The group's name as it was first written, if there is such a group.
    #[must_use]
    pub fn written(&self, group: &Name) -> Option<&Name> {
        self.groups.get_key_value(group).map(|(written, _)| written)
    }

    /// How many groups there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.groups.len()
    }

    /// A group's members, if there is such a group.
    #[must_use]
    pub fn members(&self, group: &Name) -> Option<&BTreeSet<Name>> {
        self.groups.get(group)
    }

    /// How many groups there are that a name has made.
    #[must_use]
    pub fn made_by(&self, name: &Name) -> usize {
        let made = self.makers.iter().filter(|(_, maker)| *maker == name);
        made.filter(|(group, _)| self.groups.contains_key(*group)).count()
    }

    /// The groups that a name is in.
    pub fn groups_of<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Name> {
        let own = self.groups.iter().filter(|(_, members)| members.contains(name));
        own.map(|(group, _)| group)
    }

    /// A client's last answered request.
    #[must_use]
    pub fn answered(&self, name: &Name) -> Option<&Answered> {
        self.answered.get(name)
    }

    pub(super) fn join(&mut self, group: &Name, member: &Name) {
        self.groups.entry(group.clone()).or_default().insert(member.clone());
    }

    pub(super) fn leave(&mut self, group: &Name, member: &Name) {
        let Some(members) = self.groups.get_mut(group) else { return };
        members.remove(member);
        if members.is_empty() {
            self.groups.remove(group);
        }
    }

    pub(super) fn made(&mut self, group: &Name, maker: &Name) {
        self.makers.insert(group.clone(), maker.clone());
    }

    /// Nobody is in a group any more: it is nobody's.
    pub(super) fn unmade(&mut self, group: &Name) {
        self.makers.remove(group);
    }

    /// The groups that a name has made.
    pub(super) fn groups_made_by<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Name> {
        self.makers.iter().filter(move |(_, maker)| *maker == name).map(|(group, _)| group)
    }

    /// What was made is there.
    pub(super) fn check_invariants(&self) {
        for (group, maker) in &self.makers {
            assert!(self.groups.contains_key(group), "{maker} has made {group}, which is gone");
        }
    }

    /// Nothing that a name asked for is remembered.
    pub(super) fn forget(&mut self, name: &Name) {
        self.answered.remove(name);
    }

    pub(super) fn answer(&mut self, name: &Name, answered: Answered) {
        self.answered.insert(name.clone(), answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_group_lives_as_long_as_it_has_members() {
        let mut membership = Membership::default();
        membership.join(&name("team"), &name("alice"));
        membership.join(&name("TEAM"), &name("bob"));
        assert_eq!(membership.members(&name("team")).map(BTreeSet::len), Some(2));
        membership.leave(&name("team"), &name("alice"));
        assert_eq!(membership.count(), 1);
        membership.leave(&name("team"), &name("bob"));
        assert_eq!((membership.members(&name("team")), membership.count()), (None, 0));
    }
}
