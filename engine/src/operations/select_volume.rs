//! What a person means by `SNAP:LABEL[/pN]`: a volume of a snapshot, or one partition of it.
//!
//! Names alone decide: nothing is read. Deliberately absent: partitions by name or identifier,
//! which two partitions may share; entries of folders (`select`), and files in volumes (`select_item`).

use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::format::volume::{FileSystemInfo, PartitionInfo};
use crate::operations::components::components;
use crate::operations::walk;

/// Partitions that an error names; a table may list thousands.
const PARTITIONS_NAMED_MAX: usize = 32;
/// What is said of a partition that is not [`is_whole`].
pub const NOT_WHOLE: &str = "overlaps another partition, is empty, or reaches beyond the volume: \
                             it can only be had with the whole volume";

/// What `blkid` calls a physical volume of LVM2.
const PHYSICAL_VOLUME: &str = "lvm2_member";

/// A volume, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectedVolume<'s> {
    /// The volume.
    pub root: &'s Root,
    /// Its index among the snapshot's roots.
    pub index: usize,
    /// The partition that is meant, if it is not the whole volume.
    pub partition: Option<&'s PartitionInfo>,
}

impl<'s> SelectedVolume<'s> {
    /// The bytes of a partition, which lie within the volume; nothing for all of it.
    pub fn part(&self) -> Option<Range<u64>> {
        let partition = self.partition?;
        Some(partition.offset..partition.offset + partition.len)
    }

    /// The bytes that are meant.
    pub fn range(&self) -> Range<u64> {
        self.part().unwrap_or(0..self.root.bytes)
    }

    /// What it holds, as far as that was recognized when it was captured.
    pub fn held(&self) -> Option<&FileSystemInfo> {
        match self.partition {
            Some(partition) => partition.file_system.as_ref(),
            None => self.root.volume.as_ref()?.layout.file_system.as_ref(),
        }
    }

    /// The partitions of the volume.
    pub fn partitions(&self) -> &'s [PartitionInfo] {
        partitions_of(self.root)
    }

    /// True for a volume with partitions: what it holds, these hold.
    pub fn is_divided(&self) -> bool {
        self.partition.is_none() && !self.partitions().is_empty()
    }

    /// True if its bytes can be taken by themselves.
    pub fn is_whole(&self) -> bool {
        let part = self.partition;
        part.is_none_or(|partition| is_whole(partition, self.root.bytes))
    }

    /// True for a physical volume of LVM2.
    pub fn is_physical(&self) -> bool {
        self.held().is_some_and(|held| held.kind == PHYSICAL_VOLUME)
    }

    /// As it is typed: the label, and `/p2` for a partition. Raw bytes.
    pub fn name(&self) -> Vec<u8> {
        let mut name = self.root.name.clone();
        if let Some(partition) = self.partition {
            name.extend_from_slice(format!("/p{}", partition.number).as_bytes());
        }
        name
    }
}

/// Finds the volume that `path` means: `disk0` by its label, `disk0/p2` a partition by its number,
/// nothing for a snapshot of one volume. Gives `None` where `path` means folders: it is absolute, begins
/// with the label of a folder, or the snapshot has no volume.
///
/// # Errors
/// If there is no such volume, or no such partition that can be taken by itself; told with what
/// there is.
pub fn select_volume<'s>(
    snapshot: &'s Snapshot,
    path: &[u8],
) -> Result<Option<SelectedVolume<'s>>> {
    if path.first() == Some(&b'/') || !has_volume(snapshot) {
        return Ok(None);
    }
    let names = components(path);
    let [label, below @ ..] = names.as_slice() else {
        return the_only_one(snapshot).map(Some);
    };
    let mut named = snapshot.roots.iter().enumerate();
    match named.find(|(_, root)| root.name == *label) {
        Some((index, root)) if root.root_type == RootType::Extents => {
            let partition = partition_of(root, below, path)?;
            Ok(Some(SelectedVolume {
                root,
                index,
                partition,
            }))
        }
        Some(_) => Ok(None),
        None => Err(Error::new(
            ErrorKind::NotFound,
            walk::place(path),
            format!("is not in this snapshot, which holds {}", labels(snapshot)),
        )),
    }
}

/// The volume of this label, and its index among the roots.
pub(crate) fn find_volume<'s>(snapshot: &'s Snapshot, label: &[u8]) -> Option<(usize, &'s Root)> {
    let mut roots = snapshot.roots.iter().enumerate();
    roots.find(|(_, root)| root.root_type == RootType::Extents && root.name == label)
}

fn has_volume(snapshot: &Snapshot) -> bool {
    let mut roots = snapshot.roots.iter();
    roots.any(|root| root.root_type == RootType::Extents)
}

/// Of several parts none is meant, even if only one is a volume: the others would be forgotten.
fn the_only_one(snapshot: &Snapshot) -> Result<SelectedVolume<'_>> {
    match snapshot.roots.as_slice() {
        [root] => Ok(SelectedVolume {
            root,
            index: 0,
            partition: None,
        }),
        _ => Err(Error::new(
            ErrorKind::InvalidInput,
            Place::Argument("snapshot"),
            format!(
                "holds several parts: name one of {} behind a colon",
                labels(snapshot)
            ),
        )),
    }
}

pub(crate) fn partition_of<'s>(
    root: &'s Root,
    below: &[&[u8]],
    path: &[u8],
) -> Result<Option<&'s PartitionInfo>> {
    let refused = |kind, detail| Err(Error::new(kind, walk::place(path), detail));
    let [name] = below else {
        return match below {
            [] => Ok(None),
            _ => refused(
                ErrorKind::InvalidInput,
                "has more in it than a volume and a partition, as disk0/p2".to_owned(),
            ),
        };
    };
    let Some(number) = number_of(name) else {
        let detail = "does not end in a partition: expected p and its number, as disk0/p2";
        return refused(ErrorKind::InvalidInput, detail.to_owned());
    };
    let layout = root.volume.as_ref().map(|volume| &volume.layout);
    let Some(partition) = layout.and_then(|layout| layout.partition(number)) else {
        let detail = format!("is not in this volume, which has {}", partitions(root));
        return refused(ErrorKind::NotFound, detail);
    };
    if !is_whole(partition, root.bytes) {
        return refused(ErrorKind::InvalidInput, NOT_WHOLE.to_owned());
    }
    Ok(Some(partition))
}

/// The partitions that were recognized when the volume was captured.
pub(crate) fn partitions_of(root: &Root) -> &[PartitionInfo] {
    let layout = root.volume.as_ref().map(|volume| &volume.layout);
    layout.map_or(&[], |layout| &layout.partitions)
}

/// True if the partition can be taken by itself.
pub fn is_whole(partition: &PartitionInfo, volume_len: u64) -> bool {
    let end = partition.offset.checked_add(partition.len);
    partition.sound != 0 && partition.len > 0 && end.is_some_and(|end| end <= volume_len)
}

/// The number in `p2`; spelled in one way only.
fn number_of(name: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(name.strip_prefix(b"p")?).ok()?;
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// The labels of all parts, for an error.
fn labels(snapshot: &Snapshot) -> String {
    let shown = |root: &Root| String::from_utf8_lossy(&root.name).into_owned();
    let labels: Vec<_> = snapshot.roots.iter().map(shown).collect();
    labels.join(", ")
}

fn partitions(root: &Root) -> String {
    let all = partitions_of(root);
    let named = all.iter().take(PARTITIONS_NAMED_MAX);
    let named: Vec<_> = named.map(|one| format!("p{}", one.number)).collect();
    match all.len().saturating_sub(named.len()) {
        _ if all.is_empty() => "no partitions".to_owned(),
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::volume::LayoutInfo;
    use crate::testing::sample_volumes::{self, LABELS, machine};

    fn partition(number: u32, offset: u64, len: u64) -> PartitionInfo {
        PartitionInfo {
            number,
            offset,
            len,
            sound: 1,
            ..PartitionInfo::default()
        }
    }

    /// A machine of two volumes of 1000 bytes and a folder; the first volume has partitions, of
    /// which 3 overlaps, 4 is empty, 5 reaches beyond the volume and 6 beyond every number.
    fn sample() -> Snapshot {
        let mut snapshot = machine(1_000);
        let layout = LayoutInfo {
            partitions: vec![
                partition(1, 100, 200),
                partition(12, 300, 700),
                PartitionInfo {
                    sound: 0,
                    ..partition(3, 300, 200)
                },
                partition(4, 10, 0),
                partition(5, 900, 101),
                partition(6, u64::MAX, u64::MAX),
            ],
            ..LayoutInfo::default()
        };
        let info = sample_volumes::info(layout);
        snapshot.roots[0].volume = Some(info);
        snapshot
    }

    fn found(snapshot: &Snapshot, path: &str) -> Result<Option<(usize, Option<Range<u64>>)>> {
        let found = select_volume(snapshot, path.as_bytes())?;
        Ok(found.map(|volume| (volume.index, volume.part())))
    }

    #[test]
    fn a_volume_is_found_by_its_label_and_a_partition_by_its_number() {
        let snapshot = sample();
        for (path, expected) in [
            ("disk0", (0, None)),
            ("disk0/", (0, None)),
            ("./disk1", (1, None)),
            ("disk0/p1", (0, Some(100..300))),
            ("disk0//p12/", (0, Some(300..1_000))),
        ] {
            assert_eq!(found(&snapshot, path).unwrap(), Some(expected), "{path}");
        }
        let part = select_volume(&snapshot, b"disk0/p12").unwrap().unwrap();
        assert_eq!(
            (part.name(), part.range()),
            (b"disk0/p12".to_vec(), 300..1_000)
        );
        let whole = select_volume(&snapshot, b"disk1").unwrap().unwrap();
        assert_eq!((whole.name(), whole.range()), (b"disk1".to_vec(), 0..1_000));
    }

    #[test]
    fn an_empty_path_is_the_only_volume_and_of_several_none() {
        let mut snapshot = sample();
        let error = found(&snapshot, "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&LABELS.join(", ")), "{error}");
        snapshot.roots.remove(0);
        let error = found(&snapshot, "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "a folder is left");
        snapshot.roots.pop();
        assert_eq!(found(&snapshot, "").unwrap(), Some((0, None)));
    }

    #[test]
    fn what_means_folders_is_left_to_those_who_read_folders() {
        let mut snapshot = sample();
        for path in ["config", "config/etc/p1", "/", "/disk0"] {
            assert_eq!(found(&snapshot, path).unwrap(), None, "{path}");
        }
        snapshot.roots.drain(..2);
        for path in ["", "disk0", "x"] {
            assert_eq!(found(&snapshot, path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_there_is() {
        let snapshot = sample();
        let (not_found, refused) = (ErrorKind::NotFound, ErrorKind::InvalidInput);
        for (path, kind, told) in [
            ("disk2", not_found, "disk0, disk1, config"),
            ("disk0/p2", not_found, "p1, p12, p3"),
            ("disk1/p1", not_found, "no partitions"),
            ("disk0/p3", refused, "whole volume"),
            ("disk0/p4", refused, "whole volume"),
            ("disk0/p5", refused, "whole volume"),
            ("disk0/p6", refused, "whole volume"),
            ("disk0/p01", refused, "as disk0/p2"),
            ("disk0/p+1", refused, "as disk0/p2"),
            ("disk0/p", refused, "as disk0/p2"),
            ("disk0/etc", refused, "as disk0/p2"),
            ("disk0/p99999999999", refused, "as disk0/p2"),
            ("disk0/p1/etc", refused, "more in it"),
        ] {
            let error = found(&snapshot, path).unwrap_err();
            assert_eq!(error.kind(), kind, "{path}");
            assert!(error.to_string().contains(told), "{path}: {error}");
        }
    }

    #[test]
    fn of_very_many_partitions_an_error_names_some() {
        let mut snapshot = sample();
        let partitions = (10..1_000).map(|number| partition(number, 0, 1)).collect();
        snapshot.roots[1].volume = Some(sample_volumes::info(LayoutInfo {
            partitions,
            ..LayoutInfo::default()
        }));
        let error = found(&snapshot, "disk1/p1").unwrap_err().to_string();
        assert!(error.ends_with("p41 and 958 more"), "{error}");
    }
}
