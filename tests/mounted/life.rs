//! Mounts come and go: refused in words, ended by signals and by others, in use or not.

use std::io::Read;
use std::process::Command;
use std::process::Stdio;

use blockstore_tests::kit::fuse;
use blockstore_tests::kit::fuse::Snapshots;
use blockstore_tests::kit::fuse::wait_until;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::rights::is_root;
use blockstore_tests::kit::tool::run;
use rustix::process::Signal;

use crate::mounted::mounted;
use crate::mounted::point;
use crate::scene::MIB;
use crate::scene::scene;

#[test]
fn a_mount_in_use_ends_when_it_is_asked_to_and_leaves_nothing() {
    if !fuse::is_there() || !is_root() {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let (workspace, _, repository, taken) = scene();
        let mount = mounted(&workspace, &repository, &taken);
        let mut open = std::fs::File::open(mount.path().join("file 0")).unwrap();
        open.read_exact(&mut [0; 10]).unwrap();
        let inside = Command::new("sleep")
            .arg("60")
            .current_dir(mount.path())
            .spawn();
        let mut inside = inside.unwrap();
        let mut reader = Command::new("sh")
            .args(["-c", "while cat file*; do :; done"])
            .current_dir(mount.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        mount.signal(signal);
        let ended = mount.ended();
        let _ = inside.kill();
        let _ = inside.wait();
        let _ = reader.kill();
        let _ = reader.wait();
        ended.expect_code(0);
        assert!(!fuse::is_mounted(&point(&workspace)));
        assert_eq!(point(&workspace).read_dir().unwrap().count(), 0);
    }
}

#[test]
fn a_mount_ends_when_somebody_else_unmounts_it() {
    if !fuse::is_there() || !is_root() {
        return;
    }
    let (workspace, _, repository, taken) = scene();
    let mount = mounted(&workspace, &repository, &taken);
    assert_eq!(mount.told()["type"], "mounted");
    assert_eq!(mount.told()["snapshot"], taken.id.as_str());
    run("umount", &[&mount.path()]).expect_code(0);
    let outcome = mount.ended().expect_code(0);
    assert_eq!(outcome.json()["type"], "summary");
}

#[test]
fn readers_that_are_killed_harm_nobody() {
    if !fuse::is_there() {
        return;
    }
    let (workspace, source, repository, _) = scene();
    workspace.file("source/large", random_bytes(9, "large", 24 * MIB));
    let taken = repository.snapshot(&[&source]);
    let mount = mounted(&workspace, &repository, &taken);
    for round in 0..8 {
        let mut reader = Command::new("cat")
            .arg(mount.path().join("large"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(3 * round));
        reader.kill().unwrap();
        reader.wait().unwrap();
    }
    let large = std::fs::read(mount.path().join("large")).unwrap();
    assert!(large == std::fs::read(source.join("large")).unwrap());
    mount.end().expect_code(0);
}

#[test]
fn a_place_that_cannot_be_mounted_on_is_refused_with_what_to_do() {
    if !fuse::is_there() {
        return;
    }
    let (workspace, source, repository, taken) = scene();
    let missing = workspace.join("missing");
    let file = workspace.file("a file", "x");
    for (place, words) in [
        (&missing, "mkdir"),
        (&file, "not a folder"),
        (&source, "not an empty folder"),
    ] {
        let outcome = repository.run("mount", &[&taken.id, place]).expect_code(1);
        outcome.expect_text(words);
    }
    let mount = mounted(&workspace, &repository, &taken);
    for words in [vec![], vec!["--daemon"]] {
        let point = point(&workspace);
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&taken.id, &point];
        all.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        let outcome = repository.run("mount", &all).expect_code(1);
        outcome.expect_text("mounted there already");
    }
    // The process goes and leaves its mount behind.
    mount.signal(Signal::KILL);
    let mut asked = 0;
    wait_until("the mount is dead", || {
        asked += 1;
        is_dead(&mount, asked)
    });
    let again = repository.run("mount", &[&taken.id, &mount.path()]);
    again.expect_code(1).expect_text("umount -l");
    drop(mount);
    mounted(&workspace, &repository, &taken)
        .end()
        .expect_code(0);
}

/// Asks for a name that the kernel cannot remember.
fn is_dead(mount: &Snapshots, number: u32) -> bool {
    let looked = mount.path().join(format!("never {number}")).metadata();
    looked.is_err_and(|error| error.raw_os_error() == Some(107)) // not connected
}

#[test]
fn a_mount_in_the_background_can_be_used_once_the_command_is_done() {
    if !fuse::is_there() || !is_root() {
        return;
    }
    let (workspace, source, repository, taken) = scene();
    let point = point(&workspace);
    let guard = Unmounted(point.clone());
    let outcome = repository.run("mount", &[&"--daemon", &taken.id, &point]);
    let told = outcome.expect_code(0).json();
    let read = std::fs::read(point.join("file 1")).unwrap();
    assert!(read == std::fs::read(source.join("file 1")).unwrap());
    let process = std::path::PathBuf::from(format!("/proc/{}", told["process"]));
    let command = std::fs::read_to_string(process.join("cmdline")).unwrap();
    assert!(command.contains("mount"), "{command}");
    run("umount", &[&point]).expect_code(0);
    wait_until("the process has ended", || {
        // A zombie, where nobody waits for the children of others.
        let status = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    });
    drop(guard);
}

/// Unmounts whatever is left.
struct Unmounted(std::path::PathBuf);

impl Drop for Unmounted {
    fn drop(&mut self) {
        fuse::unmount_lazily(&self.0);
    }
}
