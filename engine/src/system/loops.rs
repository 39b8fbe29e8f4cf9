//! Image files that are attached as devices.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::system::devices::DeviceId;
use crate::system::{System, entries, name_of};

/// What tells a file from every other on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    /// The file system that it lies on.
    pub(crate) device: DeviceId,
    pub(crate) inode: u64,
}

impl FileId {
    /// The file at `path`; symbolic links are followed.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self {
            device: DeviceId::from_raw(metadata.dev()),
            inode: metadata.ino(),
        })
    }
}

impl System {
    /// The image file that a loop device shows.
    pub(crate) fn backing_file(&self, device: DeviceId) -> Option<PathBuf> {
        backing_file_in(&self.folder(device))
    }

    /// Path of the loop device that an image file is attached to.
    pub(crate) fn attached_as(&self, file: FileId) -> Option<String> {
        let folders = entries(&self.0.join("sys/block"));
        let attached = folders.iter().find(|folder| {
            backing_file_in(folder).is_some_and(|image| FileId::at(&image) == Some(file))
        });
        attached.map(|folder| format!("/dev/{}", name_of(folder)))
    }
}

fn backing_file_in(folder: &Path) -> Option<PathBuf> {
    let mut bytes = std::fs::read(folder.join("loop/backing_file")).ok()?;
    bytes.pop_if(|byte| *byte == b'\n');
    Some(PathBuf::from(OsString::from_vec(bytes)))
}
