//! The edges of incremental builds, each by its name.

use std::ops::Range;

use super::model::{Disk, Manifest, Model, PAGE, SECTOR};
use crate::format::entry::ExtentKind;
use crate::pipeline::volume::{Allocation, Cutting, VolumeReader, cuts_of_hints};
use crate::testing::random::Random;

const GRAIN: usize = 4096;
const ANCHOR: usize = 65_536;

/// A disk and what was stored of it.
struct Stored {
    model: Model,
    disk: Disk,
    hints: Vec<u64>,
    manifest: Manifest,
}

impl Stored {
    fn new(bytes: Vec<u8>) -> Self {
        Self::with(Model::small(), Disk::new(bytes), Vec::new())
    }

    fn with(model: Model, disk: Disk, hints: Vec<u64>) -> Self {
        let manifest = model.full(&disk, &hints);
        Self {
            model,
            disk,
            hints,
            manifest,
        }
    }

    /// Applies `change`, which says what it changed, and compares both builds. Gives what was read.
    #[track_caller]
    fn changed<R: IntoIterator<Item = Range<usize>>>(
        &mut self,
        change: impl FnOnce(&mut Disk, &mut Vec<u64>) -> R,
    ) -> Vec<Range<u64>> {
        let old_hints = self.hints.clone();
        let changed = change(&mut self.disk, &mut self.hints).into_iter();
        let changed: Vec<_> = changed.map(|r| r.start as u64..r.end as u64).collect();
        let parent = (&self.manifest, old_hints.as_slice());
        let (built, read) = self
            .model
            .incremental(parent, &self.disk, &self.hints, &changed);
        let full = self.model.full(&self.disk, &self.hints);
        assert_eq!(built, full);
        self.manifest = full;
        read
    }

    fn boundaries(&self) -> Vec<usize> {
        self.manifest
            .iter()
            .map(|(start, _)| *start as usize)
            .collect()
    }

    fn kinds(&self) -> Vec<ExtentKind> {
        self.manifest
            .iter()
            .map(|(_, extent)| extent.kind)
            .collect()
    }
}

fn noise(len: usize) -> Vec<u8> {
    Random::new(len as u64).bytes(len)
}

fn flip(disk: &mut Disk, at: usize) -> [Range<usize>; 1] {
    let byte = disk.bytes[at] ^ 0x55;
    disk.write(at, &[byte]);
    [at..at + 1]
}

fn bytes_of(read: &[Range<u64>]) -> u64 {
    read.iter().map(|range| range.end - range.start).sum()
}

#[test]
fn nothing_changed_and_nothing_is_read() {
    let mut stored = Stored::new(noise(5 * ANCHOR + 777));
    assert!(stored.changed(|_, _| []).is_empty());
}

#[test]
fn one_byte_in_the_first_grain_the_last_and_at_each_anchor() {
    let mut stored = Stored::new(noise(5 * ANCHOR + 777));
    let last = stored.disk.bytes.len() - 1;
    let anchors = (1..=5).flat_map(|n| [n * ANCHOR - 1, n * ANCHOR]);
    for at in [0, GRAIN - 1, GRAIN, last].into_iter().chain(anchors) {
        let read = stored.changed(|disk, _| flip(disk, at));
        assert!(bytes_of(&read) <= ANCHOR as u64, "{at} read {read:?}");
    }
}

#[test]
fn one_byte_at_and_before_every_boundary() {
    let mut stored = Stored::new(noise(3 * ANCHOR));
    for boundary in stored.boundaries() {
        for at in [boundary, boundary.saturating_sub(1)] {
            stored.changed(|disk, _| flip(disk, at));
        }
    }
}

#[test]
fn a_chunk_that_ended_because_zeros_began_goes_on_when_they_are_written() {
    for behind in 1..14 {
        let mut bytes = noise(ANCHOR);
        bytes[behind * GRAIN..(behind + 1) * GRAIN].fill(0);
        let mut stored = Stored::new(bytes);
        let boundaries = stored.boundaries();
        assert!(boundaries.contains(&(behind * GRAIN)), "{boundaries:?}");
        stored.changed(|disk, _| flip(disk, behind * GRAIN + 5));
        // And back.
        stored.changed(|disk, _| {
            let grain = behind * GRAIN..(behind + 1) * GRAIN;
            disk.write(grain.start, &[0; GRAIN]);
            [grain]
        });
    }
}

#[test]
fn zeros_in_part_of_a_grain_are_a_zero_extent_that_is_not_a_zero_grain() {
    // Noise ends in the middle of a grain; hints cut the zeros behind it out.
    let mut bytes = vec![0; 4 * ANCHOR];
    bytes[..10_000].copy_from_slice(&noise(10_000));
    bytes[20_000..60_000].copy_from_slice(&noise(40_000));
    let mut stored = Stored::with(Model::small(), Disk::new(bytes), vec![10_000, 18_000]);
    for at in (8192..24_576).step_by(511) {
        stored.changed(|disk, _| flip(disk, at));
        stored.changed(|disk, _| flip(disk, at));
    }
}

#[test]
fn a_place_in_a_chunk_of_zeros_is_no_boundary_though_a_grain_begins_there() {
    const KIB: usize = 1024;
    let model = Model::new((4096, 16_384, 65_536), 65_536, 1 << 20, Cutting::Content);
    let grain = 5 * 64 * KIB;
    let mut bytes = noise(1 << 20);
    bytes[grain - 40 * KIB..grain + 36 * KIB].fill(0);
    let hint = (grain - 40 * KIB) as u64;
    let mut stored = Stored::with(model, Disk::new(bytes), vec![hint]);
    // The longest chunk, all of it zeros, and no grain of them.
    let boundaries = stored.boundaries();
    assert!(boundaries.contains(&(grain - 40 * KIB)) && boundaries.contains(&(grain + 24 * KIB)));
    stored.changed(|disk, _| {
        let rest = grain - 64 * KIB..grain - 40 * KIB;
        disk.write(rest.start, &vec![0; rest.len()]);
        [rest]
    });
}

#[test]
fn a_hole_is_punched_into_chunks_and_filled_again() {
    let mut stored = Stored::new(noise(4 * ANCHOR));
    for (first, last) in [(5, 6), (3, 30), (0, 1), (15, 17), (0, 64), (60, 64)] {
        for kind in [Allocation::Hole, Allocation::Zero] {
            let range = first * GRAIN..last * GRAIN;
            stored.changed(|disk, _| [disk.clear(range.clone(), kind)]);
            let expected = match kind {
                Allocation::Hole => ExtentKind::Hole,
                _ => ExtentKind::Zero,
            };
            assert!(stored.kinds().contains(&expected));
            stored.changed(|disk, _| {
                disk.write(range.start, &noise(range.len()));
                [range]
            });
        }
    }
}

#[test]
fn a_hole_smaller_than_a_grain_is_zeros_in_a_chunk() {
    let model = Model::new((4096, 16_384, 65_536), 65_536, 1 << 20, Cutting::Content);
    let mut disk = Disk::new(noise(1 << 20));
    disk.clear(3 * 65_536 + PAGE..3 * 65_536 + 5 * PAGE, Allocation::Hole);
    let stored = Stored::with(model, disk, Vec::new());
    assert!(!stored.kinds().contains(&ExtentKind::Hole));
}

#[test]
fn a_grain_of_hole_and_zero_is_zero_and_known_without_reading() {
    let model = Model::new((4096, 16_384, 65_536), 65_536, 1 << 20, Cutting::Content);
    let mut stored = Stored::with(model, Disk::new(noise(1 << 20)), Vec::new());
    stored.changed(|disk, _| {
        let all = disk.clear(0..1 << 20, Allocation::Hole);
        disk.clear(65_536..65_536 + PAGE, Allocation::Zero);
        [all]
    });
    let kinds = [ExtentKind::Hole, ExtentKind::Zero, ExtentKind::Hole];
    assert_eq!(stored.kinds(), kinds);
    let read = stored.changed(|_, _| [0..1 << 20]);
    assert_eq!(read, []);
}

#[test]
fn data_without_any_natural_cut_is_met_again_at_the_next_anchor() {
    let period: Vec<u8> = (0..6 * ANCHOR).map(|i| ((i % 4096) / 16) as u8).collect();
    for bytes in [vec![0xff; 6 * ANCHOR], period] {
        let mut stored = Stored::new(bytes);
        for at in [1, 70_000, 200_001, 6 * ANCHOR - 1] {
            let read = stored.changed(|disk, _| flip(disk, at));
            assert!(bytes_of(&read) <= ANCHOR as u64 + GRAIN as u64, "{read:?}");
        }
    }
}

#[test]
fn a_volume_grows_shrinks_and_grows_again_to_any_length() {
    let lens = [
        0,
        1,
        511,
        512,
        513,
        1000,
        GRAIN - 1,
        GRAIN,
        GRAIN + 1,
        9000,
        ANCHOR - 1,
    ];
    let more = [
        ANCHOR,
        ANCHOR + 1,
        ANCHOR + 512,
        3 * ANCHOR,
        3 * ANCHOR + 12_345,
    ];
    let lens: Vec<usize> = lens.into_iter().chain(more).collect();
    for &from in &lens {
        for &to in &lens {
            let mut stored = Stored::new(noise(from));
            stored.changed(|disk, _| {
                disk.resize(to);
                []
            });
            // Back, with other bytes where nothing was for a while.
            stored.changed(|disk, _| {
                disk.resize(from);
                if from > to {
                    disk.write(to, &vec![3; from - to]);
                }
                []
            });
        }
    }
}

#[test]
fn a_volume_is_shortened_to_zeros_that_only_the_cut_off_bytes_made_data() {
    let mut bytes = noise(2 * GRAIN);
    bytes[GRAIN..GRAIN + 1000].fill(0);
    let mut stored = Stored::new(bytes);
    stored.changed(|disk, _| {
        disk.resize(GRAIN + 1000);
        []
    });
    assert_eq!(stored.kinds().last(), Some(&ExtentKind::Zero));
}

#[test]
fn volumes_smaller_than_a_chunk_and_empty_ones() {
    for len in [0, 1, 63, 64, 500] {
        let mut stored = Stored::new(noise(len));
        assert_eq!(stored.manifest.len(), usize::from(len > 0));
        stored.changed(|_, _| []);
        stored.changed(|disk, _| {
            let len = disk.bytes.len();
            (len > 0).then(|| flip(disk, len / 2)).into_iter().flatten()
        });
    }
}

#[test]
fn changes_may_overlap_repeat_come_in_any_order_and_be_larger_than_anchors() {
    let mut stored = Stored::new(noise(6 * ANCHOR));
    stored.changed(|disk, _| {
        flip(disk, 100);
        flip(disk, 3 * ANCHOR);
        [
            3 * ANCHOR..3 * ANCHOR + 1,
            0..5000,
            90..110,
            90..110,
            2 * ANCHOR + 7..4 * ANCHOR + 9,
        ]
    });
    let read = stored.changed(|disk, _| [0..disk.bytes.len()]);
    assert_eq!(bytes_of(&read), 6 * ANCHOR as u64);
}

#[test]
fn bad_sectors_are_cut_out_and_read_again_until_they_are_whole() {
    let mut stored = Stored::new(noise(3 * ANCHOR));
    let bad = 70_144..71_680;
    let sectors = bad.start as u64 / SECTOR as u64..bad.end as u64 / SECTOR as u64;
    stored.changed(|disk, _| {
        disk.bad = sectors.collect();
        [bad.clone()]
    });
    let lost: Vec<_> = stored
        .manifest
        .iter()
        .filter(|(_, extent)| extent.kind == ExtentKind::Unreadable)
        .map(|(start, extent)| (*start as usize, extent.len as usize))
        .collect();
    assert_eq!(lost, [(bad.start, bad.len())]);
    // Nothing is said to have changed, and they are read again all the same.
    let read = stored.changed(|_, _| []);
    assert!(!read.is_empty());
    stored.changed(|disk, _| {
        disk.bad.clear();
        []
    });
    assert!(!stored.kinds().contains(&ExtentKind::Unreadable));
    assert!(stored.changed(|_, _| []).is_empty());
}

#[test]
fn a_grain_of_zeros_with_a_bad_sector_is_cut_there_and_zeros_around_it() {
    let mut disk = Disk::new(vec![0; ANCHOR]);
    disk.bad = vec![17];
    let stored = Stored::with(Model::small(), disk, Vec::new());
    let (zero, lost) = (ExtentKind::Zero, ExtentKind::Unreadable);
    assert_eq!(stored.kinds(), [zero, lost, zero]);
    assert_eq!(stored.boundaries(), [0, 17 * SECTOR, 18 * SECTOR]);
}

#[test]
fn hints_come_go_and_move_and_cut_where_they_are() {
    let mut stored = Stored::new(noise(4 * ANCHOR));
    let spots = [
        1,
        4096,
        9000,
        20_480,
        65_536,
        70_001,
        100_000,
        4 * ANCHOR as u64 - 1,
    ];
    for &hint in &spots {
        stored.changed(|_, hints| {
            hints.push(hint);
            []
        });
        assert!(stored.boundaries().contains(&(hint as usize)));
    }
    for hint in spots {
        stored.changed(|_, hints| {
            hints.retain(|other| *other != hint);
            hints.push(hint + 3);
            hints.sort_unstable();
            []
        });
    }
    stored.changed(|_, hints| {
        hints.clear();
        []
    });
}

#[test]
fn hints_in_zeros_move_nothing() {
    let mut bytes = noise(4 * ANCHOR);
    bytes[ANCHOR..2 * ANCHOR].fill(0);
    let mut stored = Stored::new(bytes);
    let before = stored.manifest.clone();
    stored.changed(|_, hints| {
        hints.extend([ANCHOR as u64 + 1, ANCHOR as u64 + 3 * GRAIN as u64, 100_000]);
        []
    });
    assert_eq!(stored.manifest, before);
}

#[test]
fn fixed_chunks_end_at_multiples_of_their_length() {
    let model = || Model::new((1024, 8192, 16_384), 4096, 65_536, Cutting::Fixed(12_000));
    let mut bytes = noise(3 * ANCHOR);
    bytes[ANCHOR + GRAIN..ANCHOR + 3 * GRAIN].fill(0);
    let mut stored = Stored::with(model(), Disk::new(bytes), vec![30_000]);
    let begin = [0, 12_000, 24_000, 30_000, 36_000, 48_000, 60_000, ANCHOR];
    assert_eq!(stored.boundaries()[..8], begin);
    for at in (0..3 * ANCHOR).step_by(9973) {
        stored.changed(|disk, _| flip(disk, at));
    }
}

#[test]
fn one_hint_of_a_cell_is_a_cut_whatever_is_in_other_cells() {
    let cuts = |hints: &[u64]| cuts_of_hints(hints.iter().copied(), 100_000).unwrap();
    assert_eq!(
        cuts(&[0, 5, 6, 63, 64, 65, 9000, 99_999, 100_000]),
        [5, 64, 9000, 99_999]
    );
    assert_eq!(cuts(&[6, 63, 65]), [6, 65]);
    assert_eq!(cuts(&[]), []);
    assert_eq!(cuts(&[7, 7, 7]), [7]);
    assert!(cuts_of_hints([9, 8], 100).is_err());
}

#[test]
fn a_change_of_scattered_bytes_reads_little() {
    let model = Model::new(
        (16 << 10, 64 << 10, 256 << 10),
        64 << 10,
        8 << 20,
        Cutting::Content,
    );
    let len = 64 << 20;
    let mut stored = Stored::with(model, Disk::new(noise(len)), Vec::new());
    let mut random = Random::new(3);
    let read = stored.changed(|disk, _| {
        let places: Vec<_> = (0..20).map(|_| random.below(len / PAGE) * PAGE).collect();
        places.iter().for_each(|&at| disk.write(at, &[9; PAGE]));
        places.into_iter().map(|at| at..at + PAGE)
    });
    let each = bytes_of(&read) / 20;
    assert!(each < 300 << 10, "{each} bytes for each of 20 changes");
    assert_eq!(stored.disk.len(), len as u64);
}
