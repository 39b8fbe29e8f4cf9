//! Entries in groups, one for each folder: what the pages of trees and scans share. §10.1.
//!
//! ```text
//! group := folder:bytes entry_count:varint entry*     an entry begins with its name
//! ```
//! Folders ascend within a page, names within a group. Deliberately absent: what else an entry
//! holds.

use std::sync::Arc;

use crate::format::cursor::{Cursor, put_bytes, put_varint};
use crate::format::entry::{FolderPath, TreePath, is_valid_name};
use crate::format::page::PageHead;
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::{NAME_LEN_LIMIT, PATH_DEPTH_LIMIT, PATH_LEN_LIMIT};

/// Collects the entries of one leaf.
#[derive(Debug, Default)]
pub(super) struct GroupWriter {
    groups: Vec<u8>,
    folder: FolderPath,
    group: Vec<u8>,
    group_count: u64,
    count: usize,
    entries_len: usize,
}

impl GroupWriter {
    /// Appends the entry that `encode` spells, which must come after all before it.
    pub(super) fn push(&mut self, folder: &FolderPath, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.group_count == 0 || self.folder != *folder {
            self.end_group();
            self.folder.clone_from(folder);
            self.entries_len += folder.0.len();
        }
        let before = self.group.len();
        encode(&mut self.group);
        self.entries_len += self.group.len() - before;
        self.group_count += 1;
        self.count += 1;
    }

    /// Entries so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of entries so far, and of the paths of their folders.
    pub(super) fn entries_len(&self) -> usize {
        self.entries_len
    }

    /// All groups; nothing is pushed afterwards.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.end_group();
        &self.groups
    }

    /// Forgets all entries, and keeps the memory that they took for the next page.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.group.clear();
        self.folder.0.clear();
        (self.group_count, self.count, self.entries_len) = (0, 0, 0);
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

/// Reads the groups of a leaf, to the end of the page. `decode` reads an entry behind its name,
/// which `name_of` finds again; no entry with a name is shorter than `entry_len_min` bytes.
pub(super) fn decode_groups<T>(
    head: &PageHead,
    cursor: &mut Cursor<'_>,
    entry_len_min: usize,
    name_of: fn(&T) -> &[u8],
    mut decode: impl FnMut(&mut Cursor<'_>, &Arc<FolderPath>, Vec<u8>) -> Decoded<T>,
) -> Decoded<Vec<T>> {
    let mut items = Vec::with_capacity(head.count.min(cursor.rest().len() / entry_len_min));
    let mut last_folder: Option<Arc<FolderPath>> = None;
    while !cursor.rest().is_empty() {
        let folder = Arc::new(decode_folder(cursor)?);
        let ascends = last_folder.is_none_or(|last| last < folder);
        ensure(ascends, "folders do not ascend")?;
        let count = cursor.varint()?;
        head.check_more(items.len(), count)?;
        ensure(count > 0, "folder without entries")?;
        for index in 0..count {
            let name = decode_name(cursor, &folder)?;
            let last = items.last().filter(|_| index > 0);
            let ascends = last.is_none_or(|last| name_of(last) < name.as_slice());
            ensure(ascends, "names do not ascend")?;
            items.push(decode(cursor, &folder, name)?);
        }
        last_folder = Some(folder);
    }
    head.check_count(items.len())?;
    Ok(items)
}

/// Appends a folder and a name in it.
pub(super) fn encode_path(out: &mut Vec<u8>, path: &TreePath) {
    put_bytes(out, &path.folder.0);
    put_bytes(out, &path.name);
}

/// Reads a folder and a name in it; both are valid, or empty for the root of the tree.
pub(super) fn decode_path(cursor: &mut Cursor<'_>) -> Decoded<TreePath> {
    let folder = decode_folder(cursor)?;
    let name = decode_name(cursor, &folder)?;
    Ok(TreePath { folder, name })
}

fn decode_folder(cursor: &mut Cursor<'_>) -> Decoded<FolderPath> {
    let bytes = cursor.bytes(PATH_LEN_LIMIT, "path of a folder")?;
    if bytes.is_empty() {
        return Ok(FolderPath::root());
    }
    let names = bytes.split(|&byte| byte == 0);
    if names.clone().count() > PATH_DEPTH_LIMIT {
        return Err(DecodeError::LimitExceeded("depth of a folder"));
    }
    for name in names {
        check_name(name)?;
    }
    Ok(FolderPath(bytes.to_vec()))
}

/// Reads a name in `folder`: valid, or empty for the root of the tree.
fn decode_name(cursor: &mut Cursor<'_>, folder: &FolderPath) -> Decoded<Vec<u8>> {
    let name = cursor.bytes(NAME_LEN_LIMIT, "name")?;
    let root = name.is_empty() && folder.0.is_empty();
    if !root {
        check_name(name)?;
    }
    Ok(name.to_vec())
}

fn check_name(name: &[u8]) -> Decoded<()> {
    if name.len() > NAME_LEN_LIMIT {
        return Err(DecodeError::LimitExceeded("name"));
    }
    ensure(is_valid_name(name), "invalid name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::page::PageType;

    fn written(paths: &[(&str, &str)]) -> GroupWriter {
        let mut writer = GroupWriter::default();
        for (folder, name) in paths {
            let folder = FolderPath(folder.as_bytes().to_vec());
            writer.push(&folder, |out| put_bytes(out, name.as_bytes()));
        }
        writer
    }

    /// Entries that are their names alone, read by a page that says to have `count`.
    fn read(groups: &[u8], count: usize) -> Decoded<Vec<(String, Vec<u8>)>> {
        let head = PageHead {
            page_type: PageType::Scan,
            level: 0,
            count,
        };
        let decode = |_: &mut Cursor<'_>, folder: &Arc<FolderPath>, name| {
            Ok((String::from_utf8_lossy(&folder.0).into_owned(), name))
        };
        decode_groups(&head, &mut Cursor::new(groups), 1, |item| &item.1, decode)
    }

    #[test]
    fn entries_read_back_by_folder_and_names_begin_anew_in_each() {
        let paths = [("", ""), ("", "b"), ("b", "a"), ("b", "z"), ("b\0z", "a")];
        let mut writer = written(&paths);
        assert_eq!((writer.count(), writer.entries_len()), (5, 9 + 4));
        let items = paths.map(|(folder, name)| (folder.to_owned(), name.as_bytes().to_vec()));
        assert_eq!(read(writer.finish(), 5), Ok(items.to_vec()));
    }

    #[test]
    fn a_writer_that_was_cleared_is_as_good_as_new() {
        let mut writer = written(&[("a", "b"), ("c", "d")]);
        writer.finish();
        writer.clear();
        assert_eq!((writer.count(), writer.entries_len()), (0, 0));
        writer.push(&FolderPath(b"c".to_vec()), |out| put_bytes(out, b"e"));
        let item = ("c".to_owned(), b"e".to_vec());
        assert_eq!(writer.entries_len(), 3);
        assert_eq!(read(writer.finish(), 1), Ok(vec![item]));
    }

    #[test]
    fn folders_and_names_that_do_not_ascend_are_refused() {
        for (paths, refusal) in [
            ([("", "b"), ("", "a")], "names do not ascend"),
            ([("", "a"), ("", "a")], "names do not ascend"),
            ([("b", "a"), ("a", "b")], "folders do not ascend"),
        ] {
            let refused = read(written(&paths).finish(), 2);
            assert_eq!(refused, Err(DecodeError::Malformed(refusal)), "{paths:?}");
        }
        let refused = read(b"\x01a\x01\x01x\x01a\x01\x01y", 2);
        assert_eq!(
            refused,
            Err(DecodeError::Malformed("folders do not ascend"))
        );
    }

    #[test]
    fn groups_hold_what_the_page_says_and_none_is_empty() {
        let mut writer = written(&[("", "a"), ("", "b")]);
        assert_eq!(read(writer.finish(), 3), Err(DecodeError::Truncated));
        let many = DecodeError::Malformed("more entries than the page says");
        assert_eq!(read(writer.finish(), 1), Err(many));
        // Refused by its number, before entries that are not there are looked for.
        assert_eq!(read(b"\x00\x7f\x01a", 1), Err(many));
        let empty = DecodeError::Malformed("folder without entries");
        assert_eq!(read(b"\x01a\x00", 1), Err(empty));
    }

    #[test]
    fn only_the_root_has_no_name_and_no_name_leads_elsewhere() {
        for path in [
            ("a", ""),
            ("", ".."),
            ("a\0..", "b"),
            ("a\0", "b"),
            ("", "a/b"),
        ] {
            let refused = read(written(&[path]).finish(), 1);
            assert_eq!(
                refused,
                Err(DecodeError::Malformed("invalid name")),
                "{path:?}"
            );
        }
    }
}
