//! Damaged and missing contents: the rest is restored, and nothing is lost in silence.

use std::fs;
use std::ops::Range;
use std::path::Path;

use super::world::Watcher;
use super::world::World;
use super::world::assert_same;
use super::world::mixed_parts;
use super::world::options;
use crate::format::name::PackClass;
use crate::observe::ProblemKind;
use crate::operations::restore_volume::RestoreVolumeOptions;
use crate::operations::restore_volume::RestoreVolumeReport;
use crate::operations::restore_volume::VerifyVolumeOptions;
use crate::operations::restore_volume::restore_volume;
use crate::operations::restore_volume::verify_volume;
use crate::repository::chunks::ChunkReader;
use crate::storage::Backend;
use crate::targets::volume::Existing;
use crate::testing::sample_repository;

/// A volume of which every chunk and page has a frame of its own.
fn world() -> World {
    World::new(&mixed_parts(), sample_repository::small_frames())
}

/// Flips a bit in the stored copy of a chunk or page.
fn damage(world: &World, id: &crate::format::id::ChunkId, class: PackClass) {
    let reader = ChunkReader::new(&world.repository, 0).unwrap();
    let found = reader.locate(id).unwrap();
    let location = found
        .iter()
        .find(|found| found.pack.class == class)
        .unwrap();
    let at = location.frame.offset + u64::from(location.frame.stored_len) / 2;
    sample_repository::flip_bit(&*world.backend, &location.pack.name(), at);
}

fn with_zeros(bytes: &[u8], ranges: &[Range<u64>]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for range in ranges {
        bytes[range.start as usize..range.end as usize].fill(0);
    }
    bytes
}

fn watched(
    world: &World,
    path: &Path,
    options: &RestoreVolumeOptions,
) -> (RestoreVolumeReport, Watcher) {
    let watcher = Watcher::default();
    let report = restore_volume(&world.repository, &world.root, path, options, &watcher);
    (report.unwrap(), watcher)
}

#[test]
fn a_damaged_chunk_is_zeroed_and_named_and_the_rest_is_restored() {
    let world = world();
    let chunks = world.chunks();
    let ranges: Vec<_> = [3, 60]
        .map(|n| chunks[n].0..chunks[n].0 + chunks[n].1)
        .into();
    damage(&world, &chunks[3].2, PackClass::Data);
    damage(&world, &chunks[60].2, PackClass::Data);
    let folder = tempfile::tempdir().unwrap();
    for existing in [Existing::Refuse, Existing::InPlace] {
        let path = folder.path().join(format!("{existing:?}"));
        if existing == Existing::InPlace {
            fs::write(&path, vec![0xA5; world.bytes.len()]).unwrap();
        }
        let mut options = options(existing);
        options.verify = true;
        let (report, watcher) = watched(&world, &path, &options);
        assert_same(
            &fs::read(&path).unwrap(),
            &with_zeros(&world.bytes, &ranges),
        );
        assert_eq!(report.lost.ranges, ranges);
        assert_eq!(report.problems, 2);
        assert!(report.verified.unwrap().is_right(), "all else is right");
        let problems = watcher.problems.into_inner();
        assert_eq!(problems.len(), 2);
        assert!(
            problems
                .iter()
                .all(|problem| problem.kind == ProblemKind::Damaged)
        );
        let words = format!("bytes {}+{} are lost", ranges[0].start, chunks[3].1);
        assert!(problems[0].detail.contains(&words), "{problems:?}");
    }
}

#[test]
fn what_the_target_still_has_is_not_lost_in_place() {
    let world = world();
    let chunks = world.chunks();
    damage(&world, &chunks[3].2, PackClass::Data);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    fs::write(&path, &world.bytes).unwrap();
    let (report, _) = watched(&world, &path, &options(Existing::InPlace));
    assert_eq!((report.problems, report.written), (0, 0));
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
}

#[test]
fn missing_packs_cost_their_chunks_alone() {
    let world = world();
    let reader = ChunkReader::new(&world.repository, 0).unwrap();
    let chunks = world.chunks();
    let gone = reader.locate(&chunks[40].2).unwrap()[0].pack;
    let is_gone = |id| reader.locate(id).unwrap()[0].pack == gone;
    let mut expected: Vec<Range<u64>> = Vec::new();
    for (at, len, _) in chunks.iter().filter(|(_, _, id)| is_gone(id)) {
        match expected.last_mut() {
            Some(last) if last.end == *at => last.end += len,
            _ => expected.push(*at..at + len),
        }
    }
    world.backend.delete(&gone.name()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let (report, watcher) = watched(&world, &path, &options(Existing::Refuse));
    assert_eq!(report.lost.ranges, expected);
    assert_eq!(report.problems, watcher.problems.into_inner().len() as u64);
    assert_same(
        &fs::read(&path).unwrap(),
        &with_zeros(&world.bytes, &expected),
    );
}

#[test]
fn a_lost_page_is_one_lost_range_in_every_view() {
    let world = world();
    damage(&world, &world.root.page, PackClass::Meta);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    fs::write(&path, vec![0xA5; world.bytes.len()]).unwrap();
    let (report, watcher) = watched(&world, &path, &options(Existing::InPlace));
    assert_eq!(report.lost.ranges, [0..world.len()]);
    assert_eq!(watcher.problems.into_inner().len(), 1);
    assert_eq!(report.equal, 0);
    assert!(fs::read(&path).unwrap().iter().all(|&byte| byte == 0));
    let mut in_part = options(Existing::Overwrite);
    in_part.range = Some(100..200);
    let (report, _) = watched(&world, &path, &in_part);
    assert_eq!(report.lost.ranges, [100..200]);
    fs::write(&path, &world.bytes).unwrap();
    let options = VerifyVolumeOptions::default();
    let report = verify_volume(&world.repository, &world.root, &path, &options, &()).unwrap();
    assert!(report.differing.is_empty() && !report.is_right());
    assert_eq!((report.lost.bytes, report.problems), (world.len(), 1));
}

#[test]
fn a_cut_chunk_that_is_lost_says_nothing_about_the_target() {
    let world = world();
    let (at, len, id) = world.chunks()[5];
    damage(&world, &id, PackClass::Data);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.raw");
    let range = at + 1..at + len;
    fs::write(
        &path,
        &world.bytes[range.start as usize..range.end as usize],
    )
    .unwrap();
    let options = VerifyVolumeOptions {
        range: Some(range.clone()),
        ..VerifyVolumeOptions::default()
    };
    let report = verify_volume(&world.repository, &world.root, &path, &options, &()).unwrap();
    assert!(report.differing.is_empty());
    assert_eq!(report.lost.ranges, [range]);
}

#[test]
fn after_a_repair_a_resumed_restore_writes_what_was_lost_alone() {
    let world = world();
    let (at, len, id) = world.chunks()[8];
    damage(&world, &id, PackClass::Data);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let (report, _) = watched(&world, &path, &options(Existing::Refuse));
    assert_eq!(report.lost.ranges, [at..at + len]);
    let journal = report
        .journal
        .expect("a restore with losses can be resumed");
    let mut options = options(Existing::Refuse);
    options.target.resume = true;
    let (again, _) = watched(&world, &path, &options);
    assert_eq!(
        again.lost.ranges,
        [at..at + len],
        "told again while it is lost"
    );
    damage(&world, &id, PackClass::Data); // the same bit: back to what it was
    let (report, watcher) = watched(&world, &path, &options);
    assert_eq!((report.written, report.resumed), (len, world.len() - len));
    assert!(watcher.problems.into_inner().is_empty() && !journal.exists());
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
}
