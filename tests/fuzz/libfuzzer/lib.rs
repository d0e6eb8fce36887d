//! The targets that `cargo test` gives random bytes, for libFuzzer.

#[path = "../chat.rs"]
mod chat;
#[path = "../lies.rs"]
mod lies;
#[path = "../parsers.rs"]
mod parsers;
#[expect(dead_code, reason = "each test uses its own part of the world")]
#[path = "../../world/mod.rs"]
mod world;

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident: $target:path;)*) => {
        $($(#[$doc])* pub fn $name(bytes: &[u8]) { $target(bytes); })*
    };
}

targets! {
    /// A datagram, in each of the dialects.
    datagram: parsers::datagram;
    /// A line that somebody types.
    line: parsers::line;
    /// A row of a store.
    row: parsers::row;
    /// Forged datagrams among those of a chat.
    sequence: chat::sequence;
}
