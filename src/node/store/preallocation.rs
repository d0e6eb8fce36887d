//! A database's file without holes where it is about to be written.
//!
//! To write into a hole changes what the file system knows of the file, and a sync has to wait for
//! that as well: twice as long, on ext4. So whoever writes into a new part of the file fills the
//! rest of that part with zeros, which is what holes are read as anyway.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use redb::StorageBackend;
use redb::backends::FileBackend;
use rustix::fs::{SeekFrom, seek};

/// How much is filled at once: hundreds of small commits share it, and a disk has it to spare.
const PART_BYTES: u64 = 1 << 20;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file on the file system.
#[derive(Debug)]
pub(super) struct PreallocatedFile {
    file: FileBackend,
    /// The same file once more, to find its holes and fill them.
    holes: File,
    /// The parts that have none, by number.
    solid: Mutex<BTreeSet<u64>>,
}

impl PreallocatedFile {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let holes = file.try_clone()?;
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Self { file, holes, solid: Mutex::default() })
    }

    /// Fills the holes of a part, if there is room for it.
    fn fill(&self, part: u64) -> io::Result<()> {
        let end = ((part + 1) * PART_BYTES).min(self.holes.metadata()?.len());
        let mut at = part * PART_BYTES;
        while at < end {
            // The end of the file counts as a hole. So does where nothing is known of holes.
            let hole = seek(&self.holes, SeekFrom::Hole(at))?.min(end);
            // No data any more.
            let data = seek(&self.holes, SeekFrom::Data(hole)).unwrap_or(end).min(end);
            at = hole;
            while at < data {
                let bytes = (data - at).min(ZEROS.len() as u64);
                self.holes.write_all_at(&ZEROS[..usize::try_from(bytes).unwrap_or(0)], at)?;
                at += bytes;
            }
        }
        Ok(())
    }
}

impl StorageBackend for PreallocatedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // Where the file ends now or ended before, there is a hole if it is longer afterwards.
        let end = len.min(self.file.len()?) / PART_BYTES;
        self.solid.lock().unwrap_or_else(PoisonError::into_inner).split_off(&end);
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)?;
        // After it: what must be written is not to lack the room.
        let part = offset / PART_BYTES;
        if self.solid.lock().unwrap_or_else(PoisonError::into_inner).insert(part) {
            // On a full disk they stay.
            let _ = self.fill(part);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_part_that_is_written_to_has_no_holes() {
        let path = std::env::temp_dir().join(format!("udpchat-solid-{}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let solid = PreallocatedFile::new(file.try_clone().unwrap()).unwrap();
        let hole_after = |at| seek(&file, SeekFrom::Hole(at)).unwrap();
        solid.set_len(4 * MIB).unwrap();
        solid.write(3 * MIB / 2, b"text").unwrap();
        assert!(hole_after(MIB) >= 2 * MIB);
        let mut part = vec![1; 1 << 20];
        solid.read(MIB, &mut part).unwrap();
        let (text, zeros): (Vec<u8>, Vec<u8>) = part.iter().partition(|byte| **byte != 0);
        assert_eq!((&text[..], zeros.len()), (&b"text"[..], (1 << 20) - 4));

        solid.set_len(MIB + 4_096).unwrap();
        solid.set_len(4 * MIB).unwrap();
        solid.write(MIB, b"text").unwrap();
        assert!(hole_after(MIB) >= 2 * MIB);
    }
}
