//! The shipped binary, run as a user runs it: real processes on real sockets.
//!
//! Knows arguments, lines and exit codes, and nothing of what is inside.

// Marked as tests, so that clippy lets their helpers panic.
#[cfg(test)]
mod chat;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod common;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod durable;
#[cfg(test)]
#[cfg(unix)]
mod ends;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod latency;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod network;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod original;
#[cfg(test)]
mod pipe;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod reach;
#[cfg(test)]
mod relay;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod small;
#[cfg(test)]
mod stores;
#[cfg(test)]
#[cfg(unix)]
mod taken;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod unit;
