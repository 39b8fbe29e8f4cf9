//! What the kernel says in /proc and /sys: mounts, swap areas, and how block devices stack up.
//!
//! ```text
//! mounts    what is mounted where, and what memory is swapped to
//! devices   a block device: its values, its partitions, what lies below it and above it
//! loops     image files that are attached as devices
//! machine   processor, memory, kernel, and the file system that a path lies on
//! point     a path that something is to be mounted on, and how far the kernel reads ahead there
//! process   whether another process is there
//! usage     what this process has used of them
//! ```
//! Only the mounts of our own namespace are seen: a container may have mounted the same device.
//! Who asks decides what an answer that cannot be had means: errors are those of the system.
//! Deliberately absent: opening devices, and every judgement.

mod devices;
mod loops;
mod machine;
mod mounts;
#[cfg(feature = "fuse")]
pub(crate) mod point;
pub(crate) mod process;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod usage;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::limits::SYSTEM_ENTRIES_LIMIT;

pub(crate) use devices::{DeviceId, device_at};
pub(crate) use loops::FileId;
pub use machine::{FileSystemFacts, Machine};
pub(crate) use mounts::{Mount, mount_of};

/// Longest file of /proc and /run that is read.
const FILE_LEN_LIMIT: u64 = 64 << 20;

/// The root below which /proc, /sys and /run lie; tests have one of their own.
#[derive(Clone, Debug)]
pub(crate) struct System(PathBuf);

impl System {
    /// The machine we run on.
    pub(crate) fn real() -> Self {
        Self(PathBuf::from("/"))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.0.join(path))?;
        file.take(FILE_LEN_LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// What lies in a folder; nothing if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .take(SYSTEM_ENTRIES_LIMIT)
        .map(|entry| entry.path())
        .collect()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
