//! The file allocation table: for each cluster, the next one of the same file.
//!
//! A window of a few pages is kept: files are mostly written in order, and a table can be a GiB.

use crate::sources::volume::layout::fat_geometry::{FatGeometry, FatWidth};
use crate::sources::volume::layout::fields::{u16_at, u32_at};
use crate::sources::volume::layout::hints::walk::{Metadata, WalkError};

const PAGE_LEN: u64 = 64 * 1024;
const PAGES_MAX: usize = 32;
/// What following one link counts as, in bytes of metadata.
const LINK_COST: u64 = 4;
/// Clusters are counted from here.
const FIRST_CLUSTER: u32 = 2;

pub(super) struct FatTable {
    pub(super) geometry: FatGeometry,
    /// The page that was asked last is the first one.
    pages: Vec<(u64, Vec<u8>)>,
}

impl FatTable {
    pub(super) fn new(geometry: FatGeometry) -> Self {
        Self {
            geometry,
            pages: Vec::with_capacity(PAGES_MAX),
        }
    }

    /// Where a cluster lies; nothing if there is none of that number.
    pub(super) fn place(&self, cluster: u32) -> Option<u64> {
        let index = cluster.checked_sub(FIRST_CLUSTER)?;
        let geometry = &self.geometry;
        (index < geometry.clusters)
            .then(|| geometry.heap_at + u64::from(index) * geometry.cluster_len)
    }

    /// The cluster behind one that there is; nothing at the end of a file.
    pub(super) fn next(
        &mut self,
        metadata: &mut Metadata<'_>,
        cluster: u32,
    ) -> Result<Option<u32>, WalkError> {
        metadata.charge(LINK_COST)?;
        let (next, end) = match self.geometry.width {
            FatWidth::Twelve => {
                let pair = self.entry(metadata, u64::from(cluster + cluster / 2), 2)?;
                let next = if cluster % 2 == 1 {
                    pair >> 4
                } else {
                    pair & 0xfff
                };
                (next, 0xff8)
            }
            FatWidth::Sixteen => (self.entry(metadata, u64::from(cluster) * 2, 2)?, 0xfff8),
            FatWidth::ThirtyTwo => {
                let next = self.entry(metadata, u64::from(cluster) * 4, 4)?;
                (next & 0x0fff_ffff, 0x0fff_fff8)
            }
        };
        if next >= end {
            return Ok(None);
        }
        self.place(next).map(|_| Some(next)).ok_or(WalkError::File)
    }

    /// A number of 2 or 4 bytes. Those of 12 bits may cross a sector but no page: all lie in one.
    fn entry(
        &mut self,
        metadata: &mut Metadata<'_>,
        at: u64,
        len: usize,
    ) -> Result<u32, WalkError> {
        let page = self.page(metadata, at / PAGE_LEN)?;
        let at = (at % PAGE_LEN) as usize;
        let number = match len {
            2 => u16_at(page, at).map(u32::from),
            _ => u32_at(page, at),
        };
        number.ok_or_else(|| WalkError::file_system("the allocation table is too short"))
    }

    fn page(&mut self, metadata: &mut Metadata<'_>, number: u64) -> Result<&[u8], WalkError> {
        if let Some(index) = self.pages.iter().position(|(page, _)| *page == number) {
            self.pages[..=index].rotate_right(1);
        } else {
            let start = number * PAGE_LEN;
            let len = self.geometry.table_len.saturating_sub(start).min(PAGE_LEN);
            let bytes = metadata.bytes(self.geometry.table_at + start, len as usize)?;
            self.pages.truncate(PAGES_MAX - 1);
            self.pages.insert(0, (number, bytes));
        }
        Ok(&self.pages[0].1)
    }
}
