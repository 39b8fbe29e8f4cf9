//! The label of a physical volume, and the texts that it leads to.
//!
//! A label lies in one of the first four sectors. Behind it two lists say where data and where
//! metadata lie. Metadata is a ring of texts behind a header, which says where the valid one begins.

use crate::limits::LVM_TEXT_LEN_MAX;
use crate::sources::volume::layout::crc32::Crc32;
use crate::sources::volume::layout::fields::{has, u32_at, u64_at};
use crate::sources::volume::layout::lvm::Told;
use crate::sources::volume::layout::window::Window;

const SECTOR_LEN: usize = 512;
const LABEL_SECTORS: usize = 4;
const LABEL_MAGIC: &[u8] = b"LABELONE";
const LABEL_KIND: &[u8] = b"LVM2 001";
/// What a label's checksum covers begins here.
const LABEL_CHECKED_AT: usize = 20;
/// Behind the header's id and length: pairs of offset and length, zeros behind each list.
const LISTS_AT: usize = 40;
const PAIR_LEN: usize = 16;
/// A physical volume has one area of metadata at each end.
const AREAS_MAX: usize = 4;

const AREA_MAGIC: &[u8] = b" LVM2 x[5A%r0N*>";
const AREA_VERSION: u32 = 1;
const AREA_CHECKED_AT: usize = 4;
/// Where the first text is: offset, length, checksum, flags.
const TEXT_AT: usize = 40;
const TEXT_IS_IGNORED: u32 = 1;

/// The checksums of LVM begin with this, and are not turned over at their end.
const CHECKSUM_START: u32 = 0xf597_a6cf;

/// Every text that the label leads to, or why it cannot be had.
pub(super) fn texts(window: Window<'_>) -> Told<Vec<Told<Vec<u8>>>> {
    let head = window.bytes_up_to(0, LABEL_SECTORS * SECTOR_LEN);
    let head = head.map_err(|error| format!("has a label that cannot be read: {error}"))?;
    let mut sectors = head.as_chunks::<SECTOR_LEN>().0.iter().zip(0..);
    let label = sectors.find(|(sector, number)| is_label(*sector, *number));
    let (label, _) = label.ok_or("has no label of LVM2 whose checksum is right")?;
    let areas = areas(label).ok_or("has a label of LVM2 that makes no sense")?;
    Ok(areas
        .into_iter()
        .filter_map(|area| text(window, area).transpose())
        .collect())
}

fn is_label(sector: &[u8], number: u64) -> bool {
    has(sector, 0, LABEL_MAGIC)
        && u64_at(sector, 8) == Some(number)
        && has(sector, 24, LABEL_KIND)
        && u32_at(sector, 16) == Some(checksum(&sector[LABEL_CHECKED_AT..]))
}

/// Where areas of metadata lie.
fn areas(label: &[u8]) -> Option<Vec<(u64, u64)>> {
    let header = usize::try_from(u32_at(label, LABEL_CHECKED_AT)?).ok()?;
    let lists = label.get(header..)?.get(LISTS_AT..)?;
    let pairs = lists.as_chunks::<PAIR_LEN>().0.iter();
    let mut pairs = pairs.map_while(|pair| Some((u64_at(pair, 0)?, u64_at(pair, 8)?)));
    let is_pair = |pair: &(u64, u64)| pair.0 != 0;
    // Areas of data first, which the texts name too.
    pairs.by_ref().take_while(is_pair).for_each(drop);
    Some(pairs.take_while(is_pair).take(AREAS_MAX).collect())
}

/// The valid text of an area; nothing if it has none, as that of a new physical volume.
fn text(window: Window<'_>, (area_at, area_len): (u64, u64)) -> Told<Option<Vec<u8>>> {
    let unreadable = |error| format!("has metadata that cannot be read: {error}");
    let header = window.bytes(area_at, SECTOR_LEN).map_err(unreadable)?;
    let is_header = has(&header, AREA_CHECKED_AT, AREA_MAGIC)
        && u32_at(&header, 0) == Some(checksum(&header[AREA_CHECKED_AT..]))
        && u32_at(&header, 20) == Some(AREA_VERSION);
    if !is_header {
        return Err("has metadata whose header is damaged".to_owned());
    }
    let field = |at: usize| u64_at(&header, TEXT_AT + at).unwrap_or(0);
    let (offset, len) = (field(0), field(8));
    let flags = u32_at(&header, TEXT_AT + 20).unwrap_or(0);
    if offset == 0 || flags & TEXT_IS_IGNORED != 0 {
        return Ok(None);
    }
    if len > LVM_TEXT_LEN_MAX {
        return Err(format!("has metadata of {len} bytes, more than is read"));
    }
    let ring = SECTOR_LEN as u64..area_len;
    if !ring.contains(&offset) || len > area_len - SECTOR_LEN as u64 {
        return Err("has metadata that lies outside of its area".to_owned());
    }
    // What does not fit up to the end of the ring goes on where that begins.
    let first = len.min(area_len - offset);
    let bytes = |at: u64, len: u64| {
        let at = area_at.checked_add(at);
        window.bytes(at.unwrap_or(u64::MAX), len as usize)
    };
    let mut text = bytes(offset, first).map_err(unreadable)?;
    text.extend(bytes(ring.start, len - first).map_err(unreadable)?);
    if u32_at(&header, TEXT_AT + 16) != Some(checksum(&text)) {
        return Err("has metadata whose checksum is wrong".to_owned());
    }
    Ok(Some(text))
}

pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::starting_with(CHECKSUM_START);
    crc.update(bytes);
    !crc.finish()
}
