//! A run that must fail, through the whole program: if nobody hears of it, no score means anything.

use std::path::Path;
use std::process::Command;

use crate::cli::{EXIT_HELD, EXIT_VIOLATED};

/// What is asked: one seed under loss, in which a bug shows copies of messages.
const RUN: &[&str] = &["--drop-rate", "0.3", "--seed", "1", "--seeds", "1", "--json"];
const BUG: &[&str] = &["--plant", "shows-copies"];

/// Why the canary was not heard; `Ok` if it was.
pub type Heard = Result<(), String>;

/// Runs the simulator's program with the bug, which it must report with its seed, the checker and
/// the exit status; and without, which must hold.
///
/// # Errors
///
/// It said something else.
pub fn run(program: &Path) -> Heard {
    let (status, said) = call(program, &[RUN, BUG].concat())?;
    let failure = &said["failures"][0];
    let told = failure["seed"] == "1" && failure["checker"] == "shown once";
    if status != i32::from(EXIT_VIOLATED) || said["failed"] != 1 || !told {
        return Err(format!("exit status {status} and {said} for a run that must fail"));
    }
    let (status, said) = call(program, RUN)?;
    if status != i32::from(EXIT_HELD) || said["failed"] != 0 {
        return Err(format!("exit status {status} and {said} for a run that must hold"));
    }
    Ok(())
}

fn call(program: &Path, words: &[&str]) -> Result<(i32, serde_json::Value), String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", program.display());
    let output = Command::new(program).args(words).output().map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    let status = output.status.code().ok_or_else(|| failed(&"killed"))?;
    Ok((status, said))
}
