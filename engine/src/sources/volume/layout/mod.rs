//! What is inside a disk or its image: partition table, file systems, and where their files lie.
//!
//! - [`read_layout`] reads the partition table (GPT, MBR) and recognizes what each partition holds;
//! - [`Hints::collect`] walks the file systems it has readers for and gives the offsets at which
//!   files begin and end, so that a chunker may cut there and find what was stored as files;
//! - `lvm` says where the logical volumes of a volume group lie.
//!
//! All of it is read from bytes that somebody else wrote: lengths are checked before anything is
//! allocated, chains have an end, work is bounded by the length of the volume, and what makes no
//! sense costs a warning, not the snapshot.
//!
//! Deliberately absent: names and contents of files, repair, and a system's own idea of its
//! partitions. Nothing is mounted.

mod crc32;
mod crc32c;
mod fat_geometry;
pub(crate) mod fields;
mod gpt;
mod guid;
pub(crate) mod hints;
pub(crate) mod lvm;
mod mbr;
mod ntfs_record;
mod order;
mod probe;
mod table;
mod window;

#[cfg(any(test, feature = "testing"))]
pub(crate) use crc32::crc32;
pub(crate) use crc32c::crc32c;
pub use guid::Guid;
pub use hints::{HintIter, HintOptions, HintProblem, Hints, has_hints};
pub use lvm::{LogicalVolume, Piece};
pub(crate) use probe::PROBED_LEN;
pub use probe::{FileSystem, FileSystemKind, probe};
pub use table::{read_layout, read_table};

#[cfg(test)]
mod tests;

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLayout {
    /// Length of the volume, in bytes.
    pub len: u64,
    /// Length of a sector, in bytes: as the caller knew it, or as the partition table fits it.
    pub sector_len: u32,
    /// The partition table; nothing if the volume has none.
    pub table: Option<TableKind>,
    /// What the table lists, in its order.
    pub partitions: Vec<Partition>,
    /// What the volume holds as a whole, where it has no partition table.
    pub file_system: Option<FileSystem>,
    /// What makes no sense, one line each.
    pub warnings: Vec<String>,
}

/// A kind of partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// GUID partition table.
    Gpt {
        /// Id of the disk.
        disk_guid: Guid,
        /// The copy at the end of the disk was read: the one at its start is damaged.
        from_backup: bool,
    },
    /// DOS partition table in the first sector.
    Mbr {
        /// Id of the disk.
        signature: u32,
    },
}

/// One entry of a partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The number that systems give it, from 1; logical partitions of an MBR begin at 5.
    pub number: u32,
    /// First byte in the volume.
    pub offset: u64,
    /// Length, in bytes, as the table says.
    pub len: u64,
    /// What the table says that it is for.
    pub kind: PartitionKind,
    /// Id of the partition, GPT only.
    pub uuid: Option<Guid>,
    /// Name, GPT only; may be empty.
    pub name: String,
    /// Attribute bits of GPT; the status byte of MBR (128: boot from here).
    pub attributes: u64,
    /// It shares bytes with another partition, other than an extended one with its logical ones.
    pub overlaps: bool,
    /// It is empty, or ends behind the volume or the extended partition around it.
    pub out_of_range: bool,
    /// What it holds, if that was recognized.
    pub file_system: Option<FileSystem>,
}

/// The type of a partition, as its table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionKind {
    /// Type id of GPT.
    Gpt(Guid),
    /// Type byte of MBR.
    Mbr(u8),
}

impl DiskLayout {
    /// A volume about which nothing is known.
    pub fn unknown(len: u64, sector_len: u32) -> Self {
        Self {
            len,
            sector_len,
            table: None,
            partitions: Vec::new(),
            file_system: None,
            warnings: Vec::new(),
        }
    }

    /// The partition that systems give this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        let mut partitions = self.partitions.iter();
        partitions.find(|partition| partition.number == number)
    }
}

impl Partition {
    /// Whether its bytes are its own and are all there: only then they are looked into.
    pub fn is_sound(&self) -> bool {
        !self.overlaps && !self.out_of_range
    }

    /// Whether it is there to hold other partitions: an extended one, or the one that shields a GPT.
    pub fn is_container(&self) -> bool {
        match self.kind {
            PartitionKind::Gpt(_) => false,
            PartitionKind::Mbr(kind) => mbr::is_extended(kind) || kind == mbr::PROTECTIVE,
        }
    }
}
