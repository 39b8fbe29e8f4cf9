//! What a tree does not say of itself: how many names its files have, and whether any entry has
//! attributes. An entry that is another name says whose, and no entry says how often it is named.
//!
//! So all of the tree is looked through, once, when it is first asked for. Who sees a count of 1 takes
//! the file for the only name of its content and stores it again for the next.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::Result;
use crate::format::entry::Node;
use crate::repository::index::is_missing_or_damaged;
use crate::serve::folder::{FolderView, Lost};

/// Most files of several names that are counted, 16 bytes each.
const LINKED_FILES_MAX: usize = 8 << 20;

/// What was found out about one tree.
#[derive(Default)]
pub(super) struct Survey(Mutex<Option<Found>>);

struct Found {
    links: Links,
    has_xattrs: bool,
}

/// The names of all files.
enum Links {
    /// By number, those that have several.
    Counted(HashMap<u64, u32>),
    /// Too many to be counted: any file may have several.
    TooMany,
}

impl Survey {
    /// Makes it, if it was not. Who asks meanwhile waits.
    pub(super) fn make(&self, view: &FolderView) -> Result<()> {
        self.found(view, |_| ())
    }

    /// Names of the file `number`.
    pub(super) fn links(&self, view: &FolderView, number: u64) -> Result<u32> {
        self.found(view, |found| found.links.of(number))
    }

    /// Names of the file `number`, if that is known.
    pub(super) fn known_links(&self, number: u64) -> Option<u32> {
        Some(self.0.try_lock()?.as_ref()?.links.of(number))
    }

    /// True if it is known that no entry has attributes.
    pub(super) fn is_without_xattrs(&self) -> bool {
        let known = self.0.try_lock();
        known.is_some_and(|known| known.as_ref().is_some_and(|found| !found.has_xattrs))
    }

    fn found<T>(&self, view: &FolderView, of: impl FnOnce(&Found) -> T) -> Result<T> {
        let mut known = self.0.lock();
        if let Some(found) = &*known {
            return Ok(of(found));
        }
        Ok(of(known.insert(walk(view)?)))
    }
}

impl Links {
    fn of(&self, number: u64) -> u32 {
        match self {
            Self::Counted(counts) => counts.get(&number).copied().unwrap_or(1),
            Self::TooMany => 2,
        }
    }

    fn add(&mut self, leader: u64) {
        let Self::Counted(counts) = self else { return };
        *counts.entry(leader).or_insert(1) += 1;
        if counts.len() > LINKED_FILES_MAX {
            *self = Self::TooMany;
        }
    }
}

/// Looks through all of the tree. Names in pages that are lost are names no more; their entries may
/// have had attributes.
fn walk(view: &FolderView) -> Result<Found> {
    let mut found = Found {
        links: Links::Counted(HashMap::new()),
        has_xattrs: false,
    };
    let mut number = 0;
    while number < view.entries() {
        let page = match view.leaf_of(number) {
            Ok(page) => page,
            Err(Lost { numbers, error }) if is_missing_or_damaged(&error) => {
                found.has_xattrs = true;
                number = numbers.end.max(number + 1);
                continue;
            }
            Err(Lost { error, .. }) => return Err(error),
        };
        for item in &page.leaf.items {
            found.has_xattrs |= !item.entry.metadata.xattrs.is_empty();
            let Node::HardLink(leader) = &item.entry.node else {
                continue;
            };
            if let Ok(Some((leader, _))) = view.find(leader) {
                found.links.add(leader);
            }
        }
        number = page.start + page.leaf.items.len() as u64;
    }
    Ok(found)
}
