//! What a tree does not say of itself: how many names its files have, and whether any entry has
//! attributes. An entry that is another name says whose, and no entry says how often it is named.
//!
//! So all of the tree is looked through, once, when it is first asked for. Who sees a count of 1 takes
//! the file for the only name of its content and stores it again for the next.

use std::collections::HashMap;
use std::sync::OnceLock;

use parking_lot::Mutex;

use crate::error::Result;
use crate::format::entry::Node;
use crate::format::tree::TreeItem;
use crate::repository::index::is_missing_or_damaged;
use crate::serve::folder::{FolderView, Lost};

/// Most files of several names that are counted, at most 51 bytes each.
const LINKED_FILES_MAX: usize = 2 << 20;

/// What was found out about one tree.
#[derive(Default)]
pub(super) struct Survey {
    facts: OnceLock<Facts>,
    /// Held by who finds out.
    making: Mutex<()>,
}

struct Facts {
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
    /// Makes it, if it was not, and for as long as `goes_on`. Who asks meanwhile waits.
    pub(super) fn make(&self, view: &FolderView, goes_on: &dyn Fn() -> bool) -> Result<()> {
        let _making = self.making.lock();
        if self.facts.get().is_none()
            && let Some(facts) = walk(view, goes_on)?
        {
            let _ = self.facts.set(facts);
        }
        Ok(())
    }

    /// Names of the file `number`.
    pub(super) fn links(&self, view: &FolderView, number: u64) -> Result<u32> {
        if self.facts.get().is_none() {
            self.make(view, &|| true)?;
        }
        Ok(self.known_links(number).unwrap_or(1))
    }

    /// Names of the file `number`, if that is known.
    pub(super) fn known_links(&self, number: u64) -> Option<u32> {
        Some(self.facts.get()?.links.of(number))
    }

    /// True if it is known that no entry has attributes.
    pub(super) fn is_without_xattrs(&self) -> bool {
        self.facts.get().is_some_and(|facts| !facts.has_xattrs)
    }
}

impl Facts {
    fn add(&mut self, view: &FolderView, item: &TreeItem) -> Result<()> {
        self.has_xattrs |= !item.entry.metadata.xattrs.is_empty();
        let (Node::HardLink(leader), Links::Counted(counts)) = (&item.entry.node, &mut self.links)
        else {
            return Ok(());
        };
        match view.find(leader) {
            Ok(Some((leader, _))) => *counts.entry(leader).or_insert(1) += 1,
            Err(error) if !is_missing_or_damaged(&error) => return Err(error),
            // A name of nothing.
            Ok(None) | Err(_) => {}
        }
        if counts.len() > LINKED_FILES_MAX {
            self.links = Links::TooMany;
        }
        Ok(())
    }
}

impl Links {
    fn of(&self, number: u64) -> u32 {
        match self {
            Self::Counted(counts) => counts.get(&number).copied().unwrap_or(1),
            Self::TooMany => 2,
        }
    }
}

/// Looks through all of the tree; gives nothing if it was to end before. Names in pages that are lost
/// are names no more; their entries may have had attributes.
fn walk(view: &FolderView, goes_on: &dyn Fn() -> bool) -> Result<Option<Facts>> {
    let mut facts = Facts {
        links: Links::Counted(HashMap::new()),
        has_xattrs: false,
    };
    let mut number = 0;
    while number < view.entries() {
        if !goes_on() {
            return Ok(None);
        }
        let page = match view.leaf_of(number) {
            Ok(page) => page,
            Err(Lost { numbers, error }) if is_missing_or_damaged(&error) => {
                facts.has_xattrs = true;
                number = numbers.end.max(number + 1);
                continue;
            }
            Err(Lost { error, .. }) => return Err(error),
        };
        for item in &page.leaf.items {
            facts.add(view, item)?;
        }
        number = page.start + page.leaf.items.len() as u64;
    }
    Ok(Some(facts))
}
