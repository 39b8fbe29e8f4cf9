//! Opening a target: a file that is made or taken over, a device that is claimed.
//!
//! The kernel has the last word on whether a device is free: an exclusive open fails for what is
//! mounted, swapped to or held by another device, its partitions included.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::SeekFrom;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::system::DeviceId;
use crate::system::FileId;
use crate::system::System;
use crate::targets::volume::Existing;
use crate::targets::volume::Held;
use crate::targets::volume::Sparse;
use crate::targets::volume::TargetIdentity;
use crate::targets::volume::VolumeTarget;
use crate::targets::volume::VolumeTargetOptions;
use crate::targets::volume::checks;
use crate::targets::volume::facts;
use crate::targets::volume::refused;
use crate::targets::volume::uses::uses_of;

/// A new file is for its owner: a volume holds files of everybody.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// How often a device is asked for that nobody in particular holds.
const CLAIM_ATTEMPTS: u32 = 10;
const CLAIM_PAUSE: Duration = Duration::from_millis(50);

impl VolumeTarget {
    /// Opens `path` for `len` bytes: makes a file, takes over one, or claims a device.
    ///
    /// # Errors
    /// If the target is refused, as [`VolumeTargetOptions`] says; `Busy` if it is in use.
    pub fn open(path: &Path, len: u64, options: &VolumeTargetOptions) -> Result<Self> {
        match look_at(path)? {
            None if options.resume => {
                let detail = "there is nothing to resume; restore without resume";
                Err(refused(ErrorKind::NotFound, path, detail))
            }
            None => Self::create_file(path, len, options),
            Some((FileType::BlockDevice, stat)) => Self::open_device(path, len, options, &stat),
            Some(_) => Self::open_file(path, len, options),
        }
    }

    /// Opens `path` for reading alone; a device may be in use.
    ///
    /// # Errors
    /// If there is no file or device.
    pub fn open_to_read(path: &Path) -> Result<Self> {
        let Some((kind, stat)) = look_at(path)? else {
            return Err(refused(
                ErrorKind::NotFound,
                path,
                "there is no such target",
            ));
        };
        let file = open_at(path, OFlags::RDONLY)?;
        if kind == FileType::BlockDevice {
            let len = device_len(path, &file)?;
            return Ok(Self::new(path, file, device_identity(&stat, len), len));
        }
        let stat = stat_of(path, &file)?;
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Self::new(path, file, file_identity(&stat), len))
    }

    fn new(path: &Path, file: OwnedFd, identity: TargetIdentity, len: u64) -> Self {
        Self {
            file: Held(file),
            path: path.to_owned(),
            identity,
            sparse: Sparse::default(),
            len,
            begins_empty: false,
            is_new: false,
            cannot_punch: AtomicBool::new(false),
            cannot_zero: AtomicBool::new(false),
            written: AtomicU64::new(0),
            zeroed: AtomicU64::new(0),
        }
    }

    fn create_file(path: &Path, len: u64, options: &VolumeTargetOptions) -> Result<Self> {
        checks::stay_out_of_spared(path, &options.spare)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, FILE_MODE)
            .map_err(|errno| failed(path, "cannot be made", errno))?;
        let target = Self::adopt_file(path, file, options)?;
        flush_folder_of(path)?;
        let is_new = true;
        Self { is_new, ..target }.with_len(len)
    }

    fn open_file(path: &Path, len: u64, options: &VolumeTargetOptions) -> Result<Self> {
        checks::stay_out_of_spared(path, &options.spare)?;
        let file = open_at(path, OFlags::RDWR)?;
        let stat = stat_of(path, &file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(neither_file_nor_device(path));
        }
        let file_id = file_id(&stat);
        checks::spare_the_ground_file(path, file_id, &options.spare)?;
        if let Some(device) = System::real().attached_as(file_id) {
            let detail = format!("is attached as {device}; detach it first");
            return Err(refused(ErrorKind::Busy, path, detail));
        }
        let found = u64::try_from(stat.st_size).unwrap_or(0);
        let target = Self::adopt_file(path, file, options)?;
        if options.resume {
            return target.with_len_found(found, len);
        }
        match options.existing {
            Existing::Refuse if found > 0 => {
                let detail = format!(
                    "exists and holds {found} bytes; choose another name, or say to overwrite it \
                     or to restore in place"
                );
                Err(refused(ErrorKind::AlreadyExists, path, detail))
            }
            Existing::InPlace => target.with_len(len),
            Existing::Refuse | Existing::Overwrite => target.with_len(0)?.with_len(len),
        }
    }

    /// Takes a file for ourselves alone, among those who ask.
    fn adopt_file(path: &Path, file: OwnedFd, options: &VolumeTargetOptions) -> Result<Self> {
        // A file system without locks gives another error: there nobody else could ask either.
        let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            let detail = "is locked by another program; wait for it to end";
            return Err(refused(ErrorKind::Busy, path, detail));
        }
        let identity = file_identity(&stat_of(path, &file)?);
        Ok(Self {
            sparse: options.sparse,
            begins_empty: options.existing != Existing::InPlace,
            ..Self::new(path, file, identity, 0)
        })
    }

    fn with_len(mut self, len: u64) -> Result<Self> {
        let outcome = rustix::fs::ftruncate(&self.file, len);
        self.checked("set its length", outcome)?;
        self.len = len;
        Ok(self)
    }

    fn with_len_found(mut self, found: u64, len: u64) -> Result<Self> {
        if found != len {
            let detail = format!(
                "has {found} bytes and was given {len} by the interrupted restore; restore \
                 without resume"
            );
            return Err(refused(ErrorKind::InvalidInput, &self.path, detail));
        }
        self.len = len;
        Ok(self)
    }

    fn open_device(
        path: &Path,
        len: u64,
        options: &VolumeTargetOptions,
        stat: &Stat,
    ) -> Result<Self> {
        let device = DeviceId::from_raw(stat.st_rdev);
        checks::spare_the_ground_device(path, device, &options.spare)?;
        if options.existing == Existing::Refuse {
            let detail = "is a device, all of which would be replaced; say to overwrite it or to \
                          restore in place";
            return Err(refused(ErrorKind::AlreadyExists, path, detail));
        }
        let file = claim(path, device)?;
        let stat = stat_of(path, &file)?;
        let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
        if !is_device || DeviceId::from_raw(stat.st_rdev) != device {
            let detail = "changed while it was opened; try again";
            return Err(refused(ErrorKind::Busy, path, detail));
        }
        let found = device_len(path, &file)?;
        checks::fits(path, found, len)?;
        checks::same_sectors(path, sector_len(path, &file)?, options.sector_len)?;
        Ok(Self {
            sparse: options.sparse,
            ..Self::new(path, file, device_identity(&stat, found), found)
        })
    }

    /// Takes back the making of a file that was not there before, unless something was written.
    pub fn discard(self) {
        if self.is_new && self.written() == 0 {
            // It is empty: whatever keeps it from being removed, nothing is lost.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Appends `bytes` behind a file.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_at(self.len, bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// Opens a device for ourselves alone. Nobody that can be named may be gone in a moment: whoever
/// looks at new devices, a child that is being started.
fn claim(path: &Path, device: DeviceId) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    let mut attempt = 1;
    loop {
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => return Ok(file),
            Err(Errno::BUSY) => {
                let uses = uses_of(&System::real(), device);
                if !uses.is_empty() || attempt == CLAIM_ATTEMPTS {
                    return Err(checks::in_use(path, &uses));
                }
            }
            Err(errno) => return Err(failed(path, "cannot be opened for writing", errno)),
        }
        attempt += 1;
        std::thread::sleep(CLAIM_PAUSE);
    }
}

/// A failed system call on the target at `path`.
pub(super) fn failed(path: &Path, what: &str, errno: Errno) -> Error {
    Error::io(Place::Path(path.to_owned()), what, errno.into())
}

/// Has the name of `path` reach the medium.
pub(super) fn flush_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    let outcome = open_at(&folder, OFlags::RDONLY | OFlags::DIRECTORY).map(rustix::fs::fsync);
    outcome?.map_err(|errno| failed(&folder, "flush", errno))
}

/// The folder that `path` is in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub(super) fn open_at(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    // NONBLOCK, or a pipe that took its place would hold us for ever. Files do not care.
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| failed(path, "cannot be opened", errno))
}

fn stat_of(path: &Path, file: &OwnedFd) -> Result<Stat> {
    rustix::fs::fstat(file).map_err(|errno| failed(path, "cannot be examined", errno))
}

/// What is at `path`: a file, a device, or nothing.
pub(super) fn look_at(path: &Path) -> Result<Option<(FileType, Stat)>> {
    let stat = match rustix::fs::stat(path) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed(path, "cannot be examined", errno)),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        kind @ (FileType::RegularFile | FileType::BlockDevice) => Ok(Some((kind, stat))),
        _ => Err(neither_file_nor_device(path)),
    }
}

fn neither_file_nor_device(path: &Path) -> Error {
    let detail = "is neither a regular file nor a block device; choose another target";
    refused(ErrorKind::InvalidInput, path, detail)
}

pub(super) fn device_len(path: &Path, file: &OwnedFd) -> Result<u64> {
    rustix::fs::seek(file, SeekFrom::End(0)).map_err(|errno| failed(path, "find its end", errno))
}

pub(super) fn sector_len(path: &Path, file: &OwnedFd) -> Result<u32> {
    let asked = rustix::fs::ioctl_blksszget(file.as_fd());
    asked.map_err(|errno| failed(path, "ask for its sectors", errno))
}

/// Which file it is, by the name the system has for it.
pub(super) fn file_id(stat: &Stat) -> FileId {
    FileId {
        device: DeviceId::from_raw(stat.st_dev),
        inode: stat.st_ino,
    }
}

fn file_identity(stat: &Stat) -> TargetIdentity {
    TargetIdentity {
        is_device: false,
        device: stat.st_dev,
        inode_or_len: stat.st_ino,
        hardware: [0; 16],
    }
}

fn device_identity(stat: &Stat, len: u64) -> TargetIdentity {
    let mut hardware = [0; 16];
    if let Some(name) = facts::hardware_name(&System::real(), DeviceId::from_raw(stat.st_rdev)) {
        let hash = blake3::hash(name.as_bytes());
        hardware.copy_from_slice(&hash.as_bytes()[..16]);
    }
    TargetIdentity {
        is_device: true,
        device: stat.st_rdev,
        inode_or_len: len,
        hardware,
    }
}
