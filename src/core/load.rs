//! What a machine holds in memory, counted, for whoever wants to see that it is bounded.
//!
//! Knows no machine: each says of itself how much it holds of what.

use std::ops::Index;

/// Something that a machine holds any number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Outputs that wait for a commit, or to be taken.
    Outputs,
    /// Deadlines.
    Timers,
    /// Messages that came before an earlier one.
    Held,
    /// Streams of which such messages are held.
    HeldStreams,
    /// Streams of which it is remembered how far they have come.
    Streams,
    /// Rows of the table.
    Names,
    /// Client: commands that wait for those before them.
    Commands,
    /// Client: messages that are not settled.
    Outbox,
    /// Client: requests about groups that are not answered.
    Requests,
    /// Client: texts to many whose copies have not all had their outcome.
    Casts,
    /// Client: recipients to whom anything was ever sent.
    Recipients,
    /// Server: clients that are here.
    Sessions,
    /// Server: stored messages.
    StoredMessages,
    /// Server: stored messages whose commit has not ended.
    Undurable,
    /// Server: stored messages on their way to their readers.
    Flights,
    /// Server: streams whose sender does not know yet how far they were shown.
    Untold,
}

impl Gauge {
    /// Every one, in their order.
    pub const ALL: [Self; 16] = [
        Self::Outputs,
        Self::Timers,
        Self::Held,
        Self::HeldStreams,
        Self::Streams,
        Self::Names,
        Self::Commands,
        Self::Outbox,
        Self::Requests,
        Self::Casts,
        Self::Recipients,
        Self::Sessions,
        Self::StoredMessages,
        Self::Undurable,
        Self::Flights,
        Self::Untold,
    ];
}

/// How much is held of what; nothing of what a machine never has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load([usize; Gauge::ALL.len()]);

impl Load {
    /// Each gauge and its count.
    pub fn iter(&self) -> impl Iterator<Item = (Gauge, usize)> {
        Gauge::ALL.into_iter().zip(self.0)
    }

    /// Keeps the greater count of each gauge.
    pub fn raise_to(&mut self, other: &Self) {
        for (most, count) in self.0.iter_mut().zip(other.0) {
            *most = (*most).max(count);
        }
    }
}

impl FromIterator<(Gauge, usize)> for Load {
    fn from_iter<I: IntoIterator<Item = (Gauge, usize)>>(counts: I) -> Self {
        let mut load = Self::default();
        counts.into_iter().for_each(|(gauge, count)| load.0[gauge as usize] = count);
        load
    }
}

impl<const N: usize> From<[(Gauge, usize); N]> for Load {
    fn from(counts: [(Gauge, usize); N]) -> Self {
        counts.into_iter().collect()
    }
}

impl Index<Gauge> for Load {
    type Output = usize;

    fn index(&self, gauge: Gauge) -> &usize {
        &self.0[gauge as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gauge_has_its_place() {
        for (place, gauge) in Gauge::ALL.into_iter().enumerate() {
            assert_eq!(gauge as usize, place);
            assert_eq!(Load::from([(gauge, 7)])[gauge], 7);
        }
    }
}
