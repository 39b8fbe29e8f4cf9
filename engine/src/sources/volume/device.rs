//! Block devices: disks, partitions, logical volumes.
//!
//! They are read through the kernel's cache, after what it holds of the device has been dropped: a
//! file system on it writes past that cache, so what lies there may be old. Dropping takes a call
//! that anyone may make and that discards clean pages only (`posix_fadvise`), which is all that
//! `BLKFLSBUF` would do beyond writing back; reading past the cache (`O_DIRECT`) would ask every
//! caller for aligned buffers and go without readahead. The price: where a sector is bad, the page
//! around it cannot be read either. Size and sectors need no privilege either.
//! Deliberately absent: opening exclusively, which would make a mount fail that happens meanwhile,
//! and any judgement: who reads a device that is mounted is told, and decides.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise, ioctl_blkpbszget, ioctl_blksszget};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::pipeline::ReadAt;
use crate::sources::volume::allocation::AllocationBuilder;
use crate::sources::volume::file::read_full;
pub use crate::sources::volume::uses::DeviceUses;
use crate::sources::volume::uses::{mounted_read_write, swaps_on, uses_of};
use crate::sources::volume::{
    Allocated, Identity, SECTOR_DEFAULT, VolumeKind, VolumeSource, check_len, check_range,
};
use crate::system::{DeviceId, System, device_at};

/// A block device.
#[derive(Debug)]
pub struct DeviceVolume {
    file: File,
    identity: Identity,
    len: u64,
    device: DeviceId,
    system: System,
}

impl DeviceVolume {
    /// Opens the block device at `path`; symbolic links are followed.
    pub fn open(path: &Path) -> Result<Self> {
        let place = || Place::Path(path.to_owned());
        let failed = |error: io::Error| Error::io(place(), "opening the device", error);
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut options = File::options();
        let options = options.read(true).custom_flags(flags.bits() as i32);
        let file = options.open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.file_type().is_block_device() {
            let detail = "is not a block device";
            return Err(Error::new(ErrorKind::InvalidInput, place(), detail));
        }
        let len = len_of(&file).map_err(failed)?;
        if len == 0 {
            let detail = "has no medium: its length is 0";
            return Err(Error::new(ErrorKind::NotFound, place(), detail));
        }
        fadvise(&file, 0, None, Advice::DontNeed).map_err(|e| failed(e.into()))?;
        let device = DeviceId::from_raw(metadata.rdev());
        let system = System::real();
        let logical_sector = ioctl_blksszget(&file).map_err(|e| failed(e.into()))?;
        let physical_sector = ioctl_blkpbszget(&file).map_err(|e| failed(e.into()))?;
        let mut identity = describe(&system, device, path);
        identity.logical_sector = logical_sector;
        identity.physical_sector = physical_sector;
        Ok(Self {
            file,
            identity,
            len,
            device,
            system,
        })
    }

    /// True if the kernel refuses writes to it.
    pub fn is_read_only(&self) -> bool {
        let value = self.system.value(self.device, "ro");
        value.as_deref() == Some("1")
    }

    /// Where it, a partition of it, or anything built on them is mounted so that it can be written
    /// while it is read: what is read then mixes several instants.
    pub fn mounted_read_write(&self) -> Result<Vec<PathBuf>> {
        let mounts = mounted_read_write(&self.system, self.device);
        mounts.map_err(|e| self.error("asking where it is mounted", e))
    }

    /// What may write to it while it is read, apart from the file systems that are mounted at
    /// `frozen`.
    pub fn uses(&self, frozen: &[PathBuf]) -> Result<DeviceUses> {
        let uses = uses_of(&self.system, self.device, frozen);
        uses.map_err(|e| self.error("asking what may write to it", e))
    }

    /// The swap areas on it.
    pub fn swap_areas(&self) -> Result<Vec<PathBuf>> {
        let swaps = swaps_on(&self.system, self.device);
        swaps.map_err(|e| self.error("asking whether memory is swapped to it", e))
    }

    fn error(&self, what: &str, cause: io::Error) -> Error {
        Error::io(Place::Path(self.identity.location.clone()), what, cause)
    }
}

/// Where the end lies: for a device that is its size.
fn len_of(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

/// What the system knows about a device.
fn describe(system: &System, device: DeviceId, path: &Path) -> Identity {
    let value = |name| system.value(device, name);
    let udev = |name| system.udev(device, name);
    let model = match (value("device/vendor"), value("device/model")) {
        (Some(vendor), Some(model)) => Some(format!("{vendor} {model}")),
        (_, model) => model,
    };
    let serial = value("device/serial").or_else(|| value("serial"));
    let uuid = udev("ID_FS_UUID").or_else(|| value("dm/uuid"));
    let rotational = value("queue/rotational");
    Identity {
        kind: VolumeKind::Device,
        location: path.to_owned(),
        model: model.or_else(|| value("dm/name")),
        serial: serial.or_else(|| udev("ID_SERIAL_SHORT")),
        uuid: uuid.or_else(|| value("md/uuid")),
        logical_sector: SECTOR_DEFAULT,
        physical_sector: SECTOR_DEFAULT,
        rotational: rotational.map(|text| text == "1"),
    }
}

impl ReadAt for DeviceVolume {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_full(&self.file, self.len, offset, buffer)
    }
}

impl VolumeSource for DeviceVolume {
    fn len(&self) -> u64 {
        self.len
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// All of it is data: no device says what it has discarded, nor what it then reads as.
    fn allocation(&self, range: Range<u64>) -> Result<Vec<Allocated>> {
        check_range(&self.identity.location, &range, self.len)?;
        Ok(AllocationBuilder::new(range).finish())
    }

    fn check_unchanged(&self) -> Result<()> {
        let len = len_of(&self.file).map_err(|e| self.error("asking for its length", e))?;
        check_len(&self.identity.location, self.len, len)?;
        if device_at(&self.identity.location) == Some(self.device) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Busy,
            Place::Path(self.identity.location.clone()),
            format!(
                "is no longer the device {}:{} of {} bytes that was read",
                self.device.major, self.device.minor, self.len
            ),
        ))
    }
}

#[cfg(test)]
mod tests;
