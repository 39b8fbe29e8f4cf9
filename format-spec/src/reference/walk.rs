//! Walking whole manifests: what holds across pages (FORMAT.md section 10).
//!
//! Pages come from a function from id to verified bytes, so that a walk knows nothing of packs.

use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::pages::Page;
use crate::reference::pages::Place;
use crate::reference::pages::cuts;
use crate::reference::pages::extents;
use crate::reference::pages::extents::Content;
use crate::reference::pages::extents::Extent;
use crate::reference::pages::tree;
use crate::reference::pages::tree::FileContent;
use crate::reference::pages::tree::Kind;
use crate::reference::pages::tree::TreeChild;
use crate::reference::pages::tree::TreeEntry;
use std::collections::BTreeMap;

/// From the id of a page to its bytes, the id verified.
pub type Fetch<'a> = dyn FnMut(&[u8; 32]) -> Result<Vec<u8>> + 'a;

fn malformed(place: impl Into<String>, sentence: &str) -> Rejection {
    Rejection::new(Fault::Malformed, place, sentence)
}

/// Malformed unless a page is of the level that its address says, and a root of a higher level was needed.
fn check_level(found: u8, expected: u8, is_root: bool, children: usize) -> Result<()> {
    if found != expected {
        return Err(malformed("page", "another level than its parent says"));
    }
    if is_root && found > 0 && children == 1 {
        return Err(malformed("page", "a root of one child"));
    }
    Ok(())
}

/// All entries of a tree in order, everything that a page cannot know checked.
pub fn walk_tree(root: &[u8; 32], level: u8, fetch: &mut Fetch<'_>) -> Result<Vec<TreeEntry>> {
    let mut entries = Vec::new();
    visit_tree(root, level, true, fetch, &mut entries)?;
    check_tree(&entries)?;
    Ok(entries)
}

fn visit_tree(
    id: &[u8; 32],
    level: u8,
    is_root: bool,
    fetch: &mut Fetch<'_>,
    entries: &mut Vec<TreeEntry>,
) -> Result<()> {
    match tree::decode_tree_page(&fetch(id)?)? {
        Page::Leaf(leaf) => {
            check_level(0, level, is_root, 0)?;
            entries.extend(leaf);
        }
        Page::Inner(found, children) => {
            check_level(found, level, is_root, children.len())?;
            for child in children {
                let first = entries.len();
                visit_tree(&child.page, level - 1, false, fetch, entries)?;
                check_tree_child(&child, &entries[first..])?;
            }
        }
    }
    Ok(())
}

fn check_tree_child(child: &TreeChild, below: &[TreeEntry]) -> Result<()> {
    let fault = |sentence: &str| Err(malformed("tree child", sentence));
    if below.first().map(|entry| &entry.place) != Some(&child.place) {
        return fault("its place is not that of the first entry below");
    }
    if below.len() as u64 != child.entries {
        return fault("its number of entries is not that of all below");
    }
    if content_bytes(below) != child.bytes {
        return fault("its number of bytes is not the sum of all below");
    }
    Ok(())
}

/// The sum of the lengths of file contents.
pub fn content_bytes(entries: &[TreeEntry]) -> u64 {
    entries.iter().map(content_len).fold(0, u64::saturating_add)
}

/// The length of the content of one entry.
pub fn content_len(entry: &TreeEntry) -> u64 {
    match &entry.kind {
        Kind::File(FileContent::Short(extents)) => extents.iter().map(|extent| extent.len).sum(),
        Kind::File(FileContent::Long { len, .. }) => *len,
        _ => 0,
    }
}

fn check_tree(entries: &[TreeEntry]) -> Result<()> {
    if !entries.first().is_some_and(|entry| entry.place.is_root()) {
        return Err(malformed("tree", "the first entry is not the root"));
    }
    if !entries.is_sorted_by(|before, after| before.place < after.place) {
        return Err(malformed("tree", "entries do not ascend across pages"));
    }
    let mut by_place: BTreeMap<&Place, &TreeEntry> = BTreeMap::new();
    let mut folders: BTreeMap<Vec<u8>, &TreeEntry> = BTreeMap::new();
    for entry in entries {
        check_place(entry, &folders).and_then(|()| check_leader(entry, &by_place))?;
        if entry.kind == Kind::Folder {
            folders.insert(entry.place.path(), entry);
        }
        by_place.insert(&entry.place, entry);
    }
    Ok(())
}

fn check_place(entry: &TreeEntry, folders: &BTreeMap<Vec<u8>, &TreeEntry>) -> Result<()> {
    if entry.place.is_root() || folders.contains_key(&entry.place.folder) {
        return Ok(());
    }
    Err(malformed(
        show(&entry.place),
        "its parent is not an entry of kind folder",
    ))
}

fn check_leader(entry: &TreeEntry, earlier: &BTreeMap<&Place, &TreeEntry>) -> Result<()> {
    let Kind::HardLink(place) = &entry.kind else {
        return Ok(());
    };
    let fault = |sentence: &str| Err(malformed(show(&entry.place), sentence));
    let Some(leader) = earlier.get(place) else {
        return fault("its leader is not an entry");
    };
    if matches!(leader.kind, Kind::HardLink(_) | Kind::Folder) {
        return fault("its leader is a folder or a hard link");
    }
    let shared = |e: &TreeEntry| (e.mode, e.owner.clone(), e.mtime_s, e.mtime_ns);
    if shared(entry) != shared(leader) {
        return fault("it does not repeat mode, owner and times of its leader");
    }
    Ok(())
}

/// A place for people.
pub fn show(place: &Place) -> String {
    let path: Vec<u8> = place
        .path()
        .iter()
        .map(|&b| if b == 0 { b'/' } else { b })
        .collect();
    format!("/{}", String::from_utf8_lossy(&path))
}

/// All extents of a manifest in order.
pub fn walk_extents(root: &[u8; 32], level: u8, fetch: &mut Fetch<'_>) -> Result<Vec<Extent>> {
    let mut extents = Vec::new();
    visit_extents(root, level, true, fetch, &mut extents)?;
    extents::check_extents(&Reader::new("extents manifest", &[]), &extents)?;
    Ok(extents)
}

fn visit_extents(
    id: &[u8; 32],
    level: u8,
    is_root: bool,
    fetch: &mut Fetch<'_>,
    extents: &mut Vec<Extent>,
) -> Result<()> {
    match extents::decode_extents_page(&fetch(id)?)? {
        Page::Leaf(leaf) => {
            check_level(0, level, is_root, 0)?;
            if leaf.is_empty() && !is_root {
                return Err(malformed(
                    "extents page",
                    "an empty leaf below an inner page",
                ));
            }
            extents.extend(leaf);
        }
        Page::Inner(found, children) => {
            check_level(found, level, is_root, children.len())?;
            for child in children {
                let first = extents.len();
                visit_extents(&child.page, level - 1, false, fetch, extents)?;
                let below = extents[first..].iter().map(|extent| extent.len);
                if below.fold(0, u64::saturating_add) != child.len {
                    return Err(malformed(
                        "extents child",
                        "its len is not the sum of all below",
                    ));
                }
                let is_lost = |extent: &Extent| extent.content == Content::Unreadable;
                if extents[first..].iter().any(is_lost) != child.unreadable {
                    return Err(malformed(
                        "extents child",
                        "its flag is not that of an unreadable extent below",
                    ));
                }
            }
        }
    }
    Ok(())
}

/// All cuts of a volume in order.
pub fn walk_cuts(root: &[u8; 32], level: u8, fetch: &mut Fetch<'_>) -> Result<Vec<u64>> {
    let mut cuts = Vec::new();
    visit_cuts(root, level, true, fetch, &mut cuts)?;
    if !cuts.is_sorted_by(|before, after| before < after) {
        return Err(malformed("cuts", "they do not ascend across pages"));
    }
    Ok(cuts)
}

fn visit_cuts(
    id: &[u8; 32],
    level: u8,
    is_root: bool,
    fetch: &mut Fetch<'_>,
    found: &mut Vec<u64>,
) -> Result<()> {
    match cuts::decode_cuts_page(&fetch(id)?)? {
        Page::Leaf(leaf) => {
            check_level(0, level, is_root, 0)?;
            found.extend(leaf);
        }
        Page::Inner(found_level, children) => {
            check_level(found_level, level, is_root, children.len())?;
            for child in children {
                let before = found.len();
                visit_cuts(&child.page, level - 1, false, fetch, found)?;
                let below = &found[before..];
                if below.first() != Some(&child.first) || below.len() as u64 != child.count {
                    let sentence = "its first cut or their number is not that of all below";
                    return Err(malformed("cuts child", sentence));
                }
            }
        }
    }
    Ok(())
}

/// The extents of the content of a file.
pub fn file_extents(content: &FileContent, fetch: &mut Fetch<'_>) -> Result<Vec<Extent>> {
    match content {
        FileContent::Empty => Ok(Vec::new()),
        FileContent::Short(extents) => Ok(extents.clone()),
        FileContent::Long { len, page, level } => {
            let extents = walk_extents(page, *level, fetch)?;
            if extents.len() <= tree::SHORT_MAX {
                return Err(malformed("long content", "16 extents or fewer"));
            }
            if extents.iter().map(|extent| extent.len).sum::<u64>() != *len {
                return Err(malformed(
                    "long content",
                    "its len is not that of its manifest",
                ));
            }
            Ok(extents)
        }
    }
}
