//! Who attacks a random run, and how: strategies that draw moves from the run's seed.
//!
//! A class is what an adversary can see and do, and has its strategies in a file of its own. Which
//! are chosen, when, and against whom, depends on the seed and the classes alone: the rest of a
//! seed's run is as without an adversary. Knows the plan and no engine.

mod draw;
mod insider;
mod off_path;
mod on_path;
mod server;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use self::draw::Draw;
use crate::planning::moves::{Move, Trick};
use crate::planning::plan::Plan;

/// What an adversary can see and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It sees only what is sent to its own addresses, and sends from any.
    OffPath,
    /// It sees, holds back and alters what passes over links that it sits on.
    OnPath,
    /// It sees as little as one that is off-path, with users of its own.
    Insider,
    /// Whatever the server says and hears is what it likes.
    Server,
}

/// Classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u8);

/// One way to attack.
type Strategy = fn(&mut Draw<'_>) -> Vec<Move>;

/// Attacks in one run at most.
const ATTACKS_MAX: u64 = 3;

/// How often attacks are drawn until there is one.
const TRIES: u32 = 20;

impl Class {
    /// Every class there is.
    pub const ALL: [Self; 4] = [Self::OffPath, Self::OnPath, Self::Insider, Self::Server];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OffPath => "off-path",
            Self::OnPath => "on-path",
            Self::Insider => "insider",
            Self::Server => "server",
        }
    }

    const fn strategies(self) -> &'static [Strategy] {
        match self {
            Self::OffPath => off_path::STRATEGIES,
            Self::OnPath => on_path::STRATEGIES,
            Self::Insider => insider::STRATEGIES,
            Self::Server => server::STRATEGIES,
        }
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no class of adversaries is called {name:?}, they are: {names}")
        })
    }
}

impl Classes {
    /// Those against whom every promise holds without a secret: swarm runs have them now and then.
    pub const HELD_OFF: Self = Self(1 << Class::OffPath as u8 | 1 << Class::Insider as u8);

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.0 & (1 << *class as u8) != 0)
    }

    /// Adds an adversary of one of these classes to a plan: one to three attacks in the time in
    /// which things go wrong.
    pub fn join(self, plan: &mut Plan, within: Duration) {
        let classes: Vec<Class> = self.iter().collect();
        let mut draw = Draw::new(plan, within);
        let Some(class) = draw.pick(&classes) else { return };
        let mut moves = Vec::new();
        // Some come to nothing, for want of somebody to attack.
        for _ in 0..TRIES {
            if !moves.is_empty() {
                break;
            }
            for _ in 0..=draw.below(ATTACKS_MAX) {
                if let Some(strategy) = draw.pick(class.strategies()) {
                    moves.extend(strategy(&mut draw));
                }
            }
            moves.retain(|it| it.at < within);
        }
        for it in &mut moves {
            while it.times > 1 && it.last() >= within {
                it.times -= 1;
            }
            if let Trick::Answer { lasts, .. } | Trick::Alter { lasts, .. } = &mut it.trick {
                *lasts = Some(within - it.at);
            }
        }
        moves.sort_by_key(|it| it.at);
        plan.moves = moves;
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        Self(classes.into_iter().fold(0, |all, class| all | 1 << class as u8))
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Class::name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::workload::{self, Profile, Size};

    const SIZE: Size = Size { clients: 3, messages: 9, duration: Duration::from_secs(20) };

    #[test]
    fn an_attack_depends_on_the_seed_and_leaves_the_rest_as_it_was() {
        let classes: Classes = Class::ALL.into_iter().collect();
        for seed in 0..200 {
            let quiet = workload::plan(seed, &SIZE, &Profile::default());
            let [mut attacked, mut again] = [quiet.clone(), quiet.clone()];
            classes.join(&mut attacked, SIZE.duration);
            classes.join(&mut again, SIZE.duration);
            assert_eq!(attacked, again);
            assert!(!attacked.moves.is_empty(), "seed {seed}");
            assert!(attacked.moves.iter().all(|it| it.last() < SIZE.duration), "seed {seed}");
            attacked.moves.clear();
            assert_eq!(attacked, quiet);
        }
    }

    #[test]
    fn classes_are_named_as_they_are_read() {
        let classes: Classes = ["insider", "off-path"].iter().flat_map(|it| it.parse()).collect();
        assert_eq!(classes.to_string(), "off-path,insider");
        assert!(
            "of-path".parse::<Class>().unwrap_err().ends_with("off-path, on-path, insider, server")
        );
    }
}
