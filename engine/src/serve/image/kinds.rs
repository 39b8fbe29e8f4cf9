//! Which file systems have a reader, and what is said of those that have none.

use std::rc::Rc;

use crate::error::Result;
use crate::serve::image::btrfs::Btrfs;
use crate::serve::image::ext::Ext;
use crate::serve::image::fat::Fat;
use crate::serve::image::medium::Medium;
use crate::serve::image::ntfs::Ntfs;
use crate::serve::image::reader::FileSystemReader;
use crate::serve::image::xfs::Xfs;
use crate::sources::volume::layout::FileSystemKind;

/// Why there are no files to be shown in what was recognized as `kind` when it was captured, the name
/// that a snapshot has of it; nothing if they can be. What to do instead is in it.
pub(in crate::serve) fn refusal(kind: Option<&str>) -> Option<String> {
    let known = kind.map(FileSystemKind::of_name);
    match (kind, known) {
        (Some(kind), Some(None)) => Some(without_reader(kind)),
        (_, known) => readable(known.flatten()).err(),
    }
}

/// The kind, or why it is not read.
pub(super) fn readable(kind: Option<FileSystemKind>) -> Result<FileSystemKind, String> {
    match kind {
        Some(kind) if has_reader(kind) => Ok(kind),
        Some(kind) => Err(instead(kind)),
        None => {
            let refusal = "holds no file system that is known: restore the volume, or map it";
            Err(refusal.to_owned())
        }
    }
}

fn has_reader(kind: FileSystemKind) -> bool {
    use FileSystemKind as Kind;
    matches!(
        kind,
        Kind::Ext2
            | Kind::Ext3
            | Kind::Ext4
            | Kind::Fat12
            | Kind::Fat16
            | Kind::Fat32
            | Kind::Ntfs
            | Kind::Btrfs
            | Kind::Xfs
    )
}

/// A reader of the file system of this kind in `medium`.
pub(super) fn open_reader(
    kind: FileSystemKind,
    medium: &Rc<Medium>,
) -> Result<Box<dyn FileSystemReader>> {
    use FileSystemKind as Kind;
    Ok(match kind {
        Kind::Fat12 | Kind::Fat16 | Kind::Fat32 => Box::new(Fat::open(medium)?),
        Kind::Ntfs => Box::new(Ntfs::open(medium)?),
        Kind::Btrfs => Box::new(Btrfs::open(medium)?),
        Kind::Xfs => Box::new(Xfs::open(medium)?),
        _ => Box::new(Ext::open(medium)?),
    })
}

/// What can be done with what has no reader.
fn instead(kind: FileSystemKind) -> String {
    use FileSystemKind as Kind;
    let (what, todo) = match kind {
        Kind::Luks1 | Kind::Luks2 | Kind::BitLocker => (
            "is encrypted and cannot be read without its key",
            "unlock it there",
        ),
        Kind::Swap => return "holds swap space (swap), which has no files".to_owned(),
        Kind::Lvm2 => (
            "is a physical volume that is not looked into here",
            "open it there",
        ),
        Kind::MdRaid | Kind::Zfs => (
            "is one part of several that make a volume",
            "put it together there with the others",
        ),
        _ => return without_reader(kind.name()),
    };
    format!(
        "holds {kind}, which {what}: restore the volume to a file or a device, or serve it as a \
         disk, and {todo}"
    )
}

fn without_reader(kind: &str) -> String {
    format!(
        "holds {kind}, which has no reader yet: restore the volume to a file or a device, or serve \
         it as a disk, and mount it there"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_snapshot_says_of_a_volume_tells_whether_its_files_can_be_shown() {
        for (kind, expected) in [
            (Some("ext4"), None),
            (Some("fat12"), None),
            (Some("btrfs"), None),
            (Some("swap"), Some("which has no files")),
            (Some("lvm2_member"), Some("not looked into here: restore")),
            (Some("luks2"), Some("is encrypted")),
            (Some("xfs"), None),
            (Some("exfat"), Some("holds exfat, which has no reader yet")),
            (Some("of 2040"), Some("holds of 2040, which has no reader")),
            (None, Some("no file system that is known")),
        ] {
            let refusal = refusal(kind);
            let is_as_expected = match (&refusal, expected) {
                (Some(refusal), Some(expected)) => refusal.contains(expected),
                (refusal, expected) => refusal.is_none() && expected.is_none(),
            };
            assert!(is_as_expected, "{kind:?}: {refusal:?}");
        }
    }
}
