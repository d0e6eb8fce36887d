//! What was asked for and what was measured, side by side.

use super::{Lines, share};
use crate::planning::workload::Profile;
use crate::record::log::Tally;
use crate::search::attempts::{Attempts, expected};
use crate::search::chaos::{Counts, Disks, Mishaps};

/// A line of the table.
struct Row {
    what: &'static str,
    asked: String,
    measured: String,
}

/// The rows so far.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    /// A row, if there is anything to tell.
    fn add(&mut self, shown: bool, what: &'static str, asked: String, measured: String) {
        if shown {
            self.0.push(Row { what, asked, measured });
        }
    }
}

/// Columns of the first two columns of the table.
const WHAT: usize = 32;
const ASKED: usize = 22;

/// Writes the table; with `verbose`, also what stands behind its numbers.
pub(super) fn write(
    out: &mut Lines,
    counts: &Counts,
    profile: &Profile,
    swarm: bool,
    verbose: bool,
) {
    let mut table = Table::default();
    datagram_faults(&mut table, &counts.datagrams, profile);
    mishaps(&mut table, &counts.mishaps, counts.datagrams.cut, profile);
    attempts(&mut table, &counts.attempts, profile, swarm);
    if table.0.is_empty() {
        return;
    }
    let asked = if swarm { "asked, at most" } else { "asked" };
    out.line(&format!("{:WHAT$}{asked:ASKED$}measured", ""));
    for Row { what, asked, measured } in table.0 {
        out.line(&format!("{what:WHAT$}{asked:ASKED$}{measured}"));
    }
    if verbose {
        behind(out, counts, profile, swarm);
    }
}

/// Faults of datagrams: shares of those that were sent while things went wrong.
fn datagram_faults(table: &mut Table, datagrams: &Tally, profile: &Profile) {
    let (rates, exposed) = (profile.rates, datagrams.exposed);
    for (what, count, asked) in [
        ("datagrams lost", datagrams.exposed_dropped, rates.drop),
        ("datagrams twice", datagrams.exposed_duplicated, rates.duplicate),
        ("datagrams damaged", datagrams.corrupted, rates.corrupt),
        ("datagrams shortened", datagrams.truncated, rates.truncate),
    ] {
        let shown = count > 0 || asked > 0.0;
        table.add(shown, what, percent(asked), percent(share(count, exposed)));
    }
    let asked = format!("{} of the time", percent(rates.burst));
    let measured = format!("{} of datagrams", percent(share(datagrams.burst, exposed)));
    table.add(rates.burst > 0.0, "losses in bursts", asked, measured);
    if let Some(span) = rates.delay {
        let (from, to) = (span.0.as_millis(), span.1.as_millis());
        let late = percent(share(datagrams.exposed_delayed, exposed));
        let mean = share(datagrams.delay_ms, exposed);
        let asked = format!("{from} to {to} ms");
        table.add(true, "datagrams late", asked, format!("{late}, by {mean:.1} ms each"));
    }
    if let Some(bytes) = profile.mtu {
        let lost = percent(share(datagrams.too_long, exposed));
        table.add(true, "datagrams too long", format!("above {bytes} bytes"), lost);
    }
}

/// What went wrong with hosts, links and disks: how often in a minute, or at which share.
fn mishaps(table: &mut Table, mishaps: &Mishaps, cut_off: u64, profile: &Profile) {
    let (hosts, links) = (mishaps.host_time, mishaps.link_time);
    let rate =
        |count: u64, time: std::time::Duration| count as f64 * 60.0 / time.as_secs_f64().max(0.001);
    for (what, count, asked) in [
        ("crashes a minute and host", mishaps.crashes, profile.crashes),
        ("pauses a minute and host", mishaps.pauses, profile.pauses),
    ] {
        let shown = count > 0 || asked > 0.0;
        table.add(shown, what, format!("{asked:.2}"), format!("{:.2}", rate(count, hosts)));
    }
    let (set, drifts) = (mishaps.clock_steps, mishaps.drifts);
    let asked = profile.clock_steps;
    table.add(
        set + drifts > 0 || asked > 0.0,
        "clocks set, drifting, likewise",
        format!("{asked:.2} each"),
        format!("{:.2}, {:.2}", rate(set, hosts), rate(drifts, hosts)),
    );
    let asked = profile.cuts;
    table.add(
        mishaps.cuts > 0 || asked > 0.0,
        "cuts a minute and direction",
        format!("{asked:.2}"),
        format!("{:.2}, {cut_off} datagrams lost", rate(mishaps.cuts, links)),
    );
    let Disks { operations, .. } = mishaps.disks;
    let faults = mishaps.disks.faults();
    table.add(
        faults > 0 || profile.disk_faults > 0.0,
        "disk operations going wrong",
        percent(profile.disk_faults),
        format!("{}, {faults} in all", percent(share(faults, operations))),
    );
}

/// Direct tries a message, beside the number that follows from the loss, where there is one.
fn attempts(table: &mut Table, attempts: &Attempts, profile: &Profile, swarm: bool) {
    let Some(expected) = expected(profile, swarm) else { return };
    let (measured, messages) = (attempts.measured(), attempts.messages);
    table.add(
        messages > 0,
        "direct tries a message",
        format!("{expected:.3} follow"),
        format!("{measured:.3}, of {messages} messages"),
    );
}

/// What stands behind the numbers.
fn behind(out: &mut Lines, counts: &Counts, profile: &Profile, swarm: bool) {
    let Counts { datagrams, mishaps, attempts, .. } = counts;
    let exposed = datagrams.exposed;
    out.words(0, &format!("Shares are of the {exposed} datagrams sent while things went wrong."));
    if mishaps.cuts > 0 {
        out.words(0, "Half of the cuts cut both directions of a link.");
    }
    let Disks { operations, power_cuts, failed, full, slow } = mishaps.disks;
    if mishaps.disks.faults() > 0 {
        out.words(
            0,
            &format!(
                "Of {operations} operations of disks {power_cuts} ended in a power cut, {failed} \
                 failed, {full} found the disk full, {slow} were slow."
            ),
        );
    }
    let (measured, messages) = (attempts.measured(), attempts.messages);
    if messages > 0 {
        let follows = if expected(profile, swarm).is_some() {
            "(1-s^9)/(1-s) follow, s = 1-(1-p)(1-q), from the asked loss p = q."
        } else {
            "What number follows has no closed form: other faults than loss decide as well."
        };
        out.words(
            0,
            &format!(
                "Direct tries were {measured:.3} a message, of the {messages} that travelled alone \
                 on their stream. {follows}"
            ),
        );
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
