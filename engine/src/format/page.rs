//! What all pages of manifests share: the head, and the rule for where a page ends. §10.

use crate::format::cursor::{Cursor, put_varint};
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::{
    PAGE_ENTRIES_LIMIT, PAGE_LEN_LIMIT, PAGE_LEN_MAX, PAGE_LEN_MIN, PAGE_LEVEL_LIMIT,
};

/// Entries of most pages are about as long: an id and a few numbers.
const ENTRY_LEN_GUESS: usize = 40;

/// What a page is a node of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageType {
    /// Names and what they are.
    Tree = 1,
    /// What tells a changed file from an unchanged one.
    Scan = 2,
    /// Runs of bytes.
    Extents = 3,
    /// Forced ends of chunks in a volume.
    Cuts = 4,
}

/// Head of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHead {
    /// What it is a node of.
    pub page_type: PageType,
    /// 0 for a leaf.
    pub level: u8,
    /// Entries of a leaf, children of an inner page.
    pub count: usize,
}

impl PageHead {
    /// Reads the head; the cursor is at the body afterwards. `count` is at most the bytes left.
    pub fn decode<'a>(page: &'a [u8]) -> Decoded<(Self, Cursor<'a>)> {
        if page.len() > PAGE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("page"));
        }
        let mut cursor = Cursor::new(page);
        let page_type = match cursor.u8()? {
            1 => PageType::Tree,
            2 => PageType::Scan,
            3 => PageType::Extents,
            4 => PageType::Cuts,
            _ => return Err(DecodeError::Malformed("unknown type of page")),
        };
        let level = cursor.u8()?;
        if level > PAGE_LEVEL_LIMIT {
            return Err(DecodeError::LimitExceeded("level of a page"));
        }
        let count = usize::try_from(cursor.varint()?).unwrap_or(usize::MAX);
        if count > PAGE_ENTRIES_LIMIT {
            return Err(DecodeError::LimitExceeded("entries of a page"));
        }
        if count > cursor.rest().len() {
            return Err(DecodeError::Truncated);
        }
        Ok((
            Self {
                page_type,
                level,
                count,
            },
            cursor,
        ))
    }

    /// Reads the head of a page that must be a leaf (level 0) or an inner page of `page_type`.
    pub fn decode_as<'a>(
        page: &'a [u8],
        page_type: PageType,
        leaf: bool,
    ) -> Decoded<(Self, Cursor<'a>)> {
        let (head, cursor) = Self::decode(page)?;
        ensure(head.page_type == page_type, "page of another type")?;
        ensure((head.level == 0) == leaf, "page of another level")?;
        let may_be_empty = leaf && page_type == PageType::Extents;
        ensure(may_be_empty || head.count > 0, "page without entries")?;
        Ok((head, cursor))
    }

    /// Checks, while a leaf is read, that it does not hold more entries than its head says.
    pub fn check_more(&self, found: usize, more: u64) -> Decoded<()> {
        let left = self.count.saturating_sub(found) as u64;
        ensure(more <= left, "more entries than the page says")
    }

    /// Checks that a leaf holds as many entries as its head says.
    pub fn check_count(&self, found: usize) -> Decoded<()> {
        if found < self.count {
            return Err(DecodeError::Truncated);
        }
        ensure(found == self.count, "more entries than the page says")
    }

    /// A page of these entries, each appended by `encode`.
    pub fn encode_all<T>(
        page_type: PageType,
        level: u8,
        entries: &[T],
        encode: impl Fn(&mut Vec<u8>, &T),
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(entries.len() * ENTRY_LEN_GUESS);
        entries.iter().for_each(|entry| encode(&mut body, entry));
        let count = entries.len();
        Self {
            page_type,
            level,
            count,
        }
        .encode(&body)
    }

    /// A page of this head and `body`.
    pub fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut page = Vec::with_capacity(body.len() + 8);
        page.extend_from_slice(&[self.page_type as u8, self.level]);
        put_varint(&mut page, self.count as u64);
        page.extend_from_slice(body);
        page
    }
}

/// True if a page ends after an entry with this mark, where the page now holds `entries_len`
/// bytes of entries and one in `mean` entries may end it. The mark is asked for where it counts.
pub fn ends_page(entries_len: usize, mark: impl FnOnce() -> u32, mean: u32) -> bool {
    entries_len >= PAGE_LEN_MAX || (entries_len >= PAGE_LEN_MIN && mark().is_multiple_of(mean))
}

/// The first four bytes of a hash, as the mark of what it names.
pub fn mark_of(hash: &[u8; 32]) -> u32 {
    let [a, b, c, d, ..] = *hash;
    u32::from_le_bytes([a, b, c, d])
}
