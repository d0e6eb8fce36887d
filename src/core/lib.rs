//! The chat itself: what goes over the wire, and server and client as state machines without input
//! or output.
//!
//! Knows bytes, names and numbers. Knows no socket, file, thread, clock, random generator, runtime
//! or terminal: its Cargo.toml has none. Read in this order; each module knows only those before
//! it.
//!
//! 1. [`time`], [`protocol`]: what goes over the wire.
//! 2. [`machine`], [`store`], [`load`]: what a state machine without input or output looks like.
//! 3. `journal`, `timers`, `reorder_buffer`, [`retransmission`], [`mutation`]: what both of them
//!    are made of.
//! 4. [`original`]: the dialect of the program that this one replaces, translated at their edge.
//! 5. [`server`], [`client`]: the two of them.
//! 6. [`command`]: the language that users and scenarios speak to a client.
//!
//! The promises, the packets and the timers are in docs/protocol.md.

pub mod client;
pub mod command;
mod journal;
pub mod load;
pub mod machine;
pub mod mutation;
pub mod original;
pub mod protocol;
mod reorder_buffer;
pub mod retransmission;
pub mod server;
pub mod store;
pub mod time;
mod timers;
