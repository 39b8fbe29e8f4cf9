//! Whole disks and their partitions, there and back.

use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::disk::EXT4;
use blockstore_tests::kit::disk::FAT;
use blockstore_tests::kit::disk::HELLO;
use blockstore_tests::kit::disk::allocated;
use blockstore_tests::kit::disk::assert_begins_with;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::disk::disk;
use blockstore_tests::kit::disk::len_of;
use blockstore_tests::kit::disk::mtools;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::can_make;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::workspace::Workspace;
use std::ffi::OsStr;

use crate::scene::assert_sound;
use crate::volumes::MIB;
use crate::volumes::snapshot;
use crate::volumes::volume;

#[test]
fn i1_a_disk_with_four_file_systems_comes_back_bit_for_bit_and_as_sparse() {
    let workspace = Workspace::new();
    let Some(image) = disk(&workspace, "disk.raw") else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let first = snapshot(&repository, &image);
    let found = volume(&first)["partitions"].as_array().unwrap();
    let kinds = found
        .iter()
        .map(|partition| &partition["file_system"]["type"]);
    assert!(kinds.eq(["fat32", "ext4", "ntfs", "btrfs"]), "{found:?}");
    assert_eq!(volume(&first)["partition_table"], "gpt");

    let target = workspace.join("restored.raw");
    repository.restore(&first.id, &target).expect_code(0);
    assert_same_bytes(&image, &target);
    let (source, restored) = (allocated(&image), allocated(&target));
    assert!(restored * 10 <= source * 11, "{restored} of {source}");

    // The same file is in three file systems; cut where it begins and ends, it is stored once.
    let stored = first.number("stored_bytes");
    assert!(stored < source - 12 * MIB, "{stored} of {source}");
    let packs = repository.packs();
    let second = snapshot(&repository, &image);
    assert_eq!(second.root, first.root);
    assert_eq!(second.number("new_bytes"), 0);
    assert_eq!(repository.packs(), packs);
    assert_sound(&repository);
}

#[test]
fn i1_a_device_gives_what_its_image_gives() {
    let workspace = Workspace::new();
    let Some(image) = disk(&workspace, "disk.raw") else {
        return;
    };
    let Some(device) = Loop::attach(&image) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let of_file = snapshot(&repository, &image);
    let of_device = repository.snapshot(&[&device.path()]);
    assert_eq!(volume(&of_device)["medium"]["kind"], "device");
    // A device has no holes, only zeros, and that is recorded: another root, but no new data.
    assert_ne!(of_device.root, of_file.root);
    assert_eq!(of_device.number("new_bytes"), 0);
    let again = repository.snapshot(&[&device.path()]);
    assert_eq!(again.root, of_device.root);

    let target = workspace.join("restored.raw");
    let words: [&dyn AsRef<OsStr>; 5] = [&of_device.id, &"--target", &target, &"--sparse", &"max"];
    repository.run("restore", &words).expect_code(0);
    assert_same_bytes(&image, &target);
    let (source, restored) = (allocated(&image), allocated(&target));
    assert!(restored * 10 <= source * 12, "{restored} of {source}");
    assert_sound(&repository);
}

#[test]
fn i1_a_partition_alone_is_a_sound_file_system() {
    let workspace = Workspace::new();
    let Some(image) = disk(&workspace, "disk.raw") else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    let root = workspace.join("root.ext4");
    let location = taken.below("disk0/p2");
    repository.restore(&location, &root).expect_code(0);
    assert_eq!(len_of(&root), EXT4.end - EXT4.start);
    assert_begins_with(&image, EXT4, &root);
    output("e2fsck", &[&"-f", &"-n", &root]);
    let hello = output("debugfs", &[&"-R", &"cat /hello", &root]);
    assert_eq!(hello, HELLO);

    let esp = workspace.join("esp.fat");
    let location = taken.below("disk0/p1");
    repository.restore(&location, &esp).expect_code(0);
    assert_begins_with(&image, FAT, &esp);
    assert_eq!(output("mcopy", &[&"-i", &esp, &"::/hello", &"-"]), HELLO);
    assert_eq!(
        output("mcopy", &[&"-i", &mtools(&image), &"::/hello", &"-"]),
        HELLO
    );
    let none = repository.restore(&taken.below("disk0/p7"), &workspace.join("none"));
    none.expect_code(1).expect_text("p7");
}

#[test]
fn i1_a_file_system_without_a_partition_table_comes_back_bit_for_bit() {
    if !can_make(&["mkfs.xfs"]) {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.join("xfs.raw");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(320 * MIB).unwrap();
    output("mkfs.xfs", &[&"-q", &image]);
    {
        let Some(device) = Loop::attach(&image) else {
            return;
        };
        let Some(mounted) = Mounted::device(&workspace, "mounted", device.path()) else {
            return;
        };
        let bytes = random_bytes(5, "xfs", 5 << 20);
        std::fs::write(mounted.path().join("file"), bytes).unwrap();
        mounted.unmount();
    }
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    assert_eq!(volume(&taken)["file_system"]["type"], "xfs");
    let target = workspace.join("restored.raw");
    repository.restore(&taken.id, &target).expect_code(0);
    assert_same_bytes(&image, &target);
    output("xfs_repair", &[&"-n", &"-f", &target]);
}

#[test]
fn i7_a_machine_is_its_disks_and_its_files_in_one_snapshot() {
    let workspace = Workspace::new();
    let repository = TestRepository::init(&workspace);
    let bytes = random_bytes(6, "machine", 3 << 20);
    let disk = workspace.file("vm.raw", &bytes);
    workspace.file("settings/vm.conf", "memory 512\n");
    let settings = workspace.join("settings");
    let part = |label: &str, path: &std::path::Path| format!("{label}={}", path.display());
    let (disk0, config) = (part("disk0", &disk), part("config", &settings));
    let taken = repository.snapshot(&[&"--machine", &"vm1", &disk0, &config]);
    assert_eq!(taken.json["roots"].as_array().unwrap().len(), 2);
    let target = workspace.join("restored.raw");
    repository
        .restore(&taken.below("disk0"), &target)
        .expect_code(0);
    assert_same_bytes(&disk, &target);
    let folder = workspace.join("restored");
    repository
        .restore(&taken.below("config"), &folder)
        .expect_code(0);
    Comparer::default().assert_equal(&settings, &folder);

    // All or nothing: a part that is missing makes no snapshot of the others.
    let gone = part("disk1", &workspace.join("gone.raw"));
    let refused = repository.run("snapshot", &[&"--machine", &"vm2", &disk0, &gone]);
    refused.expect_code(1).expect_text("gone.raw");
    let listed = repository.run("snapshots", &[]).expect_code(0);
    assert!(!listed.mentions("vm2"), "{}", listed.stdout);
}
