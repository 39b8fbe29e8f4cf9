//! A block device: its values, its partitions, what lies below it and above it.
//!
//! What cannot be read here is not known, and never an error: a device may go at any time.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::limits::SYSTEM_ENTRIES_LIMIT;
use crate::system::{System, entries, name_of};

/// Longest value of /sys that is shown to people.
const VALUE_LEN_LIMIT: usize = 256;

/// Number of a block device, or of a file system that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceId {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl DeviceId {
    /// From the number in one word that `stat` gives.
    pub(crate) fn from_raw(number: u64) -> Self {
        Self {
            major: rustix::fs::major(number),
            minor: rustix::fs::minor(number),
        }
    }

    /// As in `8:1`.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (major, minor) = std::str::from_utf8(text).ok()?.trim().split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

impl System {
    /// Where /sys speaks of a device.
    pub(super) fn folder(&self, device: DeviceId) -> PathBuf {
        let DeviceId { major, minor } = device;
        self.0.join(format!("sys/dev/block/{major}:{minor}"))
    }

    /// One line of /sys about a device.
    pub(crate) fn own_value(&self, device: DeviceId, name: &str) -> Option<String> {
        printable(&std::fs::read(self.folder(device).join(name)).ok()?)
    }

    /// One line of /sys about a device, or about the disk that its partition lies on.
    pub(crate) fn value(&self, device: DeviceId, name: &str) -> Option<String> {
        let of_disk = || self.own_value(self.whole_disk(device)?, name);
        self.own_value(device, name).or_else(of_disk)
    }

    /// One property that udev has noted about a device.
    pub(crate) fn udev(&self, device: DeviceId, name: &str) -> Option<String> {
        let DeviceId { major, minor } = device;
        let bytes = self.read(&format!("run/udev/data/b{major}:{minor}")).ok()?;
        let prefix = format!("E:{name}=");
        let mut lines = bytes.split(|&byte| byte == b'\n');
        printable(lines.find_map(|line| line.strip_prefix(prefix.as_bytes()))?)
    }

    /// The disk that a partition is of.
    pub(crate) fn whole_disk(&self, device: DeviceId) -> Option<DeviceId> {
        let folder = self.folder(device);
        // By the system and not by text: the folder is a symbolic link.
        let is_partition = folder.join("partition").exists();
        is_partition.then(|| number_in(&folder.join("..")))?
    }

    /// Names and numbers of the partitions of a disk, as the kernel knows them, by name.
    pub(crate) fn partitions(&self, device: DeviceId) -> Vec<(String, DeviceId)> {
        devices_in(&self.folder(device), |entry| {
            entry.join("partition").exists()
        })
    }

    /// Names and numbers of what is built on a device directly: encrypted, striped, mapped.
    pub(crate) fn holders(&self, device: DeviceId) -> Vec<(String, DeviceId)> {
        devices_in(&self.folder(device).join("holders"), |_| true)
    }

    /// The device, its partitions, and all that is built on them.
    pub(crate) fn built_on(&self, device: DeviceId) -> BTreeSet<DeviceId> {
        let mut found = BTreeSet::from([device]);
        let mut todo = vec![device];
        while let Some(device) = todo.pop() {
            let above = self
                .partitions(device)
                .into_iter()
                .chain(self.holders(device));
            for (_, next) in above {
                if found.len() < SYSTEM_ENTRIES_LIMIT && found.insert(next) {
                    todo.push(next);
                }
            }
        }
        found
    }

    /// What a device lies on directly: other devices, or the disk that it is a partition of.
    pub(crate) fn below(&self, device: DeviceId) -> BTreeSet<DeviceId> {
        let slaves = devices_in(&self.folder(device).join("slaves"), |_| true);
        let slaves = slaves.into_iter().map(|(_, slave)| slave);
        slaves.chain(self.whole_disk(device)).collect()
    }

    /// Devices of each mounted btrfs: it mounts one of them, under a number of its own.
    pub(crate) fn btrfs_groups(&self) -> Vec<BTreeSet<DeviceId>> {
        let folders = entries(&self.0.join("sys/fs/btrfs"));
        let groups = folders.iter().map(|folder| {
            let devices = devices_in(&folder.join("devices"), |_| true);
            BTreeSet::from_iter(devices.into_iter().map(|(_, device)| device))
        });
        groups.filter(|group| !group.is_empty()).collect()
    }
}

/// The block device with this path.
pub(crate) fn device_at(path: &Path) -> Option<DeviceId> {
    let metadata = path.metadata().ok()?;
    let is_device = metadata.file_type().is_block_device();
    is_device.then(|| DeviceId::from_raw(metadata.rdev()))
}

/// Devices that the wanted entries of a folder of /sys stand for, by name.
fn devices_in(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<(String, DeviceId)> {
    let entries = entries(folder).into_iter().filter(|entry| wanted(entry));
    let named = entries.filter_map(|entry| Some((name_of(&entry), number_in(&entry)?)));
    let mut found: Vec<_> = named.collect();
    found.sort_unstable();
    found
}

/// The device that a folder of /sys stands for.
fn number_in(folder: &Path) -> Option<DeviceId> {
    DeviceId::parse(&std::fs::read(folder.join("dev")).ok()?)
}

/// A value for people: one line, trimmed, of bounded length; nothing if it is empty.
fn printable(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let clean = text.chars().filter(|c| !c.is_control());
    let clean: String = clean.take(VALUE_LEN_LIMIT).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}
