//! Images that change their length, and repositories without room.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::disk::overwrite;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;
use blockstore_tests::kit::workspace::write;

use crate::scene::assert_sound;
use crate::volumes::MIB;
use crate::volumes::holds_open;
use crate::volumes::reaches;
use crate::volumes::snapshot;
use crate::volumes::volume;

#[track_caller]
fn assert_restores(repository: &TestRepository, taken: &Taken, image: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("restored.raw");
    repository.restore(&taken.id, &target).expect_code(0);
    assert_same_bytes(image, &target);
}

fn set_len(image: &Path, len: u64) {
    let file = File::options().write(true).open(image).unwrap();
    file.set_len(len).unwrap();
}

#[test]
fn i4_an_image_of_another_length_is_right_with_and_without_a_list_of_changes() {
    let workspace = Workspace::new();
    let image = workspace.file("disk.raw", random_bytes(1, "image", 20 << 20));
    let repository = TestRepository::init(&workspace);
    let first = snapshot(&repository, &image);
    let original = workspace.join("original.raw");
    std::fs::copy(&image, &original).unwrap();
    let list = workspace.join("changed.json");
    // Shrunk in the middle of a chunk; then grown by a hole and a little data at the end.
    for (len, data_at) in [(13 * MIB + 4096, 5 * MIB), (31 * MIB, 31 * MIB - 4096)] {
        set_len(&image, len);
        overwrite(&image, data_at, &random_bytes(len, "data", 4096));
        // The list knows of the write alone, as the dirty bitmap of a disk that was resized.
        let dirty = format!(
            r#"[{{"offset": 0, "length": {data_at}, "type": 0, "description": "clean"}},
            {{"offset": {data_at}, "length": 4096, "type": 1, "description": "dirty"}}]"#
        );
        std::fs::write(&list, dirty).unwrap();
        let fast = repository.snapshot(&[&"--volume", &image, &"--changed-ranges", &list]);
        assert_eq!(volume(&fast)["tracking"], "changed_ranges", "{}", fast.json);
        let full = snapshot(&repository, &image);
        assert_eq!(volume(&full)["tracking"], "full");
        assert_eq!(fast.root, full.root);
        assert_restores(&repository, &fast, &image);
    }
    assert_restores(&repository, &first, &original);
    assert_sound(&repository);
}

#[test]
fn a_list_of_changes_behind_the_end_of_a_volume_is_refused() {
    let workspace = Workspace::new();
    let image = workspace.file("disk.raw", random_bytes(1, "image", 1 << 20));
    let repository = TestRepository::init(&workspace);
    snapshot(&repository, &image);
    let entry = r#"[{"offset": 1048000, "length": 4096, "type": 1, "description": "dirty"}]"#;
    let list = workspace.file("changed.json", entry);
    let words: [&dyn AsRef<OsStr>; 4] = [&"--volume", &image, &"--changed-ranges", &list];
    let refused = repository.run("snapshot", &words);
    refused
        .expect_code(1)
        .expect_text("changed.json")
        .expect_text("entry 0");
}

#[test]
fn i2_an_image_that_is_cut_off_while_it_is_read_is_named_and_harms_nothing() {
    let workspace = Workspace::new();
    let small = workspace.file("small.raw", random_bytes(1, "small", 2 << 20));
    let image = workspace.file("disk.raw", random_bytes(2, "image", 192 << 20));
    let image = image.canonicalize().unwrap();
    let repository = TestRepository::init(&workspace);
    let before = snapshot(&repository, &small);
    let command = repository
        .command("snapshot", &[&"--volume", &image])
        .spawn();
    let mut running = command.unwrap();
    assert!(reaches(&mut running, |id| holds_open(id, &image)));
    set_len(&image, 100 * MIB);
    let outcome = Outcome::of(&running.wait_with_output().unwrap());
    outcome
        .expect_code(1)
        .expect_text("disk.raw")
        .expect_text("had");
    let listed = repository.run("snapshots", &[]).expect_code(0);
    assert_eq!(listed.json()["snapshots"].as_array().unwrap().len(), 1);
    assert_restores(&repository, &before, &small);
    let after = snapshot(&repository, &image);
    assert_restores(&repository, &after, &image);
    assert_sound(&repository);
}

#[test]
fn i8_a_full_disk_ends_the_snapshot_of_a_volume_and_harms_nothing() {
    let workspace = Workspace::new();
    let Some(room) = Mounted::ext4(&workspace, "room", 48) else {
        return;
    };
    let repository = TestRepository::init_at(&room.path().join("repository"));
    let small = workspace.file("small.raw", random_bytes(1, "small", 2 << 20));
    let large = workspace.file("large.raw", random_bytes(2, "large", 24 << 20));
    let before = snapshot(&repository, &small);
    let ballast = room.path().join("ballast");
    write(&ballast, vec![1; 28 << 20]);
    let full = repository.run("snapshot", &[&"--volume", &large]);
    full.expect_code(1).expect_text("space");
    assert_restores(&repository, &before, &small);
    std::fs::remove_file(&ballast).unwrap();
    let after = snapshot(&repository, &large);
    assert_restores(&repository, &after, &large);
    assert_restores(&repository, &before, &small);
    assert_sound(&repository);
}

#[test]
fn i8_a_full_disk_under_the_restore_of_a_volume_is_told_and_with_room_it_goes_on() {
    let workspace = Workspace::new();
    let Some(room) = Mounted::ext4(&workspace, "room", 32) else {
        return;
    };
    let image = workspace.file("disk.raw", random_bytes(1, "image", 16 << 20));
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    let ballast = room.path().join("ballast");
    write(&ballast, vec![1; 20 << 20]);
    let target = room.path().join("restored.raw");
    let full = repository.restore(&taken.id, &target);
    full.expect_code(1).expect_text("space");
    std::fs::remove_file(&ballast).unwrap();
    let words: [&dyn AsRef<OsStr>; 4] = [&taken.id, &"--target", &target, &"--resume"];
    repository.run("restore", &words).expect_code(0);
    assert_same_bytes(&image, &target);
}
