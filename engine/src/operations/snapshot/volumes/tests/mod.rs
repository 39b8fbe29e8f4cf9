//! Snapshots of image files: whole, by lists of changes, as machines, and of files that move.

mod faults;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;
use crate::error::{ErrorKind, Result};
use crate::format::entry::Timestamp;
use crate::format::snapshot::{Consistency, Snapshot, SnapshotKind, Tracking};
use crate::observe::{Counter, Observer};
use crate::operations::merge::{MergeOptions, merge};
use crate::operations::restore_volume::{RestoreVolumeOptions, restore_volume};
use crate::operations::snapshot::{Changes, ParentChoice, SnapshotOptions, snapshot_volumes};
use crate::repository::{Repository, snapshots};
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::sample_repository;

const MIB: u64 = 1 << 20;
const LEN: u64 = 20 * MIB + 512;

struct World {
    backend: Arc<MemoryBackend>,
    repository: Repository,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        Self {
            repository: sample_repository::create(backend.clone()),
            backend,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An image with data at both ends and a hole between.
    fn image(&self, name: &str) -> File {
        let file = File::create_new(self.path(name)).unwrap();
        file.set_len(LEN).unwrap();
        file.write_all_at(&Random::new(1).bytes(3 << 20), 0)
            .unwrap();
        file.write_all_at(&Random::new(2).bytes(MIB as usize), LEN - MIB)
            .unwrap();
        file
    }

    fn list(&self, ranges: &[(u64, u64)]) -> PathBuf {
        let entry = |(start, len): &(u64, u64)| {
            format!(r#"{{"offset": {start}, "length": {len}, "type": 1, "description": "dirty"}}"#)
        };
        let entries: Vec<_> = ranges.iter().map(entry).collect();
        let path = self.path("list.json");
        std::fs::write(&path, format!("[{}]", entries.join(","))).unwrap();
        path
    }

    fn take(&self, parts: &[PartSpec], observer: &dyn Observer) -> Result<Snapshot> {
        let kind = match parts.len() {
            1 => SnapshotKind::Volume,
            _ => SnapshotKind::Machine,
        };
        self.take_with(kind, parts, ParentChoice::Newest, observer)
    }

    fn take_with(
        &self,
        kind: SnapshotKind,
        parts: &[PartSpec],
        parent: ParentChoice,
        observer: &dyn Observer,
    ) -> Result<Snapshot> {
        let repository = sample_repository::open(self.backend.clone());
        take_into(self, &repository, kind, parts, parent, observer)
    }

    /// The bytes of the volume that is root `index`, restored.
    fn restored(&self, snapshot: &Snapshot, index: usize) -> Vec<u8> {
        let target = self.path("restored");
        let _ = std::fs::remove_file(&target);
        let options = RestoreVolumeOptions::default();
        let root = &snapshot.roots[index];
        let repository = sample_repository::open(self.backend.clone());
        let report = restore_volume(&repository, root, &target, &options, &()).unwrap();
        assert_eq!(report.problems, 0);
        std::fs::read(&target).unwrap()
    }
}

/// A second later each time.
fn ticking() -> Timestamp {
    static SECONDS: AtomicI64 = AtomicI64::new(0);
    Timestamp {
        seconds: SECONDS.fetch_add(1, Ordering::Relaxed),
        nanoseconds: 0,
    }
}

/// Takes a snapshot into any repository.
fn take_into(
    world: &World,
    repository: &Repository,
    kind: SnapshotKind,
    parts: &[PartSpec],
    parent: ParentChoice,
    observer: &dyn Observer,
) -> Result<Snapshot> {
    let mut options = SnapshotOptions::new(ticking);
    options.parent = parent;
    let volumes = VolumeOptions::new(world.folder.path());
    let report = snapshot_volumes(repository, kind, parts, &volumes, &options, observer)?;
    Ok(report.snapshot)
}

fn volume(label: &str, path: &Path, changed_ranges: Option<PathBuf>) -> PartSpec {
    PartSpec::Volume(VolumeSpec {
        label: label.to_owned(),
        place: VolumePlace::Path(path.to_owned()),
        changes: changed_ranges.map_or(Changes::Unknown, Changes::List),
    })
}

#[test]
fn i1_an_image_comes_back_and_says_where_it_came_from() {
    let world = World::new();
    world.image("disk");
    let path = world.path("disk");
    let snapshot = world.take(&[volume("disk0", &path, None)], &()).unwrap();
    assert_eq!(world.restored(&snapshot, 0), std::fs::read(&path).unwrap());
    let root = &snapshot.roots[0];
    assert_eq!((root.name.as_slice(), root.bytes), (&b"disk0"[..], LEN));
    assert_eq!(
        root.origin.as_deref(),
        Some(path.as_os_str().as_encoded_bytes())
    );
    let info = root.volume.as_ref().unwrap();
    assert_eq!(
        (info.medium.kind.as_str(), info.tracking),
        ("file", Tracking::Full)
    );
    assert_eq!(snapshot.consistency, Consistency::Crash);
    // The hole was not read.
    assert!(snapshot.totals.read_bytes < 6 * MIB);
    let stored = snapshots::read(&world.repository, snapshot.session).unwrap();
    assert_eq!(stored, snapshot);
}

#[test]
fn i4_a_list_of_changes_gives_the_root_of_a_full_scan() {
    let world = World::new();
    let file = world.image("disk");
    let path = world.path("disk");
    let first = world.take(&[volume("disk0", &path, None)], &()).unwrap();
    file.write_all_at(b"changed", 2 * MIB + 77).unwrap();
    file.write_all_at(b"once a hole", 9 * MIB).unwrap();
    let list = world.list(&[(9 * MIB, 4096), (2 * MIB, 4096)]);
    let second = world
        .take(&[volume("disk0", &path, Some(list))], &())
        .unwrap();
    let info = second.roots[0].volume.as_ref().unwrap();
    assert_eq!(
        info.tracking,
        Tracking::ChangedRanges,
        "{}",
        info.tracking_reason
    );
    assert_eq!(second.parent, Some(first.session));
    assert!(
        second.totals.read_bytes < 2 * MIB,
        "{}",
        second.totals.read_bytes
    );
    let parts = [volume("disk0", &path, None)];
    let full = world
        .take_with(SnapshotKind::Volume, &parts, ParentChoice::None, &())
        .unwrap();
    assert_eq!(second.roots[0].page, full.roots[0].page);
    assert_eq!(world.restored(&second, 0), std::fs::read(&path).unwrap());
}

#[test]
fn an_empty_list_reads_nothing_and_keeps_the_root() {
    let world = World::new();
    world.image("disk");
    let path = world.path("disk");
    let first = world.take(&[volume("disk0", &path, None)], &()).unwrap();
    let list = world.list(&[]);
    let second = world
        .take(&[volume("disk0", &path, Some(list))], &())
        .unwrap();
    assert_eq!(second.totals.read_bytes, 0);
    assert_eq!(second.totals.new_chunks, 0);
    assert_eq!(second.roots[0].page, first.roots[0].page);
}

#[test]
fn a_list_without_an_earlier_snapshot_of_that_place_is_not_used() {
    let world = World::new();
    world.image("disk");
    world.image("other");
    world
        .take(&[volume("disk0", &world.path("other"), None)], &())
        .unwrap();
    let list = world.list(&[]);
    let path = world.path("disk");
    let snapshot = world
        .take(&[volume("disk0", &path, Some(list))], &())
        .unwrap();
    assert_eq!(snapshot.tracking, Tracking::Full);
    assert!(snapshot.tracking_reason.contains("no earlier snapshot"));
    assert_eq!(world.restored(&snapshot, 0), std::fs::read(&path).unwrap());
}

#[test]
fn a_list_does_not_begin_at_a_volume_of_another_place_or_kind() {
    let world = World::new();
    world.image("a");
    world.image("b").write_all_at(b"another", 0).unwrap();
    let part = |name: &str, list| volume("disk0", &world.path(name), list);
    let take = |kind, part: PartSpec| {
        let parts = std::slice::from_ref(&part);
        world.take_with(kind, parts, ParentChoice::Newest, &())
    };
    let machine = take(SnapshotKind::Machine, part("a", None)).unwrap();
    take(SnapshotKind::Volume, part("b", None)).unwrap();
    let list = world.list(&[]);
    let again = take(SnapshotKind::Machine, part("a", Some(list.clone()))).unwrap();
    assert_eq!(again.parent, Some(machine.session));
    assert_eq!(again.roots[0].page, machine.roots[0].page);
    let moved = take(SnapshotKind::Machine, part("b", Some(list))).unwrap();
    assert_eq!((moved.parent, moved.tracking), (None, Tracking::Full));
    let bytes = std::fs::read(world.path("b")).unwrap();
    assert_eq!(world.restored(&moved, 0), bytes);
}

#[test]
fn a_list_does_not_begin_at_a_merge_of_older_states() {
    let world = World::new();
    let file = world.image("disk");
    let path = world.path("disk");
    let mut states = Vec::new();
    for state in [b"1", b"2", b"3"] {
        file.write_all_at(state, MIB).unwrap();
        states.push(world.take(&[volume("disk0", &path, None)], &()).unwrap());
    }
    let repository = sample_repository::open(world.backend.clone());
    let options = MergeOptions::new(ticking);
    merge(&repository, &states[..2], &options, &()).unwrap();
    let list = world.list(&[]);
    let taken = world
        .take(&[volume("disk0", &path, Some(list))], &())
        .unwrap();
    assert_eq!(world.restored(&taken, 0), std::fs::read(&path).unwrap());
    assert_ne!(taken.roots[0].page, states[1].roots[0].page);
}

#[test]
fn a_list_does_not_begin_at_a_snapshot_of_a_time_to_come() {
    let world = World::new();
    world.image("disk");
    let path = world.path("disk");
    let mut options = SnapshotOptions::new(|| Timestamp {
        seconds: i64::MAX / 2,
        nanoseconds: 0,
    });
    options.parent = ParentChoice::None;
    let volumes = VolumeOptions::new(world.folder.path());
    let parts = [volume("disk0", &path, None)];
    let repository = sample_repository::open(world.backend.clone());
    let kind = SnapshotKind::Volume;
    snapshot_volumes(&repository, kind, &parts, &volumes, &options, &()).unwrap();
    let list = world.list(&[]);
    let taken = world
        .take(&[volume("disk0", &path, Some(list))], &())
        .unwrap();
    assert_eq!(taken.tracking, Tracking::Full);
    assert!(
        taken.tracking_reason.contains("clock"),
        "{}",
        taken.tracking_reason
    );
}

#[test]
fn a_machine_is_all_of_its_parts_or_nothing() {
    let world = World::new();
    world.image("a");
    world.image("b");
    std::fs::write(world.path("vm.conf"), b"memory: 4096").unwrap();
    let config = PartSpec::Folder(FolderSpec {
        label: "config".to_owned(),
        path: world.path("vm.conf"),
    });
    let disk = |label, name: &str| volume(label, &world.path(name), None);
    let parts = [disk("disk0", "a"), disk("disk1", "missing"), config.clone()];
    let error = world.take(&parts, &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let none = snapshots::list(&world.repository).unwrap().snapshots;
    assert!(none.is_empty());
    let parts = [disk("disk0", "a"), disk("disk1", "b"), config];
    let snapshot = world.take(&parts, &()).unwrap();
    assert_eq!(snapshot.kind, SnapshotKind::Machine);
    let names: Vec<_> = snapshot.roots.iter().map(|root| &root.name[..]).collect();
    assert_eq!(names, [&b"disk0"[..], b"disk1", b"config"]);
    assert_eq!(snapshot.roots[0].page, snapshot.roots[1].page);
    let origin = snapshot.roots[2].origin.as_deref();
    assert_eq!(
        origin,
        Some(world.path("vm.conf").as_os_str().as_encoded_bytes())
    );
}

#[test]
fn labels_that_could_be_taken_for_something_else_are_refused() {
    let world = World::new();
    world.image("disk");
    let path = world.path("disk");
    for label in ["", "a/b", "a:b", ".x", "a b", "é", &"a".repeat(65)] {
        let error = world.take(&[volume(label, &path, None)], &()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{label}");
    }
    let twice = [volume("a", &path, None), volume("a", &path, None)];
    let error = world.take(&twice, &()).unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

/// Does something to a file once bytes of it were read.
struct Meddler<'m> {
    done: AtomicBool,
    act: &'m (dyn Fn() + Send + Sync),
}

impl Observer for Meddler<'_> {
    fn count(&self, counter: Counter, _by: u64) {
        if counter == Counter::BytesRead && !self.done.swap(true, Ordering::Relaxed) {
            (self.act)();
        }
    }
}

#[test]
fn i10_an_image_that_is_written_while_it_is_read_is_smeared_and_says_so() {
    let world = World::new();
    let file = world.image("disk");
    let act = || file.write_all_at(b"now", 0).unwrap();
    let meddler = Meddler {
        done: AtomicBool::new(false),
        act: &act,
    };
    let parts = [volume("disk0", &world.path("disk"), None)];
    let snapshot = world.take(&parts, &meddler).unwrap();
    assert_eq!(snapshot.consistency, Consistency::Smeared);
    assert_eq!(snapshot.problem_count, 1);
    assert_eq!(world.restored(&snapshot, 0).len() as u64, LEN);
}

#[test]
fn an_image_that_is_cut_off_or_grows_while_it_is_read_gives_no_snapshot() {
    for len in [MIB, LEN + 1] {
        let world = World::new();
        let file = world.image("disk");
        let act = || file.set_len(len).unwrap();
        let meddler = Meddler {
            done: AtomicBool::new(false),
            act: &act,
        };
        let parts = [volume("disk0", &world.path("disk"), None)];
        let error = world.take(&parts, &meddler).unwrap_err();
        let place = world.path("disk").display().to_string();
        assert!(error.to_string().contains(&place) || len < LEN, "{error}");
        assert!(
            snapshots::list(&world.repository)
                .unwrap()
                .snapshots
                .is_empty()
        );
    }
}
