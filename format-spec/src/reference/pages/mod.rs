//! Pages of manifests (FORMAT.md section 10): what one page can be checked for alone.
//!
//! What needs several pages (order across pages, parents, leaders, sums) is in `walk`.

pub mod cuts;
pub mod extents;
pub mod scan;
pub mod tree;

use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Result;

/// Highest level of a page.
pub const LEVEL_MAX: u8 = 40;
/// Longest page.
pub(crate) const PAGE_MAX: u64 = 4 << 20;
/// Most entries or children of one page.
const ENTRIES_MAX: u64 = 65_536;
/// Longest name.
pub(crate) const NAME_MAX: u64 = 255;
/// Longest folder path.
const FOLDER_MAX: u64 = 65_536;
/// Most names in a folder path.
const DEPTH_MAX: u64 = 4096;

/// A page of leaves `L` or inner children `C`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page<L, C> {
    /// Level 0.
    Leaf(Vec<L>),
    /// A level above 0, and its children.
    Inner(u8, Vec<C>),
}

/// Where an entry is in a tree: folder, its names joined by zero bytes, and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Path of the folder.
    pub folder: Vec<u8>,
    /// One name, empty for the root alone.
    pub name: Vec<u8>,
}

impl Place {
    /// The place of the root.
    pub fn root() -> Place {
        Place {
            folder: Vec::new(),
            name: Vec::new(),
        }
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.name.is_empty()
    }

    /// What `folder` is for the children of this entry.
    pub fn path(&self) -> Vec<u8> {
        if self.folder.is_empty() {
            return self.name.clone();
        }
        [&self.folder[..], &[0], &self.name[..]].concat()
    }
}

/// Reads type, level and count.
fn read_page_header(reader: &mut Reader<'_>, page_type: u8) -> Result<(u8, u64)> {
    reader.limit(reader.left() as u64, PAGE_MAX, "the length of a page")?;
    let found = reader.u8()?;
    reader.require(found == page_type, "not a page of this type")?;
    let level = reader.u8()?;
    reader.limit(
        u64::from(level),
        u64::from(LEVEL_MAX),
        "the level of a page",
    )?;
    let count = reader.varint()?;
    reader.limit(count, ENTRIES_MAX, "the number of entries of a page")?;
    Ok((level, count))
}

/// Reads the children of an inner page: at least one.
fn read_children<T>(
    reader: &mut Reader<'_>,
    count: u64,
    child: impl Fn(&mut Reader<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    reader.require(count > 0, "an inner page has no children")?;
    let mut children = Vec::new();
    for _ in 0..count {
        children.push(child(reader)?);
    }
    reader.finish()?;
    Ok(children)
}

/// Reads groups until they hold `count` entries; `entry` gets the folder, and returns the entry and its name.
fn read_groups<'a, T>(
    reader: &mut Reader<'a>,
    count: u64,
    mut entry: impl FnMut(&mut Reader<'a>, Place) -> Result<T>,
) -> Result<Vec<T>> {
    reader.require(count > 0, "a leaf has no entries")?;
    let mut entries = Vec::new();
    let mut before: Option<Vec<u8>> = None;
    while (entries.len() as u64) < count {
        let folder = read_folder(reader)?;
        let ascends = before.as_ref().is_none_or(|before| *before < folder);
        reader.require(ascends, "groups do not ascend")?;
        let group_count = reader.varint()?;
        reader.require(group_count > 0, "a group has no entries")?;
        let left = count - entries.len() as u64;
        reader.require(
            group_count <= left,
            "groups hold more entries than the page",
        )?;
        read_group(reader, group_count, &folder, &mut entries, &mut entry)?;
        before = Some(folder);
    }
    reader.finish()?;
    Ok(entries)
}

fn read_group<'a, T>(
    reader: &mut Reader<'a>,
    count: u64,
    folder: &[u8],
    entries: &mut Vec<T>,
    entry: &mut impl FnMut(&mut Reader<'a>, Place) -> Result<T>,
) -> Result<()> {
    let mut before: Option<Vec<u8>> = None;
    for _ in 0..count {
        let may_be_root = entries.is_empty() && folder.is_empty();
        let name = read_name(reader, may_be_root)?;
        let ascends = before.as_ref().is_none_or(|before| *before < name);
        reader.require(ascends, "names do not ascend")?;
        before = Some(name.clone());
        entries.push(entry(
            reader,
            Place {
                folder: folder.to_vec(),
                name,
            },
        )?);
    }
    Ok(())
}

/// Reads folder and name of an entry of another place; the name may be empty for the root.
fn read_place(reader: &mut Reader<'_>) -> Result<Place> {
    let folder = read_folder(reader)?;
    let name = read_name(reader, folder.is_empty())?;
    Ok(Place { folder, name })
}

fn read_folder(reader: &mut Reader<'_>) -> Result<Vec<u8>> {
    let folder = reader.bytes(FOLDER_MAX, "the length of a folder path")?;
    if folder.is_empty() {
        return Ok(Vec::new());
    }
    let names = folder.split(|&byte| byte == 0);
    reader.limit(
        names.clone().count() as u64,
        DEPTH_MAX,
        "the depth of a folder",
    )?;
    for name in names {
        check_name(reader, name)?;
    }
    Ok(folder.to_vec())
}

fn read_name(reader: &mut Reader<'_>, may_be_empty: bool) -> Result<Vec<u8>> {
    let name = reader.bytes(NAME_MAX, "the length of a name")?;
    if !(may_be_empty && name.is_empty()) {
        check_name(reader, name)?;
    }
    Ok(name.to_vec())
}

fn check_name(reader: &Reader<'_>, name: &[u8]) -> Result<()> {
    reader.limit(name.len() as u64, NAME_MAX, "the length of a name")?;
    let has_forbidden = name.iter().any(|&byte| byte == 0 || byte == b'/');
    let fine = !name.is_empty() && !has_forbidden && name != b"." && name != b"..";
    reader.require(
        fine,
        "a name is empty, has a zero or a slash, or is . or ..",
    )
}

fn read_nanoseconds(reader: &mut Reader<'_>) -> Result<u32> {
    let value = reader.varint()?;
    match u32::try_from(value) {
        Ok(small) if value < 1_000_000_000 => Ok(small),
        _ => Err(reader.fault(Fault::Malformed, "a whole second of nanoseconds")),
    }
}

fn ascend<T>(reader: &Reader<'_>, items: &[T], place: impl Fn(&T) -> &Place) -> Result<()> {
    let fine = items
        .windows(2)
        .all(|pair| place(&pair[0]) < place(&pair[1]));
    reader.require(fine, "children do not ascend")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_refused_by_its_length_before_it_is_read() {
        let page = vec![3; (PAGE_MAX + 1) as usize];
        let refused = extents::decode_extents_page(&page).expect_err("refused");
        assert_eq!(refused.fault, Fault::LimitExceeded);
    }

    #[test]
    fn the_path_of_an_entry_is_the_folder_of_its_children() {
        let place = |folder: &[u8], name: &[u8]| Place {
            folder: folder.into(),
            name: name.into(),
        };
        assert_eq!(Place::root().path(), b"");
        assert_eq!(place(b"", b"a").path(), b"a");
        assert_eq!(place(b"a", b"b").path(), b"a\0b");
        assert!(place(b"a", b"z") < place(b"a\0b", b"a"));
        assert!(place(b"a\0b", b"a") < place(b"a b", b"a"));
    }
}
