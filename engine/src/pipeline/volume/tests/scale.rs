//! Volumes far larger than any memory: sparse, and made by a formula.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::stored::{Lab, root_of};
use crate::format::entry::Content;
use crate::format::name::PackClass;
use crate::limits::VOLUME_GRAIN_LEN;
use crate::pipeline::volume::{Allocated, Allocation, Cutting, VolumeReader, VolumeRules};
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::ExtentCursor;
use crate::repository::session::SessionOptions;
use crate::testing::recording_backend::{Subject, Verb};

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
/// Of the data of a volume of 1 TiB; a build without optimisation is tested with less.
const DATA: u64 = if cfg!(debug_assertions) {
    48 * MIB
} else {
    1024 * MIB
};

/// A sparse volume: runs of 1 MiB of data, far from each other.
struct Sparse {
    len: u64,
    runs: BTreeSet<u64>,
    /// Added to the bytes of the page at this offset.
    changed: Option<u64>,
    read: AtomicU64,
    asked: AtomicU64,
}

impl Sparse {
    fn new(len: u64, data: u64) -> Self {
        let count = data / MIB;
        let step = (len / (count + 1)) / VOLUME_GRAIN_LEN * VOLUME_GRAIN_LEN;
        Self {
            len,
            runs: (1..=count).map(|number| number * step).collect(),
            changed: None,
            read: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        }
    }

    fn runs_in(&self, range: &Range<u64>) -> impl Iterator<Item = u64> {
        let from = range.start.saturating_sub(MIB - 1);
        self.runs.range(from..range.end.max(from)).copied()
    }

    /// Every 4 KiB are eight equal parts: noise that compresses.
    fn fill_page(&self, offset: u64, page: &mut [u8]) {
        let salt = u64::from(self.changed == Some(offset));
        let seed = [offset.to_le_bytes(), salt.to_le_bytes()].concat();
        blake3::Hasher::new()
            .update(&seed)
            .finalize_xof()
            .fill(&mut page[..512]);
        (1..8).for_each(|part| page.copy_within(..512, part * 512));
    }
}

impl VolumeReader for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let is_aligned = |at: usize| at.is_multiple_of(4096);
        assert!(is_aligned(offset as usize) && is_aligned(buffer.len()));
        for (index, page) in buffer.chunks_mut(4096).enumerate() {
            let at = offset + index as u64 * 4096;
            match self.runs_in(&(at..at + 1)).next() {
                Some(_) => self.fill_page(at, page),
                None => page.fill(0),
            }
        }
        Ok(Vec::new())
    }

    fn allocation(&self, range: Range<u64>) -> io::Result<Vec<Allocated>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut pieces = Vec::new();
        let mut at = range.start;
        let mut push = |range: Range<u64>, kind| {
            if !range.is_empty() {
                pieces.push(Allocated { range, kind });
            }
        };
        for run in self.runs_in(&range) {
            push(at..run, Allocation::Hole);
            at = (run + MIB).min(range.end);
            push(run.max(range.start)..at, Allocation::Data);
        }
        push(at..range.end, Allocation::Hole);
        Ok(pieces)
    }
}

fn lab() -> Lab {
    let rules = VolumeRules::new(Cutting::Content).unwrap();
    Lab::new(rules, SessionOptions::default())
}

#[test]
fn a_sparse_volume_of_1_tib_costs_its_data_and_a_change_of_4_kib_a_few_pages() {
    let lab = lab();
    let sparse = Arc::new(Sparse::new(TIB, DATA));
    let volume: Arc<dyn VolumeReader> = sparse.clone();
    let built = lab.full(&volume, &[]);
    assert_eq!(built.volume.root.child.len, TIB);
    assert_eq!(built.totals.read_bytes, DATA);
    assert_eq!(sparse.read.load(Ordering::Relaxed), DATA);

    let mut changed = Sparse::new(TIB, DATA);
    let place = *changed.runs.iter().nth(7).unwrap() + 512 * 1024;
    changed.changed = Some(place);
    let changed = Arc::new(changed);
    let volume: Arc<dyn VolumeReader> = changed.clone();
    lab.backend.reset();
    let next = lab.incremental(&built, &volume, &[], &[place..place + 4096]);
    assert_ne!(next.volume.root, built.volume.root);
    let read = changed.read.load(Ordering::Relaxed);
    assert!(read <= MIB, "read {read}");
    let written = lab.backend.tally(Verb::Put, Subject::Pack(PackClass::Meta));
    assert!(written.bytes < MIB, "{written:?}");
    let data = lab
        .backend
        .tally(Verb::GetRange, Subject::Pack(PackClass::Data));
    assert_eq!(data.calls, 0);
}

#[test]
fn a_sparse_volume_of_16_tib_is_built_without_a_look_at_each_grain() {
    let lab = lab();
    let sparse = Arc::new(Sparse::new(16 * TIB, 4 * MIB));
    let volume: Arc<dyn VolumeReader> = sparse.clone();
    let built = lab.full(&volume, &[]);
    assert_eq!(built.volume.root.child.len, 16 * TIB);
    assert_eq!(built.totals.read_bytes, 4 * MIB);
    let asked = sparse.asked.load(Ordering::Relaxed);
    assert!(asked < 1000, "asked {asked} times");

    let repository = lab.repository();
    let reader = ChunkReader::new(&repository, 0).unwrap();
    lab.backend.reset();
    let mut cursor = ExtentCursor::new(&reader, &Content::Tree(root_of(&built)));
    cursor.seek(15 * TIB + 12_345).unwrap();
    assert!(cursor.offset() <= 15 * TIB + 12_345);
    let read = lab
        .backend
        .tally(Verb::GetRange, Subject::Pack(PackClass::Meta));
    assert!(read.calls <= 2, "{read:?}");
}

#[test]
fn a_volume_grows_to_16_tib_of_hole_at_once() {
    let lab = lab();
    let small: Arc<dyn VolumeReader> = Arc::new(Sparse::new(MIB * 64, 4 * MIB));
    let built = lab.full(&small, &[]);
    let mut grown = Sparse::new(MIB * 64, 4 * MIB);
    grown.len = 16 * TIB;
    let grown = Arc::new(grown);
    let volume: Arc<dyn VolumeReader> = grown.clone();
    let next = lab.incremental(&built, &volume, &[], &[]);
    assert_eq!(next.volume.root, lab.full(&volume, &[]).volume.root);
    assert!(grown.asked.load(Ordering::Relaxed) < 2000);
}
