//! Records of the master file table of NTFS: their attributes, and the runs of those that lie
//! outside of the record.

use crate::sources::volume::layout::fields::{
    array, has, u8_at, u16_at, u32_at, u64_at, utf16_text,
};
use crate::sources::volume::layout::window::Window;

/// Attribute types.
pub(super) const ATTRIBUTE_LIST: u32 = 0x20;
pub(super) const VOLUME_NAME: u32 = 0x60;
pub(super) const DATA: u32 = 0x80;
const END: u32 = u32::MAX;

/// Number of the record that has the volume's label.
const VOLUME_RECORD: u64 = 3;
/// The low bits of a reference are the number of a record, the others count its uses.
pub(super) const RECORD_NUMBER_MASK: u64 = (1 << 48) - 1;
/// The end of each so many bytes of a record is kept elsewhere, to tell a torn write.
const FIXUP_STRIDE: usize = 512;

/// All offsets and lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct NtfsGeometry {
    pub(super) len: u64,
    pub(super) cluster_len: u64,
    pub(super) record_len: usize,
    pub(super) mft_at: u64,
}

impl NtfsGeometry {
    pub(super) fn decode(sector: &[u8]) -> Option<Self> {
        let sector_len = u64::from(u16_at(sector, 0x0b)?);
        let cluster_sectors = match u8_at(sector, 0x0d)? {
            count @ ..=0x80 => u64::from(count),
            log => 1_u64.checked_shl(256 - u32::from(log))?,
        };
        let cluster_len = sector_len.checked_mul(cluster_sectors)?;
        let record_len = match array::<1>(sector, 0x40).map(i8::from_le_bytes)? {
            log @ -14..=-9 => 1 << -log,
            count @ 1.. => cluster_len.checked_mul(u64::from(count.unsigned_abs()))?,
            _ => return None,
        };
        let is_sane = has(sector, 3, b"NTFS    ")
            && sector_len.is_power_of_two()
            && (256..=4096).contains(&sector_len)
            && cluster_len.is_power_of_two()
            && cluster_len <= 2 << 20
            && record_len.is_power_of_two()
            && (512..=16_384).contains(&record_len);
        let len = u64_at(sector, 0x28)?.checked_mul(sector_len)?;
        let mft_at = u64_at(sector, 0x30)?.checked_mul(cluster_len)?;
        (is_sane && mft_at < len).then_some(Self {
            len,
            cluster_len,
            record_len: record_len as usize,
            mft_at,
        })
    }
}

/// The label of the volume.
pub(super) fn volume_label(geometry: &NtfsGeometry, window: Window<'_>) -> Option<String> {
    let inner = VOLUME_RECORD * geometry.record_len as u64;
    let at = geometry.mft_at.checked_add(inner)?;
    let mut bytes = window.bytes(at, geometry.record_len).ok()?;
    let record = Record::decode(&mut bytes)?;
    let mut attributes = record.attributes();
    let label = attributes.find(|attribute| attribute.kind == VOLUME_NAME)?;
    Some(utf16_text(label.resident()?)).filter(|text| !text.is_empty())
}

/// A record in use.
pub(super) struct Record<'b> {
    bytes: &'b [u8],
    first_attribute: usize,
    /// The record that this one continues, if it does.
    pub(super) base: Option<u64>,
}

impl<'b> Record<'b> {
    /// The record, with the ends of its sectors put back; nothing if it is not in use or torn.
    pub(super) fn decode(bytes: &'b mut [u8]) -> Option<Self> {
        let is_in_use = has(bytes, 0, b"FILE") && u16_at(bytes, 0x16)? & 1 == 1;
        if !is_in_use {
            return None;
        }
        undo_fixups(bytes)?;
        let used = u32_at(bytes, 0x18)? as usize;
        let base = Some(u64_at(bytes, 0x20)?).filter(|base| *base != 0);
        Some(Self {
            first_attribute: usize::from(u16_at(bytes, 0x14)?),
            bytes: bytes.get(..used)?,
            base: base.map(|base| base & RECORD_NUMBER_MASK),
        })
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute<'b>> + use<'b> {
        let bytes = self.bytes;
        let mut at = self.first_attribute;
        std::iter::from_fn(move || {
            let kind = u32_at(bytes, at).filter(|kind| *kind != END)?;
            let len = u32_at(bytes, at + 4)? as usize;
            let body = bytes.get(at..)?.get(..len).filter(|_| len >= 16)?;
            at += len;
            Some(Attribute { kind, body })
        })
    }
}

fn undo_fixups(bytes: &mut [u8]) -> Option<()> {
    let array_at = usize::from(u16_at(bytes, 4)?);
    let count = usize::from(u16_at(bytes, 6)?).checked_sub(1)?;
    if count != bytes.len() / FIXUP_STRIDE {
        return None;
    }
    let mark = array::<2>(bytes, array_at)?;
    for index in 0..count {
        let kept = array::<2>(bytes, array_at + 2 + 2 * index)?;
        let end = (index + 1) * FIXUP_STRIDE;
        let last = bytes.get_mut(end - 2..end)?;
        if last != mark {
            return None;
        }
        last.copy_from_slice(&kept);
    }
    Some(())
}

/// One attribute of a record.
pub(super) struct Attribute<'b> {
    pub(super) kind: u32,
    body: &'b [u8],
}

/// Where the bytes of an attribute lie that is not in its record.
pub(super) struct Mapping {
    /// The first cluster of the attribute that this piece maps.
    pub(super) first_cluster: u64,
    /// Length of the whole attribute in bytes: in the first piece only.
    pub(super) len: u64,
    /// How many of them were ever written: the rest reads as zeros.
    pub(super) written_len: u64,
    /// Compressed or encrypted: clusters do not hold the bytes of the file.
    pub(super) is_encoded: bool,
    /// Runs in the order of the attribute.
    pub(super) runs: Vec<Run>,
}

/// Clusters that lie together on the volume.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// First cluster on the volume; nothing if the run is a hole.
    pub(super) start: Option<u64>,
    /// Number of clusters.
    pub(super) count: u64,
}

impl<'b> Attribute<'b> {
    pub(super) fn is_named(&self) -> bool {
        self.body[9] != 0
    }

    /// The bytes of an attribute that lies in its record.
    pub(super) fn resident(&self) -> Option<&'b [u8]> {
        if self.body[8] != 0 {
            return None;
        }
        let (len, at) = (u32_at(self.body, 0x10)?, u16_at(self.body, 0x14)?);
        self.body.get(usize::from(at)..)?.get(..len as usize)
    }

    pub(super) fn is_resident(&self) -> bool {
        self.body[8] == 0
    }

    /// Where the bytes lie that are not in the record; nothing if that makes no sense.
    pub(super) fn mapping(&self, geometry: &NtfsGeometry) -> Option<Mapping> {
        if self.is_resident() {
            return None;
        }
        let runs_at = usize::from(u16_at(self.body, 0x20)?);
        let flags = u16_at(self.body, 0x0c)?;
        Some(Mapping {
            first_cluster: u64_at(self.body, 0x10)?,
            len: u64_at(self.body, 0x30)?,
            written_len: u64_at(self.body, 0x38)?,
            is_encoded: flags & 0x40ff != 0,
            runs: decode_runs(self.body.get(runs_at..)?, geometry)?,
        })
    }
}

/// Each run: one byte with the lengths of two numbers, the count, and the distance to the start of
/// the run before; no distance for a hole.
fn decode_runs(mut bytes: &[u8], geometry: &NtfsGeometry) -> Option<Vec<Run>> {
    let clusters = geometry.len / geometry.cluster_len;
    let mut runs = Vec::new();
    let mut start = 0_i64;
    while let Some((head, rest)) = bytes.split_first().filter(|(head, _)| **head != 0) {
        let (count_len, distance_len) = (usize::from(head & 15), usize::from(head >> 4));
        let count = number(rest.get(..count_len)?, false)?;
        let distance = number(rest.get(count_len..)?.get(..distance_len)?, true)?;
        bytes = &rest[count_len + distance_len..];
        let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
        start = start.checked_add(distance)?;
        let place = u64::try_from(start).ok()?;
        if count > clusters || distance_len > 0 && place > clusters - count {
            return None;
        }
        let start = (distance_len > 0).then_some(place);
        runs.push(Run { start, count });
    }
    Some(runs)
}

/// A number of up to 8 bytes, low byte first.
fn number(bytes: &[u8], is_signed: bool) -> Option<i64> {
    let is_negative = is_signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut word = [if is_negative { 0xff } else { 0 }; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(word))
}
