//! Views of stored contents, on repositories in memory that can be counted and damaged.

use std::sync::Arc;

use crate::error::ErrorKind;
use crate::format::entry::{Extent, ExtentKind};
use crate::format::name::PackClass;
use crate::format::snapshot::Snapshot;
use crate::limits::FRAME_LEN_TARGET;
use crate::operations::map_volume::RangeKind;
use crate::operations::walk_volume::content_of;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::session::SessionOptions;
use crate::serve::{ContentView, Library, LibraryOptions, View};
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
use crate::testing::sample_repository::{self, flip_bit, small_frames};
use crate::testing::sample_volumes::{self, SampleVolume, Stretch};

type Backend = Arc<RecordingBackend<MemoryBackend>>;

const OPTIONS: LibraryOptions = LibraryOptions {
    memory: 16 << 20,
    threads: 2,
};

/// A volume in a repository, and its bytes.
struct World {
    backend: Backend,
    snapshot: Snapshot,
    bytes: Vec<u8>,
}

impl World {
    /// With a frame for each chunk.
    fn new(stretches: Vec<Stretch>) -> Self {
        Self::with(stretches, small_frames())
    }

    fn with(stretches: Vec<Stretch>, options: SessionOptions) -> Self {
        let mut bytes = Vec::new();
        for stretch in &stretches {
            match stretch {
                Stretch::Data(data) => bytes.extend_from_slice(data),
                Stretch::Without(_, len) => bytes.resize(bytes.len() + *len as usize, 0),
            }
        }
        let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
        let repository = sample_repository::create(backend.clone());
        let volumes = [("disk0", &SampleVolume::new(stretches))];
        let snapshot = sample_volumes::commit(&repository, options, &volumes, &[]);
        Self {
            backend,
            snapshot,
            bytes,
        }
    }

    fn open(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }

    fn view_with(&self, options: LibraryOptions) -> ContentView {
        let library = Library::open(Arc::new(self.open()), options).unwrap();
        library.volume(&self.snapshot.roots[0], None).unwrap()
    }

    fn view(&self) -> ContentView {
        self.view_with(OPTIONS)
    }

    fn data_reads(&self) -> u64 {
        let reads = self
            .backend
            .tally(Verb::GetRange, Subject::Pack(PackClass::Data));
        reads.calls
    }
}

fn data(seed: u64, len: usize) -> Stretch {
    Stretch::Data(Arc::new(Random::new(seed).bytes(len)))
}

/// Data, hole, zeros and data, many extents of each.
fn mixed() -> Vec<Stretch> {
    let kinds = |seed: u64| match seed % 5 {
        0 => Stretch::Without(ExtentKind::Hole, 3_000 + seed),
        1 => Stretch::Without(ExtentKind::Zero, 500),
        _ => data(seed, 700 + 13 * seed as usize),
    };
    (0..900).map(kinds).collect()
}

#[test]
fn any_range_reads_as_it_was_captured() {
    let world = World::new(mixed());
    let view = world.view();
    assert_eq!(view.len(), world.bytes.len() as u64);
    let mut random = Random::new(1);
    for _ in 0..500 {
        let start = random.below(world.bytes.len());
        let len = random.below(90_000).min(world.bytes.len() - start);
        let mut out = vec![0xA5; len];
        view.read_at(start as u64, &mut out).unwrap();
        assert!(out == world.bytes[start..start + len], "{len} at {start}");
    }
}

#[test]
fn a_part_begins_at_zero_and_ends_where_it_ends() {
    let world = World::new(mixed());
    let library = Library::open(Arc::new(world.open()), OPTIONS).unwrap();
    let root = &world.snapshot.roots[0];
    let view = library.volume(root, Some(10_001..20_002)).unwrap();
    assert_eq!(view.len(), 10_001);
    let mut out = vec![0; 10_001];
    view.read_at(0, &mut out).unwrap();
    assert!(out == world.bytes[10_001..20_002]);
    for (offset, len) in [(1, 10_001), (10_002, 0), (u64::MAX, 1)] {
        let error = view.read_at(offset, &mut out[..len]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
    }
    view.read_at(10_001, &mut []).unwrap();
    let beyond = root.bytes - 1..root.bytes + 1;
    assert!(library.volume(root, Some(beyond)).is_err());
}

#[test]
fn a_frame_is_read_once_whoever_asks_and_kept_for_the_next() {
    let world = World::new((0..40).map(|seed| data(seed, 20_000)).collect());
    let read_all = |view: &ContentView| {
        let mut out = vec![0; world.bytes.len()];
        view.read_at(0, &mut out).unwrap();
        assert!(out == world.bytes);
    };
    let alone = world.view();
    world.backend.reset();
    read_all(&alone);
    drop(alone);
    let frames = world.data_reads();
    let view = world.view();
    world.backend.reset();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| read_all(&view));
        }
    });
    let reads = world.data_reads();
    assert_eq!(reads, frames);
    let mut out = vec![0; 4_096];
    for offset in (0..world.bytes.len() - out.len()).step_by(10_000) {
        view.read_at(offset as u64, &mut out).unwrap();
    }
    assert_eq!(world.data_reads(), reads, "everything was kept");
}

#[test]
fn a_frame_is_decoded_whole_once_more_of_it_is_wanted_than_was_at_first() {
    let world = World::with(vec![data(1, 3_000_000)], SessionOptions::default());
    let view = world.view();
    world.backend.reset();
    let mut read = |offset: usize| {
        let mut out = vec![0; 4_096];
        view.read_at(offset as u64, &mut out).unwrap();
        assert!(out == world.bytes[offset..offset + 4_096], "{offset}");
        world.data_reads()
    };
    let mut read_all = || (0..2_990_000).step_by(10_000).map(&mut read).last();
    let frames_max = world.bytes.len() as u64 / FRAME_LEN_TARGET as u64 + 3;
    let first = read_all();
    assert!(
        first <= Some(2 * frames_max),
        "{first:?}: a start and all of each"
    );
    assert_eq!(read_all(), first);
}

#[test]
fn frames_that_are_asked_for_a_few_places_out_of_order_are_read_once() {
    const REGION_LEN: usize = 700_000;
    // What does not compress is there as a whole once its start is.
    let bytes = Random::new(1).bytes(12 * REGION_LEN);
    let compressible = bytes.into_iter().map(|byte| byte % 16).collect();
    let world = World::with(
        vec![Stretch::Data(Arc::new(compressible))],
        SessionOptions::default(),
    );
    let ample = LibraryOptions {
        memory: 64 << 20,
        threads: 1,
    };
    let library = Library::open(Arc::new(world.open()), ample).unwrap();
    world.backend.reset();
    let mut out = vec![0; 4_096];
    for region in [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10] {
        for offset in (0..REGION_LEN - out.len()).step_by(10_000) {
            // A view of its own sees no order.
            let view = library.volume(&world.snapshot.roots[0], None).unwrap();
            let at = region * REGION_LEN + offset;
            view.read_at(at as u64, &mut out).unwrap();
            assert!(out == world.bytes[at..at + out.len()], "{at}");
        }
    }
    let frames_max = world.bytes.len() as u64 / FRAME_LEN_TARGET as u64 + 3;
    let reads = world.data_reads();
    assert!(
        reads <= frames_max + 1,
        "{reads}: the first also by its start"
    );
}

#[test]
fn memory_stays_bounded_however_much_is_read() {
    let world = World::new((0..400).map(|seed| data(seed, 20_000)).collect());
    let few = LibraryOptions {
        memory: 1 << 20,
        threads: 1,
    };
    let view = world.view_with(few);
    let mut out = vec![0; 20_000];
    for round in 0..2 {
        world.backend.reset();
        for index in 0..400 {
            view.read_at(index * 20_000, &mut out).unwrap();
        }
        assert!(
            world.data_reads() > 100,
            "round {round}: not all can be kept"
        );
    }
}

#[test]
fn reads_in_order_are_read_ahead_and_random_ones_are_not() {
    let world = World::new((0..600).map(|seed| data(seed, 60_000)).collect());
    let view = world.view();
    world.backend.reset();
    let mut out = vec![0; 4_096];
    for offset in [30_000_000, 9_000_000, 20_000_000, 2_000_000] {
        view.read_at(offset, &mut out).unwrap();
    }
    let random = world.data_reads();
    assert!(
        (4..=8).contains(&random),
        "{random}: each may touch two chunks"
    );
    view.read_at(2_004_096, &mut out).unwrap();
    view.read_at(2_008_192, &mut out).unwrap();
    drop(view); // waits for those who read ahead
    assert!(world.data_reads() > 10, "{}", world.data_reads());
}

/// What the first read of a volume costs that is opened: reads of pages, and their bytes.
fn first_read(stretches: u64, stretch_len: u64) -> (u64, u64) {
    let kind = |number: u64| [ExtentKind::Hole, ExtentKind::Zero][(number % 2) as usize];
    let mut all: Vec<_> = (0..stretches)
        .map(|number| Stretch::Without(kind(number), stretch_len + number % 7))
        .collect();
    all.insert(all.len() / 2, data(1, 5_000));
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let volumes = [("disk0", &SampleVolume::new(all))];
    let snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
    let root = &snapshot.roots[0];
    let reopened = Arc::new(sample_repository::open(backend.clone()));
    reopened.index().unwrap();
    backend.reset();
    let library = Library::open(reopened, OPTIONS).unwrap();
    let view = library.volume(root, None).unwrap();
    assert_eq!(view.len(), root.bytes);
    let mut out = vec![1; 4_096];
    view.read_at(root.bytes - 4_096, &mut out).unwrap();
    assert_eq!(out, [0; 4_096]);
    let pages = backend.tally(Verb::GetRange, Subject::Pack(PackClass::Meta));
    (pages.calls, pages.bytes)
}

#[test]
fn a_volume_of_sixteen_tebibytes_opens_by_the_few_pages_on_the_way_to_a_byte() {
    const STRETCHES: u64 = 80_000;
    let (few, _) = first_read(STRETCHES / 8, 4 << 10);
    let (more, bytes) = first_read(STRETCHES, (16 << 40) / STRETCHES);
    assert!(
        (1..=3).contains(&few) && (few..=few + 1).contains(&more),
        "{few} {more}"
    );
    assert!(bytes < 256 << 10, "{bytes} bytes of pages");
}

#[test]
fn a_damaged_chunk_is_an_error_for_its_range_alone() {
    let world = World::new((0..40).map(|seed| data(seed, 20_000)).collect());
    let repository = world.open();
    let reader = ChunkReader::new(&repository, 1 << 20).unwrap();
    let mut cursor = ExtentCursor::new(&reader, &content_of(&world.snapshot.roots[0]));
    cursor.seek(210_000).unwrap();
    let Some(ExtentStep::Extent(Extent {
        kind: ExtentKind::Chunk(id),
        ..
    })) = cursor.next().unwrap()
    else {
        panic!("there is a chunk")
    };
    let copy = repository.index().unwrap().locate(&id).next().unwrap();
    flip_bit(
        world.backend.inner(),
        &copy.pack.name(),
        copy.frame.offset + 5,
    );
    let view = world.view();
    let mut bad = Vec::new();
    let mut out = vec![0; 1_000];
    for offset in (0..world.bytes.len()).step_by(1_000) {
        match view.read_at(offset as u64, &mut out) {
            Ok(()) => assert!(out == world.bytes[offset..offset + 1_000]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged);
                bad.push(offset);
            }
        }
    }
    world.backend.reset();
    for _ in 0..50 {
        assert!(view.read_at(210_000, &mut out).is_err());
    }
    let reads = world.data_reads();
    assert!(reads <= 8, "{reads}: it is looked for now and then");
    assert!(bad.contains(&210_000) && bad.len() <= 80, "{bad:?}");
    // A read at each end of it may reach into another.
    let frame_len = copy.frame.plain_len as usize;
    assert!(
        bad.len() * 1_000 <= frame_len + 2_000,
        "{} of a frame of {frame_len}",
        bad.len()
    );
}

#[test]
fn a_lost_page_costs_what_it_held_and_the_map_says_so() {
    let world = World::new((0..3_000).map(|seed| data(seed, 40)).collect());
    let repository = world.open();
    let pages = sample_volumes::leaf_pages(&repository, &world.snapshot.roots[0]);
    let copy = repository
        .index()
        .unwrap()
        .locate(&pages[1].0)
        .next()
        .unwrap();
    flip_bit(
        world.backend.inner(),
        &copy.pack.name(),
        copy.frame.offset + 1,
    );
    let view = world.view();
    let map = view.map(0..view.len(), 100).unwrap();
    let kinds: Vec<_> = map.iter().map(|piece| piece.kind).collect();
    assert_eq!(kinds, [RangeKind::Data, RangeKind::Lost, RangeKind::Data]);
    assert_eq!(map[1].range.end - map[1].range.start, pages[1].1);
    for piece in &map {
        let mut out = vec![0; (piece.range.end - piece.range.start) as usize];
        let read = view.read_at(piece.range.start, &mut out);
        assert_eq!(read.is_err(), piece.kind == RangeKind::Lost);
    }
}

#[test]
fn what_could_not_be_read_from_its_source_is_an_error_and_never_zeros() {
    let lost = Stretch::Without(ExtentKind::Unreadable, 512);
    let world = World::new(vec![data(1, 1_000), lost, data(2, 1_000)]);
    let view = world.view();
    let mut out = [0; 100];
    assert!(view.read_at(950, &mut out).is_err());
    assert!(view.read_at(1_450, &mut out).is_err());
    view.read_at(900, &mut out).unwrap();
    view.read_at(1_512, &mut out).unwrap();
    assert_eq!(out[..], world.bytes[1_512..1_612]);
}

#[test]
fn a_map_joins_neighbours_of_one_kind_and_stops_at_as_many_as_were_asked_for() {
    let world = World::new(vec![
        data(1, 5_000),
        data(2, 5_000),
        Stretch::Without(ExtentKind::Hole, 4_000),
        Stretch::Without(ExtentKind::Zero, 1 << 30),
        data(3, 100),
    ]);
    let view = world.view();
    let shown = |range, max| {
        let map = view.map(range, max).unwrap();
        let shown = map
            .iter()
            .map(|piece| (piece.range.start, piece.range.end, piece.kind));
        shown.collect::<Vec<_>>()
    };
    let end = 14_000 + (1 << 30);
    let all = [
        (0, 10_000, RangeKind::Data),
        (10_000, 14_000, RangeKind::Hole),
        (14_000, end, RangeKind::Zero),
        (end, end + 100, RangeKind::Data),
    ];
    assert_eq!(shown(0..view.len(), 100), all);
    assert_eq!(shown(0..view.len(), 2), all[..2]);
    assert_eq!(
        shown(9_000..12_000, 9),
        [(9_000, 10_000, all[0].2), (10_000, 12_000, all[1].2)]
    );
    assert_eq!(shown(7..7, 9), []);
}
