//! The deterministic simulator that proves udpchat's promises.
//!
//! Read in this order; each module knows only those before it.
//!
//! 1. [`label`], [`random`]: names for messages, and randomness that depends on names.
//! 2. [`fate`], [`plan`]: what happens to which datagram, and one whole run, written down.
//! 3. [`log`], [`network`]: what happened, and what the hosts of a run share.
//! 4. [`world`]: runs a plan on turmoil. The only module that knows it.
//! 5. [`scenario`]: a plan as people write it.

pub mod fate;
pub mod label;
pub mod log;
pub mod network;
pub mod plan;
pub mod random;
pub mod scenario;
pub mod world;
