//! What the kernel says in /proc and /sys: mounts, swap areas, and how block devices stack up.
//!
//! Only the mounts of our own namespace are seen: a container may have mounted the same device.
//! Deliberately absent: opening devices.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::limits::SYSTEM_ENTRIES_LIMIT;

/// Longest file of /proc that is read.
const PROC_LEN_LIMIT: u64 = 64 << 20;
/// Longest value of /sys that is shown to people.
const VALUE_LEN_LIMIT: usize = 256;

/// Number of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeviceId {
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// One line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) number: u64,
    pub(super) device: DeviceId,
    pub(super) point: PathBuf,
    /// What was mounted: usually the path of a device.
    pub(super) source: PathBuf,
    /// The file system as a whole can be written, whatever this mount permits.
    pub(super) is_writable: bool,
    /// Where an overlay stores what is written to it.
    pub(super) upper: Option<PathBuf>,
}

/// The root below which /proc and /sys lie; tests have one of their own.
#[derive(Clone, Debug)]
pub(super) struct System(pub(super) PathBuf);

impl DeviceId {
    pub(super) fn from_raw(rdev: u64) -> Self {
        Self {
            major: rustix::fs::major(rdev),
            minor: rustix::fs::minor(rdev),
        }
    }

    /// As in `8:1`.
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

impl System {
    /// The machine we run on.
    pub(super) fn real() -> Self {
        Self(PathBuf::from("/"))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.0.join(path))?;
        file.take(PROC_LEN_LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Every mount that we see.
    pub(super) fn mounts(&self) -> io::Result<Vec<Mount>> {
        let bytes = self.read("proc/self/mountinfo")?;
        let lines = bytes.split(|&byte| byte == b'\n');
        Ok(lines
            .filter_map(parse_mount)
            .take(SYSTEM_ENTRIES_LIMIT)
            .collect())
    }

    /// Every file and device that memory is swapped to.
    pub(super) fn swaps(&self) -> io::Result<Vec<PathBuf>> {
        let bytes = match self.read("proc/swaps") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let lines = bytes.split(|&byte| byte == b'\n').skip(1);
        let names = lines.filter_map(|line| line.split(|byte| b" \t".contains(byte)).next());
        let names = names.filter(|name| !name.is_empty()).map(unescape);
        Ok(names.take(SYSTEM_ENTRIES_LIMIT).collect())
    }

    /// Where /sys speaks of a device.
    pub(super) fn folder(&self, device: DeviceId) -> PathBuf {
        let DeviceId { major, minor } = device;
        self.0.join(format!("sys/dev/block/{major}:{minor}"))
    }

    /// One line of /sys about a device, or about the disk that its partition lies on.
    pub(super) fn value(&self, device: DeviceId, name: &str) -> Option<String> {
        let folder = self.folder(device);
        let read = |path: PathBuf| std::fs::read(path).ok();
        let mut found = read(folder.join(name));
        if found.is_none() && folder.join("partition").exists() {
            // By the system and not by text: the folder is a symbolic link.
            found = read(folder.canonicalize().ok()?.parent()?.join(name));
        }
        printable(&found?)
    }

    /// One property that udev has noted about a device.
    pub(super) fn udev(&self, device: DeviceId, name: &str) -> Option<String> {
        let DeviceId { major, minor } = device;
        let bytes = self.read(&format!("run/udev/data/b{major}:{minor}")).ok()?;
        let prefix = format!("E:{name}=");
        let mut lines = bytes.split(|&byte| byte == b'\n');
        printable(lines.find_map(|line| line.strip_prefix(prefix.as_bytes()))?)
    }

    /// The device, its partitions, and all that is built on them: encrypted, striped, mapped.
    pub(super) fn built_on(&self, device: DeviceId) -> BTreeSet<DeviceId> {
        let mut found = BTreeSet::from([device]);
        let mut todo = vec![device];
        while let Some(device) = todo.pop() {
            let folder = self.folder(device);
            let partitions = devices_in(&folder, |entry| entry.join("partition").exists());
            let holders = devices_in(&folder.join("holders"), |_| true);
            for next in partitions.into_iter().chain(holders) {
                if found.len() < SYSTEM_ENTRIES_LIMIT && found.insert(next) {
                    todo.push(next);
                }
            }
        }
        found
    }

    /// What a device is built on directly.
    pub(super) fn below(&self, device: DeviceId) -> BTreeSet<DeviceId> {
        devices_in(&self.folder(device).join("slaves"), |_| true)
    }

    /// Devices of each mounted btrfs: it mounts one of them, under a number of its own.
    fn btrfs_groups(&self) -> Vec<BTreeSet<DeviceId>> {
        let folders = entries(&self.0.join("sys/fs/btrfs"));
        let groups = folders
            .iter()
            .map(|folder| devices_in(&folder.join("devices"), |_| true));
        groups.filter(|group| !group.is_empty()).collect()
    }

    /// Where `device` or anything built on it is mounted writably.
    pub(super) fn mounted_read_write(&self, device: DeviceId) -> io::Result<Vec<PathBuf>> {
        let mut devices = self.built_on(device);
        for group in self.btrfs_groups() {
            if !group.is_disjoint(&devices) {
                devices.extend(group);
            }
        }
        let is_ours = |mount: &Mount| {
            devices.contains(&mount.device)
                || sources(&mount.source).any(|source| devices.contains(&source))
        };
        let mounts = self.mounts()?.into_iter();
        let mounts = mounts.filter(|mount| mount.is_writable && is_ours(mount));
        Ok(mounts.map(|mount| mount.point).collect())
    }

    /// Swap areas on `device` or on anything built on it.
    pub(super) fn swaps_on(&self, device: DeviceId) -> io::Result<Vec<PathBuf>> {
        let devices = self.built_on(device);
        let mut swaps = self.swaps()?;
        swaps.retain(|path| device_at(path).is_some_and(|device| devices.contains(&device)));
        Ok(swaps)
    }
}

/// The block device with this path.
pub(super) fn device_at(path: &Path) -> Option<DeviceId> {
    let metadata = path.metadata().ok()?;
    let is_device = metadata.file_type().is_block_device();
    is_device.then(|| DeviceId::from_raw(metadata.rdev()))
}

/// Devices that a mount names as its source; some file systems name several.
pub(super) fn sources(source: &Path) -> impl Iterator<Item = DeviceId> {
    let names = source.as_os_str().as_bytes().split(|&byte| byte == b':');
    let paths = names.map(|name| Path::new(std::ffi::OsStr::from_bytes(name)));
    paths
        .filter(|path| path.is_absolute())
        .filter_map(device_at)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .take(SYSTEM_ENTRIES_LIMIT)
        .map(|entry| entry.path())
        .collect()
}

/// Devices that the entries of a folder of /sys stand for.
fn devices_in(folder: &Path, wanted: impl Fn(&Path) -> bool) -> BTreeSet<DeviceId> {
    let entries = entries(folder).into_iter().filter(|entry| wanted(entry));
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.join("dev")).ok());
    texts.filter_map(|text| DeviceId::parse(&text)).collect()
}

/// `36 35 8:1 / /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
    let number = text(fields.next()?)?.parse().ok()?;
    let device = DeviceId::parse(&text(fields.nth(1)?)?)?;
    let point = unescape(fields.nth(1)?);
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let source = unescape(fields.nth(1)?);
    let options: Vec<_> = fields.next()?.split(|&byte| byte == b',').collect();
    let upper = options
        .iter()
        .find_map(|option| option.strip_prefix(b"upperdir="));
    Some(Mount {
        number,
        device,
        point,
        source,
        is_writable: options.contains(&b"rw".as_slice()),
        upper: upper.map(unescape),
    })
}

/// A path of /proc: blanks and the like stand there as `\040`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| byte == b'\\');
        let value = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match value.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &behind[3..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// A value for people: one line, trimmed, of bounded length; nothing if it is empty.
fn printable(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let clean = text.chars().filter(|c| !c.is_control());
    let clean: String = clean.take(VALUE_LEN_LIMIT).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

#[cfg(test)]
mod tests;
