//! udpchat: a UDP chat whose every promise is proven in a simulator.
//!
//! The shipped program around `udpchat_core` (what server and client do) and `udpchat_node` (what
//! connects them to the world). Read in this order; each module knows only those before it.
//!
//! 1. [`ui`]: what the user types and sees.
//! 2. [`cli`]: what can be asked for.
//! 3. [`run`]: all of it together, with real clocks, randomness, disks and signals.

pub mod cli;
mod demo;
mod find;
mod interrupt;
mod keep;
mod look_after;
mod real;
pub mod run;
mod serve;
pub mod ui;
