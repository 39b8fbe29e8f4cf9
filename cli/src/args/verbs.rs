//! The arguments of each command.

use std::path::PathBuf;

use blockstore::limits::{ARGON2_MEMORY_KIB_DEFAULT, ARGON2_PASSES_DEFAULT, ZSTD_LEVEL_DEFAULT};
use blockstore::transform::chunk::ChunkSizes;
use clap::{Args, Subcommand, ValueEnum};

use crate::args::{ByteSize, Location, RestoreVolumeArgs, TimeSpan, UnusedLimit, VolumeArgs};

/// Make a repository
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore init --repo /backup
  head -c 32 /dev/urandom > ~/backup.key
  blockstore init --repo /backup --key-file ~/backup.key

Without its password or key file nothing can be restored: keep a copy elsewhere.")]
pub(crate) struct InitArgs {
    /// Average chunk, a power of two from 8K to 4M, fixed for ever; the shortest is a quarter of
    /// it, the longest four times as long. 32K suits up to about 25 TiB
    #[arg(long, value_name = "SIZE", default_value = "32K", value_parser = chunk_sizes)]
    pub(crate) chunk_size: ChunkSizes,
    /// A name for the password or key file, for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) label: String,
    /// Memory that a guess at the password costs, KiB; low values are for tests only
    #[arg(long, value_name = "KIB", default_value_t = ARGON2_MEMORY_KIB_DEFAULT, hide = true)]
    pub(crate) argon2_memory: u32,
    /// Passes over that memory; low values are for tests only
    #[arg(long, value_name = "N", default_value_t = ARGON2_PASSES_DEFAULT, hide = true)]
    pub(crate) argon2_passes: u32,
}

/// Take a snapshot of folders or files, or of volumes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore snapshot --repo /backup /home /etc
  blockstore snapshot --repo /backup ~ --exclude-caches --exclude '*.iso' --tag daily
  blockstore snapshot --repo /backup /dev/sdb
  blockstore snapshot --repo /backup --volume vm.qcow2 --format qcow2
  blockstore snapshot --repo /backup --machine web disk0=/dev/vg/web config=/etc/libvirt/qemu/web.xml

Files that are unchanged since the newest snapshot of the same host and path are not read again:
length, mtime, ctime and inode must all be equal.")]
pub(crate) struct SnapshotArgs {
    /// What to capture; each becomes a root of the snapshot. A block device is captured as a volume
    #[arg(required_unless_present = "volume", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) excludes: ExcludeArgs,
    #[command(flatten)]
    pub(crate) volumes: VolumeArgs,
    /// Do not enter other file systems; a mount point stays as an empty folder
    #[arg(long)]
    pub(crate) one_file_system: bool,
    /// A word for finding the snapshot; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Name of the machine [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Compare with this snapshot [default: the newest of the same host and path]
    #[arg(long, value_name = "SNAP")]
    pub(crate) parent: Option<String>,
    /// Compare with no snapshot: read everything
    #[arg(long, conflicts_with = "parent")]
    pub(crate) full: bool,
    /// Let a file pass as unchanged though its ctime differs
    #[arg(long)]
    pub(crate) ignore_ctime: bool,
    /// Let a file pass as unchanged though its inode differs (network file systems)
    #[arg(long)]
    pub(crate) ignore_inode: bool,
    /// zstd level: 1 is fast, 19 is small, 0 stores as it is
    #[arg(long, value_name = "N", default_value_t = ZSTD_LEVEL_DEFAULT, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-7..=22))]
    pub(crate) level: i32,
    /// Store nothing, say what would be stored
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What is left out of a snapshot.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Excludes")]
pub(crate) struct ExcludeArgs {
    /// Leave out what matches, in gitignore syntax; may be repeated, and a later one decides
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Leave out what matches a line of a file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) exclude_from: Vec<PathBuf>,
    /// Leave out what lies beside a CACHEDIR.TAG
    #[arg(long)]
    pub(crate) exclude_caches: bool,
    /// Leave out what lies beside a file of this name, and with this beginning; may be repeated
    #[arg(long, value_name = "NAME[:CONTENT]")]
    pub(crate) exclude_if_present: Vec<String>,
    /// Leave out files with more bytes than this
    #[arg(long, value_name = "SIZE")]
    pub(crate) exclude_larger_than: Option<ByteSize>,
}

/// List snapshots, oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore snapshots --repo /backup --host laptop --tag daily
  blockstore snapshots --repo /backup --forgotten")]
pub(crate) struct SnapshotsArgs {
    /// Of this machine
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// With this tag; if repeated, with all of them
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// With this absolute path as a root
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// Those that are forgotten and can be brought back
    #[arg(long)]
    pub(crate) forgotten: bool,
}

/// List what is in a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore ls --repo /backup latest:/home/ana
  blockstore ls --repo /backup latest --recursive --null | xargs -0 -n1 echo
  blockstore ls --repo /backup latest:disk0/p2/etc --long
  blockstore ls --repo /backup latest:disk0/p3/vg0/root/etc

Names are printed with control characters, bytes that are no text, and backslashes escaped;
with --null they are raw.")]
pub(crate) struct LsArgs {
    /// A snapshot: its roots are listed; or an entry in it: a folder is listed with its children,
    /// a volume LABEL with its partitions; or a file in a volume, LABEL/pN/PATH, or in a logical
    /// volume of LVM, LABEL/pN/GROUP/VOLUME/PATH
    #[arg(value_name = "SNAP[:PATH]")]
    pub(crate) location: Location,
    /// List folders below it too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Show mode, owner, size and time
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Raw names, each with a zero byte behind it
    #[arg(short = '0', long, conflicts_with_all = ["long", "json"])]
    pub(crate) null: bool,
}

/// Write the content of one file or volume to standard output, every byte verified
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  blockstore cat --repo /backup latest:/etc/fstab
  blockstore cat --repo /backup latest:disk0/p1 | sha256sum
  blockstore cat --repo /backup latest:disk0/p2/etc/fstab

With --json the content still goes to standard output, and the object to standard error.")]
pub(crate) struct CatArgs {
    /// A snapshot, and a file in it, or a volume LABEL, its partition LABEL/pN, or a file in that,
    /// LABEL/pN/PATH; behind LVM LABEL/pN/GROUP/VOLUME, and the same with a PATH
    #[arg(value_name = "SNAP:PATH")]
    pub(crate) location: Location,
}

/// Bring a snapshot, or a part of it, back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore restore --repo /backup latest:/home/ana --target /tmp/ana
  blockstore restore --repo /backup latest~1 --target / --on-conflict overwrite --verify
  blockstore restore --repo /backup latest:disk0 --target disk.img
  blockstore restore --repo /backup latest:disk0/p2 --target /dev/sdb2 --in-place --verify
  blockstore restore --repo /backup latest:disk0/p2/etc --target /tmp/etc
  blockstore restore --repo /backup latest:disk0/p3/vg0/root --target /dev/vg0/root --in-place

The children of a folder land in the target; of a snapshot with several roots each lands under
its absolute path. Root gets owners, setuid bits, devices and privileged attributes back; others
do not, and are told so.")]
pub(crate) struct RestoreArgs {
    /// A snapshot, and what of it: a path, or a volume LABEL, its partition LABEL/pN, or files in
    /// that, LABEL/pN/PATH; behind LVM LABEL/pN/GROUP/VOLUME, and the same with a PATH
    #[arg(value_name = "SNAP[:PATH]")]
    pub(crate) location: Location,
    /// Folder to restore into, which is made if it is missing; of a volume a file or a device
    #[arg(short, long, value_name = "PATH")]
    pub(crate) target: PathBuf,
    #[command(flatten)]
    pub(crate) volume: RestoreVolumeArgs,
    /// When something is in the place already
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    pub(crate) on_conflict: ConflictChoice,
    /// Write nothing, say what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Read every restored file back and compare it with the snapshot
    #[arg(long)]
    pub(crate) verify: bool,
    /// Restore what gives power to whoever made the snapshot: owners, setuid and setgid bits,
    /// capabilities, devices [default: if root]
    #[arg(long, conflicts_with = "no_privileged")]
    pub(crate) privileged: bool,
    /// Restore none of that
    #[arg(long)]
    pub(crate) no_privileged: bool,
    /// Owners by number, whatever their names are here
    #[arg(long)]
    pub(crate) numeric_owner: bool,
}

/// What to do when something is in the place of an entry already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConflictChoice {
    /// Refuse a target that is not empty
    Fail,
    /// Replace it, unless it is a folder with anything in it
    Overwrite,
    /// Leave it
    Skip,
    /// Replace it if the entry was modified later
    Newer,
    /// Leave it and restore beside it, as name~1
    Copy,
}

/// Show what differs between two snapshots
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore diff --repo /backup latest~1 latest
  blockstore diff --repo /backup latest~1:disk0 latest:disk0 --json > changed.json

  +  only in B      M  content differs
  -  only in A      m  only mode, owner, time or attributes differ

Of two volumes the ranges that differ are listed, in bytes; the list of --json can be given to
snapshot --changed-ranges.")]
pub(crate) struct DiffArgs {
    /// The earlier snapshot; behind a colon a volume LABEL, or its partition LABEL/pN
    #[arg(value_name = "A")]
    pub(crate) before: Location,
    /// The later snapshot, or a volume in it
    #[arg(value_name = "B")]
    pub(crate) after: Location,
}

/// Make a snapshot out of others, without reading any file content
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore merge --repo /backup 3f1c latest
  blockstore merge --repo /backup latest~2 latest~1 latest --keep-deleted --tag weekly

Only the descriptions of the snapshots are read, and nothing that is stored is moved. What a folder
of a later snapshot covers is taken from it; folders that no later one covers stay. A folder inside
one of an earlier snapshot takes its place there; if the folders on the way are missing, it becomes a
root of its own. Of volumes the last snapshot that has one gives it. The snapshots stay as they are,
and the new one needs none of them.")]
pub(crate) struct MergeArgs {
    /// The snapshot to begin with
    #[arg(value_name = "BASE")]
    pub(crate) base: String,
    /// What to lay over it; of several a later one wins
    #[arg(required = true, value_name = "NEWER")]
    pub(crate) newer: Vec<String>,
    /// Keep files and folders that a later snapshot does not have any more
    #[arg(long)]
    pub(crate) keep_deleted: bool,
    /// A word for finding the new snapshot; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Name of the machine [default: that of the last snapshot]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Store nothing, say what would be stored
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Is everything there, and whole?
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  blockstore check --repo /backup --read-data")]
pub(crate) struct CheckArgs {
    /// Read every stored byte, open every seal, and compare every chunk with its id
    #[arg(long)]
    pub(crate) read_data: bool,
}

/// Delete what no snapshot needs
#[derive(Debug, Args)]
#[command(after_help = "\
Snapshots go on beside it, on this machine and others; there is no lock. What a prune that was
interrupted had decided, the next one carries out.

Examples:
  blockstore prune --repo /backup
  blockstore prune --repo /backup --max-unused 0 --dry-run")]
pub(crate) struct PruneArgs {
    /// How much of what remains may be unused: a share as 5%, or a size as 2G; 0 copies everything
    /// that is needed out of packs that hold something else
    #[arg(long, value_name = "LIMIT", default_value = "5%")]
    pub(crate) max_unused: UnusedLimit,
    /// Copy at most so many bytes
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_repack: Option<ByteSize>,
    /// Begin to copy no further pack after this time, as 30m or 2h
    #[arg(long, value_name = "SPAN")]
    pub(crate) max_time: Option<TimeSpan>,
    /// Leave the packs of an unfinished snapshot of another machine to it for so long
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    pub(crate) grace: TimeSpan,
    /// Delete nothing, say what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Make again what follows from the rest
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore repair index --repo /backup --dry-run
  blockstore repair index --repo /backup")]
pub(crate) struct RepairArgs {
    #[command(subcommand)]
    pub(crate) subject: RepairSubject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RepairSubject {
    /// The index: runs that are damaged, name packs that are gone, or lack packs that are there
    Index(RepairIndexArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RepairIndexArgs {
    /// Believe nothing of what the index says: read the table of every pack
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// Store and delete nothing, say what would be
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Show stored objects decoded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore debug object --repo /backup config/00000001
  blockstore debug page --repo /backup $(blockstore snapshot --repo /backup --json ~ | jq -r .root)")]
pub(crate) struct DebugArgs {
    #[command(subcommand)]
    pub(crate) subject: DebugSubject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DebugSubject {
    /// Any object: kind, version, length, and what its kind says
    Object {
        /// As it lies in the repository, for example config/00000001
        name: String,
    },
    /// The table of a pack: its frames, and the chunks in them
    Pack {
        /// As it lies in the repository: packs/SESSION/NUMBER.data or .meta
        name: String,
    },
    /// An index run: where each chunk lies
    Index {
        /// As it lies in the repository: index/SESSION-NUMBER
        name: String,
    },
    /// One page of a manifest
    Page {
        /// Its id, as `root` in the result of snapshot --json
        id: String,
    },
}

/// Print a completion script
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    pub(crate) shell: clap_complete::Shell,
}

/// Write man pages
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct ManArgs {
    /// An existing folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// Show what a volume is made of: data, zeros, holes, and what cannot be read
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore map --repo /backup latest:disk0
  blockstore map --repo /backup latest:disk0/p2 --chunks --json

Offsets are bytes from the beginning of the volume, of the partition, or of the logical volume. With
--json they are told in the words of qemu-img map.")]
pub(crate) struct MapArgs {
    /// A snapshot, and a volume LABEL in it or its partition LABEL/pN; of one volume it is enough.
    /// Behind LVM LABEL/pN/GROUP/VOLUME
    #[arg(value_name = "SNAP[:LABEL[/pN]]")]
    pub(crate) location: Location,
    /// Every chunk by itself, with its id
    #[arg(long)]
    pub(crate) chunks: bool,
}

/// The sizes around an average.
fn chunk_sizes(text: &str) -> Result<ChunkSizes, String> {
    let average = text.parse::<ByteSize>()?.0;
    let average = u32::try_from(average).map_err(|_| "at most 4M are allowed".to_owned())?;
    let longest = average.saturating_mul(4);
    ChunkSizes::new(average / 4, average, longest).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_surround_the_average() {
        let sizes = chunk_sizes("1M").unwrap();
        let all = (sizes.min(), sizes.avg(), sizes.max());
        assert_eq!(all, (256 << 10, 1 << 20, 4 << 20));
        assert_eq!(chunk_sizes("32K"), Ok(ChunkSizes::default()));
    }

    #[test]
    fn averages_that_no_repository_takes_are_refused() {
        for text in ["4K", "65K", "8M", "5G", "0"] {
            assert!(chunk_sizes(text).is_err(), "{text}");
        }
    }
}

/// Keeps what was written over a volume of a snapshot as a new snapshot
///
/// FOLDER is the overlay of `serve nbd --writable` or `boot`, which must have ended. Only what was
/// written is read and stored; the new snapshot restores without the old one. The overlay stays.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  blockstore commit --repo /backup work --tag patched")]
pub(crate) struct CommitArgs {
    /// The overlay
    #[arg(value_name = "FOLDER")]
    pub(crate) overlay: PathBuf,
    /// A word for finding the snapshot; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
}

/// Makes a snapshot of the files inside a volume, as if their folder had been captured
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  blockstore import --repo /backup latest:disk0/p2
  blockstore import --repo /backup latest:disk0/p2/home --host laptop --tag from-image
  blockstore import --repo /backup latest:disk0 --dry-run         # a volume without partitions

The file system is read by blockstore itself, as by `ls` and `restore`: ext2, ext3, ext4, XFS, FAT,
NTFS and btrfs, without root. The snapshot holds what a restore of the same path would give, under the name
/disk0/p2; hardly any data is new where the volume was captured with layout hints, which is the default.
Both snapshots are of their own: each can be forgotten.")]
pub(crate) struct ImportArgs {
    /// A volume or partition of a snapshot, or a path in it
    #[arg(value_name = "SNAP:LABEL[/pN][/PATH]")]
    pub(crate) location: Location,
    /// Name of the machine [default: that of the snapshot it comes from]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// A word for finding the snapshot; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Store nothing, say what would be stored
    #[arg(long)]
    pub(crate) dry_run: bool,
}
