//! Pages of a scan: what tells a changed entry from an unchanged one next time. §10.2.

use std::sync::Arc;

use crate::format::cursor::{Cursor, put_bytes, put_varint, put_zigzag};
use crate::format::entry::{FolderPath, Timestamp, TreePath};
use crate::format::groups::{GroupWriter, decode_groups, decode_path, encode_path};
use crate::format::id::{ChunkId, PageId};
use crate::format::page::{PageHead, PageType};
use crate::format::tree::decode_timestamp;
use crate::format::{Decoded, ensure};

const FLAG_RACY: u8 = 1;

/// Length of the shortest entry that has a name, bytes.
const ENTRY_LEN_MIN: usize = 6;

/// What was seen of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanItem {
    /// The folder; shared by its entries of one page.
    pub folder: Arc<FolderPath>,
    /// Name in the folder.
    pub name: Vec<u8>,
    /// What was seen.
    pub seen: Seen,
}

/// What tells a changed entry from an unchanged one, beside its length and mtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Inode number.
    pub inode: u64,
    /// Its times were too young to tell a later change: read it again.
    pub racy: bool,
}

/// One child of an inner page of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanChild {
    /// The first entry below.
    pub first: TreePath,
    /// Entries below.
    pub entries: u64,
    /// The page.
    pub page: PageId,
}

/// Collects entries into one leaf.
#[derive(Debug, Default)]
pub struct ScanLeafWriter {
    groups: GroupWriter,
}

impl ScanLeafWriter {
    /// Appends an entry, which must come after all before it.
    pub fn push(&mut self, folder: &FolderPath, name: &[u8], seen: &Seen) {
        self.groups.push(folder, |out| {
            put_bytes(out, name);
            put_zigzag(out, seen.ctime.seconds);
            put_varint(out, seen.ctime.nanoseconds.into());
            put_varint(out, seen.inode);
            out.push(if seen.racy { FLAG_RACY } else { 0 });
        });
    }

    /// Bytes of entries so far, and of the paths of their folders.
    pub fn entries_len(&self) -> usize {
        self.groups.entries_len()
    }

    /// True before the first entry.
    pub fn is_empty(&self) -> bool {
        self.groups.count() == 0
    }

    /// The page; the writer is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let head = PageHead {
            page_type: PageType::Scan,
            level: 0,
            count: self.groups.count(),
        };
        let page = head.encode(self.groups.finish());
        self.groups.clear();
        page
    }
}

/// Reads a leaf.
pub fn decode_leaf(page: &[u8]) -> Decoded<Vec<ScanItem>> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Scan, true)?;
    decode_groups(
        &head,
        &mut cursor,
        ENTRY_LEN_MIN,
        |item: &ScanItem| &item.name,
        |cursor, folder, name| {
            let (folder, seen) = (Arc::clone(folder), decode_seen(cursor)?);
            Ok(ScanItem { folder, name, seen })
        },
    )
}

/// Reads an entry behind its name.
fn decode_seen(cursor: &mut Cursor<'_>) -> Decoded<Seen> {
    let (ctime, inode) = (decode_timestamp(cursor)?, cursor.varint()?);
    let flags = cursor.u8()?;
    ensure(flags & !FLAG_RACY == 0, "unknown flag of a scan entry")?;
    Ok(Seen {
        ctime,
        inode,
        racy: flags & FLAG_RACY != 0,
    })
}

/// An inner page of `children`.
pub fn encode_inner(level: u8, children: &[ScanChild]) -> Vec<u8> {
    PageHead::encode_all(PageType::Scan, level, children, encode_child)
}

/// Appends one child.
pub fn encode_child(out: &mut Vec<u8>, child: &ScanChild) {
    encode_path(out, &child.first);
    put_varint(out, child.entries);
    out.extend_from_slice(child.page.as_bytes());
}

/// Reads an inner page: its level and children.
pub fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<ScanChild>)> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Scan, false)?;
    let mut children: Vec<ScanChild> = Vec::new();
    for _ in 0..head.count {
        let first = decode_path(&mut cursor)?;
        ensure(
            children.last().is_none_or(|last| last.first < first),
            "children do not ascend",
        )?;
        let entries = cursor.varint()?;
        ensure(entries > 0, "child without entries")?;
        children.push(ScanChild {
            first,
            entries,
            page: ChunkId(cursor.array()?),
        });
    }
    cursor.finish("page is longer than its children")?;
    Ok((head.level, children))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<ScanItem> {
        let root = Arc::new(FolderPath::root());
        let sub = Arc::new(root.child(b"sub"));
        let item = |folder: &Arc<FolderPath>, name: &[u8], inode, racy| {
            let ctime = Timestamp {
                seconds: 1_790_000_000,
                nanoseconds: 5,
            };
            let seen = Seen { ctime, inode, racy };
            ScanItem {
                folder: Arc::clone(folder),
                name: name.to_vec(),
                seen,
            }
        };
        vec![
            item(&root, b"", 2, false),
            item(&root, b"sub", 3, true),
            item(&sub, b"x", u64::MAX, false),
        ]
    }

    fn page(items: &[ScanItem]) -> Vec<u8> {
        let mut writer = ScanLeafWriter::default();
        items
            .iter()
            .for_each(|item| writer.push(&item.folder, &item.name, &item.seen));
        writer.finish()
    }

    #[test]
    fn a_leaf_reads_back_and_has_one_spelling() {
        let good = page(&sample());
        assert_eq!(decode_leaf(&good), Ok(sample()));
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(items) = decode_leaf(&damaged) {
                assert_eq!(page(&items), damaged, "bit {bit}: a second spelling");
            }
        }
        for len in 0..good.len() {
            assert!(decode_leaf(&good[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn an_inner_page_reads_back() {
        let first = TreePath::default();
        let children = vec![ScanChild {
            first,
            entries: 3,
            page: ChunkId([1; 32]),
        }];
        assert_eq!(decode_inner(&encode_inner(1, &children)), Ok((1, children)));
    }
}
