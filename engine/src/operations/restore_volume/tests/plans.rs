//! Where a walk begins, and how much is planned at once.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::world::World;
use super::world::mixed_parts;
use super::world::options;
use super::world::small_windows;
use crate::format::entry::Content;
use crate::format::entry::Extent;
use crate::format::entry::ExtentKind;
use crate::format::entry::ExtentsRoot;
use crate::format::id::ChunkId;
use crate::format::name::PackClass;
use crate::format::snapshot::Root;
use crate::limits::MIB;
use crate::operations::restore_volume::plan::Planner;
use crate::operations::restore_volume::restore_volume;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::ExtentCursor;
use crate::repository::manifest::content::ExtentStep;
use crate::repository::manifest::extents::ContentBuilder;
use crate::repository::session::SessionOptions;
use crate::storage::memory::MemoryBackend;
use crate::targets::volume::Existing;
use crate::testing::random::Random;
use crate::testing::recording_backend::RecordingBackend;
use crate::testing::recording_backend::Subject;
use crate::testing::recording_backend::Verb;
use crate::testing::sample_repository;

fn content_of(root: &Root) -> Content {
    Content::Tree(ExtentsRoot {
        len: root.bytes,
        page: root.page,
        level: root.level,
    })
}

#[test]
fn a_walk_begins_with_the_extent_that_holds_the_first_wanted_byte() {
    let world = World::mixed();
    let reader = ChunkReader::new(&world.repository, MIB).unwrap();
    let extents = world.extents();
    for (number, (at, extent)) in extents.iter().enumerate() {
        for from in [*at, at + 1, at + extent.len - 1] {
            let content = content_of(&world.root);
            let mut cursor = ExtentCursor::new(&reader, &content);
            cursor.seek(from).unwrap();
            for (expected_at, expected) in &extents[number..extents.len().min(number + 3)] {
                match cursor.next().unwrap() {
                    Some(ExtentStep::Extent(found)) if from < expected_at + expected.len => {
                        assert_eq!(found, *expected, "from {from}");
                        assert_eq!(cursor.offset(), expected_at + expected.len);
                    }
                    step => panic!("{step:?}"),
                }
            }
        }
    }
    let mut behind = ExtentCursor::new(&reader, &content_of(&world.root));
    behind.seek(world.len()).unwrap();
    assert!(behind.next().unwrap().is_none());
}

#[test]
fn pages_before_the_first_wanted_byte_are_not_read() {
    let backend = RecordingBackend::new(MemoryBackend::new());
    let world = World::on(backend.into(), &mixed_parts(), SessionOptions::default());
    let root = many_extents(&world);
    let pages_read = |from| {
        let reader = ChunkReader::new(&world.repository, 0).unwrap();
        // Finds the packs of the pages, which no index run knows.
        reader.page(&root.page).unwrap();
        world.backend.reset();
        let mut cursor = ExtentCursor::new(&reader, &content_of(&root));
        cursor.seek(from).unwrap();
        while cursor.next().unwrap().is_some() {}
        let subject = Subject::Pack(PackClass::Meta);
        world.backend.tally(Verb::GetRange, subject).calls
    };
    let (all, last) = (pages_read(0), pages_read(root.bytes - 1));
    assert!(
        all > 20 && last < 5,
        "{all} pages, {last} for the last byte"
    );
}

/// A volume of 20,000 short chunks that nobody stored.
fn many_extents<B: crate::storage::Backend>(world: &World<B>) -> Root {
    let mut random = Random::new(3);
    let mut extent = |len| Extent {
        len,
        kind: ExtentKind::Chunk(ChunkId(std::array::from_fn(|_| random.below(256) as u8))),
    };
    root_of(
        world,
        (0..20_000).map(|number| extent(1 + number % 3)).collect(),
    )
}

fn root_of<B: crate::storage::Backend>(world: &World<B>, extents: Vec<Extent>) -> Root {
    let options = SessionOptions {
        frame_len_target: 1,
        ..SessionOptions::default()
    };
    let content = sample_repository::with_pages(&world.repository, options, |store| {
        let mut builder = ContentBuilder::default();
        for extent in extents {
            builder.push(extent, store)?;
        }
        builder.finish(store)
    });
    let Content::Tree(tree) = content else {
        panic!("a list is not long enough");
    };
    Root {
        page: tree.page,
        level: tree.level,
        bytes: tree.len,
        ..world.root.clone()
    }
}

#[test]
fn windows_follow_each_other_and_stay_within_memory_and_a_checkpoint() {
    let world = World::mixed();
    let reader = ChunkReader::new(&world.repository, MIB).unwrap();
    let range = 12_345..world.len() - 777;
    let mut planner = Planner::new(&reader, &world.root, range.clone(), small_windows());
    let (mut at, mut count) = (range.start, 0);
    while let Some(window) = planner.next().unwrap() {
        assert_eq!(window.range.start, at);
        let data: u64 = window.pieces.iter().map(|piece| u64::from(piece.len)).sum();
        let zeros: u64 = window
            .fills
            .iter()
            .map(|fill| fill.range.end - fill.range.start)
            .sum();
        assert_eq!(data + zeros, window.range.end - window.range.start);
        assert!(data <= 2 * MIB as u64 + 256 * 1024, "{data}");
        (at, count) = (window.range.end, count + 1);
    }
    assert_eq!(at, range.end);
    assert!(count > 5);
}

#[test]
fn a_volume_of_a_tebibyte_of_holes_costs_nothing() {
    let world = World::mixed();
    let mut extents: Vec<Extent> = world
        .extents()
        .into_iter()
        .map(|(_, extent)| extent)
        .collect();
    let (len, kind) = (1 << 40, ExtentKind::Hole);
    extents.insert(3, Extent { len, kind });
    let root = root_of(&world, extents);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    for existing in [Existing::Refuse, Existing::InPlace] {
        let mut options = options(existing);
        options.verify = true;
        let repository = sample_repository::open(world.backend.clone());
        let report = restore_volume(&repository, &root, &path, &options, &()).unwrap();
        assert!(report.verified.unwrap().is_right());
        assert_eq!(report.len, world.len() + len);
        let stat = fs::metadata(&path).unwrap();
        assert_eq!(stat.len(), world.len() + len);
        assert!(stat.blocks() * 512 < world.len());
    }
}
