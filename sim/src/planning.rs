//! What is to happen in a run: written down, and where that comes from.
//!
//! Knows nothing of how it is run.

pub mod adversary;
pub mod moves;
pub mod plan;
pub mod scenario;
pub mod workload;
