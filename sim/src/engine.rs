//! Runs a plan: the network that its hosts share, and the hosts on turmoil.
//!
//! Knows nothing of where plans come from.

pub mod network;
pub mod world;
