//! What of a snapshot is wanted as bytes: a volume, a partition of one, or a logical volume.

use std::ops::Range;
use std::sync::Arc;

use blockstore::format::snapshot::{Root, Snapshot};
use blockstore::operations::select_logical::select_logical;
use blockstore::operations::select_volume::select_volume;
use blockstore::operations::volume_bytes::VolumeBytes;
use blockstore::repository::Repository;

use crate::commands::images::Volumes;
use crate::commands::{Context, logical};
use crate::exit::Failure;

/// Bytes of a volume, and which of them.
pub(super) struct Wanted<'s> {
    pub(super) bytes: VolumeBytes<'s>,
    /// Those of a partition; all if there is none.
    pub(super) range: Option<Range<u64>>,
}

impl<'s> Wanted<'s> {
    /// What `path` means; nothing if it means folders.
    pub(super) fn find(
        context: &Context<'_>,
        repository: &Arc<Repository>,
        snapshot: &'s Snapshot,
        path: &[u8],
    ) -> Result<Option<Self>, Failure> {
        if let Some(selected) = select_logical(snapshot, path)? {
            let name = logical::volume_of(&selected)?;
            let volumes = Volumes::open(context, repository)?;
            let group = volumes.group(snapshot, &selected.member)?;
            let bytes = group.bytes(snapshot, &name.group, &name.volume)?;
            return Ok(Some(Self { bytes, range: None }));
        }
        let volume = select_volume(snapshot, path)?;
        Ok(volume.map(|volume| Self {
            bytes: volume.root.into(),
            range: volume.part(),
        }))
    }

    /// What partition tables and file systems of it count in, where that is known.
    pub(super) fn sector_len(&self) -> Option<u32> {
        self.bytes.roots().filter_map(sector_len).max()
    }
}

fn sector_len(root: &Root) -> Option<u32> {
    let info = root.volume.as_ref()?;
    let has_table = info.layout.table.is_some();
    let of_device = || (info.medium.kind == "device").then_some(info.medium.logical_sector);
    has_table
        .then_some(info.layout.sector_len)
        .or_else(of_device)
}
