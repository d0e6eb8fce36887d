//! The deterministic simulator.
fn main() {}
