//! Snapshots mounted by the program under test.

use std::ffi::OsStr;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;

use crate::kit::cli::Outcome;
use crate::kit::process;
use crate::kit::repository::TestRepository;
use crate::kit::rights::skipped;

/// Lets the tests pass on a machine without FUSE.
const MAY_BE_MISSING: &str = "BLOCKSTORE_TESTS_WITHOUT_FUSE";
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// True where snapshots can be mounted.
///
/// # Panics
/// Where they cannot, unless that is allowed.
pub fn is_there() -> bool {
    let is_there = Path::new("/dev/fuse").exists();
    let may_be_missing = std::env::var_os(MAY_BE_MISSING).is_some();
    assert!(
        is_there || may_be_missing,
        "there is no /dev/fuse; set {MAY_BE_MISSING} to test without"
    );
    if !is_there {
        skipped("mounts", "there is no /dev/fuse");
    }
    is_there
}

/// True where not only root may ask for mounts: by default everybody, on some machines nobody else.
pub fn is_for_all() -> bool {
    let device = Path::new("/dev/fuse").metadata();
    device.is_ok_and(|device| device.mode() & 0o6 == 0o6)
}

/// A mounted snapshot, or all; unmounted when dropped. Make it before what uses it, and after its
/// workspace, so that it goes between them.
#[derive(Debug)]
pub struct Snapshots {
    child: Child,
    point: PathBuf,
    first_line: String,
}

impl Snapshots {
    /// Mounts on `point`: `words` say what.
    #[track_caller]
    pub fn mount(repository: &TestRepository, words: &[&dyn AsRef<OsStr>], point: &Path) -> Self {
        let mut all = words.to_vec();
        all.push(&point);
        let mut command = repository.command("mount", &all);
        let child = command.spawn().expect("the program can be run");
        let mut mount = Self {
            child,
            point: point.to_owned(),
            first_line: String::new(),
        };
        let stdout = mount.child.stdout.as_mut().expect("it is a pipe");
        let read = BufReader::new(stdout).read_line(&mut mount.first_line);
        if !matches!(read, Ok(1..)) {
            panic!("not mounted: {}", mount.stderr());
        }
        mount
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// What was printed once it could be used.
    pub fn told(&self) -> Value {
        serde_json::from_str(&self.first_line).expect("the line is JSON")
    }

    /// Threads that the program has now.
    pub fn threads(&self) -> usize {
        let tasks = Path::new("/proc")
            .join(self.child.id().to_string())
            .join("task");
        tasks.read_dir().expect("the program runs").count()
    }

    /// Calls by which the program has read until now: one for each question of the kernel, and a few.
    pub fn reads(&self) -> u64 {
        process::traffic(self.child.id(), "syscr").expect("the program runs")
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process has a number");
        rustix::process::kill_process(pid, signal).expect("the program runs");
    }

    /// Asks the program to end, and waits until it did.
    #[track_caller]
    pub fn end(self) -> Outcome {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits until the program ended.
    #[track_caller]
    pub fn ended(mut self) -> Outcome {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("the program is ours") {
                Some(status) => break status,
                None => assert!(begun.elapsed() < PATIENCE, "the program goes on"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let (mut stdout, stderr) = (Vec::new(), self.stderr().into_bytes());
        if let Some(pipe) = &mut self.child.stdout {
            pipe.read_to_end(&mut stdout).expect("a pipe can be read");
        }
        Outcome::of(&Output {
            status,
            stdout,
            stderr,
        })
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(pipe) = &mut self.child.stderr {
            // What is no text is not ours.
            let _ = pipe.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        unmount_lazily(&self.point);
    }
}

/// Takes away what is mounted there, if something is.
pub fn unmount_lazily(point: &Path) {
    if is_mounted(point) {
        let _ = Command::new("umount").arg("--lazy").arg(point).status();
    }
}

/// True if the kernel has a mount there.
pub fn is_mounted(point: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").expect("the kernel lists mounts");
    let point = point.to_str().expect("workspaces have plain names");
    mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(point))
}

/// Waits until something is so.
///
/// # Panics
/// If it never is.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
