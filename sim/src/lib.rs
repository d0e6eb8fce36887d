//! The deterministic simulator that proves udpchat's promises.
//!
//! Depends on `udpchat_core` and `udpchat_node`, and compiles nothing of the shipped program's
//! terminal. Read in this order; each module knows only those before it.
//!
//! 1. [`naming`]: names for messages, and randomness that depends on names.
//! 2. [`faults`]: what happens to which datagram; a disk that loses, tears and refuses what a real
//!    one may; bugs for the machines.
//! 3. [`planning`]: one whole run, written down, and where it comes from: files and seeds.
//! 4. [`record`]: what happened, by time and by message, and whether every promise was kept.
//! 5. [`engine`]: runs a plan on turmoil. The only module that knows it.
//! 6. [`search`]: many seeds, the smallest run that fails, a file run again, and its test; all
//!    schedules of a few faults, and the neighbours of a run.
//! 7. [`cli`], [`report`]: what the user asks and is told.
//! 8. [`score`]: whether planted bugs are caught.

pub mod cli;
pub mod engine;
pub mod faults;
pub mod naming;
pub mod planning;
pub mod record;
pub mod report;
pub mod score;
pub mod search;
