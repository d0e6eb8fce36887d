//! The deterministic simulator that proves udpchat's promises.
//!
//! Read in this order; each module knows only those before it.
//!
//! 1. [`label`], [`random`]: names for messages, and randomness that depends on names.
//! 2. [`disk`]: a disk that loses, tears and refuses what a real one may.
//! 3. [`fate`], [`plan`]: what happens to which datagram, and one whole run, written down.
//! 4. [`log`], [`network`]: what happened, and what the hosts of a run share.
//! 5. [`bugs`], [`world`]: runs a plan on turmoil. The only module that knows it.
//! 6. [`scenario`], [`workload`]: where plans come from, files and seeds.
//! 7. [`ledger`], [`check`]: what happened by message, and whether every promise was kept.
//! 8. [`attempts`], [`work`], [`chaos`], [`shrink`], [`replay`], [`keep`]: many seeds, the
//!    smallest run that fails, a file run again, and its test.
//! 9. [`report`], [`cli`]: what the user asks and is told.
//! 10. [`score`]: whether planted bugs are caught.

pub mod attempts;
pub mod bugs;
pub mod chaos;
pub mod check;
pub mod cli;
pub mod disk;
pub mod fate;
pub mod keep;
pub mod label;
pub mod ledger;
pub mod log;
mod mutant;
pub mod network;
pub mod plan;
pub mod random;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod score;
pub mod shrink;
pub mod work;
pub mod workload;
pub mod world;
