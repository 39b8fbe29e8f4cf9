//! Loop devices of the machine: attached to files of a test, detached at its end.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// A loop device, detached when it is dropped.
pub(super) struct Loop {
    pub device: PathBuf,
}

impl Loop {
    /// Attaches `file`, or says why this machine cannot.
    pub(super) fn attach(file: &Path, sector_len: u32) -> Option<Self> {
        let sector_len = sector_len.to_string();
        let attached = Command::new("losetup")
            .args(["-f", "--show", "-b", &sector_len])
            .arg(file)
            .output();
        match attached {
            Ok(output) if output.status.success() => {
                let device = String::from_utf8(output.stdout).unwrap();
                Some(Self {
                    device: device.trim().into(),
                })
            }
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                say_skipped(&format!("no loop device here: {}", why.trim()))
            }
            Err(error) => say_skipped(&format!("no losetup here: {error}")),
        }
    }

    /// Attaches a new file of `len` bytes, all of them 0xA5.
    pub(super) fn filled(folder: &Path, len: usize, sector_len: u32) -> Option<Self> {
        let file = folder.join(format!("loop-{len}-{sector_len}"));
        fs::write(&file, vec![0xA5; len]).unwrap();
        Self::attach(&file, sector_len)
    }

    /// What the device holds, read through its file after a flush.
    pub(super) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.device).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detached = Command::new("losetup").arg("-d").arg(&self.device).status();
        assert!(detached.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// A file system that is mounted, until it is dropped.
pub(super) struct Mounted {
    pub point: PathBuf,
}

impl Mounted {
    /// Makes an ext4 on `device` and mounts it at `point`.
    pub(super) fn make(device: &Path, point: &Path) -> Option<Self> {
        fs::create_dir_all(point).unwrap();
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F"])
            .arg(device)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return say_skipped("no mkfs.ext4 here");
        }
        let mounted = Command::new("mount").arg(device).arg(point).status();
        if !mounted.is_ok_and(|status| status.success()) {
            return say_skipped("nothing can be mounted here");
        }
        let point = point.to_owned();
        Some(Self { point })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.point).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Tells why a test shows nothing on this machine.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(super) fn say_skipped<T>(why: &str) -> Option<T> {
    eprintln!("skipped: {why}");
    None
}
