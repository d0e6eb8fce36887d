//! The step that lets something go wrong with a disk, in its JSON form.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Verb;
use super::text::Text;
use crate::faults::disk::{DiskFault, Keeps, Operation};

/// What goes wrong with whose disk: exactly one of the operations, and what belongs to it.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskForm {
    on: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crash_at_sync: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crash_at_write: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fail_sync: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fail_write: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    full_at_sync: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    full_at_write: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_at_sync: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_at_write: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slow_sync: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slow_write: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keeps: Option<String>,
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    lasts: Option<Text<Duration>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Text<Duration>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restart_after: Option<Text<Duration>>,
}

const OPERATIONS: &str = "crash_at_sync, crash_at_write, fail_sync, fail_write, full_at_sync, \
                          full_at_write, replaced_at_sync, replaced_at_write, slow_sync, slow_write";

impl DiskForm {
    /// What is done.
    ///
    /// # Errors
    ///
    /// What is too much or missing.
    pub(super) fn read(mut self) -> Result<Verb, String> {
        let mut found = Vec::new();
        let crash = [self.crash_at_write.take(), self.crash_at_sync.take()];
        let fail = [self.fail_write.take(), self.fail_sync.take()];
        let full = [self.full_at_write.take(), self.full_at_sync.take()];
        let slow = [self.slow_write.take(), self.slow_sync.take()];
        let replaced = [self.replaced_at_write.take(), self.replaced_at_sync.take()];
        let kinds = [Operation::Write, Operation::Sync];
        for (fault, numbers) in [(0, crash), (1, fail), (2, full), (3, replaced), (4, slow)] {
            let given = kinds.into_iter().zip(numbers);
            found.extend(given.filter_map(|(kind, nth)| Some((fault, kind, nth?))));
        }
        let [(fault, kind, nth)] = found[..] else {
            return Err(format!("`disk` needs exactly one operation, one of {OPERATIONS}"));
        };
        if nth == 0 {
            return Err("operations of a disk count from 1".to_owned());
        }
        let fault = match fault {
            0 => DiskFault::PowerCut { keeps: keeps(self.keeps.take())? },
            1 => DiskFault::Fails,
            2 => DiskFault::Full { lasts: self.lasts.take().map(|Text(lasts)| lasts) },
            3 => DiskFault::Replaced,
            _ => {
                let Text(by) = self.by.take().ok_or("a slow operation needs `by`, how long")?;
                DiskFault::Slow { by }
            }
        };
        let restart_after = self.restart_after.take().map(|Text(after)| after);
        let left = [
            (self.keeps.is_some(), "keeps", "crash_at_sync and crash_at_write"),
            (self.lasts.is_some(), "for", "full_at_sync and full_at_write"),
            (self.by.is_some(), "by", "slow_sync and slow_write"),
        ];
        if let Some((_, field, of)) = left.into_iter().find(|(is_left, ..)| *is_left) {
            return Err(format!("`{field}` belongs to {of}"));
        }
        Ok(Verb::Disk { host: self.on.into(), kind, nth, fault, restart_after })
    }

    /// The form in which it is written.
    pub(super) fn write(
        on: &str,
        (kind, nth): (Operation, u64),
        fault: DiskFault,
        restart_after: Option<Duration>,
    ) -> Self {
        let restart_after = restart_after.map(Text);
        let mut form = Self { on: on.to_owned(), restart_after, ..Self::default() };
        match fault {
            DiskFault::PowerCut { keeps } => {
                *of(kind, &mut form.crash_at_write, &mut form.crash_at_sync) = Some(nth);
                form.keeps = (keeps != Keeps::Nothing).then(|| keeps.name().to_owned());
            }
            DiskFault::Fails => *of(kind, &mut form.fail_write, &mut form.fail_sync) = Some(nth),
            DiskFault::Full { lasts } => {
                *of(kind, &mut form.full_at_write, &mut form.full_at_sync) = Some(nth);
                form.lasts = lasts.map(Text);
            }
            DiskFault::Replaced => {
                *of(kind, &mut form.replaced_at_write, &mut form.replaced_at_sync) = Some(nth);
            }
            DiskFault::Slow { by } => {
                *of(kind, &mut form.slow_write, &mut form.slow_sync) = Some(nth);
                form.by = Some(Text(by));
            }
        }
        form
    }
}

/// The field for this kind of operation.
fn of<'a>(
    kind: Operation,
    write: &'a mut Option<u64>,
    sync: &'a mut Option<u64>,
) -> &'a mut Option<u64> {
    match kind {
        Operation::Write => write,
        Operation::Sync => sync,
    }
}

fn keeps(name: Option<String>) -> Result<Keeps, String> {
    let Some(name) = name else { return Ok(Keeps::Nothing) };
    Keeps::NAMES.into_iter().find(|(_, known)| *known == name).map(|(keeps, _)| keeps).ok_or_else(
        || {
            let names: Vec<&str> = Keeps::NAMES.iter().map(|(_, name)| *name).collect();
            format!("a power cut keeps one of: {}; not {name:?}", names.join(", "))
        },
    )
}
