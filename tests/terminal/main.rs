//! The shipped binary at a terminal: what is on the screen, and how it leaves the terminal.
//!
//! A pseudo-terminal with an emulator stands for the terminal; the others at the server are
//! processes at pipes. Every wait is for something on the screen and has an end.
#![cfg(target_os = "linux")]

// Marked as tests, so that clippy lets their helpers panic.
#[cfg(test)]
mod burst;
#[cfg(test)]
#[expect(dead_code, reason = "made for tests/udp, of which this is a neighbour")]
#[path = "../udp/common.rs"]
mod common;
#[cfg(test)]
mod editing;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod pty;
#[cfg(test)]
mod sending;
