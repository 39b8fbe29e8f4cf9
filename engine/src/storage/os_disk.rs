//! [`Disk`] of the operating system: system calls relative to one open root folder.
//!
//! The root is held open, so a repository stays the same one though its path is renamed or
//! mounted over. A symbolic link or a device where an object should be is an error, never
//! followed or waited for. Above: `local`.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::storage::disk::Disk;
use crate::storage::disk::FileStat;
use crate::storage::disk::Space;

/// Objects are for their owner; sealed or not, nobody else needs them.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const FOLDER_MODE: Mode = Mode::RWXU;
const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// A folder of a mounted file system.
#[derive(Debug)]
pub struct OsDisk {
    root: OwnedFd,
}

impl OsDisk {
    /// Opens an existing folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, path, FOLDER_FLAGS, Mode::empty())?;
        Ok(Self { root })
    }

    /// Opens a folder, and makes it first if it is missing; its own name is durable then.
    pub fn create(path: &Path) -> io::Result<Self> {
        match rustix::fs::mkdirat(CWD, path, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let disk = Self::open(path)?;
        match rustix::fs::openat(&disk.root, "..", FOLDER_FLAGS, Mode::empty()) {
            // A parent that we may not look into is one that we did not write to either.
            Err(Errno::ACCESS) => {}
            parent => rustix::fs::fsync(parent?)?,
        }
        Ok(disk)
    }

    /// Device and inode number of the root: what tells that a source holds its own repository.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::fstat(&self.root)?;
        let (major, minor) = (
            rustix::fs::major(stat.st_dev),
            rustix::fs::minor(stat.st_dev),
        );
        Ok((u64::from(major) << 32 | u64::from(minor), stat.st_ino))
    }

    fn open_folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        rustix::fs::openat(
            &self.root,
            path,
            FOLDER_FLAGS | OFlags::NOFOLLOW,
            Mode::empty(),
        )
    }

    /// For file systems without an exclusive rename. A crash between the two calls leaves both
    /// names of one whole file, and a failed removal the same: the old name lies in `tmp/`.
    fn link_noreplace(&self, from: &str, to: &str) -> Result<(), Errno> {
        rustix::fs::linkat(&self.root, from, &self.root, to, AtFlags::empty())?;
        rustix::fs::unlinkat(&self.root, from, AtFlags::empty()).or(Ok(()))
    }
}

impl Disk for OsDisk {
    type File = OwnedFd;

    fn create_exclusive(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(
            &self.root,
            path,
            flags | OFlags::NOFOLLOW,
            FILE_MODE,
        )?)
    }

    fn write(&self, file: &OwnedFd, data: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(file, data)?)
    }

    fn flush_file(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }

    fn open(&self, path: &str) -> io::Result<OwnedFd> {
        // NONBLOCK, or a pipe of that name would hold us for ever. Files do not care.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.root, path, flags, Mode::empty())?;
        if is_file(&rustix::fs::fstat(&file)?) {
            Ok(file)
        } else {
            Err(io::Error::other("not a regular file"))
        }
    }

    fn len(&self, file: &OwnedFd) -> io::Result<u64> {
        Ok(len(&rustix::fs::fstat(file)?))
    }

    fn read_at(&self, file: &OwnedFd, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if i64::try_from(offset).is_err() {
            return Ok(0); // no file reaches there
        }
        Ok(rustix::io::pread(file, out, offset)?)
    }

    fn rename_noreplace(&self, from: &str, to: &str) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.root, from, &self.root, to, flags) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.link_noreplace(from, to)?,
            outcome => outcome?,
        }
        Ok(())
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::empty())?)
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.root, path, FOLDER_MODE)?)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR)?)
    }

    fn flush_folder(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_folder(path)?)?)
    }

    fn list_folder(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::new(self.open_folder(path)?)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn stat(&self, path: &str) -> io::Result<FileStat> {
        let stat = rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileStat {
            len: len(&stat),
            is_file: is_file(&stat),
            modified: modified(&stat),
        })
    }

    fn space(&self) -> io::Result<Space> {
        let space = rustix::fs::fstatvfs(&self.root)?;
        Ok(Space {
            total: space.f_blocks.saturating_mul(space.f_frsize),
            free: space.f_bavail.saturating_mul(space.f_frsize),
        })
    }

    fn draw(&self) -> io::Result<u64> {
        getrandom::u64().map_err(io::Error::other)
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// The kernel's length is signed, and never negative.
fn len(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Before 1970 counts as 1970.
fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (tempfile::TempDir, OsDisk) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let disk = OsDisk::open(folder.path()).expect("opens");
        (folder, disk)
    }

    #[test]
    fn both_ways_to_publish_a_name_refuse_one_that_is_taken() {
        let (folder, disk) = disk();
        for (way, publish) in [
            (
                "rename",
                OsDisk::rename_noreplace as fn(&OsDisk, &str, &str) -> io::Result<()>,
            ),
            ("link", |disk, from, to| Ok(disk.link_noreplace(from, to)?)),
        ] {
            let (first, second) = (format!("{way}-1"), format!("{way}-2"));
            std::fs::write(folder.path().join(&first), b"first").expect("writes");
            std::fs::write(folder.path().join(&second), b"second").expect("writes");
            publish(&disk, &first, way).expect("the name is free");
            let refused = publish(&disk, &second, way).expect_err("the name is taken");
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(
                std::fs::read(folder.path().join(way)).expect("reads"),
                b"first"
            );
            assert!(!folder.path().join(&first).exists());
        }
    }

    #[test]
    fn links_pipes_and_folders_are_not_opened_as_files() {
        let (folder, disk) = disk();
        std::fs::write(folder.path().join("file"), b"x").expect("writes");
        std::os::unix::fs::symlink("file", folder.path().join("link")).expect("links");
        rustix::fs::mknodat(&disk.root, "pipe", FileType::Fifo, FILE_MODE, 0).expect("makes");
        disk.make_folder("folder").expect("makes");
        for name in ["link", "pipe", "folder"] {
            assert!(disk.open(name).is_err(), "{name}");
            assert!(!disk.stat(name).expect("exists").is_file, "{name}");
        }
        assert!(disk.open("file").is_ok());
    }
}
