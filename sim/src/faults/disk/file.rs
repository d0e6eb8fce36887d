//! A file between being written and being durable, and what the power's loss leaves of it.
//!
//! As Linux has it: whoever reads sees every write at once, a sync makes the dirty pages durable,
//! a sync that fails leaves them clean without being durable. Knows no faults; it is told.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::fault::Keeps;
use super::image::{Image, PAGE, Page, parts};
use crate::naming::random::Stream;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A file.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// What whoever reads sees.
    seen: Image,
    /// What is left when the power fails, at least.
    durable: Image,
    /// What was written since, in order; a write of several pages is several.
    unsynced: Vec<Piece>,
    /// What a sync that failed has let go of: seen, and nobody will write it to the disk.
    forgotten: Vec<Piece>,
}

/// Something that was written.
#[derive(Clone, Debug)]
enum Piece {
    /// Some bytes of a page, and the page with them.
    Bytes(usize, Range<usize>, Arc<Page>),
    /// The length.
    Length(u64),
}

impl File {
    pub(super) const fn seen(&self) -> &Image {
        &self.seen
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.seen.set_len(len);
        self.unsynced.push(Piece::Length(len));
    }

    /// Writes bytes, which lie within the file.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut data = data;
        for (page, from, to) in parts(offset, data.len()) {
            let (part, rest) = data.split_at(to - from);
            data = rest;
            let mut bytes = self.seen.page(page).map_or([0; PAGE], |bytes| **bytes);
            bytes[from..to].copy_from_slice(part);
            let bytes = Arc::new(bytes);
            self.seen.put(page, Arc::clone(&bytes));
            self.unsynced.push(Piece::Bytes(page, from..to, bytes));
        }
    }

    /// Makes durable what is dirty: whole pages, as they are seen.
    pub(super) fn sync(&mut self) {
        let mut dirty = BTreeSet::new();
        for piece in self.unsynced.drain(..) {
            match piece {
                Piece::Length(len) => self.durable.set_len(len),
                Piece::Bytes(page, ..) => {
                    dirty.insert(page);
                }
            }
        }
        for page in &dirty {
            if let Some(bytes) = self.seen.page(*page) {
                self.durable.put(*page, Arc::clone(bytes));
            }
        }
        self.forgotten.retain(|piece| match piece {
            Piece::Bytes(page, ..) => !dirty.contains(page),
            Piece::Length(_) => true,
        });
    }

    /// A sync that fails: dirty pages are clean from now on, and nobody knows whether they are
    /// durable. The length is not data, and will be written with the next sync.
    pub(super) fn fail_to_sync(&mut self) {
        for piece in std::mem::take(&mut self.unsynced) {
            match piece {
                Piece::Bytes(..) => self.forgotten.push(piece),
                Piece::Length(_) => self.unsynced.push(piece),
            }
        }
    }

    /// The power fails: this much of what was not durable is, the rest never was.
    pub(super) fn lose_power(&mut self, keeps: Keeps, stream: &mut Stream) {
        let mut pieces = std::mem::take(&mut self.forgotten);
        pieces.append(&mut self.unsynced);
        let count = pieces.len() as u64;
        let chosen = stream.below(count.max(1));
        for (number, piece) in (0..).zip(&pieces) {
            let whole = match keeps {
                Keeps::All => true,
                Keeps::Nothing => false,
                Keeps::First => number < chosen,
                Keeps::One => number == chosen,
                Keeps::AllButOne => number != chosen,
                Keeps::Sectors | Keeps::Bytes => {
                    self.tear(piece, keeps, stream);
                    continue;
                }
            };
            if whole {
                self.keep(piece, None);
            }
        }
        self.seen = self.durable.clone();
    }

    /// Keeps a part of a piece that falls apart.
    fn tear(&mut self, piece: &Piece, keeps: Keeps, stream: &mut Stream) {
        let Piece::Bytes(_, written, _) = piece else {
            if stream.fraction() < 0.5 {
                self.keep(piece, None);
            }
            return;
        };
        if keeps == Keeps::Sectors {
            for sector in written.start / SECTOR..written.end.div_ceil(SECTOR) {
                if stream.fraction() < 0.5 {
                    self.keep(piece, Some(sector * SECTOR..(sector + 1) * SECTOR));
                }
            }
        } else {
            let mut place = || usize::try_from(stream.below(PAGE as u64 + 1)).unwrap_or(PAGE);
            let (a, b) = (place(), place());
            self.keep(piece, Some(a.min(b)..a.max(b)));
        }
    }

    /// Makes a piece durable, or what of it lies in this part of its page.
    fn keep(&mut self, piece: &Piece, part: Option<Range<usize>>) {
        match piece {
            Piece::Length(len) => self.durable.set_len(*len),
            Piece::Bytes(page, written, bytes) => {
                let part = part.unwrap_or_else(|| written.clone());
                let (from, to) = (written.start.max(part.start), written.end.min(part.end));
                if from < to {
                    let mut kept = self.durable.page(*page).map_or([0; PAGE], |bytes| **bytes);
                    kept[from..to].copy_from_slice(&bytes[from..to]);
                    self.durable.put(*page, Arc::new(kept));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = File::default();
        file.set_len(2 * PAGE as u64);
        file.write(0, bytes);
        file
    }

    fn first(file: &File, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        if !file.seen.read(0, &mut bytes) {
            bytes.clear();
        }
        bytes
    }

    fn stream() -> Stream {
        Stream::new(1, &["file"])
    }

    #[test]
    fn what_is_synced_survives_and_the_rest_may() {
        let mut old = file(b"old");
        old.sync();
        old.write(0, b"new");
        for (keeps, left) in [(Keeps::Nothing, b"old"), (Keeps::All, b"new")] {
            let mut file = old.clone();
            assert_eq!(first(&file, 3), b"new");
            file.lose_power(keeps, &mut stream());
            assert_eq!(first(&file, 3), left);
            assert!(file.unsynced.is_empty());
        }
    }

    #[test]
    fn a_file_that_was_never_synced_may_be_empty() {
        let mut file = file(b"new");
        file.lose_power(Keeps::Nothing, &mut stream());
        assert_eq!(file.seen.len(), 0);
    }

    #[test]
    fn what_a_failed_sync_let_go_of_is_seen_until_the_power_fails() {
        let mut file = file(b"old");
        file.sync();
        file.write(0, b"new");
        file.fail_to_sync();
        file.sync();
        assert_eq!(first(&file, 3), b"new");
        let mut again = file.clone();
        file.lose_power(Keeps::Nothing, &mut stream());
        assert_eq!(first(&file, 3), b"old");
        // Written again, the page is as good as any other.
        again.write(1, b"E");
        again.sync();
        again.lose_power(Keeps::Nothing, &mut stream());
        assert_eq!(first(&again, 3), b"nEw");
    }

    #[test]
    fn one_write_is_left_or_missing() {
        let mut both = file(&[0; 1]);
        both.sync();
        both.write(0, b"a");
        both.write(PAGE as u64, b"b");
        for keeps in [Keeps::One, Keeps::AllButOne] {
            let mut file = both.clone();
            file.lose_power(keeps, &mut stream());
            let mut second = [0];
            assert!(file.seen.read(PAGE as u64, &mut second));
            assert_ne!(first(&file, 1) == b"a", second == *b"b");
        }
    }

    #[test]
    fn torn_writes_keep_parts_of_themselves() {
        let mut kept = BTreeSet::new();
        for seed in 0..100 {
            let mut file = file(&[0; PAGE]);
            file.sync();
            file.write(0, &[1; PAGE]);
            file.lose_power(Keeps::Bytes, &mut Stream::new(seed, &["file"]));
            kept.insert(first(&file, PAGE).iter().filter(|byte| **byte == 1).count());
        }
        assert!(kept.len() > 50, "{kept:?}");
    }
}
