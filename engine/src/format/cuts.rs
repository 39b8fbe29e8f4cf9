//! Pages of cuts: where the chunks of a volume were made to end, beside where content ends them.
//! §10.4.

use crate::format::cursor::put_varint;
use crate::format::id::{ChunkId, PageId};
use crate::format::page::{PageHead, PageType};
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::{FILE_LEN_LIMIT, PAGE_ENTRIES_LIMIT};

/// One child of an inner page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutsChild {
    /// The first cut below.
    pub first: u64,
    /// Cuts below; at least 1.
    pub count: u64,
    /// The page.
    pub page: PageId,
}

/// Collects ascending cuts into one leaf.
#[derive(Debug, Default)]
pub struct CutsLeafWriter {
    body: Vec<u8>,
    count: usize,
    last: u64,
}

impl CutsLeafWriter {
    /// Appends a cut, which must be above 0 and above all before it.
    pub fn push(&mut self, cut: u64) {
        debug_assert!(cut > self.last);
        put_varint(&mut self.body, cut - self.last);
        self.last = cut;
        self.count += 1;
    }

    /// Bytes of cuts so far.
    pub fn entries_len(&self) -> usize {
        self.body.len()
    }

    /// Cuts so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The page; the writer is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let head = PageHead {
            page_type: PageType::Cuts,
            level: 0,
            count: self.count,
        };
        let page = head.encode(&self.body);
        *self = Self::default();
        page
    }
}

/// Reads a leaf.
pub fn decode_leaf(page: &[u8]) -> Decoded<Vec<u64>> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Cuts, true)?;
    let mut cuts = Vec::with_capacity(head.count.min(PAGE_ENTRIES_LIMIT));
    let mut last = 0_u64;
    for _ in 0..head.count {
        last = ascend(last, cursor.varint()?)?;
        cuts.push(last);
    }
    cursor.finish("page is longer than its cuts")?;
    Ok(cuts)
}

/// The cut `delta` behind `last`.
fn ascend(last: u64, delta: u64) -> Decoded<u64> {
    ensure(delta > 0, "cuts do not ascend")?;
    let cut = last.saturating_add(delta);
    if cut > FILE_LEN_LIMIT {
        return Err(DecodeError::LimitExceeded("length of a volume"));
    }
    Ok(cut)
}

/// Appends one child.
pub fn encode_child(out: &mut Vec<u8>, child: &CutsChild) {
    put_varint(out, child.first);
    put_varint(out, child.count);
    out.extend_from_slice(child.page.as_bytes());
}

/// An inner page of `children`.
pub fn encode_inner(level: u8, children: &[CutsChild]) -> Vec<u8> {
    PageHead::encode_all(PageType::Cuts, level, children, encode_child)
}

/// Reads an inner page: its level and children.
pub fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<CutsChild>)> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Cuts, false)?;
    let mut children: Vec<CutsChild> = Vec::new();
    for _ in 0..head.count {
        let (first, count) = (cursor.varint()?, cursor.varint()?);
        let before = children.last().map_or(0, |child| child.first);
        ensure(first > before, "cuts do not ascend")?;
        ensure(count > 0, "child without cuts")?;
        if first > FILE_LEN_LIMIT || count > FILE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("length of a volume"));
        }
        let page = ChunkId(cursor.array()?);
        children.push(CutsChild { first, count, page });
    }
    cursor.finish("page is longer than its children")?;
    Ok((head.level, children))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(cuts: &[u64]) -> Vec<u8> {
        let mut writer = CutsLeafWriter::default();
        cuts.iter().for_each(|&cut| writer.push(cut));
        writer.finish()
    }

    #[test]
    fn a_leaf_reads_back_and_has_one_spelling() {
        let cuts = [1, 2, 4096, 1 << 40, FILE_LEN_LIMIT];
        let good = leaf(&cuts);
        assert_eq!(decode_leaf(&good).as_deref(), Ok(&cuts[..]));
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(cuts) = decode_leaf(&damaged) {
                assert_eq!(leaf(&cuts), damaged, "bit {bit}: a second spelling");
            }
        }
        for len in 0..good.len() {
            assert!(decode_leaf(&good[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn an_inner_page_reads_back_and_has_one_spelling() {
        let child = |first, byte| CutsChild {
            first,
            count: 3,
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
        for len in 0..good.len() {
            assert!(decode_inner(&good[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn cuts_that_do_not_ascend_and_cuts_beyond_any_volume_are_refused() {
        let head = |count| PageHead {
            page_type: PageType::Cuts,
            level: 0,
            count,
        };
        for body in [&[0][..], &[5, 0], &[]] {
            assert!(decode_leaf(&head(body.len()).encode(body)).is_err());
        }
        let mut endless = Vec::new();
        put_varint(&mut endless, FILE_LEN_LIMIT);
        endless.push(1);
        assert_eq!(
            decode_leaf(&head(2).encode(&endless)),
            Err(DecodeError::LimitExceeded("length of a volume"))
        );
        let child = |first, count| CutsChild {
            first,
            count,
            page: ChunkId([1; 32]),
        };
        for children in [
            [child(5, 1), child(5, 1)],
            [child(5, 1), child(4, 1)],
            [child(0, 1), child(4, 1)],
            [child(3, 0), child(4, 1)],
        ] {
            assert!(decode_inner(&encode_inner(1, &children)).is_err());
        }
    }
}
