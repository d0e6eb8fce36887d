//! What senders are still to be told of what became of their stored messages.
//!
//! docs/protocol.md, "Stored messages". Knows streams and ways to senders, no session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::context::{Context, Timer};
use super::guest_stream;
use super::record::CHECKED_MAX;
use super::timing::RESEND_MAX;
use super::{End, Progress, ServerRecord, Turn};
use crate::machine::Path;
use crate::mutation::Mutations;
use crate::protocol::limits::TELLS_AT_ONCE;
use crate::protocol::{Name, Packet, StreamId, StreamKey};
use crate::retransmission::Tries;

#[derive(Debug)]
pub(super) struct Receipts {
    /// Streams whose sender does not know yet how far they were shown.
    untold: BTreeMap<Name, BTreeSet<StreamId>>,
    /// Of those, the ones of which a sender that is here is being told.
    tells: BTreeMap<Name, BTreeMap<StreamId, Tell>>,
}

/// The word on its way to a sender that a stream was shown up to a place, or expired.
#[derive(Clone, Copy, Debug)]
struct Tell {
    upto: u64,
    tries: Tries,
}

/// How a sender that is here can be told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ear {
    /// It answers, after so long if nothing is lost.
    Hears { path: Path, timeout: Duration },
    /// It is sent nothing.
    SentNothing,
}

impl Receipts {
    pub(super) fn new(record: &ServerRecord) -> Self {
        let mut untold: BTreeMap<Name, BTreeSet<StreamId>> = BTreeMap::new();
        for (key, progress) in record.streams() {
            if progress.standing.told < progress.standing.settled {
                untold.entry(key.from.clone()).or_default().insert(key.stream);
            }
        }
        Self { untold, tells: BTreeMap::new() }
    }

    /// Something of a stream has been shown, or has expired: its sender is to know.
    pub(super) fn add_news(&mut self, key: &StreamKey) {
        self.untold.entry(key.from.clone()).or_default().insert(key.stream);
    }

    /// More has become of a stream: its sender is told, unless it is still being told of what came
    /// before, which is repeated by itself.
    pub(super) fn tell_news<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
        ear: Option<Ear>,
    ) {
        let first = cx.record().stream(key).and_then(|it| it.standing.untold.first());
        let first = first.map(|turn| turn.upto);
        let tell = self.tells.get(&key.from).and_then(|tells| tells.get(&key.stream));
        if tell.is_none_or(|tell| Some(tell.upto) != first) {
            self.tell(cx, key, ear);
        }
    }

    /// Tells a sender that is here what has become of its messages: the first that it does not
    /// know.
    pub(super) fn tell<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
        ear: Option<Ear>,
    ) {
        let (Some(progress), Some(ear)) = (cx.record().stream(key), ear) else { return };
        let standing = &progress.standing;
        let Some(Turn { upto: seq, end }) = standing.untold.first().copied() else { return };
        let Ear::Hears { path, timeout } = ear else {
            // The name may have been a client's of ours, and may be again: what that one sent, it
            // is told then.
            let settled = standing.settled;
            if guest_stream::is_stream(cx.record().store, key, &standing.to) {
                self.consider_told(cx, key, settled);
            }
            return;
        };
        let tells = self.tells.entry(key.from.clone()).or_default();
        if tells.len() >= TELLS_AT_ONCE && !tells.contains_key(&key.stream) {
            return; // When it has answered of another.
        }
        let fresh = Tell { upto: seq, tries: Tries::from(cx.now()) };
        let tell = tells.entry(key.stream).or_insert(fresh);
        if tell.upto != seq {
            *tell = fresh; // Another word than the last one.
        }
        let attempt = tell.tries.transmit(cx.now());
        let pause = tell.tries.pause(cx.now(), timeout, RESEND_MAX);
        let stream = key.stream;
        let packet = match end {
            End::Shown => Packet::HandedOver { stream, seq },
            End::Expired => Packet::Expired { stream, seq },
        };
        cx.send(path, &packet, attempt);
        cx.timers.set(Timer::Told(key.clone()), cx.now() + pause);
    }

    /// Tells a sender of further streams, as many as it is told of at a time.
    pub(super) fn tell_more<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        name: &Name,
        ear: Option<Ear>,
    ) {
        let (Some(ear), Some(streams)) = (ear, self.untold.get(name)) else { return };
        let tells = self.tells.get(name);
        let room = match ear {
            Ear::SentNothing => usize::MAX,
            Ear::Hears { .. } => TELLS_AT_ONCE.saturating_sub(tells.map_or(0, BTreeMap::len)),
        };
        let is_told = |stream: &StreamId| tells.is_some_and(|tells| tells.contains_key(stream));
        let waiting = streams.iter().filter(|stream| !is_told(stream));
        for stream in waiting.take(room).copied().collect::<Vec<_>>() {
            self.tell(cx, &StreamKey { from: name.clone(), stream }, Some(ear));
        }
    }

    /// A sender knows what has become of its messages up to a place.
    pub(super) fn acked<M: Mutations>(
        &mut self,
        cx: &mut Context<M>,
        key: &StreamKey,
        seq: u64,
        ear: Option<Ear>,
    ) {
        let Some(Progress { standing, .. }) = cx.record().stream(key) else { return };
        let asked = standing.untold.first().map_or(0, |turn| turn.upto);
        if standing.told < seq && seq <= asked {
            self.consider_told(cx, key, seq);
            if seq == asked {
                self.tell(cx, key, ear); // What came after that.
                self.tell_more(cx, &key.from, ear);
            }
        }
    }

    fn consider_told<M: Mutations>(&mut self, cx: &mut Context<M>, key: &StreamKey, seq: u64) {
        cx.change_if_any(cx.record().telling(key, seq));
        let Some(progress) = cx.record().stream(key) else { return };
        if progress.standing.told >= progress.standing.settled {
            self.forget(cx, key);
        }
    }

    /// There is no more to tell of a stream. Whether its sender was just being told.
    pub(super) fn forget<M: Mutations>(&mut self, cx: &mut Context<M>, key: &StreamKey) -> bool {
        cx.timers.clear(&Timer::Told(key.clone()));
        if let Some(streams) = self.untold.get_mut(&key.from) {
            streams.remove(&key.stream);
            if streams.is_empty() {
                self.untold.remove(&key.from);
            }
        }
        let Some(tells) = self.tells.get_mut(&key.from) else { return false };
        let was_told = tells.remove(&key.stream).is_some();
        if tells.is_empty() {
            self.tells.remove(&key.from);
        }
        was_told
    }

    /// A sender is here no more: it is told again when it is back.
    pub(super) fn left<M: Mutations>(&mut self, cx: &mut Context<M>, name: &Name) {
        for stream in self.tells.remove(name).into_iter().flat_map(BTreeMap::into_keys) {
            cx.timers.clear(&Timer::Told(StreamKey { from: name.clone(), stream }));
        }
    }

    /// The stream that goes to make room for another: best one whose sender knows it, else one of
    /// whoever is still to be told most, so that nobody is told less because of what others leave
    /// untold.
    pub(super) fn dispensable<'a>(&self, record: &'a ServerRecord) -> Option<&'a StreamKey> {
        let first = record.idle_stream()?;
        let untold = self.untold.get(&first.from);
        if !untold.is_some_and(|streams| streams.contains(&first.stream)) {
            return Some(first);
        }
        let most = self.untold.iter().max_by_key(|(_, streams)| streams.len());
        most.and_then(|(name, _)| record.untold_idle_stream_of(name)).or(Some(first))
    }

    /// Streams of which there is something to tell.
    pub(super) fn len(&self) -> usize {
        self.untold.values().map(BTreeSet::len).sum()
    }
}

impl Receipts {
    /// There is something to tell exactly of those streams of which the sender does not know all,
    /// and of those that are told it is what is first. The timers that it waits for.
    pub(super) fn check_invariants<M: Mutations>(
        &self,
        cx: &Context<M>,
        is_here: impl Fn(&Name) -> bool,
    ) -> Vec<Timer> {
        let record = cx.record();
        if record.streams().len() <= CHECKED_MAX {
            let streams = record.streams();
            let untold = streams.filter(|(_, it)| it.standing.told < it.standing.settled);
            let own = self.untold.iter();
            let own = own.flat_map(|(from, ids)| ids.iter().map(move |stream| (from, *stream)));
            assert!(own.eq(untold.map(|(key, _)| (&key.from, key.stream))), "what is untold");
        }
        let mut timers = Vec::new();
        for (from, tells) in &self.tells {
            assert!(is_here(from), "{from} is told and is not here");
            assert!((1..=TELLS_AT_ONCE).contains(&tells.len()), "{from}: {}", tells.len());
            for (stream, tell) in tells {
                let key = StreamKey { from: from.clone(), stream: *stream };
                let first = record.stream(&key).and_then(|it| it.standing.untold.first());
                assert_eq!(first.map(|turn| turn.upto), Some(tell.upto), "what {from} is told");
                timers.push(Timer::Told(key));
            }
        }
        timers
    }
}
