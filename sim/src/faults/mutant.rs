//! Machines with those planted bugs that only lose, repeat or change what goes in or comes out:
//! decorators, so that the machines themselves know nothing of them.

mod client;
mod server;

use crate::faults::bugs::Bug;
use udpchat_core::protocol::Packet;
use udpchat_core::protocol::envelope::{self, Malformed};

pub(crate) use client::ClientMutant;
pub(crate) use server::ServerMutant;

use crate::faults::bugs::Planted;

/// A datagram of ours, read, before a machine has it: with [`Bug::NoChecksum`] also one that is
/// damaged. Then, or if this changes its packet, what comes of it.
fn before(
    bugs: &Planted,
    bytes: &[u8],
    change: impl FnOnce(&Packet) -> Option<Packet>,
) -> Option<Vec<u8>> {
    let (packet, stamps, body) = match envelope::decode_stamped(bytes) {
        Ok(read) => read,
        Err(Malformed::Checksum) => {
            let (packet, stamps, body) = envelope::open(bytes).ok()?;
            let is_taken = bugs.has(Bug::NoChecksum);
            return is_taken.then(|| envelope::encode_stamped(&packet, stamps, body));
        }
        Err(_) => return None,
    };
    change(&packet).map(|packet| envelope::encode_stamped(&packet, stamps, body))
}
