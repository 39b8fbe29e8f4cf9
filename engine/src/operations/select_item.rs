//! What a person means by `SNAP:LABEL[/pN]/PATH`: a file of the file system in a volume; and by
//! `SNAP:LABEL[/pN]/GROUP/VOLUME/PATH`, where that is a physical volume of LVM2.
//!
//! Names alone decide: nothing is read. A component `pN` that is a partition of the volume is that
//! partition; a volume without partitions holds one file system. A slash at the end of a volume or a
//! partition means the folder that all of its files lie in; without it, the bytes are meant
//! (`select_volume`, `select_logical`).

use crate::error::Result;
use crate::format::entry::FolderPath;
use crate::format::snapshot::Snapshot;
use crate::operations::components::{check, components, folder_of};
use crate::operations::select_volume::{SelectedVolume, find_volume, partition_of, partitions_of};

/// An entry of the file system that a volume, or a partition of one, holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedItem<'s> {
    /// What holds the file system, or the logical volume that does.
    pub volume: SelectedVolume<'s>,
    /// The logical volume, where the volume is a physical one of LVM2.
    pub logical: Option<LogicalName>,
    /// From the root of the file system; empty for that.
    pub path: FolderPath,
}

/// A logical volume of LVM2, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalName {
    /// The volume group; raw bytes.
    pub group: Vec<u8>,
    /// The volume in it; raw bytes.
    pub volume: Vec<u8>,
}

/// What holds what a path goes on to name.
pub(super) struct Holder<'s, 'p> {
    pub(super) volume: SelectedVolume<'s>,
    /// Names behind the volume and the partition.
    pub(super) inner: Vec<&'p [u8]>,
    /// A slash is at the end.
    pub(super) is_folder: bool,
}

/// Finds the file that `path` means, as far as names go. Gives `None` where `path` means a volume
/// or a partition itself, or folders.
///
/// # Errors
/// If a partition is meant that is not there or cannot be taken by itself, or a name is none.
pub fn select_item<'s>(snapshot: &'s Snapshot, path: &[u8]) -> Result<Option<SelectedItem<'s>>> {
    let Some(holder) = holder_of(snapshot, path)? else {
        return Ok(None);
    };
    let (logical, inner) = match holder.inner.as_slice() {
        inner if !holder.volume.is_physical() => (None, inner),
        [group, volume, inner @ ..] => {
            let (group, volume) = (group.to_vec(), volume.to_vec());
            (Some(LogicalName { group, volume }), inner)
        }
        _ => return Ok(None),
    };
    if inner.is_empty() && !holder.is_folder {
        return Ok(None);
    }
    check(inner, path)?;
    Ok(Some(SelectedItem {
        volume: holder.volume,
        logical,
        path: folder_of(inner),
    }))
}

/// Takes the volume, and the partition if it has any, off the front of `path`; nothing if it begins
/// with none.
pub(super) fn holder_of<'s, 'p>(
    snapshot: &'s Snapshot,
    path: &'p [u8],
) -> Result<Option<Holder<'s, 'p>>> {
    if path.first() == Some(&b'/') {
        return Ok(None);
    }
    let names = components(path);
    let [label, below @ ..] = names.as_slice() else {
        return Ok(None);
    };
    let Some((index, root)) = find_volume(snapshot, label) else {
        return Ok(None);
    };
    let has_partitions = !partitions_of(root).is_empty();
    let (partition, inner) = match below {
        [name, inner @ ..] if has_partitions => (partition_of(root, &[name], path)?, inner),
        _ if has_partitions => return Ok(None),
        inner => (None, inner),
    };
    Ok(Some(Holder {
        volume: SelectedVolume {
            root,
            index,
            partition,
        },
        inner: inner.to_vec(),
        is_folder: path.last() == Some(&b'/'),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::format::volume::{LayoutInfo, PartitionInfo};
    use crate::testing::sample_volumes::{self, machine};

    /// A machine whose first volume has partitions 1 and, unsound, 3; its second has none.
    fn sample() -> Snapshot {
        let mut snapshot = machine(1_000);
        let partition = |number, sound| PartitionInfo {
            number,
            offset: 100,
            len: 200,
            sound,
            ..PartitionInfo::default()
        };
        let layout = LayoutInfo {
            partitions: vec![partition(1, 1), partition(3, 0)],
            ..LayoutInfo::default()
        };
        snapshot.roots[0].volume = Some(sample_volumes::info(layout));
        snapshot
    }

    /// Index of the root, number of the partition, path in it.
    type Found = (usize, Option<u32>, Vec<u8>);

    fn found(path: &str) -> Result<Option<Found>> {
        let snapshot = sample();
        let found = select_item(&snapshot, path.as_bytes())?;
        Ok(found.map(|item| {
            let partition = item.volume.partition.map(|partition| partition.number);
            (
                item.volume.index,
                partition,
                item.path.as_entry().to_bytes(),
            )
        }))
    }

    #[test]
    fn a_partition_goes_before_a_file_of_that_name() {
        for (path, index, partition, inner) in [
            ("disk0/p1/etc/hosts", 0, Some(1), "etc/hosts"),
            ("./disk0//p1/./etc/", 0, Some(1), "etc"),
            ("disk0/p1/p3", 0, Some(1), "p3"),
            ("disk0/p1/", 0, Some(1), ""),
            ("disk1/etc/hosts", 1, None, "etc/hosts"),
            ("disk1/p1/x", 1, None, "p1/x"),
            ("disk1/p1", 1, None, "p1"),
            ("disk1/", 1, None, ""),
        ] {
            let expected = (index, partition, inner.as_bytes().to_vec());
            assert_eq!(found(path).unwrap(), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_means_bytes_or_folders_is_left_to_others() {
        for path in [
            "",
            "disk0",
            "disk0/",
            "disk0/p1",
            "disk1",
            "config/a",
            "/disk0/p1/a",
            "none/x",
        ] {
            assert_eq!(found(path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn partitions_that_are_not_there_and_names_that_lead_elsewhere_are_refused() {
        for (path, kind, told) in [
            ("disk0/p2/etc", ErrorKind::NotFound, "p1, p3"),
            ("disk0/p3/etc", ErrorKind::InvalidInput, "whole volume"),
            ("disk0/etc/hosts", ErrorKind::InvalidInput, "as disk0/p2"),
            ("disk0/p1/../etc", ErrorKind::InvalidInput, ".."),
            ("disk1/a\0b", ErrorKind::InvalidInput, "no file can have"),
        ] {
            let error = found(path).unwrap_err();
            assert_eq!(error.kind(), kind, "{path}");
            assert!(error.to_string().contains(told), "{path}: {error}");
        }
    }
}
