//! What a snapshot says of a volume beside its bytes. §13.
//!
//! All of it informs: to bring the bytes back, the root page is enough. The next snapshot asks how
//! the volume was divided, and people ask what was on it. Deliberately absent: reading any of it
//! from a disk (`sources::volume`).

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use crate::format::id::ChunkId;
use crate::format::snapshot::{PageRoot, Tracking, level_of};
use crate::format::{DecodeError, Decoded};
use crate::limits::FILE_LEN_LIMIT;

/// The way of dividing volumes that section 12.1 describes.
pub const DIVISION: u32 = 1;

/// What is known of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeInfo {
    /// How it was divided; [`DIVISION`], or a way that a later version has.
    pub division: u32,
    /// Length of every chunk, bytes; 0 if chunks end where content says.
    pub fixed_len: u32,
    /// Its forced cuts, if it had any.
    pub cuts: Option<PageRoot>,
    /// How changes were found.
    pub tracking: Tracking,
    /// Why that way.
    pub tracking_reason: String,
    /// Length of what could not be read, bytes.
    pub unreadable_bytes: u64,
    /// Where its bytes came from.
    pub medium: MediumInfo,
    /// What was on it.
    pub layout: LayoutInfo,
}

/// Where the bytes of a volume came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MediumInfo {
    /// `file`, `device`, `nbd`, or the format of an image.
    #[n(0)]
    pub kind: String,
    /// Maker and model of the disk.
    #[n(1)]
    pub model: Option<String>,
    /// Serial number of the disk.
    #[n(2)]
    pub serial: Option<String>,
    /// Identifier of the file system or the logical volume.
    #[n(3)]
    pub uuid: Option<String>,
    /// Smallest unit that can be addressed, bytes.
    #[n(4)]
    pub logical_sector: u32,
    /// Smallest unit that the medium writes, bytes.
    #[n(5)]
    pub physical_sector: u32,
    /// 1 for a spinning disk, 0 for another.
    #[n(6)]
    pub rotational: Option<u8>,
}

/// What was on a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LayoutInfo {
    /// Length of a sector, in which its partition table counts, bytes.
    #[n(0)]
    pub sector_len: u32,
    /// `gpt` or `mbr`.
    #[n(1)]
    pub table: Option<String>,
    /// Identifier of the disk, as its table has it.
    #[n(2)]
    pub disk_id: Option<String>,
    /// What the table lists, in its order.
    #[n(3)]
    pub partitions: Vec<PartitionInfo>,
    /// What the volume held as a whole.
    #[n(4)]
    pub file_system: Option<FileSystemInfo>,
    /// What made no sense, one line each.
    #[n(5)]
    pub warnings: Vec<String>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PartitionInfo {
    /// The number that systems give it, from 1.
    #[n(0)]
    pub number: u32,
    /// First byte in the volume.
    #[n(1)]
    pub offset: u64,
    /// Length, bytes.
    #[n(2)]
    pub len: u64,
    /// Type: the id of GPT, or the byte of MBR as `0x` and two digits.
    #[n(3)]
    pub kind: String,
    /// Identifier.
    #[n(4)]
    pub uuid: Option<String>,
    /// Name; may be empty.
    #[n(5)]
    pub name: String,
    /// Attribute bits of GPT, status byte of MBR.
    #[n(6)]
    pub attributes: u64,
    /// 1 if its bytes were its own and within the volume, or else 0.
    #[n(7)]
    pub sound: u8,
    /// What it held.
    #[n(8)]
    pub file_system: Option<FileSystemInfo>,
}

/// A file system, or what else was recognized.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FileSystemInfo {
    /// Its name, as `blkid` has it.
    #[n(0)]
    pub kind: String,
    /// Identifier.
    #[n(1)]
    pub uuid: Option<String>,
    /// Label.
    #[n(2)]
    pub label: Option<String>,
    /// Unit of allocation, bytes.
    #[n(3)]
    pub block_len: Option<u32>,
    /// In use, bytes, as it counted itself.
    #[n(4)]
    pub used_bytes: Option<u64>,
}

/// As it stands in a root.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct VolumeBody {
    #[n(0)]
    division: u32,
    #[n(1)]
    fixed_len: u32,
    #[n(2)]
    cuts_page: Option<ByteArray<32>>,
    #[n(3)]
    cuts_level: Option<u64>,
    #[n(4)]
    tracking: u8,
    #[n(5)]
    tracking_reason: String,
    #[n(6)]
    unreadable_bytes: u64,
    #[n(7)]
    medium: MediumInfo,
    #[n(8)]
    layout: LayoutInfo,
}

impl VolumeInfo {
    pub(super) fn from_body(body: VolumeBody) -> Decoded<Self> {
        let cuts = match (body.cuts_page, body.cuts_level) {
            (Some(page), Some(level)) => Some(PageRoot {
                page: ChunkId(page.into()),
                level: level_of(level)?,
            }),
            (None, None) => None,
            _ => return Err(DecodeError::Malformed("half a root of cuts")),
        };
        if body.unreadable_bytes > FILE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("unreadable bytes of a volume"));
        }
        body.layout.check()?;
        Ok(Self {
            division: body.division,
            fixed_len: body.fixed_len,
            cuts,
            tracking: Tracking::from_byte(body.tracking)?,
            tracking_reason: body.tracking_reason,
            unreadable_bytes: body.unreadable_bytes,
            medium: body.medium,
            layout: body.layout,
        })
    }

    pub(super) fn to_body(&self) -> VolumeBody {
        VolumeBody {
            division: self.division,
            fixed_len: self.fixed_len,
            cuts_page: self.cuts.map(|cuts| cuts.page.0.into()),
            cuts_level: self.cuts.map(|cuts| cuts.level.into()),
            tracking: self.tracking as u8,
            tracking_reason: self.tracking_reason.clone(),
            unreadable_bytes: self.unreadable_bytes,
            medium: self.medium.clone(),
            layout: self.layout.clone(),
        }
    }
}

impl LayoutInfo {
    fn check(&self) -> Decoded<()> {
        let is_too_far = |one: &PartitionInfo| one.offset.max(one.len) > FILE_LEN_LIMIT;
        if self.partitions.iter().any(is_too_far) {
            return Err(DecodeError::LimitExceeded("place of a partition"));
        }
        Ok(())
    }

    /// The partition that systems give this number.
    pub fn partition(&self, number: u32) -> Option<&PartitionInfo> {
        let mut partitions = self.partitions.iter();
        partitions.find(|partition| partition.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::cbor;

    fn sample() -> VolumeInfo {
        let file_system = FileSystemInfo {
            kind: "ext4".into(),
            uuid: Some("u".into()),
            label: None,
            block_len: Some(4096),
            used_bytes: Some(1 << 20),
        };
        VolumeInfo {
            division: DIVISION,
            fixed_len: 0,
            cuts: Some(PageRoot {
                page: ChunkId([9; 32]),
                level: 1,
            }),
            tracking: Tracking::ChangedRanges,
            tracking_reason: "a list was given".into(),
            unreadable_bytes: 512,
            medium: MediumInfo {
                kind: "device".into(),
                logical_sector: 512,
                physical_sector: 4096,
                rotational: Some(0),
                ..MediumInfo::default()
            },
            layout: LayoutInfo {
                sector_len: 512,
                table: Some("gpt".into()),
                partitions: vec![PartitionInfo {
                    number: 1,
                    offset: 1 << 20,
                    len: 1 << 30,
                    sound: 1,
                    file_system: Some(file_system),
                    ..PartitionInfo::default()
                }],
                ..LayoutInfo::default()
            },
        }
    }

    fn read_back(info: &VolumeInfo) -> Decoded<VolumeInfo> {
        let bytes = minicbor::to_vec(info.to_body()).unwrap();
        VolumeInfo::from_body(cbor::decode(&bytes, "volume")?)
    }

    #[test]
    fn a_volume_reads_back() {
        assert_eq!(read_back(&sample()), Ok(sample()));
        let plain = VolumeInfo {
            cuts: None,
            layout: LayoutInfo::default(),
            ..sample()
        };
        assert_eq!(read_back(&plain), Ok(plain));
    }

    #[test]
    fn a_place_beyond_every_volume_is_refused() {
        let mut far = sample();
        far.layout.partitions[0].offset = 1 << 62;
        assert!(read_back(&far).is_err());
        let far = VolumeInfo {
            unreadable_bytes: 1 << 62,
            ..sample()
        };
        assert!(read_back(&far).is_err());
    }
}
