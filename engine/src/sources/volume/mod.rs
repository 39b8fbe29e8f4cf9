//! Volumes as sources: image files, block devices, NBD exports, and images in other formats.
//!
//! A volume is a fixed number of bytes that any thread reads at any offset, through one trait
//! ([`VolumeSource`]). Each kind has its module; what they share is what they say about themselves
//! ([`Identity`]) and about what is allocated ([`Allocated`]).
//!
//! Below: the kernel, or a server. Above: the operation that takes a snapshot. Deliberately absent:
//! writing, chunks, and trust: whoever says that a range reads as zeros must be known to tell the
//! truth, or the range is data.

mod allocation;
mod beginning;
pub mod changed_ranges;
pub mod device;
pub mod file;
pub mod freeze;
pub mod gaps;
pub mod image;
pub mod layout;
pub mod nbd;
mod uses;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::pipeline::ReadAt;

pub use crate::pipeline::volume::{Allocated, Allocation};
pub use beginning::Beginning;
pub use changed_ranges::{ChangedRanges, ListKind};
pub use device::DeviceVolume;
pub use file::FileVolume;
pub use freeze::{FreezeOptions, Frozen};
pub use gaps::read_with_gaps;
pub use image::{ImageFormat, ImageOptions, ImageVolume};
pub use nbd::{NbdOptions, NbdVolume};

/// A volume: bytes of a fixed number, read at any offset from any thread.
pub trait VolumeSource: ReadAt {
    /// Its length in bytes when it was opened.
    fn len(&self) -> u64;

    /// True for a volume without a byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it is.
    fn identity(&self) -> &Identity;

    /// What is allocated in `range`: ascending pieces that cover it exactly, neighbours of
    /// different kinds. `InvalidInput` if the range does not lie within the volume.
    fn allocation(&self, range: Range<u64>) -> Result<Vec<Allocated>>;

    /// Asks, once all is read, whether it is still the volume that was opened: `Busy` if it has
    /// another length or something else is in its place.
    fn check_unchanged(&self) -> Result<()>;

    /// True if it was seen to be written since it was opened: what was read may mix instants.
    fn was_written(&self) -> bool {
        false
    }

    /// What did not go as it should since the volume was opened and was got around, one sentence
    /// each. Never silent: the caller tells its observer.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a volume is, for the snapshot to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Where its bytes come from.
    pub kind: VolumeKind,
    /// Path or URL, as it was given.
    pub location: PathBuf,
    /// Maker and model of the disk.
    pub model: Option<String>,
    /// Serial number of the disk.
    pub serial: Option<String>,
    /// Identifier of the file system, or of the logical volume, where the system knows it.
    pub uuid: Option<String>,
    /// Smallest unit that can be addressed, in bytes: partition tables count in it.
    pub logical_sector: u32,
    /// Smallest unit that the medium writes, in bytes.
    pub physical_sector: u32,
    /// True for a spinning disk, nothing where that is unknown.
    pub rotational: Option<bool>,
}

/// Where the bytes of a volume come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    /// A regular file with the bytes of a disk.
    File,
    /// A block device.
    Device,
    /// An export of an NBD server.
    Nbd,
    /// An image in another format, behind a server of our own.
    Image,
}

/// Unit of addressing where nothing else is known, in bytes.
const SECTOR_DEFAULT: u32 = 512;

/// True if a block device is at `path`; symbolic links are followed.
pub fn is_device(path: &Path) -> bool {
    crate::system::device_at(path).is_some()
}

/// Opens the regular file or the block device at `path`; symbolic links are followed.
pub fn open_path(path: &Path) -> Result<Box<dyn VolumeSource>> {
    if is_device(path) {
        Ok(Box::new(DeviceVolume::open(path)?))
    } else {
        Ok(Box::new(FileVolume::open(path)?))
    }
}

/// Asks the kernel to forget what it has cached of the file or device at `path`, as far as that is
/// on the medium: who measures a medium asks for that, and nobody else.
pub fn drop_cached(path: &Path) -> Result<()> {
    let drop = || -> std::io::Result<()> {
        let file = std::fs::File::open(path)?;
        Ok(rustix::fs::fadvise(
            &file,
            0,
            None,
            rustix::fs::Advice::DontNeed,
        )?)
    };
    let place = || Place::Path(path.to_owned());
    drop().map_err(|error| Error::io(place(), "dropping what is cached of it", error))
}

/// Refuses what does not lie within a volume of `len` bytes.
fn check_range(location: &Path, range: &Range<u64>, len: u64) -> Result<()> {
    if range.start <= range.end && range.end <= len {
        return Ok(());
    }
    let Range { start, end } = range;
    Err(Error::new(
        ErrorKind::InvalidInput,
        Place::Path(location.to_owned()),
        format!("the range {start} to {end} is not within its {len} bytes"),
    ))
}

/// Refuses a volume whose length is not the one that was read.
fn check_len(location: &Path, opened: u64, now: u64) -> Result<()> {
    if opened == now {
        return Ok(());
    }
    let verb = if now < opened { "shrank" } else { "grew" };
    Err(Error::new(
        ErrorKind::Busy,
        Place::Path(location.to_owned()),
        format!("{verb} from {opened} to {now} bytes while it was read"),
    ))
}

#[cfg(test)]
mod tests;
