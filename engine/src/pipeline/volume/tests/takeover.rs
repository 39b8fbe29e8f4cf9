//! Whole pages of an older manifest, taken over unread: the same pages as pushing every extent.

use std::ops::Range;
use std::sync::Arc;

use crate::format::entry::{Content, Extent, ExtentKind, ExtentsRoot};
use crate::format::extents::ExtentsChild;
use crate::format::id::ChunkId;
use crate::format::name::PackClass;
use crate::pipeline::volume::VolumeRules;
use crate::pipeline::volume::parent::{ParentVolume, ParentWalk, cuts_that_differ};
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::builder::BuiltRoot;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cuts::CutsBuilder;
use crate::repository::manifest::extents::ExtentsBuilder;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
use crate::testing::sample_repository::{self, small_frames};

type Recorded = Arc<RecordingBackend<MemoryBackend>>;

fn extents(count: u64, random: &mut Random) -> Vec<Extent> {
    let mut extents: Vec<Extent> = Vec::new();
    for number in 0..count {
        let kind = match random.below(20) {
            0 => ExtentKind::Hole,
            1 => ExtentKind::Zero,
            _ => chunk(number, 0),
        };
        if kind.merges() && extents.last().is_some_and(|last| last.kind == kind) {
            continue;
        }
        let len = 1 + random.number() % 100_000;
        extents.push(Extent { len, kind });
    }
    extents
}

fn chunk(number: u64, salt: u64) -> ExtentKind {
    let hash = blake3::hash(&[number.to_le_bytes(), salt.to_le_bytes()].concat());
    ExtentKind::Chunk(ChunkId(*hash.as_bytes()))
}

fn pushed(repository: &Repository, extents: &[Extent]) -> BuiltRoot<ExtentsChild> {
    sample_repository::with_pages(repository, small_frames(), |store| {
        let mut builder = ExtentsBuilder::new();
        for extent in extents {
            builder.push(*extent, store)?;
        }
        builder.finish(store)
    })
}

fn root(built: BuiltRoot<ExtentsChild>) -> ExtentsRoot {
    ExtentsRoot {
        len: built.child.len,
        page: built.child.page,
        level: built.level,
    }
}

fn start_of(extents: &[Extent], index: usize) -> u64 {
    extents[..index].iter().map(|extent| extent.len).sum()
}

/// Takes over everything but `replaced`, and pushes other chunks there.
fn taken(
    backend: &Recorded,
    parent: ExtentsRoot,
    extents: &[Extent],
    replaced: &[Range<usize>],
    is_stored: &dyn Fn(&ChunkId) -> bool,
) -> (BuiltRoot<ExtentsChild>, Vec<Extent>) {
    let repository = sample_repository::open(backend.clone());
    let reader = ChunkReader::new(&repository, 1 << 16).unwrap();
    let rules = VolumeRules::small(4096, 65_536, Default::default());
    let parent = ParentVolume {
        reader: &reader,
        extents: parent,
        cuts: None,
        rules,
        check_chunks: false,
    };
    let mut walk = ParentWalk::new(&parent, true, is_stored);
    let mut new = Vec::new();
    let built = sample_repository::with_pages(&repository, small_frames(), |store| {
        let mut builder = ExtentsBuilder::new();
        let mut at = 0;
        for range in replaced
            .iter()
            .cloned()
            .chain([extents.len()..extents.len()])
        {
            let from = start_of(extents, at)..start_of(extents, range.start);
            let is_end = range.start == extents.len();
            let lost = walk.take_over(from, is_end, &mut builder, store)?;
            assert_eq!(lost, None);
            new.extend_from_slice(&extents[at..range.start]);
            for index in range.clone() {
                let (len, kind) = (extents[index].len, chunk(index as u64, 1));
                new.push(Extent { len, kind });
                builder.push(Extent { len, kind }, store)?;
            }
            at = range.end;
        }
        builder.finish(store)
    });
    (built, new)
}

#[test]
fn any_pattern_of_pages_taken_over_gives_the_pages_of_pushing_everything() {
    let mut random = Random::new(5);
    for count in [0, 1, 50, 3_000, 40_000] {
        let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
        let repository = sample_repository::create(backend.clone());
        let old = extents(count, &mut random);
        let parent = root(pushed(&repository, &old));
        for changes in 0..6 {
            let mut places: Vec<usize> = (0..changes.min(old.len()))
                .map(|_| random.below(old.len()))
                .collect();
            places.sort_unstable();
            places.dedup();
            let mut replaced: Vec<Range<usize>> = Vec::new();
            for place in places {
                let from = replaced.last().map_or(place, |last| place.max(last.end));
                replaced.push(from..(from + random.below(5)).min(old.len()));
            }
            let (built, new) = taken(&backend, parent, &old, &replaced, &|_| true);
            let expected = pushed(&repository, &new);
            assert_eq!(built, expected, "{count} extents, {replaced:?}");
        }
    }
}

#[test]
fn a_page_that_ends_in_zeros_is_opened_where_other_zeros_may_follow() {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let kind = |number: u64| [ExtentKind::Hole, ExtentKind::Zero][(number % 2) as usize];
    let extent = |number: u64| Extent {
        len: 100_000 + number,
        kind: kind(number),
    };
    let old: Vec<Extent> = (0..60_000).map(extent).collect();
    let parent = root(pushed(&repository, &old));
    let (first, second) = {
        let repository = sample_repository::open(backend.clone());
        let reader = ChunkReader::new(&repository, 0).unwrap();
        let mut cursor = ExtentCursor::new(&reader, &Content::Tree(parent));
        let mut ends = Vec::new();
        for index in 1..old.len() {
            cursor.next().unwrap();
            if cursor.ahead().is_some() {
                ends.push(index);
            }
        }
        (ends[0], ends[1])
    };
    for kind in [ExtentKind::Hole, ExtentKind::Zero] {
        for range in [first..first + 1, first - 1..first, first..second] {
            let (built, new) = replaced_by(&backend, parent, &old, range.clone(), kind);
            let expected = pushed(&repository, &new);
            assert_eq!(built, expected, "{range:?}, {kind:?}");
        }
    }
}

/// Takes over everything but `range`, which becomes one extent of `kind`.
fn replaced_by(
    backend: &Recorded,
    parent: ExtentsRoot,
    extents: &[Extent],
    range: Range<usize>,
    kind: ExtentKind,
) -> (BuiltRoot<ExtentsChild>, Vec<Extent>) {
    let repository = sample_repository::open(backend.clone());
    let reader = ChunkReader::new(&repository, 0).unwrap();
    let parent = ParentVolume {
        reader: &reader,
        extents: parent,
        cuts: None,
        rules: VolumeRules::small(4096, 65_536, Default::default()),
        check_chunks: false,
    };
    let mut walk = ParentWalk::new(&parent, true, &|_| true);
    let (start, stop) = (start_of(extents, range.start), start_of(extents, range.end));
    let extent = Extent {
        len: stop - start,
        kind,
    };
    let built = sample_repository::with_pages(&repository, small_frames(), |store| {
        let mut builder = ExtentsBuilder::new();
        walk.take_over(0..start, false, &mut builder, store)?;
        builder.push(extent, store)?;
        walk.take_over(stop..parent.extents.len, true, &mut builder, store)?;
        builder.finish(store)
    });
    let new = [&extents[..range.start], &[extent], &extents[range.end..]].concat();
    (built, new)
}

#[test]
fn an_inner_page_is_not_taken_over_into_the_middle_of_another() {
    // Where inner pages end differs from one repository to the next.
    for seed in 0..5 {
        change_ends_of_inner_pages(seed);
    }
}

fn change_ends_of_inner_pages(seed: u64) {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let old = extents(150_000, &mut Random::new(seed));
    let parent = root(pushed(&repository, &old));
    let mut ends = Vec::new();
    {
        let repository = sample_repository::open(backend.clone());
        let reader = ChunkReader::new(&repository, 0).unwrap();
        let mut cursor = ExtentCursor::new(&reader, &Content::Tree(parent));
        for index in 1..old.len() {
            cursor.next().unwrap();
            if cursor.ahead().is_some_and(|page| page.level == 1) {
                ends.push(index);
            }
        }
    }
    assert!(!ends.is_empty());
    // One extent behind the first inner page: a leaf of its own, and no root.
    let shorter = &old[..ends[0] + 1];
    let (built, new) = taken(&backend, parent, shorter, &[], &|_| true);
    assert_eq!(built, pushed(&repository, &new));
    // Without its last leaf as it was, an inner page goes on where it ended.
    for end in ends {
        let replaced = [end - 1..end];
        let (built, new) = taken(&backend, parent, &old, &replaced, &|_| true);
        assert_eq!(built, pushed(&repository, &new), "{replaced:?}");
    }
}

#[test]
fn lists_of_cuts_differ_where_they_differ_however_many_pages_they_share() {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let mut random = Random::new(10);
    let old: Vec<u64> = (1..60_000).map(|number| number * 5000).collect();
    let stored = |cuts: &[u64]| {
        sample_repository::with_pages(&repository, small_frames(), |store| {
            let mut builder = CutsBuilder::new();
            cuts.iter().try_for_each(|&cut| builder.push(cut, store))?;
            builder.finish(store)
        })
    };
    let parent_cuts = stored(&old).root.map(|root| (root.child.page, root.level));
    for changes in [0, 1, 5, 300] {
        let (mut new, mut expected) = (old.clone(), Vec::new());
        for _ in 0..changes {
            let index = random.below(new.len());
            match random.below(3) {
                0 => drop(new.remove(index)),
                1 => new[index] += 1,
                _ => new.insert(index, new[index] - 7),
            }
        }
        new.dedup();
        let only = |these: &[u64], those: &[u64]| -> Vec<u64> {
            let is_alone = |cut: &u64| those.binary_search(cut).is_err();
            these.iter().copied().filter(is_alone).collect()
        };
        expected.extend(only(&old, &new));
        expected.extend(only(&new, &old));
        expected.sort_unstable();
        let built = stored(&new);
        let opened = sample_repository::open(backend.clone());
        let reader = ChunkReader::new(&opened, 0).unwrap();
        let parent = ParentVolume {
            reader: &reader,
            extents: root(pushed(&repository, &[])),
            cuts: parent_cuts,
            rules: VolumeRules::small(4096, 65_536, Default::default()),
            check_chunks: false,
        };
        backend.reset();
        let differ = cuts_that_differ(&parent, &new, &built.leaves).unwrap();
        assert_eq!(differ, expected);
        let read = backend.tally(Verb::GetRange, Subject::Pack(PackClass::Meta));
        assert!(read.calls <= 6 + 3 * changes, "{changes}: {read:?}");
    }
}

#[test]
fn a_change_in_a_large_manifest_reads_and_writes_a_few_pages_of_it() {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let old = extents(200_000, &mut Random::new(6));
    let parent = root(pushed(&repository, &old));
    assert!(parent.level >= 2);
    backend.reset();
    let (_, new) = taken(&backend, parent, &old, &[100_000..100_001], &|_| true);
    let pages = |verb| backend.tally(verb, Subject::Pack(PackClass::Meta));
    let (read, written) = (pages(Verb::GetRange), pages(Verb::Put));
    assert!(read.calls < 16 && read.bytes < 300_000, "read {read:?}");
    assert!(written.bytes < 1 << 20, "written {written:?}");
    assert_eq!(new.len(), old.len());
}

#[test]
fn a_lost_chunk_is_told_where_its_page_is_opened() {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let old = extents(100, &mut Random::new(7));
    let parent = root(pushed(&repository, &old));
    let victim = old.iter().position(|extent| !extent.kind.merges()).unwrap();
    let repository = sample_repository::open(backend.clone());
    let reader = ChunkReader::new(&repository, 0).unwrap();
    let parent = ParentVolume {
        reader: &reader,
        extents: parent,
        cuts: None,
        rules: VolumeRules::small(4096, 65_536, Default::default()),
        check_chunks: true,
    };
    let lost_id = old[victim].kind;
    let is_stored = |id: &ChunkId| ExtentKind::Chunk(*id) != lost_id;
    let mut walk = ParentWalk::new(&parent, false, &is_stored);
    let start = start_of(&old, victim);
    let lost = sample_repository::with_pages(&repository, small_frames(), |store| {
        let mut builder = ExtentsBuilder::new();
        walk.take_over(0..parent.extents.len, true, &mut builder, store)
    });
    assert_eq!(lost, Some(start..start + old[victim].len));
}

#[test]
fn a_walk_begins_at_any_offset_and_reads_one_path_of_pages() {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let old = extents(200_000, &mut Random::new(8));
    let parent = root(pushed(&repository, &old));
    let repository = sample_repository::open(backend.clone());
    let reader = ChunkReader::new(&repository, 0).unwrap();
    let starts: Vec<u64> = old
        .iter()
        .scan(0, |at, extent| {
            *at += extent.len;
            Some(*at - extent.len)
        })
        .collect();
    for index in [0, 1, 7_777, 100_000, old.len() - 1] {
        for inside in [0, old[index].len - 1] {
            let mut cursor = ExtentCursor::new(&reader, &Content::Tree(parent));
            backend.reset();
            cursor.seek(starts[index] + inside).unwrap();
            let read = backend.tally(Verb::GetRange, Subject::Pack(PackClass::Meta));
            assert!(read.calls <= u64::from(parent.level) + 1, "{read:?}");
            assert_eq!(cursor.offset(), starts[index]);
            for extent in &old[index..old.len().min(index + 300)] {
                match cursor.next().unwrap() {
                    Some(ExtentStep::Extent(found)) => assert_eq!(found, *extent),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    let mut cursor = ExtentCursor::new(&reader, &Content::Tree(parent));
    cursor.seek(parent.len).unwrap();
    assert!(cursor.next().unwrap().is_none());
    assert_eq!(cursor.offset(), parent.len);
}
