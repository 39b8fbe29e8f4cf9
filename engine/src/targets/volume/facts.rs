//! What is at a path, for a question before it is overwritten.

use std::path::Path;

use rustix::fs::FileType;
use rustix::fs::OFlags;

use crate::error::Result;
use crate::system::DeviceId;
use crate::system::System;
use crate::targets::volume::open::device_len;
use crate::targets::volume::open::file_id;
use crate::targets::volume::open::look_at;
use crate::targets::volume::open::open_at;
use crate::targets::volume::open::sector_len;
use crate::targets::volume::uses::uses_of;

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
    let system = System::real();
    if kind == FileType::RegularFile {
        let attached = system.attached_as(file_id(&stat));
        let attached = attached.map(|device| format!("attached as {device}"));
        return Ok(Some(TargetFacts {
            len: u64::try_from(stat.st_size).unwrap_or(0),
            uses: attached.into_iter().collect(),
            ..TargetFacts::default()
        }));
    }
    let file = open_at(path, OFlags::RDONLY)?;
    let device = DeviceId::from_raw(stat.st_rdev);
    let partitions = system.partitions(device);
    Ok(Some(TargetFacts {
        is_device: true,
        len: device_len(path, &file)?,
        sector_len: Some(sector_len(path, &file)?),
        model: system.own_value(device, "device/model"),
        serial: hardware_name(&system, device),
        partitions: partitions.into_iter().map(|(name, _)| name).collect(),
        uses: uses_of(&system, device),
    }))
}

/// What a device, or the disk it is a partition of, calls itself: numbers of devices may change
/// at a restart, this does not.
pub(super) fn hardware_name(system: &System, device: DeviceId) -> Option<String> {
    let disk = system.whole_disk(device).unwrap_or(device);
    let names = ["wwid", "device/wwid", "device/serial", "serial", "dm/uuid"];
    names.iter().find_map(|name| system.own_value(disk, name))
}
