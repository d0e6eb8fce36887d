//! A node around a machine: the loop that drives it, and the network, disk, clocks and standard
//! streams that a process has.
//!
//! Knows machines by their trait, and nothing of what a server or client is, what a user types or
//! sees, or which arguments a program takes. Read in this order; each module knows only those
//! before it.
//!
//! 1. [`transport`], [`drive`]: the network, and the loop that connects a machine to it.
//! 2. [`fault`]: what goes wrong in a network.
//! 3. [`shortage`]: what a process may have too little of.
//! 4. [`store`]: a machine's record in a database, and that in a folder.
//! 5. [`real`]: the real clocks and random numbers.
//! 6. [`standard`], [`xdg`]: standard input, output and error; where users keep data.

pub mod drive;
pub mod fault;
pub mod real;
pub mod shortage;
pub mod standard;
pub mod store;
pub mod transport;
pub mod xdg;
