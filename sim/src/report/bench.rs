//! How fast both engines are, as a table.

use super::Lines;
use crate::search::bench::{Cost, Kind, Series};

/// The table's head.
#[must_use]
pub fn head() -> String {
    let mut out = Lines::default();
    out.line("for each second of processor time, checkers included");
    out.line("faults      hosts  engine     seeds  simulated s  datagrams  checkers  ratio");
    out.to_string()
}

/// A series' lines: `ratio` is how many times as many seeds as on turmoil, and in brackets without
/// checkers.
#[must_use]
pub fn rows(series: &Series) -> String {
    let faults = match series.kind {
        Kind::Loss => "loss 10 %",
        Kind::LossAndDisks => "and disks",
        Kind::Swarm => "swarm",
    };
    let mut out = Lines::default();
    let mut row = |engine: &str, cost: &Cost, ratio: String| {
        let hosts = series.hosts;
        let seeds = cost.per_second(cost.seeds as f64);
        let simulated = cost.per_second(cost.simulated.as_secs_f64());
        let datagrams = cost.per_second(cost.datagrams as f64);
        let checkers = cost.checkers() * 100.0;
        out.line(&format!(
            "{faults:<11} {hosts:>5}  {engine:<7} {seeds:>8.2} {simulated:>12.0} {datagrams:>10.0} \
             {checkers:>7.0} %  {ratio}"
        ));
    };
    if let Some(turmoil) = &series.turmoil {
        row("turmoil", turmoil, String::new());
    }
    let ratio = series.ratio().map(|(whole, running)| format!("{whole:.1} ({running:.1})"));
    row("direct", &series.direct, ratio.unwrap_or_default());
    out.to_string()
}
