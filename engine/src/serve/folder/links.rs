//! How many names files have. Trees do not say: an entry that is another name says whose, and no
//! entry says how often it is named.
//!
//! So they are counted in one walk over the tree, once, when it is first asked for. Who sees a count
//! of 1 takes the file for the only name of its content and stores it again for the next.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::Result;
use crate::format::entry::Node;
use crate::repository::index::is_missing_or_damaged;
use crate::serve::folder::{FolderView, Lost};

/// Most files of several names that are counted, 16 bytes each.
const LINKED_FILES_MAX: usize = 8 << 20;

/// The names of all files of one tree.
#[derive(Default)]
pub(super) struct Links(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Unknown,
    /// By number, those that have several.
    Counted(HashMap<u64, u32>),
    /// Too many to be counted: any file may have several.
    TooMany,
}

impl Links {
    /// Names of the file `number`, if that is known without a walk.
    pub(super) fn known(&self, number: u64) -> Option<u32> {
        self.0.try_lock()?.of(number)
    }

    /// Names of the file `number`. Who asks while they are counted waits.
    pub(super) fn count(&self, view: &FolderView, number: u64) -> Result<u32> {
        let mut state = self.0.lock();
        if let State::Unknown = *state {
            *state = walk(view)?;
        }
        Ok(state.of(number).unwrap_or(1))
    }
}

impl State {
    fn of(&self, number: u64) -> Option<u32> {
        match self {
            Self::Unknown => None,
            Self::Counted(counts) => Some(counts.get(&number).copied().unwrap_or(1)),
            Self::TooMany => Some(2),
        }
    }
}

/// Counts. Names in pages that are lost are names no more.
fn walk(view: &FolderView) -> Result<State> {
    let mut counts = HashMap::new();
    let mut number = 0;
    while number < view.entries() {
        let found = match view.leaf_of(number) {
            Ok(found) => found,
            Err(Lost { numbers, error }) if is_missing_or_damaged(&error) => {
                number = numbers.end.max(number + 1);
                continue;
            }
            Err(Lost { error, .. }) => return Err(error),
        };
        for item in &found.leaf.items {
            let Node::HardLink(leader) = &item.entry.node else {
                continue;
            };
            if let Ok(Some((leader, _))) = view.find(leader) {
                *counts.entry(leader).or_insert(1) += 1;
            }
            if counts.len() > LINKED_FILES_MAX {
                return Ok(State::TooMany);
            }
        }
        number = found.start + found.leaf.items.len() as u64;
    }
    Ok(State::Counted(counts))
}
