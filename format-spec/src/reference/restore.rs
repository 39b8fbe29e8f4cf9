//! Restoring a snapshot into a new folder: whole, in order, one thing after the other.
//!
//! A walk has proved that the parent of each entry is a folder of the same tree, and every folder is made
//! here and not found: no symbolic link can stand on the way of a path. First everything is made, which touches
//! the times of folders; then metadata is set from the last entry to the first, so that a folder whose mode
//! closes it is closed after its children were reached.

use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::pages::Place;
use crate::reference::pages::extents::Content;
use crate::reference::pages::extents::Extent;
use crate::reference::pages::tree::Kind;
use crate::reference::pages::tree::TreeEntry;
use crate::reference::repository::Repository;
use crate::reference::snapshot::Root;
use crate::reference::walk;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use std::ffi::OsStr;
use std::fs::File;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

/// Restores one root to `target`, which must not exist.
///
/// Contents that cannot be read stop it. Metadata that the system refuses (owners without privilege,
/// attributes that the file system does not have) does not: what was refused is returned.
pub fn restore(repository: &mut Repository, root: &Root, target: &Path) -> Result<Vec<Rejection>> {
    if target.symlink_metadata().is_ok() {
        let place = target.display().to_string();
        return Err(Rejection::new(Fault::Medium, place, "the target exists"));
    }
    if root.page_type == 3 {
        let extents = repository.volume(root)?;
        write_extents(repository, &extents, target)?;
        return Ok(Vec::new());
    }
    let entries = repository.tree(root)?;
    for entry in &entries {
        let path = path_of(target, &entry.place);
        make(repository, entry, target, &path)
            .map_err(|rejection| rejection.within(&walk::show(&entry.place)))?;
    }
    let mut refused = Vec::new();
    for entry in entries.iter().rev() {
        if !matches!(entry.kind, Kind::HardLink(_)) {
            set_metadata(entry, &path_of(target, &entry.place), &mut refused);
        }
    }
    Ok(refused)
}

fn path_of(target: &Path, place: &Place) -> PathBuf {
    let mut path = target.to_path_buf();
    for name in place
        .path()
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        path.push(OsStr::from_bytes(name));
    }
    path
}

fn make(repository: &mut Repository, entry: &TreeEntry, target: &Path, path: &Path) -> Result<()> {
    let io = |error: std::io::Error| Rejection::io(path.display().to_string(), &error);
    match &entry.kind {
        Kind::File(content) => {
            let extents = repository.file_extents(content)?;
            write_extents(repository, &extents, path)
        }
        Kind::Folder => std::fs::DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(io),
        Kind::Symlink(link) => symlink(OsStr::from_bytes(link), path).map_err(io),
        Kind::Fifo => make_node(path, FileType::Fifo, 0).map_err(io),
        Kind::Socket => make_node(path, FileType::Socket, 0).map_err(io),
        Kind::CharacterDevice(major, minor) => {
            make_node(path, FileType::CharacterDevice, device(*major, *minor)).map_err(io)
        }
        Kind::BlockDevice(major, minor) => {
            make_node(path, FileType::BlockDevice, device(*major, *minor)).map_err(io)
        }
        Kind::HardLink(leader) => std::fs::hard_link(path_of(target, leader), path).map_err(io),
    }
}

/// Pages were read with both parts checked to be of 32 bits.
fn device(major: u64, minor: u64) -> rustix::fs::Dev {
    rustix::fs::makedev(major as u32, minor as u32)
}

fn make_node(path: &Path, kind: FileType, device: rustix::fs::Dev) -> std::io::Result<()> {
    Ok(rustix::fs::mknodat(
        CWD,
        path,
        kind,
        Mode::from_raw_mode(0o600),
        device,
    )?)
}

/// Writes a new file: chunks and zeros are written, unreadable extents as zeros, holes are left out.
fn write_extents(repository: &mut Repository, extents: &[Extent], path: &Path) -> Result<()> {
    let io = |error: std::io::Error| Rejection::io(path.display().to_string(), &error);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    let mut offset = 0;
    for extent in extents {
        match &extent.content {
            Content::Hole => {}
            Content::Zero | Content::Unreadable => {
                write_zeros(&file, offset, extent.len).map_err(io)?
            }
            Content::Chunk(id) => {
                let chunk = repository.read_chunk(id)?;
                if chunk.len() as u64 != extent.len {
                    let sentence = "the chunk has another length than its extent";
                    return Err(Rejection::new(Fault::Malformed, "extent", sentence));
                }
                file.write_all_at(&chunk, offset).map_err(io)?;
            }
        }
        offset += extent.len;
    }
    file.set_len(offset).map_err(io)
}

fn write_zeros(file: &File, offset: u64, len: u64) -> std::io::Result<()> {
    let zeros = [0; 65_536];
    let mut written = 0;
    while written < len {
        let step = (len - written).min(zeros.len() as u64);
        file.write_all_at(&zeros[..step as usize], offset + written)?;
        written += step;
    }
    Ok(())
}

/// Owner first, because changing it clears privileged bits and capabilities; times last.
fn set_metadata(entry: &TreeEntry, path: &Path, refused: &mut Vec<Rejection>) {
    let mut note = |what: &str, result: rustix::io::Result<()>| {
        if let Err(error) = result {
            let place = format!("{}: {what}", walk::show(&entry.place));
            refused.push(Rejection::io(place, &error.into()));
        }
    };
    if rustix::process::geteuid().is_root() {
        note("owner", set_owner(entry, path));
    }
    for (name, value) in &entry.xattrs {
        let name = OsStr::from_bytes(name);
        note(
            "attribute",
            rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()),
        );
    }
    if !matches!(entry.kind, Kind::Symlink(_)) {
        let mode = Mode::from_raw_mode(entry.mode);
        note(
            "mode",
            rustix::fs::chmodat(CWD, path, mode, AtFlags::empty()),
        );
    }
    note("times", set_times(entry, path));
}

fn set_owner(entry: &TreeEntry, path: &Path) -> rustix::io::Result<()> {
    let number = |id: u64| match u32::try_from(id) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(rustix::io::Errno::INVAL),
    };
    let [uid, gid] = [number(entry.owner.uid)?, number(entry.owner.gid)?];
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn set_times(entry: &TreeEntry, path: &Path) -> rustix::io::Result<()> {
    let modified = Timespec {
        tv_sec: entry.mtime_s,
        tv_nsec: i64::from(entry.mtime_ns),
    };
    let omitted = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    };
    let times = Timestamps {
        last_access: omitted,
        last_modification: modified,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}
