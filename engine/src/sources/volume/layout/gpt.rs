//! GUID partition table: a header and an array of entries, each under a checksum, twice on the disk.

use crate::limits::{GPT_ENTRIES_LIMIT, GPT_ENTRY_LEN_LIMIT};
use crate::sources::volume::layout::crc32::{Crc32, crc32};
use crate::sources::volume::layout::fields::{array, has, u32_at, u64_at, utf16_text};
use crate::sources::volume::layout::window::Window;
use crate::sources::volume::layout::{Guid, Partition, PartitionKind};

/// Shortest header and shortest entry.
const HEADER_LEN_MIN: usize = 92;
const ENTRY_LEN_MIN: usize = 128;
/// Where the checksum of the header stands, which counts as zero in itself.
const CHECKSUM_AT: usize = 16;
/// Bytes of the array that are read at a time.
const STEP_LEN: usize = 64 * 1024;

pub(super) struct Gpt {
    pub(super) sector_len: u32,
    pub(super) disk_guid: Guid,
    pub(super) from_backup: bool,
    pub(super) partitions: Vec<Partition>,
}

struct Header {
    disk_guid: Guid,
    entries_at: u64,
    entry_count: u32,
    entry_len: usize,
    entries_checksum: u32,
}

/// The table in the second sector.
pub(super) fn read_primary(window: Window<'_>, sector_len: u32) -> Option<Gpt> {
    read_at(window, sector_len, 1, false)
}

/// The table in the last sector.
pub(super) fn read_backup(window: Window<'_>, sector_len: u32) -> Option<Gpt> {
    let last = (window.len() / u64::from(sector_len)).checked_sub(1)?;
    read_at(window, sector_len, last, true)
}

fn read_at(window: Window<'_>, sector_len: u32, sector: u64, from_backup: bool) -> Option<Gpt> {
    let offset = sector.checked_mul(u64::from(sector_len))?;
    let bytes = window.bytes(offset, sector_len as usize).ok()?;
    let header = Header::decode(&bytes, sector)?;
    Some(Gpt {
        sector_len,
        disk_guid: header.disk_guid,
        from_backup,
        partitions: read_entries(window, sector_len, &header)?,
    })
}

impl Header {
    /// The header that says of itself that it lies in this sector.
    fn decode(bytes: &[u8], sector: u64) -> Option<Self> {
        let len = u32_at(bytes, 12)? as usize;
        let is_header = has(bytes, 0, b"EFI PART") && len >= HEADER_LEN_MIN;
        let mut covered = bytes.get(..len).filter(|_| is_header)?.to_vec();
        covered[CHECKSUM_AT..CHECKSUM_AT + 4].fill(0);
        if u32_at(bytes, CHECKSUM_AT)? != crc32(&covered) || u64_at(bytes, 24)? != sector {
            return None;
        }
        let header = Self {
            disk_guid: Guid(array(bytes, 56)?),
            entries_at: u64_at(bytes, 72)?,
            entry_count: u32_at(bytes, 80)?,
            entry_len: u32_at(bytes, 84)? as usize,
            entries_checksum: u32_at(bytes, 88)?,
        };
        let lens = ENTRY_LEN_MIN..=GPT_ENTRY_LEN_LIMIT;
        let fits = lens.contains(&header.entry_len) && header.entry_len.is_multiple_of(8);
        (fits && header.entry_count <= GPT_ENTRIES_LIMIT).then_some(header)
    }
}

/// The entries in use, or nothing if their checksum is wrong.
fn read_entries(window: Window<'_>, sector_len: u32, header: &Header) -> Option<Vec<Partition>> {
    let mut at = header.entries_at.checked_mul(u64::from(sector_len))?;
    let mut checksum = Crc32::new();
    let mut partitions = Vec::new();
    let mut number = 0;
    while number < header.entry_count {
        let count = (STEP_LEN / header.entry_len).min((header.entry_count - number) as usize);
        let bytes = window.bytes(at, count * header.entry_len).ok()?;
        checksum.update(&bytes);
        at = at.checked_add(bytes.len() as u64)?;
        for entry in bytes.chunks_exact(header.entry_len) {
            number += 1;
            partitions.extend(decode_entry(entry, number, sector_len)?);
        }
    }
    (checksum.finish() == header.entries_checksum).then_some(partitions)
}

/// The partition of an entry, if it is in use; nothing at all if the entry is too short.
fn decode_entry(entry: &[u8], number: u32, sector_len: u32) -> Option<Option<Partition>> {
    let kind = Guid(array(entry, 0)?);
    if kind == Guid::NIL {
        return Some(None);
    }
    let (first, last) = (u64_at(entry, 32)?, u64_at(entry, 40)?);
    let sector_len = u64::from(sector_len);
    let sectors = last.wrapping_add(1).saturating_sub(first);
    Some(Some(Partition {
        number,
        offset: first.saturating_mul(sector_len),
        len: sectors.saturating_mul(sector_len),
        kind: PartitionKind::Gpt(kind),
        uuid: Some(Guid(array(entry, 16)?)),
        name: utf16_text(entry.get(56..ENTRY_LEN_MIN)?),
        attributes: u64_at(entry, 48)?,
        overlaps: false,
        out_of_range: false,
        file_system: None,
    }))
}
