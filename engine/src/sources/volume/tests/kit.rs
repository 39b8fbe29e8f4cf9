//! What tests of real volumes need: programs, servers and loop devices that end with the test.

#![expect(
    clippy::print_stderr,
    reason = "a skipped test has to be visible, and the test harness captures this"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Says that a part of a test was left out.
pub(in crate::sources::volume) fn skipped(what: &str, why: &str) {
    eprintln!("skipped: {what}: {why}");
}

/// True if all programs can be run; else says which one is missing.
pub(in crate::sources::volume) fn has(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new("sh")
            .args(["-c", "command -v \"$1\"", "sh", program])
            .stdout(Stdio::null())
            .status();
        let is_there = found.is_ok_and(|status| status.success());
        if !is_there {
            skipped(program, "is not installed");
        }
        is_there
    })
}

pub(in crate::sources::volume) fn is_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skipped(what, "needs root");
    }
    is_root
}

/// Runs a program to its end, which must be a good one; gives what it wrote.
#[track_caller]
pub(in crate::sources::volume) fn run(line: &[&str]) -> String {
    let output = Command::new(line[0]).args(&line[1..]).output();
    let output = output.expect("the program starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits for something that happens elsewhere, for at most a minute.
#[track_caller]
pub(in crate::sources::volume) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("still not so after a minute: {what}");
}

/// A path as text.
pub(in crate::sources::volume) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// An nbdkit that serves on a unix socket.
pub(in crate::sources::volume) struct Nbdkit {
    child: Child,
    folder: tempfile::TempDir,
}

impl Nbdkit {
    pub(in crate::sources::volume) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new("nbdkit")
            .args(["--foreground", "--exit-with-parent", "--unix"])
            .arg(folder.path().join("s"))
            .arg("--pidfile")
            .arg(folder.path().join("pid"))
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.expect("nbdkit starts");
        let server = Self { child, folder };
        // The socket is there before it takes connections; this file is not.
        let ready = server.folder.path().join("pid");
        wait_until("nbdkit listens", || ready.exists());
        server
    }

    pub(in crate::sources::volume) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub(in crate::sources::volume) fn url(&self) -> String {
        format!("nbd+unix:///?socket={}", text(&self.socket()))
    }
}

impl Drop for Nbdkit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loop device over a file of its own, and where it is mounted.
pub(in crate::sources::volume) struct Loop {
    pub(in crate::sources::volume) device: PathBuf,
    pub(in crate::sources::volume) file: PathBuf,
    mounted: Option<PathBuf>,
    folder: tempfile::TempDir,
}

impl Loop {
    /// Nothing, and a word about it, where loop devices cannot be had.
    pub(in crate::sources::volume) fn new(len: u64, arguments: &[&str]) -> Option<Self> {
        if !is_root("loop devices") || !has(&["losetup"]) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("disk");
        let created = std::fs::File::create(&file).expect("a file");
        created.set_len(len).expect("its length");
        let output = Command::new("losetup")
            .args(["--find", "--show"])
            .args(arguments)
            .arg(&file)
            .output();
        let output = output.expect("losetup starts");
        if !output.status.success() {
            skipped("loop devices", &String::from_utf8_lossy(&output.stderr));
            return None;
        }
        let device = String::from_utf8_lossy(&output.stdout).trim().into();
        Some(Self {
            device,
            file,
            mounted: None,
            folder,
        })
    }

    /// Makes an ext4 on it and mounts that.
    pub(in crate::sources::volume) fn mount_ext4(&mut self) -> Option<PathBuf> {
        if !has(&["mkfs.ext4", "mount", "umount"]) {
            return None;
        }
        let point = self.folder.path().join("mounted here");
        std::fs::create_dir(&point).expect("a folder");
        run(&["mkfs.ext4", "-q", "-F", text(&self.device)]);
        run(&["mount", text(&self.device), text(&point)]);
        self.mounted = Some(point.clone());
        Some(point)
    }

    pub(in crate::sources::volume) fn unmount(&mut self) {
        if let Some(point) = self.mounted.take() {
            run(&["umount", text(&point)]);
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Some(point) = &self.mounted {
            // Lazily: a test that failed may have left someone inside.
            let _ = Command::new("umount").arg("--lazy").arg(point).status();
        }
        let _ = Command::new("losetup")
            .arg("--detach")
            .arg(&self.device)
            .status();
    }
}

/// Bytes that are not zero, and differ from block to block.
pub(in crate::sources::volume) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at / 4096 * 7 + at % 251) as u8 | 1)
        .collect()
}
