//! Files inside volumes, beside the volumes: what the kernel's own mount of them shows, and no harm from
//! volumes that somebody made to do some.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::disk;
use blockstore_tests::kit::fuse;
use blockstore_tests::kit::fuse::Snapshots;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::mount::FileSystem;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::installed;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::workspace::Workspace;

use crate::mounted::mounted;
use crate::mounted::names;
use crate::mounted::point;

const MIB: usize = 1 << 20;
/// What is read at once: the whole of it fails if a part does.
const WINDOW: usize = 32 << 10;
/// Images that one mount has open.
const IMAGES_OPEN_MAX: usize = 8;

/// An image of an ext4 with the files of a folder in the workspace; nothing where there is no FUSE, or
/// no program that makes it.
fn ext4(workspace: &Workspace, source: &Path, mib: u64) -> Option<PathBuf> {
    if !fuse::is_there() || installed("mkfs.ext4").is_none() {
        return None;
    }
    let image = workspace.join("volume.img");
    let file = File::create(&image).unwrap();
    file.set_len(mib << 20).unwrap();
    let words: [&dyn AsRef<std::ffi::OsStr>; 5] = [&"-q", &"-F", &"-d", &source, &image];
    output("mkfs.ext4", &words);
    Some(image)
}

#[test]
fn i1_files_in_partitions_are_what_a_mount_of_them_shows() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let Some(image) = disk::disk(&workspace, "disk.img") else {
        return;
    };
    disk::fill(&workspace, &image);
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &image]);
    let mount = mounted(&workspace, &repository, &taken);
    let inside = mount.path().join("disk0");
    assert_eq!(names(&inside), ["p1", "p2", "p3", "p4"]);
    for partition in ["p1", "p2", "p3", "p4"] {
        let hello = std::fs::read_to_string(inside.join(partition).join("hello")).unwrap();
        assert_eq!(hello, disk::HELLO, "{partition}");
    }
    let shared = random_bytes(1, "shared", 8 * MIB);
    for partition in ["p2", "p3", "p4"] {
        let found = std::fs::read(inside.join(partition).join("shared")).unwrap();
        assert!(found == shared, "{partition}");
    }
    for (partition, range) in [("p2", disk::EXT4), ("p4", disk::BTRFS)] {
        let Some(device) = Loop::read_only_part(&image, &range) else {
            return;
        };
        let Some(expected) = Mounted::read_only(&workspace, partition, device.path()) else {
            return;
        };
        let comparer = Comparer::default().without_hole_maps();
        comparer.assert_equal(expected.path(), &inside.join(partition));
        expected.unmount();
    }
    // The same by the path that other commands take.
    let listed = repository.run("ls", &[&taken.below("disk0/p2/a")]);
    assert!(listed.expect_code(0).mentions("disk0/p2/a/link"));
    mount.end().expect_code(0);
}

#[test]
fn i1_files_of_an_xfs_are_what_a_mount_of_it_shows() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let Some(made) = Mounted::new(&workspace, "made", FileSystem::XFS) else {
        return;
    };
    disk::fill_folder(made.path());
    made.unmount();
    let image = workspace.join("made.xfs");
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &image]);
    let mount = mounted(&workspace, &repository, &taken);
    let Some(device) = Loop::read_only(&image) else {
        return;
    };
    let Some(expected) = Mounted::read_only(&workspace, "expected", device.path()) else {
        return;
    };
    // What is reserved is a hole to the kernel until somebody reads it.
    let comparer = Comparer::default().without_hole_maps();
    comparer.assert_equal(expected.path(), &mount.path().join("disk0"));
    expected.unmount();
    mount.end().expect_code(0);
}

#[test]
fn where_there_are_no_files_a_text_says_why() {
    if !fuse::is_there() || installed("sfdisk").is_none() {
        return;
    }
    let workspace = Workspace::new();
    let image = disk::random_disk(&workspace, "disk.img", disk::DISK_LEN, MIB);
    let swap = workspace.join("swap.img");
    let mut bytes = vec![0; MIB];
    bytes[4086..4096].copy_from_slice(b"SWAPSPACE2");
    std::fs::write(&swap, bytes).unwrap();
    let repository = TestRepository::init(&workspace);
    let parts = [("disk0", &image), ("disk1", &swap)];
    let [disk0, disk1] = parts.map(|(label, path)| format!("{label}={}", path.display()));
    let taken = repository.snapshot(&[&"--machine", &"web", &disk0, &disk1]);
    let mount = mounted(&workspace, &repository, &taken);
    let read = |path: &str| std::fs::read_to_string(mount.path().join(path)).unwrap();
    assert!(read("disk0/p2.txt").starts_with("disk0/p2: holds no file system that is known"));
    assert_eq!(
        read("disk1.txt"),
        "disk1: holds swap space (swap), which has no files\n"
    );
    assert!(!mount.path().join("disk1").exists());
    assert!(mount.path().join("disk1.raw").exists());
    mount.end().expect_code(0);
}

#[test]
fn names_that_lead_elsewhere_are_left_out_and_told() {
    let workspace = Workspace::new();
    for name in ["harmful", "good"] {
        workspace.file(&format!("source/{name}"), "x");
    }
    let Some(image) = ext4(&workspace, &workspace.join("source"), 8) else {
        return;
    };
    let mut bytes = std::fs::read(&image).unwrap();
    let places: Vec<_> = (0..bytes.len() - 7)
        .filter(|&place| &bytes[place..place + 7] == b"harmful")
        .collect();
    for place in places {
        bytes[place..place + 7].copy_from_slice(b"../../x");
    }
    std::fs::write(&image, bytes).unwrap();
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &image]);
    let mount = mounted(&workspace, &repository, &taken);
    let inside = mount.path().join("disk0");
    assert_eq!(names(&inside), ["good", "lost+found"]);
    assert_eq!(names(mount.path()), ["disk0", "disk0.raw"]);
    let outcome = mount.end();
    let problems = outcome.json()["problems"].clone();
    assert_eq!(problems.as_array().unwrap().len(), 1, "{problems}");
    assert!(
        problems[0].to_string().contains("no file here can have"),
        "{problems}"
    );
}

#[test]
fn readers_of_files_inside_that_are_killed_harm_nobody() {
    let workspace = Workspace::new();
    let large = random_bytes(5, "large", 24 * MIB);
    workspace.file("source/large", &large);
    let Some(image) = ext4(&workspace, &workspace.join("source"), 40) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &image]);
    let mount = mounted(&workspace, &repository, &taken);
    let path = mount.path().join("disk0/large");
    for round in 0..8 {
        let reader = Command::new("cat").arg(&path).stdout(Stdio::null()).spawn();
        let mut reader = reader.unwrap();
        std::thread::sleep(Duration::from_millis(5 * round));
        reader.kill().unwrap();
        reader.wait().unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == large);
    mount.end().expect_code(0);
}

#[test]
fn i3_i10_a_flipped_byte_is_an_error_of_the_file_inside_that_it_is_in() {
    let workspace = Workspace::new();
    let large = random_bytes(6, "large", 24 * MIB);
    workspace.file("source/large", &large);
    workspace.file("source/small", "whole");
    let Some(image) = ext4(&workspace, &workspace.join("source"), 40) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &image]);
    let packs = repository.packs().into_iter();
    let packs = packs.filter(|(path, _)| path.extension().is_some_and(|kind| kind == "data"));
    let (pack, len) = packs.max_by_key(|(_, len)| *len).unwrap();
    flip(&pack, len / 2);

    let mount = mounted(&workspace, &repository, &taken);
    let inside = mount.path().join("disk0");
    let file = File::open(inside.join("large")).unwrap();
    let mut lost = 0;
    for (index, expected) in large.chunks(WINDOW).enumerate() {
        let mut window = vec![0; expected.len()];
        match file.read_exact_at(&mut window, (index * WINDOW) as u64) {
            Ok(()) => assert!(window == expected, "window {index}"),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(5), "{error}");
                lost += 1;
            }
        }
    }
    // What a byte costs is the frame that it was in, of 1 MiB, and what was asked for with it.
    assert!(
        (1..=2 * MIB / WINDOW).contains(&lost),
        "{lost} windows are lost"
    );
    assert_eq!(
        std::fs::read_to_string(inside.join("small")).unwrap(),
        "whole"
    );
    let summary = mount.end().expect_code(3).json();
    let told = summary["problems"][0]["path"].as_str().unwrap().to_owned();
    assert!(told.ends_with("disk0/large"), "{told}");
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn of_all_snapshots_whose_volumes_are_entered_few_are_open() {
    let workspace = Workspace::new();
    workspace.file("source/file", "content");
    let Some(image) = ext4(&workspace, &workspace.join("source"), 8) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let ids: Vec<_> = (0..3 * IMAGES_OPEN_MAX)
        .map(|_| repository.snapshot(&[&"--volume", &image]).id)
        .collect();
    let mount = Snapshots::mount(&repository, &[&"--all"], &point(&workspace));
    let before = mount.threads();
    for id in &ids {
        let path = mount.path().join("ids").join(id).join("disk0/file");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "content");
        // Those that serve the kernel may have begun later than the mount was there.
        let more = mount.threads().saturating_sub(before);
        assert!(more < 2 * IMAGES_OPEN_MAX, "{more} threads more");
    }
    let path = mount.path().join("hosts");
    assert_eq!(names(&path).len(), 1);
    mount.end().expect_code(0);
}
