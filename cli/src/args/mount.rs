//! The arguments of `mount`.

use std::path::PathBuf;

use clap::Args;

/// Show a snapshot, or all of them, as a file system
#[derive(Debug, Args)]
#[command(
    allow_missing_positional = true,
    after_help = "\
Examples:
  blockstore mount --repo /backup latest /mnt
  blockstore mount --repo /backup --all --daemon /mnt && ls /mnt/hosts && umount /mnt
  losetup --find --show --read-only /mnt/disk0.p2.raw
  less /mnt/disk0/p2/etc/fstab

Nothing is restored: what is read is fetched, opened and verified as it is read, and what is damaged
is an input/output error of that range. The mount can only be read. It ends with Ctrl-C, with umount,
or with fusermount3 -u.

A snapshot of one folder shows what is in it; of several each lies under its absolute path. A volume
LABEL is the file LABEL.raw, its partitions are LABEL.p1.raw, LABEL.p2.raw …; the files in them are
below LABEL/p1, LABEL/p2 …, or LABEL where a volume has no partitions. They are read from ext2, ext3,
ext4, XFS, NTFS, FAT and btrfs; where there are none, LABEL/p1.txt says why. Behind a disk of LVM its
volumes are LABEL/p3/GROUP/VOLUME.raw, and the files in them are below LABEL/p3/GROUP/VOLUME. Files of
NTFS and FAT, which keep no owners of this system, are for who mounts alone. What cannot be shown is
told at the end.
Owners are shown by their numbers, as they were where the snapshot was taken."
)]
pub(crate) struct MountArgs {
    /// What to show
    #[arg(value_name = "SNAP", required_unless_present = "all")]
    pub(crate) snapshot: Option<String>,
    /// An empty folder
    #[arg(value_name = "MOUNTPOINT")]
    pub(crate) point: PathBuf,
    /// Show all snapshots, as hosts/HOST/ROOT/TIME, ids/ID and tags/TAG/TIME; new ones appear
    #[arg(long, conflicts_with = "snapshot")]
    pub(crate) all: bool,
    /// Go to the background once the mount can be used
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Let other users look too, as far as modes and ACLs let them
    #[arg(long)]
    pub(crate) allow_other: bool,
    /// Show everything as owned by this user
    #[arg(long, value_name = "NUMBER")]
    pub(crate) uid: Option<u32>,
    /// Show everything as owned by this group
    #[arg(long, value_name = "NUMBER")]
    pub(crate) gid: Option<u32>,
}
