//! Restores over what is there already: only what differs is written.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;

use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::disk::overwrite;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::process::traffic;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

use crate::volumes::MIB;
use crate::volumes::number;
use crate::volumes::reaches;
use crate::volumes::snapshot;

const BLOCK_LEN: u64 = 4096;

/// An image of so many random MiB, a snapshot of it, and a copy.
fn image_and_copy(workspace: &Workspace, mib: usize) -> (PathBuf, TestRepository, Taken, PathBuf) {
    let image = workspace.file("disk.raw", random_bytes(8, "image", mib << 20));
    let repository = TestRepository::init(workspace);
    let taken = snapshot(&repository, &image);
    let target = workspace.join("target.raw");
    std::fs::copy(&image, &target).unwrap();
    (image, repository, taken, target)
}

/// Overwrites one block in a hundred, somewhere in each hundred; gives how many.
fn damage_one_block_in_a_hundred(target: &Path) -> u64 {
    let blocks = target.metadata().unwrap().len() / BLOCK_LEN;
    let hundreds = blocks / 100;
    let choices = random_bytes(9, "choices", hundreds as usize);
    for (hundred, choice) in choices.into_iter().enumerate() {
        let block = hundred as u64 * 100 + u64::from(choice) % 100;
        overwrite(target, block * BLOCK_LEN, &[0x5a; BLOCK_LEN as usize]);
    }
    hundreds
}

#[test]
fn i1_in_place_a_damaged_block_costs_that_block() {
    let workspace = Workspace::new();
    let (image, repository, taken, target) = image_and_copy(&workspace, 64);
    let damaged = damage_one_block_in_a_hundred(&target);
    let restored = repository.run("restore", &[&taken.id, &"--target", &target, &"--in-place"]);
    let restored = restored.expect_code(0);
    assert_same_bytes(&image, &target);
    let written = number(&restored, "written");
    assert_eq!(written, damaged * BLOCK_LEN);
    assert_eq!(number(&restored, "equal") + written, 64 * MIB);

    let again = repository.run("restore", &[&taken.id, &"--target", &target, &"--in-place"]);
    assert_eq!(number(&again.expect_code(0), "written"), 0);
}

#[test]
fn i1_in_place_one_damaged_stretch_costs_itself_and_the_blocks_at_its_edges() {
    let workspace = Workspace::new();
    let (image, repository, taken, target) = image_and_copy(&workspace, 64);
    let damaged = 64 * MIB / 100;
    overwrite(&target, 20 * MIB + 777, &vec![0x5a; damaged as usize]);
    let restored = repository.run("restore", &[&taken.id, &"--target", &target, &"--in-place"]);
    let written = number(&restored.expect_code(0), "written");
    assert_same_bytes(&image, &target);
    assert!(written >= damaged, "{written} for {damaged}");
    assert!(
        written <= damaged + 2 * BLOCK_LEN,
        "{written} for {damaged}"
    );
}

#[test]
fn i7_in_place_and_killed_half_way_it_goes_on_and_ends_right() {
    const MIB_OF_IMAGE: usize = 256;
    let workspace = Workspace::new();
    let (image, repository, taken, target) = image_and_copy(&workspace, MIB_OF_IMAGE);
    let words: [&dyn AsRef<OsStr>; 4] = [&taken.id, &"--target", &target, &"--in-place"];
    for share in [50, 35, 20] {
        damage_one_block_in_a_hundred(&target);
        let mut process = repository.command("restore", &words).spawn().unwrap();
        let half_way = (MIB_OF_IMAGE as u64 * MIB) * share / 100;
        if !reaches(&mut process, |id| traffic(id, "rchar") > Some(half_way)) {
            continue; // It was done already: kill it earlier.
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let resumed = repository.run(
            "restore",
            &[&taken.id, &"--target", &target, &"--in-place", &"--resume"],
        );
        let resumed = resumed.expect_code(0);
        assert_same_bytes(&image, &target);
        assert!(number(&resumed, "resumed") > 0, "{}", resumed.stdout);
        return;
    }
    panic!("every run was done before it could be killed");
}
