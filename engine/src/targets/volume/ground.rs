//! What a folder that must survive lies on, through partitions, stacked devices and images.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::system::DeviceId;
use crate::system::FileId;
use crate::system::System;
use crate::system::device_at;
use crate::system::mount_of;

/// Deepest stack of devices and image files that is followed.
const STACK_DEPTH_MAX: usize = 16;

/// What bytes lie on: devices, and image files.
#[derive(Debug, Default)]
pub(super) struct Ground {
    pub devices: BTreeSet<DeviceId>,
    pub files: BTreeSet<FileId>,
}

impl Ground {
    /// Everything that what is at `path` lies on, as far as the system tells.
    ///
    /// # Errors
    /// If what is at `path` cannot be examined.
    pub(super) fn of(system: &System, path: &Path) -> io::Result<Self> {
        let mut ground = Self::default();
        let device = device_under(system, path)?;
        ground.follow(system, device, STACK_DEPTH_MAX);
        Ok(ground)
    }

    fn follow(&mut self, system: &System, device: DeviceId, depth: usize) {
        if depth == 0 || !self.devices.insert(device) {
            return;
        }
        for below in system.below(device) {
            self.follow(system, below, depth - 1);
        }
        if let Some(image) = system.backing_file(device) {
            self.files.extend(FileId::at(&image));
            if let Ok(below) = device_under(system, &image) {
                self.follow(system, below, depth - 1);
            }
        }
    }
}

/// The device of the file system at `path`; of one without a device of its own, what it is
/// mounted from.
fn device_under(system: &System, path: &Path) -> io::Result<DeviceId> {
    let device = DeviceId::from_raw(path.metadata()?.dev());
    if device.major != 0 {
        return Ok(device);
    }
    let mounts = system.mounts().unwrap_or_default();
    let mount = mount_of(&mounts, path).ok().flatten();
    let source = mount.and_then(|mount| device_at(&mount.source));
    Ok(source.unwrap_or(device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::made::MadeSystem;
    use crate::system::tests::made::id;

    #[test]
    fn the_ground_of_a_folder_holds_its_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground::of(&System::real(), folder.path()).unwrap();
        assert!(!ground.devices.is_empty());
        assert!(Ground::of(&System::real(), &folder.path().join("missing")).is_err());
    }

    #[test]
    fn the_ground_reaches_through_stacks_and_partitions_to_the_image() {
        let made = MadeSystem::new();
        let image = made.file("image", "");
        let shown = format!("{}\n", image.display());
        made.file("sys/dev/block/8:0/loop/backing_file", &shown);
        let mut ground = Ground::default();
        ground.follow(&made.system(), id(253, 0), STACK_DEPTH_MAX);
        let stack = [id(8, 0), id(8, 1), id(253, 0)];
        assert!(ground.devices.is_superset(&stack.into()));
        assert_eq!(ground.files, BTreeSet::from_iter(FileId::at(&image)));
        assert_eq!(ground.files.len(), 1);
    }
}
