//! Where the parts of a FAT file system lie, as its first sector says.

use crate::sources::volume::layout::fields::{has, u8_at, u16_at, u32_at};

/// Bits of one entry of the file allocation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FatWidth {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// All offsets and lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct FatGeometry {
    pub(super) width: FatWidth,
    pub(super) len: u64,
    pub(super) table_at: u64,
    pub(super) table_len: u64,
    /// The root folder of FAT12 and FAT16; empty for FAT32.
    pub(super) root_at: u64,
    pub(super) root_len: u64,
    /// The first cluster of the root folder of FAT32.
    pub(super) root_cluster: u32,
    /// Where cluster 2, the first one, begins.
    pub(super) heap_at: u64,
    pub(super) cluster_len: u64,
    pub(super) clusters: u32,
}

/// Up to so many clusters have entries of 12 and of 16 bits.
const CLUSTERS_12_MAX: u64 = 4084;
const CLUSTERS_16_MAX: u64 = 65_524;
/// Beyond that, an entry of 28 bits has no number left.
const CLUSTERS_MAX: u64 = 0x0fff_fff5;

impl FatGeometry {
    /// The geometry, if the sector is the first one of a FAT file system.
    pub(super) fn decode(sector: &[u8]) -> Option<Self> {
        let sector_len = u64::from(u16_at(sector, 0x0b)?);
        let cluster_sectors = u64::from(u8_at(sector, 0x0d)?);
        let reserved = u64::from(u16_at(sector, 0x0e)?);
        let tables = u64::from(u8_at(sector, 0x10)?);
        let root_len = u64::from(u16_at(sector, 0x11)?) * 32;
        let is_boot_sector = has(sector, 510, &[0x55, 0xaa])
            && matches!(u8_at(sector, 0)?, 0xeb | 0xe9)
            && matches!(u8_at(sector, 0x15)?, 0xf0 | 0xf8..)
            && sector_len.is_power_of_two()
            && (512..=4096).contains(&sector_len)
            && cluster_sectors.is_power_of_two()
            && reserved > 0
            && matches!(tables, 1..=4);
        if !is_boot_sector {
            return None;
        }
        let sectors = long_or_short(sector, 0x13, 0x20)?;
        let table_sectors = long_or_short(sector, 0x16, 0x24)?;
        let has_wide_entries = u16_at(sector, 0x16)? == 0;
        let root_sectors = root_len.div_ceil(sector_len);
        let root_at = reserved + tables * table_sectors;
        let heap_at = root_at + root_sectors;
        let clusters = sectors.checked_sub(heap_at)? / cluster_sectors;
        if table_sectors == 0 || clusters == 0 || clusters > CLUSTERS_MAX {
            return None;
        }
        let width = if has_wide_entries {
            FatWidth::ThirtyTwo
        } else if clusters <= CLUSTERS_12_MAX {
            FatWidth::Twelve
        } else if clusters <= CLUSTERS_16_MAX {
            FatWidth::Sixteen
        } else {
            return None;
        };
        Some(Self {
            width,
            len: sectors * sector_len,
            table_at: reserved * sector_len,
            table_len: table_sectors * sector_len,
            root_at: root_at * sector_len,
            root_len,
            root_cluster: u32_at(sector, 0x2c)?,
            heap_at: heap_at * sector_len,
            cluster_len: cluster_sectors * sector_len,
            clusters: u32::try_from(clusters).ok()?,
        })
    }
}

/// A number that has a second, longer field, for when it does not fit the first.
fn long_or_short(sector: &[u8], short: usize, long: usize) -> Option<u64> {
    match u16_at(sector, short)? {
        0 => u32_at(sector, long).map(u64::from),
        short => Some(u64::from(short)),
    }
}
