//! Pages of extents (FORMAT.md section 10.3), and the lists of extents that stand in entries of trees.

use crate::reference::bytes::Reader;
use crate::reference::fault::Result;
use crate::reference::pages;
use crate::reference::pages::Page;
use crate::reference::table::CHUNK_MAX;

/// Greatest length of a file.
pub(crate) const FILE_MAX: u64 = (1 << 62) - 1;

/// What an extent reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A stored chunk.
    Chunk([u8; 32]),
    /// Zeros, not allocated.
    Hole,
    /// Zeros, allocated.
    Zero,
    /// Zeros in the place of what could not be read from the source.
    Unreadable,
}

/// A run of a file or volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// At least 1.
    pub len: u64,
    /// What it reads as.
    pub content: Content,
}

/// A child of an inner page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Sum of all below.
    pub len: u64,
    /// Whether an unreadable extent lies below.
    pub unreadable: bool,
    /// The page.
    pub page: [u8; 32],
}

/// Reads a page.
pub fn decode_extents_page(bytes: &[u8]) -> Result<Page<Extent, Child>> {
    let mut reader = Reader::new("extents page", bytes);
    let (level, count) = pages::read_page_header(&mut reader, 3)?;
    if level > 0 {
        let children = pages::read_children(&mut reader, count, read_child)?;
        sum(&reader, children.iter().map(|child| child.len))?;
        return Ok(Page::Inner(level, children));
    }
    let mut extents = Vec::new();
    for _ in 0..count {
        extents.push(read_extent(&mut reader)?);
    }
    reader.finish()?;
    check_extents(&reader, &extents)?;
    Ok(Page::Leaf(extents))
}

fn read_child(reader: &mut Reader<'_>) -> Result<Child> {
    let len_flag = reader.varint()?;
    let len = len_flag >> 1;
    reader.require(len > 0, "a child is empty")?;
    Ok(Child {
        len,
        unreadable: len_flag & 1 == 1,
        page: reader.array()?,
    })
}

/// Reads one extent.
pub fn read_extent(reader: &mut Reader<'_>) -> Result<Extent> {
    let len_kind = reader.varint()?;
    let len = len_kind >> 2;
    reader.require(len > 0, "an extent is empty")?;
    let content = match len_kind & 3 {
        0 => {
            reader.limit(len, CHUNK_MAX, "the length of a chunk")?;
            Content::Chunk(reader.array()?)
        }
        1 => Content::Hole,
        2 => Content::Zero,
        _ => Content::Unreadable,
    };
    Ok(Extent { len, content })
}

/// Whether two extents may not be neighbours, because they would be one.
pub fn would_be_one(before: &Extent, after: &Extent) -> bool {
    !matches!(before.content, Content::Chunk(_)) && before.content == after.content
}

/// Checks neighbours and the sum of lengths, which it returns.
pub fn check_extents(reader: &Reader<'_>, extents: &[Extent]) -> Result<u64> {
    let split = extents
        .windows(2)
        .any(|pair| would_be_one(&pair[0], &pair[1]));
    reader.require(!split, "two neighbours that are one extent")?;
    sum(reader, extents.iter().map(|extent| extent.len))
}

fn sum(reader: &Reader<'_>, lens: impl Iterator<Item = u64>) -> Result<u64> {
    let total = lens.fold(0, u64::saturating_add);
    reader.limit(total, FILE_MAX, "the length of a file")?;
    Ok(total)
}
