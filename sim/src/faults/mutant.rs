//! Machines with those planted bugs that only lose, repeat or change what goes in or comes out:
//! decorators, so that the machines themselves know nothing of them.

mod client;
mod server;

use udpchat_core::machine::{Datagram, Machine, Output, Transmit};
use udpchat_core::protocol::Packet;
use udpchat_core::protocol::envelope::{self, Malformed};
use udpchat_core::store::Committed;
use udpchat_core::time::{Now, Time};

use crate::faults::bugs::{Planted, Tampering};

/// A client with a planted bug around it, or none.
pub(crate) type ClientMutant = Mutant<client::ClientBugs>;

/// A server with a planted bug around it, or none.
pub(crate) type ServerMutant = Mutant<server::ServerBugs>;

/// A machine with what planted bugs make of its inputs and outputs.
pub(crate) struct Mutant<A: Around> {
    inner: A::Machine,
    around: A,
}

/// What planted bugs make of a machine's inputs and outputs.
pub(crate) trait Around {
    type Machine: Machine;

    /// Which are planted.
    fn bugs(&self) -> &Planted;

    /// What becomes of a packet before the machine has it; none if it stays as it is.
    fn comes(&mut self, _: &Packet) -> Option<Packet> {
        None
    }

    /// What becomes of a datagram after the machine has sent it, if anything.
    fn goes(&mut self, transmit: Transmit) -> Option<Transmit>;

    /// What the user is told once more, if anything is.
    fn repeated(&mut self) -> Option<<Self::Machine as Machine>::Event> {
        None
    }

    /// What the user is told, if anything.
    fn told(
        &mut self,
        event: <Self::Machine as Machine>::Event,
    ) -> Option<<Self::Machine as Machine>::Event> {
        Some(event)
    }

    /// What is committed.
    fn kept(
        &self,
        changes: Vec<<Self::Machine as Machine>::Change>,
    ) -> Vec<<Self::Machine as Machine>::Change>;
}

impl<A: Around> Machine for Mutant<A> {
    type Command = <A::Machine as Machine>::Command;
    type Event = <A::Machine as Machine>::Event;
    type Change = <A::Machine as Machine>::Change;

    fn handle_datagram(&mut self, now: Now, datagram: Datagram<'_>) {
        let bugs = self.around.bugs().clone();
        let changed = before(&bugs, datagram.bytes, |packet| self.around.comes(packet));
        let bytes = changed.as_deref().unwrap_or(datagram.bytes);
        self.inner.handle_datagram(now, Datagram { bytes, ..datagram });
    }

    fn handle_command(&mut self, now: Now, command: Self::Command) {
        self.inner.handle_command(now, command);
    }

    fn takes_commands(&self) -> bool {
        self.inner.takes_commands()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.inner.handle_timeout(now);
    }

    fn handle_committed(&mut self, now: Now, committed: Committed) {
        self.inner.handle_committed(now, committed);
    }

    fn poll_at_once(&mut self) -> Option<Transmit> {
        loop {
            let transmit = self.inner.poll_at_once()?;
            let transmit = self.around.goes(transmit);
            if transmit.is_some() {
                return transmit;
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output<Self::Event, Self::Change>> {
        loop {
            if let Some(event) = self.around.repeated() {
                return Some(Output::Event(event));
            }
            let output = match self.inner.poll_output()? {
                Output::Transmit(transmit) => self.around.goes(transmit).map(Output::Transmit),
                Output::Event(event) => self.around.told(event).map(Output::Event),
                Output::Commit(changes) => Some(Output::Commit(self.around.kept(changes))),
            };
            if output.is_some() {
                return output;
            }
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.inner.next_timeout()
    }

    fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    fn check_invariants(&self) {
        // What a planted bug does is for the checkers of the promises to find.
        if !self.around.bugs().is_any() {
            self.inner.check_invariants();
        }
    }
}

/// A datagram of ours, read, before a machine has it: with [`Tampering::NoChecksum`] also one that
/// is damaged. Then, or if this changes its packet, what comes of it.
fn before(
    bugs: &Planted,
    bytes: &[u8],
    change: impl FnOnce(&Packet) -> Option<Packet>,
) -> Option<Vec<u8>> {
    let (packet, stamps, body) = match envelope::decode_stamped(bytes) {
        Ok(read) => read,
        Err(Malformed::Checksum) => {
            let (packet, stamps, body) = envelope::open(bytes).ok()?;
            let is_taken = bugs.tampers(Tampering::NoChecksum);
            return is_taken.then(|| envelope::encode_stamped(&packet, stamps, body));
        }
        Err(_) => return None,
    };
    change(&packet).map(|packet| envelope::encode_stamped(&packet, stamps, body))
}
