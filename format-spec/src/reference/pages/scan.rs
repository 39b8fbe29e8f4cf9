//! Pages of scans (FORMAT.md section 10.2). Read for the vectors only: nothing is lost without them.

use crate::reference::bytes::Reader;
use crate::reference::fault::Result;
use crate::reference::pages;
use crate::reference::pages::Page;
use crate::reference::pages::Place;

/// What an entry looked like when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanEntry {
    /// Folder and name.
    pub place: Place,
    /// Change time, seconds.
    pub ctime_s: i64,
    /// Change time, nanoseconds.
    pub ctime_ns: u32,
    /// Of the source file system.
    pub inode: u64,
    /// Read it again next time.
    pub racy: bool,
}

/// A child of an inner page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanChild {
    /// Of the first entry below.
    pub place: Place,
    /// Sum of all below.
    pub entries: u64,
    /// The page.
    pub page: [u8; 32],
}

/// Reads a page.
pub fn decode_scan_page(bytes: &[u8]) -> Result<Page<ScanEntry, ScanChild>> {
    let mut reader = Reader::new("scan page", bytes);
    let (level, count) = pages::read_page_header(&mut reader, 2)?;
    if level == 0 {
        return Ok(Page::Leaf(pages::read_groups(
            &mut reader,
            count,
            read_entry,
        )?));
    }
    let children = pages::read_children(&mut reader, count, read_child)?;
    pages::ascend(&reader, &children, |child| &child.place)?;
    Ok(Page::Inner(level, children))
}

fn read_entry(reader: &mut Reader<'_>, place: Place) -> Result<ScanEntry> {
    let ctime_s = reader.zigzag()?;
    let ctime_ns = pages::read_nanoseconds(reader)?;
    let inode = reader.varint()?;
    let flags = reader.u8()?;
    reader.require(flags <= 1, "a reserved flag")?;
    Ok(ScanEntry {
        place,
        ctime_s,
        ctime_ns,
        inode,
        racy: flags == 1,
    })
}

fn read_child(reader: &mut Reader<'_>) -> Result<ScanChild> {
    let place = pages::read_place(reader)?;
    let entries = reader.varint()?;
    reader.require(entries > 0, "a child has no entries")?;
    Ok(ScanChild {
        place,
        entries,
        page: reader.array()?,
    })
}
