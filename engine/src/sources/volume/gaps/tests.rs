//! Bad sectors: all that can be read is read, at a bounded number of attempts.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::error::Result;
use crate::pipeline::ReadAt;
use crate::sources::volume::{Allocated, Identity, SECTOR_DEFAULT, VolumeKind};

const SECTOR: u64 = SECTOR_DEFAULT as u64;

/// Every byte is 7, but for bad sectors.
struct BadDisk {
    len: u64,
    bad: Vec<Range<u64>>,
    errno: Errno,
    reads: AtomicU32,
    identity: Identity,
}

impl BadDisk {
    fn new(len: u64, bad: Vec<Range<u64>>) -> Self {
        Self {
            len,
            bad,
            errno: Errno::IO,
            reads: AtomicU32::new(0),
            identity: Identity {
                kind: VolumeKind::Device,
                location: "/dev/bad".into(),
                model: None,
                serial: None,
                uuid: None,
                logical_sector: SECTOR_DEFAULT,
                physical_sector: SECTOR_DEFAULT,
                rotational: None,
            },
        }
    }
}

impl ReadAt for BadDisk {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let len = self.len.saturating_sub(offset).min(buffer.len() as u64);
        let end = offset + len;
        if self.bad.iter().any(|r| r.start < end && offset < r.end) {
            buffer.fill(0xee); // what a failed read leaves behind
            return Err(self.errno.into());
        }
        buffer[..len as usize].fill(7);
        Ok(len as usize)
    }
}

impl VolumeSource for BadDisk {
    fn len(&self) -> u64 {
        self.len
    }
    fn identity(&self) -> &Identity {
        &self.identity
    }
    fn allocation(&self, _: Range<u64>) -> Result<Vec<Allocated>> {
        Ok(Vec::new())
    }
    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn one_bad_sector_costs_itself_alone() {
    let disk = BadDisk::new(
        1 << 20,
        std::iter::once(100 * SECTOR..101 * SECTOR).collect(),
    );
    let mut buffer = vec![1; 1 << 20];
    let (read, gaps) = read_with_gaps(&disk, 0, &mut buffer).expect("a read");
    assert_eq!((read, gaps), (1 << 20, disk.bad.clone()));
    let (bad, good): (Vec<_>, Vec<_>) =
        (0..1 << 20).partition(|&at| disk.bad[0].contains(&(at as u64)));
    assert!(bad.iter().all(|&at| buffer[at] == 0));
    assert!(good.iter().all(|&at| buffer[at] == 7));
    assert!(disk.reads.into_inner() < 40);
}

#[test]
fn a_disk_without_a_readable_sector_is_given_up_soon() {
    let len = 64 << 20;
    let disk = BadDisk::new(len, std::iter::once(0..len).collect());
    let mut buffer = vec![1; len as usize];
    let (read, gaps) = read_with_gaps(&disk, 0, &mut buffer).expect("a read");
    assert_eq!((read as u64, gaps), (len, disk.bad.clone()));
    assert!(buffer.iter().all(|&byte| byte == 0));
    assert!(disk.reads.into_inner() < 2 * FAILED_READS_MAX);
}

#[test]
fn what_is_not_the_medium_is_an_error() {
    let mut disk = BadDisk::new(4096, std::iter::once(0..512).collect());
    disk.errno = Errno::NXIO;
    let error = read_with_gaps(&disk, 0, &mut [0; 4096]).expect_err("the disk is gone");
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NXIO));
}

proptest! {
    #[test]
    fn gaps_are_exactly_the_bad_sectors_that_were_touched(
        sectors in prop::collection::btree_set(0u64..64, 0..12),
        offset in 0u64..5000,
        len in 0usize..30_000,
    ) {
        let volume_len = 64 * SECTOR - 100;
        let bad = sectors.iter().map(|&s| s * SECTOR..(s + 1) * SECTOR).collect();
        let disk = BadDisk::new(volume_len, bad);
        let mut buffer = vec![1; len];
        let (read, gaps) = read_with_gaps(&disk, offset, &mut buffer).expect("a read");
        prop_assert_eq!(read as u64, volume_len.saturating_sub(offset).min(len as u64));
        for (at, &byte) in (offset..).zip(&buffer[..read]) {
            let is_bad = sectors.contains(&(at / SECTOR));
            prop_assert_eq!(byte, if is_bad { 0 } else { 7 });
            prop_assert_eq!(gaps.iter().any(|gap| gap.contains(&at)), is_bad);
        }
        prop_assert!(gaps.windows(2).all(|pair| pair[0].end < pair[1].start));
        prop_assert!(gaps.iter().all(|gap| gap.end <= offset + read as u64));
    }
}
