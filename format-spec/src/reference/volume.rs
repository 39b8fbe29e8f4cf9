//! What a snapshot says of a volume (FORMAT.md section 13).

use crate::reference::cbor::Map;
use crate::reference::fault::Fault;
use crate::reference::fault::Result;
use crate::reference::snapshot::FILE_MAX;
use crate::reference::snapshot::decode_choice;
use crate::reference::snapshot::decode_level;

/// Informs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// 1 for section 12.1.
    pub division: u32,
    /// Length of every chunk, or 0.
    pub fixed_len: u32,
    /// Root page and level of its cuts.
    pub cuts: Option<([u8; 32], u8)>,
    /// How changes were found.
    pub change_detection: u64,
    /// Why that way.
    pub change_detection_reason: String,
    /// What could not be read.
    pub unreadable_bytes: u64,
    /// `file`, `device`, `nbd`, or the format of an image.
    pub medium: String,
    /// Bytes.
    pub logical_sector: u32,
    /// What the partition table lists.
    pub partitions: Vec<Partition>,
    /// Name of the file system that is the whole volume.
    pub file_system: Option<String>,
}

/// One of a partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// As the table has it.
    pub kind: String,
    /// Name of its file system.
    pub file_system: Option<String>,
}

pub(crate) fn decode_volume(mut map: Map) -> Result<Volume> {
    let cuts = match (map.has(2), map.has(3)) {
        (false, false) => None,
        _ => Some((map.array(2)?, decode_level(&mut map, 3)?)),
    };
    let (medium, logical_sector) = decode_medium(map.map(7)?)?;
    let (partitions, file_system) = decode_layout(map.map(8)?)?;
    Ok(Volume {
        division: map.u32(0)?,
        fixed_len: map.u32(1)?,
        cuts,
        change_detection: decode_choice(&mut map, 4, 4)?,
        change_detection_reason: map.text(5)?,
        unreadable_bytes: decode_place(&mut map, 6)?,
        medium,
        logical_sector,
        partitions,
        file_system,
    })
}

fn decode_medium(mut map: Map) -> Result<(String, u32)> {
    for key in 1..=3 {
        optional(&mut map, key, Map::text)?;
    }
    map.u32(5)?;
    optional(&mut map, 6, decode_u8)?;
    Ok((map.text(0)?, map.u32(4)?))
}

fn decode_layout(mut map: Map) -> Result<(Vec<Partition>, Option<String>)> {
    map.u32(0)?;
    optional(&mut map, 1, Map::text)?;
    optional(&mut map, 2, Map::text)?;
    map.texts(5)?;
    let partitions = map.maps(3)?.into_iter().map(decode_partition);
    Ok((
        partitions.collect::<Result<_>>()?,
        decode_file_system(&mut map, 4)?,
    ))
}

fn decode_partition(mut map: Map) -> Result<Partition> {
    optional(&mut map, 4, Map::text)?;
    map.text(5)?;
    map.uint(6)?;
    decode_u8(&mut map, 7)?;
    Ok(Partition {
        number: map.u32(0)?,
        offset: decode_place(&mut map, 1)?,
        len: decode_place(&mut map, 2)?,
        kind: map.text(3)?,
        file_system: decode_file_system(&mut map, 8)?,
    })
}

fn decode_file_system(map: &mut Map, key: u64) -> Result<Option<String>> {
    if !map.has(key) {
        return Ok(None);
    }
    let mut map = map.map(key)?;
    optional(&mut map, 1, Map::text)?;
    optional(&mut map, 2, Map::text)?;
    optional(&mut map, 3, Map::u32)?;
    optional(&mut map, 4, Map::uint)?;
    map.text(0).map(Some)
}

fn decode_place(map: &mut Map, key: u64) -> Result<u64> {
    let place = map.uint(key)?;
    if place > FILE_MAX {
        return Err(map.fault(Fault::LimitExceeded, key, "beyond 2^62 - 1 bytes"));
    }
    Ok(place)
}

fn decode_u8(map: &mut Map, key: u64) -> Result<u8> {
    let value = map.uint(key)?;
    u8::try_from(value).map_err(|_| map.malformed(key, "above 255"))
}

fn optional<T>(
    map: &mut Map,
    key: u64,
    read: impl FnOnce(&mut Map, u64) -> Result<T>,
) -> Result<Option<T>> {
    match map.has(key) {
        true => read(map, key).map(Some),
        false => Ok(None),
    }
}
