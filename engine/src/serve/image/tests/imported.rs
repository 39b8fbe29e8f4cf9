//! What is imported is what a restore of the same files gives, and is stored already.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;
use crate::format::entry::Timestamp;
use crate::format::name::ObjectKind;
use crate::format::snapshot::{Consistency, Snapshot, SnapshotKind};
use crate::observe::{Observer, Problem};
use crate::operations::check::{CheckOptions, check};
use crate::operations::restore::{RestoreOptions, restore};
use crate::operations::snapshot::{
    Changes, ParentChoice, PartSpec, SnapshotOptions, VolumeOptions, VolumePlace, VolumeSpec,
    snapshot_volumes,
};
use crate::repository::Repository;
use crate::serve::image::import;
use crate::serve::image::restore as restore_image;
use crate::serve::{Library, LibraryOptions};
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::targets::folder::FolderTargetOptions;
use crate::testing::sample_repository;

/// A repository with a snapshot of an image.
struct World {
    backend: Arc<MemoryBackend>,
    folder: TempDir,
    snapshot: Snapshot,
}

impl World {
    /// Of the image that `made` makes in a folder.
    fn new(made: impl FnOnce(&TempDir) -> Vec<u8>) -> Self {
        let (backend, folder) = (Arc::new(MemoryBackend::new()), TempDir::new().unwrap());
        let repository = sample_repository::create(backend.clone());
        let image = folder.path().join("disk");
        std::fs::write(&image, made(&folder)).unwrap();
        let part = PartSpec::Volume(VolumeSpec {
            label: "disk0".to_owned(),
            place: VolumePlace::Path(image),
            changes: Changes::Unknown,
        });
        let kind = SnapshotKind::Volume;
        let volumes = VolumeOptions::new(folder.path());
        let taken = snapshot_volumes(&repository, kind, &[part], &volumes, &options(), &());
        let snapshot = taken.unwrap().snapshot;
        Self {
            backend,
            folder,
            snapshot,
        }
    }

    fn open(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }

    fn image(&self) -> Image {
        let options = LibraryOptions {
            memory: 32 << 20,
            threads: 1,
        };
        let library = Library::open(Arc::new(self.open()), options).unwrap();
        let view = library.volume(&self.snapshot.roots[0], None).unwrap();
        Image::open(Arc::new(view), b"disk0").unwrap()
    }

    fn import(&self, at: &str, observer: &dyn Observer) -> Result<Snapshot> {
        let (repository, snapshot) = (self.open(), &self.snapshot);
        let mut image = self.image();
        let made = import(
            &repository,
            snapshot,
            &mut image,
            &path(at),
            &options(),
            observer,
        );
        made.map(|report| report.snapshot)
    }

    /// Restores an imported snapshot, and what it was imported from, beside each other.
    fn both(&self, imported: &Snapshot, at: &str) -> [PathBuf; 2] {
        let targets = ["of snapshot", "of image"].map(|name| self.folder.path().join(name));
        let options = RestoreOptions {
            target: FolderTargetOptions {
                privileged: rustix::process::geteuid().is_root(),
                ..FolderTargetOptions::default()
            },
            ..RestoreOptions::default()
        };
        let report = restore(&self.open(), imported, b"", &targets[0], &options, &()).unwrap();
        assert_eq!(report.problems, 0);
        let mut image = self.image();
        restore_image(&mut image, &path(at), &targets[1], &options, &()).unwrap();
        targets
    }

    fn assert_sound(&self) {
        let options = CheckOptions {
            read_data: true,
            ..CheckOptions::default()
        };
        let report = check(&self.open(), &options, &()).unwrap();
        assert_eq!(report.findings, []);
    }
}

fn options() -> SnapshotOptions {
    let clock = || Timestamp {
        seconds: 1_790_000_000,
        nanoseconds: 0,
    };
    let mut options = SnapshotOptions::new(clock);
    options.parent = ParentChoice::None;
    options.writer.host = "host".to_owned();
    options.tags = vec!["imported".to_owned()];
    options
}

/// Facts of everything below a folder: kind, mode, owner, time, length, and content or target. Files
/// of several names have the first of them as a fact.
fn facts(top: &Path) -> BTreeMap<PathBuf, String> {
    let (mut facts, mut firsts, mut folders) =
        (BTreeMap::new(), BTreeMap::new(), vec![top.to_owned()]);
    let mut all = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                folders.push(path.clone());
            }
            all.push(path);
        }
    }
    all.sort();
    for path in all {
        let there = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(top).unwrap().to_owned();
        let first = firsts.entry(there.ino()).or_insert_with(|| name.clone());
        let held = match there.file_type() {
            kind if kind.is_file() => blake3::hash(&std::fs::read(&path).unwrap()).to_string(),
            kind if kind.is_symlink() => format!("{:?}", path.read_link().unwrap()),
            _ => String::new(),
        };
        let owner = (there.uid(), there.gid());
        let time = (there.mtime(), there.mtime_nsec());
        // How long a folder is, is the affair of the file system that it lies in.
        let (mode, len) = (there.mode(), if there.is_dir() { 0 } else { there.len() });
        let fact = format!("{mode:o} {owner:?} {time:?} {len} {first:?} {held}");
        facts.insert(name, fact);
    }
    facts
}

#[test]
fn an_imported_file_system_restores_as_the_image_does_and_hardly_anything_is_new() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let world = World::new(|folder| made::ext(folder, &[]));
    let imported = world.import("", &()).unwrap();
    let root = &imported.roots[0];
    let origin = format!("{}:disk0", world.snapshot.session).into_bytes();
    assert_eq!((&*root.name, &root.origin), (&b"/disk0"[..], &Some(origin)));
    assert_eq!(imported.kind, SnapshotKind::Folders);
    assert_eq!(imported.consistency, world.snapshot.consistency);
    assert_ne!(imported.consistency, Consistency::Files);
    assert_eq!(
        (&*imported.host, &imported.tags[..]),
        ("host", &["imported".to_owned()][..])
    );
    let totals = imported.totals;
    assert_eq!((imported.problem_count, totals.entries), (0, root.entries));
    assert!(totals.bytes > 8_000_000 && totals.files > 700);
    assert!(totals.new_bytes < totals.bytes / 50, "{totals:?}");
    let [one, other] = world.both(&imported, "");
    assert_eq!(facts(&one), facts(&other));
    let holes = one.join("holes").metadata().unwrap();
    assert!(holes.blocks() * 512 < 300_000, "{}", holes.blocks());
    world.assert_sound();
    let again = world.import("", &()).unwrap();
    assert_eq!(again.roots[0].page, root.page);
    assert_eq!(again.totals.new_bytes, 0);
}

#[test]
fn a_folder_or_a_file_of_any_file_system_is_imported_by_itself() {
    if has_tool("mkfs.btrfs") {
        let world = World::new(made::btrfs);
        let imported = world.import("etc", &()).unwrap();
        assert_eq!(imported.roots[0].name, b"/disk0/etc");
        let [one, other] = world.both(&imported, "etc");
        assert_eq!(facts(&one), facts(&other));
    }
    if !has_tool("mkfs.ext4") {
        return;
    }
    let world = World::new(|folder| made::ext(folder, &["-b", "1024"]));
    let imported = world.import("long", &()).unwrap();
    assert_eq!((imported.totals.entries, imported.totals.files), (1, 1));
    assert_eq!(imported.totals.bytes, 3_000_001);
    let error = world.import("none", &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    world.assert_sound();
}

/// Stops after so many entries.
struct Impatient(std::sync::atomic::AtomicU64);

impl Observer for Impatient {
    fn problem(&self, _: &Problem) {}

    fn is_cancelled(&self) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 300
    }
}

#[test]
fn an_import_that_is_stopped_leaves_no_snapshot_and_nothing_that_is_in_the_way() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let world = World::new(|folder| made::ext(folder, &[]));
    let error = world.import("", &Impatient(0.into())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let count = |kind| world.backend.list(kind).unwrap().len();
    assert_eq!(
        (count(ObjectKind::Snapshot), count(ObjectKind::Intent)),
        (1, 0)
    );
    assert_eq!(world.import("", &()).unwrap().problem_count, 0);
    let [one, other] = world.both(&world.import("", &()).unwrap(), "");
    assert_eq!(facts(&one), facts(&other));
}

/// A small file system with a few of everything; metadata has no checksums.
fn small(folder: &TempDir) -> Vec<u8> {
    let top = folder.path().join("files");
    for number in 0..30 {
        let below = top.join(format!("a/{}", number % 4));
        std::fs::create_dir_all(&below).unwrap();
        let file = below.join(format!("file {number}"));
        std::fs::write(&file, vec![number; 1 + usize::from(number) * 900]).unwrap();
        std::os::unix::fs::symlink(&file, top.join(format!("link {number}"))).unwrap();
        std::fs::hard_link(&file, top.join(format!("other {number}"))).unwrap();
    }
    let image = blank(folder, 4 << 20);
    let options = ["-q", "-F", "-b", "1024", "-O", "^metadata_csum", "-d"];
    run(
        "mkfs.ext4",
        &[&options, &[&*text(&top), &*image][..]].concat(),
    );
    std::fs::read(image).unwrap()
}

#[test]
fn a_damaged_image_is_imported_as_far_as_it_is_read_and_what_is_made_is_sound() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let mut random = crate::testing::random::Random::new(9);
    let (mut imported, mut problems) = (0, 0);
    for _ in 0..12 {
        let world = World::new(|folder| {
            let mut bytes = small(folder);
            for _ in 0..60 {
                let at = 2048 + random.below(1 << 20);
                bytes[at] ^= 1 << random.below(8);
            }
            bytes
        });
        if let Ok(made) = world.import("", &()) {
            imported += 1;
            problems += made.problem_count;
            world.both(&made, "");
        }
        world.assert_sound();
    }
    assert!(imported > 3 && problems > 0, "{imported}, {problems}");
}
