//! Pages of cuts (FORMAT.md section 10.4): where chunks of a volume were made to end.

use crate::reference::bytes::Reader;
use crate::reference::fault::Result;
use crate::reference::pages;
use crate::reference::pages::Page;
use crate::reference::pages::extents::FILE_MAX;

/// A child of an inner page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The first cut below.
    pub first: u64,
    /// Number of cuts below.
    pub count: u64,
    /// The page.
    pub page: [u8; 32],
}

/// Reads a page.
pub fn decode_cuts_page(bytes: &[u8]) -> Result<Page<u64, Child>> {
    let mut reader = Reader::new("cuts page", bytes);
    let (level, count) = pages::read_page_header(&mut reader, 4)?;
    if level > 0 {
        let children = pages::read_children(&mut reader, count, read_child)?;
        let firsts = [0]
            .into_iter()
            .chain(children.iter().map(|child| child.first));
        let ascends = firsts
            .collect::<Vec<_>>()
            .windows(2)
            .all(|two| two[0] < two[1]);
        reader.require(ascends, "children do not ascend")?;
        return Ok(Page::Inner(level, children));
    }
    reader.require(count > 0, "a leaf has no cuts")?;
    let mut cuts = Vec::new();
    let mut cut = 0_u64;
    for _ in 0..count {
        let step = reader.varint()?;
        reader.require(step > 0, "cuts do not ascend")?;
        cut = cut.saturating_add(step);
        reader.limit(cut, FILE_MAX, "a cut")?;
        cuts.push(cut);
    }
    reader.finish()?;
    Ok(Page::Leaf(cuts))
}

fn read_child(reader: &mut Reader<'_>) -> Result<Child> {
    let (first, count) = (reader.varint()?, reader.varint()?);
    reader.require(count > 0, "a child has no cuts")?;
    reader.limit(first, FILE_MAX, "a cut")?;
    reader.limit(count, FILE_MAX, "the number of cuts")?;
    Ok(Child {
        first,
        count,
        page: reader.array()?,
    })
}
