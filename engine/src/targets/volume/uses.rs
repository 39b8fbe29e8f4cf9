//! Who uses a device.
//!
//! What cannot be read is not known, and never an error: the kernel has the word on whether a
//! device is free (`open`), and here it is asked only for names.

use std::collections::BTreeSet;

use crate::system::DeviceId;
use crate::system::System;
use crate::system::device_at;

/// What uses a device, its partitions or its disk: one phrase each, for a person.
pub(super) fn uses_of(system: &System, device: DeviceId) -> Vec<String> {
    let partitions = system.partitions(device).into_iter();
    let mut family: BTreeSet<_> = partitions.map(|(_, partition)| partition).collect();
    family.insert(device);
    family.extend(system.whole_disk(device));
    let mut uses = Vec::new();
    for mount in system.mounts().unwrap_or_default() {
        let by_source = || mount.sources().any(|source| family.contains(&source));
        if family.contains(&mount.device) || by_source() {
            uses.push(format!("mounted at {}", mount.point.display()));
        }
    }
    for path in system.swaps().unwrap_or_default() {
        if device_at(&path).is_some_and(|device| family.contains(&device)) {
            uses.push(format!("{} is swap", path.display()));
        }
    }
    for member in &family {
        let holders = system.holders(*member).into_iter();
        uses.extend(holders.map(|(name, _)| format!("held by {name}")));
    }
    uses.sort();
    uses.dedup();
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::made::MadeSystem;
    use crate::system::tests::made::id;

    #[test]
    fn a_device_is_used_with_its_partitions_and_its_disk() {
        let made = MadeSystem::new();
        let of_disk = [
            "held by dm-0",
            "mounted at /",
            "mounted at /boot",
            "mounted at /mnt/a b",
        ];
        assert_eq!(uses_of(&made.system(), id(8, 0)), of_disk);
        made.file("sys/dev/block/8:0/holders/md0/dev", "9:0\n");
        let of_partition = ["held by md0", "mounted at /"];
        assert_eq!(uses_of(&made.system(), id(8, 3)), of_partition);
        assert!(uses_of(&made.system(), id(9, 9)).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_no_use() {
        assert!(uses_of(&MadeSystem::empty().system(), id(8, 0)).is_empty());
    }
}
