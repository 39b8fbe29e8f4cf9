//! The first bytes of another volume, as a volume: what is measured on a disk too long to be read.
//!
//! Deliberately absent: whatever lies behind. A partition table that stands at the end of the disk
//! is not there any more, and partitions may end behind the end.

use std::io;
use std::ops::Range;

use crate::error::Result;
use crate::pipeline::ReadAt;
use crate::sources::volume::{Allocated, Identity, VolumeSource, check_range};

/// The beginning of a volume.
pub struct Beginning {
    source: Box<dyn VolumeSource>,
    len: u64,
}

impl Beginning {
    /// The first `len` bytes of `source`, or all of a shorter one.
    pub fn new(source: Box<dyn VolumeSource>, len: u64) -> Self {
        let len = len.min(source.len());
        Self { source, len }
    }
}

impl ReadAt for Beginning {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.len.saturating_sub(offset).min(buffer.len() as u64);
        self.source.read_at(offset, &mut buffer[..rest as usize])
    }
}

impl VolumeSource for Beginning {
    fn len(&self) -> u64 {
        self.len
    }

    fn identity(&self) -> &Identity {
        self.source.identity()
    }

    fn allocation(&self, range: Range<u64>) -> Result<Vec<Allocated>> {
        check_range(&self.identity().location, &range, self.len)?;
        self.source.allocation(range)
    }

    fn check_unchanged(&self) -> Result<()> {
        self.source.check_unchanged()
    }

    fn was_written(&self) -> bool {
        self.source.was_written()
    }

    fn warnings(&self) -> Vec<String> {
        self.source.warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::sources::volume::open_path;

    fn beginning(len: u64) -> (tempfile::TempDir, Beginning) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::write(&path, (0..100_u8).collect::<Vec<_>>()).unwrap();
        let source = open_path(&path).unwrap();
        (folder, Beginning::new(source, len))
    }

    #[test]
    fn what_lies_behind_the_end_is_not_there() {
        let (_folder, volume) = beginning(10);
        let mut buffer = [0xff; 20];
        assert_eq!(volume.read_at(4, &mut buffer).unwrap(), 6);
        assert_eq!(buffer[..7], [4, 5, 6, 7, 8, 9, 0xff]);
        assert_eq!(volume.read_at(10, &mut buffer).unwrap(), 0);
        let refused = volume.allocation(0..11).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::InvalidInput));
        assert!(volume.allocation(0..10).is_ok());
    }

    #[test]
    fn of_a_shorter_volume_it_is_all() {
        assert_eq!(beginning(1_000).1.len(), 100);
    }
}
