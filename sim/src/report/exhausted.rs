//! What the user is told about all schedules of a scenario: the certificate with its scope, or the
//! smallest one that fails.

use std::path::Path;

use serde_json::json;

use super::Lines;
use super::failed::{promise, replayer};
use crate::faults::bugs::name_of;
use crate::naming::random::hash;
use crate::planning::scenario::Scenario;
use crate::record::check::{CHECKERS, When};
use crate::search::exhaust::{DOWN, Explored, Failing, LATE, SYNCS_MAX, Scope};
use crate::search::fixture::Kept;

/// One call of `sim exhaust`.
#[derive(Debug)]
pub struct Exhausted<'a> {
    /// The scenario's file.
    pub file: &'a Path,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// What was to be explored.
    pub scope: Scope,
    /// What came of it.
    pub explored: &'a Explored,
    /// Where the schedule that fails is kept, if one does and that could be done.
    pub kept: Option<&'a Kept>,
}

impl Exhausted<'_> {
    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = Lines::default();
        let (file, held) = (self.file.display(), grouped(self.explored.held()));
        match &self.explored.failing {
            None => {
                let faults = self.scope.faults;
                out.hanging(
                    "HELD  ",
                    &format!("{held} schedules, at most {faults} {}: none fails.", self.of_what()),
                );
            }
            Some(failing) => self.write_failing(&mut out, failing),
        }
        out.gap();
        out.line(&format!("  file      {file}"));
        out.hanging("  scope     ", &self.scope_in_words());
        out.hanging("  held      ", &self.counts());
        out.hanging("  promises  ", &self.promises());
        if let Some(bug) = self.scenario.bug {
            out.line(&format!("  planted   {}", name_of(bug)));
        }
        out.line(&format!("  scenario  {:016x}, its hash", self.hash()));
        out.line(&format!("  sim       {}", env!("CARGO_PKG_VERSION")));
        if let Some(kept) = self.kept {
            out.gap();
            out.next("replay", &replayer(&kept.path));
        }
        out.to_string()
    }

    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Scope { faults, kills, power_cuts, keep_alives } = self.scope;
        let failure = self.explored.failing.as_ref().map(|failing| {
            let choices: Vec<String> = failing.choices.iter().map(ToString::to_string).collect();
            let fixture = self.kept.map(|kept| kept.path.display().to_string());
            let (checker, what) = (failing.violation.checker, &failing.violation.what);
            json!({"checker": checker, "what": what, "schedule": choices, "fixture": fixture})
        });
        json!({
            "file": self.file.display().to_string(),
            "scenario": format!("{:016x}", self.hash()),
            "sim": env!("CARGO_PKG_VERSION"),
            "bug": self.scenario.bug.map(name_of),
            "faults": faults,
            "kills": kills,
            "power_cuts": power_cuts,
            "keep_alives": keep_alives,
            "settles": self.scenario.settles,
            "choices": self.explored.choices,
            "schedules": self.explored.held(),
            "by_faults": self.explored.schedules,
            "failure": failure,
        })
        .to_string()
    }

    fn write_failing(&self, out: &mut Lines, failing: &Failing) {
        let Failing { choices, violation, .. } = failing;
        let faults = match choices.len() {
            0 => "without any fault".to_owned(),
            1 => "with 1 fault, and none with fewer".to_owned(),
            faults => format!("with {faults} faults, and none with fewer"),
        };
        let checker = violation.checker;
        out.hanging("VIOLATED  ", &format!("{checker}: {}", promise(checker)));
        out.words(2, &format!("It fails {faults}:"));
        for choice in choices {
            out.hanging("    ", &choice.to_string());
        }
        out.hanging("    ", &violation.what);
        if let Some(Kept { path, steps, .. }) = self.kept {
            let path = path.display();
            out.words(2, &format!("Each of its {steps} steps is needed; kept with its snapshot:"));
            out.line(&format!("    {path}"));
        }
    }

    /// "of drop, twice, late" and what else may be chosen.
    fn of_what(&self) -> String {
        let kill = if self.scope.kills { ", kill" } else { "" };
        let power = if self.scope.power_cuts { ", loss of power" } else { "" };
        format!("of drop, twice, late{kill}{power}")
    }

    fn scope_in_words(&self) -> String {
        let late = LATE.as_millis();
        let mut words = format!(
            "each datagram that reaches its link, repetitions that earlier faults cause \
             included, is lost, arrives twice at once, or {late} ms late, past the next repetition"
        );
        if self.scope.kills {
            let down = DOWN.as_millis();
            words += &format!(
                "; each program is killed 1 ms after each time at which it did something, and \
                 started again {down} ms later, unless the file does something to it meanwhile"
            );
        }
        if self.scope.power_cuts {
            words += &format!(
                "; each host loses its power at each of the first {SYNCS_MAX} syncs of its disk, \
                 with all that was not synced, in the same manner"
            );
        }
        if !self.scope.keep_alives {
            words += "; keep-alives and their answers meet no fault";
        }
        words
            + "; what an adversary sends meets none. The run without faults has "
            + &{
                let choices = self.explored.choices;
                format!("{choices} choices.")
            }
    }

    fn counts(&self) -> String {
        let part = |(faults, count): (usize, &u64)| match faults {
            0 => format!("{} without faults", grouped(*count)),
            1 => format!("{} with 1", grouped(*count)),
            faults => format!("{} with {faults}", grouped(*count)),
        };
        self.explored.schedules.iter().enumerate().map(part).collect::<Vec<_>>().join(", ")
    }

    fn promises(&self) -> String {
        let all = CHECKERS.len();
        if self.scenario.settles {
            return format!("all {all}");
        }
        let always = CHECKERS.iter().filter(|checker| checker.when == When::Always).count();
        format!("{always} of {all}, those that hold at any time: the file need not settle")
    }

    /// Of the scenario, whatever bug is planted.
    fn hash(&self) -> u64 {
        let scenario = Scenario { bug: None, ..self.scenario.clone() };
        hash(0, &[&scenario.to_string()])
    }
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |(place, digit): (usize, char)| {
        let is_group = place > 0 && (digits.len() - place).is_multiple_of(3);
        is_group.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(comma).collect()
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(
            [7, 999, 1_000, 89_358, 1_234_567].map(grouped),
            ["7", "999", "1,000", "89,358", "1,234,567"]
        );
    }
}
