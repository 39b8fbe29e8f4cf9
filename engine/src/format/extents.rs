//! Pages of an extents manifest: the bytes of a long file or a volume, in order. §10.3.

use crate::format::cursor::{Cursor, put_varint};
use crate::format::entry::{Extent, ExtentKind};
use crate::format::id::{ChunkId, PageId};
use crate::format::page::{PageHead, PageType};
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::{CHUNK_LEN_LIMIT, FILE_LEN_LIMIT};

const KIND_CHUNK: u64 = 0;
const KIND_HOLE: u64 = 1;
const KIND_ZERO: u64 = 2;
const KIND_UNREADABLE: u64 = 3;

/// One child of an inner page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentsChild {
    /// Bytes below.
    pub len: u64,
    /// True if some of them could not be read from their source.
    pub unreadable: bool,
    /// The page.
    pub page: PageId,
}

/// Appends one extent.
pub fn encode_extent(out: &mut Vec<u8>, extent: &Extent) {
    let kind = match extent.kind {
        ExtentKind::Chunk(_) => KIND_CHUNK,
        ExtentKind::Hole => KIND_HOLE,
        ExtentKind::Zero => KIND_ZERO,
        ExtentKind::Unreadable => KIND_UNREADABLE,
    };
    put_varint(out, extent.len << 2 | kind);
    if let ExtentKind::Chunk(id) = extent.kind {
        out.extend_from_slice(id.as_bytes());
    }
}

fn decode_extent(cursor: &mut Cursor<'_>) -> Decoded<Extent> {
    let len_kind = cursor.varint()?;
    let len = len_kind >> 2;
    ensure(len > 0, "empty extent")?;
    let kind = match len_kind & 3 {
        KIND_CHUNK if len > u64::from(CHUNK_LEN_LIMIT) => {
            return Err(DecodeError::LimitExceeded("chunk"));
        }
        KIND_CHUNK => ExtentKind::Chunk(ChunkId(cursor.array()?)),
        KIND_HOLE => ExtentKind::Hole,
        KIND_ZERO => ExtentKind::Zero,
        _ => ExtentKind::Unreadable,
    };
    Ok(Extent { len, kind })
}

/// Reads extents to the end of `cursor`, at most `count_max` of them.
pub(crate) fn decode_list(mut cursor: Cursor<'_>, count_max: usize) -> Decoded<Vec<Extent>> {
    let mut list: Vec<Extent> = Vec::new();
    let mut total = 0_u64;
    while !cursor.rest().is_empty() {
        ensure(list.len() < count_max, "more extents than there may be")?;
        let extent = decode_extent(&mut cursor)?;
        total = total.saturating_add(extent.len);
        if total > FILE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("length of a file"));
        }
        let merged =
            extent.kind.merges() && list.last().is_some_and(|last| last.kind == extent.kind);
        ensure(
            !merged,
            "two extents without bytes that are one are neighbours",
        )?;
        list.push(extent);
    }
    Ok(list)
}

/// Bytes of `extents`, and whether some of them could not be read.
pub fn sums_of(extents: &[Extent]) -> (u64, bool) {
    let len = extents
        .iter()
        .map(|extent| extent.len)
        .fold(0, u64::saturating_add);
    let is_lost = |extent: &Extent| extent.kind == ExtentKind::Unreadable;
    (len, extents.iter().any(is_lost))
}

/// A leaf of `extents`.
pub fn encode_leaf(extents: &[Extent]) -> Vec<u8> {
    PageHead::encode_all(PageType::Extents, 0, extents, encode_extent)
}

/// Reads a leaf.
pub fn decode_leaf(page: &[u8]) -> Decoded<Vec<Extent>> {
    let (head, cursor) = PageHead::decode_as(page, PageType::Extents, true)?;
    let list = decode_list(cursor, head.count)?;
    head.check_count(list.len())?;
    Ok(list)
}

/// Appends one child.
pub fn encode_child(out: &mut Vec<u8>, child: &ExtentsChild) {
    put_varint(out, child.len << 1 | u64::from(child.unreadable));
    out.extend_from_slice(child.page.as_bytes());
}

/// An inner page of `children`.
pub fn encode_inner(level: u8, children: &[ExtentsChild]) -> Vec<u8> {
    PageHead::encode_all(PageType::Extents, level, children, encode_child)
}

/// Reads an inner page: its level and children.
pub fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<ExtentsChild>)> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Extents, false)?;
    let mut children = Vec::new();
    let mut total = 0_u64;
    for _ in 0..head.count {
        let coded = cursor.varint()?;
        let (len, unreadable) = (coded >> 1, coded & 1 == 1);
        ensure(len > 0, "child without bytes")?;
        total = total.saturating_add(len);
        if total > FILE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("length of a file"));
        }
        children.push(ExtentsChild {
            len,
            unreadable,
            page: ChunkId(cursor.array()?),
        });
    }
    cursor.finish("page is longer than its children")?;
    Ok((head.level, children))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Extent> {
        let extent = |len, kind| Extent { len, kind };
        vec![
            extent(65_536, ExtentKind::Chunk(ChunkId([1; 32]))),
            extent(1 << 40, ExtentKind::Hole),
            extent(1, ExtentKind::Zero),
            extent(7, ExtentKind::Chunk(ChunkId([2; 32]))),
            extent(512, ExtentKind::Unreadable),
        ]
    }

    #[test]
    fn a_leaf_reads_back_and_has_one_spelling() {
        let good = encode_leaf(&sample());
        assert_eq!(decode_leaf(&good), Ok(sample()));
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(extents) = decode_leaf(&damaged) {
                assert_eq!(
                    encode_leaf(&extents),
                    damaged,
                    "bit {bit}: a second spelling"
                );
            }
        }
        for len in 0..good.len() {
            assert!(decode_leaf(&good[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn neighbouring_holes_empty_extents_and_endless_files_are_refused() {
        let hole = Extent {
            len: 5,
            kind: ExtentKind::Hole,
        };
        assert!(decode_leaf(&encode_leaf(&[hole, hole])).is_err());
        assert!(decode_leaf(&encode_leaf(&[Extent { len: 0, ..hole }])).is_err());
        let endless = Extent {
            len: u64::MAX >> 2,
            ..hole
        };
        let zero = Extent {
            kind: ExtentKind::Zero,
            ..endless
        };
        assert!(decode_leaf(&encode_leaf(&[endless, zero, endless, zero])).is_err());
    }

    #[test]
    fn an_inner_page_reads_back() {
        let child = |len, byte| ExtentsChild {
            len,
            unreadable: byte == 2,
            page: ChunkId([byte; 32]),
        };
        let children = vec![child(5, 1), child(1 << 50, 2)];
        let good = encode_inner(1, &children);
        assert_eq!(decode_inner(&good), Ok((1, children)));
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok((level, children)) = decode_inner(&damaged) {
                assert_eq!(encode_inner(level, &children), damaged, "bit {bit}");
            }
        }
    }
}
