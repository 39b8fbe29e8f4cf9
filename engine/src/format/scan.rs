//! Pages of a scan: what tells a changed entry from an unchanged one next time. §10.2.

use std::sync::Arc;

use crate::format::cursor::{put_bytes, put_varint, put_zigzag};
use crate::format::entry::{FolderPath, Timestamp, TreePath};
use crate::format::id::{ChunkId, PageId};
use crate::format::page::{PageHead, PageType};
use crate::format::tree::{decode_folder, decode_name, decode_timestamp};
use crate::format::{Decoded, ensure};

const FLAG_RACY: u8 = 1;

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
    groups: Vec<u8>,
    folder: FolderPath,
    group: Vec<u8>,
    group_count: u64,
    count: usize,
    entries_len: usize,
}

impl ScanLeafWriter {
    /// Appends an entry, which must come after all before it.
    pub fn push(&mut self, folder: &FolderPath, name: &[u8], seen: &Seen) {
        if self.group_count == 0 || self.folder != *folder {
            self.end_group();
            self.folder.clone_from(folder);
            self.entries_len += folder.0.len();
        }
        let before = self.group.len();
        put_bytes(&mut self.group, name);
        put_zigzag(&mut self.group, seen.ctime.seconds);
        put_varint(&mut self.group, seen.ctime.nanoseconds.into());
        put_varint(&mut self.group, seen.inode);
        self.group.push(if seen.racy { FLAG_RACY } else { 0 });
        self.entries_len += self.group.len() - before;
        self.group_count += 1;
        self.count += 1;
    }

    /// Bytes of entries so far, and of the paths of their folders.
    pub fn entries_len(&self) -> usize {
        self.entries_len
    }

    /// True before the first entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The page; the writer is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        self.end_group();
        let head = PageHead {
            page_type: PageType::Scan,
            level: 0,
            count: self.count,
        };
        let page = head.encode(&self.groups);
        *self = Self::default();
        page
    }

    fn end_group(&mut self) {
        if self.group_count > 0 {
            put_bytes(&mut self.groups, &self.folder.0);
            put_varint(&mut self.groups, self.group_count);
            self.groups.append(&mut self.group);
            self.group_count = 0;
        }
    }
}

/// Reads a leaf.
pub fn decode_leaf(page: &[u8]) -> Decoded<Vec<ScanItem>> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Scan, true)?;
    let mut items: Vec<ScanItem> = Vec::with_capacity(head.count.min(page.len() / 6));
    while !cursor.rest().is_empty() {
        let folder = Arc::new(decode_folder(&mut cursor)?);
        ensure(
            items.last().is_none_or(|last| last.folder < folder),
            "folders do not ascend",
        )?;
        let count = cursor.varint()?;
        head.check_more(items.len(), count)?;
        ensure(count > 0, "folder without entries")?;
        for index in 0..count {
            let name = decode_name(&mut cursor, &folder)?;
            let last = items.last().filter(|_| index > 0);
            ensure(
                last.is_none_or(|last| last.name < name),
                "names do not ascend",
            )?;
            let (ctime, inode) = (decode_timestamp(&mut cursor)?, cursor.varint()?);
            let flags = cursor.u8()?;
            ensure(flags & !FLAG_RACY == 0, "unknown flag of a scan entry")?;
            let seen = Seen {
                ctime,
                inode,
                racy: flags & FLAG_RACY != 0,
            };
            items.push(ScanItem {
                folder: Arc::clone(&folder),
                name,
                seen,
            });
        }
    }
    head.check_count(items.len())?;
    Ok(items)
}

/// An inner page of `children`.
pub fn encode_inner(level: u8, children: &[ScanChild]) -> Vec<u8> {
    PageHead::encode_all(PageType::Scan, level, children, encode_child)
}

/// Appends one child.
pub fn encode_child(out: &mut Vec<u8>, child: &ScanChild) {
    put_bytes(out, &child.first.folder.0);
    put_bytes(out, &child.first.name);
    put_varint(out, child.entries);
    out.extend_from_slice(child.page.as_bytes());
}

/// Reads an inner page: its level and children.
pub fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<ScanChild>)> {
    let (head, mut cursor) = PageHead::decode_as(page, PageType::Scan, false)?;
    let mut children: Vec<ScanChild> = Vec::new();
    for _ in 0..head.count {
        let folder = decode_folder(&mut cursor)?;
        let name = decode_name(&mut cursor, &folder)?;
        let first = TreePath { folder, name };
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
