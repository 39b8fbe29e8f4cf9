//! What a person means by `SNAP:LABEL[/pN]/GROUP/VOLUME`: a logical volume of LVM2, or a group.
//!
//! Names alone decide: nothing is read, so the group may have no such volume. Deliberately absent:
//! files in logical volumes (`select_item`).

use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::operations::select_item::{LogicalName, holder_of};
use crate::operations::select_volume::SelectedVolume;

/// Something of a volume group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedLogical<'s> {
    /// The physical volume that the group is found by.
    pub member: SelectedVolume<'s>,
    /// What of it.
    pub part: LogicalPart,
}

/// What is meant of a volume group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogicalPart {
    /// All of it, under this name if one was given.
    Group(Option<Vec<u8>>),
    /// The bytes of a logical volume.
    Volume(LogicalName),
}

impl SelectedLogical<'_> {
    /// As it is typed: `disk0/p3/vg0/root`. Raw bytes.
    pub fn name(&self) -> Vec<u8> {
        let member = self.member.name();
        match &self.part {
            LogicalPart::Group(None) => member,
            LogicalPart::Group(Some(group)) => [&member, group].map(Vec::as_slice).join(&b'/'),
            LogicalPart::Volume(LogicalName { group, volume }) => {
                [&member, group, volume].map(Vec::as_slice).join(&b'/')
            }
        }
    }
}

/// Finds the group or the logical volume that `path` means, as far as names go. Gives `None` where
/// it means neither.
///
/// # Errors
/// If a partition is meant that is not there or cannot be taken by itself.
pub fn select_logical<'s>(
    snapshot: &'s Snapshot,
    path: &[u8],
) -> Result<Option<SelectedLogical<'s>>> {
    let holder = holder_of(snapshot, path)?;
    let Some(holder) = holder.filter(|holder| holder.volume.is_physical()) else {
        return Ok(None);
    };
    let part = match holder.inner.as_slice() {
        [] if holder.is_folder => LogicalPart::Group(None),
        [group] => LogicalPart::Group(Some(group.to_vec())),
        [group, volume] if !holder.is_folder => LogicalPart::Volume(LogicalName {
            group: group.to_vec(),
            volume: volume.to_vec(),
        }),
        _ => return Ok(None),
    };
    let member = holder.volume;
    Ok(Some(SelectedLogical { member, part }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::volume::{FileSystemInfo, LayoutInfo, PartitionInfo};
    use crate::operations::select_item::select_item;
    use crate::testing::sample_volumes::{self, machine};

    /// A machine whose first volume has a physical one as partition 3, and whose second is one.
    fn sample() -> Snapshot {
        let held = || FileSystemInfo {
            kind: "lvm2_member".to_owned(),
            ..FileSystemInfo::default()
        };
        let partition = |number, file_system| PartitionInfo {
            number,
            offset: 100,
            len: 200,
            sound: 1,
            file_system,
            ..PartitionInfo::default()
        };
        let mut snapshot = machine(1_000);
        let partitions = vec![partition(1, None), partition(3, Some(held()))];
        for (root, layout) in snapshot.roots.iter_mut().zip([
            LayoutInfo {
                partitions,
                ..LayoutInfo::default()
            },
            LayoutInfo {
                file_system: Some(held()),
                ..LayoutInfo::default()
            },
        ]) {
            root.volume = Some(sample_volumes::info(layout));
        }
        snapshot
    }

    fn name(group: &str, volume: &str) -> LogicalName {
        LogicalName {
            group: group.into(),
            volume: volume.into(),
        }
    }

    #[test]
    fn groups_and_logical_volumes_are_found_behind_physical_ones() {
        let snapshot = sample();
        let group = |name: &str| LogicalPart::Group(Some(name.into()));
        for (path, member, part) in [
            ("disk0/p3/", "disk0/p3", LogicalPart::Group(None)),
            ("disk0/p3/vg0", "disk0/p3", group("vg0")),
            ("disk1/vg0/", "disk1", group("vg0")),
            (
                "disk1/vg0/a",
                "disk1",
                LogicalPart::Volume(name("vg0", "a")),
            ),
            (
                "disk0/p3/vg0/a",
                "disk0/p3",
                LogicalPart::Volume(name("vg0", "a")),
            ),
        ] {
            let found = select_logical(&snapshot, path.as_bytes()).unwrap().unwrap();
            assert_eq!(found.member.name(), member.as_bytes(), "{path}");
            assert_eq!(found.part, part, "{path}");
            assert_eq!(found.name(), path.trim_end_matches('/').as_bytes());
            assert_eq!(select_item(&snapshot, path.as_bytes()).unwrap(), None);
        }
    }

    #[test]
    fn files_in_logical_volumes_are_items_and_the_rest_is_left_to_others() {
        let snapshot = sample();
        for (path, volume, inner) in [
            ("disk0/p3/vg0/root/", name("vg0", "root"), ""),
            ("disk1/vg0/root/etc/hosts", name("vg0", "root"), "etc/hosts"),
        ] {
            let item = select_item(&snapshot, path.as_bytes()).unwrap().unwrap();
            assert_eq!(item.logical, Some(volume), "{path}");
            assert_eq!(item.path.as_entry().to_bytes(), inner.as_bytes());
            assert_eq!(select_logical(&snapshot, path.as_bytes()).unwrap(), None);
        }
        for path in [
            "",
            "disk0",
            "disk0/p3",
            "disk1",
            "disk0/p1/vg0/a",
            "config/a/b",
        ] {
            assert_eq!(
                select_logical(&snapshot, path.as_bytes()).unwrap(),
                None,
                "{path}"
            );
        }
        assert!(select_logical(&snapshot, b"disk0/p2/vg0").is_err());
    }
}
