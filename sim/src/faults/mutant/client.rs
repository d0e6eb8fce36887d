//! The client's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use udpchat_core::client::{Change, Client, ClientRecord, Event};
use udpchat_core::load::Load;
use udpchat_core::machine::{Identity, Transmit};
use udpchat_core::protocol::{
    GroupAnswer, GroupAsk, MessageId, Name, Packet, PacketKind, StreamId, envelope,
};

use super::{Around, Mutant};
use crate::faults::bugs::{Planted, Tampering};

/// How often [`Tampering::GivesUpSaving`] asks a server to save a message.
const SAVES: u32 = 4;

/// What planted bugs make of a client's inputs and outputs.
pub(crate) struct ClientBugs {
    bugs: Planted,
    /// What was shown in this life.
    shown: BTreeMap<MessageId, Event>,
    /// What is shown once more.
    repeated: VecDeque<Event>,
    /// What was acknowledged in this life.
    acknowledged: BTreeSet<MessageId>,
    /// The last message sent directly of each stream.
    newest: BTreeMap<StreamId, u64>,
    /// The last question for a group's members, and the last answer to one.
    members_asked: Option<(u64, Name)>,
    members: Option<(Name, Vec<Name>)>,
}

impl Mutant<ClientBugs> {
    pub(crate) fn new(inner: Client<Planted>, bugs: Planted) -> Self {
        let around = ClientBugs {
            bugs,
            shown: BTreeMap::new(),
            repeated: VecDeque::new(),
            acknowledged: BTreeSet::new(),
            newest: BTreeMap::new(),
            members_asked: None,
            members: None,
        };
        Self { inner, around }
    }

    pub(crate) fn load(&self) -> Load {
        self.inner.load()
    }

    pub(crate) fn durable(&self) -> Option<&ClientRecord> {
        self.inner.durable()
    }
}

impl Around for ClientBugs {
    type Machine = Client<Planted>;

    fn bugs(&self) -> &Planted {
        &self.bugs
    }

    fn comes(&mut self, packet: &Packet) -> Option<Packet> {
        match packet {
            Packet::Ack { stream, seq } => {
                let newest = self.newest.get(stream).copied().filter(|newest| newest != seq)?;
                let stream = *stream;
                self.bugs
                    .tampers(Tampering::AckConfirmsNewest)
                    .then_some(Packet::Ack { stream, seq: newest })
            }
            Packet::Message { stream, seq, .. } | Packet::Deliver { stream, seq, .. } => {
                let copy = self.shown.get(&MessageId { stream: *stream, seq: *seq }).cloned();
                self.repeated.extend(copy.filter(|_| self.bugs.tampers(Tampering::ShowsCopies)));
                None
            }
            Packet::GroupAnswer {
                session,
                request,
                answer: GroupAnswer::Names { names, more: false },
            } => {
                let (_, group) = self.members_asked.take_if(|(number, _)| number == request)?;
                let before = self.members.replace((group.clone(), names.clone()));
                let (_, stale) = before.filter(|(of, before)| *of == group && before != names)?;
                let answer = GroupAnswer::Names { names: stale, more: false };
                let (session, request) = (*session, *request);
                let stale = Packet::GroupAnswer { session, request, answer };
                self.bugs.tampers(Tampering::StaleMembers).then_some(stale)
            }
            _ => None,
        }
    }

    fn goes(&mut self, transmit: Transmit) -> Option<Transmit> {
        let Identity { kind, message, attempt } = transmit.identity;
        let is_lost = match kind {
            PacketKind::Hello => attempt > 1 && self.bugs.tampers(Tampering::SignsInOnce),
            PacketKind::Save => attempt > SAVES && self.bugs.tampers(Tampering::GivesUpSaving),
            PacketKind::Ack | PacketKind::Shown => {
                let is_copy = message.is_some_and(|id| !self.acknowledged.insert(id));
                is_copy && self.bugs.tampers(Tampering::CopyNotAcked)
            }
            _ => false,
        };
        match (kind, message) {
            _ if is_lost => None,
            (PacketKind::Message, Some(MessageId { stream, seq })) => {
                self.newest.insert(stream, seq);
                Some(self.with_base(transmit))
            }
            (PacketKind::Save, _) => Some(self.with_base(transmit)),
            (PacketKind::GroupAsk, _) => {
                self.note_question(&transmit.bytes);
                Some(transmit)
            }
            _ => Some(transmit),
        }
    }

    fn repeated(&mut self) -> Option<Event> {
        self.repeated.pop_front()
    }

    fn told(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Message { again: true, .. } if self.bugs.tampers(Tampering::NeverShowsAgain) => {
                None
            }
            Event::Message { id, from, text, stored_at, group, again: true }
                if self.bugs.tampers(Tampering::ShowsAgainUnmarked) =>
            {
                Some(Event::Message { id, from, text, stored_at, group, again: false })
            }
            Event::Message { id, again: false, .. } => {
                self.shown.insert(id, event.clone());
                Some(event)
            }
            _ => Some(event),
        }
    }

    fn kept(&self, mut changes: Vec<Change>) -> Vec<Change> {
        let casts = changes.iter().any(|it| matches!(it, Change::Typed { group: Some(_), .. }));
        changes.retain(|change| {
            let lost = match change {
                Change::Shown { .. } => self.bugs.tampers(Tampering::ForgetsShown),
                Change::Typed { .. } => self.bugs.tampers(Tampering::ForgetsOutbox),
                Change::Displayed { .. } => self.bugs.tampers(Tampering::ForgetsDisplayed),
                // In one commit with its copies: a text to a group that has gone out.
                Change::WishEnded { .. } if casts => self.bugs.tampers(Tampering::CastsAgain),
                _ => false,
            };
            !lost
        });
        changes
    }
}

impl ClientBugs {
    /// What [`Tampering::BaseTooHigh`] makes of a message.
    fn with_base(&self, mut transmit: Transmit) -> Transmit {
        if let Ok((mut packet, stamps, body)) = envelope::decode_stamped(&transmit.bytes)
            && let Packet::Message { seq, base, .. } | Packet::Save { seq, base, .. } = &mut packet
            && base < seq
            && self.bugs.tampers(Tampering::BaseTooHigh)
        {
            *base = *seq;
            transmit.bytes = envelope::encode_stamped(&packet, stamps, body);
        }
        transmit
    }

    fn note_question(&mut self, bytes: &[u8]) {
        let asked = envelope::decode(bytes).map(|(packet, _)| packet);
        if let Ok(Packet::GroupAsk {
            request, ask: GroupAsk::Members { group, after: None }, ..
        }) = asked
        {
            self.members_asked = Some((request, group));
        }
    }
}
