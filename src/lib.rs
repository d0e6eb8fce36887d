//! udpchat: a UDP chat whose every promise is proven in a simulator.
//!
//! Read in this order; each layer knows only those before it.
//!
//! 1. [`time`], [`protocol`]: what goes over the wire.
//! 2. [`machine`], [`store`], [`load`]: what a state machine without input or output looks like.
//! 3. [`server`], [`client`]: the two of them. [`original`]: the dialect of the program that this
//!    one replaces, translated at their edge.
//! 4. [`transport`], [`fault`], [`drive`]: the network, what goes wrong in it, and the loop that
//!    connects a machine to it.
//! 5. [`command`], [`ui`], [`cli`], [`standard`]: what the user types and sees, and the way there.
//! 6. [`run`]: all of it together, with real clocks, randomness, disks and signals.
//!
//! The promises, the packets and the timers are in docs/protocol.md.

pub mod cli;
pub mod client;
pub mod command;
mod demo;
pub mod drive;
pub mod fault;
mod find;
mod holding;
mod interrupt;
mod journal;
mod keep;
pub mod load;
mod look_after;
pub mod machine;
pub mod original;
pub mod plant;
pub mod protocol;
mod real;
pub mod retransmission;
pub mod run;
mod serve;
pub mod server;
pub mod shortage;
pub mod standard;
pub mod store;
pub mod time;
mod timers;
pub mod transport;
pub mod ui;
mod xdg;
