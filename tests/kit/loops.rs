//! Block devices that are files.
//!
//! No partition of a loop device is ever given to the kernel: such a node outlives the device, and
//! belongs to whatever file comes next. A partition is a loop device of its own.

use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::kit::rights::is_root;
use crate::kit::rights::skipped;
use crate::kit::tool::run;

/// What the kernel counts in.
const SECTOR_LEN: u64 = 512;

/// A loop device, detached when dropped. Make it after its workspace and before what is mounted
/// from it, so that it goes between them.
#[derive(Debug)]
pub struct Loop(PathBuf);

impl Loop {
    /// A device that is this file; nothing, and a line that says so, where there can be none.
    pub fn attach(image: &Path) -> Option<Self> {
        Self::with(&[], image)
    }

    /// A device that is this file and cannot be written.
    pub fn read_only(image: &Path) -> Option<Self> {
        Self::with(&["--read-only"], image)
    }

    /// A device that is a range of this file and cannot be written.
    pub fn read_only_part(image: &Path, range: &Range<u64>) -> Option<Self> {
        let (offset, len) = (range.start, range.end - range.start);
        let (offset, len) = (offset.to_string(), len.to_string());
        let words = ["--read-only", "--offset", &offset, "--sizelimit", &len];
        Self::with(&words, image)
    }

    /// A device with logical sectors of so many bytes.
    pub fn of_sectors(image: &Path, sector_len: u32) -> Option<Self> {
        Self::with(&["--sector-size", &sector_len.to_string()], image)
    }

    /// A device that is a range of this file.
    pub fn part(image: &Path, range: &Range<u64>) -> Option<Self> {
        let (offset, len) = (range.start, range.end - range.start);
        let (offset, len) = (offset.to_string(), len.to_string());
        Self::with(&["--offset", &offset, "--sizelimit", &len], image)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Bytes that were written to it so far, zeros included. What programs wrote gets here once
    /// it is flushed, at the latest when the last of them closes the device.
    pub fn written(&self) -> u64 {
        let name = self.0.file_name().expect("a device has a name");
        let stat = Path::new("/sys/block").join(name).join("stat");
        let stat = std::fs::read_to_string(stat).expect("the kernel counts");
        let sectors = stat.split_whitespace().nth(6).and_then(|n| n.parse().ok());
        sectors.map_or(0, |sectors: u64| sectors * SECTOR_LEN)
    }

    fn with(options: &[&str], image: &Path) -> Option<Self> {
        if !is_root() {
            skipped("a loop device", "only root can attach one");
            return None;
        }
        let attached = Command::new("losetup")
            .args(["--find", "--show"])
            .args(options)
            .arg(image)
            .output();
        let why = match attached {
            Ok(output) if output.status.success() => {
                let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                return Some(Self(PathBuf::from(device)));
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        skipped("a loop device", why);
        None
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run("losetup", &[&"--detach", &self.0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::workspace::Workspace;

    #[test]
    fn a_part_of_a_file_is_a_device_that_counts_and_goes_away() {
        let workspace = Workspace::new();
        let image = workspace.file("image", vec![0; 1 << 20]);
        let Some(part) = Loop::part(&image, &(4096..12_288)) else {
            return;
        };
        let before = part.written();
        std::fs::write(part.path(), [7; 8192]).unwrap();
        run("sync", &[&part.path()]).expect_code(0);
        assert_eq!(part.written() - before, 8192);
        drop(part);
        let bytes = std::fs::read(&image).unwrap();
        let sevens = bytes.iter().filter(|&&byte| byte == 7).count();
        assert_eq!((sevens, bytes[4096], bytes[12_287]), (8192, 7, 7));
        let left = run("losetup", &[&"--associated", &image]).expect_code(0);
        assert_eq!(left.stdout, "");
    }
}
