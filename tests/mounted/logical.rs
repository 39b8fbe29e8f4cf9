//! Volume groups: logical volumes beside each other, and the files in them, behind each of their disks.

use std::fs::File;
use std::os::unix::fs::FileExt;

use blockstore_tests::kit::disk::HELLO;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::fuse;
use blockstore_tests::kit::lvm::{self, Group};
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::run;
use blockstore_tests::kit::workspace::Workspace;

use crate::mounted::mounted;
use crate::mounted::names;

/// A volume group, where there is something to mount it with.
fn ground() -> Option<(Workspace, Group)> {
    let workspace = fuse::is_there().then(Workspace::new)?;
    let group = lvm::group(&workspace)?;
    Some((workspace, group))
}

#[test]
fn i1_logical_volumes_and_their_files_are_shown_behind_each_disk_of_the_group() {
    let Some((workspace, group)) = ground() else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = group.snapshot(&repository);
    let mount = mounted(&workspace, &repository, &taken);
    let top = names(mount.path());
    assert_eq!(top[..3], ["disk0", "disk0.p1.raw", "disk0.p2.raw"]);
    assert_eq!(names(&mount.path().join("disk0")), ["p1.txt", "p2"]);
    for member in ["disk0/p2", "disk1"] {
        let behind = mount.path().join(member);
        assert_eq!(names(&behind), ["vg0"]);
        let vg0 = behind.join("vg0");
        assert_eq!(names(&vg0), ["fast.txt", "root", "root.raw"]);
        assert_same_bytes(&group.root, &vg0.join("root.raw"));
        let root = vg0.join("root");
        assert_eq!(std::fs::read_to_string(root.join("hello")).unwrap(), HELLO);
        for name in ["hello", "long", "etc/deep/fstab"] {
            run("cmp", &[&group.files.join(name), &root.join(name)]).expect_code(0);
        }
        let why = std::fs::read_to_string(vg0.join("fast.txt")).unwrap();
        let told = format!("{member}/vg0/fast: is not readable here: volume of 2 stripes; restore");
        assert!(why.starts_with(&told), "{why}");
        // The same by the path that other commands take.
        let location = taken.below(format!("{member}/vg0/root/etc/deep/fstab"));
        let cat = repository.run("cat", &[&location]).expect_code(0);
        let file = root.join("etc/deep/fstab");
        assert_eq!(std::fs::read_to_string(file).unwrap(), cat.stdout);
    }
    mount.end().expect_code(0);
}

#[test]
fn i3_i10_damaged_metadata_costs_the_folder_of_its_disk_and_is_told() {
    let Some((workspace, group)) = ground() else {
        return;
    };
    // The header of the metadata, behind the label: its checksum is wrong now.
    let disk = File::options().write(true).open(&group.disks[1]).unwrap();
    disk.write_all_at(&[0xff; 64], 4096 + 64).unwrap();
    let repository = TestRepository::init(&workspace);
    let taken = group.snapshot(&repository);
    let mount = mounted(&workspace, &repository, &taken);
    let error = mount.path().join("disk1").read_dir().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
    let whole = mount.path().join("disk0/p2/vg0/root/hello");
    assert_eq!(std::fs::read_to_string(whole).unwrap(), HELLO);
    assert!(mount.path().join("disk1.raw").exists());
    let summary = mount.end().expect_code(3).json();
    let told = summary["problems"][0].to_string();
    assert!(
        told.contains("disk1: is a physical volume of LVM2 that has metadata"),
        "{told}"
    );
}

#[test]
fn a_group_of_which_a_disk_is_not_there_says_so_in_the_place_of_its_volumes() {
    let Some((workspace, group)) = ground() else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &group.disks[1]]);
    let mount = mounted(&workspace, &repository, &taken);
    let vg0 = mount.path().join("disk0/vg0");
    assert_eq!(names(&vg0), ["fast.txt", "root.txt"]);
    let why = std::fs::read_to_string(vg0.join("root.txt")).unwrap();
    assert!(
        why.starts_with("disk0/vg0/root: lies on the physical volume pv0 ("),
        "{why}"
    );
    mount.end().expect_code(0);
}
