//! Volumes: a raw file each, which the kernel takes for a disk.

use std::os::unix::fs::MetadataExt;

use blockstore_tests::kit::disk;
use blockstore_tests::kit::fuse;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::run;
use blockstore_tests::kit::workspace::Workspace;

use crate::mounted::mounted;

#[test]
fn i1_the_file_of_a_volume_is_the_disk_and_its_file_systems_are_mounted_from_it() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let Some(image) = disk::disk(&workspace, "disk.img") else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &image]);
    let mount = mounted(&workspace, &repository, &taken);
    let raw = mount.path().join("disk0.raw");
    run("cmp", &[&image, &raw]).expect_code(0);
    let facts = [&image, &raw].map(|path| path.metadata().unwrap());
    assert_eq!(facts[0].len(), facts[1].len());
    let taken_up = facts[1].blocks() * 512;
    assert!(taken_up < facts[1].len() / 2, "{taken_up} of a sparse disk");

    let part = mount.path().join("disk0.p2.raw");
    let len = disk::EXT4.end - disk::EXT4.start;
    assert_eq!(part.metadata().unwrap().len(), len);
    // By its offset in the disk, and as a file of its own.
    let Some(by_offset) = Loop::read_only_part(&raw, &disk::EXT4) else {
        return;
    };
    let Some(alone) = Loop::read_only(&part) else {
        return;
    };
    let expected = Loop::read_only_part(&image, &disk::EXT4).unwrap();
    let hashes = [&by_offset, &alone, &expected].map(|device| {
        let mounted = Mounted::read_only(&workspace, "inside", device.path()).unwrap();
        let files = ["hello", "shared", "own"].map(|name| mounted.path().join(name));
        let sums = run("sha256sum", &[&files[0], &files[1], &files[2]]).expect_code(0);
        mounted.unmount();
        sums.stdout
    });
    assert_eq!(hashes[0], hashes[2]);
    assert_eq!(hashes[1], hashes[2]);
    drop((by_offset, alone, expected));
    mount.end().expect_code(0);
}

#[test]
fn the_holes_of_a_volume_are_holes_of_its_file() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.join("sparse.img");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(256 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 1 << 20], 128 << 20).unwrap();
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &image]);
    let mount = mounted(&workspace, &repository, &taken);
    let copy = workspace.join("copy.img");
    let raw = mount.path().join("disk0.raw");
    run("cp", &[&"--sparse=auto", &raw, &copy]).expect_code(0);
    run("cmp", &[&image, &copy]).expect_code(0);
    let taken_up = copy.metadata().unwrap().blocks() * 512;
    assert!(taken_up <= 2 << 20, "{taken_up} bytes were copied");
    mount.end().expect_code(0);
}
