//! Lines as they come through a pipe: each when the client takes it.

use udpchat_core::machine::Machine as _;

use super::{LATENCY, World};

impl World {
    /// Types lines as a pipe does: each when the client takes it. Time passes meanwhile.
    pub(crate) fn pipes(&mut self, name: &str, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            let mut waited = 0;
            while !self.clients[name].machine.takes_commands() {
                waited += 1;
                assert!(waited < 100_000, "{name} takes nothing any more");
                self.run(LATENCY);
            }
            self.types(name, &line);
        }
    }

    pub(crate) fn takes_commands(&self, name: &str) -> bool {
        self.clients[name].machine.takes_commands()
    }
}
