//! Restores to block devices: what is refused, what is interrupted, and what is verified.

use std::ffi::OsStr;
use std::path::PathBuf;

use blockstore_tests::kit::disk::DISK_LEN;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::disk::overwrite;
use blockstore_tests::kit::disk::random_disk;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::process::traffic;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::can_make;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::workspace::Workspace;

use crate::volumes::MIB;
use crate::volumes::number;
use crate::volumes::ranges;
use crate::volumes::reaches;
use crate::volumes::snapshot;
use crate::volumes::to_device;

const OVERWRITE: [&str; 2] = ["--on-conflict", "overwrite"];

/// A small disk with a partition table, and a snapshot of it.
fn small_disk(workspace: &Workspace) -> Option<(PathBuf, TestRepository, Taken)> {
    if !can_make(&["sfdisk", "losetup", "mkfs.ext4"]) {
        return None;
    }
    let image = random_disk(workspace, "disk.raw", 64 * MIB, 8 << 20);
    let repository = TestRepository::init(workspace);
    let taken = snapshot(&repository, &image);
    Some((image, repository, taken))
}

/// A file of so many bytes, none of them zero.
fn old_content(workspace: &Workspace, name: &str, len: u64) -> PathBuf {
    workspace.file(name, vec![0xa5; len as usize])
}

#[test]
fn i7_a_restore_to_a_device_that_was_killed_goes_on_and_writes_little_twice() {
    if !can_make(&["sfdisk", "losetup"]) {
        return;
    }
    let workspace = Workspace::new();
    let image = random_disk(&workspace, "disk.raw", DISK_LEN, 300 << 20);
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    let state = workspace.folder("state");
    let backing = old_content(&workspace, "target.raw", DISK_LEN);
    let options: [&dyn AsRef<OsStr>; 7] = [
        &taken.id,
        &OVERWRITE[0],
        &OVERWRITE[1],
        &"--verify",
        &"--state-dir",
        &state,
        &"--target",
    ];
    for share in [40, 30] {
        let Some(device) = Loop::attach(&backing) else {
            return;
        };
        let path = device.path();
        let begun = device.written();
        let words = [options.as_slice(), &[&path]].concat();
        let mut process = repository.command("restore", &words).spawn().unwrap();
        let enough = DISK_LEN * share / 100;
        if !reaches(&mut process, |id| traffic(id, "wchar") > Some(enough)) {
            continue; // It was done already: kill it earlier.
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let words = [options.as_slice(), &[&path, &"--resume"]].concat();
        let resumed = repository.run("restore", &words).expect_code(0);
        assert_same_bytes(&image, path);
        let skipped = number(&resumed, "resumed");
        assert!(skipped > DISK_LEN / 8, "{}", resumed.stdout);
        assert_eq!(resumed.json()["verified"]["differing"]["bytes"], 0);
        let written = device.written() - begun;
        assert!(written * 10 < DISK_LEN * 12, "{written} of {DISK_LEN}");
        assert_eq!(state.read_dir().unwrap().count(), 0, "the journal is gone");
        return;
    }
    panic!("every run was done before it could be killed");
}

#[test]
fn a_device_is_not_overwritten_by_accident() {
    let workspace = Workspace::new();
    let Some((image, repository, taken)) = small_disk(&workspace) else {
        return;
    };
    let backing = old_content(&workspace, "target.raw", 64 * MIB);
    let Some(device) = Loop::attach(&backing) else {
        return;
    };
    let refused = to_device(&repository, &taken.id, device.path(), &[]);
    refused.expect_code(1).expect_text("overwrite");
    assert!(
        std::fs::read(&backing)
            .unwrap()
            .iter()
            .all(|&byte| byte == 0xa5)
    );
    let done = to_device(
        &repository,
        &taken.id,
        device.path(),
        &[&OVERWRITE[0], &OVERWRITE[1]],
    );
    done.expect_code(0);
    assert_same_bytes(&image, device.path());
}

#[test]
fn a_device_that_does_not_fit_is_refused_untouched() {
    let workspace = Workspace::new();
    let Some((_, repository, taken)) = small_disk(&workspace) else {
        return;
    };
    let all: [&dyn AsRef<OsStr>; 2] = [&OVERWRITE[0], &OVERWRITE[1]];
    let backing = old_content(&workspace, "smaller.raw", 63 * MIB);
    let Some(smaller) = Loop::attach(&backing) else {
        return;
    };
    let refused = to_device(&repository, &taken.id, smaller.path(), &all);
    let needed = (64 * MIB).to_string();
    refused.expect_code(1).expect_text(&needed);
    let other = old_content(&workspace, "sectors.raw", 64 * MIB);
    let Some(sectors) = Loop::of_sectors(&other, 4096) else {
        return;
    };
    let refused = to_device(&repository, &taken.id, sectors.path(), &all);
    refused
        .expect_code(1)
        .expect_text("sectors of 4096 bytes")
        .expect_text("512");
    for file in [backing, other] {
        assert!(
            std::fs::read(file)
                .unwrap()
                .iter()
                .all(|&byte| byte == 0xa5)
        );
    }
}

#[test]
fn i2_a_device_in_use_is_refused_whatever_is_said() {
    let workspace = Workspace::new();
    let Some((_, repository, taken)) = small_disk(&workspace) else {
        return;
    };
    let backing = old_content(&workspace, "target.raw", 64 * MIB);
    output("mkfs.ext4", &[&"-q", &"-F", &backing]);
    let Some(device) = Loop::attach(&backing) else {
        return;
    };
    let Some(mounted) = Mounted::device(&workspace, "mounted", device.path()) else {
        return;
    };
    std::fs::write(mounted.path().join("file"), "precious").unwrap();
    let inside = TestRepository::init_at(&mounted.path().join("repository"));
    let of_inside = inside.snapshot(&[&workspace.file("small/file", "x")]);
    for more in [&OVERWRITE[..], &["--in-place"]] {
        let more: Vec<_> = more.iter().map(|word| word as &dyn AsRef<OsStr>).collect();
        let refused = to_device(&repository, &taken.id, device.path(), &more);
        refused.expect_code(1).expect_text("mounted");
    }
    // The one that would cut off the branch it sits on: its repository is on the target.
    let volume = inside.snapshot(&[&"--volume", &workspace.file("volume", vec![1; 1 << 20])]);
    let refused = to_device(
        &inside,
        &volume.id,
        device.path(),
        &[&OVERWRITE[0], &OVERWRITE[1]],
    );
    refused
        .expect_code(1)
        .expect_text(&device.path().display().to_string());
    let kept = std::fs::read_to_string(mounted.path().join("file")).unwrap();
    assert_eq!(kept, "precious");
    inside.run("check", &[&"--read-data"]).expect_code(0);
    inside.run("ls", &[&of_inside.id]).expect_code(0);
    mounted.unmount();
    output("e2fsck", &[&"-f", &"-n", &device.path()]);
}

#[test]
fn i3_a_byte_that_changed_after_a_restore_is_found_and_its_range_named() {
    let workspace = Workspace::new();
    let Some((image, repository, taken)) = small_disk(&workspace) else {
        return;
    };
    let backing = old_content(&workspace, "target.raw", 64 * MIB);
    let Some(device) = Loop::attach(&backing) else {
        return;
    };
    let all: [&dyn AsRef<OsStr>; 3] = [&OVERWRITE[0], &OVERWRITE[1], &"--verify"];
    to_device(&repository, &taken.id, device.path(), &all).expect_code(0);
    let verify = || to_device(&repository, &taken.id, device.path(), &[&"--verify-only"]);
    verify().expect_code(0);
    // One byte in data, one where zeros belong.
    for at in [5 * MIB + 12_345, 40 * MIB + 1] {
        let byte = std::fs::read(&image).unwrap()[at as usize];
        overwrite(device.path(), at, &[byte ^ 0x20]);
        let found = verify().expect_code(3);
        let json = found.json();
        let differing = ranges(&json["differing"]);
        assert_eq!(differing.len(), 1, "{json}");
        assert!(differing[0].contains(&at), "{json}");
        assert!(differing[0].end - differing[0].start <= 256 << 10, "{json}");
        assert_eq!(json["problem_count"], 1);
        overwrite(device.path(), at, &[byte]);
    }
    verify().expect_code(0);
}
