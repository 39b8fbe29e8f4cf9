//! What is mounted where, and what memory is swapped to.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::limits::SYSTEM_ENTRIES_LIMIT;
use crate::system::System;
use crate::system::devices::{DeviceId, device_at};

/// One line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) number: u64,
    pub(crate) device: DeviceId,
    pub(crate) point: PathBuf,
    /// Name of the kind of file system, `ext4` for example.
    pub(crate) kind: String,
    /// What was mounted: usually the path of a device.
    pub(crate) source: PathBuf,
    /// The file system as a whole can be written, whatever this mount permits.
    pub(crate) is_writable: bool,
    /// Where an overlay stores what is written to it.
    pub(crate) upper: Option<PathBuf>,
}

impl Mount {
    /// Devices that it names as its source; some file systems name several.
    pub(crate) fn sources(&self) -> impl Iterator<Item = DeviceId> {
        let names = self
            .source
            .as_os_str()
            .as_bytes()
            .split(|&byte| byte == b':');
        let paths = names.map(|name| Path::new(OsStr::from_bytes(name)));
        paths
            .filter(|path| path.is_absolute())
            .filter_map(device_at)
    }
}

impl System {
    /// Every mount that we see; lines that are none are passed over.
    pub(crate) fn mounts(&self) -> io::Result<Vec<Mount>> {
        let bytes = self.read("proc/self/mountinfo")?;
        let lines = bytes.split(|&byte| byte == b'\n');
        Ok(lines
            .filter_map(parse_mount)
            .take(SYSTEM_ENTRIES_LIMIT)
            .collect())
    }

    /// Every file and device that memory is swapped to: the first column below its heading.
    pub(crate) fn swaps(&self) -> io::Result<Vec<PathBuf>> {
        let bytes = match self.read("proc/swaps") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let lines = bytes.split(|&byte| byte == b'\n').skip(1);
        let names = lines.filter_map(|line| line.split(u8::is_ascii_whitespace).next());
        let names = names.filter(|name| !name.is_empty()).map(unescape);
        Ok(names.take(SYSTEM_ENTRIES_LIMIT).collect())
    }
}

/// The one of `mounts` that an existing path lies on, if the kernel tells and it is among them.
pub(crate) fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> io::Result<Option<&'a Mount>> {
    let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
    let is_known = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(mounts
        .iter()
        .find(|mount| is_known && mount.number == stat.stx_mnt_id))
}

/// `36 35 8:1 / /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = DeviceId::parse(fields.nth(1)?)?;
    let point = unescape(fields.nth(1)?);
    // Optional fields end with a dash; the type, the source and its options follow.
    fields.find(|field| *field == b"-")?;
    let kind = String::from_utf8_lossy(fields.next()?).into_owned();
    let source = unescape(fields.next()?);
    let options: Vec<_> = fields.next()?.split(|&byte| byte == b',').collect();
    let upper = options
        .iter()
        .find_map(|option| option.strip_prefix(b"upperdir="));
    Some(Mount {
        number,
        device,
        point,
        kind,
        source,
        is_writable: options.contains(&b"rw".as_slice()),
        upper: upper.map(unescape),
    })
}

/// A path of /proc: blanks and the like stand there as `\040`.
pub(super) fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| byte == b'\\');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(value.unwrap_or(byte));
        rest = &behind[if value.is_some() { 3 } else { 0 }..];
    }
    PathBuf::from(OsString::from_vec(bytes))
}
