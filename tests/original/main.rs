//! The original program, in doubles that do what it was seen to do, against our server, our
//! clients and itself. What it does is in docs/original.md.

mod at_original_server;
mod at_our_server;
mod client;
mod doubles;
mod failures;
mod json;
mod rough;
mod server;
mod stage;
mod strangers;
#[expect(dead_code, reason = "each test file uses its own part of the world")]
#[path = "../world/mod.rs"]
mod world;
