//! What goes wrong: on the network, on disks, and planted in the machines.
//!
//! Knows no run: what to do to a datagram, a disk or a machine is decided from what it is.

pub mod bugs;
pub mod disk;
pub mod fate;
pub(crate) mod mutant;
