//! Formats of DOS and Windows: a first sector that a BIOS could have started.

use crate::sources::volume::layout::fat_geometry::{FatGeometry, FatWidth};
use crate::sources::volume::layout::fields::{
    has, text_at, u8_at, u16_at, u32_at, u64_at, utf16_text,
};
use crate::sources::volume::layout::ntfs_record::{NtfsGeometry, volume_label};
use crate::sources::volume::layout::probe::{FileSystem, FileSystemKind};
use crate::sources::volume::layout::window::Window;

const SECTOR_LEN: usize = 512;

/// Whether a sector is the first one of such a format, and so no place for a partition table.
pub(in crate::sources::volume::layout) fn is_boot_sector(sector: &[u8]) -> bool {
    oem_kind(sector).is_some() || FatGeometry::decode(sector).is_some()
}

/// The format that the sector names.
fn oem_kind(sector: &[u8]) -> Option<FileSystemKind> {
    [
        (b"NTFS    ", FileSystemKind::Ntfs),
        (b"EXFAT   ", FileSystemKind::ExFat),
        (b"ReFS\0\0\0\0", FileSystemKind::Refs),
        (b"-FVE-FS-", FileSystemKind::BitLocker),
    ]
    .into_iter()
    .find(|(name, _)| has(sector, 3, *name))
    .map(|(_, kind)| kind)
}

pub(super) fn read(head: &[u8], window: Window<'_>) -> Option<FileSystem> {
    let sector = head.get(..SECTOR_LEN)?;
    match oem_kind(sector) {
        Some(FileSystemKind::Ntfs) => ntfs(sector, window),
        Some(FileSystemKind::ExFat) => exfat(sector, window),
        Some(FileSystemKind::Refs) => Some(refs(sector)),
        Some(kind) => Some(FileSystem::of(kind)),
        None => fat(sector, head, window),
    }
}

fn ntfs(sector: &[u8], window: Window<'_>) -> Option<FileSystem> {
    let geometry = NtfsGeometry::decode(sector)?;
    Some(FileSystem {
        uuid: Some(format!("{:016X}", u64_at(sector, 0x48)?)),
        label: volume_label(&geometry, window),
        block_len: u32::try_from(geometry.cluster_len).ok(),
        ..FileSystem::of(FileSystemKind::Ntfs)
    })
}

fn refs(sector: &[u8]) -> FileSystem {
    let cluster = || u32_at(sector, 0x20)?.checked_mul(u32_at(sector, 0x24)?);
    FileSystem {
        uuid: u64_at(sector, 0x38).map(|serial| format!("{serial:016X}")),
        block_len: cluster().filter(|len| len.is_power_of_two()),
        ..FileSystem::of(FileSystemKind::Refs)
    }
}

fn exfat(sector: &[u8], window: Window<'_>) -> Option<FileSystem> {
    let (sector_log, cluster_log) = (u8_at(sector, 0x6c)?, u8_at(sector, 0x6d)?);
    if !(9..=12).contains(&sector_log) || cluster_log > 25 - sector_log {
        return None;
    }
    let cluster_log = sector_log + cluster_log;
    Some(FileSystem {
        uuid: u32_at(sector, 0x64).map(serial_text),
        label: exfat_label(sector, sector_log, cluster_log, window),
        block_len: Some(1 << cluster_log),
        ..FileSystem::of(FileSystemKind::ExFat)
    })
}

/// The label is an entry of the root folder; it is looked for in the first sector of it.
fn exfat_label(
    sector: &[u8],
    sector_log: u8,
    cluster_log: u8,
    window: Window<'_>,
) -> Option<String> {
    let heap = u64::from(u32_at(sector, 0x58)?) << sector_log;
    let root = u64::from(u32_at(sector, 0x60)?.checked_sub(2)?) << cluster_log;
    let entries = window.bytes(heap.checked_add(root)?, SECTOR_LEN).ok()?;
    let label = entries.chunks_exact(32).find(|entry| entry[0] == 0x83)?;
    let len = usize::from(label[1].min(11)) * 2;
    Some(utf16_text(&label[2..2 + len])).filter(|text| !text.is_empty())
}

fn serial_text(serial: u32) -> String {
    format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff)
}

fn fat(sector: &[u8], head: &[u8], window: Window<'_>) -> Option<FileSystem> {
    let geometry = FatGeometry::decode(sector)?;
    // The extended part of the sector begins later where entries have 32 bits.
    let (kind, extended) = match geometry.width {
        FatWidth::Twelve => (FileSystemKind::Fat12, 0x26),
        FatWidth::Sixteen => (FileSystemKind::Fat16, 0x26),
        FatWidth::ThirtyTwo => (FileSystemKind::Fat32, 0x42),
    };
    let has_ids = u8_at(sector, extended) == Some(0x29);
    let label = text_at(sector, extended + 5, 11).filter(|text| has_ids && text != "NO NAME");
    Some(FileSystem {
        kind,
        uuid: u32_at(sector, extended + 1)
            .filter(|_| has_ids)
            .map(serial_text),
        label,
        block_len: u32::try_from(geometry.cluster_len).ok(),
        used_bytes: fat_used(&geometry, sector, head).filter(|used| *used <= window.len()),
    })
}

/// Only FAT32 keeps a count of free clusters.
fn fat_used(geometry: &FatGeometry, sector: &[u8], head: &[u8]) -> Option<u64> {
    if geometry.width != FatWidth::ThirtyTwo {
        return None;
    }
    let at = usize::from(u16_at(sector, 0x30)?) * usize::from(u16_at(sector, 0x0b)?);
    let info = head.get(at..)?.get(..SECTOR_LEN)?;
    if !has(info, 0, b"RRaA") || !has(info, 484, b"rrAa") {
        return None;
    }
    let free = u64::from(u32_at(info, 488)?);
    u64::from(geometry.clusters)
        .checked_sub(free)?
        .checked_mul(geometry.cluster_len)
}
