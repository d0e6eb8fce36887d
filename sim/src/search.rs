//! Many runs: which fail, the smallest that fails so, and its test.
//!
//! Knows nothing of how it is asked for and shown.

pub mod attempts;
pub mod bench;
pub mod chaos;
pub mod exhaust;
pub mod fixture;
pub mod replay;
pub mod shrink;
pub mod sweep;
pub mod work;
