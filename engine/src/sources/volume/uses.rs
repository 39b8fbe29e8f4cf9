//! Who may write to a device while it is read.

use std::io;
use std::path::PathBuf;

use crate::system::{DeviceId, Mount, System, device_at, mount_of};

/// What may write to a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceUses {
    /// File systems on it are mounted writably, frozen or not.
    pub is_mounted: bool,
    /// What is not frozen, one phrase each.
    pub open: Vec<String>,
}

/// What may write to `device`, apart from the file systems that are mounted at `frozen`.
pub(super) fn uses_of(
    system: &System,
    device: DeviceId,
    frozen: &[PathBuf],
) -> io::Result<DeviceUses> {
    let all = system.mounts()?;
    let mut still = Vec::new();
    for point in frozen {
        still.extend(mount_of(&all, point)?.map(|mount| mount.device));
    }
    let mounts = mounts_on(system, device, all);
    let swaps = swaps_on(system, device)?;
    let open = mounts.iter().filter(|mount| !still.contains(&mount.device));
    let open = open.map(|mount| {
        let point = mount.point.display();
        format!("is mounted at {point} and can be written")
    });
    let swaps = swaps.iter().map(|_| "has swap space in use".to_owned());
    Ok(DeviceUses {
        is_mounted: !mounts.is_empty(),
        open: open.chain(swaps).collect(),
    })
}

/// Where `device` or anything built on it is mounted writably.
pub(super) fn mounted_read_write(system: &System, device: DeviceId) -> io::Result<Vec<PathBuf>> {
    let mounts = mounts_on(system, device, system.mounts()?).into_iter();
    Ok(mounts.map(|mount| mount.point).collect())
}

/// Those of `mounts` through which `device` or anything built on it can be written.
fn mounts_on(system: &System, device: DeviceId, mut mounts: Vec<Mount>) -> Vec<Mount> {
    let mut devices = system.built_on(device);
    for group in system.btrfs_groups() {
        if !group.is_disjoint(&devices) {
            devices.extend(group);
        }
    }
    let is_ours = |mount: &Mount| {
        devices.contains(&mount.device) || mount.sources().any(|source| devices.contains(&source))
    };
    mounts.retain(|mount| mount.is_writable && is_ours(mount));
    mounts
}

/// Swap areas on `device` or on anything built on it.
pub(super) fn swaps_on(system: &System, device: DeviceId) -> io::Result<Vec<PathBuf>> {
    let devices = system.built_on(device);
    let mut swaps = system.swaps()?;
    swaps.retain(|path| device_at(path).is_some_and(|device| devices.contains(&device)));
    Ok(swaps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::made::{MadeSystem, id};

    #[test]
    fn a_disk_is_mounted_where_its_partitions_and_their_holders_are() {
        let made = MadeSystem::new();
        let system = made.system();
        let mounted = |device| mounted_read_write(&system, device).expect("mounts");
        let points = ["/", "/mnt/a b", "/crypt"].map(PathBuf::from);
        assert_eq!(mounted(id(8, 0)), points);
        assert_eq!(mounted(id(8, 2)), points[1..2]);
        assert!(mounted(id(9, 9)).is_empty());
    }

    #[test]
    fn a_btrfs_is_mounted_on_each_of_its_devices() {
        let made = MadeSystem::new();
        let null = id(7, 4_000_000); // stands for a second disk
        made.file("sys/fs/btrfs/uuid/devices/sda2/dev", "8:2\n");
        made.file("sys/fs/btrfs/uuid/devices/dm/dev", "253:0\n");
        made.file("sys/fs/btrfs/features/x", "");
        let mounted = mounted_read_write(&made.system(), id(8, 2)).expect("mounts");
        assert_eq!(mounted, ["/mnt/a b", "/crypt"].map(PathBuf::from));
        assert!(
            mounted_read_write(&made.system(), null)
                .expect("mounts")
                .is_empty()
        );
    }

    #[test]
    fn not_knowing_the_mounts_is_an_error() {
        let nothing = MadeSystem::empty();
        assert!(mounted_read_write(&nothing.system(), id(8, 0)).is_err());
        let swaps = swaps_on(&nothing.system(), id(8, 0)).expect("a kernel without swap");
        assert!(swaps.is_empty());
    }
}
