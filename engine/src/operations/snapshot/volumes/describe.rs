//! What is recorded of a volume: the words of the format for what sources found.

use crate::format::volume::{FileSystemInfo, LayoutInfo, MediumInfo, PartitionInfo};
use crate::limits::FILE_LEN_LIMIT;
use crate::sources::volume::Identity;
use crate::sources::volume::layout::{
    DiskLayout, FileSystem, Guid, Partition, PartitionKind, TableKind,
};

/// Most partitions that are described, as many as a table usually has room for.
const PARTITIONS_MAX: usize = 128;

pub(super) fn medium_info(identity: &Identity, kind: &str) -> MediumInfo {
    MediumInfo {
        kind: kind.to_owned(),
        model: identity.model.clone(),
        serial: identity.serial.clone(),
        uuid: identity.uuid.clone(),
        logical_sector: identity.logical_sector,
        physical_sector: identity.physical_sector,
        rotational: identity.rotational.map(u8::from),
    }
}

pub(super) fn layout_info(layout: &DiskLayout) -> LayoutInfo {
    let (table, disk_id) = match &layout.table {
        None => (None, None),
        Some(TableKind::Gpt { disk_guid, .. }) => (Some("gpt"), Some(disk_guid.to_string())),
        Some(TableKind::Mbr { signature }) => (Some("mbr"), Some(format!("{signature:08x}"))),
    };
    let mut warnings = layout.warnings.clone();
    // A table may say anything; what no volume can have would make the snapshot unreadable.
    let is_possible = |one: &&Partition| one.offset.max(one.len) <= FILE_LEN_LIMIT;
    let partitions = layout.partitions.iter().filter(is_possible);
    let partitions: Vec<_> = partitions
        .take(PARTITIONS_MAX)
        .map(partition_info)
        .collect();
    let (found, described) = (layout.partitions.len(), partitions.len());
    if described < found {
        warnings.push(format!("{described} of {found} partitions are described"));
    }
    LayoutInfo {
        sector_len: layout.sector_len,
        table: table.map(str::to_owned),
        disk_id,
        partitions,
        file_system: layout.file_system.as_ref().map(file_system_info),
        warnings,
    }
}

fn partition_info(partition: &Partition) -> PartitionInfo {
    PartitionInfo {
        number: partition.number,
        offset: partition.offset,
        len: partition.len,
        kind: match partition.kind {
            PartitionKind::Gpt(kind) => kind.to_string(),
            PartitionKind::Mbr(kind) => format!("0x{kind:02x}"),
        },
        uuid: partition.uuid.as_ref().map(Guid::to_string),
        name: partition.name.clone(),
        attributes: partition.attributes,
        sound: u8::from(partition.is_sound()),
        file_system: partition.file_system.as_ref().map(file_system_info),
    }
}

fn file_system_info(found: &FileSystem) -> FileSystemInfo {
    FileSystemInfo {
        kind: found.kind.name().to_owned(),
        uuid: found.uuid.clone(),
        label: found.label.clone(),
        block_len: found.block_len,
        used_bytes: found.used_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::volume::layout::FileSystemKind;

    fn partition(number: u32, offset: u64, len: u64) -> Partition {
        Partition {
            number,
            offset,
            len,
            kind: PartitionKind::Mbr(0x83),
            uuid: None,
            name: String::new(),
            attributes: 128,
            overlaps: false,
            out_of_range: false,
            file_system: Some(FileSystem::of(FileSystemKind::Ext4)),
        }
    }

    #[test]
    fn what_no_volume_can_have_is_left_out_and_counted() {
        let mut layout = DiskLayout::unknown(1 << 30, 512);
        layout.table = Some(TableKind::Mbr { signature: 0x1a2b });
        layout.partitions = vec![
            partition(1, 1 << 20, 1 << 20),
            partition(2, 1 << 62, 512),
            partition(3, 512, u64::MAX),
        ];
        let info = layout_info(&layout);
        assert_eq!(info.partitions.len(), 1);
        assert_eq!(info.partitions[0].kind, "0x83");
        assert_eq!(info.disk_id.as_deref(), Some("00001a2b"));
        assert_eq!(info.warnings, ["1 of 3 partitions are described"]);
        let many = (1..=200).map(|number| partition(number, 0, 512));
        layout.partitions = many.collect();
        assert_eq!(layout_info(&layout).partitions.len(), PARTITIONS_MAX);
    }
}
