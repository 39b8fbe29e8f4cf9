//! Opening a target: every check that can be made before the first write.
//!
//! Each refusal is one line that says what to do next. The kernel has the last word on whether a
//! device is free: an exclusive open fails for what is mounted, swapped to or held by another
//! device, its partitions included.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;

use rustix::fs::Dev;
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
use crate::targets::volume::Existing;
use crate::targets::volume::Sparse;
use crate::targets::volume::TargetIdentity;
use crate::targets::volume::VolumeTarget;
use crate::targets::volume::VolumeTargetOptions;
use crate::targets::volume::refused;
use crate::targets::volume::system;

/// A new file is for its owner: a volume holds files of everybody.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// What is at a path, for a question before it is overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetFacts {
    /// True for a block device.
    pub is_device: bool,
    /// Length, bytes.
    pub len: u64,
    /// Logical sector of a device, bytes.
    pub sector_len: Option<u32>,
    /// What the hardware calls itself.
    pub model: Option<String>,
    /// Its serial number, or another name that is its own.
    pub serial: Option<String>,
    /// Names of its partitions, as far as the kernel knows them.
    pub partitions: Vec<String>,
    /// What uses it: mounts, swap, devices above it.
    pub uses: Vec<String>,
}

/// Looks at what is at `path`; nothing is opened for writing.
///
/// # Errors
/// If it cannot be examined. Nothing there is `None`.
pub fn inspect(path: &Path) -> Result<Option<TargetFacts>> {
    let Some((kind, stat)) = look_at(path)? else {
        return Ok(None);
    };
    if kind == FileType::RegularFile {
        let file = (stat.st_dev, stat.st_ino);
        let attached = system::attached_as(file).map(|device| format!("attached as {device}"));
        return Ok(Some(TargetFacts {
            len: u64::try_from(stat.st_size).unwrap_or(0),
            uses: attached.into_iter().collect(),
            ..TargetFacts::default()
        }));
    }
    let file = open_at(path, OFlags::RDONLY)?;
    let device = stat.st_rdev;
    let partitions = system::partitions(device);
    Ok(Some(TargetFacts {
        is_device: true,
        len: device_len(path, &file)?,
        sector_len: Some(sector_len(path, &file)?),
        model: system::sys_text(device, "device/model"),
        serial: hardware_name(device),
        partitions: partitions.into_iter().map(|(name, _)| name).collect(),
        uses: system::uses_of(device),
    }))
}

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
            file,
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
        stay_out_of_spared(path, &options.spare)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, FILE_MODE)
            .map_err(|errno| failed(path, "cannot be made", errno))?;
        let target = Self::adopt_file(path, file, options)?;
        flush_folder_of(path)?;
        let is_new = true;
        Self { is_new, ..target }.with_len(len)
    }

    fn open_file(path: &Path, len: u64, options: &VolumeTargetOptions) -> Result<Self> {
        stay_out_of_spared(path, &options.spare)?;
        let file = open_at(path, OFlags::RDWR)?;
        let stat = stat_of(path, &file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(neither_file_nor_device(path));
        }
        spare_the_ground_file(path, (stat.st_dev, stat.st_ino), &options.spare)?;
        if let Some(device) = system::attached_as((stat.st_dev, stat.st_ino)) {
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
        let device = stat.st_rdev;
        spare_the_ground_device(path, device, &options.spare)?;
        if options.existing == Existing::Refuse {
            let detail = "is a device, all of which would be replaced; say to overwrite it or to \
                          restore in place";
            return Err(refused(ErrorKind::AlreadyExists, path, detail));
        }
        let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::BUSY => in_use(path, &system::uses_of(device)),
            errno => failed(path, "cannot be opened for writing", errno),
        })?;
        let stat = stat_of(path, &file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::BlockDevice || stat.st_rdev != device
        {
            let detail = "changed while it was opened; try again";
            return Err(refused(ErrorKind::Busy, path, detail));
        }
        let found = device_len(path, &file)?;
        fits(path, found, len)?;
        same_sectors(path, sector_len(path, &file)?, options.sector_len)?;
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

fn open_at(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    // NONBLOCK, or a pipe that took its place would hold us for ever. Files do not care.
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| failed(path, "cannot be opened", errno))
}

fn stat_of(path: &Path, file: &OwnedFd) -> Result<Stat> {
    rustix::fs::fstat(file).map_err(|errno| failed(path, "cannot be examined", errno))
}

/// What is at `path`: a file, a device, or nothing.
fn look_at(path: &Path) -> Result<Option<(FileType, Stat)>> {
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

fn device_len(path: &Path, file: &OwnedFd) -> Result<u64> {
    rustix::fs::seek(file, SeekFrom::End(0)).map_err(|errno| failed(path, "find its end", errno))
}

fn sector_len(path: &Path, file: &OwnedFd) -> Result<u32> {
    let asked = rustix::fs::ioctl_blksszget(file.as_fd());
    asked.map_err(|errno| failed(path, "ask for its sectors", errno))
}

fn fits(path: &Path, found: u64, wanted: u64) -> Result<()> {
    if found >= wanted {
        return Ok(());
    }
    let detail = format!(
        "has {found} bytes, the volume needs {wanted}; choose a device of at least that length"
    );
    Err(refused(ErrorKind::InvalidInput, path, detail))
}

fn same_sectors(path: &Path, found: u32, recorded: Option<u32>) -> Result<()> {
    match recorded {
        Some(recorded) if recorded != found => {
            let detail = format!(
                "has sectors of {found} bytes, the volume was captured with {recorded}, and what \
                 it holds counts in sectors; choose a device with {recorded}, or a file"
            );
            Err(refused(ErrorKind::InvalidInput, path, detail))
        }
        _ => Ok(()),
    }
}

fn in_use(path: &Path, uses: &[String]) -> Error {
    let detail = match uses {
        [] => "is in use by another program; end it first".to_owned(),
        uses => format!("is in use: {}; release it first", uses.join(", ")),
    };
    refused(ErrorKind::Busy, path, detail)
}

/// A file must not be made in a folder that is to survive, nor be one of its files.
fn stay_out_of_spared(path: &Path, spare: &[PathBuf]) -> Result<()> {
    let resolved = std::fs::canonicalize(path)
        .or_else(|_| std::fs::canonicalize(folder_of(path)))
        // What cannot be resolved cannot be opened either, and says so then.
        .unwrap_or_else(|_| path.to_owned());
    for spared in spare {
        let survivor = std::fs::canonicalize(spared).unwrap_or_else(|_| spared.clone());
        if resolved.starts_with(&survivor) {
            let detail = format!("lies in {}; choose another target", spared.display());
            return Err(refused(ErrorKind::InvalidInput, path, detail));
        }
    }
    Ok(())
}

fn spare_the_ground_file(path: &Path, file: (Dev, u64), spare: &[PathBuf]) -> Result<()> {
    for (spared, ground) in grounds_of(spare)? {
        if ground.files.contains(&file) {
            return Err(bears(path, spared));
        }
    }
    Ok(())
}

fn spare_the_ground_device(path: &Path, device: Dev, spare: &[PathBuf]) -> Result<()> {
    for (spared, ground) in grounds_of(spare)? {
        if ground.devices.contains(&device) {
            return Err(bears(path, spared));
        }
    }
    Ok(())
}

/// What each spared folder lies on; a folder that does not exist lies on nothing.
fn grounds_of(spare: &[PathBuf]) -> Result<Vec<(&Path, system::Ground)>> {
    let mut grounds = Vec::new();
    for spared in spare {
        match system::ground_of(spared) {
            Ok(ground) => grounds.push((spared.as_path(), ground)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let place = Place::Path(spared.clone());
                return Err(Error::io(place, "find what it lies on", error));
            }
        }
    }
    Ok(grounds)
}

fn bears(path: &Path, spared: &Path) -> Error {
    let detail = format!("bears {}; choose another target", spared.display());
    refused(ErrorKind::InvalidInput, path, detail)
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
    if let Some(name) = hardware_name(stat.st_rdev) {
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

/// What a device, or the disk it is a partition of, calls itself: numbers of devices may change
/// at a restart, this does not.
fn hardware_name(device: Dev) -> Option<String> {
    let disk = system::whole_disk(device).unwrap_or(device);
    let names = ["wwid", "device/wwid", "device/serial", "serial", "dm/uuid"];
    names.iter().find_map(|name| system::sys_text(disk, name))
}
