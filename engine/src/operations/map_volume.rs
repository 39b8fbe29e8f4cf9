//! What a volume is made of, range after range: data, zeros, holes, and what is not to be had.
//!
//! Reads pages alone. Whether the chunks themselves are whole is asked by `check`.

use std::ops::Range;

use crate::error::Result;
use crate::format::entry::ExtentKind;
use crate::format::id::ChunkId;
use crate::observe::{Counter, Observer};
use crate::operations::volume_bytes::VolumeBytes;
use crate::operations::walk;
use crate::operations::walk_volume::{self, Found, VolumeWalk};
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;

/// What a range of a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Stored bytes.
    Data,
    /// Zeros that were written.
    Zero,
    /// Zeros of which the source held nothing.
    Hole,
    /// Could not be read when the volume was captured.
    Unreadable,
    /// The page that says what is there cannot be read.
    Lost,
}

/// A range of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedRange {
    /// The bytes, counted from the first of the range that was asked for.
    pub range: Range<u64>,
    /// What they are.
    pub kind: RangeKind,
    /// The chunk they are of, if chunks were asked for.
    pub chunk: Option<ChunkId>,
}

/// What a map came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapReport {
    /// Ranges given.
    pub ranges: u64,
    /// Length of all data, bytes.
    pub data: u64,
    /// Length of all zeros that were written, bytes.
    pub zero: u64,
    /// Length of all holes, bytes.
    pub hole: u64,
    /// Length of what could not be read when it was captured, bytes.
    pub unreadable: u64,
    /// Length of what is lost, bytes.
    pub lost: u64,
    /// Pages that cannot be read, each told to the observer.
    pub problems: u64,
}

/// Gives what `range` of `volume` is made of to `each`, in order and without gaps. Neighbours of one
/// kind are one, unless every chunk is wanted by itself.
///
/// # Errors
/// `InvalidInput` if the range reaches beyond the volume; and the error of `each`.
pub fn map_volume<'v>(
    repository: &Repository,
    volume: impl Into<VolumeBytes<'v>>,
    range: &Range<u64>,
    chunks: bool,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&MappedRange) -> Result<()>,
) -> Result<MapReport> {
    let reader = ChunkReader::new(repository, Budget::default().cache_len)?;
    let volume = volume.into();
    observer.expect(Counter::Bytes, range.end.saturating_sub(range.start));
    let mut mapping = Mapping {
        report: MapReport::default(),
        pending: None,
        each,
    };
    for (part, within) in volume.within(range)? {
        let mut walk = VolumeWalk::new(&reader, part.of, part.there(&within))?;
        while let Some(piece) = walk.next()? {
            walk::stop_if_cancelled(observer)?;
            let found = part.back(&piece.range);
            observer.count(Counter::Bytes, found.end - found.start);
            let (kind, chunk) = match &piece.found {
                Found::Extent(_, extent) => (extent.kind.into(), chunk_of(extent.kind)),
                Found::Lost(error) => {
                    mapping.report.problems += 1;
                    walk_volume::tell(observer, part.of, &piece.range, "cannot be known", error);
                    (RangeKind::Lost, None)
                }
            };
            mapping.add(MappedRange {
                range: found.start - range.start..found.end - range.start,
                kind,
                chunk: chunk.filter(|_| chunks),
            })?;
        }
    }
    mapping.finish()
}

/// A map in the making.
struct Mapping<'m> {
    report: MapReport,
    /// The last range, which the next may join.
    pending: Option<MappedRange>,
    each: &'m mut dyn FnMut(&MappedRange) -> Result<()>,
}

impl Mapping<'_> {
    fn add(&mut self, next: MappedRange) -> Result<()> {
        match &mut self.pending {
            Some(last) if joins(last, &next) => {
                last.range.end = next.range.end;
                Ok(())
            }
            _ => match self.pending.replace(next) {
                Some(last) => self.report.give(&last, self.each),
                None => Ok(()),
            },
        }
    }

    fn finish(mut self) -> Result<MapReport> {
        if let Some(last) = self.pending.take() {
            self.report.give(&last, self.each)?;
        }
        Ok(self.report)
    }
}

impl MapReport {
    fn give(
        &mut self,
        mapped: &MappedRange,
        each: &mut dyn FnMut(&MappedRange) -> Result<()>,
    ) -> Result<()> {
        let sum = match mapped.kind {
            RangeKind::Data => &mut self.data,
            RangeKind::Zero => &mut self.zero,
            RangeKind::Hole => &mut self.hole,
            RangeKind::Unreadable => &mut self.unreadable,
            RangeKind::Lost => &mut self.lost,
        };
        *sum += mapped.range.end - mapped.range.start;
        self.ranges += 1;
        each(mapped)
    }
}

impl From<ExtentKind> for RangeKind {
    fn from(kind: ExtentKind) -> Self {
        match kind {
            ExtentKind::Chunk(_) => Self::Data,
            ExtentKind::Zero => Self::Zero,
            ExtentKind::Hole => Self::Hole,
            ExtentKind::Unreadable => Self::Unreadable,
        }
    }
}

fn chunk_of(kind: ExtentKind) -> Option<ChunkId> {
    match kind {
        ExtentKind::Chunk(id) => Some(id),
        ExtentKind::Zero | ExtentKind::Hole | ExtentKind::Unreadable => None,
    }
}

fn joins(last: &MappedRange, next: &MappedRange) -> bool {
    last.kind == next.kind && next.chunk.is_none()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::format::name::PackClass;
    use crate::format::volume::{LayoutInfo, PartitionInfo};
    use crate::operations::select_volume::select_volume;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::random::Random;
    use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
    use crate::testing::sample_repository::{self, flip_bit, small_frames};
    use crate::testing::sample_volumes::{self, SampleVolume, Stretch};

    type Backend = Arc<RecordingBackend<MemoryBackend>>;

    fn new_backend() -> Backend {
        Arc::new(RecordingBackend::new(MemoryBackend::new()))
    }

    fn data(seed: u64, len: usize) -> Stretch {
        Stretch::Data(Arc::new(Random::new(seed).bytes(len)))
    }

    /// Two chunks, then one of each kind; a partition from the middle of the first on.
    fn sample() -> SampleVolume {
        let partition = PartitionInfo {
            number: 1,
            offset: 1_000,
            len: 20_000,
            sound: 1,
            ..PartitionInfo::default()
        };
        SampleVolume {
            layout: LayoutInfo {
                partitions: vec![partition],
                ..LayoutInfo::default()
            },
            ..SampleVolume::new(vec![
                data(1, 8_000),
                data(2, 8_000),
                Stretch::Without(ExtentKind::Hole, 4_000),
                Stretch::Without(ExtentKind::Zero, 4_000),
                Stretch::Without(ExtentKind::Unreadable, 512),
                data(3, 488),
            ])
        }
    }

    fn mapped(
        backend: &Backend,
        volume: &SampleVolume,
        path: &str,
        chunks: bool,
    ) -> (Vec<MappedRange>, MapReport) {
        let repository = sample_repository::create(backend.clone());
        let volumes = [("disk0", volume)];
        let snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
        let repository = sample_repository::open(backend.clone());
        backend.reset();
        let volume = select_volume(&snapshot, path.as_bytes()).unwrap().unwrap();
        let mut ranges = Vec::new();
        let (root, range) = (volume.root, volume.range());
        let report = map_volume(&repository, root, &range, chunks, &(), &mut |range| {
            ranges.push(range.clone());
            Ok(())
        });
        (ranges, report.unwrap())
    }

    fn shown(ranges: &[MappedRange]) -> Vec<(u64, u64, RangeKind)> {
        let shown = |one: &MappedRange| (one.range.start, one.range.end, one.kind);
        ranges.iter().map(shown).collect()
    }

    #[test]
    fn neighbours_of_one_kind_are_one_range_and_no_data_is_read() {
        use RangeKind::{Data, Hole, Unreadable, Zero};
        let backend = new_backend();
        let (ranges, report) = mapped(&backend, &sample(), "", false);
        let expected = [
            (0, 16_000, Data),
            (16_000, 20_000, Hole),
            (20_000, 24_000, Zero),
            (24_000, 24_512, Unreadable),
            (24_512, 25_000, Data),
        ];
        assert_eq!(shown(&ranges), expected);
        let sums = MapReport {
            ranges: 5,
            data: 16_488,
            zero: 4_000,
            hole: 4_000,
            unreadable: 512,
            ..MapReport::default()
        };
        assert_eq!(report, sums);
        let reads = backend.tally(Verb::GetRange, Subject::Pack(PackClass::Data));
        assert_eq!(reads.calls, 0);
    }

    #[test]
    fn chunks_are_told_one_by_one_if_they_are_wanted() {
        let (ranges, _) = mapped(&new_backend(), &sample(), "disk0", true);
        assert_eq!(ranges.len(), 6);
        let ids: Vec<_> = ranges.iter().filter_map(|range| range.chunk).collect();
        assert_eq!(ids.len(), 3);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_partition_is_mapped_from_its_own_first_byte_on() {
        use RangeKind::{Data, Hole, Zero};
        let (ranges, _) = mapped(&new_backend(), &sample(), "disk0/p1", false);
        let expected = [
            (0, 15_000, Data),
            (15_000, 19_000, Hole),
            (19_000, 20_000, Zero),
        ];
        assert_eq!(shown(&ranges), expected);
    }

    #[test]
    fn what_a_lost_page_held_is_lost_and_the_rest_is_mapped() {
        let backend = new_backend();
        let repository = sample_repository::create(backend.clone());
        let many = (0..3_000).map(|seed| data(seed, 40)).collect();
        let volumes = [("disk0", &SampleVolume::new(many))];
        let snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
        let repository = sample_repository::open(backend.clone());
        let pages = sample_volumes::leaf_pages(&repository, &snapshot.roots[0]);
        assert!(pages.len() > 3, "{} pages", pages.len());
        let index = repository.index().unwrap();
        let copy = index.locate(&pages[1].0).next().unwrap();
        flip_bit(backend.inner(), &copy.pack.name(), copy.frame.offset + 1);
        let repository = sample_repository::open(backend);
        let volume = select_volume(&snapshot, b"").unwrap().unwrap();
        let mut ranges = Vec::new();
        let (root, range) = (volume.root, volume.range());
        let report = map_volume(&repository, root, &range, false, &(), &mut |range| {
            ranges.push(range.clone());
            Ok(())
        });
        let report = report.unwrap();
        use RangeKind::{Data, Lost};
        let kinds: Vec<_> = ranges.iter().map(|range| range.kind).collect();
        assert_eq!(kinds, [Data, Lost, Data]);
        assert_eq!(ranges[1].range.end - ranges[1].range.start, pages[1].1);
        assert_eq!((report.problems, report.lost), (1, pages[1].1));
        assert_eq!(report.lost + report.data, 120_000);
    }
}
