//! What is too large for the way to the server: where long datagrams vanish without a word, short
//! ones go on passing, and nothing else tells the message that waits from any other.
//!
//! docs/protocol.md, "Sending". A hello of the message's length is sent beside each try: a server
//! answers that whatever its disk does, so it is the way, and not the server, that is judged.

use std::collections::BTreeMap;

use super::outbox::{Entry, Told, Way};
use super::{Change, Client, Event, UnsentReason};
use crate::machine::{Identity, Socket, Transmit};
use crate::plant::Plant;
use crate::protocol::{MessageId, Name, Nonce, Packet, PacketKind, envelope, hello};
use crate::retransmission::Tries;
use crate::time::Now;

/// Tries of a `save` before the way is doubted: about 20 s. At 30 % loss both ways one message in
/// two hundred comes so far, and then is proved to pass with its next try but one.
const DOUBTED_AFTER: u32 = 8;

/// Hellos as long as the message that must all be lost, while a `ping` is answered after each,
/// until it is given up: nearly two minutes with the tries before. At 30 % loss both ways that
/// happens to one doubted message in a million, and each of more than 24 tries of the message
/// itself must be lost as well.
const TOO_LARGE_TRIES: u32 = 20;

/// The doubt whether the first message of a lane passes at its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    seq: u64,
    nonce: Nonce,
    /// How many hellos of its size were lost while the server answered.
    lost: u32,
    /// How many pings were answered before the last of them was sent.
    pongs: u64,
    sent: u32,
}

impl<P: Plant> Client<P> {
    /// A message has been sent to the server once more. Only the first of a lane is judged: those
    /// behind it are not answered before it is.
    pub(super) fn doubt_size(&mut self, seq: u64, attempt: u32, packet: &Packet, text: &[u8]) {
        let Packet::Save { to, .. } = packet else { return };
        let is_away = self.session.is_silent();
        if attempt < DOUBTED_AFTER || is_away || self.server_is_original() {
            return;
        }
        let (pongs, fresh) = (self.session.pongs(), Nonce(self.entropy.draw()));
        let Some(lane) = self.lanes.get_mut(to) else { return };
        if first_unsaved(&lane.entries) != Some(seq) {
            return;
        }
        let doubt = match &mut lane.doubt {
            Some(doubt) if doubt.seq == seq => doubt,
            doubt => doubt.insert(Doubt { seq, nonce: fresh, lost: 0, pongs, sent: 0 }),
        };
        if doubt.pongs < pongs && doubt.sent > 0 {
            doubt.lost += 1;
        }
        doubt.pongs = pongs;
        doubt.sent += 1;
        let (nonce, attempt) = (doubt.nonce, doubt.sent);
        let identity = Identity { kind: PacketKind::Hello, message: None, attempt };
        let length = envelope::encode(packet, text).len();
        let (to, bytes) = (self.whereabouts.server(), hello::encode_as_long_as(nonce, length));
        self.journal.transmit_durably(Transmit {
            socket: Socket::Main,
            source: None,
            to,
            bytes,
            identity,
        });
    }

    /// Something as long as a message that is doubted has passed.
    pub(super) fn size_passes(&mut self, nonce: Nonce) {
        let doubts = self.lanes.values_mut().filter_map(|lane| lane.doubt.as_mut());
        doubts.filter(|doubt| doubt.nonce == nonce).for_each(|doubt| doubt.lost = 0);
    }

    /// Gives up the first message of a lane if it is proved not to pass: those behind it go on.
    pub(super) fn give_up_too_large(&mut self, now: Now, to: &Name) {
        let Some(lane) = self.lanes.get_mut(to) else { return };
        let Some(outgoing) = self.record.outgoing.get(to) else { return };
        let Some(seq) = lane.doubt.filter(|doubt| doubt.lost >= TOO_LARGE_TRIES).map(|it| it.seq)
        else {
            return;
        };
        let Some(message) = outgoing.unsettled.get(&seq) else { return };
        // What was said to be saved is not given up.
        let may_go = lane.entries.get(&seq).is_some_and(|entry| entry.told != Told::Saved);
        if !may_go || first_unsaved(&lane.entries) != Some(seq) {
            return;
        }
        let id = MessageId { stream: outgoing.stream, seq };
        let reason = UnsentReason::TooLarge { bytes: message.text.len() };
        lane.doubt = None;
        let entry = lane.entries.remove(&seq);
        for entry in lane.entries.values_mut() {
            if matches!(entry.way, Way::Server { .. }) {
                entry.way = Way::Server { tries: Tries::from(now.time) };
            }
        }
        let unsent = Event::Unsent { id, to: to.clone(), reason };
        let group = entry.as_ref().and_then(|entry| entry.group.as_ref());
        self.fanouts.tell(&mut self.journal, group, unsent);
        self.change_once_told(Change::Settled { to: to.clone(), seq });
        self.incomplete = true;
        self.transmit_due(now, to);
    }
}

/// The place of the first message that the server is not known to keep.
fn first_unsaved(entries: &BTreeMap<u64, Entry>) -> Option<u64> {
    entries.iter().find(|(_, entry)| !entry.is_saved()).map(|(seq, _)| *seq)
}
