//! What runs are told by: names for messages, and randomness that depends on names.
//!
//! Knows nothing of what happens in a run.

pub mod label;
pub mod random;
