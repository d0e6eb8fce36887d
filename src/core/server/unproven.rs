//! Guests who asked for a name and have not shown yet that they are where they say.
//!
//! docs/protocol.md, "The original's dialect". Nothing of it is durable or in a table, and a flood
//! of forged addresses makes it no larger: those who asked longest ago are forgotten first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::timing::PROOF_LIFE;
use crate::machine::Path;
use crate::original::Owed;
use crate::protocol::Name;
use crate::protocol::limits::UNPROVEN_MAX;
use crate::time::Time;

/// What somebody at an address wants, who acknowledges what it was asked on the second socket.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) name: Name,
    pub(super) path: Path,
    /// What its next `ACK` may be for.
    pub(super) owed: Owed,
    asked_at: Time,
    is_proven: bool,
}

#[derive(Debug, Default)]
pub(super) struct Unproven {
    wishes: BTreeMap<SocketAddr, Wish>,
    by_age: BTreeSet<(Time, SocketAddr)>,
}

impl Unproven {
    /// Somebody wants a name: what is to be granted, if the same address has shown a moment ago
    /// that it is one. Else it is to be asked.
    pub(super) fn wants(&mut self, now: Time, path: Path, name: &Name, owed: Owed) -> Option<Wish> {
        self.forget_old(now);
        let name = name.clone();
        if let Some(wish) = self.wishes.get_mut(&path.remote).filter(|wish| wish.is_proven) {
            (wish.name, wish.path) = (name, path);
            return Some(wish.clone());
        }
        let owed = self.take(path.remote).map_or(owed, |wish| wish.owed).after_one_more(now);
        if self.wishes.len() >= UNPROVEN_MAX
            && let Some((_, oldest)) = self.by_age.first().copied()
        {
            self.take(oldest);
        }
        self.by_age.insert((now, path.remote));
        let wish = Wish { name, path, owed, asked_at: now, is_proven: false };
        self.wishes.insert(path.remote, wish);
        None
    }

    /// An `ACK` has come from an address on the second socket: what is to be granted, if that is
    /// the first one to what it was asked.
    pub(super) fn acked(&mut self, now: Time, from: SocketAddr) -> Option<Wish> {
        self.forget_old(now);
        let wish = self.wishes.get_mut(&from)?;
        wish.owed.acked();
        (!std::mem::replace(&mut wish.is_proven, true)).then(|| wish.clone())
    }

    /// It has what it wanted.
    pub(super) fn take(&mut self, from: SocketAddr) -> Option<Wish> {
        let wish = self.wishes.remove(&from)?;
        self.by_age.remove(&(wish.asked_at, from));
        Some(wish)
    }

    fn forget_old(&mut self, now: Time) {
        while let Some((asked_at, from)) = self.by_age.first().copied()
            && asked_at + PROOF_LIFE <= now
        {
            self.take(from);
        }
    }

    /// Both ways to find one agree.
    pub(super) fn check_invariants(&self) {
        assert!(self.wishes.len() <= UNPROVEN_MAX, "more wishes than are remembered");
        let by_age = self.wishes.iter().map(|(from, wish)| (wish.asked_at, *from));
        assert_eq!(by_age.collect::<BTreeSet<_>>(), self.by_age, "who asked when");
    }
}
