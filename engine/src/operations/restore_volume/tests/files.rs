//! Restores to files: new ones, existing ones, parts, and what they look like to `du`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::world::Watcher;
use super::world::World;
use super::world::assert_same;
use super::world::options;
use crate::error::ErrorKind;
use crate::format::snapshot::RootType;
use crate::limits::KIB;
use crate::limits::MIB;
use crate::operations::restore_volume::VerifyVolumeOptions;
use crate::operations::restore_volume::restore_volume;
use crate::operations::restore_volume::verify_volume;
use crate::targets::volume::Existing;
use crate::targets::volume::Sparse;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_volume_restores_to_a_new_file_bit_for_bit_and_verifies() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let mut options = options(Existing::Refuse);
    options.verify = true;
    let report = world.restore(&path, &options).unwrap();
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
    assert_eq!(report.len, world.len());
    assert_eq!(report.target_len, world.len());
    assert_eq!(report.problems, 0);
    assert!(report.verified.as_ref().unwrap().is_right());
    assert!(report.lost.is_empty() && report.journal.is_none());
    assert_eq!(names(folder.path()), ["disk.raw"], "no journal remains");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn holes_and_zeros_take_the_space_that_is_asked_for() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let holes = 64 * KIB + 6 * MIB;
    let zeros = 2 * MIB + 64 * KIB - 512;
    let len = world.bytes.len();
    for (sparse, expected) in [
        (Sparse::AsRecorded, len - holes),
        (Sparse::Max, len - holes - zeros),
        (Sparse::None, len),
    ] {
        let path = folder.path().join(format!("{sparse:?}"));
        let mut options = options(Existing::Refuse);
        options.target.sparse = sparse;
        let report = world.restore(&path, &options).unwrap();
        assert_same(&fs::read(&path).unwrap(), &world.bytes);
        let used = fs::metadata(&path).unwrap().blocks() as usize * 512;
        assert!(used.abs_diff(expected) <= 256 * KIB, "{sparse:?}: {used}");
        assert_eq!(report.written as usize, expected, "{sparse:?}");
    }
}

#[test]
fn any_part_of_a_volume_restores_alone() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let (at, len, _) = world.chunks()[10];
    let whole = world.len();
    let parts = [
        0..0,
        0..1,
        at + 5..at + 6,
        at + 1..at + len,
        at..at + len - 1,
        MIB as u64..9 * MIB as u64,
        7 * MIB as u64 + 11..whole - 3,
        whole - 1..whole,
    ];
    for (number, part) in parts.into_iter().enumerate() {
        let path = folder.path().join(number.to_string());
        let expected = &world.bytes[part.start as usize..part.end as usize];
        for existing in [Existing::Refuse, Existing::InPlace] {
            let mut options = options(existing);
            options.range = Some(part.clone());
            options.verify = true;
            let report = world.restore(&path, &options).unwrap();
            assert_same(&fs::read(&path).unwrap(), expected);
            assert!(report.verified.unwrap().is_right(), "{part:?}");
            if existing == Existing::InPlace {
                assert_eq!(report.written, 0, "{part:?}");
                assert_eq!(report.equal, part.end - part.start, "{part:?}");
            }
        }
    }
}

#[test]
fn a_part_outside_of_the_volume_and_a_folder_are_refused() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let mut options = options(Existing::Refuse);
    #[expect(clippy::reversed_empty_ranges, reason = "it is to be refused")]
    for part in [5..world.len() + 1, 9..3] {
        options.range = Some(part);
        let error = world.restore(&path, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("range: "), "{error}");
    }
    let mut root = world.root.clone();
    root.root_type = RootType::Tree;
    let error = restore_volume(&world.repository, &root, &path, &options, &()).unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
    assert!(!path.exists());
}

#[test]
fn an_existing_file_is_taken_only_as_the_caller_says() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    fs::write(&path, "precious").unwrap();
    let error = world
        .restore(&path, &options(Existing::Refuse))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("holds 8 bytes"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let longer = vec![0xA5; world.bytes.len() + 4096];
    for existing in [Existing::Overwrite, Existing::InPlace] {
        fs::write(&path, &longer).unwrap();
        world.restore(&path, &options(existing)).unwrap();
        assert_same(&fs::read(&path).unwrap(), &world.bytes);
    }
    fs::write(&path, "").unwrap();
    world.restore(&path, &options(Existing::Refuse)).unwrap();
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
}

#[test]
fn what_is_no_file_or_is_to_survive_is_refused() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    fs::create_dir(&repository).unwrap();
    let mut options = options(Existing::Overwrite);
    options.target.spare = vec![repository.clone(), folder.path().join("missing")];
    let refused = |path: &Path, words: &str| {
        let error = world.restore(path, &options).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(folder.path(), "neither a regular file nor a block device");
    refused(
        Path::new("/dev/null"),
        "neither a regular file nor a block device",
    );
    refused(&repository.join("packs"), "lies in");
    let pack = repository.join("pack");
    fs::write(&pack, "packed").unwrap();
    refused(&pack, "lies in");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&repository, &link).unwrap();
    refused(&link.join("new"), "lies in");
    let shortcut = folder.path().join("shortcut");
    std::os::unix::fs::symlink(&pack, &shortcut).unwrap();
    refused(&shortcut, "lies in");
    assert_eq!(fs::read(&pack).unwrap(), b"packed");
}

#[test]
fn a_restore_that_cannot_begin_leaves_no_file_behind() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let mut options = options(Existing::Refuse);
    options.state_folder = Some(folder.path().join("missing"));
    let error = world.restore(&path, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_file_that_another_restore_holds_is_busy() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let file = fs::File::create(&path).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let error = world
        .restore(&path, &options(Existing::Overwrite))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
}

#[test]
fn a_flipped_byte_after_the_restore_is_named_by_verify() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    world.restore(&path, &options(Existing::Refuse)).unwrap();
    let verify = |watcher: &Watcher| {
        let options = VerifyVolumeOptions::default();
        verify_volume(&world.repository, &world.root, &path, &options, watcher)
    };
    assert!(verify(&Watcher::default()).unwrap().is_right());
    let mut bytes = world.bytes.clone();
    let in_data = 3 * MIB as u64 + 17;
    let in_hole = 9 * MIB as u64;
    bytes[in_data as usize] ^= 1;
    bytes[in_hole as usize] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let watcher = Watcher::default();
    let report = verify(&watcher).unwrap();
    let ranges = &report.differing.ranges;
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert!(ranges[0].contains(&in_data) && ranges[1].contains(&in_hole));
    assert!(report.differing.bytes < 512 * KIB as u64);
    assert_eq!(report.problems, 2);
    let problems = watcher.problems.into_inner();
    assert_eq!(problems.len(), 2);
    assert!(
        problems[0]
            .detail
            .starts_with(&format!("bytes {}+", ranges[0].start))
    );
    assert_eq!(problems[0].subject, b"/dev/sample");
    assert_same(&fs::read(&path).unwrap(), &bytes);
}

#[test]
fn a_target_of_another_length_is_not_verified() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let verify = || {
        let options = VerifyVolumeOptions::default();
        verify_volume(&world.repository, &world.root, &path, &options, &())
    };
    assert_eq!(verify().unwrap_err().kind(), ErrorKind::NotFound);
    for len in [world.bytes.len() - 1, world.bytes.len() + 1] {
        fs::write(&path, vec![0; len]).unwrap();
        assert_eq!(verify().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_restore_is_stopped_by_its_caller() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let watcher = Watcher {
        stop_after: Some(1),
        ..Watcher::default()
    };
    let options = options(Existing::Refuse);
    let outcome = restore_volume(&world.repository, &world.root, &path, &options, &watcher);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn any_number_of_threads_restores_the_same() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    for threads in [1, 2, 7] {
        let path = folder.path().join(threads.to_string());
        let mut options = options(Existing::Refuse);
        options.budget.threads = threads;
        world.restore(&path, &options).unwrap();
        assert_same(&fs::read(&path).unwrap(), &world.bytes);
    }
}

#[test]
fn a_volume_without_bytes_restores_to_an_empty_file() {
    let world = World::mixed();
    let mut root = world.root.clone();
    root.bytes = 0;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    let options = options(Existing::Refuse);
    let report = restore_volume(&world.repository, &root, &path, &options, &()).unwrap();
    assert_eq!((report.len, fs::metadata(&path).unwrap().len()), (0, 0));
}
