//! What the user is told about a run's neighbours: its critical rates, from when on it is lost,
//! and whether a fix is one.

use std::time::Duration;

use serde_json::{Value, json};

use super::Lines;
use super::failed::promise;
use crate::faults::bugs::{Bug, name_of};
use crate::faults::fate::Rates;
use crate::planning::plan::{Act, Plan};
use crate::record::check::Violation;
use crate::search::confirm::{Confirmed, Verdict, Was};
use crate::search::critical::{Critical, EVEN};
use crate::search::likelihood::{Likelihood, NEIGHBOURS};

impl Critical {
    /// For people. `plan` is the run at its own rates.
    #[must_use]
    pub fn to_text(&self, plan: &Plan) -> String {
        let mut out = Lines::default();
        write_violation(&mut out, &self.violation);
        out.words(
            2,
            &format!(
                "It fails so at {:.4} of its rates, at {:.3} s, and not at {:.4}.",
                self.scale,
                self.at.as_secs_f64(),
                self.holds
            ),
        );
        let strip: String = self.fails.iter().map(|it| if *it { '#' } else { '.' }).collect();
        out.line(&format!("  1/{EVEN}, 2/{EVEN}, ... of them:  {strip}  (# fails so)"));
        out.gap();
        out.line(&format!("  {:<12}{:>10}{:>10}", "", "its own", "smallest"));
        let ([own, least], [mishaps, left]) = ([plan, &self.plan].map(rates), self.mishaps(plan));
        for ((name, own), (_, least)) in
            own.into_iter().zip(least).filter(|((_, own), _)| *own > 0.0)
        {
            out.line(&format!("  {name:<12}{own:>10.4}{least:>10.4}"));
        }
        if mishaps > 0 {
            out.line(&format!("  {:<12}{mishaps:>10}{left:>10}", "mishaps"));
        }
        out.to_string()
    }

    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self, plan: &Plan) -> String {
        let [mishaps, left] = self.mishaps(plan);
        let object = |plan| {
            Value::Object(
                rates(plan).map(|(name, it)| (name.into(), it.into())).into_iter().collect(),
            )
        };
        json!({
            "seed": plan.seed.to_string(),
            "checker": self.violation.checker,
            "scale": self.scale,
            "holds": self.holds,
            "fails": self.fails,
            "rates": {"own": object(plan), "smallest": object(&self.plan)},
            "mishaps": {"own": mishaps, "smallest": left},
        })
        .to_string()
    }

    fn mishaps(&self, plan: &Plan) -> [usize; 2] {
        let count = |plan: &Plan| {
            let acts = plan.hosts.iter().flat_map(|host| &host.actions).map(|action| &action.act);
            let is_mishap = |act: &&Act| {
                matches!(
                    act,
                    Act::Crash | Act::Pause { .. } | Act::StepClock { .. } | Act::Drift { .. }
                )
            };
            acts.filter(is_mishap).count() + plan.faults.cuts.len()
        };
        [count(plan), count(&self.plan)]
    }
}

fn rates(plan: &Plan) -> [(&'static str, f64); 6] {
    let Rates { drop, duplicate, corrupt, truncate, burst, .. } = plan.faults.rates;
    let disk = plan.disk_faults.rate;
    [
        ("drop", drop),
        ("duplicate", duplicate),
        ("corrupt", corrupt),
        ("truncate", truncate),
        ("burst", burst),
        ("disk faults", disk),
    ]
}

/// Numbers of a strip in one row.
const IN_A_ROW: usize = 10;

impl Likelihood {
    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = Lines::default();
        write_violation(&mut out, &self.violation);
        let seconds = |at: Option<Duration>| at.map(|at| format!("{:.2} s", at.as_secs_f64()));
        let told = self.violation.at.as_secs_f64();
        let danger = seconds(self.in_danger_from()).unwrap_or_else(|| format!("{told:.3} s"));
        let lost = match seconds(self.lost_from()) {
            Some(lost) => format!("lost from {lost} on"),
            None => "never lost before it is told".to_owned(),
        };
        out.words(2, &format!("In danger from {danger} on, {lost}, told at {told:.3} s."));
        out.gap();
        let step = self.step.as_secs_f64();
        out.words(
            2,
            &format!(
                "Of {NEIGHBOURS} runs that are the same until then, and whose datagrams have other \
                 fates from then on, so many fail in the same way:"
            ),
        );
        for (row, counts) in self.failing.chunks(IN_A_ROW).enumerate() {
            let numbers: String = counts.iter().map(|count| format!("{count:>4}")).collect();
            let from = step * (row * IN_A_ROW) as f64;
            out.line(&format!("  {from:>8.2} s {numbers}"));
        }
        out.line(&format!("  {:>8}   each {step} s", ""));
        out.to_string()
    }

    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let seconds = |at: Option<Duration>| at.map(|at| at.as_secs_f64());
        json!({
            "checker": self.violation.checker,
            "what": self.violation.what,
            "told_s": self.violation.at.as_secs_f64(),
            "in_danger_s": seconds(self.in_danger_from()),
            "lost_s": seconds(self.lost_from()),
            "step_s": self.step.as_secs_f64(),
            "of": NEIGHBOURS,
            "failing": self.failing,
        })
        .to_string()
    }
}

impl Confirmed {
    /// For people. `bug` is what the runs of before had, if anything is known of it.
    #[must_use]
    pub fn to_text(&self, bug: Option<Bug>) -> String {
        let mut out = Lines::default();
        let (failing, seeds) = (self.failing.len(), self.seeds);
        let (now, most) = (format!("now {failing} of {seeds}"), percent(self.at_most()));
        let told = format!("was {}, {now}: at most {most} (95 %).", self.was_in_words());
        match self.verdict() {
            Verdict::Fixed => out.hanging("CONFIRMED  ", &told),
            Verdict::Fails => out.hanging("VIOLATED  ", &told),
            Verdict::TooFew => {
                out.hanging("INCONCLUSIVE  ", &told);
                out.words(2, &self.what_would_do());
            }
        }
        if let (Was::Counted(..), Some(bug)) = (self.was, bug) {
            out.words(2, &format!("Before is with the bug {} in every program.", name_of(bug)));
        }
        out.to_string()
    }

    /// For programs: one object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let was = self.was.share();
        json!({
            "was": {"share": was.share, "low": was.low, "high": was.high},
            "now": self.failing.len(),
            "of": self.seeds,
            "at_most": self.at_most(),
            "failing": self.failing,
            "verdict": match self.verdict() {
                Verdict::Fixed => "confirmed",
                Verdict::Fails => "violated",
                Verdict::TooFew => "inconclusive",
            },
        })
        .to_string()
    }

    fn was_in_words(&self) -> String {
        let share = percent(self.was.share().share);
        match self.was {
            Was::Counted(count, of) => format!("{share} ({count} of {of})"),
            Was::Stated(_) => share,
        }
    }

    /// How many would say something.
    fn what_would_do(&self) -> String {
        let low = self.was.share().low;
        if low <= 0.0 {
            return "It was not seen to fail before: higher rates show the bug more often.".into();
        }
        let needed = (0.05_f64.ln() / (-low).ln_1p()).ceil() + 1.0;
        format!("None of so few may be chance: --seeds {needed:.0} says something.")
    }
}

fn write_violation(out: &mut Lines, violation: &Violation) {
    let Violation { checker, what, .. } = violation;
    out.hanging("VIOLATED  ", &format!("{checker}: {}", promise(checker)));
    out.words(4, what);
    out.gap();
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
