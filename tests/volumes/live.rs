//! Volumes that are in use while they are captured.

use std::path::PathBuf;

use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::can_make;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::tool::run;
use blockstore_tests::kit::workspace::Workspace;

use crate::volumes::MIB;

/// An ext4 on a device. What is named first goes first.
struct Live {
    mounted: Mounted,
    device: Loop,
    repository: TestRepository,
    workspace: Workspace,
}

fn live() -> Option<Live> {
    if !can_make(&["mkfs.ext4", "e2fsck", "timeout"]) {
        return None;
    }
    let workspace = Workspace::new();
    let image: PathBuf = workspace.join("live.raw");
    std::fs::File::create(&image)
        .unwrap()
        .set_len(32 * MIB)
        .unwrap();
    output("mkfs.ext4", &[&"-q", &"-F", &image]);
    let device = Loop::attach(&image)?;
    let mounted = Mounted::device(&workspace, "mounted", device.path())?;
    let repository = TestRepository::init(&workspace);
    std::fs::write(mounted.path().join("file"), "content").unwrap();
    Some(Live {
        mounted,
        device,
        repository,
        workspace,
    })
}

#[test]
fn a_device_that_is_written_is_refused_with_what_to_do() {
    let Some(live) = live() else {
        return;
    };
    let refused = live.repository.run("snapshot", &[&live.device.path()]);
    let mount_point = live.mounted.path().display().to_string();
    refused
        .expect_code(1)
        .expect_text(&mount_point)
        .expect_text("--freeze")
        .expect_text("--allow-inconsistent");
    assert!(live.repository.packs().is_empty());
    // Where nobody can write, there is nothing to refuse.
    let mounted = live.mounted.path();
    output("mount", &[&"-o", &"remount,ro", &mounted]);
    let taken = live.repository.snapshot(&[&live.device.path()]);
    assert_eq!(taken.json["consistency"], "crash");
}

#[test]
fn i1_a_frozen_file_system_is_captured_clean_and_thawed_afterwards() {
    let Some(live) = live() else {
        return;
    };
    let (mounted, device) = (live.mounted.path(), live.device.path());
    let taken = live.repository.snapshot(&[&device, &"--freeze", &mounted]);
    assert_eq!(taken.json["consistency"], "file_system");
    // A write to a frozen file system waits for ever.
    let file = mounted.join("after");
    run("timeout", &[&"10", &"touch", &file]).expect_code(0);
    let target = live.workspace.join("restored.ext4");
    live.repository.restore(&taken.id, &target).expect_code(0);
    output("e2fsck", &[&"-f", &"-n", &target]);
    let content = output("debugfs", &[&"-R", &"cat /file", &target]);
    assert_eq!(content, "content");
}

#[test]
fn i2_what_the_program_needs_itself_is_not_frozen() {
    let Some(live) = live() else {
        return;
    };
    let (mounted, device) = (live.mounted.path(), live.device.path());
    let inside = TestRepository::init_at(&mounted.join("repository"));
    let refused = inside.run("snapshot", &[&device, &"--freeze", &mounted]);
    refused
        .expect_code(1)
        .expect_text(&mounted.display().to_string());
    run("timeout", &[&"10", &"touch", &mounted.join("after")]).expect_code(0);
}

#[test]
fn i10_what_is_taken_while_it_is_written_is_recorded_as_such() {
    let Some(live) = live() else {
        return;
    };
    let taken = live
        .repository
        .snapshot(&[&live.device.path(), &"--allow-inconsistent"]);
    assert_eq!(taken.json["consistency"], "smeared");
    let listed = live.repository.run("snapshots", &[]).expect_code(0);
    assert_eq!(listed.json()["snapshots"][0]["consistency"], "smeared");
}
