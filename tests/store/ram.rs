//! A medium in memory with so many blocks, which fails when it is told to.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;
use udpchat_node::store::medium::{Medium, lost};

const BLOCK_BYTES: usize = 4096;
/// Like a folder's, but of a size to fit small tests.
const RESERVE_BLOCKS: usize = 64;

/// The disk; clones share it, so that one can be looked at from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ram(Arc<Mutex<RamState>>);

#[derive(Debug, Default)]
pub(crate) struct RamState {
    published: Option<Blocks>,
    unpublished: Blocks,
    reserve: usize,
    /// How many blocks there are, if that is limited.
    pub(crate) blocks_max: Option<usize>,
    /// After so many more operations that change something each one fails like this.
    pub(crate) fails_after: Option<(u32, ErrorKind)>,
    /// Somebody has taken the published file away, after so many more questions about it.
    pub(crate) taken_after: Option<u32>,
    /// Whether the next write finds what cannot be, and panics.
    pub(crate) misleads: bool,
    /// Operations that changed something so far.
    pub(crate) operations: u32,
}

/// A file with holes.
#[derive(Debug, Default)]
struct Blocks {
    len: u64,
    blocks: BTreeMap<u64, [u8; BLOCK_BYTES]>,
}

impl RamState {
    pub(crate) fn blocks_used(&self) -> usize {
        let published = self.published.as_ref().map_or(0, |file| file.blocks.len());
        published + self.unpublished.blocks.len() + self.reserve
    }

    pub(crate) fn is_reserve_held(&self) -> bool {
        self.reserve > 0
    }

    /// Somebody else takes it.
    pub(crate) fn lose_reserve(&mut self) {
        self.reserve = 0;
    }

    fn has_room_for(&self, blocks: usize) -> bool {
        self.blocks_max.is_none_or(|max| self.blocks_used() + blocks <= max)
    }

    fn file(&mut self, published: bool) -> io::Result<&mut Blocks> {
        if published {
            self.published.as_mut().ok_or_else(|| ErrorKind::NotFound.into())
        } else {
            Ok(&mut self.unpublished)
        }
    }

    /// Counts an operation, which may be the one that fails.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match &mut self.fails_after {
            Some((0, kind)) => Err((*kind).into()),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Ram {
    pub(crate) fn state(&self) -> MutexGuard<'_, RamState> {
        self.0.lock().unwrap()
    }
}

impl Medium for Ram {
    type File = RamFile;

    fn open(&mut self) -> io::Result<Option<RamFile>> {
        let there = self.state().published.is_some();
        Ok(there.then(|| RamFile { disk: self.clone(), published: true }))
    }

    fn create(&mut self) -> io::Result<RamFile> {
        let mut state = self.state();
        state.operate()?;
        state.unpublished = Blocks::default();
        Ok(RamFile { disk: self.clone(), published: false })
    }

    fn publish(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.published = Some(std::mem::take(&mut state.unpublished));
        Ok(())
    }

    fn confirm(&mut self) -> io::Result<()> {
        match &mut self.state().taken_after {
            Some(0) => Err(lost()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn hold_reserve(&mut self) -> io::Result<bool> {
        let mut state = self.state();
        if !state.is_reserve_held() && state.has_room_for(2 * RESERVE_BLOCKS) {
            state.reserve = RESERVE_BLOCKS;
        }
        Ok(state.is_reserve_held())
    }

    fn free_reserve(&mut self) -> io::Result<()> {
        self.state().reserve = 0;
        Ok(())
    }
}

/// One of the two files of a [`Ram`].
#[derive(Debug)]
pub(crate) struct RamFile {
    disk: Ram,
    published: bool,
}

impl StorageBackend for RamFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().file(self.published)?.len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let file = state.file(self.published)?;
        if offset + out.len() as u64 > file.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        for (block, from, bytes) in pieces(offset, out.len()) {
            let out = &mut out[done..done + bytes];
            match file.blocks.get(&block) {
                Some(block) => out.copy_from_slice(&block[from..from + bytes]),
                None => out.fill(0),
            }
            done += bytes;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let file = state.file(self.published)?;
        file.len = len;
        file.blocks.retain(|block, _| block * (BLOCK_BYTES as u64) < len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().operate()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let misled = std::mem::take(&mut self.disk.state().misleads);
        assert!(!misled, "a page is not what it was");
        let mut state = self.disk.state();
        state.operate()?;
        let mut done = 0;
        for (block, from, bytes) in pieces(offset, data.len()) {
            if !state.file(self.published)?.blocks.contains_key(&block) && !state.has_room_for(1) {
                return Err(ErrorKind::StorageFull.into());
            }
            let block = state.file(self.published)?.blocks.entry(block);
            let block = block.or_insert([0; BLOCK_BYTES]);
            block[from..from + bytes].copy_from_slice(&data[done..done + bytes]);
            done += bytes;
        }
        let file = state.file(self.published)?;
        file.len = file.len.max(offset + data.len() as u64);
        Ok(())
    }
}

/// The blocks that a range of bytes touches: which, from where in it, and how many bytes.
fn pieces(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + bytes as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let block = at / BLOCK_BYTES as u64;
        let next = end.min((block + 1) * BLOCK_BYTES as u64);
        let piece = (block, at as usize % BLOCK_BYTES, (next - at) as usize);
        at = next;
        (piece.2 > 0).then_some(piece)
    })
}
