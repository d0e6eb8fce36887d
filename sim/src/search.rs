//! Many runs: which fail, the smallest that fails so, and its test; and what can be said about
//! all schedules of a run, or about its neighbours.
//!
//! Knows nothing of how it is asked for and shown.

pub mod attempts;
pub mod bench;
pub mod chaos;
pub mod confirm;
pub mod critical;
pub mod exhaust;
pub mod fixture;
pub mod likelihood;
pub mod neighbours;
pub mod replay;
pub mod shrink;
pub mod stats;
pub mod sweep;
pub mod work;
