//! Overlays that become snapshots: of whole volumes, of partitions, of one part of a machine.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::ErrorKind;
use crate::format::entry::Timestamp;
use crate::format::retention::Tombstone;
use crate::format::snapshot::{Snapshot, SnapshotKind, Tracking};
use crate::operations::select_volume::select_volume;
use crate::operations::snapshot::{
    Changes, FolderSpec, ParentChoice, PartSpec, SnapshotOptions, VolumeOptions, VolumePlace,
    VolumeSpec, snapshot_volumes,
};
use crate::repository::{Repository, retention};
use crate::serve::overlay::{Overlay, OverlayBase, commit_overlay};
use crate::serve::{Library, LibraryOptions};
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::sample_repository;

const MIB: u64 = 1 << 20;
const LEN: u64 = 24 * MIB;

struct World {
    backend: Arc<MemoryBackend>,
    folder: tempfile::TempDir,
}

impl World {
    /// With an image that has a partition table: one partition from 1 MiB to 9 MiB.
    fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        sample_repository::create(backend.clone());
        let folder = tempfile::tempdir().unwrap();
        let world = Self { backend, folder };
        let image = File::create_new(world.path("disk")).unwrap();
        image.set_len(LEN).unwrap();
        image
            .write_all_at(&Random::new(1).bytes(6 << 20), 2 * MIB)
            .unwrap();
        image
            .write_all_at(&Random::new(2).bytes(1 << 20), LEN - MIB)
            .unwrap();
        image.write_all_at(&mbr_of_one(2048, 16_384), 446).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }

    fn take(&self, kind: SnapshotKind, parts: &[PartSpec]) -> Snapshot {
        let options = SnapshotOptions {
            parent: ParentChoice::None,
            ..options()
        };
        let volumes = self.volumes();
        let report = snapshot_volumes(&self.open(), kind, parts, &volumes, &options, &());
        report.unwrap().snapshot
    }

    fn volumes(&self) -> VolumeOptions {
        VolumeOptions::new(self.folder.path())
    }

    fn library(&self) -> Arc<Library> {
        let options = LibraryOptions {
            memory: 32 << 20,
            threads: 1,
        };
        Library::open(Arc::new(self.open()), options).unwrap()
    }

    /// An overlay in the folder `overlay` with these bytes written at these offsets.
    fn write_over(&self, snapshot: &Snapshot, volume: &str, writes: &[(u64, Vec<u8>)]) -> PathBuf {
        let library = self.library();
        let selected = select_volume(snapshot, volume.as_bytes()).unwrap().unwrap();
        let below = library.volume(selected.root, selected.part()).unwrap();
        let of = OverlayBase {
            repository: library.repository().id().to_string(),
            snapshot: snapshot.session.to_string(),
            volume: volume.into(),
        };
        let path = self.path("overlay");
        let overlay = Overlay::open(&path, &of, Arc::new(below)).unwrap();
        for (offset, bytes) in writes {
            overlay.write_at(*offset, bytes).unwrap();
        }
        path
    }

    fn commit(&self, overlay: &Path) -> crate::Result<Snapshot> {
        let volumes = self.volumes();
        let report = commit_overlay(&self.library(), overlay, &options(), &volumes, &())?;
        Ok(report.snapshot)
    }
}

fn options() -> SnapshotOptions {
    SnapshotOptions::new(|| Timestamp {
        seconds: 1_790_000_000,
        nanoseconds: 0,
    })
}

/// The entry of a table with one partition, its other entries, and its signature.
fn mbr_of_one(first_sector: u32, sectors: u32) -> [u8; 66] {
    let mut entries = [0; 66];
    entries[4] = 0x83;
    entries[8..12].copy_from_slice(&first_sector.to_le_bytes());
    entries[12..16].copy_from_slice(&sectors.to_le_bytes());
    entries[64..].copy_from_slice(&[0x55, 0xAA]);
    entries
}

fn volume(label: &str, path: &Path) -> PartSpec {
    PartSpec::Volume(VolumeSpec {
        label: label.to_owned(),
        place: VolumePlace::Path(path.to_owned()),
        changes: Changes::Unknown,
    })
}

/// What is written at some places of a volume of so many bytes.
fn writes(len: u64) -> Vec<(u64, Vec<u8>)> {
    let mut random = Random::new(9);
    let write = |nth: usize| {
        let bytes = random.bytes(1 + nth * 3_001);
        let offset = random.below((len as usize) - bytes.len()) as u64;
        (offset, bytes)
    };
    (0..25).map(write).collect()
}

#[test]
fn i4_a_committed_overlay_has_the_root_of_a_full_scan_and_reads_little() {
    let world = World::new();
    let disk = world.path("disk");
    let base = world.take(SnapshotKind::Volume, &[volume("disk0", &disk)]);
    let writes = writes(LEN);
    let overlay = world.write_over(&base, "disk0", &writes);
    let committed = world.commit(&overlay).unwrap();

    let image = File::options().write(true).open(&disk).unwrap();
    for (offset, bytes) in &writes {
        image.write_all_at(bytes, *offset).unwrap();
    }
    let scanned = world.take(SnapshotKind::Volume, &[volume("disk0", &disk)]);
    assert_eq!(committed.roots[0].page, scanned.roots[0].page);
    assert_ne!(committed.roots[0].page, base.roots[0].page);
    assert_eq!(committed.parent, Some(base.session));
    assert_eq!(committed.tracking, Tracking::ChangedRanges);
    assert!(
        committed.totals.read_bytes < LEN / 2,
        "{:?}",
        committed.totals
    );
    assert_eq!(committed.roots[0].origin, base.roots[0].origin);
}

#[test]
fn i4_what_was_written_over_a_partition_is_committed_as_the_whole_volume() {
    let world = World::new();
    let disk = world.path("disk");
    let base = world.take(SnapshotKind::Volume, &[volume("disk0", &disk)]);
    let writes = writes(8 * MIB);
    let overlay = world.write_over(&base, "disk0/p1", &writes);
    let committed = world.commit(&overlay).unwrap();
    let image = File::options().write(true).open(&disk).unwrap();
    for (offset, bytes) in &writes {
        image.write_all_at(bytes, MIB + *offset).unwrap();
    }
    let scanned = world.take(SnapshotKind::Volume, &[volume("disk0", &disk)]);
    assert_eq!(committed.roots[0].page, scanned.roots[0].page);
}

#[test]
fn the_other_parts_of_a_machine_are_kept_as_they_are() {
    let world = World::new();
    let disk = world.path("disk");
    std::fs::create_dir(world.path("config")).unwrap();
    std::fs::write(world.path("config/vm.xml"), "<domain/>").unwrap();
    let config = FolderSpec {
        label: "config".to_owned(),
        path: world.path("config"),
    };
    let parts = [
        volume("disk0", &disk),
        volume("disk1", &disk),
        PartSpec::Folder(config),
    ];
    let base = world.take(SnapshotKind::Machine, &parts);
    let overlay = world.write_over(&base, "disk1", &[(5 * MIB, vec![7; 100])]);
    let committed = world.commit(&overlay).unwrap();
    assert_eq!(committed.kind, SnapshotKind::Machine);
    let names = |of: &Snapshot| {
        of.roots
            .iter()
            .map(|root| root.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&committed), names(&base));
    let pages = |of: &Snapshot| of.roots.iter().map(|root| root.page).collect::<Vec<_>>();
    let (new, old) = (pages(&committed), pages(&base));
    assert_eq!((new[0], new[2]), (old[0], old[2]));
    assert_ne!(new[1], old[1]);
    assert_eq!(committed.roots[2], base.roots[2]);
}

#[test]
fn an_overlay_over_what_is_gone_or_elsewhere_is_refused_in_words() {
    let world = World::new();
    let base = world.take(
        SnapshotKind::Volume,
        &[volume("disk0", &world.path("disk"))],
    );
    let overlay = world.write_over(&base, "disk0", &[(0, vec![1])]);
    let other = World::new();
    let error = other.commit(&overlay).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("of the repository"), "{error}");
    let tombstone = Tombstone {
        session: base.session,
        forgotten: Timestamp::default(),
        host: String::new(),
        user: String::new(),
    };
    retention::put_tombstone(&world.open(), &tombstone).unwrap();
    let error = world.commit(&overlay).unwrap_err();
    assert!(error.to_string().contains("undelete"), "{error}");
    assert!(world.commit(&world.path("nothing")).is_err());
}
