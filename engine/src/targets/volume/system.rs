//! What the system tells of block devices: mounts, holders, what lies on what.
//!
//! Read from `/proc` and `/sys`; what cannot be read there is not known, and never an error. Above:
//! `open`, which has the kernel's word on whether a device is free, and asks here only for names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Dev;
use rustix::fs::FileType;
use rustix::fs::StatxFlags;

/// Deepest stack of devices and image files that is followed.
const STACK_DEPTH_MAX: usize = 16;

/// One line of `mountinfo`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub id: u64,
    pub device: Dev,
    pub point: PathBuf,
    pub source: PathBuf,
}

/// What bytes lie on: devices, and image files.
#[derive(Debug, Default)]
pub(super) struct Ground {
    pub devices: BTreeSet<Dev>,
    /// Device and inode number of each.
    pub files: BTreeSet<(Dev, u64)>,
}

/// Reads `mountinfo`; lines that are none are passed over.
pub(super) fn parse_mounts(text: &[u8]) -> Vec<Mount> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(parse_mount).collect()
}

fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|&byte| byte == b' ');
    let id = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let device = parse_device(words.nth(1)?)?;
    let point = unescape(words.nth(1)?);
    // Optional fields end with a dash; the type and the source follow.
    words.find(|word| *word == b"-")?;
    let source = unescape(words.nth(1)?);
    Some(Mount {
        id,
        device,
        point,
        source,
    })
}

/// `major:minor`.
fn parse_device(text: &[u8]) -> Option<Dev> {
    let (major, minor) = std::str::from_utf8(text).ok()?.trim().split_once(':')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    Some(rustix::fs::makedev(major, minor))
}

/// Spaces and the like stand as three octal digits behind a backslash.
fn unescape(text: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| byte == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(code.unwrap_or(byte));
        rest = &behind[if code.is_some() { 3 } else { 0 }..];
    }
    PathBuf::from(OsString::from_vec(plain))
}

fn mounts() -> Vec<Mount> {
    parse_mounts(&fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// Where `/sys` describes a device.
pub(super) fn sys_path(device: Dev) -> PathBuf {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    PathBuf::from(format!("/sys/dev/block/{major}:{minor}"))
}

/// One word or line that `/sys` says of a device.
pub(super) fn sys_text(device: Dev, name: &str) -> Option<String> {
    let text = fs::read(sys_path(device).join(name)).ok()?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn device_at(path: &Path) -> Option<Dev> {
    parse_device(&fs::read(path.join("dev")).ok()?)
}

/// The disk that a partition is of.
pub(super) fn whole_disk(device: Dev) -> Option<Dev> {
    let path = sys_path(device);
    let is_partition = path.join("partition").exists();
    is_partition.then(|| device_at(&path.join(".."))).flatten()
}

/// Names and numbers of the partitions of a disk, as the kernel knows them, by name.
pub(super) fn partitions(device: Dev) -> Vec<(String, Dev)> {
    let mut found: Vec<_> = children(&sys_path(device))
        .into_iter()
        .filter(|path| path.join("partition").exists())
        .filter_map(|path| Some((name_of(&path), device_at(&path)?)))
        .collect();
    found.sort();
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Number of the block device at `path`, if there is one.
fn block_device(path: &Path) -> Option<Dev> {
    let stat = rustix::fs::stat(path).ok()?;
    let is_block = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
    is_block.then_some(stat.st_rdev)
}

/// What uses a device, its partitions or its disk: one phrase each, for a person.
pub(super) fn uses_of(device: Dev) -> Vec<String> {
    let mut family: BTreeSet<Dev> = partitions(device).into_iter().map(|(_, dev)| dev).collect();
    family.insert(device);
    family.extend(whole_disk(device));
    let mut uses = Vec::new();
    for mount in mounts() {
        let by_source = || block_device(&mount.source).is_some_and(|dev| family.contains(&dev));
        if family.contains(&mount.device) || (mount.source.is_absolute() && by_source()) {
            uses.push(format!("mounted at {}", mount.point.display()));
        }
    }
    for path in swaps(&fs::read("/proc/swaps").unwrap_or_default()) {
        if block_device(&path).is_some_and(|dev| family.contains(&dev)) {
            uses.push(format!("{} is swap", path.display()));
        }
    }
    for member in &family {
        for holder in children(&sys_path(*member).join("holders")) {
            uses.push(format!("held by {}", name_of(&holder)));
        }
    }
    uses.sort();
    uses.dedup();
    uses
}

/// Paths in `/proc/swaps`: the first column below its heading.
fn swaps(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|&byte| byte == b'\n').skip(1);
    let first = lines.filter_map(|line| line.split(u8::is_ascii_whitespace).next());
    first
        .filter(|word| !word.is_empty())
        .map(unescape)
        .collect()
}

/// The loop device that an image file is attached to.
pub(super) fn attached_as(file: (Dev, u64)) -> Option<String> {
    let devices = children(Path::new("/sys/block"));
    let attached = devices
        .iter()
        .find(|path| backing_file(path).is_some_and(|backing| identity(&backing) == Some(file)));
    attached.map(|path| format!("/dev/{}", name_of(path)))
}

fn backing_file(device: &Path) -> Option<PathBuf> {
    let mut text = fs::read(device.join("loop/backing_file")).ok()?;
    if text.ends_with(b"\n") {
        text.pop();
    }
    Some(PathBuf::from(OsString::from_vec(text)))
}

fn identity(path: &Path) -> Option<(Dev, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Everything that what is at `path` lies on, through partitions, stacked devices and images.
pub(super) fn ground_of(path: &Path) -> std::io::Result<Ground> {
    let mut ground = Ground::default();
    let device = device_under(path)?;
    follow(device, &mut ground, STACK_DEPTH_MAX);
    Ok(ground)
}

/// The device of the file system at `path`; of one without a device of its own, what it is
/// mounted from.
fn device_under(path: &Path) -> std::io::Result<Dev> {
    let device = fs::metadata(path)?.dev();
    if rustix::fs::major(device) != 0 {
        return Ok(device);
    }
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID);
    let id = found.map(|stat| stat.stx_mnt_id).unwrap_or_default();
    let mount = mounts().into_iter().find(|mount| mount.id == id);
    let source = mount.and_then(|mount| block_device(&mount.source));
    Ok(source.unwrap_or(device))
}

fn follow(device: Dev, ground: &mut Ground, depth: usize) {
    if depth == 0 || !ground.devices.insert(device) {
        return;
    }
    if let Some(disk) = whole_disk(device) {
        follow(disk, ground, depth - 1);
    }
    for below in children(&sys_path(device).join("slaves")) {
        if let Some(below) = device_at(&below) {
            follow(below, ground, depth - 1);
        }
    }
    if let Some(image) = backing_file(&sys_path(device)) {
        ground.files.extend(identity(&image));
        if let Ok(below) = device_under(&image) {
            follow(below, ground, depth - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_optional_fields_and_escaped_paths() {
        let text = b"22 1 8:2 / / rw,relatime shared:1 master:2 - ext4 /dev/sda2 rw\n\
            nonsense\n\
            31 22 0:45 /sub /mnt/a\\040b\\134 rw - btrfs /dev/sdb rw\n";
        let mounts = parse_mounts(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].device, rustix::fs::makedev(8, 2));
        assert_eq!(mounts[0].source, Path::new("/dev/sda2"));
        assert_eq!(mounts[1].id, 31);
        assert_eq!(mounts[1].point, Path::new("/mnt/a b\\"));
        assert_eq!(mounts[1].source, Path::new("/dev/sdb"));
    }

    #[test]
    fn a_broken_line_is_passed_over_and_a_broken_escape_stands_as_it_is() {
        for text in ["1 2", "1 2 8:x / /m rw - a b c", "1 2 8:1 / /m rw no dash"] {
            assert!(parse_mounts(text.as_bytes()).is_empty(), "{text}");
        }
        assert_eq!(unescape(b"a\\04"), Path::new("a\\04"));
        assert_eq!(unescape(b"a\\999b"), Path::new("a\\999b"));
        assert_eq!(unescape(b"\\"), Path::new("\\"));
    }

    #[test]
    fn swaps_are_the_first_column() {
        let text = b"Filename\tType\tSize\n/dev/sda3   partition\t1\n/swap\\040file file\t2\n";
        let paths = [PathBuf::from("/dev/sda3"), PathBuf::from("/swap file")];
        assert_eq!(swaps(text), paths);
        assert!(swaps(b"").is_empty());
    }

    #[test]
    fn the_ground_of_a_folder_holds_its_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let ground = ground_of(folder.path()).unwrap();
        assert!(!ground.devices.is_empty());
        assert!(ground_of(&folder.path().join("missing")).is_err());
    }
}
