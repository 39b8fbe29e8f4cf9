//! Where two volumes differ.
//!
//! Two walks side by side over the same offsets. Where both come to a page of one id, all below it
//! is equal and is passed over unread: pages end where their content says, so walks that differ in
//! one place meet again behind it. Deliberately absent: comparing the bytes of chunks. A chunk that
//! ends elsewhere differs as a whole, so what is given may be more than what was written, never
//! less.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::entry::{Extent, ExtentKind};
use crate::format::snapshot::Root;
use crate::observe::Observer;
use crate::operations::select_volume::SelectedVolume;
use crate::operations::{walk, walk_volume};
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep, ExtentsPageAhead};

/// A range in which two volumes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferentRange {
    /// The bytes, counted from the first of each side.
    pub range: Range<u64>,
    /// False if one side lost what it held there: it may be the same.
    pub known: bool,
}

/// What a comparison of two volumes came to; lengths in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffVolumeReport {
    /// Length of the first.
    pub before_len: u64,
    /// Length of the second.
    pub after_len: u64,
    /// Ranges given.
    pub ranges: u64,
    /// Length of those that differ.
    pub different: u64,
    /// Length of those of which one side is lost.
    pub unknown: u64,
    /// Pages that could not be read, each told to the observer.
    pub problems: u64,
}

/// Gives every range of `after` that differs from `before` to `each`: ascending, neighbours as one.
/// What the second is longer by is different. Reads only pages that one side has and the other has
/// not.
pub fn diff_volumes(
    repository: &Repository,
    before: &SelectedVolume<'_>,
    after: &SelectedVolume<'_>,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&DifferentRange) -> Result<()>,
) -> Result<DiffVolumeReport> {
    let reader = ChunkReader::new(repository, Budget::default().cache_len)?;
    let (before, after) = (Side::new(&reader, before)?, Side::new(&reader, after)?);
    let report = DiffVolumeReport {
        before_len: before.len,
        after_len: after.len,
        ..DiffVolumeReport::default()
    };
    let pair = Pair {
        limit: before.len.min(after.len),
        before,
        after,
        at: 0,
        observer,
        pending: None,
        each,
        report,
    };
    pair.run()
}

/// The walk over one of two volumes. Offsets count from the first byte that is compared.
struct Side<'d> {
    root: &'d Root,
    cursor: ExtentCursor<'d>,
    /// First byte that is compared, in the volume.
    base: u64,
    len: u64,
    /// What comes next, where no page does.
    piece: Option<Piece>,
}

/// Bytes of one side whose page was read.
#[derive(Clone, Copy)]
struct Piece {
    /// Where they begin, which may be before the first byte that is compared.
    start: i128,
    end: u64,
    /// What is there; nothing if it is lost.
    kind: Option<ExtentKind>,
}

/// What comes next on one side.
#[derive(Clone, Copy)]
enum Head {
    Page(ExtentsPageAhead),
    Piece(Piece),
    End,
}

impl<'d> Side<'d> {
    fn new(reader: &'d ChunkReader<'d>, volume: &SelectedVolume<'d>) -> Result<Self> {
        let range = volume.range();
        let mut cursor = ExtentCursor::new(reader, &walk_volume::content_of(volume.root));
        if range.start > 0 {
            cursor.seek(range.start)?;
        }
        Ok(Self {
            root: volume.root,
            cursor,
            base: range.start,
            len: range.end - range.start,
            piece: None,
        })
    }

    fn head(&mut self, at: u64) -> Result<Head> {
        if let Some(piece) = self.piece.filter(|piece| piece.end > at) {
            return Ok(Head::Piece(piece));
        }
        if let Some(page) = self.cursor.ahead() {
            return Ok(Head::Page(page));
        }
        let start = self.cursor.offset();
        Ok(match self.cursor.next()? {
            Some(ExtentStep::Extent(Extent { kind, .. })) => {
                Head::Piece(self.hold(start, Some(kind)))
            }
            Some(ExtentStep::Lost { .. }) => Head::Piece(self.hold(start, None)),
            None => Head::End,
        })
    }

    /// Keeps what lies between `start` and where the cursor is now, in the volume.
    fn hold(&mut self, start: u64, kind: Option<ExtentKind>) -> Piece {
        let piece = Piece {
            start: i128::from(start) - i128::from(self.base),
            end: self.cursor.offset().saturating_sub(self.base),
            kind,
        };
        self.piece = Some(piece);
        piece
    }

    /// Opens the page ahead; gives what is lost with it, in the volume.
    fn open(&mut self) -> Result<Option<(Range<u64>, Error)>> {
        let start = self.cursor.offset();
        let Some((_, error)) = self.cursor.open_page()? else {
            return Ok(None);
        };
        self.hold(start, None);
        Ok(Some((start..self.cursor.offset(), error)))
    }

    /// True if the page ahead begins with what is compared next.
    fn begins_at(&self, at: u64) -> bool {
        self.cursor.offset().checked_sub(self.base) == Some(at)
    }
}

/// Two walks.
struct Pair<'d> {
    before: Side<'d>,
    after: Side<'d>,
    /// Where both are.
    at: u64,
    /// Where the shorter ends.
    limit: u64,
    observer: &'d dyn Observer,
    pending: Option<DifferentRange>,
    each: &'d mut dyn FnMut(&DifferentRange) -> Result<()>,
    report: DiffVolumeReport,
}

impl Pair<'_> {
    fn run(mut self) -> Result<DiffVolumeReport> {
        while self.at < self.limit {
            walk::stop_if_cancelled(self.observer)?;
            match (self.before.head(self.at)?, self.after.head(self.at)?) {
                (Head::Page(before), Head::Page(after)) => self.pages(before, after)?,
                (Head::Page(_), _) => self.open(true)?,
                (_, Head::Page(_)) => self.open(false)?,
                (Head::Piece(before), Head::Piece(after)) => self.pieces(before, after)?,
                // A manifest that is shorter than it says; a page that was opened told so.
                (Head::End, _) | (_, Head::End) => break,
            }
        }
        self.differ(self.at.max(self.limit)..self.after.len, true)?;
        self.give()?;
        Ok(self.report)
    }

    /// Of two pages the higher one may hold the other.
    fn pages(&mut self, before: ExtentsPageAhead, after: ExtentsPageAhead) -> Result<()> {
        let len = before.child.len;
        let is_equal = before.child.page == after.child.page
            && len == after.child.len
            && before.level == after.level;
        let is_aligned = self.before.begins_at(self.at) && self.after.begins_at(self.at);
        if is_equal && is_aligned && len <= self.limit - self.at {
            self.before.cursor.skip_page();
            self.after.cursor.skip_page();
            self.at += len;
            return Ok(());
        }
        if before.level >= after.level {
            self.open(true)?;
        }
        if after.level >= before.level {
            self.open(false)?;
        }
        Ok(())
    }

    fn open(&mut self, before: bool) -> Result<()> {
        let side = match before {
            true => &mut self.before,
            false => &mut self.after,
        };
        if let Some((range, error)) = side.open()? {
            let what = "cannot be compared";
            walk_volume::tell(self.observer, side.root, &range, what, &error);
            self.report.problems += 1;
        }
        Ok(())
    }

    fn pieces(&mut self, before: Piece, after: Piece) -> Result<()> {
        let end = before.end.min(after.end).min(self.limit);
        let range = self.at..end;
        self.at = end;
        match (before.kind, after.kind) {
            (Some(first), Some(second)) => {
                match is_same(first, second, before.start, after.start) {
                    true => Ok(()),
                    false => self.differ(range, true),
                }
            }
            _ => self.differ(range, false),
        }
    }

    fn differ(&mut self, range: Range<u64>, known: bool) -> Result<()> {
        if range.start >= range.end {
            return Ok(());
        }
        match &mut self.pending {
            Some(last) if last.range.end == range.start && last.known == known => {
                last.range.end = range.end;
                Ok(())
            }
            _ => {
                self.give()?;
                self.pending = Some(DifferentRange { range, known });
                Ok(())
            }
        }
    }

    fn give(&mut self) -> Result<()> {
        let Some(last) = self.pending.take() else {
            return Ok(());
        };
        let len = last.range.end - last.range.start;
        match last.known {
            true => self.report.different += len,
            false => self.report.unknown += len,
        }
        self.report.ranges += 1;
        (self.each)(&last)
    }
}

/// Zeros are zeros, whether they were written or not; of a chunk its place counts as well.
fn is_same(before: ExtentKind, after: ExtentKind, first: i128, second: i128) -> bool {
    use ExtentKind::{Chunk, Hole, Unreadable, Zero};
    match (before, after) {
        (Chunk(before), Chunk(after)) => before == after && first == second,
        (Hole | Zero, Hole | Zero) | (Unreadable, Unreadable) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::format::name::PackClass;
    use crate::format::snapshot::Snapshot;
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

    const HOLE: ExtentKind = ExtentKind::Hole;
    const CHUNK: u64 = 40;

    fn chunk(seed: u64) -> Stretch {
        Stretch::Data(Arc::new(Random::new(seed).bytes(CHUNK as usize)))
    }

    /// So many chunks, each behind a long hole; those of `changed` are others.
    fn sparse(count: u64, changed: &[u64]) -> Vec<Stretch> {
        let pair = |number: u64| {
            let seed = number
                + if changed.contains(&number) {
                    1 << 40
                } else {
                    0
                };
            [Stretch::Without(HOLE, (1 << 20) - CHUNK), chunk(seed)]
        };
        (0..count).flat_map(pair).collect()
    }

    struct World {
        backend: Backend,
        snapshots: [Snapshot; 2],
    }

    impl World {
        fn new(volumes: [SampleVolume; 2]) -> Self {
            let backend = new_backend();
            let repository = sample_repository::create(backend.clone());
            let snapshots = volumes.map(|volume| {
                let volumes = [("disk0", &volume)];
                sample_volumes::commit(&repository, small_frames(), &volumes, &[])
            });
            Self { backend, snapshots }
        }

        fn of(before: Vec<Stretch>, after: Vec<Stretch>) -> Self {
            Self::new([before, after].map(SampleVolume::new))
        }

        fn diff(&self, path: &str) -> (Vec<(u64, u64)>, DiffVolumeReport) {
            let repository = sample_repository::open(self.backend.clone());
            repository.index().unwrap();
            self.backend.reset();
            let [before, after] = &self.snapshots;
            let [before, after] = [before, after]
                .map(|snapshot| select_volume(snapshot, path.as_bytes()).unwrap().unwrap());
            let mut ranges = Vec::new();
            let report = diff_volumes(&repository, &before, &after, &(), &mut |found| {
                ranges.push((found.range.start, found.range.end));
                Ok(())
            });
            (ranges, report.unwrap())
        }

        fn pages_read(&self) -> u64 {
            let data = Subject::Pack(PackClass::Data);
            assert_eq!(self.backend.tally(Verb::GetRange, data).calls, 0);
            let meta = Subject::Pack(PackClass::Meta);
            self.backend.tally(Verb::GetRange, meta).calls
        }
    }

    #[test]
    fn one_chunk_of_a_long_sparse_volume_is_found_by_reading_few_pages() {
        let count = 30_000;
        let world = World::of(sparse(count, &[]), sparse(count, &[17_000]));
        let (ranges, report) = world.diff("");
        let end = 17_001 << 20;
        assert_eq!(ranges, [(end - CHUNK, end)]);
        assert_eq!((report.different, report.problems), (CHUNK, 0));
        let levels = u64::from(world.snapshots[0].roots[0].level) + 1;
        assert!(levels >= 2, "{levels} levels");
        let reads = world.pages_read();
        // A change may move the end of a page of each level.
        assert!(reads <= 4 * levels, "{reads} pages of {levels} levels");
    }

    #[test]
    fn equal_volumes_are_compared_without_reading() {
        let world = World::of(sparse(2_000, &[]), sparse(2_000, &[]));
        assert_eq!(world.diff("").0, []);
        assert_eq!(world.pages_read(), 0);
    }

    #[test]
    fn random_changes_are_found_exactly() {
        let changed: Vec<_> = (0..2_000).filter(|number| number % 97 < 2).collect();
        let world = World::of(sparse(2_000, &[]), sparse(2_000, &changed));
        let (ranges, _) = world.diff("disk0");
        let of = |number: &u64| (((number + 1) << 20) - CHUNK, (number + 1) << 20);
        let expected: Vec<_> = changed.iter().map(of).collect();
        assert_eq!(ranges, expected);
    }

    #[test]
    fn chunks_that_end_elsewhere_differ_and_zeros_of_all_kinds_do_not() {
        use ExtentKind::{Unreadable, Zero};
        use Stretch::Without;
        let before = vec![
            chunk(1),
            Without(HOLE, 100),
            chunk(2),
            Without(Zero, 60),
            Without(Unreadable, 10),
            chunk(3),
        ];
        let after = vec![
            chunk(1),
            Without(Zero, 60),
            Without(HOLE, 20),
            chunk(2),
            Without(HOLE, 80),
            Without(Unreadable, 10),
            Without(HOLE, CHUNK),
        ];
        let (ranges, _) = World::of(before, after).diff("");
        assert_eq!(ranges, [(120, 180), (250, 290)]);
    }

    #[test]
    fn what_the_later_is_longer_by_differs_and_what_it_is_shorter_by_is_told_by_its_length() {
        let (mut short, mut long) = (sparse(100, &[]), sparse(100, &[99]));
        long.push(chunk(7));
        let (ranges, report) = World::of(short.clone(), long.clone()).diff("");
        let end = 100 << 20;
        assert_eq!(ranges, [(end - CHUNK, end + CHUNK)]);
        assert_eq!((report.before_len, report.after_len), (end, end + CHUNK));
        short.pop();
        let (ranges, report) = World::of(long, short).diff("");
        assert_eq!(ranges, []);
        assert_eq!(report.after_len, end - CHUNK);
    }

    #[test]
    fn partitions_are_compared_by_their_own_offsets() {
        let partition = |offset| LayoutInfo {
            partitions: vec![PartitionInfo {
                number: 1,
                offset,
                len: 50 << 20,
                sound: 1,
                ..PartitionInfo::default()
            }],
            ..LayoutInfo::default()
        };
        let mut moved = sparse(20, &[]);
        moved.extend(sparse(60, &[7, 55]));
        let volume = |stretches, offset| SampleVolume {
            layout: partition(offset),
            ..SampleVolume::new(stretches)
        };
        let before = volume(sparse(60, &[]), 0);
        let world = World::new([before.clone(), volume(moved, 20 << 20)]);
        assert_eq!(world.diff("disk0/p1").0, [((8 << 20) - CHUNK, 8 << 20)]);
        let world = World::new([before, volume(sparse(60, &[7, 55]), 0)]);
        assert_eq!(world.diff("disk0/p1").0, [((8 << 20) - CHUNK, 8 << 20)]);
    }

    #[test]
    fn what_a_lost_page_held_is_neither_equal_nor_different() {
        let world = World::of(sparse(3_000, &[]), sparse(3_000, &[1, 2_999]));
        let repository = sample_repository::open(world.backend.clone());
        let pages = sample_volumes::leaf_pages(&repository, &world.snapshots[1].roots[0]);
        assert!(pages.len() > 3, "{} pages", pages.len());
        let index = repository.index().unwrap();
        let copy = index.locate(&pages[0].0).next().unwrap();
        flip_bit(
            world.backend.inner(),
            &copy.pack.name(),
            copy.frame.offset + 1,
        );
        let (ranges, report) = world.diff("");
        let end = 3_000 << 20;
        assert_eq!(ranges, [(0, pages[0].1), (end - CHUNK, end)]);
        assert_eq!((report.unknown, report.problems), (pages[0].1, 1));
        assert_eq!(report.different, CHUNK);
    }
}
