//! A made-up /proc and /sys: a disk with a partition that an encrypted btrfs of two disks lies on.

use super::*;

const MOUNTS: &str = "\
21 1 8:3 / / rw,relatime - ext4 /dev/nosuch3 rw
22 21 8:2 / /mnt/a\\040b ro,relatime shared:5 master:1 - ext4 /dev/nosuch2 rw,errors=remount-ro
23 21 0:44 / /data rw - btrfs /dev/nosuch rw,space_cache
24 21 8:1 / /boot ro - vfat /dev/nosuch1 ro
25 21 0:50 / /run/o rw - overlay overlay rw,lowerdir=/l,upperdir=/var/u\\040p,workdir=/w
26 21 253:0 / /crypt rw - xfs /dev/mapper/x rw
nonsense
";

fn id(major: u32, minor: u32) -> DeviceId {
    DeviceId { major, minor }
}

struct Made(tempfile::TempDir);

impl Made {
    fn new() -> Self {
        let made = Self(tempfile::tempdir().expect("a folder"));
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
        // A loop of holders, which no kernel makes.
        made.file("sys/dev/block/253:0/holders/sda/dev", "8:0\n");
        made.file("run/udev/data/b8:1", "S:x\nE:ID_FS_UUID=12-ab\n");
        made
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    fn system(&self) -> System {
        System(self.0.path().to_owned())
    }
}

#[test]
fn mounts_are_read_with_their_escapes_and_nonsense_is_passed_over() {
    let made = Made::new();
    let mounts = made.system().mounts().expect("mounts");
    assert_eq!(mounts.len(), 6);
    assert_eq!(mounts[1].point, Path::new("/mnt/a b"));
    assert!(
        mounts[1].is_writable,
        "the mount is read-only, the file system is not"
    );
    assert!(!mounts[3].is_writable);
    assert_eq!(mounts[4].upper.as_deref(), Some(Path::new("/var/u p")));
    assert_eq!((mounts[2].number, mounts[2].device), (23, id(0, 44)));
}

#[test]
fn a_disk_is_in_use_where_its_partitions_and_their_holders_are() {
    let made = Made::new();
    let system = made.system();
    let all = [id(8, 0), id(8, 1), id(8, 2), id(8, 3), id(253, 0)];
    assert_eq!(system.built_on(id(8, 0)), BTreeSet::from(all));
    assert_eq!(system.built_on(id(8, 2)), BTreeSet::from([id(8, 2)]));
    let mounted = |device| system.mounted_read_write(device).expect("mounts");
    let points = ["/", "/mnt/a b", "/crypt"].map(PathBuf::from);
    assert_eq!(mounted(id(8, 0)), points);
    assert_eq!(mounted(id(8, 2)), points[1..2]);
    assert!(mounted(id(9, 9)).is_empty());
}

#[test]
fn a_btrfs_is_mounted_on_each_of_its_devices() {
    let made = Made::new();
    let null = id(7, 4_000_000); // stands for a second disk
    made.file("sys/fs/btrfs/uuid/devices/sda2/dev", "8:2\n");
    made.file("sys/fs/btrfs/uuid/devices/dm/dev", "253:0\n");
    made.file("sys/fs/btrfs/features/x", "");
    let mounted = made.system().mounted_read_write(id(8, 2)).expect("mounts");
    assert_eq!(mounted, ["/mnt/a b", "/crypt"].map(PathBuf::from));
    assert!(
        made.system()
            .mounted_read_write(null)
            .expect("mounts")
            .is_empty()
    );
}

#[test]
fn values_of_a_partition_are_those_of_its_disk() {
    let made = Made::new();
    let system = made.system();
    let model = Some("Best Disk [1m 2000".to_owned());
    assert_eq!(system.value(id(8, 0), "device/model"), model);
    assert_eq!(system.value(id(8, 1), "device/model"), model);
    assert_eq!(
        system.value(id(8, 1), "queue/rotational").as_deref(),
        Some("1")
    );
    assert_eq!(system.value(id(253, 0), "device/model"), None);
    assert_eq!(
        system.udev(id(8, 1), "ID_FS_UUID").as_deref(),
        Some("12-ab")
    );
    assert_eq!(system.udev(id(8, 1), "ID_FS"), None);
}

#[test]
fn swap_areas_are_read_with_their_escapes() {
    let made = Made::new();
    let swaps = made.system().swaps().expect("swaps");
    assert_eq!(swaps, ["/swap file", "/dev/sdz9"].map(PathBuf::from));
    let empty = tempfile::tempdir().expect("a folder");
    let nothing = System(empty.path().to_owned());
    assert!(nothing.swaps().expect("a kernel without swap").is_empty());
    assert!(
        nothing.mounts().is_err(),
        "not knowing the mounts is not having none"
    );
}
