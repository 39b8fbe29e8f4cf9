//! A made-up /proc and /sys: a disk with a partition that an encrypted btrfs of two disks lies on.

use std::path::PathBuf;

use crate::system::{DeviceId, System};

const MOUNTS: &str = "\
21 1 8:3 / / rw,relatime - ext4 /dev/nosuch3 rw
22 21 8:2 / /mnt/a\\040b ro,relatime shared:5 master:1 - ext4 /dev/nosuch2 rw,errors=remount-ro
23 21 0:44 / /data rw - btrfs /dev/nosuch rw,space_cache
24 21 8:1 / /boot ro - vfat /dev/nosuch1 ro
25 21 0:50 / /run/o rw - overlay overlay rw,lowerdir=/l,upperdir=/var/u\\040p,workdir=/w
26 21 253:0 / /crypt rw - xfs /dev/mapper/x rw
nonsense
";

pub(crate) fn id(major: u32, minor: u32) -> DeviceId {
    DeviceId { major, minor }
}

pub(crate) struct MadeSystem(tempfile::TempDir);

impl MadeSystem {
    /// One that says nothing at all.
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn new() -> Self {
        let made = Self::empty();
        made.file("proc/self/mountinfo", MOUNTS);
        made.file(
            "proc/swaps",
            "Filename\tType\tSize\n/swap\\040file   file\t1\n/dev/sdz9 x\n",
        );
        made.file("sys/dev/block/8:0/dev", "8:0\n");
        made.file(
            "sys/dev/block/8:0/device/model",
            "  Best Disk \x1b[1m 2000 \n",
        );
        made.file("sys/dev/block/8:0/queue/rotational", "1\n");
        for minor in 1..=3 {
            made.file(
                &format!("sys/dev/block/8:0/p{minor}/dev"),
                &format!("8:{minor}\n"),
            );
            made.file(&format!("sys/dev/block/8:0/p{minor}/partition"), "1\n");
            let link = made.0.path().join(format!("sys/dev/block/8:{minor}"));
            let target = format!("8:0/p{minor}");
            std::os::unix::fs::symlink(target, link).expect("a link");
        }
        made.file("sys/dev/block/8:0/p1/holders/dm-0/dev", "253:0\n");
        made.file("sys/dev/block/253:0/slaves/sda1/dev", "8:1\n");
        // A loop of holders, which no kernel makes.
        made.file("sys/dev/block/253:0/holders/sda/dev", "8:0\n");
        made.file("run/udev/data/b8:1", "S:x\nE:ID_FS_UUID=12-ab\n");
        made
    }

    /// Writes a file, and says where it lies.
    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn system(&self) -> System {
        System(self.0.path().to_owned())
    }
}
