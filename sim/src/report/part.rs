//! A sweep's part as a line of JSON, and parts put together again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cli::Explore;
use crate::record::check::{Violation, named};
use crate::search::chaos::Counts;
use crate::search::sweep::{Failure, Shard, Sweep};

/// The format of a part. It rises with every change that an older `sim merge` would misread.
const PART_FORMAT: u32 = 1;

/// What one of several processes has to say of a sweep that they share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// [`PART_FORMAT`].
    format: u32,
    /// The program's version: another one may run the same seeds otherwise.
    version: String,
    /// The options that change what a seed does.
    options: String,
    /// The sweep's first seed. A string: some languages lose digits of long numbers.
    first: String,
    /// How many seeds the sweep has.
    seeds: u64,
    /// Which part this is, from 1, and of how many.
    shard: (u64, u64),
    held: u64,
    violated: u64,
    inconclusive: u64,
    failures: Vec<PartFailure>,
    counts: Counts,
    /// In hexadecimal.
    trace: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFailure {
    seed: String,
    violations: Vec<PartViolation>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartViolation {
    checker: String,
    at_ms: u64,
    what: String,
}

/// Why parts cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadParts(String);

impl fmt::Display for BadParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Part {
    /// What was run of a sweep with these options.
    #[must_use]
    pub fn new(options: String, (first, seeds): (u64, u64), shard: Shard, sweep: &Sweep) -> Self {
        let violation = |violation: &Violation| PartViolation {
            checker: violation.checker.to_owned(),
            at_ms: crate::faults::fate::whole_ms(violation.at),
            what: violation.what.clone(),
        };
        let failure = |failure: &Failure| PartFailure {
            seed: failure.seed.to_string(),
            violations: failure.violations.iter().map(violation).collect(),
        };
        Self {
            format: PART_FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options,
            first: first.to_string(),
            seeds,
            shard: (shard.index + 1, shard.of),
            held: sweep.held,
            violated: sweep.violated,
            inconclusive: sweep.inconclusive,
            failures: sweep.failures.iter().map(failure).collect(),
            counts: sweep.counts,
            trace: format!("{:016x}", sweep.trace),
        }
    }

    /// Reads a part.
    ///
    /// # Errors
    ///
    /// The text is none, or one of another version of the program.
    pub fn parse(text: &str) -> Result<Self, BadParts> {
        let part: Self = serde_json::from_str(text)
            .map_err(|error| BadParts(format!("is no part of a sweep: {error}")))?;
        if part.format != PART_FORMAT || part.version != env!("CARGO_PKG_VERSION") {
            let (format, version) = (part.format, part.version);
            return Err(BadParts(format!("is of version {version}, format {format}, not of this")));
        }
        Ok(part)
    }

    /// For [`Self::parse`]: a line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The sweep that these are all the parts of: what was asked, its first seed, what came of it.
    ///
    /// # Errors
    ///
    /// They are parts of different sweeps, or one is missing or there twice.
    pub fn join(parts: &[Self]) -> Result<(Explore, u64, Sweep), BadParts> {
        let Some(one) = parts.first() else { return Err(BadParts("there is no part".into())) };
        let sweep = |part: &Self| (part.options.clone(), part.first.clone(), part.seeds);
        if let Some(other) = parts.iter().find(|part| sweep(part) != sweep(one)) {
            let [a, b] = [one, other].map(|part| {
                format!("\"sim{} --seed {} --seeds {}\"", part.options, part.first, part.seeds)
            });
            return Err(BadParts(format!("these are parts of two sweeps, {a} and {b}")));
        }
        let of = one.shard.1;
        for index in 1..=of {
            match parts.iter().filter(|part| part.shard == (index, of)).count() {
                1 => {}
                0 => return Err(BadParts(format!("part {index} of {of} is missing"))),
                _ => return Err(BadParts(format!("part {index} of {of} is there twice"))),
            }
        }
        if let Some(part) = parts.iter().find(|part| part.shard.1 != of) {
            let (index, other) = part.shard;
            return Err(BadParts(format!("part {index} of {other} is none of {of} parts")));
        }
        let mut whole = Sweep::default();
        for part in parts {
            whole.join(part.sweep()?);
        }
        let asked = Explore::parse(&one.options)
            .ok_or_else(|| BadParts(format!("there are no options \"{}\"", one.options)))?;
        Ok((asked, number(&one.first, 10)?, whole))
    }

    fn sweep(&self) -> Result<Sweep, BadParts> {
        let mut failures = Vec::new();
        for failure in &self.failures {
            let mut violations = Vec::new();
            for PartViolation { checker, at_ms, what } in &failure.violations {
                let checker = named(checker)
                    .ok_or_else(|| BadParts(format!("there is no checker {checker:?}")))?;
                let at = std::time::Duration::from_millis(*at_ms);
                violations.push(Violation { checker: checker.name, at, what: what.clone() });
            }
            failures.push(Failure { seed: number(&failure.seed, 10)?, violations });
        }
        Ok(Sweep {
            held: self.held,
            violated: self.violated,
            inconclusive: self.inconclusive,
            failures,
            counts: self.counts,
            trace: number(&self.trace, 16)?,
        })
    }
}

fn number(text: &str, radix: u32) -> Result<u64, BadParts> {
    u64::from_str_radix(text, radix).map_err(|_| BadParts(format!("{text:?} is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: u64, of: u64) -> Part {
        let sweep = Sweep { held: index + 1, trace: u64::MAX, ..Sweep::default() };
        Part::new(" --drop-rate 0.3".to_owned(), (7, 10), Shard { index, of }, &sweep)
    }

    #[test]
    fn parts_add_up_in_any_order() {
        let parts = [part(1, 2), part(0, 2)].map(|part| Part::parse(&part.to_json()).unwrap());
        let (_, first, whole) = Part::join(&parts).unwrap();
        assert_eq!((first, whole.held, whole.trace), (7, 3, u64::MAX - 1));
    }

    #[test]
    fn what_is_not_one_whole_sweep_is_refused() {
        let other = Part { seeds: 11, ..part(1, 2) };
        for (parts, word) in [
            (vec![], "no part"),
            (vec![part(0, 2)], "2 of 2 is missing"),
            (vec![part(0, 2), part(1, 2), part(1, 2)], "2 of 2 is there twice"),
            (vec![part(0, 1), part(1, 2)], "none of 1"),
            (vec![part(0, 2), other], "two sweeps"),
        ] {
            let error = Part::join(&parts).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let newer = part(0, 1).to_json().replace("\"format\":1", "\"format\":2");
        assert!(Part::parse(&newer).is_err());
    }
}
