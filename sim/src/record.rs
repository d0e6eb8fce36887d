//! What happened in a run, and whether every promise was kept.
//!
//! Knows the plan, and not what ran it.

pub mod check;
pub mod folders;
pub mod ledger;
pub mod log;
pub mod outcome;
pub mod reached;
