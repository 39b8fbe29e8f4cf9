//! Real freezing of a file system of our own; and what may not be frozen.

use std::process::Stdio;

use super::*;
use crate::sources::volume::tests::kit::{Loop, has, run, skipped, text, wait_until};

const MOUNT_POINT: &str = "BLOCKSTORE_TEST_MOUNT_POINT";
const LEN: u64 = 32 << 20;

fn mounted() -> Option<(Loop, PathBuf)> {
    if !has(&["fsfreeze", "timeout", "sh"]) {
        return None;
    }
    let mut disk = Loop::new(LEN, &[])?;
    let point = disk.mount_ext4()?;
    Some((disk, point))
}

fn options(seconds: u64) -> FreezeOptions {
    FreezeOptions {
        limit: Duration::from_secs(seconds),
        needed: vec!["/proc/self/exe".into()],
    }
}

/// Starts to write a file; the child is done once the file system has been thawed.
fn writer(point: &Path, name: &str) -> Child {
    let child = Command::new("touch").arg(point.join(name)).spawn();
    child.expect("touch starts")
}

fn is_done(child: &mut Child) -> bool {
    child.try_wait().expect("a child").is_some()
}

#[track_caller]
fn assert_waits(child: &mut Child) {
    std::thread::sleep(Duration::from_millis(300));
    assert!(!is_done(child), "the file system is not frozen");
}

#[test]
fn a_frozen_file_system_waits_until_it_is_thawed() {
    let Some((_disk, point)) = mounted() else {
        return;
    };
    let frozen = Frozen::begin(&point, &options(60)).expect("frozen");
    let mut waiting = writer(&point, "a");
    assert_waits(&mut waiting);
    let again = Frozen::begin(&point, &options(60)).expect_err("frozen already");
    assert!(again.to_string().contains("cannot be frozen"), "{again}");
    assert_waits(&mut waiting);
    let duration = frozen.thaw().expect("thawed");
    assert!(duration >= Duration::from_millis(600), "{duration:?}");
    wait_until("the writer goes on", || is_done(&mut waiting));
    drop(Frozen::begin(&point, &options(60)).expect("frozen"));
    wait_until("dropping thaws", || is_done(&mut writer(&point, "b")));
}

#[test]
fn the_watchdog_thaws_when_the_time_is_up() {
    let Some((_disk, point)) = mounted() else {
        return;
    };
    let frozen = Frozen::begin(&point, &options(1)).expect("frozen");
    let mut waiting = writer(&point, "a");
    wait_until("the writer goes on", || is_done(&mut waiting));
    let error = frozen.thaw().expect_err("thawed too early");
    assert!(error.to_string().contains("the permitted 1 s"), "{error}");
}

#[test]
fn a_file_system_that_someone_else_thawed_was_not_frozen() {
    let Some((_disk, point)) = mounted() else {
        return;
    };
    let frozen = Frozen::begin(&point, &options(60)).expect("frozen");
    run(&["fsfreeze", "--unfreeze", text(&point)]);
    let error = frozen.thaw().expect_err("thawed by someone else");
    assert!(error.to_string().contains("by someone else"), "{error}");
}

#[test]
fn killing_the_helper_does_not_leave_it_frozen() {
    let Some((_disk, point)) = mounted() else {
        return;
    };
    let mut frozen = Frozen::begin(&point, &options(2)).expect("frozen");
    let helper = frozen.helper.as_mut().expect("a helper");
    helper.child.kill().expect("killed");
    let mut waiting = writer(&point, "a");
    assert_waits(&mut waiting);
    let error = frozen.thaw().expect_err("its watchdog died");
    assert!(
        error.to_string().contains("without its watchdog"),
        "{error}"
    );
    wait_until("the writer goes on", || is_done(&mut waiting));
}

/// Run by the next test as a process of its own, which is then killed.
#[test]
fn freezes_and_waits_to_be_killed() {
    let Some(point) = std::env::var_os(MOUNT_POINT) else {
        return; // not started by the test that kills it
    };
    let point = PathBuf::from(point);
    let _frozen = Frozen::begin(&point, &options(600)).expect("frozen");
    std::fs::write(point.with_extension("frozen"), b"").expect("a sign");
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn killing_the_process_that_froze_it_thaws_it() {
    let Some((_disk, point)) = mounted() else {
        return;
    };
    let Ok(program) = std::env::current_exe() else {
        return skipped("a killed parent", "the test does not know its program");
    };
    let child = Command::new(program)
        .args([
            "--exact",
            "sources::volume::freeze::tests::freezes_and_waits_to_be_killed",
        ])
        .env(MOUNT_POINT, &point)
        .stdout(Stdio::null())
        .spawn();
    let mut child = child.expect("the test's program starts");
    wait_until("it is frozen", || point.with_extension("frozen").exists());
    let mut waiting = writer(&point, "a");
    assert_waits(&mut waiting);
    child.kill().expect("killed");
    child.wait().expect("a child");
    wait_until("the writer goes on", || is_done(&mut waiting));
}

#[test]
fn what_is_needed_must_not_lie_on_it() {
    let Some((_disk, point)) = mounted() else {
        return;
    };
    let refused = |needed: PathBuf| {
        let mut options = options(60);
        options.needed.push(needed);
        let error = Frozen::begin(&point, &options).expect_err("needed");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains("lies on it and is needed"),
            "{error}"
        );
    };
    refused(point.clone());
    refused(point.join("not/made/yet"));
    std::os::unix::fs::symlink(&point, point.with_extension("link")).expect("a link");
    refused(point.with_extension("link").join("x"));
    assert!(is_done(&mut {
        let mut child = writer(&point, "a");
        child.wait().expect("a child");
        child
    }));
}

#[test]
fn what_lies_in_an_image_on_it_must_not_be_needed_either() {
    let Some((_outer, point)) = mounted() else {
        return;
    };
    let image = point.join("inner");
    let file = std::fs::File::create(&image).expect("a file");
    file.set_len(16 << 20).expect("its length");
    let inner = run(&["losetup", "--find", "--show", text(&image)]);
    let system = System::real();
    let mounts = system.mounts().expect("mounts");
    // What a mount of the inner device stands on, without mounting it.
    let mut mount = mount_of(&mounts, &point).expect("a mount").clone();
    let outer = mount.device;
    mount.source = PathBuf::from(&inner);
    mount.device = crate::system::device_at(Path::new(&inner)).expect("a device");
    let somewhere = mount_of(&mounts, Path::new("/")).expect("a mount").number;
    mount.number = somewhere;
    let mut pretended = vec![mount];
    pretended.extend(mounts.into_iter().filter(|mount| mount.number != somewhere));
    let mut below = BTreeSet::new();
    let stacked = stack_below(&system, &pretended, Path::new("/"), &mut below, 0);
    run(&["losetup", "--detach", &inner]);
    stacked.expect("a stack");
    assert!(below.contains(&outer), "{below:?}");
}

#[test]
fn what_cannot_be_frozen_says_why() {
    if !has(&["fsfreeze"]) {
        return;
    }
    let error = Frozen::begin(Path::new("/proc"), &options(5)).expect_err("no freezing");
    assert!(
        error
            .to_string()
            .starts_with("/proc: cannot be frozen: fsfreeze"),
        "{error}"
    );
    let missing = Frozen::begin(Path::new("/no/such"), &options(5)).expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}
