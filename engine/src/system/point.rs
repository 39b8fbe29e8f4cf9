//! What is at a path that something is to be mounted on, and how far the kernel reads ahead once it is.

use std::io;
use std::path::Path;

use rustix::fs::Access;

use crate::limits::KIB;
use crate::system::{DeviceId, Mount, System, mount_of};

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A folder.
    Folder {
        /// Nothing is in it.
        is_empty: bool,
    },
    /// Anything else.
    Other,
}

/// What is at `path`; symbolic links are followed. A mount whose process is gone is not connected,
/// whatever of it the kernel still remembers.
pub(crate) fn at(path: &Path) -> io::Result<Point> {
    rustix::fs::statfs(path)?;
    if !path.metadata()?.is_dir() {
        return Ok(Point::Other);
    }
    let is_empty = match std::fs::read_dir(path)?.next() {
        Some(entry) => entry.map(|_| false)?,
        None => true,
    };
    Ok(Point::Folder { is_empty })
}

/// Whether this user may open what is at `path` for reading and writing.
pub(crate) fn may_be_used(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(
        path,
        Access::READ_OK | Access::WRITE_OK,
    )?)
}

/// True for file systems of programs.
pub(crate) fn is_fuse(mount: &Mount) -> bool {
    mount.kind == "fuse" || mount.kind.starts_with("fuse.")
}

/// Has the kernel read so many bytes ahead in files of the program that is mounted at `path`; nothing
/// if none is.
///
/// # Errors
/// If the kernel does not say what is mounted, or this user may not ask for it: root may.
pub(crate) fn read_ahead(path: &Path, len: usize) -> io::Result<()> {
    let mounts = System::real().mounts()?;
    let Some(mount) = mount_of(&mounts, path)?.filter(|mount| is_fuse(mount)) else {
        return Ok(());
    };
    let DeviceId { major, minor } = mount.device;
    let setting = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    std::fs::write(setting, (len / KIB).to_string())
}
