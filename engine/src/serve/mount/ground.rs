//! What may stand in the way of a mount: found out and told before it is tried, with what to do.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::system::System;
use crate::system::point::{self, Point};

/// What the kernel is asked through.
const DEVICE: &str = "/dev/fuse";

/// Refuses a mount point that is none.
///
/// # Errors
/// Says what to do first.
pub(super) fn check(path: &Path) -> Result<()> {
    let refuse = |kind, detail: String| Err(Error::new(kind, Place::Path(path.to_owned()), detail));
    let point = match point::at(path) {
        Ok(point) => point,
        Err(error) if error.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()) => {
            let detail = format!(
                "an earlier mount lost its process; run umount -l {} first",
                path.display()
            );
            return refuse(ErrorKind::AlreadyExists, detail);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return refuse(
                ErrorKind::NotFound,
                "is not there; make it with mkdir".to_owned(),
            );
        }
        Err(error) => {
            let place = Place::Path(path.to_owned());
            return Err(Error::io(place, "cannot be mounted on", error));
        }
    };
    if is_fuse(path) {
        let detail = "something is mounted there already; unmount it, or take another folder";
        return refuse(ErrorKind::AlreadyExists, detail.to_owned());
    }
    match point {
        Point::Other => refuse(ErrorKind::InvalidInput, "is not a folder".to_owned()),
        Point::Folder { is_empty: false } => {
            let detail = "is not an empty folder; what is in it would be hidden";
            refuse(ErrorKind::InvalidInput, detail.to_owned())
        }
        Point::Folder { is_empty: true } => device(Path::new(DEVICE)),
    }
}

fn device(path: &Path) -> Result<()> {
    let (kind, detail) = match point::may_be_used(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (
            ErrorKind::Io,
            "may not be opened by this user; mount as root, or let users mount: chmod 666 /dev/fuse",
        ),
        Err(_) => (
            ErrorKind::NotFound,
            "is not there; load the module (modprobe fuse), or give the container this device",
        ),
    };
    Err(Error::new(kind, Place::Path(path.to_owned()), detail))
}

/// True if a file system of a program is mounted right there. Where the kernel does not say, the
/// mount itself will.
fn is_fuse(path: &Path) -> bool {
    let mounts = System::real().mounts().unwrap_or_default();
    mounts
        .iter()
        .any(|mount| mount.point == path && point::is_fuse(mount))
}

/// Why the kernel or the helper program did not mount.
pub(super) fn not_mounted(path: &Path, error: io::Error) -> Error {
    let text = error.to_string();
    let (kind, detail) = match error.kind() {
        io::ErrorKind::NotFound => (
            ErrorKind::NotFound,
            "fusermount3 is missing, which mounts for users; install fuse3".to_owned(),
        ),
        _ if text.contains("user_allow_other") => (
            ErrorKind::InvalidInput,
            "others may only look if /etc/fuse.conf has a line user_allow_other".to_owned(),
        ),
        _ => {
            let place = Place::Path(path.to_owned());
            return Error::io(place, "cannot be mounted on", error);
        }
    };
    Error::new(kind, Place::Path(path.to_owned()), detail)
}
