//! Logical volumes in disks, read without a device mapper.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use blockstore_tests::kit::disk::HELLO;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::lvm;
use blockstore_tests::kit::lvm::ROOT_LEN;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::installed;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::workspace::Workspace;
use serde_json::Value;

use crate::volumes::snapshot;

#[test]
fn i3_files_of_a_logical_volume_over_two_disks_are_read_found_and_restored() {
    let workspace = Workspace::new();
    let Some(group) = lvm::group(&workspace) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = group.snapshot(&repository);
    for member in ["disk0/p2", "disk1"] {
        let at = |path: &str| taken.below(format!("{member}/vg0/root{path}"));
        let cat = repository.run("cat", &[&at("/hello")]).expect_code(0);
        assert_eq!(cat.stdout, HELLO, "{member}");
        let target = workspace.join(&member.replace('/', "-"));
        repository.restore(&at("/"), &target).expect_code(0);
        for name in ["hello", "long", "etc/deep/fstab"] {
            let [found, expected] = [&target, &group.files].map(|top| top.join(name));
            assert!(std::fs::read(found).unwrap() == std::fs::read(expected).unwrap());
        }
        let bytes = workspace.join("bytes");
        let mut cat = repository.command("cat", &[&at("")]);
        let status = cat.stdout(File::create(&bytes).unwrap()).status();
        assert!(status.unwrap().success());
        assert_same_bytes(&group.root, &bytes);
    }
    let found = repository.run("find", &[&"fstab"]).expect_code(0);
    assert_eq!(found.stdout.lines().count(), 2, "{}", found.stdout);
    assert!(found.mentions("disk0/p2/vg0/root/etc/deep/fstab"));
}

#[test]
fn logical_volumes_are_listed_with_their_disks_and_what_is_not_linear_is_named() {
    let workspace = Workspace::new();
    let Some(group) = lvm::group(&workspace) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = group.snapshot(&repository);
    let ls = |path: &str| repository.run("ls", &[&taken.below(path)]);
    for path in ["disk0", "disk0/p2", "disk0/p2/", "disk0/p2/vg0"] {
        let listed = ls(path).expect_code(0);
        assert!(listed.mentions("disk0/p2/vg0/root"), "{}", listed.stdout);
        assert!(listed.mentions("disk0/p2/vg0/fast"), "{}", listed.stdout);
    }
    let json = repository.run("ls", &[&taken.below("disk1/vg0/root"), &"--json"]);
    let json = json.expect_code(0).stdout;
    let line: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(line["path"], "disk1/vg0/root");
    assert_eq!(line["size"], ROOT_LEN);
    assert_eq!(line["file_system"]["type"], "ext4");
    for (path, told) in [
        (
            "disk1/vg0/fast/",
            "is not readable here: volume of 2 stripes",
        ),
        (
            "disk1/vg0/none/",
            "is not there: there is vg0/root, vg0/fast",
        ),
        ("disk1/vg1/root/", "is not there: there is vg0/root"),
        ("disk1/vg1", "is not there: there is vg0/root"),
        (
            "disk0/p2/vg0/root/none",
            "disk0/p2/vg0/root/none: is not there",
        ),
    ] {
        ls(path).expect_code(1).expect_text(told);
    }
    let alone = snapshot(&repository, &group.disks[1]);
    let location = alone.below("disk0/vg0/root/hello");
    let missing = "lies on the physical volume pv0 (";
    let cat = repository.run("cat", &[&location]);
    cat.expect_code(1).expect_text(missing);
}

#[test]
fn i1_i7_a_logical_volume_is_restored_like_a_partition_to_files_and_in_place() {
    let workspace = Workspace::new();
    let Some(group) = lvm::group(&workspace) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = group.snapshot(&repository);
    let root = taken.below("disk1/vg0/root");
    let target = workspace.join("root.img");
    let restore = |words: &[&dyn AsRef<OsStr>]| {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&root, &"--target", &target];
        all.extend(words);
        repository.run("restore", &all)
    };
    restore(&[&"--verify"]).expect_code(0);
    assert_same_bytes(&group.root, &target);
    restore(&[]).expect_code(1).expect_text("root.img");
    // What differs is found, told by its place in the logical volume, and written alone.
    let file = File::options().write(true).open(&target).unwrap();
    file.write_all_at(&[1; 512], ROOT_LEN / 2).unwrap();
    let differing = restore(&[&"--verify-only", &"--json"])
        .expect_code(3)
        .json();
    let range = &differing["differing"]["ranges"][0];
    let (start, len) = (range["start"].as_u64(), range["length"].as_u64());
    let found = start.unwrap()..start.unwrap() + len.unwrap();
    assert!(found.contains(&(ROOT_LEN / 2)), "{differing}");
    let report = restore(&[&"--in-place", &"--json"]).expect_code(0).json();
    assert!(
        report["written"].as_u64().unwrap() < ROOT_LEN / 4,
        "{report}"
    );
    assert_same_bytes(&group.root, &target);
    restore(&[&"--verify-only"]).expect_code(0);
    restore(&[&"--resume"])
        .expect_code(1)
        .expect_text("no journal");
    for (path, code, told) in [
        (
            "disk1/vg0/fast",
            1,
            "is not readable here: volume of 2 stripes",
        ),
        ("disk1/vg0/none", 1, "is not there: there is vg0/root"),
        (
            "disk1/vg0",
            2,
            "which logical volume? expected disk1/GROUP/VOLUME",
        ),
    ] {
        let refused = repository.run("restore", &[&taken.below(path), &"--target", &"none"]);
        refused.expect_code(code).expect_text(told);
    }
}

#[test]
fn i1_a_logical_volume_is_restored_to_a_device_that_nobody_uses() {
    let workspace = Workspace::new();
    let Some(group) = lvm::group(&workspace) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let root = group.snapshot(&repository).below("disk0/p2/vg0/root");
    let backing = workspace.join("backing");
    File::create(&backing).unwrap().set_len(ROOT_LEN).unwrap();
    let Some(device) = Loop::attach(&backing) else {
        return;
    };
    let words: [&dyn AsRef<OsStr>; 5] = [
        &root,
        &"--target",
        &device.path(),
        &"--in-place",
        &"--verify",
    ];
    repository.run("restore", &words).expect_code(0);
    let Some(mounted) = Mounted::read_only(&workspace, "mounted", device.path()) else {
        return;
    };
    assert_eq!(
        std::fs::read_to_string(mounted.path().join("hello")).unwrap(),
        HELLO
    );
    // As long as it is mounted, nothing is written to it.
    let refused = repository.run("restore", &words).expect_code(1);
    assert!(
        refused.stderr.contains("is in use: mounted at"),
        "{}",
        refused.stderr
    );
    mounted.unmount();
    drop(device);
    assert_same_bytes(&group.root, &backing);
}

#[test]
fn i1_a_logical_volume_is_exported_and_mapped() {
    let workspace = Workspace::new();
    let Some(group) = lvm::group(&workspace) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let root = group.snapshot(&repository).below("disk0/p2/vg0/root");
    let map = repository.run("map", &[&root, &"--json"]).expect_code(0);
    let map: Value = serde_json::from_str(&map.stdout).unwrap();
    let last = map.as_array().and_then(|ranges| ranges.last()).unwrap();
    let end = last["start"].as_u64().unwrap() + last["length"].as_u64().unwrap();
    assert_eq!(end, ROOT_LEN);
    let raw = workspace.join("root.raw");
    let export = |format: &str, file: &Path| {
        let words: [&dyn AsRef<OsStr>; 5] = [&root, &"--format", &format, &"--output", &file];
        repository.run("export", &words).expect_code(0);
    };
    export("raw", &raw);
    assert_same_bytes(&group.root, &raw);
    if installed("qemu-img").is_none() {
        return;
    }
    let qcow2 = workspace.join("root.qcow2");
    export("qcow2", &qcow2);
    let words: [&dyn AsRef<OsStr>; 7] = [
        &"compare",
        &"-f",
        &"raw",
        &"-F",
        &"qcow2",
        &group.root,
        &qcow2,
    ];
    let compared = output("qemu-img", &words);
    assert!(compared.contains("identical"), "{compared}");
}
